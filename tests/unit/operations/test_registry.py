"""Which operation a request asks for, and what is refused."""

from __future__ import annotations

import pytest

from s3gate.core.errors import S3Error
from s3gate.operations import ROUTES as ROUTES_OF_ALL
from s3gate.operations import unsupported
from s3gate.operations.registry import Level, RouteConflict, Routes, operation
from support import sample_operations

ROUTES = Routes.of(sample_operations, unsupported)


def refusal(method: str, level: Level, query: dict[str, str], headers: dict[str, str] | None = None) -> S3Error:
    with pytest.raises(S3Error) as caught:
        ROUTES.match(method, level, query, headers or {})
    return caught.value


def test_an_operation_takes_its_name_and_action_from_its_function() -> None:
    assert sample_operations.put_object.name == "PutObject"
    assert sample_operations.put_object.action == "s3:PutObject"
    assert sample_operations.copy_object.action == "s3:PutObject"


def test_two_operations_that_claim_one_request_do_not_make_a_table() -> None:
    @operation("GET", level=Level.BUCKET)
    async def one(call: object, args: sample_operations.NoArgs) -> sample_operations.Result: ...

    @operation("GET", level=Level.BUCKET)
    async def other(call: object, args: sample_operations.NoArgs) -> sample_operations.Result: ...

    with pytest.raises(RouteConflict):
        Routes([one, other])


def test_a_request_with_very_many_names_leaves_nothing_in_memory() -> None:
    routes = Routes.of(sample_operations)
    before = routes._decided.cache_info().currsize
    routes.match("GET", Level.OBJECT, {f"p{number}": "1" for number in range(100)}, {})
    routes.match("GET", Level.OBJECT, {}, {f"p{number}": "1" for number in range(100)})
    assert routes._decided.cache_info().currsize == before


def test_the_operation_with_most_selectors_wins() -> None:
    assert ROUTES.match("PUT", Level.OBJECT, {}, {"x-amz-copy-source": "/b/k"}).name == "CopyObject"
    assert ROUTES.match("PUT", Level.OBJECT, {}, {}).name == "PutObject"


def test_a_sub_resource_beats_a_copy_source() -> None:
    found = ROUTES.match("PUT", Level.OBJECT, {"retention": ""}, {"x-amz-copy-source": "/b/k"})
    assert found.name == "PutObjectRetention"


def test_a_header_selector_is_not_taken_from_the_query() -> None:
    assert refusal("PUT", Level.OBJECT, {"x-amz-copy-source": "/b/k"}).code == "NotImplemented"


def test_x_id_and_authentication_parameters_change_nothing() -> None:
    query = {"x-id": "PutObject", "X-Amz-Signature": "s", "AWSAccessKeyId": "a", "Signature": "s", "Expires": "1"}
    headers = {"x-amz-date": "d", "x-amz-content-sha256": "h", "amz-sdk-invocation-id": "i"}
    assert ROUTES.match("PUT", Level.OBJECT, query, headers).name == "PutObject"


@pytest.mark.parametrize("name", ["analytics", "versioning", "unheard-of"])
def test_deleting_with_a_sub_resource_never_deletes_the_bucket(name: str) -> None:
    assert refusal("DELETE", Level.BUCKET, {name: ""}).status >= 400


def test_a_write_with_an_unknown_parameter_is_not_implemented() -> None:
    error = refusal("PUT", Level.OBJECT, {"uploadid": "typo"})
    assert (error.code, error.status) == ("NotImplemented", 501)
    assert "uploadid" in error.message


def test_a_read_ignores_an_unknown_parameter_with_a_value_but_not_a_bare_one() -> None:
    assert ROUTES.match("GET", Level.OBJECT, {"cache-buster": "1"}, {}).name == "GetObject"
    assert refusal("GET", Level.OBJECT, {"unheard-of": ""}).code == "NotImplemented"


def test_what_was_decided_for_a_parameter_with_a_value_does_not_hold_for_a_bare_one() -> None:
    for _ in range(2):
        assert ROUTES.match("GET", Level.OBJECT, {"cache-breaker": "1"}, {"host": "h"}).name == "GetObject"
        assert refusal("GET", Level.OBJECT, {"cache-breaker": ""}, {"host": "h"}).code == "NotImplemented"
        assert ROUTES.match("PUT", Level.OBJECT, {}, {"host": "h"}).name == "PutObject"
        assert ROUTES.match("PUT", Level.OBJECT, {}, {"host": "h", "x-amz-copy-source": "/b/k"}).name == "CopyObject"


def test_a_write_with_an_unknown_amz_header_is_not_implemented_and_says_which() -> None:
    error = refusal("PUT", Level.OBJECT, {}, {"x-amz-server-side-encryption": "AES256"})
    assert error.code == "NotImplemented"
    assert error.message == "A header you provided implies functionality that is not implemented"
    assert error.fields["Header"] == "x-amz-server-side-encryption"


def test_a_write_takes_the_headers_that_its_arguments_declare() -> None:
    headers = {"x-amz-storage-class": "STANDARD", "x-amz-meta-colour": "red"}
    assert ROUTES.match("PUT", Level.OBJECT, {}, headers).name == "PutObject"


def test_metadata_headers_are_refused_where_no_metadata_is_taken() -> None:
    error = refusal("DELETE", Level.BUCKET, {}, {"x-amz-meta-colour": "red"})
    assert error.fields["Header"] == "x-amz-meta-colour"


def test_an_operation_with_a_document_takes_checksum_headers() -> None:
    assert ROUTES.match("POST", Level.BUCKET, {"delete": ""}, {"x-amz-checksum-crc32": "AAAAAA=="}).name


def test_reads_declares_names_and_families_beside_the_arguments() -> None:
    @operation("PUT", level=Level.OBJECT, reads=("x-amz-checksum-*", "versionId"))
    async def put_object(call: object, args: sample_operations.NoArgs) -> sample_operations.Result: ...

    put_object.check_known({"versionId": "1"}, {"x-amz-checksum-crc32": "x"})
    with pytest.raises(S3Error):
        put_object.check_known({"other": "1"}, {})


def test_a_method_that_a_place_does_not_have_is_not_allowed() -> None:
    error = refusal("PATCH", Level.OBJECT, {})
    assert (error.code, error.status) == ("MethodNotAllowed", 405)
    assert error.fields == {"Method": "PATCH", "ResourceType": "OBJECT"}
    assert "GET" in error.headers["allow"].split(", ")


def test_a_call_of_another_service_is_told_that_post_is_not_allowed_at_the_root() -> None:
    error = refusal("POST", Level.SERVICE, {})
    assert (error.status, error.fields["ResourceType"]) == (405, "SERVICE")


def test_a_form_upload_is_not_implemented() -> None:
    assert refusal("POST", Level.BUCKET, {}).code == "NotImplemented"


def test_a_known_sub_resource_with_a_wrong_method_is_not_allowed() -> None:
    error = refusal("POST", Level.BUCKET, {"cors": ""})
    assert (error.code, error.fields["ResourceType"]) == ("MethodNotAllowed", "CORS")
    assert error.headers["allow"] == "DELETE, GET, PUT"


def test_two_sub_resources_are_a_conflict() -> None:
    error = refusal("GET", Level.BUCKET, {"cors": "", "policy": ""})
    assert (error.code, error.message) == ("InvalidArgument", "Conflicting query string parameters: cors, policy")


def test_a_sub_resource_without_its_selector_is_an_invalid_argument() -> None:
    assert refusal("PUT", Level.BUCKET, {"analytics": ""}).code == "InvalidArgument"


def test_a_preflight_is_answered_as_by_a_bucket_without_cors() -> None:
    headers = {"origin": "http://o", "access-control-request-method": "PUT"}
    error = refusal("OPTIONS", Level.OBJECT, {}, headers)
    assert (error.code, error.status, error.fields["Method"]) == ("AccessForbidden", 403, "PUT")
    assert refusal("OPTIONS", Level.BUCKET, {}, {}).code == "BadRequest"
    assert refusal("OPTIONS", Level.BUCKET, {}, {"origin": "o"}).code == "BadRequest"


def test_every_unsupported_operation_refuses_by_name() -> None:
    assert len({op.name for op in unsupported.UNSUPPORTED}) == len(unsupported.UNSUPPORTED)
    for op in unsupported.UNSUPPORTED:
        assert not op.implemented
        with pytest.raises(S3Error) as caught:
            op.handler(None, None).send(None)  # type: ignore[attr-defined]
        assert caught.value.code == "NotImplemented"
        assert op.name in caught.value.message


def test_a_request_that_names_a_version_may_take_another_permission() -> None:
    get = ROUTES_OF_ALL.match("GET", Level.OBJECT, {}, {})
    assert get.permission({}) == "s3:GetObject"
    assert get.permission({"versionId": "null"}) == "s3:GetObjectVersion"
    head = ROUTES_OF_ALL.match("HEAD", Level.BUCKET, {}, {})
    assert head.permission({"versionId": "null"}) == "s3:ListBucket"

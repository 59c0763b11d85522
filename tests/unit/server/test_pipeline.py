"""The way of a request from ASGI scope to answer, over sample operations and a store in memory."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from s3gate.access.authorize import Protection
from s3gate.core.errors import S3Error
from s3gate.server.addressing import Addressing
from s3gate.server.pipeline import Pipeline
from s3gate.storage.memory import MemoryBackend
from support.asgi import OWNER, Credentials, ask_once, sample_gateway, scope_of
from support.sample_operations import READERS, Reader


@pytest.fixture(autouse=True)
def _no_readers() -> Iterator[None]:
    READERS.clear()
    yield
    READERS.clear()


def test_an_object_comes_back_with_its_ids() -> None:
    READERS["k"] = Reader(10)
    answer = ask_once(sample_gateway(), "GET", "/bucket/k")
    assert (answer.status, answer.body, answer.complete) == (200, b"x" * 10, True)
    assert len(answer.headers["x-amz-request-id"]) == 16
    assert answer.headers["x-amz-id-2"]
    assert answer.headers["server"] == "s3gate"
    assert "connection" not in answer.headers


def test_a_large_object_comes_whole_and_its_reader_is_closed() -> None:
    READERS["k"] = Reader(3 << 20)
    answer = ask_once(sample_gateway(), "GET", "/bucket/k")
    assert (len(answer.body), answer.complete, READERS["k"].closed) == (3 << 20, True, 1)


def test_a_client_that_leaves_stops_the_reading_of_the_object() -> None:
    READERS["k"] = Reader(64 << 20)
    ask_once(sample_gateway(), "GET", "/bucket/k", leaves_after=3)
    assert READERS["k"].chunks_given < 10
    assert READERS["k"].closed == 1


def test_an_object_that_fails_in_the_middle_breaks_the_answer_off(caplog: pytest.LogCaptureFixture) -> None:
    READERS["k"] = Reader(3 << 20, fails_at=1 << 20)
    answer = ask_once(sample_gateway(), "GET", "/bucket/k")
    assert (answer.status, answer.complete, len(answer.body)) == (200, False, 1 << 20)
    assert READERS["k"].closed == 1
    assert answer.headers["x-amz-request-id"] in caplog.text


def test_an_upload_is_read_in_full_and_its_metadata_bound() -> None:
    headers = {"x-amz-meta-colour": "gr\xc3\xbcn", "x-amz-storage-class": "GLACIER"}
    answer = ask_once(sample_gateway(), "PUT", "/bucket/k", headers, [b"ab", b"c"])
    assert answer.headers["x-test-size"] == "3"
    assert answer.headers["x-test-class"] == "GLACIER"
    assert answer.headers["x-amz-meta-colour"] == "gr\xc3\xbcn"


def test_a_document_is_read_through_the_pipeline_and_bounded() -> None:
    assert ask_once(sample_gateway(), "POST", "/bucket?delete", {}, [b"a ", b"b"]).body == b"<a/><b/>"
    assert ask_once(sample_gateway(), "POST", "/bucket?delete", {}, [b"x" * 65]).status == 400


def test_an_error_is_a_document_that_names_resource_and_request() -> None:
    answer = ask_once(sample_gateway(), "GET", "/bucket/none%20here")
    assert answer.status == 404
    assert "<Code>NoSuchKey</Code>" in answer.text
    assert "<Key>none here</Key>" in answer.text
    assert "<Resource>/bucket/none%20here</Resource>" in answer.text
    assert f"<RequestId>{answer.headers['x-amz-request-id']}</RequestId>" in answer.text


def test_head_and_not_modified_have_no_body() -> None:
    head = ask_once(sample_gateway(), "HEAD", "/bucket/none")
    assert (head.status, head.body) == (404, b"")
    same = ask_once(sample_gateway(), "GET", "/bucket/same")
    assert (same.status, same.body, same.headers["etag"]) == (304, b"", '"e"')


def test_a_fault_of_the_gateway_tells_the_log_everything_and_the_client_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    answer = ask_once(sample_gateway(), "GET", "/bucket/bug")
    assert answer.status == 500
    assert "<Code>InternalError</Code>" in answer.text
    assert "secret detail" not in answer.text
    assert "ZeroDivisionError: secret detail" in caplog.text
    assert answer.headers["x-amz-request-id"] in caplog.text


def test_a_client_that_leaves_in_mid_upload_is_not_answered_and_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> list[Any]:
        gateway = sample_gateway()
        await gateway.storage.create_bucket("bucket", OWNER, "r")
        from_client = [{"type": "http.request", "body": b"a", "more_body": True}, {"type": "http.disconnect"}]
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            return from_client.pop(0)

        async def send(message: Any) -> None:
            sent.append(message)

        await Pipeline(gateway)(scope_of("PUT", "/bucket/k", {"content-length": "5"}), receive, send)
        return sent

    with caplog.at_level(logging.DEBUG, logger="s3gate"):
        assert asyncio.run(run()) == []
    assert not caplog.records


def test_a_bucket_that_is_not_there_is_told_before_any_permission_is_asked() -> None:
    READERS["k"] = Reader(1)
    assert "NoSuchBucket" in ask_once(sample_gateway(), "GET", "/absent/k").text


@pytest.mark.parametrize("name", ["ab", "a%2Fb", "..", ".s3gate", "a" * 256, "b%00cket", "b%C3%BCcket"])
def test_a_name_that_no_bucket_can_have_is_invalid(name: str) -> None:
    answer = ask_once(sample_gateway(), "GET", f"/{name}/k")
    assert (answer.status, "InvalidBucketName" in answer.text) == (400, True)


def test_without_credentials_nothing_is_allowed_and_nothing_of_the_body_is_received() -> None:
    async def run() -> list[Any]:
        gateway = sample_gateway(open_access=False)
        await gateway.storage.create_bucket("bucket", OWNER, "r")
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            raise AssertionError("the body was asked for")

        async def send(message: Any) -> None:
            sent.append(message)

        await Pipeline(gateway)(scope_of("PUT", "/bucket/k", {"content-length": "5"}), receive, send)
        return sent

    assert [message.get("status") for message in asyncio.run(run())] == [403, None]


def test_a_refused_upload_that_is_long_closes_the_connection() -> None:
    gateway = sample_gateway(open_access=False)
    answer = ask_once(gateway, "PUT", "/bucket/k", {}, [b"x" * (1 << 20)])
    assert (answer.status, answer.headers["connection"], answer.complete) == (403, "close", True)


def test_authentication_comes_before_the_bucket_is_looked_up() -> None:
    signed = {"authorization": "AWS nobody:signature", "date": "Sat, 21 Nov 2026 08:00:00 GMT"}
    answer = ask_once(sample_gateway(), "GET", "/absent/k", signed)
    assert (answer.status, "NoSuchBucket" in answer.text) == (403, False)


def test_an_expected_owner_that_is_another_is_denied() -> None:
    READERS["k"] = Reader(1)
    right, wrong = OWNER.id, "1" * 64
    assert ask_once(sample_gateway(), "GET", "/bucket/k", {"x-amz-expected-bucket-owner": right}).status == 200
    assert ask_once(sample_gateway(), "GET", "/bucket/k", {"x-amz-expected-bucket-owner": wrong}).status == 403


def test_read_only_denies_writes_and_allows_reads() -> None:
    READERS["k"] = Reader(1)
    assert ask_once(sample_gateway(protection=Protection(read_only=True)), "GET", "/bucket/k").status == 200
    assert ask_once(sample_gateway(protection=Protection(read_only=True)), "PUT", "/bucket/k", {}, [b"a"]).status == 403


def test_an_operation_asks_for_permission_on_a_second_resource() -> None:
    assert ask_once(sample_gateway(), "PUT", "/bucket/k", {"x-amz-copy-source": "/b/k"}).status == 200


def test_a_bucket_is_made_for_the_one_who_asks() -> None:
    gateway = sample_gateway()
    assert ask_once(gateway, "PUT", "/new-bucket", bucket="").status == 200
    assert asyncio.run(gateway.storage.find_bucket("new-bucket")).owner.display_name == "s3gate"


def test_deleting_with_a_sub_resource_leaves_the_bucket() -> None:
    gateway = sample_gateway()
    assert ask_once(gateway, "DELETE", "/bucket?analytics&id=1").status == 501
    assert asyncio.run(gateway.storage.find_bucket("bucket")).name == "bucket"


def test_an_unsupported_operation_says_its_name_with_501() -> None:
    answer = ask_once(sample_gateway(), "GET", "/bucket?cors")
    assert answer.status == 501
    assert "GetBucketCors" in answer.text


def test_a_call_of_another_service_gets_a_status_that_nobody_retries() -> None:
    assert ask_once(sample_gateway(), "POST", "/", {}, [b"Action=ListRoles"]).status == 405


def test_virtual_host_style_and_prefix_reach_the_same_object() -> None:
    READERS["k"] = Reader(1)
    gateway = sample_gateway(addressing=Addressing(("localhost",), "/s3"))
    assert ask_once(gateway, "GET", "/s3/k", {"host": "bucket.localhost:9900"}).status == 200
    assert ask_once(gateway, "GET", "/s3/bucket/k", bucket="other").status == 200
    assert ask_once(gateway, "GET", "/bucket/k", bucket="third").status == 404


def test_an_invalid_uri_is_an_error_document_too() -> None:
    assert "InvalidURI" in ask_once(sample_gateway(), "GET", "/bucket/%FF").text
    assert "InvalidURI" in ask_once(sample_gateway(), "GET", "/bucket/k?a=%FF").text
    assert "InvalidURI" in ask_once(sample_gateway(), "GET", "/bucket/\xe9").text


def test_an_error_of_the_store_is_passed_on_as_it_is() -> None:
    class Full(MemoryBackend):
        async def find_bucket(self, name: str) -> Any:
            raise S3Error("InsufficientStorage")

    assert ask_once(sample_gateway(storage=Full()), "GET", "/bucket/k").status == 507


def test_a_presigned_parameter_that_no_signature_covers_does_not_turn_a_put_into_a_copy() -> None:
    answer = ask_once(sample_gateway(credentials=Credentials()), "PUT", "/bucket/k?x-amz-copy-source=/b/k")
    assert answer.status == 501

"""Which scheme a request uses, who its caller is, and AWS's code for each thing that can be wrong with it."""

from __future__ import annotations

from collections.abc import Callable
from email.utils import formatdate

import pytest

from s3gate.auth import sigv4
from s3gate.auth.authenticate import Authenticated, AuthRules, authenticate
from s3gate.core.clock import SECOND
from s3gate.core.errors import S3Error
from s3gate.core.values import Owner
from s3gate.core.wire import Wire
from s3gate.identity.model import ANONYMOUS, Credential
from support.signing import (
    ACCESS_KEY,
    HOST,
    NOW_NS,
    SECRET_KEY,
    STORE,
    MemoryCredentials,
    authenticated,
    changed,
    rules,
    signed_by_botocore,
    wire_of,
)

EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
WEEK = 604_800


def _refused(wire: Wire, *, now_ns: int = NOW_NS) -> S3Error:
    with pytest.raises(S3Error) as caught:
        authenticated(wire, now_ns=now_ns)
    return caught.value


def _signed(method: str = "GET", target: str = "/bucket/key", **headers: str) -> Wire:
    return signed_by_botocore("S3SigV4Auth", method, target, headers=headers)


def _presigned(target: str = "/bucket/key", *, expires: int = 3600, **headers: str) -> Wire:
    return signed_by_botocore("S3SigV4QueryAuth", "GET", target, headers=headers, expires=expires)


def _v2(target: str = "/bucket/key", **headers: str) -> Wire:
    return signed_by_botocore("HmacV1Auth", "GET", target, headers=headers)


def _v2_presigned(*, expires: int = 3600) -> Wire:
    return signed_by_botocore("HmacV1QueryAuth", "GET", "/bucket/key", expires=expires)


def test_why_somebody_is_refused_can_be_seen_in_the_log_without_what_they_signed_with(caplog) -> None:
    authorization = _signed().headers["authorization"].replace(ACCESS_KEY, "NOBODYSKEY")
    wire = changed(_signed(), headers={"authorization": authorization})
    with caplog.at_level("DEBUG", "s3gate.auth"):
        assert _refused(wire).code == "InvalidAccessKeyId"
    assert "InvalidAccessKeyId" in caplog.text
    assert "/bucket/key" in caplog.text
    assert wire.headers["authorization"].rpartition("=")[2] not in caplog.text


@pytest.mark.parametrize("headers", [{}, {"authorization": ""}, {"authorization": "  "}])
def test_a_request_without_a_signature_is_the_anonymous_callers(headers: dict[str, str]) -> None:
    assert authenticated(wire_of("GET", "/bucket/key?acl", headers)).caller is ANONYMOUS


@pytest.mark.parametrize("wire", [_signed(), _presigned(), _v2(), _v2_presigned()])
def test_the_caller_is_the_owner_of_the_access_key(wire: Wire) -> None:
    owner = Owner("1" * 64, "alice")
    store = MemoryCredentials({ACCESS_KEY: Credential(ACCESS_KEY, SECRET_KEY, owner=owner, policy="readonly")})
    caller = authenticate(wire, store, rules()).caller
    assert (caller.owner, caller.policy, caller.access_key, caller.anonymous) == (owner, "readonly", ACCESS_KEY, False)


@pytest.mark.parametrize("value", ["Basic dXNlcjpwYXNz", "Bearer x", "AWS4-ECDSA-P256-SHA256 Credential=a", "aws x:y"])
def test_another_kind_of_authorization_is_an_invalid_argument(value: str) -> None:
    error = _refused(wire_of("GET", "/", {"authorization": value}))
    assert (error.code, error.message) == ("InvalidArgument", "Unsupported Authorization Type")
    assert error.fields == {"ArgumentName": "Authorization", "ArgumentValue": value}


@pytest.mark.parametrize("value", ["AWS HAHAHA", "AWS", "AWS :signature", "AWS key:"])
def test_a_version_2_authorization_without_key_or_signature_is_an_invalid_argument(value: str) -> None:
    date = formatdate(NOW_NS // SECOND, usegmt=True)
    assert _refused(wire_of("GET", "/", {"authorization": value, "date": date})).code == "InvalidArgument"


def test_two_schemes_at_once_are_refused() -> None:
    header, query = _signed().headers["authorization"], _presigned().raw_query
    v2_query = _v2_presigned().raw_query
    for wire in (
        wire_of("GET", f"/bucket/key?{query}", {"host": HOST, "authorization": header}),
        wire_of("GET", f"/bucket/key?{v2_query}", {"host": HOST, "authorization": header}),
        wire_of("GET", f"/bucket/key?{query}&{v2_query}", {"host": HOST}),
    ):
        error = _refused(wire)
        assert error.code == "InvalidArgument"
        assert error.message.startswith("Only one auth mechanism allowed")


@pytest.mark.parametrize("wire", [_signed(), _presigned(), _v2(), _v2_presigned()])
def test_an_unknown_and_a_disabled_access_key_are_refused_alike(wire: Wire) -> None:
    disabled = Credential(ACCESS_KEY, SECRET_KEY, enabled=False)
    for store in (MemoryCredentials(), MemoryCredentials({ACCESS_KEY: disabled})):
        with pytest.raises(S3Error) as caught:
            authenticate(wire, store, rules())
        assert caught.value.code == "InvalidAccessKeyId"
        assert caught.value.fields == {"AWSAccessKeyId": ACCESS_KEY}


@pytest.mark.parametrize("wire", [_signed(), _presigned(), _v2(), _v2_presigned()])
def test_another_secret_does_not_match_and_the_answer_says_what_was_signed(wire: Wire) -> None:
    store = MemoryCredentials({ACCESS_KEY: Credential(ACCESS_KEY, "another")})
    with pytest.raises(S3Error) as caught:
        authenticate(wire, store, rules())
    error = caught.value
    assert (error.code, error.status) == ("SignatureDoesNotMatch", 403)
    assert error.fields["AWSAccessKeyId"] == ACCESS_KEY
    assert error.fields["StringToSignBytes"] == error.fields["StringToSign"].encode().hex(" ")
    assert error.fields[
        "SignatureProvided"
    ] in f"{wire.headers.get('authorization')} {wire.query.get('Signature')} " + (
        wire.query.get("X-Amz-Signature") or ""
    )
    if "CanonicalRequest" in error.fields:
        assert error.fields["CanonicalRequestBytes"] == error.fields["CanonicalRequest"].encode().hex(" ")


@pytest.mark.parametrize("offset", [-901, 901])
@pytest.mark.parametrize("wire", [_signed(), _v2()])
def test_a_clock_more_than_fifteen_minutes_off_is_refused(wire: Wire, offset: int) -> None:
    error = _refused(wire, now_ns=NOW_NS + offset * SECOND)
    assert error.code == "RequestTimeTooSkewed"
    assert error.fields["RequestTime"] == wire.headers.get("x-amz-date", wire.headers.get("date"))
    assert error.fields["ServerTime"] == ("2026-11-21T08:15:01Z" if offset > 0 else "2026-11-21T07:44:59Z")
    assert error.fields["MaxAllowedSkewMilliseconds"] == "900000"
    authenticated(wire, now_ns=NOW_NS + (899 if offset > 0 else -899) * SECOND)


@pytest.mark.parametrize("wire", [_signed(), _v2(), _presigned(), _v2_presigned()])
def test_a_session_token_is_an_invalid_token(wire: Wire) -> None:
    assert _refused(changed(wire, headers={"x-amz-security-token": "t"})).code == "InvalidToken"


def test_a_session_token_in_the_query_is_an_invalid_token() -> None:
    assert _refused(_presigned("/bucket/key?X-Amz-Security-Token=t")).code == "InvalidToken"


# --- Signature Version 4 in the Authorization header ---


def _with_authorization(old: str, new: str) -> Wire:
    wire = _signed()
    value = wire.headers["authorization"]
    assert old in value
    return changed(wire, headers={"authorization": value.replace(old, new)})


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("/us-east-1/", "/eu-west-1/", "the region 'eu-west-1' is wrong; expecting 'us-east-1'"),
        ("/s3/", "/iam/", 'incorrect service "iam". This endpoint belongs to "s3".'),
        ("/aws4_request", "/aws5_request", 'incorrect terminal "aws5_request". This endpoint uses "aws4_request".'),
        ("/20261121/", "/20261120/", 'Invalid credential date "20261120".'),
        ("/20261121/", "/2026112/", 'incorrect date format "2026112".'),
        (f"={ACCESS_KEY}/", "=", "the Credential is mal-formed"),
        ("Credential=", "Credentials=", "missing Credential."),
        ("SignedHeaders=", "X=", "missing SignedHeaders."),
        ("Signature=", "Y=", "missing Signature."),
        ("Credential=", "Signature=a, Credential=", "requires three components"),
        (" Credential=", " oops, Credential=", "requires three components"),
    ],
)
def test_a_malformed_authorization_header_is_named(old: str, new: str, words: str) -> None:
    error = _refused(_with_authorization(old, new))
    assert error.code == "AuthorizationHeaderMalformed"
    assert error.message.startswith("The authorization header is malformed; ")
    assert words in error.message


def test_a_wrong_region_is_answered_with_the_right_one() -> None:
    assert _refused(_with_authorization("/us-east-1/", "/eu-west-1/")).fields == {"Region": "us-east-1"}


def test_any_region_is_taken_when_the_rules_say_so() -> None:
    with pytest.raises(S3Error) as caught:
        authenticate(_signed(), STORE, rules(region="eu-west-1"))
    assert caught.value.code == "AuthorizationHeaderMalformed"
    assert authenticate(_signed(), STORE, rules(region="eu-west-1", any_region=True)).caller.access_key == ACCESS_KEY


@pytest.mark.parametrize("separator", [",", ", ", " , ", ",\t"])
def test_the_parts_of_the_header_may_stand_in_any_order_and_spacing(separator: str) -> None:
    wire = _signed()
    scheme, _, rest = wire.headers["authorization"].partition(" ")
    value = scheme + " " + separator.join(reversed(rest.split(", ")))
    assert authenticated(changed(wire, headers={"authorization": value})).caller.access_key == ACCESS_KEY


@pytest.mark.parametrize("date", ["", "Bad Date", "20261321T000000Z"])
def test_a_request_without_a_valid_date_is_denied(date: str) -> None:
    error = _refused(changed(_signed(), headers={"x-amz-date": date}))
    assert (error.code, error.status) == ("AccessDenied", 403)


def test_the_date_header_counts_where_x_amz_date_is_missing() -> None:
    date = formatdate(NOW_NS // SECOND, usegmt=True)
    wire = signed_by_botocore("S3SigV4Auth", "GET", "/bucket/key", headers={"Date": date})
    assert "x-amz-date" not in wire.headers
    assert authenticated(wire).caller.access_key == ACCESS_KEY


def test_the_content_hash_is_required() -> None:
    error = _refused(changed(_signed(), headers={"x-amz-content-sha256": None}))
    assert error.code == "InvalidRequest"
    assert error.message == "Missing required header for this request: x-amz-content-sha256"


@pytest.mark.parametrize("make", [_signed, _presigned])
def test_an_amz_header_that_is_not_signed_is_refused_by_name(make: Callable[[], Wire]) -> None:
    error = _refused(changed(make(), headers={"x-amz-tagging": "a=b", "x-amz-acl": "public-read"}))
    assert (error.code, error.fields) == ("AccessDenied", {"HeadersNotSigned": "x-amz-acl, x-amz-tagging"})
    assert error.message == "There were headers present in the request which were not signed"


def test_the_host_must_be_signed() -> None:
    error = _refused(_with_authorization("SignedHeaders=host;", "SignedHeaders="))
    assert (error.code, error.fields) == ("AccessDenied", {"HeadersNotSigned": "host"})


def test_a_request_with_very_many_signed_headers_is_verified_and_leaves_nothing_in_memory() -> None:
    wire = _signed(**{f"x-amz-meta-{number:03}": "v" for number in range(100)})
    before = [known.cache_info().currsize for known in (sigv4._usual_claim, sigv4._known_unsigned)]
    assert not authenticated(wire).caller.anonymous
    assert [known.cache_info().currsize for known in (sigv4._usual_claim, sigv4._known_unsigned)] == before


def test_headers_that_proxies_add_need_no_signature() -> None:
    wire = changed(_signed(), headers={"x-amzn-trace-id": "1", "x-forwarded-for": "::1", "connection": "close"})
    assert authenticated(wire).caller.access_key == ACCESS_KEY


def test_a_signed_header_that_is_absent_does_not_match() -> None:
    wire = _signed(**{"x-amz-meta-a": "1"})
    assert authenticated(wire).caller.access_key == ACCESS_KEY
    assert _refused(changed(wire, headers={"x-amz-meta-a": None})).code == "SignatureDoesNotMatch"


@pytest.mark.parametrize("value", ["  two   inner  spaces ", "tab\tand  tab", "\u00a0not ascii space\u0085"])
def test_white_space_in_signed_values_counts_as_one_space_but_only_ascii_white_space(value: str) -> None:
    collapsed = " ".join(part for part in value.replace("\t", " ").split(" ") if part)
    wire = _signed(**{"x-amz-meta-a": "plain"})
    reference = changed(wire, headers={"x-amz-meta-a": collapsed})
    assert (
        _refused(changed(wire, headers={"x-amz-meta-a": value})).fields["CanonicalRequest"]
        == _refused(reference).fields["CanonicalRequest"]
    )


# --- presigned, Signature Version 4 ---


def _with_parameter(name: str, value: str | None) -> Wire:
    wire = _presigned()
    kept = [pair for pair in wire.raw_query.split("&") if not pair.startswith(f"{name}=")]
    return changed(wire, raw_query="&".join(kept + ([] if value is None else [f"{name}={value}"])))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((f"X-Amz-{part}", None) for part in ("Algorithm", "Credential", "Date", "Expires", "SignedHeaders")),
        ("X-Amz-Signature", None),
        ("X-Amz-SignedHeaders", "h%C3%B6st"),
        ("X-Amz-Algorithm", "AWS4-ECDSA-P256-SHA256"),
        ("X-Amz-Credential", "x"),
        ("X-Amz-Credential", f"{ACCESS_KEY}%2F20261121%2Fmoon%2Fs3%2Faws4_request"),
        ("X-Amz-Credential", f"{ACCESS_KEY}%2F20261120%2Fus-east-1%2Fs3%2Faws4_request"),
        ("X-Amz-Date", "yesterday"),
        ("X-Amz-Expires", "soon"),
        ("X-Amz-Content-Sha256", "%C3%B6"),
    ],
)
def test_malformed_query_parameters_are_refused(name: str, value: str | None) -> None:
    error = _refused(_with_parameter(name, value))
    assert (error.code, error.status) == ("AuthorizationQueryParametersError", 400)


@pytest.mark.parametrize("expires", [-7, -1000, WEEK + 1, 609_901])
def test_a_lifetime_outside_a_week_is_denied(expires: int) -> None:
    error = _refused(_presigned(expires=expires))
    assert (error.code, error.status) == ("AccessDenied", 403)


def test_a_lifetime_of_zero_has_expired_at_once() -> None:
    assert _refused(_presigned(expires=0)).message == "Request has expired"


@pytest.mark.parametrize("expires", [1, WEEK])
def test_a_presigned_request_is_good_to_its_last_second_and_no_longer(expires: int) -> None:
    wire = _presigned(expires=expires)
    assert authenticated(wire, now_ns=NOW_NS + expires * SECOND).caller.access_key == ACCESS_KEY
    error = _refused(wire, now_ns=NOW_NS + expires * SECOND + 1)
    assert (error.code, error.message) == ("AccessDenied", "Request has expired")
    assert error.fields.keys() == {"X-Amz-Expires", "Expires", "ServerTime"}
    assert error.fields["X-Amz-Expires"] == str(expires)


def test_a_presigned_request_from_the_future_is_not_yet_valid() -> None:
    assert _refused(_presigned(), now_ns=NOW_NS - 901 * SECOND).message == "Request is not yet valid"


def test_the_body_of_a_presigned_request_is_unsigned_unless_the_url_says_otherwise() -> None:
    decoder = authenticated(_presigned()).payload.new_decoder()
    decoder.feed(b"anything")
    assert decoder.finish() == {}
    unsigned = changed(_presigned(), headers={"x-amz-content-sha256": "UNSIGNED-PAYLOAD"})
    assert authenticated(unsigned).caller.access_key == ACCESS_KEY
    other = changed(_presigned(), headers={"x-amz-content-sha256": EMPTY})
    assert _refused(other).fields == {"HeadersNotSigned": "x-amz-content-sha256"}


def test_a_content_hash_that_a_presigned_request_signs_holds_for_the_body() -> None:
    wire = _presigned(**{"x-amz-content-sha256": EMPTY})
    decoder = authenticated(wire).payload.new_decoder()
    decoder.feed(b"anything")
    with pytest.raises(S3Error) as caught:
        decoder.finish()
    assert caught.value.code == "XAmzContentSHA256Mismatch"


# --- Signature Version 2 ---


@pytest.mark.parametrize(
    ("date", "code"),
    [
        ("Bad Date", "AccessDenied"),
        ("", "AccessDenied"),
        ("Tue, 07 Jul 1950 21:53:04 GMT", "AccessDenied"),
        ("Tue, 07 Jul 2010 21:53:04 GMT", "RequestTimeTooSkewed"),
        ("Tue, 07 Jul 2036 21:53:04 GMT", "RequestTimeTooSkewed"),
        ("Tue, 07 Jul 9999 21:53:04 GMT", "RequestTimeTooSkewed"),
    ],
)
def test_a_version_2_date_is_checked_before_the_signature(date: str, code: str) -> None:
    error = _refused(_v2(**{"x-amz-date": date}))
    assert (error.code, error.status) == (code, 403)


def test_a_version_2_request_without_a_date_is_denied() -> None:
    assert _refused(changed(_v2(), headers={"date": None})).code == "AccessDenied"


def test_version_2_takes_x_amz_date_beside_date_as_the_sdk_for_python_signs_it() -> None:
    date = formatdate(NOW_NS // SECOND, usegmt=True)
    assert authenticated(_v2(**{"x-amz-date": date})).caller.access_key == ACCESS_KEY


def test_version_2_signs_the_bucket_of_the_host() -> None:
    wire = changed(_v2("/bucket/key"), raw_path="/key")
    assert authenticated(wire, host_bucket="bucket").caller.access_key == ACCESS_KEY
    assert _refused(wire).code == "SignatureDoesNotMatch"


@pytest.mark.parametrize("missing", ["AWSAccessKeyId", "Signature", "Expires"])
def test_a_version_2_query_needs_all_its_parts(missing: str) -> None:
    wire = _v2_presigned()
    kept = "&".join(pair for pair in wire.raw_query.split("&") if not pair.startswith(missing))
    assert _refused(changed(wire, raw_query=kept)).code == "AccessDenied"


@pytest.mark.parametrize("expires", ["soon", "", "1e9", "0x10"])
def test_a_version_2_expiry_that_is_no_number_is_denied(expires: str) -> None:
    wire = _v2_presigned()
    pairs = [f"Expires={expires}" if p.startswith("Expires=") else p for p in wire.raw_query.split("&")]
    assert _refused(changed(wire, raw_query="&".join(pairs))).code == "AccessDenied"


def test_a_version_2_url_expires() -> None:
    error = _refused(_v2_presigned(expires=60), now_ns=NOW_NS + 61 * SECOND)
    assert (error.code, error.message) == ("AccessDenied", "Request has expired")
    assert error.fields == {"Expires": "2026-11-21T08:01:00Z", "ServerTime": "2026-11-21T08:01:01Z"}


@pytest.mark.parametrize("query", ["uploads", "uploads="])
def test_version_2_takes_a_sub_resource_with_or_without_its_equals_sign(query: str) -> None:
    signed = _v2("/bucket/key?uploads")
    assert authenticated(changed(signed, raw_query=query)).caller.access_key == ACCESS_KEY


@pytest.mark.parametrize("signer", ["S3SigV4Auth", "HmacV1Auth"])
def test_below_a_prefix_the_path_may_be_signed_without_it(signer: str) -> None:
    """s3cmd takes the prefix for a part of the host's name: it signs `HOST/s3` and the path behind the prefix."""
    signed = signed_by_botocore(signer, "GET", "/bucket/key", headers={"Host": HOST + "/s3"})
    sent = Wire("GET", "/s3/bucket/key", "", {**signed.headers, "host": HOST})

    assert authenticate(sent, STORE, rules(path_prefix="/s3")).caller.access_key == ACCESS_KEY
    for path, prefix in (("/s3/bucket/key", ""), ("/s3/bucket/other", "/s3"), ("/s3", "/s3")):
        other = Wire("GET", path, "", sent.headers)
        with pytest.raises(S3Error) as caught:
            authenticate(other, STORE, rules(path_prefix=prefix))
        assert caught.value.code == "SignatureDoesNotMatch"


def test_v2_of_a_bucket_may_sign_a_slash_behind_its_name() -> None:
    signed = signed_by_botocore("HmacV1Auth", "PUT", "/bucket/")

    assert authenticated(Wire("PUT", "/bucket", "", signed.headers)).caller.access_key == ACCESS_KEY


def test_v2_in_virtual_host_style_does_not_sign_for_another_object() -> None:
    signed = signed_by_botocore("HmacV1Auth", "DELETE", "/bucket/key/")

    with pytest.raises(S3Error) as caught:
        authenticated(Wire("DELETE", "/key", "", signed.headers), host_bucket="bucket")
    assert caught.value.code == "SignatureDoesNotMatch"


def test_v2_below_a_prefix_does_not_sign_for_another_object() -> None:
    signed = signed_by_botocore("HmacV1Auth", "DELETE", "/s3/bucket/key")

    with pytest.raises(S3Error) as caught:
        authenticate(Wire("DELETE", "/s3/s3/bucket/key", "", signed.headers), STORE, rules(path_prefix="/s3"))
    assert caught.value.code == "SignatureDoesNotMatch"


def _unverified(wire: Wire) -> Authenticated:
    return authenticate(wire, STORE, AuthRules("nowhere", unverified=True))


def test_where_nobody_is_asked_every_caller_is_the_anonymous_one() -> None:
    plain = wire_of("GET", "/bucket/key", {"host": HOST})
    nonsense = changed(_signed(), headers={"authorization": "AWS4-HMAC-SHA256 nonsense"})
    of_a_session = _signed(**{"x-amz-security-token": "token"})
    found = [_unverified(wire) for wire in (plain, _signed(), _presigned(), _v2(), nonsense, of_a_session)]
    assert [each.caller for each in found] == [ANONYMOUS] * 6


def test_where_nobody_is_asked_a_payload_is_still_what_its_hash_says() -> None:
    wire = wire_of("PUT", "/bucket/key", {"host": HOST, "content-length": "4", "x-amz-content-sha256": EMPTY})
    decoder = _unverified(wire).payload.new_decoder()
    decoder.feed(b"data")
    with pytest.raises(S3Error) as caught:
        decoder.finish()
    assert caught.value.code == "XAmzContentSHA256Mismatch"


def test_the_caller_with_a_token_has_no_access_key_that_could_be_used() -> None:
    """Access key and secret key are one: it would stand in every log."""
    store = MemoryCredentials({ACCESS_KEY: Credential(SECRET_KEY, SECRET_KEY)})
    caller = authenticate(_signed(), store, rules()).caller
    assert (caller.access_key, caller.anonymous) == (f"{SECRET_KEY[:4]}***", False)

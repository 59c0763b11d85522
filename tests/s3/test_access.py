"""What each credential may do, and how a running gateway learns of changed credentials."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from support.gateway import Gateway
from support.raw_http import Answer, Request, ask, refusal
from support.signed import signed
from support.snapshot import unchanged

pytestmark = pytest.mark.xdist_group("access")

Key = tuple[str, str]
KEYS: dict[str, Key] = {
    policy: (f"AKIA{policy.upper():0<16}", f"{policy}-secret-{'x' * 24}")
    for policy in ("admin", "readwrite", "readonly", "writeonly", "stranger", "disabled", "late")
}


def record(name: str, **fields: object) -> dict[str, object]:
    access_key, secret_key = KEYS[name]
    return {"access_key": access_key, "secret_key": secret_key, "enabled": True, **fields}


RECORDS: Mapping[str, dict[str, object]] = {
    "admin": record("admin", policy="admin", user_id="a" * 64, display_name="the administrator"),
    "readwrite": record("readwrite", user_id="b" * 64, display_name="the writer"),
    "readonly": record("readonly", policy="readonly", user_id="b" * 64, display_name="the writer"),
    "writeonly": record("writeonly", policy="writeonly", user_id="b" * 64, display_name="the writer"),
    "stranger": record("stranger", user_id="c" * 64, display_name="the stranger"),
    "disabled": record("disabled", enabled=False),
}


def write_credentials(path: Path, *names: str, **more: dict[str, object]) -> None:
    lines = [json.dumps(RECORDS[name]) for name in names] + [json.dumps(each) for each in more.values()]
    temporary = path.with_suffix(".new")
    temporary.write_text("\n".join([*lines, ""]))
    temporary.chmod(0o600)
    os.replace(temporary, path)


def act(gateway: Gateway, who: str, method: str, target: str, **arguments: Any) -> Answer:
    return ask(gateway, signed(gateway, method, target, key=KEYS[who], **arguments))


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    place = tmp_path_factory.mktemp("guarded")
    path = place / "credentials.jsonl"
    write_credentials(path, *RECORDS)
    arguments = ("--credentials-path", str(path), "--durability", "none")
    with Gateway(place / "data", *arguments, credentials=()) as running:
        assert act(running, "readwrite", "PUT", "/shelf").status == 200
        assert act(running, "readwrite", "PUT", "/shelf/k", body=b"old").status == 200
        yield running


READS = [
    ("GET", "/shelf/k"),
    ("HEAD", "/shelf/k"),
    ("GET", "/shelf?list-type=2"),
    ("HEAD", "/shelf"),
    ("GET", "/shelf?uploads"),
]
WRITES = [("PUT", "/shelf/k"), ("DELETE", "/shelf/none"), ("POST", "/shelf/k?uploads")]


@pytest.mark.parametrize(("who", "reads", "writes"), [
    ("admin", True, True),
    ("readwrite", True, True),
    ("readonly", True, False),
    ("writeonly", False, True),
    ("stranger", False, False),
])  # fmt: skip
def test_a_policy_allows_reads_and_writes_of_its_account(guarded: Gateway, who: str, reads: bool, writes: bool):
    for method, target in READS:
        status = act(guarded, who, method, target).status
        assert status == 200 if reads else status == 403, target
    for method, target in WRITES:
        if writes:
            assert act(guarded, who, method, target, body=b"old").status in (200, 204), target
            continue
        with unchanged(guarded.root / "shelf"):
            assert refusal(act(guarded, who, method, target, body=b"new")) == (403, "AccessDenied"), target


def test_a_key_that_is_disabled_or_unknown_is_refused(guarded: Gateway):
    for who in ("disabled", "late"):
        assert refusal(act(guarded, who, "GET", "/")) == (403, "InvalidAccessKeyId")


def test_nobody_may_copy_what_he_may_not_read(guarded: Gateway):
    assert act(guarded, "stranger", "PUT", "/strangers-own").status == 200
    headers = {"x-amz-copy-source": "shelf/k"}

    copy = act(guarded, "stranger", "PUT", "/strangers-own/copy", headers=headers)
    blind = act(guarded, "writeonly", "PUT", "/shelf/copy", headers=headers)

    assert refusal(copy) == refusal(blind) == (403, "AccessDenied")
    assert not (guarded.root / "strangers-own/copy").exists()
    assert not (guarded.root / "shelf/copy").exists()


def test_a_bucket_of_another_account_is_taken_and_hidden(guarded: Gateway):
    assert refusal(act(guarded, "stranger", "PUT", "/shelf")) == (409, "BucketAlreadyExists")
    assert refusal(act(guarded, "stranger", "DELETE", "/shelf")) == (403, "AccessDenied")
    assert b"<Name>shelf</Name>" not in act(guarded, "stranger", "GET", "/").body
    assert b"<Name>shelf</Name>" in act(guarded, "admin", "GET", "/").body
    assert b"<Name>shelf</Name>" in act(guarded, "readwrite", "GET", "/").body


def test_owner_and_initiator_are_those_of_the_credential(guarded: Gateway):
    owner = f"<ID>{'b' * 64}</ID><DisplayName>the writer</DisplayName>".encode()
    administrator = f"<ID>{'a' * 64}</ID><DisplayName>the administrator</DisplayName>".encode()
    for who in ("readwrite", "admin"):
        act(guarded, who, "PUT", f"/shelf/of/{who}", body=b"x")
        act(guarded, who, "POST", f"/shelf/of/{who}?uploads")

    assert owner in act(guarded, "readwrite", "GET", "/").body
    for listing in ("list-type=2&fetch-owner=true", "uploads"):
        assert owner in act(guarded, "admin", "GET", f"/shelf?{listing}&prefix=of/readwrite").body
        assert administrator in act(guarded, "readwrite", "GET", f"/shelf?{listing}&prefix=of/admin").body


def test_the_expected_owner_is_compared_with_the_owner(guarded: Gateway):
    for expected, status in (("b" * 64, 200), ("c" * 64, 403)):
        headers = {"x-amz-expected-bucket-owner": expected}
        assert act(guarded, "readwrite", "GET", "/shelf/k", headers=headers).status == status


def eventually(gateway: Gateway, who: str, status: int, *, seconds: float = 15) -> bool:
    """Whether every worker comes to answer so: a row of connections is dealt out among them all."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if all(act(gateway, who, "GET", "/").status == status for _ in range(16)):
            return True
        time.sleep(0.05)
    return False


def test_credentials_are_read_again_on_sighup(tmp_path: Path):
    path = tmp_path / "credentials.jsonl"
    write_credentials(path, "admin")
    arguments = ("--credentials-path", str(path), "--cache-refresh-interval-secs", "3600")
    with Gateway(tmp_path / "data", *arguments, credentials=()) as gateway:
        assert act(gateway, "readwrite", "GET", "/").status == 403
        write_credentials(path, "admin", "readwrite")
        os.kill(gateway.pid, signal.SIGHUP)
        assert eventually(gateway, "readwrite", 200)
        write_credentials(path, "admin", gone={**RECORDS["readwrite"], "enabled": False})
        os.kill(gateway.pid, signal.SIGHUP)
        assert eventually(gateway, "readwrite", 403)
        assert act(gateway, "admin", "GET", "/").status == 200


def test_credentials_are_read_again_when_the_file_changes(tmp_path: Path):
    path = tmp_path / "credentials.jsonl"
    write_credentials(path, "admin")
    arguments = ("--credentials-path", str(path), "--cache-refresh-interval-secs", "1")
    with Gateway(tmp_path / "data", *arguments, credentials=()) as gateway:
        write_credentials(path, "admin", "readwrite")
        assert eventually(gateway, "readwrite", 200)
        write_credentials(path, "admin", "readwrite", late=record("late"))
        assert eventually(gateway, "late", 200)
        with path.open("a") as file:
            file.write("this line is broken\n")
        write_credentials(path, "readwrite")
        assert eventually(gateway, "admin", 403)
        assert act(gateway, "readwrite", "GET", "/").status == 200


@pytest.fixture(scope="module")
def open_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with Gateway(tmp_path_factory.mktemp("open"), "--no-auth", "--durability", "none") as running:
        yield running


def test_without_authentication_everybody_may_do_everything(open_gateway: Gateway):
    host = {"Host": open_gateway.address}

    def anonymous(method: str, target: str, body: bytes | None = None) -> Answer:
        length = {} if body is None else {"Content-Length": str(len(body))}
        return ask(open_gateway, Request(method, target, {**host, **length}, body or b""))

    assert anonymous("PUT", "/open").status == 200
    assert anonymous("PUT", "/open/k", b"content").status == 200
    assert anonymous("GET", "/open/k").body == b"content"
    assert b"<Key>k</Key>" in anonymous("GET", "/open").body
    assert b"<Name>open</Name>" in anonymous("GET", "/").body
    assert anonymous("POST", "/open?delete", b"<Delete><Object><Key>k</Key></Object></Delete>").status == 200
    assert anonymous("DELETE", "/open").status == 204


def test_without_authentication_a_signature_must_still_be_right(open_gateway: Gateway):
    assert ask(open_gateway, signed(open_gateway, "GET", "/")).status == 200
    request = signed(open_gateway, "GET", "/", key=KEYS["late"])
    assert refusal(ask(open_gateway, request)) == (403, "InvalidAccessKeyId")


def test_a_read_only_gateway_refuses_every_write_and_changes_nothing(tmp_path: Path):
    (tmp_path / "shelf").mkdir()
    (tmp_path / "shelf/k").write_bytes(b"old")
    with unchanged(tmp_path), Gateway(tmp_path, "--read-only") as gateway:
        assert ask(gateway, signed(gateway, "GET", "/shelf/k")).body == b"old"
        assert b"<Key>k</Key>" in ask(gateway, signed(gateway, "GET", "/shelf?list-type=2")).body
        assert b"<Name>shelf</Name>" in ask(gateway, signed(gateway, "GET", "/")).body
        for method, target, body in [
            ("PUT", "/new-bucket", None),
            ("PUT", "/shelf/k", b"new"),
            ("PUT", "/shelf/new", b"new"),
            ("DELETE", "/shelf/k", None),
            ("DELETE", "/shelf", None),
            ("POST", "/shelf?delete", b"<Delete><Object><Key>k</Key></Object></Delete>"),
            ("POST", "/shelf/k?uploads", None),
        ]:
            request = signed(gateway, method, target, body=body)
            assert refusal(ask(gateway, request)) == (403, "AccessDenied"), (method, target)
        assert not (tmp_path / ".s3gate").exists()

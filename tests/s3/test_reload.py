"""SIGHUP: settings, credentials, certificates and logs are taken over, and no request is cut."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import ClientError

from support.certificates import self_signed
from support.gateway import ACCESS_KEY, SECRET_KEY, Gateway
from support.processes import wait_for, workers

OTHER = ("AKIAOFTHERELOAD", "another-secret-key")


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    path = tmp_path / "s3gate.toml"
    path.write_text("")
    return path


@pytest.fixture
def gateway(tmp_path: Path, conf: Path) -> Iterator[Gateway]:
    with Gateway(tmp_path / "served", "--conf", str(conf), "--create-bucket", "bucket", credentials=()) as running:
        yield running


def keys(*pairs: tuple[str, str]) -> str:
    return f"credentials = {json.dumps([':'.join(pair) for pair in pairs])}\n"


def code(gateway: Gateway, pair: tuple[str, str], work: Callable[..., object]) -> str:
    """What a request with these keys on a new connection ends with."""
    client = boto3.client(
        "s3",
        endpoint_url=gateway.endpoint,
        region_name="us-east-1",
        aws_access_key_id=pair[0],
        aws_secret_access_key=pair[1],
        verify=False,
    )
    try:
        work(client)
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    finally:
        client.close()
    return "ok"


def listed(gateway: Gateway, pair: tuple[str, str]) -> str:
    return code(gateway, pair, lambda client: client.list_buckets())


def reload(gateway: Gateway, word: str = "") -> None:
    """Send SIGHUP, and wait for a word of the log."""
    before = gateway.log.count(word)
    os.kill(gateway.pid, signal.SIGHUP)
    if word:
        wait_for(lambda: gateway.log.count(word) > before, f"{word} in the log")


def settled(gateway: Gateway, pair: tuple[str, str], wanted: str) -> None:
    """All workers answer so: connections are shared out by chance, so many are made."""
    wait_for(lambda: {listed(gateway, pair) for _ in range(12)} == {wanted}, wanted)


def test_keys_of_the_file_of_settings_come_and_go(gateway, conf):
    first = ACCESS_KEY, SECRET_KEY
    assert listed(gateway, first) == "InvalidAccessKeyId"
    pids = set(workers(gateway.pid))
    conf.write_text(keys(first))
    reload(gateway, "changed: credentials")
    settled(gateway, first, "ok")
    conf.write_text(keys(OTHER))
    reload(gateway, "changed: credentials")
    settled(gateway, first, "InvalidAccessKeyId")
    settled(gateway, OTHER, "ok")
    assert set(workers(gateway.pid)) == pids


def test_rules_change_for_requests_to_come_and_a_worker_that_is_replaced_has_them_too(gateway, conf):
    def put() -> str:
        return code(gateway, OTHER, lambda client: client.put_object(Bucket="bucket", Key="k", Body=b"x"))

    conf.write_text(keys(OTHER))
    reload(gateway, "changed: credentials")
    settled(gateway, OTHER, "ok")
    assert put() == "ok"
    conf.write_text(keys(OTHER) + 'read_only_buckets = ["buck*"]\n')
    reload(gateway, "changed: read_only_buckets")
    wait_for(lambda: {put() for _ in range(12)} == {"AccessDenied"}, "the refusal of writes")
    before = set(workers(gateway.pid))
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: len(workers(gateway.pid)) == 2 and not before & set(workers(gateway.pid)), "new workers")
    assert {put() for _ in range(12)} == {"AccessDenied"}


def test_what_needs_a_restart_is_said_and_stays(gateway, conf):
    conf.write_text('region = "eu-west-1"\nworkers = 5\ndurability = "none"\n' + keys(OTHER))
    reload(gateway, "changed: credentials")
    assert "a change of region, durability takes effect at the next restart" in gateway.log
    settled(gateway, OTHER, "ok")
    assert len(workers(gateway.pid)) == 2


@pytest.mark.parametrize("text", ["regoin = 1", "region = '/'", "not toml"])
def test_settings_that_are_wrong_change_nothing_and_are_told(gateway, conf, text):
    conf.write_text(keys(OTHER))
    reload(gateway, "changed: credentials")
    settled(gateway, OTHER, "ok")
    conf.write_text(text + "\n")
    reload(gateway, "the settings stay as they are")
    assert listed(gateway, OTHER) == "ok"


def test_the_level_of_the_log_changes_in_all_processes(gateway, conf):
    assert "is refused: InvalidAccessKeyId" not in gateway.log
    conf.write_text('log_level = "info,s3gate.auth=debug"\n')
    reload(gateway, "changed: log_level")
    wait_for(lambda: listed(gateway, OTHER) and "is refused: InvalidAccessKeyId" in gateway.log, "the word of a worker")


def test_a_request_under_way_is_not_cut_by_reloads(gateway, conf):
    conf.write_text("no_auth = true\n")
    reload(gateway, "changed: no_auth")
    wait_for(lambda: listed(gateway, OTHER) == "InvalidAccessKeyId", "the reload")
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=60) as client:
        client.sendall(b"PUT /bucket/slow HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20\r\n\r\n")
        for turn in range(10):
            client.sendall(b"xx")
            conf.write_text(f"no_auth = true\ngrace_secs = {turn + 1}\n")
            reload(gateway, "changed: grace_secs")
        assert client.recv(12) == b"HTTP/1.1 200"


def certificate_of(gateway: Gateway) -> bytes:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", gateway.port), timeout=60) as plain,
        context.wrap_socket(plain) as encrypted,
    ):
        found = encrypted.getpeercert(binary_form=True)
        assert found is not None
        return found


def test_a_renewed_certificate_is_shown_to_new_connections_and_old_ones_go_on(tmp_path):
    first, second, used = tmp_path / "first", tmp_path / "second", tmp_path / "used"
    for directory in (first, second, used):
        directory.mkdir()
    pairs = [tuple(map(Path, self_signed(directory))) for directory in (first, second)]
    names = used / "cert.pem", used / "key.pem"

    def use(pair: tuple[Path, ...]) -> None:
        for source, target in zip(pair, names, strict=True):
            shutil.copy(source, target)

    use(pairs[0])
    with Gateway(tmp_path / "served", tls=names) as gateway:
        shown = [ssl.PEM_cert_to_DER_cert(cert.read_text()) for cert, _ in pairs]
        assert certificate_of(gateway) == shown[0]
        with requests_in_the_background(gateway) as requests:
            wait_for(lambda: len(requests) > 20, "requests")
            use((pairs[1][0], pairs[0][1]))
            reload(gateway, "the settings stay as they are")
            assert certificate_of(gateway) == shown[0]
            use(pairs[1])
            reload(gateway, "reloading")
            wait_for(lambda: {certificate_of(gateway) for _ in range(12)} == {shown[1]}, "the new certificate")
            more = len(requests) + 20
            wait_for(lambda: len(requests) > more, "more requests")
        assert set(requests) == {"ok"}


@contextlib.contextmanager
def requests_in_the_background(gateway: Gateway) -> Iterator[list[str]]:
    """Requests one after the other on one connection, until one fails: what each ended with."""
    found: list[str] = []
    over = threading.Event()
    client = gateway.boto3()

    def load() -> None:
        while not over.is_set():
            try:
                client.list_buckets()
            except Exception as error:
                found.append(repr(error))
                return
            found.append("ok")

    thread = threading.Thread(target=load)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()
        client.close()


def test_the_log_file_is_opened_anew_when_it_was_moved_away(tmp_path):
    log = tmp_path / "s3gate.log"
    old = tmp_path / "s3gate.log.1"
    levels = "info,s3gate.auth=debug"
    with Gateway(tmp_path / "served", "--log-file", str(log), "--log-level", levels) as gateway:
        assert listed(gateway, OTHER) == "InvalidAccessKeyId"
        assert "is refused" in log.read_text()
        log.rename(old)
        os.kill(gateway.pid, signal.SIGHUP)
        wait_for(log.exists, "the new file")

        def all_write_to_the_new_one() -> bool:
            before = old.stat().st_size, log.read_text().count("is refused")
            refused = [listed(gateway, OTHER) for _ in range(12)]
            return (old.stat().st_size, log.read_text().count("is refused")) == (before[0], before[1] + len(refused))

        wait_for(all_write_to_the_new_one, "all workers to write to the new file")
        gateway.stop()
        assert "stopping" in log.read_text()
        assert "stopping" not in old.read_text()

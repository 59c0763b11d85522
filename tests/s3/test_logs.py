"""Access and audit logs of a live gateway: each request a whole line, past rotations, with several workers."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from support.certificates import self_signed
from support.fast_paths import fast_path_flags
from support.gateway import ACCESS_KEY, Gateway
from support.processes import wait_for
from support.raw_http import Connection, Request, ask
from support.signed import signed

pytestmark = pytest.mark.xdist_group("telemetry")


def lines(path: Path) -> list[dict[str, Any]]:
    """The objects of a log; each line must be whole."""
    text = path.read_text()
    assert text == "" or text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


def test_every_request_of_every_worker_is_one_line_past_rotations(tmp_path: Path):
    """The log is moved away twice under load, as logrotate does: no line is lost, none is torn, none is there twice."""
    log, audit = tmp_path / "access.log", tmp_path / "audit.log"
    ways = ("--durability", "none", "--access-log", str(log), "--audit-log", str(audit))
    asked: list[str] = []
    with Gateway(tmp_path / "data", *ways, workers=3) as gateway:
        gateway.boto3().create_bucket(Bucket="bucket")
        moments = {100: 1, 250: 2}
        guard = threading.Lock()

        def one(number: int) -> str:
            with guard:
                if number in moments:
                    log.rename(tmp_path / f"access.log.{moments[number]}")
                    os.kill(gateway.pid, signal.SIGHUP)
                    wait_for(log.exists, "the log under its name")
            answer = ask(gateway, signed(gateway, "PUT", f"/bucket/k{number}", body=b"x" * number))
            assert answer.status == 200
            return answer.headers["x-amz-request-id"]

        with ThreadPoolExecutor(6) as pool:
            asked = list(pool.map(one, range(400)))
    parts = [lines(tmp_path / name) for name in ("access.log.1", "access.log.2", "access.log")]
    told = [line for part in parts for line in part if line["operation"] == "PutObject"]
    assert sorted(line["request_id"] for line in told) == sorted(asked)
    assert {line["host_id"] for line in told} > {told[0]["host_id"]}
    assert sum(line["bytes_received"] for line in told) == sum(range(400))
    assert all(parts)
    assert audit.read_text() == ""


def test_a_line_is_there_soon_after_its_request(tmp_path: Path):
    log = tmp_path / "access.log"
    with Gateway(tmp_path / "data", "--durability", "none", "--access-log", str(log), workers=1) as gateway:
        answer = ask(gateway, signed(gateway, "GET", "/"))
        (line,) = wait_for(lambda: lines(log), "the line")
    assert line["request_id"] == answer.headers["x-amz-request-id"]
    assert line["host_id"] == answer.headers["x-amz-id-2"]
    assert (line["operation"], line["status"], line["bytes_sent"]) == ("ListBuckets", 200, len(answer.body))
    assert (line["access_key"], line["signature_version"], line["auth_type"]) == (ACCESS_KEY, "SigV4", "AuthHeader")


def test_denials_are_in_the_audit_log_and_nothing_else_is(tmp_path: Path):
    audit = tmp_path / "audit.log"
    denied: list[tuple[str, str]] = []

    def refused(code: str, work: Callable[[], Any]) -> None:
        with pytest.raises(ClientError) as error:
            work()
        assert error.value.response["Error"]["Code"] in (code, "403")
        denied.append((code, error.value.response["ResponseMetadata"]["RequestId"]))

    credentials = [("AKIDADMIN000000000001", "secretsecretsecret1")]
    ways = ("--durability", "none", "--audit-log", str(audit), "--read-only-bucket", "frozen")
    (tmp_path / "data" / "frozen").mkdir(parents=True)
    with Gateway(tmp_path / "data", *ways, credentials=credentials) as gateway:
        s3 = gateway.boto3()
        s3.create_bucket(Bucket="bucket")
        with pytest.raises(ClientError):
            s3.get_object(Bucket="bucket", Key="missing")
        refused("AccessDenied", lambda: s3.put_object(Bucket="frozen", Key="k", Body=b"x"))
        gateway.credentials = (("AKIDADMIN000000000001", "another secret"),)
        refused("SignatureDoesNotMatch", lambda: gateway.boto3().get_object(Bucket="bucket", Key="k"))
        gateway.credentials = (("AKIDNOBODY00000000001", "secretsecretsecret1"),)
        refused("InvalidAccessKeyId", lambda: gateway.boto3().head_object(Bucket="bucket", Key="k"))
        target = "/bucket/k?X-Amz-Signature=0a0b&X-Amz-Algorithm=AWS4-HMAC-SHA256"
        assert ask(gateway, Request("GET", target, {"Host": gateway.address})).status == 400
    told = sorted(lines(audit), key=lambda line: line["time"])  # each worker writes when its turn is
    assert [(line["code"], line["request_id"]) for line in told[:3]] == denied
    assert [(line["verified"], line["access_key"]) for line in told[:3]] == [
        (True, "AKIDADMIN000000000001"),
        (False, "AKIDADMIN000000000001"),
        (False, "AKID***"),  # whose it is nobody knows: it may be a token
    ]
    assert [line["action"] for line in told[:3]] == ["s3:PutObject", "s3:GetObject", "s3:GetObject"]
    assert [line["operation"] for line in told[:3]] == ["PutObject", "GetObject", "HeadObject"]
    assert {line["remote_ip"] for line in told} == {"127.0.0.1"}
    assert all(line["message"] for line in told)
    (presigned,) = told[3:]
    assert presigned["code"] == "AuthorizationQueryParametersError"
    assert "0a0b" not in audit.read_text()


def test_the_form_of_aws_goes_to_the_standard_output(tmp_path: Path):
    with Gateway(tmp_path, "--durability", "none", "--access-log", "-", "--access-log-format", "aws") as gateway:
        s3 = gateway.boto3()
        s3.create_bucket(Bucket="bucket")
        s3.put_object(Bucket="bucket", Key="a key/ü", Body=b"abc")
        s3.get_object(Bucket="bucket", Key="a key/ü", Range="bytes=0-1")["Body"].read()
        gateway.stop()
        told = re.findall(r"^[0-9a-f-]+ \S+ \[.*$", gateway.log, re.MULTILINE)
    fields = [re.findall(r'\[[^\]]*\]|"[^"]*"|\S+', line) for line in told]
    assert {len(each) for each in fields} == {27}
    made, put, got = fields
    assert (made[6], made[7], made[8]) == ("REST.PUT.BUCKET", "-", '"PUT /bucket HTTP/1.1"')
    assert (put[6], put[7], put[12]) == ("REST.PUT.OBJECT", "a%20key/%C3%BC", "3")
    assert (got[6], got[9], got[11], got[12]) == ("REST.GET.OBJECT", "206", "2", "3")


@pytest.mark.parametrize("fast", [True, False])
def test_encryption_is_told(tmp_path: Path, fast: bool):
    log = tmp_path / "access.log"
    ways = ("--durability", "none", "--access-log", str(log), *fast_path_flags(fast))
    with Gateway(tmp_path / "data", *ways, tls=self_signed(tmp_path), workers=1) as gateway:
        gateway.boto3().list_buckets()
        (line,) = wait_for(lambda: lines(log), "the line")
    assert line["tls_version"].startswith("TLSv1.")
    assert line["cipher_suite"]


def test_a_client_that_goes_away_in_the_middle_of_its_upload_is_told_without_a_status(tmp_path: Path):
    log = tmp_path / "access.log"
    with Gateway(tmp_path / "data", "--durability", "none", "--access-log", str(log), workers=1) as gateway:
        gateway.boto3().create_bucket(Bucket="bucket")
        request = signed(gateway, "PUT", "/bucket/k", body=b"x" * 1_000_000)
        with Connection(gateway) as connection:
            connection.send(request.head, request.body[:400_000])
        (line,) = wait_for(
            lambda: [each for each in lines(log) if each["operation"] == "PutObject"], "the end of the upload"
        )
    assert "status" not in line
    assert line["bytes_received"] <= 400_000


def test_spans_of_every_worker_reach_the_collector(tmp_path: Path):
    got: list[str] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            sent = ExportTraceServiceRequest.FromString(self.rfile.read(int(self.headers["content-length"])))
            got.extend(
                span.name for resource in sent.resource_spans for scope in resource.scope_spans for span in scope.spans
            )
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing is to be printed."""

    collector = ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    thread = threading.Thread(target=collector.serve_forever)
    thread.start()
    try:
        endpoint = f"http://127.0.0.1:{collector.server_port}"
        with Gateway(tmp_path, "--durability", "none", "--traces", endpoint) as gateway:
            for _ in range(20):
                assert ask(gateway, signed(gateway, "GET", "/")).status == 200
    finally:
        collector.shutdown()
        thread.join()
        collector.server_close()
    assert got == ["S3.ListBuckets"] * 20


def test_a_log_that_cannot_be_opened_is_told_at_the_start(tmp_path: Path):
    with (
        pytest.raises(AssertionError, match="access_log: cannot write to"),
        Gateway(tmp_path / "data", "--access-log", str(tmp_path / "missing" / "log")),
    ):
        pass

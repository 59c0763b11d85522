"""SIGTERM while requests are under way: they finish within the grace time, and what does not is cut cleanly."""

from __future__ import annotations

import hashlib
import http.client
import os
import signal
import socket

import pytest

from support.disk import staged
from support.files import MIB, payload
from support.gateway import Gateway
from support.processes import wait_for
from support.wire_client import answer_of, ask, begin_get, begin_put

OLD = payload(1000, seed=1)
NEW = payload(3 * MIB, seed=2)
# More than the sockets and the gateway hold for a client that does not read.
LARGE = 48 * MIB


def stop_listening(gateway: Gateway) -> None:
    """Send SIGTERM, and come back when new connections are refused."""
    os.kill(gateway.pid, signal.SIGTERM)

    def is_refused() -> bool:
        try:
            socket.create_connection(("127.0.0.1", gateway.port), timeout=5).close()
        except ConnectionRefusedError:
            return True
        return False

    wait_for(is_refused, "new connections to be refused")


def test_uploads_and_downloads_under_way_finish_after_sigterm(tmp_path):
    large = payload(LARGE, seed=3)
    with Gateway(tmp_path, "--no-auth", "--create-bucket", "bucket") as gateway:
        assert ask(gateway, "PUT", "/bucket/large", large).status == 200
        uploads = [begin_put(gateway, f"/bucket/new-{number}", len(NEW), NEW[:MIB]) for number in range(4)]
        wait_for(lambda: len(staged(tmp_path)) == len(uploads), "the stages of all uploads")
        downloads = [begin_get(gateway, "/bucket/large") for _ in range(4)]

        stop_listening(gateway)

        for upload in uploads:
            upload.send(NEW[MIB:])
            assert answer_of(upload).status == 200
        for connection, response in downloads:
            assert hashlib.sha256(response.read()).digest() == hashlib.sha256(large).digest()
            connection.close()
    with Gateway(tmp_path, "--no-auth") as again:
        for number in range(len(uploads)):
            assert ask(again, "GET", f"/bucket/new-{number}").body == NEW


def test_a_part_under_way_finishes_after_sigterm_and_its_upload_goes_on_after_the_restart(tmp_path):
    with Gateway(tmp_path, "--no-auth", "--create-bucket", "bucket") as gateway:
        s3 = gateway.boto3()
        upload = s3.create_multipart_upload(Bucket="bucket", Key="joined")["UploadId"]
        part = begin_put(gateway, f"/bucket/joined?partNumber=1&uploadId={upload}", len(NEW), NEW[:MIB])
        # its own file, or its place in the object to be
        wait_for(lambda: staged(tmp_path) or list(tmp_path.glob("*/.s3gate/mpu/*/claim-*")), "the part")

        stop_listening(gateway)

        part.send(NEW[MIB:])
        assert answer_of(part).status == 200
    with Gateway(tmp_path, "--no-auth") as again:
        (kept,) = again.boto3().list_parts(Bucket="bucket", Key="joined", UploadId=upload)["Parts"]
        parts = [{"PartNumber": 1, "ETag": kept["ETag"]}]
        again.boto3().complete_multipart_upload(
            Bucket="bucket", Key="joined", UploadId=upload, MultipartUpload={"Parts": parts}
        )
        assert ask(again, "GET", "/bucket/joined").body == NEW


def test_requests_that_outlast_the_grace_time_are_cut_and_leave_no_trace(tmp_path):
    with Gateway(tmp_path, "--no-auth", "--create-bucket", "bucket", "--grace-secs", "1") as gateway:
        assert ask(gateway, "PUT", "/bucket/object", OLD).status == 200
        assert ask(gateway, "PUT", "/bucket/large", payload(LARGE, seed=3)).status == 200
        upload = begin_put(gateway, "/bucket/object", len(NEW), NEW[: 2 * MIB])
        wait_for(lambda: staged(tmp_path), "the stage of the upload")
        connection, response = begin_get(gateway, "/bucket/large")

        gateway.stop()

        refused = answer_of(upload)
        assert (refused.status, refused.code) == (503, "ServiceUnavailable")
        with pytest.raises((http.client.HTTPException, OSError)):
            response.read()
        connection.close()
        assert staged(tmp_path) == []
        assert gateway.log.count("was cut off: the gateway stops") == 2
    with Gateway(tmp_path, "--no-auth") as again:
        assert ask(again, "GET", "/bucket/object").body == OLD

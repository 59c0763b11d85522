"""docker-registry (CNCF Distribution), which keeps images in a bucket: pushed, pulled and deleted as Docker does."""

from __future__ import annotations

import hashlib
import json
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from support.files import MIB, payload, read_tree
from support.gateway import ACCESS_KEY, REGION, SECRET_KEY, Gateway
from support.processes import wait_for
from support.programs import Program, find_program

MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
IMAGE = "team/app"
# Three of the pieces that the driver sends as parts, and a rest.
LAYER = payload(16 * MIB + 5)
CONFIG = json.dumps({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": []}}).encode()


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


class Registry(httpx.Client):
    """A registry's HTTP API, for the requests that a push and a pull are made of."""

    def begin_blob(self) -> str:
        """The URL of a new upload."""
        answer = self.post(f"/v2/{IMAGE}/blobs/uploads/")
        assert answer.status_code == 202, answer.text
        return answer.headers["location"]

    def send_piece(self, url: str, start: int, piece: bytes) -> str:
        """Send a piece of a blob; gives the URL for the next one."""
        headers = {"content-type": "application/octet-stream", "content-range": f"{start}-{start + len(piece) - 1}"}
        answer = self.patch(url, content=piece, headers=headers)
        assert answer.status_code == 202, answer.text
        return answer.headers["location"]

    def push_blob(self, content: bytes, *, pieces: int = 1) -> None:
        url = self.begin_blob()
        size = -(-len(content) // pieces)
        for start in range(0, len(content), size):
            url = self.send_piece(url, start, content[start : start + size])
        answer = self.put(f"{url}&digest={digest(content)}")
        assert (answer.status_code, answer.headers["docker-content-digest"]) == (201, digest(content)), answer.text

    def push_manifest(self, tag: str) -> bytes:
        layer = {"mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip", "size": len(LAYER)}
        config = {"mediaType": "application/vnd.docker.container.image.v1+json", "size": len(CONFIG)}
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {**config, "digest": digest(CONFIG)},
            "layers": [{**layer, "digest": digest(LAYER)}],
        }
        text = json.dumps(manifest).encode()
        answer = self.put(f"/v2/{IMAGE}/manifests/{tag}", content=text, headers={"content-type": MANIFEST})
        assert (answer.status_code, answer.headers["docker-content-digest"]) == (201, digest(text)), answer.text
        return text

    def pull_manifest(self, tag: str) -> httpx.Response:
        return self.get(f"/v2/{IMAGE}/manifests/{tag}", headers={"accept": MANIFEST})


def _configuration(gateway: Gateway, bucket: str, port: int) -> str:
    return json.dumps(  # which is YAML
        {
            "version": "0.1",
            "log": {"level": "warn", "accesslog": {"disabled": True}},
            "storage": {
                "s3": {
                    "accesskey": ACCESS_KEY,
                    "secretkey": SECRET_KEY,
                    "region": REGION,
                    "regionendpoint": gateway.endpoint,
                    "bucket": bucket,
                    "rootdirectory": "/registry",
                },
                "delete": {"enabled": True},
            },
            "http": {"addr": f"127.0.0.1:{port}"},
        }
    )


@contextmanager
def registry(gateway: Gateway, bucket: str, place: Path) -> Iterator[Registry]:
    """A registry that keeps everything in the bucket, for as long as the block lasts."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (place / "config.yml").write_text(_configuration(gateway, bucket, port))
    log = place / "registry.log"
    with log.open("ab") as output:
        command = [find_program("docker-registry"), "serve", place / "config.yml"]
        process = subprocess.Popen(command, env=gateway.environ, stdout=output, stderr=output)
    try:
        wait_for(lambda: _serves(port) or process.poll() is not None, "the registry")
        assert process.poll() is None, "the registry has ended"
        with Registry(base_url=f"http://127.0.0.1:{port}", follow_redirects=True, timeout=60, trust_env=False) as hub:
            yield hub
    except AssertionError as error:
        error.add_note(log.read_text()[-4000:])
        raise
    finally:
        process.terminate()
        process.wait(timeout=30)


def _serves(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/v2/", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.parametrize("pieces", [1, 3])
def test_an_image_is_pushed_and_pulled_also_after_a_restart(
    gateway: Gateway, made_bucket: str, tmp_path: Path, pieces: int
):
    with registry(gateway, made_bucket, tmp_path) as hub:
        hub.push_blob(LAYER, pieces=pieces)
        hub.push_blob(CONFIG)
        manifest = hub.push_manifest("v1")

    stored = read_tree(gateway.root / made_bucket / "registry/docker/registry/v2/blobs")
    assert sorted(map(digest, stored.values())) == sorted(map(digest, (LAYER, CONFIG, manifest)))
    assert gateway.boto3().list_multipart_uploads(Bucket=made_bucket).get("Uploads", []) == []

    with registry(gateway, made_bucket, tmp_path) as hub:
        answer = hub.pull_manifest("v1")
        assert (answer.status_code, answer.content) == (200, manifest)
        for content in (CONFIG, LAYER):
            blob = f"/v2/{IMAGE}/blobs/{digest(content)}"
            answer = hub.head(blob)
            assert (answer.status_code, answer.headers["content-length"]) == (200, str(len(content)))
            # The registry sends clients on to the bucket, with a presigned URL.
            answer = hub.get(blob)
            assert (answer.status_code, answer.headers["server"]) == (200, "s3gate")
            assert digest(answer.content) == digest(content)
        assert hub.get(f"/v2/{IMAGE}/tags/list").json() == {"name": IMAGE, "tags": ["v1"]}
        assert hub.get("/v2/_catalog").json() == {"repositories": [IMAGE]}


def test_a_deleted_image_is_gone_and_garbage_collection_frees_the_bucket(
    gateway: Gateway, made_bucket: str, tmp_path: Path
):
    with registry(gateway, made_bucket, tmp_path) as hub:
        hub.push_blob(LAYER)
        hub.push_blob(CONFIG)
        manifest = hub.push_manifest("v1")
        assert hub.delete(f"/v2/{IMAGE}/manifests/{digest(manifest)}").status_code == 202
        assert hub.pull_manifest("v1").status_code == 404

    collect = Program([find_program("docker-registry"), "garbage-collect", tmp_path / "config.yml"], gateway.environ)
    assert b"3 blobs and 0 manifests eligible for deletion" in collect()

    assert read_tree(gateway.root / made_bucket / "registry/docker/registry/v2/blobs") == {}


def test_an_upload_that_is_cancelled_leaves_none_of_its_data(gateway: Gateway, made_bucket: str, tmp_path: Path):
    with registry(gateway, made_bucket, tmp_path) as hub:
        url = hub.send_piece(hub.begin_blob(), 0, LAYER[: 6 * MIB])
        assert len(gateway.boto3().list_multipart_uploads(Bucket=made_bucket)["Uploads"]) == 1
        assert hub.delete(url).status_code == 204

    assert "Uploads" not in gateway.boto3().list_multipart_uploads(Bucket=made_bucket)
    # The registry itself writes the state of its hash once more after it has removed all it had of the upload.
    assert {Path(name).parts[-3] for name in read_tree(gateway.root / made_bucket)} == {"hashstates"}

"""The application as a whole: probes, life cycle, reload."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from s3gate.core.errors import S3Error
from s3gate.server.addressing import Addressing
from s3gate.server.app import create_app
from s3gate.settings import Settings
from s3gate.storage.memory import MemoryBackend
from support.asgi import Credentials, ask_once, sample_gateway

PROBES = ["/healthz", "/readyz", "/minio/health/live", "/minio/health/ready"]


class Broken(MemoryBackend):
    """A store that cannot be asked."""

    def __init__(self, fault: Exception) -> None:
        super().__init__()
        self.fault = fault
        self.stopped = 0

    async def list_buckets(self) -> Any:
        raise self.fault

    async def stop(self) -> None:
        self.stopped += 1


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", PROBES)
def test_a_probe_needs_no_credentials(path: str, method: str) -> None:
    assert ask_once(sample_gateway(open_access=False), method, path).status == 200


@pytest.mark.parametrize("fault", [S3Error("InternalError"), OSError("secret detail")])
def test_a_store_that_does_not_answer_is_alive_but_not_ready(fault: Exception) -> None:
    gateway = sample_gateway(storage=Broken(fault))
    assert ask_once(gateway, "GET", "/healthz").status == 200
    answer = ask_once(gateway, "GET", "/readyz", bucket="")
    assert answer.status == 503
    assert "secret" not in answer.text


@pytest.mark.parametrize(
    ("method", "path", "host"),
    [
        ("PUT", "/healthz", "127.0.0.1"),
        ("GET", "/healthz/", "127.0.0.1"),
        ("GET", "/healthz/key", "127.0.0.1"),
        ("GET", "/healthz?acl", "127.0.0.1"),
        ("GET", "/healthz", "bucket.localhost"),
        ("GET", "/minio/health/live/", "127.0.0.1"),
    ],
)
def test_what_is_not_exactly_a_probe_is_a_request_to_s3(method: str, path: str, host: str) -> None:
    gateway = sample_gateway(open_access=False, addressing=Addressing(("localhost",)))
    answer = ask_once(gateway, method, path, {"host": host})
    assert answer.status >= 400
    assert "x-amz-request-id" in answer.headers


def lifespan(app: Any, seconds: float = 0.0) -> list[str]:
    """Start and stop an application; gives what it answered."""

    async def run() -> list[str]:
        answers: list[str] = []
        asked = iter(["lifespan.startup", "lifespan.shutdown"])

        async def receive() -> dict[str, Any]:
            if answers:
                await asyncio.sleep(seconds)
            return {"type": next(asked)}

        async def send(message: Any) -> None:
            answers.append(message["type"])

        await app({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, receive, send)
        return answers

    return asyncio.run(run())


def test_the_store_is_started_and_stopped_with_the_application() -> None:
    storage = Broken(OSError())
    answers = lifespan(create_app(sample_gateway(storage=storage)))
    assert answers == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert storage.stopped == 1


def test_credentials_are_looked_at_again_and_again_also_after_a_fault() -> None:
    class Faulty(Credentials):
        async def refresh(self) -> bool:
            await super().refresh()
            raise OSError("gone")

    credentials = Faulty()
    lifespan(create_app(sample_gateway(credentials=credentials, refresh_seconds=0.001)), seconds=0.5)
    assert credentials.refreshed > 1


def test_reload_reads_the_credentials_at_once() -> None:
    credentials = Credentials()
    create_app(sample_gateway(credentials=credentials)).reload(Settings())
    assert credentials.reloaded == 1

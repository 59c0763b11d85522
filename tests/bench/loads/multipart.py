"""An object uploaded in parts, from CreateMultipartUpload to CompleteMultipartUpload."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from bench.loads.load import Load, Target, Unit, object_path
from bench.replay import Outcome, Unfit
from bench.signing import Request
from bench.sizes import size_name

__all__ = ["Multipart", "complete", "send_parts"]

_PART = 8 << 20
_CONNECTIONS = 8


@dataclass(frozen=True)
class Multipart(Load):
    """One upload in parts of 8 MiB."""

    name: str
    size: int
    unit: Unit = "sent"
    writes = True
    s3 = True

    @property
    def title(self) -> str:
        return f"multipart PUT {size_name(self.size)} in parts of {size_name(_PART)}, {_CONNECTIONS} connections"

    def prepare(self, target: Target) -> str:
        self._upload(target)
        target.expect_object(self._path, self.size)
        return ""

    def begin(self, target: Target) -> Callable[[], Outcome]:
        return lambda: self._upload(target)

    def clean(self, target: Target) -> None:
        target.delete(self._path)

    def _upload(self, target: Target) -> Outcome:
        begin = time.monotonic()
        outcome, completion = send_parts(target, self._path, self.size, _PART)
        complete(target, completion)
        return replace(outcome, requests=1, seconds=time.monotonic() - begin)

    @property
    def _path(self) -> str:
        return object_path(self.name)


def send_parts(target: Target, path: str, size: int, part_size: int) -> tuple[Outcome, Request]:
    """Begin an upload and send all of its parts; gives what that cost, and the request that completes it."""
    created = target.expect(Request("POST", path, "uploads="))
    found = re.search(rb"<UploadId>([^<]+)</UploadId>", created.body)
    if not found:
        raise Unfit(f"CreateMultipartUpload is answered by {created.excerpt}")
    upload = found[1].decode().replace("=", "%3D").replace("+", "%2B").replace("/", "%2F")
    sizes = [min(part_size, size - start) for start in range(0, size, part_size)]
    requests = (
        Request("PUT", path, f"partNumber={number}&uploadId={upload}", filler=each)
        for number, each in enumerate(sizes, 1)
    )
    port = target.server.place.port
    script = target.client.script(requests, port)
    outcome, etags = target.client.run_for_etags(script, port, connections=_CONNECTIONS)
    parts = "".join(
        f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>" for number, etag in enumerate(etags, 1)
    )
    document = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()
    return outcome, Request("POST", path, f"uploadId={upload}", body=document)


def complete(target: Target, completion: Request) -> None:
    """Send the request that completes an upload; Unfit unless it succeeds."""
    done = target.expect(completion)
    if b"<ETag>" not in done.body:
        raise Unfit(f"CompleteMultipartUpload is answered by {done.excerpt}")

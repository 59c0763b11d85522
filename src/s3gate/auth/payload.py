"""How the body of a request is encoded: the interface between authentication and whoever reads the body."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import msgspec

from s3gate.core.checksums import Buffer

__all__ = ["Decoder", "Payload"]


class Decoder(Protocol):
    """A push decoder: bytes of the wire in, bytes of the object out. Holds no more than one header line.

    Not bound to a thread or a loop: the caller may feed it from a worker thread, one call at a time, in order.
    """

    def feed(self, data: Buffer) -> list[Buffer]:
        """Decode the next bytes of the body; raises S3Error at the first byte that is wrong."""

    def finish(self) -> Mapping[str, str]:
        """The body has ended: raise S3Error unless it is whole and as signed; gives the trailing headers by name."""


class Payload(msgspec.Struct, frozen=True):
    """The body of an authenticated request.

    `decoded_length` is the number of bytes after decoding (None when the request does not say). `trailers` are the
    names announced in x-amz-trailer. `new_decoder` makes a decoder for one pass over the body.
    """

    new_decoder: Callable[[], Decoder]
    decoded_length: int | None
    trailers: frozenset[str] = frozenset()

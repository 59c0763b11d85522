"""The target of an HTTP request, taken apart."""

from __future__ import annotations

from urllib.parse import unquote

import httptools

__all__ = ["split_target"]


def split_target(url: bytes) -> tuple[str, bytes, bytes]:
    """Path as text, percent-decoded, path as sent, and query: `path`, `raw_path` and `query_string` of ASGI.

    Raises what the parser of URLs or of ASCII raises where it is no target: the connection refuses the request.
    """
    if url[:1] == b"/" and url.isascii():  # the origin form (RFC 9112 section 3.2.1), as good as always
        raw_path, _, query = url.partition(b"?")
    else:
        parsed = httptools.parse_url(url)
        raw_path, query = parsed.path, parsed.query or b""
    path = raw_path.decode("ascii")
    return unquote(path) if "%" in path else path, raw_path, query

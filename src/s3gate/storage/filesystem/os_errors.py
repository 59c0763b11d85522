"""The one seam where an error of the operating system becomes an error of S3."""

from __future__ import annotations

import errno
import functools
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn, ParamSpec, TypeVar

from s3gate.core.errors import S3Error

__all__ = ["blocking_seam", "raise_translated", "seam", "translate"]

_P = ParamSpec("_P")
_T = TypeVar("_T")

_CODES = {
    errno.ENOSPC: "InsufficientStorage",
    errno.EDQUOT: "InsufficientStorage",
    errno.EFBIG: "EntityTooLarge",
    errno.EACCES: "AccessDenied",
    errno.EPERM: "AccessDenied",
    errno.EROFS: "AccessDenied",
    errno.ELOOP: "AccessDenied",
    errno.EXDEV: "AccessDenied",
    errno.ENAMETOOLONG: "KeyTooLongError",
    errno.EMFILE: "SlowDown",
    errno.ENFILE: "SlowDown",
    errno.ENOLCK: "SlowDown",
}


def translate(error: OSError) -> S3Error | None:
    """The S3 error a client gets for an OSError, or None where only InternalError is left to say."""
    code = _CODES.get(error.errno or 0)
    return S3Error(code) if code else None


def raise_translated(error: OSError) -> NoReturn:
    """Raise the S3 error for an OSError, or itself where there is none."""
    known = translate(error)
    if known is None:
        raise error
    raise known from error


def blocking_seam(method: Callable[_P, _T]) -> Callable[_P, Coroutine[Any, Any, _T]]:
    """The same for a method whose work is over in microseconds and waits for nothing."""

    @functools.wraps(method)
    async def wrapped(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        try:
            return method(*args, **kwargs)
        except OSError as error:
            raise_translated(error)

    return wrapped


def seam(method: Callable[_P, Coroutine[Any, Any, _T]]) -> Callable[_P, Coroutine[Any, Any, _T]]:
    """Wrap a method of the backend so that no OSError with a meaning in S3 leaves it as an OSError."""

    @functools.wraps(method)
    async def wrapped(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        try:
            return await method(*args, **kwargs)
        except OSError as error:
            raise_translated(error)

    return wrapped

"""Which operation a request asks for: a table that is built once and has no order in it.

An operation matches when the request names exactly its sub-resources (`?acl`) and at least its selectors (`uploadId`,
`x-amz-copy-source`); the one with most selectors wins. What a request names and no operation knows is refused, never
run as the operation that is left when it is ignored: `DELETE /b?analytics` must not delete the bucket.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property, lru_cache
from types import ModuleType
from typing import Any, get_type_hints

from s3gate.core.errors import S3Error
from s3gate.operations.binding import METADATA_PREFIX, Binder
from s3gate.operations.result import Result

__all__ = ["AUTH_QUERIES", "Handler", "Level", "Operation", "RouteConflict", "Routes", "declare", "operation"]


class Level(StrEnum):
    """What the path of a request names."""

    SERVICE = "service"
    BUCKET = "bucket"
    OBJECT = "object"


class RouteConflict(Exception):
    """Two operations claim the same requests."""


Handler = Callable[[Any, Any], Awaitable[Result]]

MUTATING = frozenset({"PUT", "POST", "DELETE"})

# Parameters that belong to the authentication of a request, by lower-case name.
AUTH_QUERIES = frozenset(
    {
        "x-amz-algorithm",
        "x-amz-credential",
        "x-amz-date",
        "x-amz-expires",
        "x-amz-signedheaders",
        "x-amz-signature",
        "x-amz-security-token",
        "x-amz-content-sha256",
        "awsaccesskeyid",
        "signature",
        "expires",
    }
)
# Parameters that change nothing: the AWS SDKs add the operation's name as x-id, and botocore repeats two headers in
# URLs that it presigns with Signature Version 2, which signs the headers and not the parameters.
_HARMLESS_QUERIES = AUTH_QUERIES | {"x-id", "content-type", "content-md5"}
# Headers of every request, which change nothing of what a write does or are checked for all operations in one place.
_HARMLESS_HEADERS = frozenset(
    {
        "x-amz-date",
        "x-amz-content-sha256",
        "x-amz-security-token",
        "x-amz-user-agent",
        "x-amz-api-version",  # the AWS SDK for C++ names the version of its model
        "x-amz-sdk-checksum-algorithm",
        "x-amz-trailer",
        "x-amz-decoded-content-length",
        "x-amz-expected-bucket-owner",
        "x-amz-request-payer",
        "x-amz-id-2",
        "x-amz-cf-id",
    }
)
_DECISIONS = 512  # how many are kept
_FEW_NAMES = 64  # of parameters and headers; where there are more nothing is kept, for each name takes memory
_CHECKSUM_PREFIX = "x-amz-checksum-"


@dataclass(frozen=True)
class Operation:
    """An S3 operation as data.

    `queries` and `headers` are all the names it knows, `prefixes` those of families of headers. `finds_bucket` tells
    whether its bucket must be there before it runs. `version_action` is the permission that it takes instead of
    `action` when the request names a version. `implemented` is false for one that only answers NotImplemented.
    """

    name: str
    method: str
    level: Level
    subresources: frozenset[str]
    selectors: frozenset[str]
    action: str
    handler: Handler
    args: type
    binder: Binder
    queries: frozenset[str]
    headers: frozenset[str]
    prefixes: tuple[str, ...]
    version_action: str = ""
    implemented: bool = True

    @cached_property
    def needs_queries(self) -> frozenset[str]:
        """The selectors that are query parameters."""
        return frozenset(name for name in self.selectors if not _is_header(name))

    @cached_property
    def needs_headers(self) -> frozenset[str]:
        """The selectors that are headers."""
        return frozenset(name for name in self.selectors if _is_header(name))

    def permission(self, query: Mapping[str, str]) -> str:
        """The action that a request with these parameters takes."""
        return self.version_action if self.version_action and "versionId" in query else self.action

    @cached_property
    def finds_bucket(self) -> bool:
        """Whether the bucket that the path names must exist."""
        return self.level is not Level.SERVICE and self.name != "CreateBucket"

    def check_known(self, query: Mapping[str, object], headers: Collection[str]) -> None:
        """Raise NotImplemented for a parameter or header that may change what this operation should do.

        Of the parameters it counts which have a value, of the headers their names alone. A write refuses every
        parameter and every x-amz-* header that it does not know. A read refuses an unknown sub-resource (a parameter
        without value) and ignores the rest, as AWS does.
        """
        mutating = self.method in MUTATING
        for name, value in query.items():
            if name not in self.queries and (mutating or not value):
                _check_query(name, headers)
        if not mutating:
            return
        for name in headers:
            if name.startswith("x-amz-") and name not in self.headers and not name.startswith(self.prefixes):
                raise S3Error(
                    "NotImplemented",
                    Header=name,
                    additionalMessage=f"{self.name} does not know this header here.",
                )


def _check_query(name: str, headers: Collection[str]) -> None:
    lowered = name.lower()
    # The x-amz-* parameters of a presigned request stand for headers, and are among the headers by now.
    if lowered not in _HARMLESS_QUERIES and not (lowered.startswith("x-amz-") and lowered in headers):
        raise S3Error(
            "NotImplemented",
            f"A query parameter you provided implies functionality that is not implemented: {name}",
            ResourceType=name,
        )


def _is_header(name: str) -> bool:
    return name.startswith("x-amz-")


def declare(
    name: str,
    route: str,
    *,
    level: Level,
    handler: Handler,
    args: type,
    needs: Iterable[str] = (),
    action: str = "",
    version_action: str = "",
    reads: Iterable[str] = (),
    implemented: bool = True,
) -> Operation:
    """An `Operation` from its parts; `route` is as `PUT ?tagging`, the rest as in `operation`."""
    method, _, query = route.partition(" ?")
    subresources = frozenset(filter(None, query.split("&")))
    selectors, read = frozenset(needs), frozenset(reads)
    binder = Binder(args)
    prefixes = [item[:-1] for item in read if item.endswith("*")]
    if binder.metadata:
        prefixes.append(METADATA_PREFIX)
    if binder.document is not None and binder.document[2].checksums:
        prefixes.append(_CHECKSUM_PREFIX)
    return Operation(
        name=name,
        method=method,
        level=level,
        subresources=subresources,
        selectors=selectors,
        action=action or f"s3:{name}",
        handler=handler,
        args=args,
        binder=binder,
        queries=subresources | {name for name in selectors | read if not _is_header(name)} | binder.queries,
        headers=_HARMLESS_HEADERS | {name for name in selectors | read if _is_header(name)} | binder.headers,
        prefixes=tuple(prefixes),
        version_action=version_action,
        implemented=implemented,
    )


def operation(
    route: str,
    *,
    level: Level,
    needs: Iterable[str] = (),
    action: str = "",
    version_action: str = "",
    reads: Iterable[str] = (),
) -> Callable[[Handler], Operation]:
    """Turn an async function `(call, args) -> Result` into an `Operation` named after it.

    Args:
        route: method and sub-resources: `PUT ?tagging`.
        level: what the path names.
        needs: selectors, the query parameters and x-amz-* headers that must be there.
        action: the permission it takes; `s3:` and its name by default.
        version_action: the permission it takes instead where the request has a `versionId`; the same by default.
        reads: parameters and headers that the function reads from `call.wire` itself, beside those of its arguments;
            `x-amz-checksum-*` stands for every header that begins so. Arguments with a document imply that one.
    """

    def decorate(handler: Handler) -> Operation:
        name = "".join(word.title() for word in handler.__name__.split("_"))
        args = get_type_hints(handler)[list(inspect.signature(handler).parameters)[1]]
        return declare(
            name,
            route,
            level=level,
            handler=handler,
            args=args,
            needs=needs,
            action=action,
            version_action=version_action,
            reads=reads,
        )

    return decorate


Place = tuple[str, Level, frozenset[str]]


class Routes:
    """All operations. Two that claim the same requests raise RouteConflict when the table is built."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        self.operations = tuple(operations)
        self.subresources: frozenset[str] = frozenset().union(*(op.subresources for op in self.operations))
        self._table: dict[Place, list[Operation]] = {}
        for op in self.operations:
            rivals = self._table.setdefault((op.method, op.level, op.subresources), [])
            if any(rival.selectors == op.selectors for rival in rivals):
                raise RouteConflict(f"{op.name} claims the requests of another operation")
            rivals.append(op)
            rivals.sort(key=lambda rival: len(rival.selectors), reverse=True)
        # A client sends the same names with every request of a kind.
        self._decided = lru_cache(maxsize=_DECISIONS)(self._decide)

    @classmethod
    def of(cls, *modules: ModuleType) -> Routes:
        """The operations that the modules hold, one by one or as tuples."""
        found = (op for module in modules for value in vars(module).values() for op in _operations(value))
        return cls({id(op): op for op in found}.values())

    def match(self, method: str, level: Level, query: Mapping[str, str], headers: Mapping[str, str]) -> Operation:
        """The operation that a request asks for, else S3Error: MethodNotAllowed, NotImplemented or InvalidArgument."""
        has_value = tuple([(name, bool(value)) for name, value in query.items()]) if query else ()
        decide = self._decided if len(has_value) + len(headers) <= _FEW_NAMES else self._decide
        op = decide(method, level, has_value, tuple(headers))
        if op is None:
            if method == "OPTIONS":
                raise _preflight_refusal(level, headers)
            raise self._refusal(method, level, self.subresources.intersection(query))
        return op

    def _decide(
        self, method: str, level: Level, has_value: tuple[tuple[str, bool], ...], headers: tuple[str, ...]
    ) -> Operation | None:
        """The operation by all that decides it: names, and which parameters have a value."""
        query = dict(has_value)
        for op in self._table.get((method, level, self.subresources.intersection(query)), ()):
            if op.needs_queries <= query.keys() and op.needs_headers.issubset(headers):
                if op.implemented:
                    op.check_known(query, headers)
                return op
        return None

    def _refusal(self, method: str, level: Level, named: frozenset[str]) -> S3Error:
        if len(named) > 1:
            first, *_ = names = sorted(named)
            return S3Error(
                "InvalidArgument",
                f"Conflicting query string parameters: {', '.join(names)}",
                ArgumentName="ResourceType",
                ArgumentValue=first,
            )
        kind = next(iter(named)).upper() if named else level.name
        if (method, level) == ("POST", Level.BUCKET) and not named:
            return S3Error("NotImplemented", "Uploads by HTML form (POST Object) are not implemented.")
        allowed = sorted(m for m, where, subresources in self._table if (where, subresources) == (level, named))
        if method in allowed and named:
            return S3Error(
                "InvalidArgument",
                "Missing required parameter for this request",
                ArgumentName="ResourceType",
                ArgumentValue=next(iter(named)),
            )
        if named and not allowed:
            return S3Error(
                "NotImplemented",
                f"The sub-resource {next(iter(named))} is not implemented for this kind of resource.",
                ResourceType=kind,
            )
        headers = {"allow": ", ".join(allowed)} if allowed else None
        return S3Error("MethodNotAllowed", headers=headers, Method=method, ResourceType=kind)


def _operations(value: object) -> Iterator[Operation]:
    if isinstance(value, Operation):
        yield value
    elif isinstance(value, tuple):
        yield from (item for item in value if isinstance(item, Operation))


def _preflight_refusal(level: Level, headers: Mapping[str, str]) -> S3Error:
    """What AWS answers to a preflight request (OPTIONS object) where no CORS configuration is."""
    if "origin" not in headers:
        return S3Error("BadRequest", "Insufficient information. Origin request header needed.")
    method = headers.get("access-control-request-method")
    if method is None:
        return S3Error("BadRequest", "Invalid Access-Control-Request-Method: null")
    return S3Error("AccessForbidden", Method=method, ResourceType=level.name)

"""May they: the decision whether a caller may do an action, from values alone."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

from s3gate.core.errors import S3Error
from s3gate.core.values import Bucket
from s3gate.identity.model import ROOT, Caller

__all__ = ["OPEN", "Protection", "acting", "authorize", "is_read"]

# Whom the anonymous caller acts as when the gateway asks for no credentials.
OPEN = Caller(ROOT, policy="admin")

_READS = ("s3:Get", "s3:List", "s3:Head", "s3:Select")
_LIST_BUCKETS = "s3:ListAllMyBuckets"
_OF_BUCKETS = ("s3:CreateBucket", "s3:DeleteBucket")


@dataclass(frozen=True, slots=True)
class Protection:
    """What nobody may change, whatever their policy.

    `read_only`: anything at all. `read_only_buckets`: the buckets whose names match one of these patterns (`*` is any
    text, `?` a character): nothing in them, and they are neither made nor removed. `fixed_buckets`: no bucket is made
    or removed.
    """

    read_only: bool = False
    read_only_buckets: tuple[str, ...] = ()
    fixed_buckets: bool = False
    _protects: Callable[[str], bool] | None = field(init=False, repr=False, compare=False, default=None)

    def __post_init__(self) -> None:
        """Make the patterns ready to be asked with each write."""
        if self.read_only_buckets:
            matcher = re.compile("|".join(map(fnmatch.translate, self.read_only_buckets)))
            known = lru_cache(maxsize=4096)(lambda name: matcher.match(name) is not None)
            object.__setattr__(self, "_protects", known)  # the way of the dataclasses module for a frozen class

    def forbids(self, action: str, bucket: str) -> bool:
        """Whether nobody may do `action`, which is no read, in or to the bucket of this name."""
        return (
            self.read_only
            or (self.fixed_buckets and action in _OF_BUCKETS)
            or (self._protects is not None and self._protects(bucket))
        )


_UNPROTECTED = Protection()


@lru_cache(maxsize=256)
def is_read(action: str) -> bool:
    """Whether an action (as `s3:GetObject`) changes nothing. What is not known to be a read counts as a write."""
    return action.startswith(_READS)


def acting(caller: Caller, *, open_access: bool) -> Caller:
    """Who acts in a request of `caller`: with `open_access` the anonymous caller is the administrator."""
    return OPEN if open_access and caller.anonymous else caller


def authorize(
    caller: Caller,
    action: str,
    bucket: Bucket | None,
    key: str = "",
    *,
    name: str = "",
    protection: Protection = _UNPROTECTED,
) -> None:
    """Raise AccessDenied unless `caller` may do `action`.

    `bucket` is None where no bucket is concerned yet; `name` is then that of the one that is to be made, if any.

    `protection` denies writes to everyone. The anonymous caller may nothing. `admin` may everything; the other
    policies hold inside the buckets of the caller's own account: `readonly` for reads, `writeonly` for writes,
    `readwrite` for both. Every caller with credentials may list the buckets of its account.
    """
    del key  # a policy of today says nothing about single keys
    reads = is_read(action)
    if caller.anonymous or (not reads and protection.forbids(action, name if bucket is None else bucket.name)):
        raise S3Error("AccessDenied")
    if caller.policy == "admin" or action == _LIST_BUCKETS:
        return
    allowed = caller.policy == "readwrite" or caller.policy == ("readonly" if reads else "writeonly")
    if not allowed or (bucket is not None and bucket.owner.id != caller.owner.id):
        raise S3Error("AccessDenied")

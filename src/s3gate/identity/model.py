"""Users, their access keys, and the caller of a request."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Literal, get_args

import msgspec

from s3gate.core.values import Owner

__all__ = ["ANONYMOUS", "POLICIES", "ROOT", "SHOWN_CHARACTERS", "Caller", "Credential", "Policy", "canonical_id"]

Policy = Literal["readonly", "readwrite", "writeonly", "admin"]
POLICIES: tuple[str, ...] = get_args(Policy)

SHOWN_CHARACTERS = 4  # characters of a token


def canonical_id(name: str) -> str:
    """A canonical user id (64 hex digits, as AWS's are) that stays the same for a name."""
    return hashlib.sha256(f"s3gate:{name}".encode()).hexdigest()


# The account that owns what no other account owns: directories that were there before, and the buckets of every
# credential that names no user of its own.
ROOT = Owner(canonical_id("root"), "s3gate")


class Caller(msgspec.Struct, frozen=True):
    """Who makes a request: an owner with a policy.

    `access_key` is that of the credential as it may be logged ("" for the anonymous caller).
    """

    owner: Owner
    policy: Policy
    access_key: str = ""
    anonymous: bool = False


@dataclass(frozen=True, slots=True)
class Credential:
    """An access key of a user. `created_ns` is nanoseconds since 1970.

    Where access key and secret key are the same it is a token: whoever sees the access key has both.
    """

    access_key: str
    secret_key: str = field(repr=False)
    created_ns: int = 0
    enabled: bool = True
    description: str = ""
    owner: Owner = ROOT
    email: str = ""
    policy: Policy = "readwrite"

    caller: Caller = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Make the caller that every request with this key has."""
        caller = Caller(self.owner, self.policy, self.shown_key)
        object.__setattr__(self, "caller", caller)  # the way of the dataclasses module for a frozen class

    @property
    def is_token(self) -> bool:
        """Whether access key and secret key are the same."""
        return self.access_key == self.secret_key

    @property
    def shown_key(self) -> str:
        """The access key as it may be shown and logged: of a token the beginning alone."""
        return f"{self.access_key[:SHOWN_CHARACTERS]}***" if self.access_key == self.secret_key else self.access_key


# AWS's canonical id of requests without credentials.
ANONYMOUS = Caller(Owner("65a011a29cdf8ec533ec3d1ccaae921c", "anonymous"), policy="readonly", anonymous=True)

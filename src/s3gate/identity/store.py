"""What the gateway asks of a place that keeps credentials."""

from __future__ import annotations

from typing import Protocol

from s3gate.identity.model import SHOWN_CHARACTERS, Credential

__all__ = ["CredentialStore", "shown_key"]


class CredentialStore(Protocol):
    """Looks up access keys. A look-up never waits for a disk: a store keeps its credentials in memory."""

    def find(self, access_key: str) -> Credential | None:
        """The credential of this access key, enabled or not, or None."""


def shown_key(store: CredentialStore, access_key: str) -> str:
    """An access key that somebody names, as it may be logged: in part, if nobody has it."""
    credential = store.find(access_key)
    if credential is not None:
        return credential.shown_key
    return f"{access_key[:SHOWN_CHARACTERS]}***" if access_key else ""

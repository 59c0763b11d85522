"""What the gateway asks of a place that keeps credentials."""

from __future__ import annotations

from typing import Protocol

from s3gate.identity.model import Credential

__all__ = ["CredentialStore"]


class CredentialStore(Protocol):
    """Looks up access keys. A look-up never waits for a disk: a store keeps its credentials in memory."""

    def find(self, access_key: str) -> Credential | None:
        """The credential of this access key, enabled or not, or None."""

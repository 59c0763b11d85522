"""Everything that a request is served with, put together once for each worker."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from s3gate.auth.authenticate import AuthRules
from s3gate.identity.store import CredentialStore
from s3gate.operations.call import Rules
from s3gate.operations.registry import Routes
from s3gate.server.addressing import Addressing
from s3gate.storage.backend import Backend

__all__ = ["Gateway", "ReloadableCredentials"]


class ReloadableCredentials(CredentialStore, Protocol):
    """A credential store that follows changes made from outside."""

    async def refresh(self) -> bool:
        """Look whether the credentials have changed and read them if so, without holding up the event loop."""

    def reload(self) -> bool:
        """Read the credentials at once; may wait for a disk."""


@dataclass(frozen=True, slots=True)
class Gateway:
    """A store, who may use it, and by which rules.

    `open_access`: requests without credentials act as the administrator. `read_only`: every write is denied.
    `refresh_seconds`: how often the credentials are looked at for changes. `sweep_seconds`: how often the store
    is swept; 0 for never. `hashes_foreign_files`: files of other programs get the MD5 of their contents as ETag.
    """

    routes: Routes
    storage: Backend
    credentials: ReloadableCredentials
    auth_rules: AuthRules
    addressing: Addressing = field(default_factory=Addressing)
    rules: Rules = field(default_factory=Rules)
    open_access: bool = False
    read_only: bool = False
    refresh_seconds: float = 30.0
    sweep_seconds: float = 0.0
    hashes_foreign_files: bool = False

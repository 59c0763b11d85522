"""Everything that a request is served with, put together once for each worker."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from s3gate.access.authorize import Protection
from s3gate.auth.authenticate import AuthRules
from s3gate.identity.model import Credential
from s3gate.identity.store import CredentialStore
from s3gate.operations.call import Rules
from s3gate.operations.registry import Routes
from s3gate.server.addressing import Addressing
from s3gate.server.body import BATCH_BYTES
from s3gate.server.forwarded import Forwarded
from s3gate.server.metrics import MetricsAccess
from s3gate.server.rate_limits import RateLimits
from s3gate.storage.backend import Backend
from s3gate.telemetry.telemetry import Telemetry

__all__ = ["Gateway", "ReloadableCredentials"]


class ReloadableCredentials(CredentialStore, Protocol):
    """A credential store that follows changes made from outside."""

    async def refresh(self) -> bool:
        """Look whether the credentials have changed and read them if so, without holding up the event loop."""

    def reload(self, extra: Sequence[Credential] | None = None) -> bool:
        """Read the credentials at once, with these fixed ones beside if they are given; may wait for a disk."""


@dataclass(frozen=True, slots=True)
class Gateway:
    """A store, who may use it, and by which rules.

    `open_access`: requests without credentials act as the administrator. `protection`: writes that are denied to
    everyone.
    `batch_bytes`: how much of a body is gathered in memory before it goes to the store.
    `refresh_seconds`: how often the credentials are looked at for changes. `sweep_seconds`: how often the store
    is swept; 0 for never. `hashes_foreign_files`: files of other programs get the MD5 of their contents as ETag.
    `limits`: how many requests are taken, `forwarded`: which proxies may say who the client is; None for all, for none.
    `telemetry`: what is told of the requests. `metrics_access`: who may read its page. `scan_seconds`: how often the
    buckets are looked through for what they hold; 0 for never.
    """

    routes: Routes
    storage: Backend
    credentials: ReloadableCredentials
    auth_rules: AuthRules
    addressing: Addressing = field(default_factory=Addressing)
    rules: Rules = field(default_factory=Rules)
    open_access: bool = False
    protection: Protection = field(default_factory=Protection)
    batch_bytes: int = BATCH_BYTES
    limits: RateLimits | None = None
    forwarded: Forwarded | None = None
    refresh_seconds: float = 30.0
    sweep_seconds: float = 0.0
    hashes_foreign_files: bool = False
    telemetry: Telemetry = field(default_factory=Telemetry)
    metrics_access: MetricsAccess = "off"
    scan_seconds: float = 0.0

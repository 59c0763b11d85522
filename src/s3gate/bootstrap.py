"""The composition root: from settings to a store that was tried and an application that serves it."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from s3gate.access.authorize import Protection
from s3gate.auth.authenticate import AuthRules
from s3gate.config import Settings
from s3gate.core.errors import S3Error
from s3gate.core.observation import UNOBSERVED, StoreObserver
from s3gate.identity.file_store import FileCredentialStore
from s3gate.identity.model import ROOT
from s3gate.identity.store import shown_key
from s3gate.operations import ROUTES
from s3gate.operations.call import Rules
from s3gate.server.addressing import Addressing
from s3gate.server.app import App, create_app
from s3gate.server.forwarded import Forwarded
from s3gate.server.gateway import Gateway
from s3gate.server.rate_limits import RateLimits, Table
from s3gate.storage.backend import Backend, StartError
from s3gate.storage.filesystem.backend import FilesystemBackend
from s3gate.storage.filesystem.cold_backend import ColdDiskBackend
from s3gate.storage.filesystem.mounts import mount_at
from s3gate.storage.filesystem.probe import require_exact_names, require_locks, require_safe_links
from s3gate.telemetry import assembly as telemetry
from s3gate.telemetry.assembly import TelemetryError, TelemetryOptions
from s3gate.telemetry.board import Board

__all__ = ["make_app", "make_board", "open_storage", "prepare"]

_log = logging.getLogger(__name__)

_NOWHERE: Mapping[str, str] = {}
_THERE = ("BucketAlreadyOwnedByYou", "BucketAlreadyExists")


def prepare(settings: Settings) -> None:
    """Make the data directory and the buckets of `create_buckets` where they are missing, and try the store.

    Runs once, in the parent, before workers are forked: what is wrong is said once, and nothing it opens is inherited.
    Raises StartError, which tells the remedy.
    """
    if settings.symlinks == "inside":
        require_safe_links()
    try:
        telemetry.check(_telemetry_options(settings))
    except TelemetryError as error:
        raise StartError(str(error)) from error
    if not settings.read_only:
        try:
            os.makedirs(settings.data_dir, exist_ok=True)
        except OSError as error:
            raise StartError(
                f"Cannot make the data directory {settings.data_dir}: {error.strerror or error}. "
                "Name one that can be written, as in: s3gate serve DIR."
            ) from error
        require_locks(settings.data_dir, setting=settings.locks, workers=settings.worker_count)
        require_exact_names(settings.data_dir)
        _warn_of_mount(settings.data_dir)
    asyncio.run(_try_store(open_storage(settings), settings))


def _warn_of_mount(directory: str) -> None:
    mount = mount_at(directory)
    if mount is not None and mount.remembers_names:
        _log.warning(
            "%s is %s: while gateways on several machines write to it, one may take for missing what another has just "
            "made. Mount it with actimeo=0,lookupcache=none, or run gateways on one machine only",
            directory,
            mount,
        )


async def _try_store(storage: Backend, settings: Settings) -> None:
    await storage.start()
    try:
        for name in settings.create_buckets:
            await _ensure_bucket(storage, name, settings)
    finally:
        await storage.stop()


async def _ensure_bucket(storage: Backend, name: str, settings: Settings) -> None:
    try:
        await storage.find_bucket(name)
    except S3Error as error:
        if error.code != "NoSuchBucket":
            raise StartError(f"create_buckets: {name} cannot be opened: {error.message}") from error
    else:
        return
    if settings.read_only:
        raise StartError(f"create_buckets: {name} is missing, and read_only forbids making it. Unset one of the two.")
    try:
        await storage.create_bucket(name, ROOT, settings.region)
    except S3Error as error:
        if error.code not in _THERE:  # another gateway over the same directory may have been faster
            raise StartError(f"create_buckets: {name} cannot be made: {error.message}") from error


def make_board(settings: Settings, workers: int) -> Board | None:
    """The memory in which so many workers count, None where they do not. To be made before they are forked."""
    return telemetry.make_board(_telemetry_options(settings), (op.name for op in ROUTES.operations), workers)


def make_app(
    settings: Settings,
    worker: int = 0,
    *,
    board: Board | None = None,
    rates: Table | None = None,
    inputs: Mapping[str, str] | None = None,
) -> App:
    """The application of one worker process, with a store and credentials of its own.

    It counts in its region of `board`, and the requests of all by `rates`; without them for itself alone.

    With `inputs`, directories by the names of their buckets, it is the gateway of one command: these buckets are only
    read, there are no others but those of the data directory, and nobody is asked for credentials.
    """
    single = inputs is not None
    counters = telemetry.make_counters(board or make_board(settings, worker + 1), worker)
    storage = open_storage(settings, inputs or {}, counters or UNOBSERVED)
    credentials = FileCredentialStore(settings.credentials_file, settings.fixed_credentials)
    remake = partial(_following, inputs=inputs, rates=rates or Table())
    gateway = remake(
        Gateway(
            routes=ROUTES,
            storage=storage,
            credentials=credentials,
            auth_rules=_auth_rules(settings, single=single),
            refresh_seconds=float(settings.cache_refresh_interval_secs),
            sweep_seconds=0.0 if settings.read_only else float(settings.janitor_interval_secs),
            hashes_foreign_files=settings.foreign_etags == "md5" and not settings.read_only,
            telemetry=telemetry.make_telemetry(
                _telemetry_options(settings), counters, storage.usage, partial(shown_key, credentials)
            ),
            metrics_access=settings.metrics,
            scan_seconds=0.0 if counters is None else float(settings.metrics_scan_interval_secs),
        ),
        settings,
    )
    return create_app(gateway, remake)


def _following(gateway: Gateway, settings: Settings, *, inputs: Mapping[str, str] | None, rates: Table) -> Gateway:
    """The gateway as the settings want it, in all that can change while it serves."""
    single = inputs is not None
    return replace(
        gateway,
        auth_rules=_auth_rules(settings, single=single),
        addressing=Addressing(settings.domains, settings.path_prefix),
        rules=Rules(
            region=settings.region,
            any_region=not settings.check_region,
            relaxed_bucket_names=settings.bucket_names == "relaxed",
            checksum_type=settings.checksum_type,
            overlap_uploads=settings.overlap_uploads,
            batches_ahead=settings.batches_ahead,
        ),
        open_access=settings.no_auth or single,
        protection=Protection(
            read_only=settings.read_only,
            read_only_buckets=(*settings.read_only_buckets, *(inputs or {})),
            fixed_buckets=single,
        ),
        batch_bytes=settings.batch_bytes,
        limits=_limits(settings, rates),
        forwarded=Forwarded(settings.trusted_proxies) if settings.trusted_proxies else None,
    )


def _limits(settings: Settings, rates: Table) -> RateLimits | None:
    if not (settings.rate_limit or settings.rate_limit_per_key):
        return None
    return RateLimits(rates, overall=settings.rate_limit, per_key=settings.rate_limit_per_key)


def _auth_rules(settings: Settings, *, single: bool) -> AuthRules:
    return AuthRules(
        region=settings.region,
        any_region=not settings.check_region,
        path_prefix=settings.path_prefix.rstrip("/"),
        unverified=single,
    )


def _telemetry_options(settings: Settings) -> TelemetryOptions:
    return TelemetryOptions(
        metrics=settings.metrics != "off",
        most_buckets=settings.metrics_buckets,
        access_log=settings.access_log,
        access_log_format=settings.access_log_format,
        audit_log=settings.audit_log,
        traces=settings.traces,
    )


def open_storage(
    settings: Settings, elsewhere: Mapping[str, str] = _NOWHERE, observer: StoreObserver = UNOBSERVED
) -> FilesystemBackend:
    """The store of a data directory as the settings want it, not started."""
    kind = ColdDiskBackend if settings.cold_disks else FilesystemBackend
    return kind(
        settings.data_dir,
        durability=settings.durability,
        metadata=settings.metadata,
        locks=settings.locks,
        read_only=settings.read_only,
        region=settings.region,
        abort_after_days=settings.abort_uploads_after_days,
        upload_parts=settings.upload_parts,
        receive_in=(settings.put_temp_dir, settings.multipart_temp or settings.put_temp_dir),
        chunk_bytes=settings.chunk_bytes,
        follow_links=settings.symlinks == "inside",
        elsewhere=elsewhere,
        observer=observer,
    )

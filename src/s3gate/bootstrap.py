"""The composition root: from settings to a store that was tried and an application that serves it."""

from __future__ import annotations

import asyncio
import os

from s3gate.auth.authenticate import AuthRules
from s3gate.config import Settings
from s3gate.core.errors import S3Error
from s3gate.identity.file_store import FileCredentialStore
from s3gate.identity.model import ROOT
from s3gate.operations import ROUTES
from s3gate.operations.call import Rules
from s3gate.server.addressing import Addressing
from s3gate.server.app import App, create_app
from s3gate.server.gateway import Gateway
from s3gate.storage.backend import Backend, StartError
from s3gate.storage.filesystem.backend import FilesystemBackend
from s3gate.storage.filesystem.probe import require_exact_names, require_locks, require_safe_links

__all__ = ["make_app", "prepare"]

_THERE = ("BucketAlreadyOwnedByYou", "BucketAlreadyExists")


def prepare(settings: Settings) -> None:
    """Make the data directory and the buckets of `create_buckets` where they are missing, and try the store.

    Runs once, in the parent, before workers are forked: what is wrong is said once, and nothing it opens is inherited.
    Raises StartError, which tells the remedy.
    """
    if settings.symlinks == "inside":
        require_safe_links()
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
    asyncio.run(_try_store(_storage(settings), settings))


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


def make_app(settings: Settings, _worker: int = 0) -> App:
    """The application of one worker process, with a store and credentials of its own."""
    return create_app(
        Gateway(
            routes=ROUTES,
            storage=_storage(settings),
            credentials=FileCredentialStore(settings.credentials_path, settings.fixed_credentials),
            auth_rules=AuthRules(region=settings.region, path_prefix=settings.path_prefix.rstrip("/")),
            addressing=Addressing(settings.domains, settings.path_prefix),
            rules=Rules(
                region=settings.region,
                relaxed_bucket_names=settings.bucket_names == "relaxed",
                checksum_type=settings.checksum_type,
                overlap_uploads=settings.overlap_uploads,
            ),
            open_access=settings.no_auth,
            read_only=settings.read_only,
            refresh_seconds=float(settings.cache_refresh_interval_secs),
            sweep_seconds=0.0 if settings.read_only else float(settings.janitor_interval_secs),
            hashes_foreign_files=settings.foreign_etags == "md5" and not settings.read_only,
        )
    )


def _storage(settings: Settings) -> FilesystemBackend:
    return FilesystemBackend(
        settings.data_dir,
        durability=settings.durability,
        metadata=settings.metadata,
        locks=settings.locks,
        read_only=settings.read_only,
        region=settings.region,
        abort_after_days=settings.abort_uploads_after_days,
        upload_parts=settings.upload_parts,
        follow_links=settings.symlinks == "inside",
    )

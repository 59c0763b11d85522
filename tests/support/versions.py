"""Versions of objects, as tests of operations make them."""

from __future__ import annotations

from support.operations import Bench

__all__ = ["put_versions", "set_versioning"]


async def set_versioning(bench: Bench, status: str, bucket: str = "b") -> None:
    """Enable or suspend versioning."""
    body = f"<VersioningConfiguration><Status>{status}</Status></VersioningConfiguration>"
    await bench("PUT", f"/{bucket}", "versioning", body=body)


async def put_versions(bench: Bench, key: str, *contents: bytes) -> list[str]:
    """Put these contents one after the other; gives their ids."""
    return [(await bench("PUT", f"/b/{key}", body=data)).headers["x-amz-version-id"] for data in contents]

"""The composition root: a store that was tried, and an application over it."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from s3gate.bootstrap import make_app, prepare
from s3gate.settings import Settings
from s3gate.storage.backend import StartError
from support.asgi import Answer, ask


def settings(tmp_path: Path, **values: Any) -> Settings:
    given = {"data_dir": str(tmp_path / "data"), "credentials_path": str(tmp_path / "keys.jsonl"), "no_auth": True}
    return Settings(**(given | values))


def asked(chosen: Settings, method: str, path: str, *args: Any) -> Answer:
    """What a worker of a gateway with these settings answers."""

    async def run() -> Answer:
        app = make_app(chosen, 0)
        async with app.shell.router.lifespan_context(app.shell):
            return await ask(app, method, path, *args)

    return asyncio.run(run())


def test_the_directory_and_the_buckets_are_made_and_a_second_start_changes_nothing(tmp_path: Path) -> None:
    chosen = settings(tmp_path, data_dir=str(tmp_path / "a" / "b"), create_buckets=("one-bucket", "two-bucket"))
    prepare(chosen)
    prepare(chosen)
    assert {"one-bucket", "two-bucket"} <= set(os.listdir(tmp_path / "a" / "b"))


def test_an_object_goes_in_and_comes_back_as_a_file_of_its_name(tmp_path: Path) -> None:
    chosen = settings(tmp_path, create_buckets=("bucket",))
    prepare(chosen)
    assert asked(chosen, "PUT", "/bucket/dir/name.txt", {}, [b"content"]).status == 200
    assert (tmp_path / "data" / "bucket" / "dir" / "name.txt").read_bytes() == b"content"
    assert asked(chosen, "GET", "/bucket/dir/name.txt").body == b"content"


def test_a_data_directory_that_cannot_be_made_is_told_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StartError, match="serve DIR"):
        prepare(settings(tmp_path, data_dir=str(tmp_path / "file" / "data")))


def test_read_only_makes_nothing(tmp_path: Path) -> None:
    prepare(settings(tmp_path))
    with pytest.raises(StartError, match="read_only"):
        prepare(settings(tmp_path, read_only=True, create_buckets=("bucket",)))
    assert "bucket" not in os.listdir(tmp_path / "data")


def test_every_setting_of_the_gateway_reaches_it(tmp_path: Path) -> None:
    prepare(settings(tmp_path, create_buckets=("bucket",)))
    assert asked(settings(tmp_path, read_only=True), "PUT", "/bucket/k", {}, [b"a"]).status == 403
    assert asked(settings(tmp_path, no_auth=False), "GET", "/bucket").status == 403
    assert asked(settings(tmp_path, path_prefix="/s3"), "GET", "/s3/bucket").status == 200
    assert asked(settings(tmp_path, domains=("test",)), "GET", "/", {"host": "bucket.test"}).status == 200
    assert asked(settings(tmp_path), "PUT", "/Under_Score").status == 400
    assert asked(settings(tmp_path, bucket_names="relaxed"), "PUT", "/Under_Score").status == 200
    assert asked(settings(tmp_path, region="eu-west-7"), "PUT", "/elsewhere").status == 200
    assert "eu-west-7" in asked(settings(tmp_path), "GET", "/elsewhere?location").text


@pytest.mark.parametrize(("symlinks", "status"), [("deny", 404), ("inside", 200)])
def test_links_are_followed_by_a_gateway_that_is_told_so(tmp_path: Path, symlinks: str, status: int) -> None:
    chosen = settings(tmp_path, create_buckets=("bucket",), symlinks=symlinks)
    prepare(chosen)
    (tmp_path / "data/bucket/file").write_bytes(b"content")
    (tmp_path / "data/bucket/link").symlink_to("file")

    assert asked(chosen, "GET", "/bucket/link").status == status
    assert asked(chosen, "PUT", "/bucket/copy", {"x-amz-copy-source": "/bucket/link"}).status == status


def test_links_are_not_followed_where_the_kernel_cannot_keep_them_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("s3gate.storage.filesystem.probe.has_openat2", lambda: False)
    prepare(settings(tmp_path))
    with pytest.raises(StartError, match="Set symlinks = deny"):
        prepare(settings(tmp_path, symlinks="inside"))


@pytest.mark.parametrize(
    ("values", "expected"),
    [({}, False), ({"foreign_etags": "md5"}, True), ({"foreign_etags": "md5", "read_only": True}, False)],
)
def test_files_of_other_programs_are_hashed_by_a_gateway_that_is_told_so_and_may_write(
    tmp_path: Path, values: dict[str, Any], expected: bool
) -> None:
    with_gateway: list[Any] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("s3gate.bootstrap.create_app", lambda gateway, _: with_gateway.append(gateway))
        make_app(settings(tmp_path, **values), 0)
    assert with_gateway[0].hashes_foreign_files is expected

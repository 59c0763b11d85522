"""The output directory: made beside its place, and there whole or not at all."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

import pytest

from s3gate.core.errors import S3Error
from s3gate.sidecar import output
from s3gate.sidecar.output import Output, OutputError
from s3gate.storage.backend import StartError
from support.processes import own_descriptors


def filled(place: Path) -> Output:
    """An output with a file in its bucket."""
    made = Output(str(place))
    bucket = Path(made.data_dir, "out")
    (bucket / "dir").mkdir(parents=True)
    (bucket / "dir/file").write_bytes(b"content")
    return made


def test_it_appears_whole_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    place = tmp_path / "result"
    with filled(place) as made:
        assert not place.exists()
        assert os.path.dirname(made.data_dir) == str(tmp_path)
        assert stat.S_IMODE(os.stat(made.data_dir).st_mode) == 0o700
        made.publish()
        assert (place / "dir/file").read_bytes() == b"content"
    assert os.listdir(tmp_path) == ["result"]
    assert own_descriptors(tmp_path) == []


def test_what_is_not_published_is_gone(tmp_path: Path) -> None:
    with filled(tmp_path / "result"):
        pass
    assert os.listdir(tmp_path) == []


def test_an_empty_directory_is_replaced_by_one_of_its_mode(tmp_path: Path) -> None:
    place = tmp_path / "result"
    place.mkdir()
    place.chmod(0o2750)
    before = place.stat().st_ino
    with filled(place) as made:
        made.publish()
    assert place.stat().st_ino != before
    assert stat.S_IMODE(place.stat().st_mode) == 0o2750
    assert (place / "dir/file").read_bytes() == b"content"


def test_a_link_to_an_empty_directory_stays_and_leads_to_the_output(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to("there")
    with filled(tmp_path / "link") as made:
        made.publish()
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "there/dir/file").read_bytes() == b"content"


def test_a_place_that_cannot_be_taken_is_refused_with_the_remedy(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full/file").touch()
    (tmp_path / "plain").touch()
    monkeypatch.setattr(os.path, "ismount", lambda path: str(path).endswith("/mounted"))
    for name, words in (
        ("full", "is not empty"),
        ("plain", "Not a directory"),
        ("none/result", "make it first"),
        ("mounted", "mount point"),
    ):
        with pytest.raises(StartError, match=words):
            Output(str(tmp_path / name))
    assert sorted(os.listdir(tmp_path)) == ["full", "plain"]


def test_an_output_that_cannot_be_put_in_its_place_is_kept_and_named(tmp_path: Path) -> None:
    place = tmp_path / "result"
    with filled(place) as made:
        place.mkdir()
        (place / "of another").touch()
        with pytest.raises(OutputError, match="kept as") as caught:
            made.publish()
    assert os.listdir(place) == ["of another"]
    kept = Path(made.data_dir, "out")
    assert str(kept) in str(caught.value)
    assert (kept / "dir/file").read_bytes() == b"content"


def test_it_is_forced_to_the_medium_before_it_appears(tmp_path: Path, monkeypatch) -> None:
    done = []
    place = tmp_path / "result"
    real = output.sync_filesystem
    monkeypatch.setattr(output, "sync_filesystem", lambda fd: (done.append(place.exists()), real(fd)))
    monkeypatch.setattr(output, "fsync_directory", lambda path: done.append((path, place.exists())))
    with filled(place) as made:
        made.publish()
    assert done == [False, (str(tmp_path), True)]


def test_a_disk_that_fails_is_told_and_nothing_appears(tmp_path: Path, monkeypatch) -> None:
    def fail(_fd: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(output, "sync_filesystem", fail)
    with filled(tmp_path / "result") as made, pytest.raises(OutputError, match="Input/output error"):
        made.publish()
    assert not (tmp_path / "result").exists()


@pytest.mark.parametrize("error", [S3Error("InternalError"), StartError("damaged"), OSError(5, "Input/output error")])
def test_an_output_that_cannot_be_finished_is_kept_and_named(tmp_path: Path, error: Exception) -> None:
    def fail() -> None:
        raise error

    place = tmp_path / "result"
    with pytest.raises(OutputError, match="It is kept as") as told, filled(place) as made:
        made.publish(fail)
    assert (error.strerror if isinstance(error, OSError) else str(error)) in str(told.value)
    assert not place.exists()
    assert Path(made.data_dir, "out/dir/file").read_bytes() == b"content"


def test_an_output_that_the_command_has_removed_is_told(tmp_path: Path) -> None:
    with filled(tmp_path / "result") as made:
        shutil.rmtree(made.data_dir)
        with pytest.raises(OutputError, match="its output is gone"):
            made.publish()
    assert os.listdir(tmp_path) == []


def test_a_place_that_is_gone_needs_no_clearing(tmp_path: Path) -> None:
    (tmp_path / "dir").mkdir()
    with filled(tmp_path / "dir/result"):
        shutil.rmtree(tmp_path / "dir")
    assert own_descriptors(tmp_path) == []

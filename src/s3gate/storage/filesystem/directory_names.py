"""The sorted names of one directory: read from the disk, and brought up to date by what is known to have changed.

A name's sort key is what it adds to a key: `x` for a file, `x/` for a directory. Sorted by bytes, a walk that goes
into each directory where it stands gives the keys of a bucket in S3's order.
"""

from __future__ import annotations

import os
import stat as modes
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from s3gate.storage.filesystem import paths
from s3gate.storage.filesystem.sorted_names import RUN, NameSorter, SortedNames
from s3gate.storage.filesystem.syscalls import open_beneath

__all__ = ["Names", "read_names", "update_names"]

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Names:
    """Sort keys in order; `physical` has the path, relative to this directory, of those whose name differs."""

    sorted: SortedNames
    physical: Mapping[bytes, bytes]
    flat: bool  # no continuation directory below: its names depend on this directory alone
    links: frozenset[bytes] = frozenset()  # names that may be a file, a directory or nothing: each has both sort keys

    @property
    def cost(self) -> int:
        """Bytes of memory, about."""
        return self.sorted.size + 200 * len(self.physical) + 100 * len(self.links) + 500


@dataclass(slots=True)
class _Scan:
    """What was found so far; `batch` is on its way to the sorter."""

    histories: bool
    follow_links: bool
    sorter: NameSorter = field(default_factory=NameSorter)
    batch: list[str] = field(default_factory=list)
    physical: dict[bytes, bytes] = field(default_factory=dict)
    links: set[bytes] = field(default_factory=set)
    flat: bool = True

    def flush(self) -> None:
        self.sorter.add(self.batch)
        self.batch = []


def read_names(fd: int, *, histories: bool = False, follow_links: bool = False) -> Names:
    """The names in an open directory. Entries that no key can have, links and special files are left out.

    With `histories` the directory is one of the tree of histories, where the history of a key stands for its object.
    With `follow_links` links are among the names; what they are is for the walk to find out, when it comes to them.
    """
    scan = _Scan(histories, follow_links and not histories)
    _read(scan, fd, b"", b"")
    scan.flush()
    return Names(scan.sorter.names(), scan.physical, scan.flat, frozenset(scan.links))


def _read(scan: _Scan, fd: int, before: bytes, path: bytes) -> None:
    """Collect the names of one directory, `before` being the part of the component that its own name holds."""
    ordinary = paths.is_ordinary if not scan.histories and not before else _nothing
    with os.scandir(fd) as entries:
        for entry in entries:
            name = entry.name
            if not ordinary(name):
                _read_odd(scan, fd, entry, before, path)
            elif entry.is_file(follow_symlinks=False):
                scan.batch.append(name)
            elif entry.is_dir(follow_symlinks=False):
                scan.batch.append(name + "/")
            elif scan.follow_links and entry.is_symlink():
                _note_link(scan, name)
            if len(scan.batch) >= RUN:
                scan.flush()


def _nothing(_: str) -> bool:
    return False


def _note_link(scan: _Scan, name: str) -> None:
    raw = os.fsencode(name)
    if paths.decode(raw) == paths.Entry(raw) and _is_text(raw):
        scan.links.add(raw)
        scan.batch += (name, name + "/")


def _read_odd(scan: _Scan, fd: int, entry: os.DirEntry[str], before: bytes, path: bytes) -> None:
    """An entry whose name has to be looked at more closely."""
    name = os.fsencode(entry.name)
    meaning = paths.decode(name)
    if meaning is None or not _is_text(name):
        return
    is_directory = entry.is_dir(follow_symlinks=False)
    if meaning.continuation:
        if is_directory:
            scan.flat = False
            _read_continuation(scan, fd, name, before + meaning.component, path)
        return
    if scan.follow_links and not path and entry.is_symlink():
        _note_link(scan, entry.name)
        return
    is_file = not is_directory and entry.is_file(follow_symlinks=False)
    sort_key = _sort_key(meaning, before, is_file=is_file, is_directory=is_directory, histories=scan.histories)
    if sort_key is None:
        return
    scan.batch.append(sort_key.decode())
    if sort_key.endswith(b"/") and (path or meaning.component != name):
        scan.physical[sort_key] = path + name


def _read_continuation(scan: _Scan, fd: int, name: bytes, before: bytes, path: bytes) -> None:
    try:
        inner = open_beneath(fd, name, _DIRECTORY)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return  # gone meanwhile, or closed to us: the other names are there
    try:
        _read(scan, inner, before, path + name + b"/")
    finally:
        os.close(inner)


def _sort_key(
    meaning: paths.Entry, before: bytes, *, is_file: bool, is_directory: bool, histories: bool
) -> bytes | None:
    """What an entry adds to a key; None for one that is neither an object (or a history) nor leads to one."""
    is_object = is_directory and meaning.history if histories else is_file and not meaning.history
    if is_object:
        return before + meaning.component
    if is_directory and not meaning.shadow and not meaning.history:
        return before + meaning.component + b"/"
    return None


def update_names(
    names: Names, fd: int, changed: Iterable[bytes], *, histories: bool = False, follow_links: bool = False
) -> Names | None:
    """The names of an open directory after these entries of it changed, in whatever way; None: read it anew.

    `names` are as they were before, or at any instant since: what the entries are now is looked at.
    """
    present: dict[bytes, bytes | None] = {}
    for name in changed:
        meaning = paths.decode(name)
        if meaning is None or not _is_text(name):
            continue
        now = None if meaning.continuation else _now(fd, meaning.component, histories=histories)
        if now is None or (follow_links and (now.is_link or name in names.links)):
            return None
        present |= now.sort_keys
    physical = dict(names.physical)
    for sort_key, where in present.items():
        physical.pop(sort_key, None)
        if where is not None and sort_key.endswith(b"/") and where + b"/" != sort_key:
            physical[sort_key] = where
    added = [sort_key for sort_key, where in present.items() if where is not None]
    removed = [sort_key for sort_key, where in present.items() if where is None]
    return Names(names.sorted.changed(added, removed), physical, names.flat, names.links)


@dataclass(slots=True)
class _Now:
    """The two sort keys of a component, each with the name that stands for it in a directory, if any does."""

    sort_keys: dict[bytes, bytes | None]
    is_link: bool = False


def _now(fd: int, component: bytes, *, histories: bool) -> _Now | None:
    """What stands for a component; None for one that more than this directory tells of.

    Two rounds, because an object may go from one of its names to the other between the looks at them: see tree.find.
    """
    where = paths.place(component)
    if where.parent:
        return None
    other = where.history.removeprefix(paths.HISTORIES + b"/") if histories else where.shadow
    now = _Now({component: None, component + b"/": None})
    for name in (where.name, other, where.name, other):
        meaning = paths.decode(name)
        mode = _mode(fd, name)
        now.is_link = now.is_link or modes.S_ISLNK(mode)
        kind = {"is_file": modes.S_ISREG(mode), "is_directory": modes.S_ISDIR(mode)}
        sort_key = _sort_key(meaning, b"", **kind, histories=histories) if meaning is not None else None
        if sort_key is not None:
            now.sort_keys[sort_key] = name
        if now.sort_keys[component] is not None:
            break
    return now


def _mode(fd: int, name: bytes) -> int:
    """What an entry is; 0 where there is none."""
    try:
        return os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode
    except FileNotFoundError:
        return 0


def _is_text(name: bytes) -> bool:
    try:
        name.decode()
    except UnicodeDecodeError:
        return False
    return True

"""Loss of power, by model: what a file system may leave that keeps no more than what fsync covered.

A mutation runs for real, and its file system calls are recorded with what they wrote. From the recording the disk is
made as it may be found afterwards: in the class `ordered` changes of names and attributes reach the medium in their
order, and the fsync of a directory brings all before it; in the class `unordered` there is no order at all, and an
fsync covers the names of its own directory alone (a rename, which is atomic, is covered by that of either). In both,
contents that no fsync of their file covered may be missing.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import random
import stat as modes
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from s3gate.storage.filesystem import syscalls
from support.crash import CALLS

__all__ = ["CLASSES", "Disk", "Event", "Recorder", "State", "states"]

CLASSES = ("ordered", "unordered")
_VARIANTS = ("whole", "half", "empty")
_DATA_CALLS = {"write": 0, "writev": 0, "pwrite": 0, "ftruncate": 0, "copy_file_range": 1, "sendfile": 0}


@dataclass(frozen=True)
class Names:
    """A change of names, atomic: (directory, name, what it leads to then). The fsync of any of `homes` covers it."""

    homes: tuple[int, ...]
    sets: tuple[tuple[int, bytes, int | None], ...]


@dataclass(frozen=True)
class Attributes:
    """The attributes that a file or directory has from here on."""

    node: int
    values: tuple[tuple[str, bytes], ...]


@dataclass(frozen=True)
class Data:
    """The contents and the modification time that a file has from here on."""

    node: int
    content: bytes
    mtime_ns: int


@dataclass(frozen=True)
class Sync:
    """An fsync that has returned."""

    node: int
    directory: bool


Event = Names | Attributes | Data | Sync


@dataclass
class Disk:
    """A tree of directories and files, by numbers of our own: those of the kernel are used again."""

    root: int = 0
    directories: dict[int, dict[bytes, int]] = field(default_factory=dict)
    files: dict[int, tuple[bytes, int]] = field(default_factory=dict)
    attributes: dict[int, tuple[tuple[str, bytes], ...]] = field(default_factory=dict)

    def copy(self) -> Disk:
        """A copy that can be changed."""
        names = {node: dict(entries) for node, entries in self.directories.items()}
        return Disk(self.root, names, dict(self.files), dict(self.attributes))

    def paths(self) -> Iterator[tuple[bytes, int]]:
        """Every path that can be reached, parents first."""
        pending = [(b"", self.root)]
        while pending:
            path, node = pending.pop()
            for name, child in sorted(self.directories[node].items()):
                yield path + b"/" + name, child
                if child in self.directories:
                    pending.append((path + b"/" + name, child))

    def write_to(self, root: bytes) -> None:
        """Make these files, with their links, times and attributes."""
        made: dict[int, bytes] = {}
        os.mkdir(root)
        for path, node in self.paths():
            target = root + path
            if node in self.directories:
                os.mkdir(target)
            elif node in made:
                os.link(made[node], target)
                continue
            else:
                made[node] = target
                with open(target, "wb") as file:
                    file.write(self.files[node][0])
            for name, value in self.attributes.get(node, ()):
                os.setxattr(target, name, value)
            if node in self.files:
                os.utime(target, ns=(0, self.files[node][1]))

    def digest(self) -> bytes:
        """Equal for disks that differ only in what is staged or locked."""
        first: dict[int, int] = {}
        summary = [
            (path, self.files.get(node), self.attributes.get(node), first.setdefault(node, len(first)))
            for path, node in self.paths()
            if b"/.s3gate/tmp/" not in path and b"/locks/" not in path
        ]
        return hashlib.sha256(repr(summary).encode()).digest()


class Recorder:
    """Writes down what this process does below a directory, from install() on, until the process ends."""

    def __init__(self, root: str) -> None:
        self.events: list[Event] = []
        self.start = Disk()
        self._nodes: dict[int, int] = {}
        self._numbers = itertools.count()
        self._lock = threading.RLock()
        self._walk(os.fsencode(root))

    def _walk(self, root: bytes) -> None:
        self.start.root = self._new(os.stat(root).st_ino)
        self.start.directories[self.start.root] = {}
        for directory, names, files in os.walk(root):
            entries = self.start.directories[self._nodes[os.stat(directory).st_ino]]
            for name in names + files:
                path = os.path.join(directory, name)
                stat = os.lstat(path)
                known = stat.st_ino in self._nodes
                node = self._nodes[stat.st_ino] if known else self._new(stat.st_ino)
                entries[name] = node
                self.start.attributes[node] = _attributes(path)
                if modes.S_ISDIR(stat.st_mode):
                    self.start.directories[node] = {}
                else:
                    with open(path, "rb") as file:
                        self.start.files[node] = file.read(), stat.st_mtime_ns

    def _new(self, inode: int) -> int:
        self._nodes[inode] = next(self._numbers)
        return self._nodes[inode]

    def install(self) -> None:
        """Put recording functions in the place of those of os, in this process for good."""
        for name in CALLS:
            setattr(os, name, self._recording(name, getattr(os, name)))
        syscalls.exchange = self._recording("exchange", syscalls.exchange)

    def _recording(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        note = getattr(self, f"_on_{name}", None)
        data = _DATA_CALLS.get(name)

        def recording(*args: Any, **kwargs: Any) -> Any:
            with self._lock:
                if note is not None:
                    return note(call, *args, **kwargs)
                result = call(*args, **kwargs)
                if data is not None:
                    self._snapshot(args[data])
                return result

        return recording

    def _entry(self, path: Any, directory: int | None) -> tuple[int | None, bytes]:
        parent, name = os.path.split(os.fsencode(path))
        if directory is None:
            stat = os.stat(parent)
        elif parent:
            stat = os.stat(parent, dir_fd=directory)
        else:
            stat = os.fstat(directory)
        return self._nodes.get(stat.st_ino), name

    def _at(self, path: Any, directory: int | None) -> int:
        return self._nodes[os.stat(path, dir_fd=directory, follow_symlinks=False).st_ino]

    def _names(self, *sets: tuple[int | None, bytes, int | None]) -> None:
        inside = tuple((where, name, node) for where, name, node in sets if where is not None)
        if inside:
            self.events.append(Names(tuple(where for where, _, _ in inside), inside))

    def _snapshot(self, fd: int) -> None:
        stat = os.fstat(fd)
        node = self._nodes.get(stat.st_ino)
        if node is None or not modes.S_ISREG(stat.st_mode):
            return
        with open(f"/proc/self/fd/{fd}", "rb") as file:
            event = Data(node, file.read(), stat.st_mtime_ns)
        last = [each for each in self.events if isinstance(each, Data) and each.node == node][-1:]
        if last != [event]:
            self.events.append(event)

    def _on_open(self, call: Callable[..., int], path: Any, flags: int, *args: Any, **kwargs: Any) -> int:
        directory = kwargs.get("dir_fd")
        if not flags & os.O_CREAT:
            return call(path, flags, *args, **kwargs)
        where, name = self._entry(path, directory)
        existed = _exists(path, directory)
        fd = call(path, flags, *args, **kwargs)
        if not existed and where is not None:
            node = self._new(os.fstat(fd).st_ino)
            self._snapshot(fd)
            self._names((where, name, node))
        return fd

    def _on_mkdir(self, call: Callable[..., None], path: Any, *args: Any, **kwargs: Any) -> None:
        call(path, *args, **kwargs)
        directory = kwargs.get("dir_fd")
        where, name = self._entry(path, directory)
        if where is not None:
            self._names((where, name, self._new(os.stat(path, dir_fd=directory).st_ino)))

    def _on_rename(self, call: Callable[..., None], source: Any, target: Any, **kwargs: Any) -> None:
        node = self._at(source, kwargs.get("src_dir_fd")) if _exists(source, kwargs.get("src_dir_fd")) else None
        left = self._entry(source, kwargs.get("src_dir_fd")) if node is not None else (None, b"")
        call(source, target, **kwargs)
        entered = self._entry(target, kwargs.get("dst_dir_fd"))
        self._names((*left, None), (*entered, node))

    _on_replace = _on_rename

    def _on_exchange(self, call: Callable[..., None], source_fd: int, source: bytes, fd: int, name: bytes) -> None:
        call(source_fd, source, fd, name)
        self._names(
            (*self._entry(source, source_fd), self._at(source, source_fd)),
            (*self._entry(name, fd), self._at(name, fd)),
        )

    def _on_link(self, call: Callable[..., None], source: Any, target: Any, **kwargs: Any) -> None:
        call(source, target, **kwargs)
        where, name = self._entry(target, kwargs.get("dst_dir_fd"))
        self._names((where, name, self._at(source, kwargs.get("src_dir_fd"))))

    def _on_unlink(self, call: Callable[..., None], path: Any, **kwargs: Any) -> None:
        call(path, **kwargs)
        where, name = self._entry(path, kwargs.get("dir_fd"))
        self._names((where, name, None))

    _on_remove = _on_rmdir = _on_unlink

    def _on_setxattr(self, call: Callable[..., None], file: Any, *args: Any, **kwargs: Any) -> None:
        call(file, *args, **kwargs)
        node = self._nodes.get(os.stat(file).st_ino)
        if node is not None:
            self.events.append(Attributes(node, _attributes(file)))

    _on_removexattr = _on_setxattr

    def _on_utime(self, call: Callable[..., None], file: Any, *args: Any, **kwargs: Any) -> None:
        call(file, *args, **kwargs)
        self._snapshot(file)

    def _on_fsync(self, call: Callable[..., None], fd: int) -> None:
        self._snapshot(fd)
        stat = os.fstat(fd)
        node = self._nodes.get(stat.st_ino)
        if node is not None:
            self.events.append(Sync(node, modes.S_ISDIR(stat.st_mode)))

    _on_fdatasync = _on_fsync


def _exists(path: Any, directory: int | None) -> bool:
    try:
        os.stat(path, dir_fd=directory, follow_symlinks=False)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _attributes(file: Any) -> tuple[tuple[str, bytes], ...]:
    return tuple((name, os.getxattr(file, name)) for name in sorted(os.listxattr(file)) if name.startswith("user."))


@dataclass(frozen=True)
class State:
    """A disk after the power came back. `acknowledged`: the mutation had returned before it went."""

    disk: Disk
    acknowledged: bool
    told: str


def states(start: Disk, events: list[Event], kind: str, chance: random.Random, subsets: int) -> list[State]:
    """Every state of the class, each once; of the unordered ones, `subsets` by chance besides the telling ones."""
    found: dict[tuple[bytes, bool], State] = {}
    for instant in range(len(events) + 1):
        done = events[:instant]
        choices = _prefixes(done) if kind == "ordered" else _subsets(done, chance, subsets)
        for applied in choices:
            for variant in _VARIANTS:
                disk = _disk(start, done, applied, variant)
                acknowledged = instant == len(events)
                told = (
                    f"{kind}, power lost after {instant} of {len(events)} events, {variant} contents; not on disk: "
                    + ("; ".join(str(done[n]) for n in _metadata(done) if n not in applied) or "nothing")
                )
                found.setdefault((disk.digest(), acknowledged), State(disk, acknowledged, told))
    return list(found.values())


def _metadata(events: list[Event]) -> list[int]:
    return [number for number, event in enumerate(events) if isinstance(event, Names | Attributes)]


def _synced(events: list[Event]) -> dict[int, int]:
    """When each node was last forced to the medium."""
    return {event.node: number for number, event in enumerate(events) if isinstance(event, Sync)}


def _prefixes(events: list[Event]) -> Iterator[set[int]]:
    """The changes of names and attributes up to any place behind the last fsync of a directory."""
    forced = max((n for n, event in enumerate(events) if isinstance(event, Sync) and event.directory), default=-1)
    synced = _synced(events)
    numbers = _metadata(events)
    own = {n for n in numbers if _is_covered(events[n], n, synced) and isinstance(events[n], Attributes)}
    for end in range(sum(n < forced for n in numbers), len(numbers) + 1):
        yield {*numbers[:end]} | own


def _is_covered(event: Event, number: int, synced: dict[int, int]) -> bool:
    homes = event.homes if isinstance(event, Names) else (event.node,)
    return any(synced.get(node, -1) > number for node in homes)


def _subsets(events: list[Event], chance: random.Random, count: int) -> Iterator[set[int]]:
    """What is covered, with none, all, one, all but one, or any of the rest."""
    synced = _synced(events)
    numbers = _metadata(events)
    covered = {n for n in numbers if _is_covered(events[n], n, synced)}
    rest = [n for n in numbers if n not in covered]
    yield covered
    yield {*numbers}
    for each in rest:
        yield covered | {each}
        yield {*numbers} - {each}
    for _ in range(count if len(rest) > 2 else 0):
        yield covered | {n for n in rest if chance.random() < 0.5}


def _disk(start: Disk, events: list[Event], applied: set[int], variant: str) -> Disk:
    disk = start.copy()
    synced = _synced(events)
    for number, event in enumerate(events):
        if isinstance(event, Names):
            for where, name, node in event.sets if number in applied else ():
                entries = disk.directories.setdefault(where, {})
                if node is None:
                    entries.pop(name, None)
                else:
                    entries[name] = node
        elif isinstance(event, Attributes):
            if number in applied:
                disk.attributes[event.node] = event.values
        elif isinstance(event, Data):
            disk.files[event.node] = _content(disk, event, variant, covered=synced.get(event.node, -1) > number)
    nodes = {node for entries in disk.directories.values() for node in entries.values()}
    for node in nodes - disk.files.keys():
        disk.directories.setdefault(node, {})
    return disk


def _content(disk: Disk, event: Data, variant: str, *, covered: bool) -> tuple[bytes, int]:
    """What is left of contents: all where fsync covered them, else what was there before, or the first half."""
    before = disk.files.get(event.node)
    if covered or variant == "whole":
        return event.content, event.mtime_ns
    if before is not None and before[0]:
        return before
    return event.content[: len(event.content) // 2] if variant == "half" else b"", event.mtime_ns

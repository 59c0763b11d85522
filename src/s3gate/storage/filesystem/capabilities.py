"""What a filesystem can do, tried out in a directory of its own, and what the gateway does about each."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from s3gate.storage.filesystem import layout, lock_choice, syscalls
from s3gate.storage.filesystem.metadata import ATTRIBUTE, INLINE_BYTES
from s3gate.storage.filesystem.mounts import mount_at
from s3gate.storage.filesystem.paths import MAX_NAME

__all__ = ["FATAL", "FINE", "LIMIT", "NOTE", "Capability", "examine", "folds_case", "folds_unicode"]

FINE = "ok"
NOTE = "note"  # slower, or not used
LIMIT = "limit"  # something is not to be had
FATAL = "fatal"
_FICLONE = 0x40049409
_NAME_BYTES = MAX_NAME + 8  # with the longest of the gateway's own prefixes
_SCARCE = 0.02  # of space or inodes


@dataclass(frozen=True, slots=True)
class Capability:
    """One thing that was tried. `level` is FINE, NOTE, LIMIT or FATAL."""

    name: str
    level: str
    found: str
    effect: str


@dataclass(frozen=True, slots=True)
class _Place:
    """The directory of the trial: its path, and open. `served` is the directory that the trial is about."""

    path: bytes
    fd: int
    served: str

    def new(self, name: bytes, data: bytes = b"") -> int:
        """The descriptor of a new file."""
        fd = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=self.fd)
        os.write(fd, data)
        return fd

    def make(self, name: bytes, data: bytes = b"") -> None:
        """Make a file."""
        os.close(self.new(name, data))

    def has(self, name: bytes) -> bool:
        """Whether a file is found under a name."""
        try:
            os.stat(name, dir_fd=self.fd)
        except OSError:
            return False
        return True


def examine(directory: str) -> Iterator[Capability]:
    """Try everything out. Raises OSError where not even a directory can be made. Nothing is left behind.

    Forks for the locks: to be called before any thread runs.
    """
    with _trial(directory) as root:
        for number, probe in enumerate(_PROBES):
            path = root.path + b"/%d" % number
            os.mkdir(path)
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                yield probe(_Place(path, fd, directory))
            finally:
                os.close(fd)


@contextlib.contextmanager
def _trial(directory: str) -> Iterator[_Place]:
    path = tempfile.mkdtemp(prefix=".s3gate-doctor-", dir=directory)
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield _Place(os.fsencode(path), fd, directory)
    finally:
        os.close(fd)
        shutil.rmtree(path)


def _yes(name: str, works: bool, effect: str, otherwise: str, *, level: str = FATAL) -> Capability:
    return Capability(name, FINE if works else level, "yes" if works else "no", effect if works else otherwise)


def _succeeds(work: Callable[[], object]) -> bool:
    try:
        work()
    except OSError:
        return False
    return True


def _names_of_others(place: _Place) -> Capability:
    mount = mount_at(place.served)
    if mount is None or not mount.remembers_names:
        return Capability("names made by other machines", FINE, "as they are", "several machines may serve it")
    return Capability(
        "names made by other machines",
        LIMIT,
        "remembered",
        "for one machine alone; for several mount with actimeo=0,lookupcache=none, else one may take for missing what "
        "another has just made, also when it decides If-None-Match",
    )


def _attributes(place: _Place) -> Capability:
    """The largest value of an attribute, by doubling and then by halving."""
    fd = place.new(b"f")

    def takes(size: int) -> bool:
        return _succeeds(lambda: os.setxattr(fd, ATTRIBUTE, b"\0" * size))

    try:
        low, high = 0, 16
        while high <= 65536 and takes(high):
            low, high = high, high * 2
        high = min(high, 65536 + 1)
        while low and high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if takes(middle) else (low, middle)
    finally:
        os.close(fd)
    if low >= INLINE_BYTES:
        return Capability("attributes", FINE, f"values up to {low:,} bytes", "records are kept in an attribute")
    found = f"values up to {low:,} bytes" if low else "none"
    return Capability("attributes", LIMIT, found, "records are kept in files beside; they do not follow a `mv`")


def _directory_attributes(place: _Place) -> Capability:
    works = _succeeds(lambda: os.setxattr(place.fd, ATTRIBUTE + b".d", b""))
    return _yes(
        "attributes of directories",
        works,
        "empty directories that s3gate made are removed",
        "empty directories stay, for nobody knows who made them",
        level=NOTE,
    )


def _kind_of_locks(title: str, name: str) -> Callable[[_Place], Capability]:
    """The trial of one kind of locks."""

    def probe(place: _Place) -> Capability:
        works = lock_choice.exclude_processes(lock_choice.KINDS[name], place.path)
        return _yes(title, works, f"`locks = {name}` is possible", "not used", level=NOTE)

    return probe


def _locks(place: _Place) -> Capability:
    """The kind that is used: as the directory's marker says, or the first that works."""
    if os.path.exists(layout.marker_path(place.served)):
        kind = layout.lock_kind(place.served)
    else:
        kind = lock_choice.KINDS[lock_choice.choose([place.path])]
    title = "locks between processes"
    if not kind.excludes:
        effect = "run one worker (--workers 1) and no other gateway on this directory"
        return Capability(title, LIMIT, "none", effect)
    if not lock_choice.exclude_processes(kind, place.path):
        effect = "refused at start: the format marker names locks that keep nobody out here"
        return Capability(title, FATAL, f"{kind.name}, not working", effect)
    return Capability(title, FINE, kind.name, "conditional writes are exact between workers and gateways")


def _links(place: _Place) -> Capability:
    place.make(b"a", b"x")

    def link() -> bool:
        os.link(b"a", b"b", src_dir_fd=place.fd, dst_dir_fd=place.fd)
        return os.path.samestat(os.stat(b"a", dir_fd=place.fd), os.stat(b"b", dir_fd=place.fd))

    works = _succeeds(link) and not _succeeds(link)  # the second one must find the name taken
    return _yes(
        "hard links",
        works,
        "versions and `a` beside `a/b` cost no copy",
        "s3gate cannot work here: use a filesystem with hard links",
    )


def _rename(place: _Place) -> Capability:
    place.make(b"a", b"new")
    place.make(b"b", b"old")
    reader = os.open(b"b", os.O_RDONLY | os.O_CLOEXEC, dir_fd=place.fd)
    try:
        works = _succeeds(lambda: os.rename(b"a", b"b", src_dir_fd=place.fd, dst_dir_fd=place.fd))
        works = works and os.pread(reader, 3, 0) == b"old" and not place.has(b"a")
    except OSError:
        works = False
    finally:
        os.close(reader)
    return _yes(
        "rename over a file that is read",
        works,
        "an overwrite is one step, and readers keep what they have open",
        "s3gate cannot work here: overwrites would be seen half done",
    )


def _exclusive(place: _Place) -> Capability:
    place.make(b"a")
    works = not _succeeds(lambda: place.make(b"a"))
    return _yes("O_EXCL", works, "staged files have a name of their own", "s3gate cannot work here")


def _clone(place: _Place) -> Capability:
    source, target = place.new(b"a", b"x" * 65536), place.new(b"b")
    try:
        works = _succeeds(lambda: fcntl.ioctl(target, _FICLONE, source))
    finally:
        os.close(source)
        os.close(target)
    return _yes(
        "reflink",
        works,
        "copies, and the joining of parts, share blocks",
        "copies move the bytes; parts of uploads are written in their places, and none is joined",
        level=NOTE,
    )


def _kernel_copy(place: _Place) -> Capability:
    source, target = place.new(b"a", b"x" * 65536), place.new(b"b")
    try:
        works = _succeeds(lambda: os.copy_file_range(source, target, 65536, offset_src=0))
    finally:
        os.close(source)
        os.close(target)
    return _yes("copy_file_range", works, "bytes are copied in the kernel", "bytes are read and written", level=NOTE)


def folds_case(place_path: bytes) -> bool:
    """Whether this empty directory takes `a` and `A` for one name. Leaves a file there."""
    return _is_one_name(place_path, b"case-probe-a", b"case-probe-A")


def folds_unicode(place_path: bytes) -> bool:
    """Whether this directory takes the two spellings of a letter with an accent for one name. Leaves a file there."""
    return _is_one_name(place_path, "probe-\u00e9".encode(), "probe-e\u0301".encode())


def _is_one_name(directory: bytes, one: bytes, other: bytes) -> bool:
    """Whether the file `one` is found as `other`, or is listed under a name it was not given."""
    os.close(os.open(directory + b"/" + one, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    return os.path.lexists(directory + b"/" + other) or one not in os.listdir(directory)


def _case(place: _Place) -> Capability:
    return _yes(
        "names that differ in case",
        not folds_case(place.path),
        "`Key` and `key` are two objects",
        "refused at start: one of two objects would overwrite the other",
    )


def _unicode(place: _Place) -> Capability:
    return _yes(
        "names that differ in Unicode form",
        not folds_unicode(place.path),
        "keys come back as the bytes they were sent as",
        "refused at start: one of two objects would overwrite the other",
    )


def _odd_names(place: _Place) -> Capability:
    names = (b"a:b", b"a\\b", b"a*?", b'a"<>|', b"a.", b"a ", b"a\x01", b"a\xff")
    refused = [name for name in names if not _succeeds(lambda name=name: place.make(name))]  # type: ignore[misc]
    changed = [name for name in names if name not in refused and name not in os.listdir(place.path)]
    if not refused and not changed:
        return Capability("odd bytes in names", FINE, "all", "every key has a file")
    found = ", ".join(repr(name)[1:] for name in refused + changed)
    level = FATAL if changed else LIMIT
    return Capability("odd bytes in names", level, f"not {found}", "writes of keys with these are refused")


def _name_length(place: _Place) -> Capability:
    longest = next((size for size in range(255, 7, -1) if _succeeds(lambda size=size: place.make(b"n" * size))), 0)  # type: ignore[misc]
    found = f"{longest} bytes"
    if longest >= _NAME_BYTES:
        return Capability("longest name", FINE, found, "every key has a file")
    effect = f"keys with a part of more than {longest - 8} bytes between slashes are refused"
    return Capability("longest name", LIMIT if longest > 100 else FATAL, found, effect)


def _times(place: _Place) -> Capability:
    fd = place.new(b"f")
    kept = 0
    try:
        base = 1_700_000_001 * 10**9
        for step in (1, 100, 1_000, 1_000_000, 10**9, 2 * 10**9):
            wanted = base - base % (4 * 10**9) + step
            os.utime(fd, ns=(wanted, wanted))
            if os.fstat(fd).st_mtime_ns == wanted:
                kept = step
                break
    finally:
        os.close(fd)
    effect = "a record knows when another program has changed the contents"
    if 0 < kept <= 1_000_000:
        return Capability("modification times", FINE, f"to {kept:,} ns", effect)
    found = f"to {kept / 1e9:g} s" if kept else "not kept"
    effect = "a change by another program within that time, of the same size, is not noticed"
    return Capability("modification times", LIMIT if kept else FATAL, found, effect)


def _directory_sync(place: _Place) -> Capability:
    works = _succeeds(lambda: os.fsync(place.fd))
    return _yes(
        "fsync of directories",
        works,
        "names outlive a loss of power",
        "writes fail with durability `full`: set `durability = data`",
        level=LIMIT,
    )


def _exchange(place: _Place) -> Capability:
    place.make(b"a")
    place.make(b"b")
    try:
        syscalls.exchange(place.fd, b"a", place.fd, b"b")
        done = True
    except OSError:
        done = False
    used = "an object is overwritten by changing places with the new one"
    unused = "objects are overwritten by rename, which takes longer"
    return _yes("exchange of two names", done, used, unused, level=NOTE)


def _space(place: _Place) -> Capability:
    free = os.statvfs(place.path)
    gib = free.f_bavail * free.f_frsize / 2**30
    share = free.f_bavail / free.f_blocks if free.f_blocks else 1.0
    return Capability(
        "free space",
        FINE if share > _SCARCE else LIMIT,
        f"{gib:,.1f} GiB, {share:.0%}",
        "writes are answered with InsufficientStorage when it has run out",
    )


def _inodes(place: _Place) -> Capability:
    free = os.statvfs(place.path)
    if not free.f_files:
        return Capability("free inodes", FINE, "no limit", "objects are limited by space alone")
    share = free.f_favail / free.f_files
    return Capability(
        "free inodes",
        FINE if share > _SCARCE else LIMIT,
        f"{free.f_favail:,}, {share:.0%}",
        "an object takes one, a directory another, a record of its own one more",
    )


_PROBES = (
    _attributes,
    _directory_attributes,
    _names_of_others,
    _locks,
    _kind_of_locks("OFD locks", "ofd"),
    _kind_of_locks("POSIX locks", "posix"),
    _kind_of_locks("flock", "flock"),
    _links,
    _rename,
    _exclusive,
    _clone,
    _kernel_copy,
    _case,
    _unicode,
    _odd_names,
    _name_length,
    _times,
    _directory_sync,
    _exchange,
    _space,
    _inodes,
)

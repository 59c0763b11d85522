"""Files that tests send and compare: content that repeats from run to run, and whole trees."""

from __future__ import annotations

import hashlib
import os
import random
import time
from pathlib import Path

__all__ = ["MIB", "TREE", "change_tree", "digests", "make_tree", "payload", "read_tree"]

MIB = 1 << 20

# Relative path: size. Names that clients and servers like to mangle, an empty file, one beyond a transfer block.
TREE = {
    "empty": 0,
    "one-byte": 1,
    "docs/read me.txt": 1_000,
    "docs/a+b=c & d.txt": 2_000,
    "docs/100%25 sure.txt": 3_000,
    "docs/quote's (1) [2] {3} ~.txt": 10,
    "ünïcode/日本語 ключ.txt": 4_000,
    "deep/er/and/deeper/still.bin": 300_000,
    "deep/er.bin": 70_000,
    "media/picture.jpg": 2 * MIB + 17,
}


def payload(size: int, seed: int = 1) -> bytes:
    """`size` bytes that look random and are the same for the same seed."""
    return random.Random(seed).randbytes(size)


def make_tree(root: Path) -> Path:
    """Write the files of TREE beneath `root`, an hour old: who compares times sees them as older than copies."""
    for number, (name, size) in enumerate(TREE.items()):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(payload(size, seed=number))
        _age(path, minutes=60)
    return root


def change_tree(root: Path) -> None:
    """Give one file of the tree other content of another size, and remove another."""
    changed = root / "docs/read me.txt"
    changed.write_bytes(b"changed, and of another size")
    _age(changed, minutes=30)
    (root / "one-byte").unlink()


def _age(path: Path, minutes: int) -> None:
    then = time.time() - 60 * minutes
    os.utime(path, (then, then))


def read_tree(root: Path) -> dict[str, bytes]:
    """Every file beneath `root`, by relative path; the gateway's own `.s3gate` directories are left out."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and ".s3gate" not in path.relative_to(root).parts
    }


def digests(root: Path) -> dict[str, str]:
    """`read_tree` with SHA-256 in place of the content: what a failed comparison prints stays readable."""
    return {name: hashlib.sha256(content).hexdigest() for name, content in read_tree(root).items()}

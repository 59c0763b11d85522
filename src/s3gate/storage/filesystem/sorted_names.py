"""A sorted set of names in little memory: pieces of some hundred names each, every one joined into one bytes object."""

from __future__ import annotations

import sys
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Iterator

__all__ = ["RUN", "NameSorter", "Position", "SortedNames"]

_BETWEEN = b"\xff"  # no UTF-8 has that byte
_PIECE = 512  # names in a new piece; one that grew to twice as many is cut
RUN = 8192  # names that are sorted at once: other threads wait for some milliseconds at most
_STRETCH = 2048  # names that are merged at once


class SortedNames:
    """An immutable set of names (UTF-8) in byte order: about one byte a name beyond the names themselves.

    A million names of 24 bytes take 25 MB, where a list of them takes 65 MB. A change copies the pieces it touches and
    the list of pieces, so that whoever walks the names meanwhile keeps the old ones.
    """

    __slots__ = ("_count", "_firsts", "_pieces", "size")

    def __init__(self, pieces: list[bytes], firsts: list[bytes], count: int, size: int) -> None:
        self._pieces = pieces
        self._firsts = firsts
        self._count = count
        self.size = size  # bytes of memory, about

    @classmethod
    def of(cls, names: Collection[bytes]) -> SortedNames:
        """The set of these names."""
        ordered = sorted(set(names))
        cut = _cut(ordered)
        pieces, firsts = [_BETWEEN.join(piece) for piece in cut], [piece[0] for piece in cut]
        return cls(pieces, firsts, len(ordered), _size(pieces, firsts))

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            yield from piece.split(_BETWEEN)

    def __contains__(self, name: bytes) -> bool:
        place = bisect_right(self._firsts, name) - 1
        return place >= 0 and name in self._pieces[place].split(_BETWEEN)

    def piece(self, number: int) -> list[bytes]:
        """The names of one piece, none behind the last."""
        return self._pieces[number].split(_BETWEEN) if number < len(self._pieces) else []

    def piece_of(self, name: bytes) -> int:
        """The number of the piece that has the first name that is not less than `name`, or the one before it."""
        return max(bisect_right(self._firsts, name) - 1, 0)

    def changed(self, added: Iterable[bytes], removed: Iterable[bytes]) -> SortedNames:
        """The set with `added` and without `removed`, which have no name in common."""
        touched: dict[int, tuple[set[bytes], set[bytes]]] = {}
        for which, names in enumerate((added, removed)):
            for name in names:
                touched.setdefault(self.piece_of(name), (set(), set()))[which].add(name)
        pieces, firsts = self._pieces.copy(), self._firsts.copy()
        count, size = self._count, self.size
        for number in sorted(touched, reverse=True):
            before = set(self.piece(number))
            after = sorted((before | touched[number][0]) - touched[number][1])
            count += len(after) - len(before)
            new = [after] if 0 < len(after) <= 2 * _PIECE else _cut(after)
            size -= _size(pieces[number : number + 1], firsts[number : number + 1])
            joined, heads = [_BETWEEN.join(piece) for piece in new], [piece[0] for piece in new]
            size += _size(joined, heads)
            pieces[number : number + 1], firsts[number : number + 1] = joined, heads
        return SortedNames(pieces, firsts, count, size)


def _size(pieces: list[bytes], firsts: list[bytes]) -> int:
    return sum(map(sys.getsizeof, pieces)) + sum(map(sys.getsizeof, firsts)) + 16 * len(pieces)


def _cut(ordered: list[bytes]) -> list[list[bytes]]:
    return [ordered[start : start + _PIECE] for start in range(0, len(ordered), _PIECE)]


class Position:
    """A place among sorted names, that only moves on."""

    __slots__ = ("_index", "_names", "_number", "_piece")

    def __init__(self, names: SortedNames, lower: bytes) -> None:
        self._names = names
        self._number = names.piece_of(lower)
        self._piece = names.piece(self._number)
        self._index = bisect_left(self._piece, lower)

    def take(self, limit: int) -> list[bytes]:
        """The next names, at most `limit`, at least one but at the end."""
        if self._index >= len(self._piece):
            self._number += 1
            self._piece = self._names.piece(self._number)
            self._index = 0
        taken = self._piece[self._index : self._index + limit]
        self._index += len(taken)
        return taken

    def back(self, count: int) -> None:
        """Give back the last `count` names of what was taken last."""
        self._index -= count

    def move_to(self, lower: bytes) -> None:
        """Go on to the first name that is not less than `lower`, if that is ahead."""
        number = self._names.piece_of(lower)
        if number > self._number:
            self._number = number
            self._piece = self._names.piece(number)
            self._index = 0
        self._index = bisect_left(self._piece, lower, min(self._index, len(self._piece)))


class NameSorter:
    """Makes sorted names of many, in any order, without a step that would keep other threads waiting for long."""

    def __init__(self) -> None:
        self._runs: list[list[str]] = []

    def add(self, names: list[str]) -> None:
        """Take some names, best RUN at once; the list is the sorter's from here on.

        They are text as os.scandir gives it, which sorts as its UTF-8 does. What is no UTF-8 is left out.
        """
        try:
            "".join(names).encode()
        except UnicodeEncodeError:
            names = [name for name in names if _is_text(name)]
        names.sort()
        if names:
            self._runs.append(names)

    def names(self) -> SortedNames:
        """All that was added, each once. The sorter is empty afterwards."""
        total = sum(map(len, self._runs))
        sample = sorted(name for run in self._runs for name in run[::_PIECE])
        step = max(1, len(sample) * _STRETCH // total) if total else 1
        starts = [0] * len(self._runs)
        pieces: list[bytes] = []
        firsts: list[bytes] = []
        count = 0
        for end in [*sample[step::step], None]:
            stretch: list[str] = []
            for number, run in enumerate(self._runs):
                start = starts[number]
                starts[number] = stop = len(run) if end is None else bisect_left(run, end, start)
                stretch += run[start:stop]
            stretch = sorted(set(stretch))
            count += len(stretch)
            for first in range(0, len(stretch), _PIECE):
                piece = stretch[first : first + _PIECE]
                pieces.append("\udcff".join(piece).encode(errors="surrogateescape"))
                firsts.append(piece[0].encode())
        while self._runs:
            self._runs.pop()  # one by one: to let go of a million names at once takes a while, too
        return SortedNames(pieces, firsts, count, _size(pieces, firsts))


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True

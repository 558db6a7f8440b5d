"""A file of JSON objects, one a line, that is only ever appended to and does not grow for ever."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeAlias

Entry: TypeAlias = dict[str, Any]
"""A line, as it was read; nothing in it is checked."""

SIZE_MAX: Final = 1_000_000
"""Bytes of one file."""


class JsonLines:
    """That file: at `size_max` bytes it becomes `NAME.1`, and the one before that goes.

    Several processes may append to it at once.
    """

    def __init__(self, path: Path, size_max: int = SIZE_MAX) -> None:
        self.path: Final = path
        self._before: Final = path.with_name(path.name + ".1")
        self._size_max = size_max

    def append(self, entry: Mapping[str, Any]) -> None:
        """Add a line; it is on the disk (`fdatasync`) when this returns.

        Raises OSError, and TypeError or ValueError for an entry that JSON cannot express.
        """
        # Half of a surrogate pair, as a server or a file's name may have one, becomes JSON's own
        # escape of it, and is read as what it was.
        text = json.dumps(entry, ensure_ascii=False)
        line = text.encode(errors="backslashreplace") + b"\n"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        while not self._appended(line):
            pass

    def exists(self) -> bool:
        """Whether anything was ever written, be it empty by now."""
        # In this order: the present one may become the one before in between.
        return self.path.exists() or self._before.exists()

    def read(self) -> Iterator[Entry]:
        """The entries, oldest first, of the file before and of the present one, as they are when
        the first is asked for.  What is no entry is left out."""
        with contextlib.ExitStack() as stack:
            for file in [stack.enter_context(one) for one in _opened(self._before, self.path)]:
                for line in file:
                    yield from _parsed(line)

    def tail(self) -> Tail:
        """What there is, and what comes."""
        return Tail(self.path, self._before)

    def _appended(self, line: bytes) -> bool:
        """Whether it was, and is not to be tried again with another file."""
        with self.path.open("a+b") as file:
            # Of two that find it full only one may put it away: the other's would be the new one.
            fcntl.flock(file, fcntl.LOCK_EX)
            size = file.seek(0, os.SEEK_END)
            if _replaced(file, self.path):
                return False
            if size and size + len(line) > self._size_max:
                self.path.replace(self._before)
                return False
            # What a power cut has left unfinished must not spoil this line as well.
            if size and not _ends_well(file):
                line = b"\n" + line
            file.write(line)
            file.flush()
            os.fdatasync(file.fileno())
            return True


class Tail:
    """Reads on, from one file into the next."""

    def __init__(self, path: Path, before: Path) -> None:
        self._path = path
        self._before = before
        self._file: BinaryIO | None = None
        """The newest that was read, wherever it is by now."""
        self._rest = b""

    def read(self) -> list[Entry]:
        """The entries so far, at the first time; then those that have come since the last time."""
        if self._file is None:
            return self._next()
        # Asked first: whatever is found after it was written before it.
        replaced = _replaced(self._file, self._path)
        found = self._entries(self._file.read())
        return found + self._next() if replaced else found

    def close(self) -> None:
        """Give the file back.  Safe to call twice."""
        if self._file is not None:
            self._file.close()
        self._file, self._rest = None, b""

    def _next(self) -> list[Entry]:
        """The entries of the files that came after the one that was read."""
        found: list[Entry] = []
        for file in _opened(self._before, self._path):
            if self._file is not None and os.path.sameopenfile(self._file.fileno(), file.fileno()):
                file.close()
                continue
            self.close()
            self._file = file
            found += self._entries(file.read())
        return found

    def _entries(self, data: bytes) -> list[Entry]:
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [entry for line in lines for entry in _parsed(line)]


def _opened(before: Path, path: Path) -> list[BinaryIO]:
    """Those of the two files that there are, as they are at one moment; the caller closes them."""
    while True:
        with contextlib.ExitStack() as stack:
            present = _open(path, stack)
            older = _open(before, stack)
            # The present one may have become the one before in between, and a new one begun.
            if path.exists() if present is None else _replaced(present, path):
                continue
            stack.pop_all()
            return [file for file in (older, present) if file is not None]


def _open(path: Path, stack: contextlib.ExitStack) -> BinaryIO | None:
    try:
        return stack.enter_context(path.open("rb"))
    except FileNotFoundError:
        return None


def _ends_well(file: BinaryIO) -> bool:
    file.seek(-1, os.SEEK_END)
    return file.read(1) == b"\n"


def _replaced(file: BinaryIO, path: Path) -> bool:
    try:
        return path.stat().st_ino != os.fstat(file.fileno()).st_ino
    except FileNotFoundError:
        return True


def _parsed(line: bytes) -> Iterator[Entry]:
    try:
        entry = json.loads(line)
    except ValueError:
        return
    if isinstance(entry, dict):
        yield entry

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

    def read(self) -> Iterator[Entry]:
        """The entries, oldest first, of the file before and of the present one.  What is no entry
        is left out."""
        for one in (self._before, self.path):
            with contextlib.suppress(FileNotFoundError), one.open("rb") as file:
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
        self._before: Path | None = before
        self._file: BinaryIO | None = None
        self._rest = b""

    def read(self) -> list[Entry]:
        """The entries so far, at the first time; then those that have come since the last time."""
        found: list[Entry] = []
        if self._before is not None:
            with contextlib.suppress(FileNotFoundError):
                found += self._entries(self._before.read_bytes())
            self._before, self._rest = None, b""
        while True:
            if self._file is None:
                try:
                    self._file = self._path.open("rb")
                except FileNotFoundError:
                    return found
            # Asked first: whatever is found after it was written before it.
            replaced = _replaced(self._file, self._path)
            found += self._entries(self._file.read())
            if not replaced:
                return found
            self.close()

    def close(self) -> None:
        """Give the file back.  Safe to call twice."""
        if self._file is not None:
            self._file.close()
        self._file, self._rest = None, b""

    def _entries(self, data: bytes) -> list[Entry]:
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [entry for line in lines for entry in _parsed(line)]


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

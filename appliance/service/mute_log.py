"""The log of who muted what, when and why: JSON lines that are only ever appended to.

A line is an object with `time` (UTC, ISO 8601, ms), `device` (its name; devices that one user
starts by hand share a log, and old lines have none), `what` ("microphone", "camera"), `who` (a
value of `Party`), `why` (a few words), `act` ("close" or "open": what `who` did), `open`
(whether the gate is open after it) and `closers` (all who hold it).
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeAlias

from appliance.media.gate import Gate

log = logging.getLogger(__name__)

Entry: TypeAlias = dict[str, Any]
"""A line, as it was read; nothing in it is checked."""

NAME: Final = "mute.jsonl"
"""The file's name in the state directory; `mute.jsonl.1` is the one before it."""

SIZE_MAX: Final = 1_000_000
"""Bytes of one file; with the one before it, at least the last 5,000 changes are kept."""

_POLL: Final = 0.25
"""Seconds between two looks of `follow`."""


def state_directory() -> Path:
    """Where a device keeps what it has to remember: systemd's, or the user's own."""
    given = os.environ.get("STATE_DIRECTORY", "").partition(":")[0]
    if given:
        return Path(given)
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "roomlet"


class MuteLog:
    """Writes the changes of the gates of the device of that name.

    The gates change on any thread and must not wait for a disk, so a thread of its own writes,
    and each line is on the disk (`fdatasync`) before the next one is begun.  A file that cannot
    be written is said once; the device goes on.
    """

    def __init__(self, path: Path, device: str, *, size_max: int = SIZE_MAX) -> None:
        self.path: Final = path
        self._device = device
        self._size_max = size_max
        self._lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._ends: list[Callable[[], None]] = []
        self._thread: threading.Thread | None = None
        self._broken = False

    def start(self) -> None:
        """Begin to write."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="mute log", daemon=True)
            self._thread.start()

    def follow(self, gate: Gate, what: str) -> None:
        """Write each change of a gate from now on."""

        def changed(moved: Gate) -> None:
            self._lines.put(_line(moved, self._device, what))

        self._ends.append(gate.subscribe(changed))

    def stop(self) -> None:
        """Write what is left, and follow no longer.  Safe to call twice."""
        for end in self._ends:
            end()
        self._ends.clear()
        thread, self._thread = self._thread, None
        if thread is not None:
            self._lines.put(None)
            thread.join()

    def _run(self) -> None:
        while (line := self._lines.get()) is not None:
            try:
                self._write(line)
                self._broken = False
            except OSError as error:
                if not self._broken:
                    reason = (error.strerror or "cannot be written").lower()
                    log.error("%s: %s; the log of mutes has a gap now", self.path, reason)
                self._broken = True

    def _write(self, line: bytes) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            if self.path.stat().st_size + len(line) > self._size_max:
                self.path.replace(_before(self.path))
        with self.path.open("ab") as file:
            # What a power cut has left unfinished must not spoil this line as well.
            if file.tell() and not _ends_well(self.path):
                line = b"\n" + line
            file.write(line)
            file.flush()
            os.fdatasync(file.fileno())


def read(path: Path) -> Iterator[Entry]:
    """The entries, oldest first, of the file before and of the present one.  What is no entry
    is left out."""
    for one in (_before(path), path):
        with contextlib.suppress(FileNotFoundError), one.open("rb") as file:
            yield from _entries(file)


def follow(path: Path, stopped: threading.Event) -> Iterator[list[Entry]]:
    """The entries so far, be there any or not; then, until `stopped` is set, those that have
    come, as they come."""
    found, so_far = list(read(_before(path))), True
    file: BinaryIO | None = None
    try:
        rest = b""
        while True:
            if file is None:
                with contextlib.suppress(FileNotFoundError):
                    file = path.open("rb")
            # Asked first: whatever is found after it was written before it.
            replaced = file is not None and _replaced(file, path)
            if file is not None:
                *lines, rest = (rest + file.read()).split(b"\n")
                found += (entry for line in lines for entry in _parsed(line))
            if replaced and file is not None:
                file.close()
                file, rest = None, b""
                continue
            if found or so_far:
                yield found
            found, so_far = [], False
            if stopped.wait(_POLL):
                return
    finally:
        if file is not None:
            file.close()


def _line(gate: Gate, device: str, what: str) -> bytes:
    change = gate.last
    assert change is not None
    entry = {
        "time": datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="milliseconds"),
        "device": device,
        "what": what,
        "who": change.by.value,
        "act": "close" if change.after - change.before else "open",
        "why": change.why,
        "open": not change.after,
        "closers": sorted(party.value for party in change.after),
    }
    return json.dumps(entry, ensure_ascii=False).encode() + b"\n"


def _before(path: Path) -> Path:
    return path.with_name(path.name + ".1")


def _ends_well(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"


def _replaced(file: BinaryIO, path: Path) -> bool:
    try:
        return path.stat().st_ino != os.fstat(file.fileno()).st_ino
    except FileNotFoundError:
        return True


def _entries(file: BinaryIO) -> Iterator[Entry]:
    for line in file:
        yield from _parsed(line)


def _parsed(line: bytes) -> Iterator[Entry]:
    try:
        entry = json.loads(line)
    except ValueError:
        return
    if isinstance(entry, dict):
        yield entry

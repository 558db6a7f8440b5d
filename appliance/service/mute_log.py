"""The log of who muted what, when and why: JSON lines that are only ever appended to.

A line is an object with `time` (UTC, ISO 8601, µs), `device` (its name; devices that one user
starts by hand share a log, and old lines have none), `what` ("microphone", "camera"), `who` (a
value of `Party`), `why` (a few words), `act` ("close" or "open": what `who` did), `open`
(whether the gate is open after it) and `closers` (all who hold it).

What the lease does is in a file of its own beside it: on a busy machine there is so much of it that
what people did would soon be forgotten.
"""

from __future__ import annotations

import heapq
import logging
import os
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from appliance.media.gate import Gate, Party
from appliance.service.json_lines import SIZE_MAX, Entry, JsonLines

log = logging.getLogger(__name__)

NAME: Final = "mute.jsonl"
"""The file's name in the state directory; once there is one before it, the two hold more than
`SIZE_MAX` bytes, about the last 5,000 changes of some 200 bytes each."""

LAPSES: Final = "mute-lease.jsonl"
"""The same for what the lease did."""

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
    """Writes the changes of the gates of the device of that name, into `directory`.

    The gates change on any thread and must not wait for a disk, so a thread of its own writes,
    and each line is on the disk before the next one is begun.  A file that cannot be written is
    said once, and so is an entry that cannot; the device goes on, and so does the log.
    """

    def __init__(self, directory: Path, device: str, *, size_max: int = SIZE_MAX) -> None:
        self.directory: Final = directory
        self._device = device
        self._changes = JsonLines(directory / NAME, size_max)
        self._lapses = JsonLines(directory / LAPSES, size_max)
        self._entries: queue.SimpleQueue[Entry | None] = queue.SimpleQueue()
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
            self._entries.put(_entry(moved, self._device, what))

        self._ends.append(gate.subscribe(changed))

    def stop(self) -> None:
        """Write what is left, and follow no longer.  Safe to call twice."""
        for end in self._ends:
            end()
        self._ends.clear()
        thread, self._thread = self._thread, None
        if thread is not None:
            self._entries.put(None)
            thread.join()

    def _run(self) -> None:
        while (entry := self._entries.get()) is not None:
            file = self._lapses if entry["who"] == Party.LEASE.value else self._changes
            try:
                file.append(entry)
                self._broken = False
            except OSError as error:
                reason = (error.strerror or "cannot be written").lower()
                self._gap("%s: %s; the log of mutes has a gap now", file.path, reason)
            except Exception:
                # It must not end the thread: all that comes after it would be lost, too.
                self._gap("%s: an entry cannot be written", file.path, exc_info=True)

    def _gap(self, message: str, *arguments: object, exc_info: bool = False) -> None:
        if not self._broken:
            log.error(message, *arguments, exc_info=exc_info)
        self._broken = True


def exists(directory: Path) -> bool:
    """Whether there is a log, be it an empty one.  May raise PermissionError."""
    return any(JsonLines(directory / name).exists() for name in (NAME, LAPSES))


def read(directory: Path) -> Iterator[Entry]:
    """The entries, oldest first.  What is no entry is left out."""
    return _merged(JsonLines(directory / name).read() for name in (NAME, LAPSES))


def follow(directory: Path, stopped: threading.Event) -> Iterator[list[Entry]]:
    """The entries so far; then, until `stopped` is set, those that have come since the last time,
    four times a second, be there any or not."""
    tails = [JsonLines(directory / name).tail() for name in (NAME, LAPSES)]
    try:
        yield list(_merged(tail.read() for tail in tails))
        ended = False
        while not ended:
            ended = stopped.wait(_POLL)
            yield list(_merged(tail.read() for tail in tails))
    finally:
        for tail in tails:
            tail.close()


def _merged(files: Iterable[Iterable[Entry]]) -> Iterator[Entry]:
    return heapq.merge(*files, key=lambda entry: str(entry.get("time")))


def _entry(gate: Gate, device: str, what: str) -> Entry:
    change = gate.last
    assert change is not None
    return {
        # So fine that the files are put together in the order in which it happened.
        "time": datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="microseconds"),
        "device": device,
        "what": what,
        "who": change.by.value,
        "act": "close" if change.after - change.before else "open",
        "why": change.why,
        "open": not change.after,
        "closers": sorted(party.value for party in change.after),
    }

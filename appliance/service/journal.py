"""What goes to the log: as structured entries where systemd's journal listens, else as lines.

Entries carry the fields `ROOM`, `MEMBER_ID` and, where a message is about one, `DEVICE` (its id),
and the few that matter a `MESSAGE_ID`.  `journalctl MESSAGE_ID=... ROOM=demo` finds them.

No secret is written, whoever logs it: `Secrets` blackens what it was told of and what looks like a
token or a password in an address, in messages, arguments and tracebacks alike.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import sys
from collections.abc import Callable, Mapping
from enum import Enum
from importlib import import_module
from typing import Any, Final, TextIO

IDENTIFIER: Final = "roomlet"

FIELDS: Final = ("ROOM", "MEMBER_ID", "DEVICE", "MESSAGE_ID")
"""The fields of ours that an entry may have; nothing else of a record reaches the journal."""

MASK: Final = "[secret]"

SHORTEST: Final = 4
"""Characters of the shortest secret that is blackened wherever it stands: a shorter one would
blacken half of each line, and is none."""


class Message(Enum):
    """The messages that matter, and their ids, which never change."""

    JOINED = "c1d3f2e0a5f34c3b9b1f5a2f7d1e6a01"
    """The device is in its room."""
    LEFT = "c1d3f2e0a5f34c3b9b1f5a2f7d1e6a02"
    """The device is out of its room."""
    FAULT = "c1d3f2e0a5f34c3b9b1f5a2f7d1e6a03"
    """The device is out of order."""
    STUCK = "c1d3f2e0a5f34c3b9b1f5a2f7d1e6a04"
    """A thread at a device stands still; the service manager is about to start it anew."""
    CONFIG_TAKEN = "c1d3f2e0a5f34c3b9b1f5a2f7d1e6a05"
    """Another configuration is in force."""
    CONFIG_REFUSED = "c1d3f2e0a5f34c3b9b1f5a2f7d1e6a06"
    """A configuration was refused, or taken back."""
    UPDATE = "c1d3f2e0a5f34c3b9b1f5a2f7d1e6a07"
    """The machine is about to be updated or restarted, or that is over."""
    BOOKED = "c1d3f2e0a5f34c3b9b1f5a2f7d1e6a08"
    """The device comes for a booked meeting, or goes after it."""
    # ...6a09: a lock at the panel's door, see `appliance.panel.access`.

    @property
    def extra(self) -> dict[str, str]:
        """For the parameter `extra` of a logger's methods."""
        return {"MESSAGE_ID": self.value}


class Secrets:
    """What must not be read in a log."""

    _LOOKS: Final = (
        # A JSON Web Token: two parts of JSON in base64url, and a signature.
        re.compile(r"\beyJ[\w-]{4,}\.[\w-]{4,}(?:\.[\w-]*)?"),
        # The password in an address.
        re.compile(r"(?<=://)[^/@\s:]*:[^/@\s]+(?=@)"),
        re.compile(r"(?i)(?<=bearer )[\w.~+/=-]+"),
        re.compile(r"(?i)(?<=basic )[\w.~+/=-]{8,}"),
    )

    def __init__(self) -> None:
        self._known: tuple[str, ...] = ()
        """The longest first: of two that begin alike the shorter would leave the longer's rest."""

    def add(self, secret: str) -> None:
        """Blacken this from now on."""
        if len(secret) >= SHORTEST:
            # Replaced as a whole: other threads log meanwhile.
            self._known = tuple(sorted({*self._known, secret}, key=len, reverse=True))

    def blacken(self, text: str) -> str:
        """The text without secrets."""
        for secret in self._known:
            text = text.replace(secret, MASK)
        for looks in self._LOOKS:
            text = looks.sub(MASK, text)
        return text


SECRETS: Final = Secrets()
"""Those of this process."""


class Blackened(logging.Formatter):
    """A formatter whose lines hold no secret, tracebacks included."""

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter.format`."""
        return SECRETS.blacken(super().format(record))


class Journal(logging.Handler):
    """Sends records to systemd's journal by its own handler, with the fields of `context`.

    `sender` takes the message and the fields as keywords: `systemd.journal.send`.
    """

    def __init__(self, sender: Callable[..., object] | None = None) -> None:
        super().__init__()
        journal: Any = import_module("systemd.journal")
        extra = {"SYSLOG_IDENTIFIER": IDENTIFIER}
        self._inner: logging.Handler = journal.JournalHandler(
            **({} if sender is None else {"sender_function": sender}), **extra
        )
        self._inner.setFormatter(Blackened("%(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """See `logging.Handler.emit`."""
        # The handler sends whatever a record holds, its arguments too: it gets one that holds
        # no more than it should.
        clean = logging.LogRecord(
            record.name,
            record.levelno,
            record.pathname,
            record.lineno,
            SECRETS.blacken(record.getMessage()),
            None,
            None,
            record.funcName,
        )
        clean.threadName, clean.processName = record.threadName, record.processName
        if record.exc_info:
            trace = logging.Formatter().formatException(record.exc_info)
            clean.exc_text = SECRETS.blacken(trace)
        for name in FIELDS:
            value = record.__dict__.get(name, _context.get(name))
            if value:
                clean.__dict__[name] = SECRETS.blacken(str(value))
        self._inner.emit(clean)


_context: dict[str, str] = {}


def describe(fields: Mapping[str, str]) -> None:
    """Give each entry from now on these of FIELDS, in place of those that were given before."""
    global _context
    # Replaced as a whole: other threads log meanwhile.
    _context = dict(fields)


def handler(stream: TextIO = sys.stderr) -> logging.Handler:
    """Where the log goes: the journal, if that is where `stream` ends, else `stream`."""
    with contextlib.suppress(ImportError):
        if _is_journal(stream):
            return Journal()
    lines = logging.StreamHandler(stream)
    lines.setFormatter(Blackened("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    return lines


def _is_journal(stream: TextIO) -> bool:
    """Whether systemd connected `stream` to its journal, and nobody redirected it since."""
    try:
        device, inode = (int(n) for n in os.environ["JOURNAL_STREAM"].split(":"))
        status = os.fstat(stream.fileno())
    except (KeyError, ValueError, OSError):
        return False
    return (status.st_dev, status.st_ino) == (device, inode)

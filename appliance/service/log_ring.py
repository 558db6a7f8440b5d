"""The last lines of this process's log, kept in memory for the panel and for a bundle.

No secret is among them: each line is blackened as those of the journal are, when it is kept and
once more when it is read, for what has been learnt to be a secret since.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from appliance.service import journal

KEPT: Final = 500
"""Lines."""

LONGEST: Final = 4000
"""Characters of one line, its traceback included; a longer one loses its middle."""


@dataclass(frozen=True, slots=True)
class Line:
    """One entry of the log; `number` counts from 1 and never repeats within a process."""

    number: int
    time: float
    """Seconds since the epoch."""
    level: int
    """As in `logging`."""
    logger: str
    text: str
    """The message, and the traceback below it where there is one."""


class LogRing(logging.Handler):
    """Keeps the newest `kept` entries.  Safe from any thread."""

    def __init__(self, kept: int = KEPT) -> None:
        super().__init__()
        self.setFormatter(journal.Blackened("%(message)s"))
        self._lines: deque[Line] = deque(maxlen=kept)
        self._count = 0
        self._observers: tuple[Callable[[], None], ...] = ()

    def emit(self, record: logging.LogRecord) -> None:
        """See `logging.Handler.emit`."""
        try:
            text = _shortened(self.format(record))
        except Exception:
            self.handleError(record)
            return
        # Under the handler's own lock.
        self._count += 1
        self._lines.append(Line(self._count, record.created, record.levelno, record.name, text))
        for observer in self._observers:
            observer()

    def since(self, number: int = 0) -> list[Line]:
        """The lines that are kept of those after `number`, the oldest first."""
        with self._held():
            found = [line for line in self._lines if line.number > number]
        return [replace(line, text=journal.SECRETS.blacken(line.text)) for line in found]

    def subscribe(self, observer: Callable[[], None]) -> Callable[[], None]:
        """Call `observer` after each line, on the thread that logged it; it must not log.
        Returns what ends it."""
        with self._held():
            self._observers += (observer,)

        def unsubscribe() -> None:
            with self._held():
                self._observers = tuple(one for one in self._observers if one is not observer)

        return unsubscribe

    def _held(self) -> threading.RLock:
        assert self.lock is not None, "see logging.Handler.createLock"
        return self.lock


def _shortened(text: str) -> str:
    if len(text) <= LONGEST:
        return text
    half = LONGEST // 2
    return f"{text[:half]}\n[{len(text) - 2 * half} characters left out]\n{text[-half:]}"


RING: Final = LogRing()
"""That of this process."""

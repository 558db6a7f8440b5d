"""Lines in the log of which whoever asks decides how often there is cause for them."""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Final

__all__ = ["Seldom", "SeldomWarnings"]

_PERIOD: Final = 60.0
"""Seconds between two lines."""


class Seldom:
    """Lets pass one line a minute. `clock` gives seconds that only ever grow."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._quiet_until = float("-inf")

    def due(self) -> bool:
        """Whether there may be a line now; who is told so writes it."""
        now = self._clock()
        if now < self._quiet_until:
            return False
        self._quiet_until = now + _PERIOD
        return True


class SeldomWarnings(logging.Filter):
    """Lets pass one warning a minute of each wording, and every error."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._by_wording: defaultdict[str, Seldom] = defaultdict(lambda: Seldom(clock))

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether this line passes. Its wording is what it was before values were put in."""
        return record.levelno > logging.WARNING or self._by_wording[str(record.msg)].due()

"""A steady beat for the threads that mix and paint."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final


class Metronome:
    """Beats every `period` seconds, counted from the first wait, so that no error adds up.

    Who is late by less than one period gets the beat at once and is in time again.  Of whole
    periods that were missed, up to `catch_up` are made good one by one, at twice the pace
    and never in a burst; when more are missed, all of them are skipped.
    """

    def __init__(
        self,
        period: float,
        *,
        catch_up: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.period: Final = period
        self.skipped = 0
        """Beats that were never made good, since the start."""
        self._catch_up = catch_up
        self._clock = clock
        self._due: float | None = None
        self._last = float("-inf")

    def wait(self, stop: threading.Event) -> int:
        """Sleep until the next beat.  Returns by how many periods time has moved on since the
        last one, 1 unless beats were skipped, or 0 as soon as `stop` is set."""
        delay, beats = self._next(self._clock())
        if stop.wait(delay) if delay > 0 else stop.is_set():
            return 0
        self._last = self._clock()
        return beats

    def rest(self) -> None:
        """Forget the beat: the next wait starts a new one at once, and nothing was missed."""
        self._due = None

    def _next(self, now: float) -> tuple[float, int]:
        """Seconds to sleep, and the periods that the beat after them stands for."""
        if self._due is None:
            self._due = now
        beats = 1
        missed = int((now - self._due) / self.period)
        if missed > self._catch_up:
            self._due += missed * self.period
            self.skipped += missed
            beats += missed
        due = self._due
        if self._catch_up:
            due = max(due, self._last + self.period / 2)
        self._due += self.period
        return due - now, beats

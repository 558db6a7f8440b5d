"""How many pictures a second really come."""

from __future__ import annotations

import threading
from collections import deque
from typing import Final

WINDOW_S: Final = 2.0
"""The past that is looked at: long enough for a steady figure, short enough to see a change."""

_LEAST: Final = 5
"""Pictures below which a figure would be chance."""


class RateMeter:
    """Counts pictures by their own timestamps.  May be read from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._moments: deque[float] = deque()

    def reset(self) -> None:
        """Begin anew, when the camera is opened."""
        with self._lock:
            self._moments.clear()

    def tick(self, moment: float) -> None:
        """A picture taken at `moment`, in seconds of a clock of the camera's.  A clock that
        goes back begins the count anew."""
        with self._lock:
            if self._moments and moment < self._moments[-1]:
                self._moments.clear()
            self._moments.append(moment)
            while moment - self._moments[0] > WINDOW_S:
                self._moments.popleft()

    @property
    def rate(self) -> float | None:
        """Pictures a second within the last WINDOW_S; None while they are too few to tell."""
        with self._lock:
            if len(self._moments) < _LEAST:
                return None
            span = self._moments[-1] - self._moments[0]
            return (len(self._moments) - 1) / span if span > 0 else None

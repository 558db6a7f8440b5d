"""Tone bursts of other devices, found in what the speaker plays.

A synthetic microphone speaks a burst of half a second from each whole second of CLOCK_MONOTONIC
on.  On the same machine the time from the whole second to the burst's beginning at the speaker
is the latency of sound, from mouth to ear.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from typing import Final

import numpy as np

from appliance.media.opus import Samples
from hal.audio import PERIOD, RATE
from hal.audio.spectrum import SILENCE

ON_DBFS: Final = -40.0
"""A period that is louder at the frequency belongs to a burst."""

OFF_DBFS: Final = -50.0
"""A quieter one does not; in between it stays as it was."""

BURST_S: Final = 0.5
"""How long a whole burst is."""

TOLERANCE_S: Final = 0.03
"""A burst that is shorter or longer by more was cut by a mute or a gap and tells no latency."""

MEMORY_S: Final = 1.2
"""How far `level_dbfs` looks back: over one whole second of the pattern, and a bit."""


class ToneListener:
    """Listens for one frequency.  `hear` belongs to one thread; the rest is safe from any."""

    def __init__(self, frequency: float) -> None:
        self.frequency: Final = frequency
        turns = np.arange(PERIOD) * (2 * math.pi * frequency / RATE)
        self._wave = np.exp(-1j * turns) * (2 / PERIOD / 32768)
        self._lock = threading.Lock()
        self._levels: deque[tuple[float, float]] = deque()
        self._latencies: deque[float] = deque(maxlen=1000)
        self._bursts = 0
        self._on = False
        self._onset = 0.0
        self._edge: tuple[float, float] | None = None

    @property
    def bursts(self) -> int:
        """Whole bursts so far."""
        return self._bursts

    def latencies(self) -> list[float]:
        """Seconds from mouth to ear, of each whole burst."""
        with self._lock:
            return list(self._latencies)

    def level_dbfs(self, now: float) -> float:
        """The loudest period of the last MEMORY_S seconds, by its peak at the frequency."""
        with self._lock:
            recent = [level for at, level in self._levels if at >= now - MEMORY_S]
        return max(recent, default=SILENCE)

    def hear(self, samples: Samples, at: float) -> None:
        """Take one period; its first sample is heard at `at` (`time.monotonic`)."""
        amplitude = float(abs(np.dot(samples, self._wave)))
        level = max(20 * math.log10(amplitude), SILENCE) if amplitude > 0 else SILENCE
        with self._lock:
            self._levels.append((at, level))
            while self._levels[0][0] < at - 2 * MEMORY_S:
                self._levels.popleft()
            self._follow(amplitude, level, at)

    def _follow(self, amplitude: float, level: float, at: float) -> None:
        if self._edge is not None:
            # A burst that began within its first period fills that one in part.  The second
            # one tells what a full period has.
            began, part = self._edge
            self._onset = began + PERIOD / RATE * (1 - min(1.0, part / max(amplitude, 1e-9)))
            self._edge = None
        if not self._on and level > ON_DBFS:
            self._on = True
            self._edge = (at, amplitude)
        elif self._on and level < OFF_DBFS:
            self._on = False
            length = at - self._onset
            latency = self._onset % 1.0
            # The end is seen one period late at most.
            if abs(length - BURST_S) <= TOLERANCE_S and latency < 1.0 - TOLERANCE_S:
                self._bursts += 1
                self._latencies.append(latency)

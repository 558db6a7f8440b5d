"""How loud sound is, for people to look at."""

from __future__ import annotations

import math
import threading
from typing import Final

import numpy as np

from appliance.media.opus import Samples

SILENCE_DBFS: Final = -96.0
"""The level of digital silence, as 16 bits can tell it."""


class Meter:
    """Adds up the power of what passes on one thread, until another one looks."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._energy = 0.0
        self._count = 0

    def add(self, samples: Samples) -> None:
        """This has passed."""
        energy = float(np.sum(np.square(samples, dtype=np.float64)))
        with self._lock:
            self._energy += energy
            self._count += samples.size

    def take(self) -> float | None:
        """The level of all that passed since the last look, RMS in dBFS; None if nothing did."""
        with self._lock:
            energy, count = self._energy, self._count
            self._energy, self._count = 0.0, 0
        return dbfs(energy / count) if count else None


def dbfs(power: float) -> float:
    """The level of a mean square of 16 bit samples."""
    return max(SILENCE_DBFS, 10 * math.log10(max(power, 1e-9) / 32768.0**2))

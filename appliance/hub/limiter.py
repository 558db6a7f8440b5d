"""Keeps a sum of voices within 16 bit without wrapping round and without clipping."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

CEILING: Final = 10 ** (-0.3 / 20) * 32768
"""The largest sample that comes out, 0.3 dB below full scale: the codec overshoots a little."""

_STEP: Final = 120
"""Samples between two points of the gain's curve, and the delay: 2.5 ms at 48 kHz."""

_RELEASE: Final = 1 - math.exp(-0.0025 / 0.15)
"""Part of the way back to full gain that is made in one step: a time constant of 150 ms, slow
enough not to be heard on a vowel."""


class Limiter:
    """Turns down what is louder than `CEILING`, and comes back slowly.

    It looks 2.5 ms ahead, so the gain is down before the peak arrives, without a step; that
    long is the delay of the sound too.  What is never too loud passes unchanged.
    """

    def __init__(self) -> None:
        self._gain = 1.0
        self._ahead = np.zeros(_STEP, np.float32)
        self._ahead_needs = 1.0

    def process(self, samples: NDArray[np.float32]) -> NDArray[np.int16]:
        """The same number of samples, which must be a multiple of 120, in 16 bit."""
        out = np.concatenate((self._ahead, samples[:-_STEP]))
        self._ahead = samples[-_STEP:].copy()
        # What each step that comes out in this call may be multiplied with, and the one after.
        peaks = np.abs(samples).reshape(-1, _STEP).max(axis=1)
        needs = [self._ahead_needs, *np.minimum(1.0, CEILING / np.maximum(peaks, 1.0)).tolist()]
        self._ahead_needs = needs[-1]
        if self._gain < 1.0 or min(needs) < 1.0:
            out *= self._curve(needs)
        # The curve keeps below the ceiling but for rounding.
        return np.rint(np.clip(out, -CEILING, CEILING)).astype(np.int16)

    def _curve(self, needs: list[float]) -> NDArray[np.float32]:
        """Straight lines between points, each no higher than what both its sides need."""
        points = [self._gain]
        for before, after in pairwise(needs):
            gain = points[-1] + _RELEASE * (1.0 - points[-1])
            points.append(min(before, after, gain if gain < 0.9995 else 1.0))
        self._gain = points[-1]
        at = np.arange(len(points)) * _STEP
        return np.interp(np.arange(at[-1]), at, points).astype(np.float32)

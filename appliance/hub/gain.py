"""How loud a voice goes into the mix, and how loud it is there."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

SILENCE_DBFS: Final = -127.0
"""The level of silence, and the lowest there is (as in RFC 6464)."""

_DB_PER_STEP: Final = 0.5

_FADE: Final = 240
"""Samples that a change of gain takes: 5 ms at 48 kHz, long enough not to click."""

_HOLD: Final = 20
"""Calls (400 ms of 20 ms each) for which a gate stays open after a loud one: the pauses
inside a sentence are shorter."""


def volume_gain(volume: float) -> float:
    """The factor for a volume of -50 to 50: half a dB a step, so 25 dB down and up.

    -50 is silence.  Values beyond the ends count as the ends.
    """
    if volume <= -50:
        return 0.0
    return 10 ** (min(volume, 50) * _DB_PER_STEP / 20)


def input_gate(sensitivity: float) -> float:
    """The level in dBFS that a voice must reach to be let into the mix.

    0 lets nothing in, 100 everything; between them the level falls by 1.2 dB a step from -20 dBFS:
    -56 at 30, below a quiet voice and above a fan, and -80 at 50.
    """
    if sensitivity <= 0:
        return math.inf
    if sensitivity >= 100:
        return -math.inf
    return -20 - 1.2 * sensitivity


def dbfs(samples: NDArray[np.float32]) -> float:
    """The root mean square in dB below a full scale of 32768, not under `SILENCE_DBFS`.

    The loudest sine has -3.
    """
    power = float(np.dot(samples, samples)) / max(len(samples), 1) / 32768.0**2
    return max(SILENCE_DBFS, 10 * math.log10(power)) if power > 0 else SILENCE_DBFS


class Fader:
    """One voice on its way into the mix: a gate, a gain, and no clicks between them."""

    def __init__(self) -> None:
        self._gain: float | None = None
        self._open_for = 0

    @property
    def silent(self) -> bool:
        """Whether the last call ended in silence."""
        return not self._gain

    def process(
        self, samples: NDArray[np.int16], gain: float, threshold: float
    ) -> NDArray[np.float32]:
        """The samples times `gain`, or silence while the voice is below `threshold` dBFS.

        A gain that differs from the last call's is reached within 5 ms.
        """
        voice = samples.astype(np.float32)
        if dbfs(voice) >= threshold:
            self._open_for = _HOLD + 1
        elif self._open_for:
            self._open_for -= 1
        target = gain if self._open_for else 0.0
        before = target if self._gain is None else self._gain
        self._gain = target
        ramp(voice, before, target)
        return voice


def ramp(samples: NDArray[np.float32], before: float, after: float) -> None:
    """Multiply in place with a gain that goes from `before` to `after` within 5 ms."""
    fade = min(_FADE, len(samples)) if before != after else 0
    if fade:
        samples[:fade] *= np.linspace(before, after, fade, dtype=np.float32)
    if after != 1.0:
        samples[fade:] *= after

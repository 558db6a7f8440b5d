"""The short tones that tell of who comes and who goes."""

from __future__ import annotations

from collections import deque
from typing import Final, Literal

import numpy as np

from appliance.hub.mixbus import Samples
from appliance.media.opus import FRAME, RATE

Occasion = Literal["entry", "exit"]

LOW: Final = 587.0
HIGH: Final = 880.0
"""Hertz of the two notes, a fifth apart: up for an entry, down for an exit."""

_NOTE: Final = 7 * FRAME
"""Samples of one note: 140 ms."""

_FADE: Final = RATE // 100
"""Samples at both ends of a note: 10 ms, so that it does not click."""

_AMPLITUDE: Final = 1800
"""-28 dBFS: below a voice, above the noise of a room."""

_WAITING_MAX: Final = 2
"""Tones that may wait for their turn: a crowd is not announced one by one."""

_SILENCE: Final = np.zeros(FRAME, np.int16)


def _note(frequency: float) -> Samples:
    samples = _AMPLITUDE * np.sin(2 * np.pi * frequency * np.arange(_NOTE) / RATE)
    ramp = np.linspace(0.0, 1.0, _FADE)
    samples[:_FADE] *= ramp
    samples[-_FADE:] *= ramp[::-1]
    note: Samples = np.rint(samples).astype(np.int16)
    return note


_TONES: Final[dict[Occasion, Samples]] = {
    "entry": np.concatenate((_note(LOW), _note(HIGH))),
    "exit": np.concatenate((_note(HIGH), _note(LOW))),
}


class Chime:
    """A source of sound that is silent until it rings. `ring` is for the loop's thread, `pull`
    for the mixer's."""

    def __init__(self) -> None:
        self._waiting: deque[Samples] = deque()
        self._ringing: Samples = _SILENCE[:0]

    def ring(self, occasion: Occasion) -> None:
        """Play the tone of this occasion, after those that wait already."""
        if len(self._waiting) < _WAITING_MAX:
            self._waiting.append(_TONES[occasion])

    def pull(self) -> Samples:
        """The next 20 ms."""
        if not self._ringing.size:
            if not self._waiting:
                return _SILENCE
            self._ringing = self._waiting.popleft()
        samples, self._ringing = self._ringing[:FRAME], self._ringing[FRAME:]
        return samples

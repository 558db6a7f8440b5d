"""Somebody who speaks into a sound device, and somebody who listens to one."""

from __future__ import annotations

import threading

import numpy as np

from hal.audio import PERIOD, RATE, Microphone, Speaker
from hal.audio.frames import Samples, to_frame, to_samples

LEVEL_DBFS = -12.0
_AMPLITUDE = 32768 * 10 ** (LEVEL_DBFS / 20)


def tone(start: int, frequency: float = 1000) -> Samples:
    """One period of a sine at LEVEL_DBFS, from sample `start` on."""
    moments = np.arange(start, start + PERIOD) / RATE
    return np.rint(_AMPLITUDE * np.sin(2 * np.pi * frequency * moments)).astype(np.int16)


class Voice:
    """A thread that plays a sine into a speaker, which is open, until the end of the block.

    `error` is what ended it early.
    """

    def __init__(self, speaker: Speaker, frequency: float = 1000) -> None:
        self.error: Exception | None = None
        self._speaker = speaker
        self._frequency = frequency
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="voice")

    def _run(self) -> None:
        position = 0
        try:
            while not self._over.is_set():
                self._speaker.write(to_frame(tone(position, self._frequency), position))
                position += PERIOD
        except Exception as error:
            self.error = error

    def __enter__(self) -> Voice:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._over.set()
        self._thread.join(30)


def listen(microphone: Microphone, periods: int) -> Samples:
    """So many periods of what an open microphone hears."""
    return np.concatenate([to_samples(microphone.read()) for _ in range(periods)])

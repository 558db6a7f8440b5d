"""One period as an audio frame, and back."""

from __future__ import annotations

from fractions import Fraction
from typing import Final

import numpy as np
import numpy.typing as npt
from av import AudioFrame

from hal.audio import PERIOD, RATE
from hal.errors import FormatUnsupported

TIME_BASE: Final = Fraction(1, RATE)

Samples = npt.NDArray[np.int16]
"""Mono samples of 16 bits, one-dimensional."""


def from_loop(sound: Samples, position: int) -> Samples:
    """One period of a sound that is said over and over, from `position` (samples) on."""
    # numpy wraps an index by taking the length off it until it fits, a step at a time: far into
    # a sound, or in the time of a clock, that would cost a fifth of a core.
    start = position % sound.size
    return sound.take(np.arange(start, start + PERIOD), mode="wrap")


def to_frame(samples: Samples, pts: int) -> AudioFrame:
    """Samples as an s16 mono frame at RATE; `pts` in samples."""
    frame = AudioFrame("s16", "mono", samples.size)
    frame.planes[0].update(samples.tobytes())
    frame.sample_rate = RATE
    frame.time_base = TIME_BASE
    frame.pts = pts
    return frame


def to_bytes(frame: AudioFrame) -> bytes:
    """The samples of one period, as S16 in the machine's byte order.

    Raises FormatUnsupported unless it is s16 mono, PERIOD samples at RATE.
    """
    shape = (frame.format.name, frame.layout.name, frame.samples, frame.sample_rate)
    if shape != ("s16", "mono", PERIOD, RATE) and shape != ("s16p", "mono", PERIOD, RATE):
        raise FormatUnsupported(
            f"a period is s16 mono, {PERIOD} samples at {RATE} Hz, not {frame}; resample it first"
        )
    return bytes(frame.planes[0])[: PERIOD * 2]


def to_samples(frame: AudioFrame) -> Samples:
    """As `to_bytes`, as an array."""
    return np.frombuffer(to_bytes(frame), np.int16)

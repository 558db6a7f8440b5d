"""How loud a sound is, as a whole and at one frequency."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from hal.audio import RATE

FULL_SCALE: Final = 32768.0

SILENCE: Final = -120.0
"""dBFS given for anything quieter, and for no samples at all."""

Samples = npt.NDArray[Any]
"""Mono samples, 16 bit integers or floats of the same scale, in any shape."""


def rms_dbfs(samples: Samples) -> float:
    """The level of a sound in dBFS: a sine of full scale is -3.01, a full square wave 0."""
    values = np.asarray(samples, np.float64).ravel()
    if not values.size:
        return SILENCE
    return _decibels(math.sqrt(float(np.mean(values**2))) / FULL_SCALE)


def level_dbfs(samples: Samples, frequency: float, rate: int = RATE) -> float:
    """The level of the sine of `frequency` Hz in a sound, by its peak: full scale is 0.

    One bin of a Fourier transform under a Hann window.  It hears about 2 * rate / n Hz
    to each side, n being the number of samples: 20 Hz with 100 ms.
    """
    values = np.asarray(samples, np.float64).ravel()
    if values.size < 2:
        return SILENCE
    window = np.hanning(values.size)
    turn = np.exp(-2j * math.pi * frequency / rate * np.arange(values.size))
    amplitude = 2 * abs(np.dot(values * window, turn)) / window.sum()
    return _decibels(float(amplitude) / FULL_SCALE)


def peak_frequency(samples: Samples, rate: int = RATE) -> float:
    """The frequency in Hz of the loudest sine, to a tenth of a bin for a pure tone;
    0 for silence."""
    values = np.asarray(samples, np.float64).ravel()
    if values.size < 8 or not values.any():
        return 0.0
    spectrum = np.abs(np.fft.rfft((values - values.mean()) * np.hanning(values.size)))
    top = int(spectrum.argmax())
    if not 0 < top < spectrum.size - 1:
        return top * rate / values.size
    # The logarithm of a Hann window's main lobe is near a parabola.
    low, mid, high = np.log(spectrum[top - 1 : top + 2] + 1e-12)
    shift = 0.5 * (low - high) / (low - 2 * mid + high)
    return float((top + shift) * rate / values.size)


def _decibels(ratio: float) -> float:
    return max(20 * math.log10(ratio), SILENCE) if ratio > 0 else SILENCE

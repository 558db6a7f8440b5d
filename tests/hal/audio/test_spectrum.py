from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hal.audio.spectrum import SILENCE, level_dbfs, peak_frequency, rms_dbfs


def sine(frequency: float, dbfs: float, count: int = 4800) -> np.ndarray:
    wave = np.sin(2 * np.pi * frequency * np.arange(count) / 48_000)
    return np.rint(32767 * 10 ** (dbfs / 20) * wave).astype(np.int16)


@given(st.floats(100, 20_000), st.floats(-50, 0))
def test_level_of_a_sine_is_its_peak(frequency: float, dbfs: float) -> None:
    assert level_dbfs(sine(frequency, dbfs), frequency) == pytest.approx(dbfs, abs=0.2)


def test_rms_of_a_full_sine_and_of_a_square() -> None:
    assert rms_dbfs(sine(1000, 0)) == pytest.approx(-3.01, abs=0.02)
    assert rms_dbfs(np.full(480, -32768, np.int16)) == pytest.approx(0, abs=0.001)


def test_silence_has_a_floor() -> None:
    for nothing in (np.zeros(480, np.int16), np.zeros(0, np.int16)):
        assert rms_dbfs(nothing) == SILENCE
        assert level_dbfs(nothing, 1000) == SILENCE
        assert peak_frequency(nothing) == 0


def test_two_tones_are_told_apart() -> None:
    both = sine(1000, -12) + sine(1500, -52)
    assert level_dbfs(both, 1000) == pytest.approx(-12, abs=0.1)
    assert level_dbfs(both, 1500) == pytest.approx(-52, abs=1)
    assert level_dbfs(both, 2500) < -80


@given(st.floats(200, 20_000))
def test_peak_is_found_to_a_hertz(frequency: float) -> None:
    assert peak_frequency(sine(frequency, -12)) == pytest.approx(frequency, abs=1)


def test_takes_the_arrays_of_frames() -> None:
    assert level_dbfs(sine(1000, -6).reshape(1, -1), 1000) == pytest.approx(-6, abs=0.1)

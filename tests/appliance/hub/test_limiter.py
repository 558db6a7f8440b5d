from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from appliance.hub.limiter import CEILING, Limiter
from tests.appliance.hub.far_end import level, sine

DELAY = 120


def limit(limiter: Limiter, samples: NDArray[np.float32]) -> NDArray[np.int16]:
    return np.concatenate([limiter.process(part) for part in samples.reshape(-1, 960)])


def tones(*parts: tuple[float, float], beats: int = 50) -> NDArray[np.float32]:
    total = np.zeros(beats * 960, np.float32)
    for frequency, amplitude in parts:
        time = np.arange(len(total)) / 48_000
        total += (amplitude * np.sin(2 * np.pi * frequency * time)).astype(np.float32)
    return total


def test_what_is_not_too_loud_passes_bit_by_bit() -> None:
    samples = sine(997, 20, 31_000)
    out = limit(Limiter(), samples.astype(np.float32))
    assert np.array_equal(out[DELAY:], samples[:-DELAY])


def test_a_sum_of_loud_voices_neither_wraps_nor_clips() -> None:
    loud = tones((700, 30_000), (1100, 30_000), (1900, 30_000))
    assert np.abs(loud).max() > 2 * 32768
    out = limit(Limiter(), loud)
    assert np.abs(out.astype(np.int32)).max() <= CEILING + 1
    steady = out[-24_000:]
    # All three are there, alike and in proportion; clipping would make new tones at
    # 1500 (2 * 1100 - 700) and 2100 (3 * 700), wrapping noise everywhere.
    voices = [level(steady, frequency) for frequency in (700, 1100, 1900)]
    assert max(voices) - min(voices) < 0.3
    assert min(voices) > -15
    for product in (300, 1500, 2100, 2700, 3300, 5700):
        assert level(steady, product) < min(voices) - 40
    # The wave keeps its sign: nothing has wrapped round.
    before, after = loud[:-DELAY], out[DELAY:].astype(np.float32)
    strong = np.abs(before) > 2000
    assert (np.sign(before[strong]) == np.sign(after[strong])).all()


def test_it_turns_down_before_the_peak_without_a_step_and_comes_back_slowly() -> None:
    carrier = tones((50, 8_000), beats=100)
    carrier[24_000:26_400] *= 8  # 50 ms far too loud
    out = limit(Limiter(), carrier)[DELAY:].astype(np.float32)
    assert np.abs(out).max() <= CEILING + 1
    whole = carrier[:-DELAY]
    steep = np.abs(whole) > 2000
    gain = np.where(steep, out / np.where(steep, whole, 1), np.nan)
    assert gain[:20_000][steep[:20_000]] == pytest.approx(1, abs=0.001)
    shortly_after = gain[26_400:28_800][steep[26_400:28_800]]
    assert shortly_after.max() < 0.8
    assert gain[-4800:][steep[-4800:]] == pytest.approx(1, abs=0.01)


@given(
    st.lists(
        st.tuples(st.integers(0, 7), st.sampled_from([0.0, 100.0, 30_000.0, 70_000.0, 900_000.0])),
        min_size=1,
        max_size=12,
    )
)
def test_whatever_comes_stays_below_the_ceiling(bursts: list[tuple[int, float]]) -> None:
    limiter = Limiter()
    for step, amplitude in bursts:
        samples = np.zeros(960, np.float32)
        samples[step * 120 : step * 120 + 120] = amplitude
        samples[step * 120 + 60] = -amplitude
        out = limiter.process(samples)
        assert np.abs(out.astype(np.int32)).max() <= CEILING + 1
        assert out.shape == (960,)

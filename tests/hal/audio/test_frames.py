from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from av import AudioFrame

from hal.audio import PERIOD, RATE
from hal.audio.frames import from_loop, to_bytes, to_frame, to_samples
from hal.errors import FormatUnsupported


def test_samples_pass_unchanged() -> None:
    samples = np.arange(-240, 240, dtype=np.int16)
    frame = to_frame(samples, 960)
    assert (frame.format.name, frame.layout.name, frame.samples) == ("s16", "mono", PERIOD)
    assert (frame.sample_rate, frame.pts, frame.time_base) == (RATE, 960, Fraction(1, RATE))
    assert np.array_equal(to_samples(frame), samples)
    assert np.array_equal(frame.to_ndarray().ravel(), samples)
    assert to_bytes(frame) == samples.tobytes()


@pytest.mark.parametrize(
    ("kind", "layout", "count", "rate"),
    [
        ("s16", "stereo", 480, 48_000),
        ("flt", "mono", 480, 48_000),
        ("s16", "mono", 960, 48_000),
        ("s16", "mono", 480, 44_100),
    ],
)
def test_anything_else_is_refused(kind: str, layout: str, count: int, rate: int) -> None:
    frame = AudioFrame(kind, layout, count)
    frame.sample_rate = rate
    with pytest.raises(FormatUnsupported, match="480 samples at 48000"):
        to_bytes(frame)


def test_a_loop_goes_on_however_far_it_is() -> None:
    sound = np.arange(1000, dtype=np.int16)
    assert from_loop(sound, 700).tolist() == [n % 1000 for n in range(700, 700 + PERIOD)]
    # A clock that has run for 600 years: who counts the rounds one by one does not come back.
    far = 10**15 + 700
    assert from_loop(sound, far).tolist() == from_loop(sound, 700).tolist()
    # And a sound that is shorter than a period.
    assert from_loop(sound[:7], 3).tolist() == [n % 7 for n in range(3, 3 + PERIOD)]

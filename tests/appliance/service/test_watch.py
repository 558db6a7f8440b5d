from __future__ import annotations

import time

import numpy as np
import pytest
from av import VideoFrame

from appliance.media.opus import Samples
from appliance.service.watch import CanvasWatch, RateMeter, WatchedDisplay, WatchedSpeaker
from hal.audio import PERIOD
from hal.audio.frames import to_frame
from hal.audio.synthetic import SyntheticSpeaker
from hal.display import Banner
from hal.display.memory import MemoryDisplay


def test_the_display_tells_each_new_picture_once() -> None:
    inner = MemoryDisplay()
    display, seen = WatchedDisplay(inner), []
    display.on_picture = lambda frame, at: seen.append((frame, at))
    first, second = VideoFrame(64, 36, "yuv420p"), VideoFrame(64, 36, "yuv420p")
    with display:
        display.open()
        for frame in (None, first, first, second, None, second):
            display.show(frame)
        assert [frame for frame, _ in seen] == [first, second, second]
        assert inner.shown == 6
        assert all(at <= time.monotonic() for _, at in seen)
        display.set_banner(Banner("hello", muted=True))
        display.show(None)
        assert np.asarray(inner.picture().to_ndarray()).any()


def test_the_speaker_tells_when_a_period_is_heard() -> None:
    inner = SyntheticSpeaker()
    speaker, told = WatchedSpeaker(inner), []

    def take(samples: Samples, at: float) -> None:
        told.append((int(samples[0]), at))

    speaker.on_sound = take
    with speaker:
        speaker.open()
        for number in range(30):
            speaker.write(to_frame(np.full(PERIOD, number, np.int16), number * PERIOD))
        heard = [(int(one.samples[0]), one.at) for one in inner.heard()]
    assert [number for number, _ in told] == [number for number, _ in heard]
    # The thread may be held up between writing and asking for the delay, but seldom is.
    errors = sorted(abs(a - b) for (_, a), (_, b) in zip(told, heard, strict=True))
    assert errors[len(errors) // 2] < 0.002


def test_a_rate_is_of_the_last_seconds() -> None:
    meter = RateMeter(window=2.0)
    assert meter.rate(0.0) == 0.0
    for number in range(100):
        meter.add(number / 25)
    assert meter.rate(4.0) == pytest.approx(25.0, abs=0.5)
    # Half a second of nothing is not a halt yet; then it counts.
    assert meter.rate(5.0) < 18
    assert meter.rate(20.0) == 0.0


def test_the_first_picture_ends_the_join() -> None:
    canvas = CanvasWatch()
    canvas.picture(time.monotonic())
    assert canvas.joined_ms is None
    before = time.monotonic()
    canvas.joining()
    began = time.monotonic()
    canvas.picture(began + 0.25)
    canvas.picture(began + 0.50)
    assert canvas.joined_ms is not None
    assert 249 <= canvas.joined_ms <= 251 + 1000 * (began - before)
    assert canvas.pictures == 3
    canvas.joining()
    assert canvas.joined_ms is None

"""Received media to devices."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from av import VideoFrame

from appliance.media.opus import FRAME
from appliance.media.playout import DisplayPlayout, PictureQueue, SpeakerPlayout
from hal.audio.synthetic import SyntheticSpeaker
from hal.display import Banner
from hal.display.memory import MemoryDisplay
from hal.errors import HalError
from tests.appliance.media.conftest import level_at, picture, tone, until


class Tone:
    """A receiver that always has a tone to play."""

    def __init__(self, frequency: float) -> None:
        self._frequency = frequency
        self._position = 0

    def pull(self, at: float | None = None) -> np.ndarray:
        samples = tone(self._frequency, FRAME, self._position, level=0.2)
        self._position += FRAME
        return samples


async def test_receivers_are_summed_and_can_leave() -> None:
    speaker = SyntheticSpeaker()
    playout = SpeakerPlayout(speaker)
    first, second = Tone(1000), Tone(1500)
    playout.attach(first)  # type: ignore[arg-type]
    playout.attach(second)  # type: ignore[arg-type]
    await playout.start()
    await until(lambda: len(speaker.samples()) >= 24_000)
    both = speaker.samples()[-19_200:]
    playout.detach(second)  # type: ignore[arg-type]
    mark = len(speaker.samples())
    await until(lambda: len(speaker.samples()) >= mark + 28_800)
    one = speaker.samples()[-19_200:]
    await playout.stop()
    assert level_at(both, 1000) == pytest.approx(-14, abs=0.5)
    assert level_at(both, 1500) == pytest.approx(-14, abs=0.5)
    assert level_at(one, 1000) == pytest.approx(-14, abs=0.5)
    assert level_at(one, 1500) < -70


async def test_deaf_plays_silence_and_volume_scales() -> None:
    speaker = SyntheticSpeaker()
    playout = SpeakerPlayout(speaker)
    playout.attach(Tone(1000))  # type: ignore[arg-type]
    playout.volume = 0.5
    await playout.start()
    await until(lambda: len(speaker.samples()) >= 24_000)
    half = speaker.samples()[-19_200:]
    playout.deaf = True
    mark = len(speaker.samples())
    await until(lambda: len(speaker.samples()) >= mark + 28_800)
    deaf = speaker.samples()[-19_200:]
    await playout.stop()
    assert level_at(half, 1000) == pytest.approx(-20, abs=0.5)
    assert not deaf.any()


class SlowDisplay(MemoryDisplay):
    """A screen that is still busy with a picture until `ready` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.ready = threading.Event()
        self.seen: list[VideoFrame] = []

    def show(self, frame: VideoFrame | None) -> None:
        if frame is not None:
            self.seen.append(frame)
            self.ready.wait(30)
        super().show(frame)


async def test_the_newest_picture_wins() -> None:
    display = SlowDisplay()
    playout = DisplayPlayout(display)
    await playout.start()
    pictures = [picture(index) for index in range(100)]
    playout.show(pictures[0])
    await until(lambda: display.seen)
    for one in pictures[1:]:
        playout.show(one)
    display.ready.set()
    await until(lambda: playout.shown is pictures[-1])
    assert display.seen == [pictures[0], pictures[-1]]
    assert playout.frames_shown == 2
    await playout.stop()


class Recorder(MemoryDisplay):
    """A screen that remembers when each picture came."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[float, VideoFrame | None]] = []

    def show(self, frame: VideoFrame | None) -> None:
        super().show(frame)
        if not self.seen or self.seen[-1][1] is not frame:
            self.seen.append((self.shown_at, frame))


async def test_a_picture_waits_until_it_is_due() -> None:
    display = Recorder()
    playout = DisplayPlayout(display)
    await playout.start()
    first, second = picture(0), picture(1)
    begin = time.monotonic()
    playout.show(first, begin + 0.3)
    playout.show(second, begin + 0.6)
    await until(lambda: playout.shown is second)
    await playout.stop()
    moments = {id(frame): at - begin for at, frame in display.seen}
    assert moments[id(second)] >= 0.6
    # A machine that was busy for so long goes straight to the second.
    assert moments.get(id(first), 0.3) >= 0.3


async def test_a_picture_at_once_makes_the_waiting_ones_void() -> None:
    display = Recorder()
    playout = DisplayPlayout(display)
    await playout.start()
    late, now, last = picture(0), picture(1), picture(2)
    playout.show(late, time.monotonic() + 30)
    playout.show(now)
    playout.show(last, time.monotonic() + 0.6)
    await until(lambda: playout.shown is last)
    playout.show(late, time.monotonic() + 30)
    playout.show(None)
    await until(lambda: display.seen[-1][1] is None)
    playout.show(now, time.monotonic() + 0.4)
    await until(lambda: playout.shown is now)
    await playout.stop()
    assert all(frame is not late for _, frame in display.seen)


def test_of_pictures_that_are_due_the_newest_is_taken() -> None:
    queue = PictureQueue()
    pictures = [picture(index) for index in range(20)]
    assert queue.due is None
    assert queue.take(1e9) is None
    for index, one in enumerate(pictures[:4]):
        queue.put(one, float(index))
    assert queue.due == 0
    assert queue.take(1.5) is pictures[1]
    assert queue.take(1.5) is None
    assert queue.due == 2
    queue.clear()
    assert queue.due is None
    for index, one in enumerate(pictures):
        queue.put(one, float(index))
    # The oldest had to go: no queue grows without end.
    assert queue.due == 4


async def test_a_banner_shows_without_a_new_picture() -> None:
    display = MemoryDisplay()
    playout = DisplayPlayout(display)
    await playout.start()
    playout.show(picture(0))
    await until(lambda: playout.shown is not None)
    before = bytes(display.picture().planes[0])
    playout.set_banner(Banner("Muted", muted=True))
    await until(lambda: bytes(display.picture().planes[0]) != before)
    await playout.stop()


async def test_a_pulled_screen_is_told_and_comes_back() -> None:
    display = MemoryDisplay()
    playout = DisplayPlayout(display)
    errors: list[HalError | None] = []
    playout.on_error = errors.append
    await playout.start()
    display.unplug()
    await until(lambda: isinstance(errors[-1], HalError))
    display.replug()
    await until(lambda: errors[-1] is None)
    playout.show(picture(1))
    await until(lambda: playout.shown is not None)
    await playout.stop()


async def test_stopping_twice_is_fine_and_ends_the_thread() -> None:
    before = set(threading.enumerate())
    playout = SpeakerPlayout(SyntheticSpeaker())
    await playout.start()
    await playout.stop()
    await playout.stop()
    assert not {t for t in set(threading.enumerate()) - before if t.name == "SpeakerPlayout"}


async def test_another_speaker_takes_over_and_a_broken_one_does_not() -> None:
    first, second, broken = (SyntheticSpeaker(device_id=number) for number in (1, 2, 3))
    playout = SpeakerPlayout(first)
    playout.attach(Tone(1000))  # type: ignore[arg-type]
    await playout.start()
    try:
        await until(lambda: len(first.samples()) >= 9_600)
        await playout.swap(second)
        assert playout.device.id == "synthetic:2"
        mark = len(first.samples())
        await until(lambda: len(second.samples()) >= 19_200)
        assert level_at(second.samples()[-9_600:], 1000) == pytest.approx(-14, abs=0.5)
        assert len(first.samples()) == mark
        broken.unplug()
        with pytest.raises(HalError):
            await playout.swap(broken)
        assert playout.device.id == "synthetic:2"
        mark = len(second.samples())
        await until(lambda: len(second.samples()) >= mark + 9_600)
    finally:
        await playout.stop()

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator

import numpy as np
import pytest

from appliance.hub.stage import Stage
from appliance.hub.tap import Intake, Item, Mark, Picture, Sound
from appliance.media.packet import Encoded
from tests.appliance.hub.far_end import Screen
from tests.appliance.hub.live_room import HEIGHT, PICTURES, WIDTH, LiveRoom, Onlooker, until

BEAT = np.zeros(960, np.int16)


def frame(*, keyframe: bool = False, size: int = 100) -> Encoded:
    return Encoded("h264", (bytes(size),), 0, keyframe)


def drain(intake: Intake) -> list[Item]:
    items = []
    while (item := intake.poll(0)) is not None:
        items.append(item)
    return items


def kinds(intake: Intake) -> str:
    """K for a keyframe, p for another picture, s for sound, and the names of marks."""
    names = []
    for item in drain(intake):
        if isinstance(item, Picture):
            names.append("K" if item.frame.keyframe else "p")
        else:
            names.append("s" if isinstance(item, Sound) else item.kind)
    return " ".join(names)


def test_items_come_out_in_their_order() -> None:
    intake = Intake()
    intake.picture(frame(keyframe=True), 1.0)
    intake.sound(BEAT, 1.0)
    intake.mark("pause", 1.01)
    intake.picture(frame(), 1.02)
    assert kinds(intake) == "K s pause p"
    assert intake.poll(0) is None
    assert intake.dropped == 0


def test_take_waits_for_who_comes_on_another_thread() -> None:
    intake = Intake()
    timer = threading.Timer(0.05, intake.mark, ("stop", 5.0))
    timer.start()
    assert intake.take() == Mark(5.0, "stop")
    timer.join()


def test_when_full_it_loses_pictures_up_to_a_keyframe_that_finds_room() -> None:
    intake = Intake(span=1.0)
    intake.picture(frame(keyframe=True), 0.0)
    intake.picture(frame(), 1.0)
    intake.picture(frame(), 1.1)  # too many
    intake.sound(BEAT, 1.1)
    intake.picture(frame(keyframe=True), 1.2)  # there is no room for this one either
    intake.mark("pause", 1.2)  # but for wishes there always is
    assert kinds(intake) == "K p pause"
    intake.picture(frame(), 1.3)  # of no use without those that are lost
    intake.sound(BEAT, 1.3)
    intake.picture(frame(keyframe=True), 1.4)
    intake.picture(frame(), 1.5)
    assert kinds(intake) == "s K p"
    assert intake.dropped == 3


def test_it_is_full_by_size_too() -> None:
    intake = Intake(size=1000)
    intake.picture(frame(keyframe=True, size=900), 0.0)
    intake.picture(frame(size=200), 0.1)
    intake.picture(frame(size=1), 0.2)
    assert intake.dropped == 1
    assert kinds(intake) == "K p"
    intake.picture(frame(keyframe=True, size=900), 0.3)
    assert kinds(intake) == "K"


def test_after_a_clear_it_begins_with_a_keyframe() -> None:
    intake = Intake()
    intake.picture(frame(keyframe=True), 0.0)
    intake.sound(BEAT, 0.0)
    intake.mark("stop", 0.1)
    intake.clear()
    intake.picture(frame(), 0.2)
    intake.picture(frame(keyframe=True), 0.3)
    assert kinds(intake) == "stop K"


@pytest.fixture
async def room() -> AsyncIterator[LiveRoom]:
    one = LiveRoom()
    yield one
    await one.stage.close()


async def test_a_tap_of_a_stage_gets_every_picture_and_all_the_sound(room: LiveRoom) -> None:
    intake = Intake()
    room.tone.frequency = 1000
    began = time.monotonic()
    beats = room.stage.mixer.beats
    room.stage.tap(intake)
    assert room.stage.rate == PICTURES
    assert room.stage.size == (WIDTH, HEIGHT)
    await until(lambda: room.stage.canvas.stats.frames > 5 and room.stage.mixer.beats > beats + 40)
    room.stage.untap(intake)
    room.stage.untap(intake)
    ended = time.monotonic()
    await asyncio.sleep(0.1)
    items = drain(intake)
    pictures = [item for item in items if isinstance(item, Picture)]
    sounds = [item for item in items if isinstance(item, Sound)]
    assert pictures[0].frame.keyframe
    screen = Screen("h264")
    for item in pictures:
        screen.show(item.frame)
        assert item.access_unit().startswith(b"\0\0\0\1")
    # The times are those of the machine's clock, and the sound has neither gaps nor jitter.
    for item in (*pictures, *sounds):
        assert began - 0.1 < item.at < ended + 0.1
    times = [item.at for item in sounds]
    assert len(times) > 20
    steps = np.diff(times) / 0.02
    assert np.allclose(steps, np.round(steps), atol=1e-6)
    assert np.round(steps).min() == 1
    assert all(item.samples.shape == (960,) for item in sounds)
    assert any(np.abs(item.samples).max() > 7000 for item in sounds)


async def test_a_second_tap_begins_with_a_keyframe_too(
    room: LiveRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No regular one comes.
    monkeypatch.setattr("appliance.hub.stage._KEYFRAME_EVERY", 3600)
    first, second = Intake(), Intake()
    room.stage.tap(first)
    await until(lambda: room.stage.canvas.stats.frames > 10)
    room.stage.tap(second)
    items: list[Item] = []

    def keyframe() -> bool:
        items.extend(drain(second))
        return any(isinstance(item, Picture) and item.frame.keyframe for item in items)

    await until(keyframe)
    room.stage.untap(first)
    room.stage.untap(second)


async def test_an_empty_room_is_silent_and_dark_but_not_dead() -> None:
    stage = Stage("Oak room", width=160, height=90, rate=10, on_level=lambda *_: None)
    onlooker = Onlooker(stage)
    await until(lambda: len(onlooker.heard) > 20 and len(onlooker.seen) > 3)
    assert all(np.abs(samples).max() == 0 for _, samples in onlooker.heard)
    await stage.close()

"""The sound and the pictures of one leg come into the room together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from av import VideoFrame

from appliance.hub import in_step
from appliance.hub.in_step import InStepPictures, InStepSound
from appliance.hub.members import Member
from appliance.hub.stage import Stage
from appliance.media.lip_sync import MOST
from appliance.media.opus import FRAME
from appliance.media.packet import MediaPacket
from appliance.media.peer import PeerState
from appliance.media.sender_clock import SenderClock
from appliance.media.video_encoder import VideoEncoder
from appliance.signaling.layouts import MemberSlot, arrange
from tests.appliance.media.conftest import luma_of, picture, until
from tests.appliance.media.test_lip_sync import BURST, FarEnd

DARK, BRIGHT = 20, 235


class Leg:
    """What arrives of a far end that flashes and beeps at once, on a time of the test's own."""

    def __init__(self, *, heard: bool = True) -> None:
        self.now = 0.0
        self.far = FarEnd()
        self.sound_in, self.picture_in = inlet(48_000), inlet(90_000)
        self.sound = InStepSound(self.sound_in, lambda: self.now)
        self.pictures = InStepPictures(
            self.picture_in, self.sound if heard else None, lambda: self.now
        )

    def run(self, seconds: int) -> tuple[list[float], list[float]]:
        """When the flashes are seen and the beeps heard, where both are looked at every 20 ms.
        Sound comes in bursts of six packets, a picture takes 10 ms."""
        flashes: list[float] = []
        beeps: list[float] = []
        bright = loud = False
        pictures = packets = 0
        for step in range(seconds * 200):
            self.now = step * 0.005
            if step % 200 == 0:
                for one, rate in ((self.sound_in, 48_000), (self.picture_in, 90_000)):
                    one.clock.report(round(self.now * rate), round((5000 + self.now) * 2**32))
            while pictures / 30 + 0.010 <= self.now:
                self.show(self.far.picture(pictures))
                pictures += 1
            if self.now >= (packets + BURST) * 0.02:
                for index in range(packets, packets + BURST):
                    data = bytes(self.far.sound(index))
                    self.sound_in.on_packet(
                        MediaPacket("opus", index, index * FRAME, False, data, self.now)
                    )
                packets += BURST
            if step % 4:
                continue
            was_loud, loud = loud, bool(np.abs(self.sound.pull()).max() > 2000)
            frame = self.pictures.latest
            was_bright, bright = bright, frame is not None and luma_of(frame) > 150
            flashes += [self.now] if bright and not was_bright else []
            beeps += [self.now] if loud and not was_loud else []
        return flashes, beeps

    def show(self, frame: VideoFrame) -> None:
        """A picture has been decoded."""
        assert self.pictures.receiver.on_frame is not None
        self.pictures.receiver.on_frame(frame)

    def close(self) -> None:
        self.sound.close()
        self.pictures.close()


def inlet(rate: int) -> Any:
    return SimpleNamespace(on_packet=None, clock=SenderClock(rate), request_keyframe=lambda: None)


@pytest.fixture
async def make_leg() -> Any:
    made: list[Leg] = []

    def make(**options: bool) -> Leg:
        made.append(Leg(**options))
        return made[-1]

    yield make
    for leg in made:
        leg.close()


async def test_a_flash_and_its_beep_come_into_the_room_together(
    make_leg: Callable[..., Leg],
) -> None:
    flashes, beeps = make_leg().run(15)
    trails = [beep - flash for flash, beep in zip(flashes, beeps, strict=False)]
    assert len(trails) >= 13
    # Two seconds to adapt; then each, as exactly as both are looked at.
    assert max(map(abs, trails[3:])) <= 0.040


async def test_pictures_without_sound_wait_for_nothing(make_leg: Callable[..., Leg]) -> None:
    flashes, beeps = make_leg(heard=False).run(5)
    trails = [beep - flash for flash, beep in zip(flashes, beeps, strict=False)]
    assert len(trails) >= 4
    assert min(trails) > 0.080


async def test_pictures_that_nobody_looks_at_do_not_pile_up(make_leg: Callable[..., Leg]) -> None:
    leg = make_leg()
    leg.run(5)
    shown = [picture(150 + n, DARK) for n in range(100)]
    for one in shown:
        leg.show(one)
        leg.now += 1 / 30
    # Those of the time for which a picture may wait.
    assert len(leg.pictures._waiting._waiting) <= MOST * 30 + 1
    leg.now += MOST
    assert leg.pictures.latest is shown[-1]


async def test_pictures_that_wait_can_be_forgotten(make_leg: Callable[..., Leg]) -> None:
    leg = make_leg()
    leg.run(5)
    before = leg.pictures.latest
    leg.show(picture(150, DARK))
    leg.pictures.forget()
    leg.now += MOST
    assert leg.pictures.latest is before
    leg.show(frame := picture(160, DARK))
    leg.now += MOST
    assert leg.pictures.latest is frame


async def test_what_was_taken_before_an_unmute_is_not_seen_after_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not even where it waits for the sound when the mute ends."""
    monkeypatch.setattr(in_step.LipSync, "due", lambda self, _: self._now() + MOST)
    peer: Any = SimpleNamespace(
        audio_in=inlet(48_000),
        video_in=inlet(90_000),
        audio_out=None,
        video_out=None,
        state=PeerState.CONNECTED,
    )
    session: Any = None
    member = Member("m1", "Oak", "member", session, video_muted=True)
    stage = Stage("Oak room", width=320, height=180, rate=30, on_level=lambda *_: None)
    encoder = VideoEncoder("h264", 320, 180, 30)
    looks = 0
    lightest = 0.0

    def look(frame: VideoFrame) -> None:
        nonlocal looks, lightest
        looks += 1
        lightest = max(lightest, luma_of(frame))

    def arrive(index: int, luma: int) -> None:
        data = bytes(encoder.encode(picture(index, luma), keyframe=True))
        peer.video_in.on_packet(MediaPacket("h264", index, index * 3000, True, data, 0.0))

    try:
        stage.add(member, peer)
        stage.arrange(arrange("1x1", [MemberSlot("m1")]))
        source = stage.canvas._sitter("m1").source
        assert isinstance(source, InStepPictures)
        # It waits now, until the mute is over.
        arrive(0, BRIGHT)
        await until(lambda: len(source._waiting._waiting) == 1)
        member.video_muted = False
        stage.update(member)
        stage.canvas.watch(look, 0.02)
        with pytest.raises(TimeoutError):
            await until(lambda: lightest > 150, 3 * MOST)
        assert looks > 3
        arrive(1, BRIGHT)
        await until(lambda: lightest > 150)
    finally:
        await stage.close()
        encoder.close()
        await asyncio.sleep(0)

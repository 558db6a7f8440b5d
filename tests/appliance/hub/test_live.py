"""What changes while the media flow, judged by what members hear and see: promotions, tones,
films, recordings, and the room's bit rate."""

from __future__ import annotations

import asyncio
import itertools
import time
import uuid
from typing import Any

import numpy as np
from av import VideoFrame

from appliance.hub.chime import HIGH, LOW
from appliance.hub.server import HubServer
from appliance.hub.stage import Stage
from appliance.media.opus import OpusDecoder
from appliance.media.packet import MediaPacket
from appliance.signaling import verto
from hal.camera.scene import decode
from tests.appliance.hub import films
from tests.appliance.hub.caller import DEADLINE, GREEN, RED, WINDOW, Caller, Join
from tests.appliance.hub.hub_client import make_room, room_of, until
from tests.appliance.hub.live_room import Film, Tone
from tests.appliance.media.conftest import level_at


def stage_of(hub: HubServer) -> Stage:
    stage = room_of(hub).stage
    assert isinstance(stage, Stage)
    return stage


def loud(caller: Caller, frequency: float, above: float = -45) -> bool:
    recent = caller.heard[-WINDOW // 960 :]
    return bool(recent) and level_at(np.concatenate(recent), frequency) > above


async def move(caller: Caller) -> tuple[list[MediaPacket], list[MediaPacket], int]:
    """Come with a new call, and hang up the old one as soon as the new one is in the room.

    Returns the sound packets of both, and how many of the new call's had come by then.
    """
    old_call, old = caller.call_id, (caller.peer, caller.audio, caller.video)
    old_arrived = caller.arrived
    caller.call_id = str(uuid.uuid4())
    await caller.dial()
    await until(lambda: len(caller.arrived) > 5, DEADLINE)
    before_bye = len(old_arrived)
    await until(lambda: len(old_arrived) > before_bye, DEADLINE)
    first = len(caller.arrived)
    await caller.verto(verto.bye(old_call), old_call)
    old[2].close()
    old[1].close()
    await old[0].close()
    return old_arrived, caller.arrived, first


def check_unbroken(packets: list[MediaPacket], frequency: float) -> None:
    """Every packet came, and every one of them holds the tone."""
    numbers = [packet.sequence for packet in packets]
    assert all((b - a) % 65_536 == 1 for a, b in itertools.pairwise(numbers))
    decoder = OpusDecoder()
    pieces = [decoder.decode(packet.data) for packet in packets]
    # The codec needs some packets to come to itself.
    for piece in pieces[5:]:
        assert level_at(piece, frequency) > -30


async def test_a_promotion_and_a_demotion_leave_no_gap_in_hearing(
    live_hub: HubServer, join: Join
) -> None:
    moderator = await join("A", tint=RED)
    stage_of(live_hub).mixer.add("tone", Tone(1000.0), hears=False)
    guest = await join("Guest", join_as="audience", permissions=[])
    await guest.hears(1000.0)
    guest.arrived.clear()

    await moderator.rpc("video.member.promote", member_id=guest.member_id)
    await guest.event("video.member.promoted")
    guest.frequency, guest.tint = 2200.0, GREEN
    old, new, first = await move(guest)
    # The old call went on until the new one was heard: nothing is missing between them.
    assert first > 5
    assert new[0].arrival < old[-1].arrival
    check_unbroken(old, 1000.0)
    check_unbroken(new[: len(new) // 2 + 5], 1000.0)
    # Now it is a member, heard and seen by the others.
    await moderator.hears(2200.0)
    await moderator.sees(guest.member_id, GREEN)

    mark = await moderator.mark()
    guest.arrived.clear()
    await moderator.rpc("video.member.demote", member_id=guest.member_id)
    await moderator.event("video.member.left", since=mark)
    # It still sends, but is not heard any more.
    await moderator.windows(2200.0, count=2)  # what was on its way before
    assert await moderator.level(2200.0) < -60
    guest.frequency = guest.tint = None
    old, new, first = await move(guest)
    assert first > 5
    assert new[0].arrival < old[-1].arrival
    check_unbroken(old, 1000.0)
    assert not loud(moderator, 2200.0)


async def test_a_room_has_its_own_size_and_rate(live_hub: HubServer, join: Join) -> None:
    await make_room(live_hub, quality="1080p", fps=20)
    one = await join("A", tint=RED)
    await one.sees(one.member_id, RED)
    frame = one.video.latest
    assert frame is not None
    assert (frame.width, frame.height) == (1920, 1080)
    stage = stage_of(live_hub)
    assert (stage.size, stage.rate) == ((1920, 1080), 20)


async def test_the_tones_of_entry_and_exit_are_heard(live_hub: HubServer, join: Join) -> None:
    await make_room(live_hub, tone_on_entry_and_exit=True)
    one = await join("A")
    await until(lambda: len(one.heard) > 10 and not loud(one, HIGH), DEADLINE)
    other = await join("B")
    await until(lambda: loud(one, LOW) and loud(one, HIGH), DEADLINE)
    await until(lambda: not loud(one, LOW) and not loud(one, HIGH), DEADLINE)
    await other.verto(verto.bye(other.call_id))
    await until(lambda: loud(one, LOW) and loud(one, HIGH), DEADLINE)


async def test_a_film_is_seen_and_heard_by_the_others(live_hub: HubServer, join: Join) -> None:
    folder = live_hub.config.data / "media"
    folder.mkdir()
    films.make_film(folder / "film.mp4", 3)
    one, other = await join("A", tint=RED), await join("B")
    await other.sees(one.member_id, RED)
    answer = await one.rpc("video.playback.start", url="film.mp4")
    assert answer["code"] == "200", answer

    def shown() -> bool:
        frame = other.video.latest
        code = decode(frame) if frame is not None else None
        return code is not None and code.camera == films.CAMERA

    await until(shown, DEADLINE)
    await until(lambda: any(loud(other, tone, -30) for tone in films.TONES[:3]), DEADLINE)
    await other.event("video.playback.ended")
    # With its end the members are seen again.
    await other.sees(one.member_id, RED)


async def test_a_recording_holds_the_room(live_hub: HubServer, join: Join) -> None:
    one, other = await join("A", tint=RED, frequency=1000.0), await join("B")
    await other.sees(one.member_id, RED)
    await other.hears(1000.0)
    answer: dict[str, Any] = await other.rpc("video.recording.start")
    recording = answer["recording"]
    await other.windows(1000.0, count=4)
    await other.rpc("video.recording.stop", recording_id=recording["id"])
    ended = (await other.event("video.recording.ended"))["recording"]
    path = live_hub.config.data / "recordings" / f"{recording['id']}.mp4"
    film = await asyncio.to_thread(Film.read, path)
    assert film.duration > 0.5
    assert abs(film.duration - ended["duration"]) < 0.1
    assert film.level(1000.0, 0.1, film.duration - 0.1) > -25
    picture = film.pictures[-1][1]
    # Both members are side by side; the left one is the first.
    red = np.frombuffer(bytes(picture.planes[2]), np.uint8)
    red = red.reshape(picture.planes[2].height, picture.planes[2].line_size)
    row, column = picture.planes[2].height // 2, picture.planes[2].width // 8
    assert abs(int(red[row, column]) - RED[2]) < 15


class Noise:
    """A camera whose pictures need all the bits that they can get."""

    def __init__(self) -> None:
        self._random = np.random.default_rng(7)

    @property
    def latest(self) -> VideoFrame:
        luma = self._random.integers(16, 235, (180 * 3 // 2, 320), np.uint8)
        return VideoFrame.from_ndarray(luma, format="yuv420p")


async def test_the_canvas_follows_what_the_slowest_can_take(
    live_hub: HubServer, join: Join
) -> None:
    one, other = await join("A", tint=RED), await join("B")
    await other.sees(one.member_id, RED)
    stage, noise = stage_of(live_hub), Noise()
    stage.canvas.set_source(one.member_id, noise)
    outlets = {
        leg.member_id: leg.peer.video_out for leg in room_of(live_hub).legs if leg.peer is not None
    }
    reported: list[int] = []
    fast, slow = outlets[one.member_id], outlets[other.member_id]
    assert fast is not None
    assert slow is not None
    take = slow.on_bitrate
    assert take is not None
    # Receivers tell by themselves what they can take; from here on the test does.
    fast.on_bitrate, slow.on_bitrate = None, reported.append
    await until(lambda: reported, DEADLINE)

    async def rate(caller: Caller) -> float:
        """Bits that it gets in a second."""
        begin, at = caller.peer.stats()["bytes_received"], time.monotonic()
        await asyncio.sleep(1)
        return (caller.peer.stats()["bytes_received"] - begin) * 8 / (time.monotonic() - at)

    async with asyncio.timeout(DEADLINE):
        # Without a limit it is two million, if the machine can paint so fast.
        while (before := await rate(other)) < 900_000:
            pass
        while await rate(other) > before / 2:
            take(300_000)
        # When the slow one has left it does not count any more.
        await other.verto(verto.bye(other.call_id))
        while await rate(one) < before * 0.75:
            pass

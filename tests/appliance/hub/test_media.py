"""What members really hear and see: real connections through a real hub on the loopback.

Each member sends a tone of its own and a picture of its own tint. What the others get is judged at
their ends: sound by its spectrum, pictures by their pixels.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from fractions import Fraction
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest
from av import VideoFrame

from appliance.hub.config import HubConfig
from appliance.hub.server import HubServer
from appliance.media.audio_receiver import AudioReceiver
from appliance.media.opus import OpusEncoder
from appliance.media.packet import Encoded, packetize
from appliance.media.peer import Peer, PeerState
from appliance.media.video_encoder import VideoCodec, VideoEncoder
from appliance.media.video_receiver import VideoReceiver
from appliance.signaling import verto
from tests.appliance.hub.hub_client import Client, token, until
from tests.appliance.media.conftest import LOOPBACK, level_at, tone

DEADLINE = 40.0

#: Y, U, V of pictures that no mute image and no background looks like.
RED = (90, 90, 230)
GREEN = (150, 60, 60)
BLUE = (60, 220, 110)

WINDOW = 24_000
"""Half a second: frequencies are told apart to a few hertz."""


class Caller(Client):
    """A client with media: sends a tone and a tint, and keeps what it gets."""

    frequency: float | None = None
    tint: tuple[int, int, int] | None = None
    peer: Peer
    audio: AudioReceiver
    video: VideoReceiver

    @classmethod
    async def call(
        cls,
        hub: HubServer,
        name: str,
        *,
        frequency: float | None = None,
        tint: tuple[int, int, int] | None = None,
        codec: VideoCodec = "h264",
        **options: Any,
    ) -> Self:
        """Join the room; the media are on the way when this returns."""
        caller = await cls.connect(hub, token(hub, user_name=name, **options))
        caller.frequency, caller.tint, caller.codec = frequency, tint, codec
        await caller.dial()
        caller.sending = asyncio.create_task(caller._send())
        return caller

    codec: VideoCodec = "h264"
    sending: asyncio.Task[None]

    async def dial(self) -> None:
        """Bring the main leg up, or up again with a new connection."""
        seen = len(self.events)
        self.peer = Peer(addresses=LOOPBACK)
        offer = await self.peer.offer(
            "recvonly" if self.frequency is None else "sendrecv",
            "recvonly" if self.tint is None else "sendrecv",
        )
        if self.codec == "vp8":
            offer = offer.replace("H264/90000", "H265/90000")
        assert self.peer.audio_in
        assert self.peer.video_in
        self.audio, self.video = (
            AudioReceiver(self.peer.audio_in),
            VideoReceiver(self.peer.video_in),
        )
        self.heard: list[np.ndarray] = []
        result = await self.verto(verto.invite(self.call_id, offer))
        assert result["code"] == "200", result
        answer = await self.verto_event("verto.answer", since=seen)
        await self.peer.accept(answer["sdp"])
        about = await self.event("video.room.subscribed", since=seen)
        self.member_id, self.room_session_id = about["member_id"], about["room_session"]["id"]

    async def hang_up(self) -> None:
        """Leave, and stop all that runs."""
        self.sending.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.sending
        if self.socket.close_code is None:
            await self.verto(verto.bye(self.call_id))
        await self.close()
        self.video.close()
        self.audio.close()
        await self.peer.close()

    async def _send(self) -> None:
        """A tone of 20 ms at a time and, with every fifth, a picture."""
        opus, video = OpusEncoder(), VideoEncoder(self.codec, 320, 180, rate=10, bitrate=300_000)
        keyframe = True

        def wanted() -> None:
            nonlocal keyframe
            keyframe = True

        start, beat = time.monotonic(), 0
        try:
            while True:
                await asyncio.sleep(max(0.0, start + beat * 0.020 - time.monotonic()))
                self.heard.append(self.audio.pull())
                if self.frequency is not None and self.peer.audio_out is not None:
                    samples = tone(self.frequency, start=beat * 960)
                    self.peer.audio_out.send(packetize(opus.encode(samples), "opus"))
                if beat % 5 == 0 and self.tint is not None and self.peer.video_out is not None:
                    self.peer.video_out.on_keyframe_request = wanted
                    packet = video.encode(flat(self.tint, beat // 5), keyframe=keyframe)
                    keyframe = False
                    self.peer.video_out.send(packetize(packet, self.codec))
                beat += 1
        finally:
            video.close()

    # What arrives

    async def windows(self, *frequencies: float, count: int = 6) -> list[list[float]]:
        """The level of each frequency in dBFS, in windows of what is heard from now on."""
        first = len(self.heard)
        last = first + count * WINDOW // 960
        await until(lambda: len(self.heard) >= last, DEADLINE)
        samples = np.concatenate(self.heard[first:last]).astype(np.float64)
        return [[level_at(part, f) for f in frequencies] for part in np.split(samples, count)]

    async def level(self, frequency: float) -> float:
        """The level of a frequency where it is the loudest.

        On a machine under load tones have holes; what is louder than that was really sent.
        """
        return max(window[0] for window in await self.windows(frequency))

    async def hears(self, frequency: float) -> None:
        """Wait until it does."""

        def loud() -> bool:
            recent = self.heard[-WINDOW // 960 :]
            return bool(recent) and level_at(np.concatenate(recent), frequency) > -30

        await until(loud, DEADLINE)

    def colours(self, member_id: str) -> tuple[float, float, float] | None:
        """Y, U and V in the middle of a member's place on the canvas that it gets."""
        frame = self.video.latest
        layout = [params for name, params in self.events if name == "video.layout.changed"]
        layers = layout[-1]["layout"]["layers"] if layout else []
        place = next((one for one in layers if one["member_id"] == member_id), None)
        if frame is None or place is None:
            return None
        means = []
        for number, plane in enumerate(frame.planes):
            rows = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)
            rows = rows[:, : plane.width]
            # A spot beside the middle: a name stands below, initials in the middle.
            x = (place["x"] + place["width"] * 0.85) / 100 * plane.width
            y = (place["y"] + place["height"] * 0.25) / 100 * plane.height
            size = 4 if number else 8
            means.append(float(rows[int(y) : int(y) + size, int(x) : int(x) + size].mean()))
        return means[0], means[1], means[2]

    async def sees(self, member_id: str, tint: tuple[int, int, int], near: bool = True) -> None:
        """Wait until a member's place shows a tint, or does not any more."""

        def shown() -> bool:
            colours = self.colours(member_id)
            if colours is None:
                return False
            distance = max(abs(a - b) for a, b in zip(colours, tint, strict=True))
            return distance < 12 if near else distance > 40

        await until(shown, DEADLINE)


def flat(tint: tuple[int, int, int], index: int) -> VideoFrame:
    """A picture of one colour, the `index`-th at ten a second."""
    frame = VideoFrame(320, 180, "yuv420p")
    for plane, value in zip(frame.planes, tint, strict=True):
        plane.update(bytes([value]) * plane.buffer_size)
    frame.pts, frame.time_base = index * 9000, Fraction(1, 90_000)
    return frame


Join = Callable[..., Awaitable[Caller]]


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[HubServer]:
    threads = set(threading.enumerate())
    config = HubConfig(listen="127.0.0.1:0", data=tmp_path, width=640, height=360, rate=15)
    server = HubServer(config, environment={})
    await server.start()
    yield server
    await server.stop()
    left = {t.name for t in set(threading.enumerate()) - threads if "asyncio" not in t.name}
    assert not left, "threads have outlived the hub"


@pytest.fixture
async def join(hub: HubServer) -> AsyncIterator[Join]:
    callers: list[Caller] = []

    async def enter(name: str, **options: Any) -> Caller:
        callers.append(await Caller.call(hub, name, **options))
        return callers[-1]

    yield enter
    for caller in callers:
        await caller.hang_up()


async def test_everybody_hears_the_others_and_not_itself(join: Join) -> None:
    tones = {"A": 1000.0, "B": 1500.0, "Guest": 2200.0}
    callers = [await join(name, frequency=f) for name, f in tones.items()]
    watcher = await join("Watcher", join_as="audience", permissions=[])
    for caller in (*callers, watcher):
        for frequency in tones.values():
            if frequency != caller.frequency:
                await caller.hears(frequency)
    listeners = (*callers, watcher)
    results = await asyncio.gather(*(one.windows(*tones.values()) for one in listeners))
    for caller, windows in zip(listeners, results, strict=True):
        others = [n for n, f in enumerate(tones.values()) if f != caller.frequency]
        # A hole in a tone, as a machine under load makes them, sounds at every frequency.
        clearest = max(windows, key=lambda window: min(window[n] for n in others))
        heard = dict(zip(tones.values(), clearest, strict=True))
        own = heard.pop(caller.frequency) if caller.frequency else None
        # The tones are sent at -12 dBFS.
        assert min(heard.values()) > -20, heard
        assert own is None or own < min(heard.values()) - 40, (own, heard)


async def test_everybody_sees_everybody_in_its_place(join: Join) -> None:
    tints = {"A": RED, "B": GREEN, "C": BLUE}
    callers = [await join(name, tint=tint) for name, tint in tints.items()]
    watcher = await join("Watcher", join_as="audience", permissions=[])
    for viewer in (*callers, watcher):
        for caller in callers:
            await viewer.sees(caller.member_id, caller.tint or RED)
    # Each has been seen to have become visible.
    members = (await watcher.rpc("video.members.get"))["members"]
    assert [one["visible"] for one in members] == [True] * 3


async def test_h264_and_vp8_share_one_room(join: Join) -> None:
    one = await join("A", tint=RED, frequency=1000.0)
    other = await join("B", tint=GREEN, codec="vp8")
    assert one.peer.video_in
    assert other.peer.video_in
    assert (one.peer.video_in.codec, other.peer.video_in.codec) == ("h264", "vp8")
    for viewer in (one, other):
        await viewer.sees(one.member_id, RED)
        await viewer.sees(other.member_id, GREEN)
    await other.hears(1000.0)


async def test_a_video_mute_takes_the_picture_from_the_canvas(join: Join) -> None:
    one, other = await join("A", tint=RED), await join("B", tint=GREEN)
    await other.sees(one.member_id, RED)
    await other.rpc("video.member.video_mute", member_id=one.member_id)
    await other.sees(one.member_id, RED, near=False)
    # Only that one's.
    await other.sees(other.member_id, GREEN)
    await other.rpc("video.member.video_unmute", member_id=one.member_id)
    await other.sees(one.member_id, RED)


async def test_an_audio_mute_takes_the_sound_from_the_mix(join: Join) -> None:
    one, other = await join("A", frequency=1000.0), await join("B", frequency=1500.0)
    await other.hears(1000.0)
    await one.hears(1500.0)
    await other.rpc("video.member.audio_mute", member_id=one.member_id)
    await other.windows(1000.0, count=2)  # what was on its way before
    assert await other.level(1000.0) < -70
    assert await one.level(1500.0) > -20
    await other.rpc("video.member.audio_unmute", member_id=one.member_id)
    await other.hears(1000.0)
    await one.rpc("video.member.deaf")
    await one.windows(1500.0, count=2)  # what was on its way before
    assert await one.level(1500.0) < -70


async def test_a_volume_changes_what_the_others_hear(join: Join) -> None:
    one, other = await join("A", frequency=1000.0), await join("B", frequency=1500.0)
    await other.hears(1000.0)
    before = await other.level(1000.0)
    await other.rpc("video.member.set_input_volume", member_id=one.member_id, volume=-20)
    await other.windows(1000.0, count=2)  # what was on its way before
    after = await other.level(1000.0)
    assert after == pytest.approx(before - 10, abs=2)


async def test_who_talks_is_told(join: Join) -> None:
    other = await join("B")
    one = await join("A", frequency=1000.0)
    about = await other.event("video.member.talking")
    assert about["member"] == {"id": one.member_id, "talking": True}
    one.frequency = None
    await other.event("video.member.talking", lambda p: not p["member"]["talking"])


async def test_a_layout_moves_the_pictures(join: Join) -> None:
    one, other = await join("A", tint=RED), await join("B", tint=GREEN)
    await other.sees(one.member_id, RED)
    positions = {"self": "standard-4", one.member_id: "standard-3"}
    seen = len(other.events)
    await other.rpc("video.set_layout", name="2x2", positions=positions)
    layout = await other.event("video.layout.changed", since=seen)
    places = {layer["member_id"]: layer["position"] for layer in layout["layout"]["layers"]}
    assert (places[one.member_id], places[other.member_id]) == ("standard-3", "standard-4")
    await other.sees(one.member_id, RED)
    await other.sees(other.member_id, GREEN)


async def test_a_call_invited_again_has_media_again(join: Join) -> None:
    one, other = await join("A", tint=RED, frequency=1000.0), await join("B", tint=GREEN)
    await other.sees(one.member_id, RED)
    await other.hears(1000.0)
    seen, member_id = await other.mark(), one.member_id
    old, old_video = one.peer, one.video
    one.tint = BLUE
    await one.dial()
    assert one.member_id == member_id
    await other.sees(member_id, BLUE)
    await other.hears(1000.0)
    await one.sees(other.member_id, GREEN)
    assert "video.member.left" not in other.names(seen)
    old_video.close()
    await old.close()


async def test_media_go_on_while_the_socket_is_gone(hub: HubServer, join: Join) -> None:
    one, other = await join("A", tint=RED, frequency=1000.0), await join("B", frequency=1500.0)
    await other.hears(1000.0)
    await one.hears(1500.0)
    await one.cut()
    assert await other.level(1000.0) > -20
    assert await one.level(1500.0) > -20
    again = await Client.connect(
        hub,
        token(hub, user_name="A"),
        protocol=one.connected["protocol"],
        authorization_state=one.authorization_state,
    )
    again.room_session_id = one.room_session_id
    await again.rpc("video.member.audio_mute", member_id=one.member_id)
    await other.windows(1000.0, count=2)  # what was on its way before
    assert await other.level(1000.0) < -70
    await again.verto(verto.bye(one.call_id), one.call_id)
    await other.event("video.member.left")
    await again.close()


async def test_a_shared_screen_is_seen_by_all_and_by_its_owner(join: Join) -> None:
    one, other = await join("A", tint=RED), await join("B")
    screen, leg = Peer(addresses=LOOPBACK), str(uuid.uuid4())
    offer = await screen.offer(audio=None, video="sendonly")
    seen = len(one.events)
    message = verto.invite(
        leg,
        offer,
        screen_share=True,
        user_variables={"memberCallId": one.call_id, "memberId": one.member_id},
    )
    assert (await one.verto(message, leg))["code"] == "200"
    answer = await one.verto_event("verto.answer", since=seen)
    await screen.accept(answer["sdp"])
    joined = (await one.event("video.member.joined", since=seen))["member"]
    encoder = VideoEncoder("h264", 320, 180, rate=10, bitrate=300_000)

    async def share() -> None:
        index = 0
        while True:
            await asyncio.sleep(0.1)
            frame: Encoded = packetize(
                encoder.encode(flat(BLUE, index), keyframe=index % 10 == 0), "h264"
            )
            assert screen.video_out
            screen.video_out.send(frame)
            index += 1

    sharing = asyncio.create_task(share())
    await other.sees(joined["id"], BLUE)
    await one.sees(joined["id"], BLUE)
    sharing.cancel()
    await asyncio.gather(sharing, return_exceptions=True)
    encoder.close()
    await one.verto(verto.bye(leg), leg)
    await other.event("video.member.left", lambda p: p["member"]["id"] == joined["id"])
    await screen.close()


async def test_a_removed_member_s_connection_ends(join: Join) -> None:
    one, other = await join("A", tint=RED), await join("B")
    await other.sees(one.member_id, RED)
    await other.rpc("video.member.remove", member_id=one.member_id)
    await one.verto_event("verto.bye")
    await until(lambda: one.peer.state in (PeerState.CLOSED, PeerState.FAILED), DEADLINE)


async def test_nothing_is_encoded_while_nobody_looks(hub: HubServer, join: Join) -> None:
    one = await join("A", tint=RED)
    await one.sees(one.member_id, RED)
    room = hub.rooms.get("demo")
    assert room is not None
    canvas = room.stage.canvas  # type: ignore[attr-defined]
    await one.peer.close()
    leg = next(iter(room.legs))
    await until(lambda: leg.peer is not None and leg.peer.state is not PeerState.CONNECTED, 60)
    # The tick that was under way may still end.
    await asyncio.sleep(0.2)
    frames = canvas.stats.frames
    await asyncio.sleep(0.5)
    assert canvas.stats.frames == frames

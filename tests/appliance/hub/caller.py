"""A member with real media, for the tests: it sends a tone and a tint, and keeps what it gets."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from fractions import Fraction
from typing import Any, Self

import numpy as np
from av import VideoFrame

from appliance.hub.server import HubServer
from appliance.media.audio_receiver import AudioReceiver
from appliance.media.opus import OpusEncoder
from appliance.media.packet import MediaPacket, packetize
from appliance.media.peer import Peer
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
        arrived: list[MediaPacket] = []
        self.arrived, take = arrived, self.audio._received

        def keep(packet: MediaPacket) -> None:
            arrived.append(packet)
            take(packet)

        self.peer.audio_in.on_packet = keep
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

    async def window(self, *frequencies: float, test: Callable[[list[float]], bool]) -> list[float]:
        """The first window, from now on, whose levels pass."""
        seen: list[list[float]] = []
        try:
            async with asyncio.timeout(DEADLINE):
                while True:
                    seen = await self.windows(*frequencies)
                    if passing := [levels for levels in seen if test(levels)]:
                        return passing[0]
        except TimeoutError:
            raise TimeoutError(f"no such window in {DEADLINE} s; the last: {seen}") from None

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

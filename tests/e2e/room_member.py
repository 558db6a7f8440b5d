"""A member for the pages' tests: one grey, one tone; it keeps what it sees, hears and is told."""

from __future__ import annotations

import asyncio
import uuid
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from fractions import Fraction
from typing import Any, Self

import numpy as np
from av import VideoFrame
from numpy.typing import NDArray

from appliance.hub.server import HubServer
from appliance.hub.tokens import TokenOptions, mint
from appliance.media.audio_receiver import AudioReceiver
from appliance.media.opus import FRAME, RATE, OpusEncoder
from appliance.media.packet import packetize
from appliance.media.peer import Peer
from appliance.media.video_encoder import VideoEncoder
from appliance.media.video_receiver import VideoReceiver
from appliance.signaling import verto
from appliance.signaling.connection import Connection
from appliance.signaling.permissions import PERMISSIONS

DEADLINE = 60.0
SIZE = (320, 180)
BEAT = FRAME / RATE
"""Seconds of one piece of sound: 20 ms."""
PICTURE_BEATS = 4
"""Beats between two pictures."""


async def until(condition: Callable[[], Any], deadline: float = DEADLINE) -> None:
    """Wait until a condition holds; the poll is the test's clock, not its verdict."""
    async with asyncio.timeout(deadline):
        while not condition():
            await asyncio.sleep(0.02)


def _audible(piece: NDArray[np.int16]) -> bool:
    """Whether a piece of sound is louder than -60 dBFS."""
    samples = piece.astype(np.float64) / 32768
    return float(np.mean(samples**2)) > 10**-6


class RoomMember:
    """In the room from `async with` on.  `luma` is its picture, 16 to 235; `tone` in Hz."""

    def __init__(self, hub: HubServer, name: str, *, luma: int = 120, tone: float = 1000.0) -> None:
        options = TokenOptions(room_name="demo", user_name=name, permissions=sorted(PERMISSIONS))
        token = mint(options, hub.keys.signing_key, project=hub.keys.project)
        self.name = name
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.members: dict[str, dict[str, Any]] = {}
        self.heard: deque[NDArray[np.int16]] = deque(maxlen=500)
        self.member_id = ""
        self._luma = luma
        self._tone = tone
        self._call_id = str(uuid.uuid4())
        self._connection = Connection(hub.websocket_url, token, on_event=self._event)
        self._peer = Peer(addresses=("127.0.0.1",))
        self._accepting: asyncio.Task[None] | None = None
        self._media: asyncio.Task[None] | None = None
        self._session_id = ""
        self.screen: VideoReceiver | None = None

    async def __aenter__(self) -> Self:
        await self._connection.open()
        invite = verto.invite(self._call_id, await self._peer.offer())
        await self._send(invite)
        await until(lambda: self.member_id and self._accepting and self._accepting.done())
        async with asyncio.timeout(DEADLINE):
            await self._peer.wait_connected()
        self._media = asyncio.create_task(self._run(), name="member media")
        return self

    async def __aexit__(self, *exc: object) -> None:
        for task in (self._media, self._accepting):
            if task is not None:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
        if self.screen is not None:
            self.screen.close()
        await self._peer.close()
        await self._connection.close()

    async def leave(self) -> None:
        """Say good-bye."""
        await self._send(verto.bye(self._call_id))

    async def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """One RPC of the room."""
        return await self._connection.request(
            method, {"room_session_id": self._session_id, **params}
        )

    def named(self, name: str) -> dict[str, Any] | None:
        """The member of this name, as last told of."""
        return next((one for one in self.members.values() if one["name"] == name), None)

    def told(self, event: str, condition: Callable[[dict[str, Any]], Any]) -> bool:
        """Whether there was such an event."""
        return any(kind == event and condition(params) for kind, params in self.events)

    async def hears_something(self) -> None:
        """Wait for a sound."""
        await until(lambda: any(_audible(piece) for piece in self.heard))

    async def hears_nothing_after(self, seconds: float, listen: float = 4.0) -> None:
        """Listen to what comes from now on, and allow no sound later than `seconds` from now.

        Both times are of what is heard, and so no matter of how busy the machine is.  Chromium's
        fake microphone beeps now and then: `listen` would hold several of its beeps.
        """
        self.heard.clear()
        count, late = (round(one / BEAT) for one in (seconds + listen, seconds))
        assert self.heard.maxlen is not None
        assert count <= self.heard.maxlen
        await until(lambda: len(self.heard) >= count)
        loud = [n * BEAT for n, piece in enumerate(self.heard) if n >= late and _audible(piece)]
        assert loud == [], f"sound, by seconds from the beginning: {loud}"

    async def _send(self, message: dict[str, Any]) -> None:
        await self._connection.request(
            "video.message", verto.envelope(message, call_id=self._call_id)
        )

    def _event(self, kind: str, params: dict[str, Any]) -> None:
        self.events.append((kind, params))
        if kind == "webrtc.message":
            message = verto.parse(params)
            if message.method == "verto.answer" and message.sdp:
                self._accepting = asyncio.create_task(self._peer.accept(message.sdp))
        elif kind == "video.room.subscribed":
            self.member_id = params["member_id"]
            self._session_id = params["room_session"]["id"]
            self.members = {one["id"]: one for one in params["room_session"]["members"]}
        elif kind == "video.member.left":
            self.members.pop(params["member"]["id"], None)
        elif kind in ("video.member.joined", "video.member.updated", "video.member.talking"):
            self.members.setdefault(params["member"]["id"], {}).update(params["member"])

    async def _run(self) -> None:
        """One beat each 20 ms: a piece of the tone out, one of the room in, at times a picture."""
        peer = self._peer
        assert peer.audio_in is not None
        assert peer.audio_out is not None
        assert peer.video_in is not None
        assert peer.video_out is not None
        codec = peer.video_out.codec
        assert codec is not None
        assert codec != "opus"
        ears = AudioReceiver(peer.audio_in)
        self.screen = VideoReceiver(peer.video_in)
        voice, eye = OpusEncoder(), VideoEncoder(codec, *SIZE, rate=12, bitrate=300_000)
        picture = VideoFrame(*SIZE, "yuv420p")
        for plane, level in zip(picture.planes, (self._luma, 128, 128), strict=True):
            plane.update(bytes([level]) * plane.buffer_size)
        keyframe = asyncio.Event()
        peer.video_out.on_keyframe_request = keyframe.set
        loop = asyncio.get_running_loop()
        started = loop.time()
        beat = 0
        try:
            while True:
                time = (np.arange(FRAME) + beat * FRAME) / RATE
                tone = np.rint(8000 * np.sin(2 * np.pi * self._tone * time)).astype(np.int16)
                peer.audio_out.send(packetize(voice.encode(tone), "opus"))
                self.heard.append(ears.pull())
                if beat % PICTURE_BEATS == 0:
                    picture.pts, picture.time_base = beat * 20, Fraction(1, 1000)
                    wanted = beat == 0 or keyframe.is_set()
                    keyframe.clear()
                    peer.video_out.send(packetize(eye.encode(picture, wanted), codec))
                beat += 1
                await asyncio.sleep(max(started + beat * BEAT - loop.time(), 0))
        finally:
            ears.close()
            eye.close()

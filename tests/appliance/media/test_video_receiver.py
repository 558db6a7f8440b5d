"""From packets to pictures: loss, keyframes and threads."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from av import VideoFrame

from appliance.media.packet import Encoded, MediaPacket, packetize
from appliance.media.peer import Peer
from appliance.media.video_encoder import VideoCodec, VideoEncoder
from appliance.media.video_receiver import VideoReceiver
from tests.appliance.media.conftest import luma_of, picture, until


class Wire:
    """A sender whose packets the test may drop, and that counts keyframe requests."""

    def __init__(self, codec: VideoCodec = "h264") -> None:
        self.asked = 0
        self.on_packet: Callable[[MediaPacket], None] | None = None
        self._sequence = 65_530
        self._index = 0
        self._encoder = VideoEncoder(codec, 320, 180)
        self._depayload: Any = __import__("aiortc.codecs", fromlist=["depayload"]).depayload

    def request_keyframe(self) -> None:
        self.asked += 1

    def encode(self, luma: int, keyframe: bool = False) -> Encoded:
        self._index += 1
        codec = self._encoder.codec
        return packetize(self._encoder.encode(picture(self._index, luma), keyframe), codec)

    def deliver(self, frame: Encoded, lose: bool = False) -> None:
        for number, payload in enumerate(frame.payloads):
            self._sequence = (self._sequence + 1) % 65_536
            data = self._depayload(SimpleNamespace(name=frame.codec.upper()), payload)
            if lose or self.on_packet is None:
                continue
            now = asyncio.get_running_loop().time()
            marker = number == len(frame.payloads) - 1
            self.on_packet(
                MediaPacket(frame.codec, self._sequence, frame.timestamp, marker, data, now)
            )


@pytest.mark.parametrize("codec", ["h264", "vp8"])
async def test_pictures_come_out_as_they_went_in(codec: VideoCodec) -> None:
    wire = Wire(codec)
    seen: list[float] = []
    receiver = VideoReceiver(wire, lambda f: seen.append(luma_of(f)))  # type: ignore[arg-type]
    for luma in range(40, 200, 20):
        wire.deliver(wire.encode(luma))
    await until(lambda: len(seen) == 8)
    receiver.close()
    assert seen == pytest.approx(list(range(40, 200, 20)), abs=3)
    assert receiver.latest is not None
    assert receiver.latest.format.name == "yuv420p"
    assert wire.asked == 0


async def test_the_last_picture_does_not_wait_for_a_next_one() -> None:
    wire = Wire()
    receiver = VideoReceiver(wire)  # type: ignore[arg-type]
    wire.deliver(wire.encode(77))
    await until(lambda: receiver.latest is not None)
    receiver.close()


async def test_a_stream_joined_late_asks_for_a_keyframe_until_it_comes() -> None:
    wire = Wire()
    receiver = VideoReceiver(wire)  # type: ignore[arg-type]
    wire.encode(50)
    wire.deliver(wire.encode(60))
    await until(lambda: wire.asked >= 2)
    assert receiver.frames == 0
    wire.deliver(wire.encode(70, keyframe=True))
    await until(lambda: receiver.frames == 1)
    receiver.close()


async def test_a_lost_picture_is_never_shown_broken() -> None:
    wire = Wire()
    seen: list[float] = []
    receiver = VideoReceiver(wire, lambda f: seen.append(luma_of(f)))  # type: ignore[arg-type]
    wire.deliver(wire.encode(50))
    wire.deliver(wire.encode(100), lose=True)
    wire.deliver(wire.encode(101))
    await until(lambda: wire.asked >= 1)
    wire.deliver(wire.encode(150, keyframe=True))
    await until(lambda: len(seen) == 2)
    receiver.close()
    assert seen == pytest.approx([50, 150], abs=3)


async def test_rubbish_after_a_keyframe_ends_in_a_request_not_a_crash() -> None:
    wire = Wire()
    receiver = VideoReceiver(wire)  # type: ignore[arg-type]
    wire.deliver(wire.encode(50))
    wire.deliver(Encoded("h264", (b"\x65\xff\xff\xff\xff", b"\x41\x00"), 9000))
    wire.deliver(wire.encode(90, keyframe=True))
    await until(lambda: receiver.latest is not None and abs(luma_of(receiver.latest) - 90) < 3)
    receiver.close()


@pytest.mark.parametrize("codec", ["h264", "vp8"])
async def test_pictures_that_are_too_large_are_not_decoded(
    codec: VideoCodec, caplog: pytest.LogCaptureFixture
) -> None:
    wire = Wire(codec)
    large = VideoEncoder(codec, 4096, 2320)
    receiver = VideoReceiver(wire)  # type: ignore[arg-type]
    wire.deliver(wire.encode(50))
    await until(lambda: receiver.frames == 1)
    for index in range(3):
        frame = picture(100 + index, 60, 4096, 2320)
        wire.deliver(packetize(large.encode(frame, keyframe=index != 1), codec))
    await until(lambda: receiver._too_large and receiver._units.empty())
    # It is of no use to ask for a keyframe.
    wire._index = 200
    wire.deliver(wire.encode(60), lose=True)
    wire.deliver(wire.encode(60))
    await until(lambda: receiver._assembler.waits_for_keyframe)
    receiver.request_keyframe()
    assert wire.asked == 0
    assert receiver.frames == 1
    # A smaller picture is shown, and there was one warning for all of it.
    wire.deliver(wire.encode(70, keyframe=True))
    await until(lambda: receiver.frames == 2)
    assert receiver.latest is not None
    assert luma_of(receiver.latest) == pytest.approx(70, abs=3)
    receiver.close()
    assert [one.message for one in caplog.records] == [
        "pictures of 4096x2320 are not shown: too large; send at most 9437184 pixels"
    ]


async def test_closing_ends_the_thread() -> None:
    before = set(threading.enumerate())
    receiver = VideoReceiver(Wire())  # type: ignore[arg-type]
    assert set(threading.enumerate()) - before
    receiver.close()
    receiver.close()
    await receiver.wait_closed()
    # The loop's own pool has done the waiting.
    left = {t.name for t in set(threading.enumerate()) - before}
    assert not [name for name in left if "asyncio" not in name]


async def test_closing_waits_for_no_decoder() -> None:
    held, release = threading.Event(), threading.Event()
    seen: list[float] = []

    def hold(frame: VideoFrame) -> None:
        seen.append(luma_of(frame))
        held.set()
        release.wait(20)

    wire = Wire()
    receiver = VideoReceiver(wire, hold)  # type: ignore[arg-type]
    wire.deliver(wire.encode(50))
    await until(held.is_set)
    wire.deliver(wire.encode(60))
    closed_at = time.monotonic()
    receiver.close()
    # The decoder is still held up, and will be for as long as the test wants.
    assert time.monotonic() - closed_at < 1
    ending = asyncio.create_task(receiver.wait_closed())
    release.set()
    async with asyncio.timeout(20):
        await ending
    # What was still waiting is not shown any more.
    assert seen == pytest.approx([50], abs=3)


async def test_over_a_real_connection(pair: tuple[Peer, Peer]) -> None:
    caller, callee = pair
    assert caller.video_out
    assert callee.video_in
    receiver = VideoReceiver(callee.video_in)
    encoder = VideoEncoder("h264", 320, 180)
    wanted: list[bool] = []
    caller.video_out.on_keyframe_request = lambda: wanted.append(True)
    index = 0
    while receiver.frames < 20:
        async with asyncio.timeout(20):
            keyframe = bool(wanted)
            wanted.clear()
            caller.video_out.send(
                packetize(encoder.encode(picture(index, 40 + index % 100), keyframe), "h264")
            )
            index += 1
            await asyncio.sleep(0.01)
    receiver.close()
    assert receiver.errors == 0

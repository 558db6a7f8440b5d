"""A session with real media: virtual devices, real codecs, real WebRTC to a far end."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import numpy as np
import pytest

from appliance.media.capture import CameraCapture, MicCapture
from appliance.media.gate import CameraGate, MicGate, Party
from appliance.media.opus import OpusDecoder, OpusEncoder
from appliance.media.packet import MediaPacket, packetize
from appliance.media.peer import Peer
from appliance.media.playout import SpeakerPlayout
from appliance.room import LocalStream, RoomSession
from hal.audio.spectrum import level_dbfs
from hal.audio.synthetic import SyntheticMicrophone, SyntheticSpeaker
from hal.camera import VideoFormat
from hal.camera.synthetic import SyntheticCamera
from tests.appliance.room.conftest import until
from tests.appliance.room.fake_hub import FakeHub
from tests.appliance.room.test_gates import own

OURS, THEIRS = 1000.0, 1500.0
"""Tones in Hz: the device speaks one, the far end the other."""


class FarEnd:
    """The media side of the hub: hears what the device sends, and speaks a tone of its own."""

    def __init__(self) -> None:
        self.peers: list[Peer] = []
        self.heard: list[np.ndarray] = []
        self.pictures = 0
        self.spoken = 0
        self._tasks: list[asyncio.Task[None]] = []

    async def answer(self, offer: str) -> str:
        peer, decoder = Peer(addresses=["127.0.0.1"]), OpusDecoder()
        self.peers.append(peer)

        def audio(packet: MediaPacket) -> None:
            self.heard.append(decoder.decode(packet.data))

        def video(packet: MediaPacket) -> None:
            self.pictures += packet.marker

        answer = await peer.answer(offer)
        assert peer.audio_in is not None
        assert peer.video_in is not None
        peer.audio_in.on_packet, peer.video_in.on_packet = audio, video
        self._tasks.append(asyncio.create_task(self._speak(peer)))
        return answer

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for peer in self.peers:
            await peer.close()

    def level(self, frames: int = 10) -> float:
        """The level of the device's tone in the newest frames, in dBFS."""
        return level_dbfs(np.concatenate(self.heard[-frames:]), OURS) if self.heard else -120.0

    async def speaks(self, frames: int) -> None:
        """Wait while the far end sends so many frames of 20 ms."""
        end = self.spoken + frames
        await until(lambda: self.spoken >= end)

    async def _speak(self, peer: Peer) -> None:
        encoder, loop = OpusEncoder(), asyncio.get_running_loop()
        time = np.arange(960) / 48_000
        began = loop.time()
        for index in range(100_000):
            wave = np.sin(2 * np.pi * THEIRS * (time + index * 0.02)) * 8000
            assert peer.audio_out is not None
            peer.audio_out.send(packetize(encoder.encode(wave.astype(np.int16)), "opus"))
            self.spoken += 1
            await asyncio.sleep(max(0.0, began + (index + 1) * 0.02 - loop.time()))


class Device:
    """Virtual hardware and a session that uses it."""

    def __init__(self, hub: FakeHub, **options: bool) -> None:
        self.microphone = MicCapture(
            SyntheticMicrophone(frequency=OURS, pattern="continuous"), MicGate()
        )
        self.camera = CameraCapture(
            SyntheticCamera(), CameraGate(), VideoFormat(320, 180, 10), bitrate=200_000
        )
        self.speaker_device = SyntheticSpeaker()
        self.speaker = SpeakerPlayout(self.speaker_device)
        self.room = RoomSession(
            "token",
            host=hub.url,
            local_stream=LocalStream(self.microphone, self.camera),
            speaker=self.speaker,
            **options,
        )

    async def close(self) -> None:
        self.room.destroy()
        await self.room.wait_closed()
        for one in (self.microphone, self.camera, self.speaker):
            await one.stop()

    def hears(self, frequency: float) -> float:
        """The level of a tone in the last 200 ms that the loudspeaker played, in dBFS."""
        return level_dbfs(self.speaker_device.samples(0.2), frequency)


@pytest.fixture
async def far(hub: FakeHub) -> AsyncIterator[FarEnd]:
    end = FarEnd()
    hub.answer_sdp = end.answer
    yield end
    await end.close()


@contextlib.asynccontextmanager
async def joined(hub: FakeHub, **options: bool) -> AsyncIterator[Device]:
    device = Device(hub, **options)
    try:
        await device.room.join()
        yield device
    finally:
        await device.close()


async def test_both_ways_and_muted(hub: FakeHub, far: FarEnd) -> None:
    async with joined(hub, stop_microphone_while_muted=False) as device:
        await until(lambda: far.level() > -20)
        await until(lambda: device.hears(THEIRS) > -20)
        await until(lambda: far.pictures >= 3)
        remote = device.room.remote_stream
        assert remote is not None
        assert remote.audio is not None
        assert device.room.stats()["bytes_sent"] > 0
        # Not itself; the beginning of a tone is wide, so once that has passed.
        await until(
            lambda: device.hears(THEIRS) > -20 and device.hears(OURS) < device.hears(THEIRS) - 40
        )

        await device.room.audio_mute()
        # What was on its way may still arrive; then it is digital silence, and stays so.
        await until(lambda: far.level(1) < -90)
        del far.heard[:]
        await until(lambda: len(far.heard) >= 25)
        assert max(np.abs(frame).max() for frame in far.heard) <= 1

        await device.room.audio_unmute()
        await until(lambda: far.level() > -20)


async def test_muted_devices_send_nothing(hub: FakeHub, far: FarEnd) -> None:
    async with joined(hub) as device:
        await until(lambda: far.level() > -20)
        await until(lambda: far.pictures >= 3)
        device.microphone.gate.mute(Party.ROOM)
        device.camera.gate.mute(Party.ROOM)
        await hub.until(lambda: own(hub)["audio_muted"] and own(hub)["video_muted"])
        await until(lambda: device.microphone.suspended and device.camera.suspended)
        # The far end goes on speaking meanwhile, and that is the clock.
        await far.speaks(15)
        frames, pictures = len(far.heard), far.pictures
        await far.speaks(25)
        assert (len(far.heard), far.pictures) == (frames, pictures)
        await until(lambda: device.hears(THEIRS) > -20)
        device.microphone.gate.unmute(Party.ROOM)
        device.camera.gate.unmute(Party.ROOM)
        await until(lambda: far.level() > -20)
        await until(lambda: far.pictures > pictures)


async def test_media_come_back(hub: FakeHub, far: FarEnd) -> None:
    async with joined(hub) as device:
        events: list[str] = []
        for name in ("media.disconnected", "media.reconnecting", "media.connected"):
            device.room.on(name, lambda name=name: events.append(name))
        await until(lambda: far.level() > -20)
        member = device.room.member_id
        await far.peers[0].close()
        await until(lambda: "media.reconnecting" in events)
        del far.heard[:]
        await until(lambda: len(far.heard) > 20 and far.level() > -20)
        assert events[-3:] == ["media.disconnected", "media.reconnecting", "media.connected"]
        assert len(far.peers) == 2
        assert device.room.member_id == member
        await until(lambda: device.hears(THEIRS) > -20)

"""Two devices in a call, from camera to screen and from microphone to speaker."""

from __future__ import annotations

import numpy as np

from appliance.media.audio_receiver import AudioReceiver
from appliance.media.capture import CameraCapture, MicCapture
from appliance.media.gate import CameraGate, MicGate, Party
from appliance.media.leg import MediaLeg
from appliance.media.peer import Peer, PeerState
from appliance.media.playout import DisplayPlayout, SpeakerPlayout
from appliance.media.video_receiver import VideoReceiver
from hal.audio.synthetic import SyntheticMicrophone, SyntheticSpeaker
from hal.camera import VideoFormat
from hal.camera.scene import decode
from hal.camera.synthetic import SyntheticCamera
from hal.display.memory import MemoryDisplay
from tests.appliance.media.conftest import LOOPBACK, level_at, until


class Room:
    """The devices of one room and its leg."""

    def __init__(self, number: int) -> None:
        self.speaker = SyntheticSpeaker()
        self.mic = MicCapture(
            SyntheticMicrophone(device_id=number, pattern="continuous"), MicGate()
        )
        self.camera = CameraCapture(
            SyntheticCamera(device_id=number), CameraGate(), VideoFormat(640, 360, 30)
        )
        self.playout = SpeakerPlayout(self.speaker)
        self.screen = DisplayPlayout(MemoryDisplay())
        self.leg = MediaLeg(
            microphone=self.mic,
            camera=self.camera,
            speaker=self.playout,
            display=self.screen,
            addresses=LOOPBACK,
        )
        self.parts = (self.mic, self.camera, self.playout, self.screen)

    async def start(self) -> None:
        for part in self.parts:
            await part.start()
        self.mic.gate.unmute(Party.START)
        self.camera.gate.unmute(Party.START)

    async def stop(self) -> None:
        await self.leg.close()
        for part in self.parts:
            await part.stop()

    def heard(self) -> np.ndarray:
        return self.speaker.samples()


async def test_each_sees_and_hears_the_other_and_not_itself() -> None:
    one, two = Room(1), Room(2)
    states: list[PeerState] = []
    one.leg.on_state = states.append
    await one.start()
    await two.start()
    offer = await one.leg.offer()
    # The other room answers as a server would.
    peer = Peer(addresses=LOOPBACK)
    await one.leg.accept(await peer.answer(offer))
    assert peer.audio_out
    assert peer.video_out
    assert peer.audio_in
    assert peer.video_in
    two.mic.attach(peer.audio_out)
    two.camera.attach(peer.video_out)
    audio = AudioReceiver(peer.audio_in)
    video = VideoReceiver(peer.video_in, two.screen.show)
    two.playout.attach(audio)

    def seen(room: Room) -> int | None:
        code = decode(room.screen.shown) if room.screen.shown is not None else None
        return None if code is None else code.camera

    await until(lambda: seen(one) == 2 and seen(two) == 1)
    assert states[-1] is PeerState.CONNECTED

    def hears(room: Room, own: float, other: float) -> bool:
        # Half a second without a hole: a busy machine may take more than one try.
        sound = room.heard()[-24_000:]
        if len(sound) < 24_000:
            return False
        level = level_at(sound, other)
        return abs(level + 12) < 2 and level_at(sound, own) < level - 40

    await until(lambda: hears(one, 1000, 1500) and hears(two, 1500, 1000))
    stats = one.leg.stats()
    assert stats["video_frames"] > 0
    assert stats["audio_packets_received"] > 0
    assert 0 <= stats["video_jitter_ms"] < 1000
    # The first reports come after a second or so.
    await until(lambda: {"round_trip_ms", "video_sent_lost_percent"} <= one.leg.stats().keys())
    assert 0 < one.leg.stats()["round_trip_ms"] < 1000
    assert 0 <= one.leg.stats()["video_sent_lost_percent"] <= 100
    video.close()
    audio.close()
    await peer.close()
    await one.stop()
    await two.stop()


async def test_receive_only_offers_no_sending() -> None:
    leg = MediaLeg(addresses=LOOPBACK)
    offer = await leg.offer()
    await leg.close()
    assert offer.count("a=recvonly") == 2
    assert "a=sendrecv" not in offer


async def test_other_captures_take_over_and_are_let_go() -> None:
    here, there, other = Room(1), Room(2), Room(3)
    try:
        for room in (here, there, other):
            await room.start()
        peer = Peer(addresses=LOOPBACK)
        receiver: list[VideoReceiver] = []
        answer = await peer.answer(await here.leg.offer())
        assert peer.video_in
        receiver.append(VideoReceiver(peer.video_in))
        await here.leg.accept(answer)

        def shown() -> int | None:
            frame = receiver[0].latest
            tag = None if frame is None else decode(frame)
            return None if tag is None else tag.camera

        await until(lambda: shown() == 1)
        here.leg.send_from(microphone=other.mic, camera=other.camera)
        await until(lambda: shown() == 3)
        assert here.mic._outlets == here.camera._outlets == ()
        await here.leg.close()
        assert other.mic._outlets == other.camera._outlets == ()
        receiver[0].close()
        await peer.close()
    finally:
        for room in (here, there, other):
            await room.stop()

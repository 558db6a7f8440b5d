"""Another device in the middle of a call: heard and seen at the far end, never past the gate."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest

from appliance.media.capture import CameraCapture, MicCapture
from appliance.media.gate import CameraGate, MicGate, Party
from appliance.media.playout import SpeakerPlayout
from appliance.room import (
    LocalStream,
    MediaTrackConstraints,
    NotInUse,
    Overconstrained,
    OverconstrainedError,
    RoomError,
)
from hal import registry
from hal.audio.spectrum import level_dbfs
from hal.audio.synthetic import SyntheticMicrophone, SyntheticSpeaker
from hal.camera import VideoFormat
from hal.camera.synthetic import SyntheticCamera
from hal.errors import DeviceNotFound, HalError
from tests.appliance.room.conftest import Stage, until
from tests.appliance.room.fake_hub import FakeHub
from tests.appliance.room.test_loopback import OURS, THEIRS, Device, FarEnd, joined

pytestmark = pytest.mark.usefixtures("only_virtual")

OTHER = 2000.0
"""The tone in Hz of another microphone."""


@pytest.fixture
async def far(hub: FakeHub) -> AsyncIterator[FarEnd]:
    end = FarEnd()
    hub.answer_sdp = end.answer
    yield end
    await end.close()


@pytest.fixture
async def device(hub: FakeHub, far: FarEnd) -> AsyncIterator[Device]:
    async with joined(hub) as one:
        yield one


def level(far: FarEnd, frequency: float) -> float:
    return level_dbfs(np.concatenate(far.heard[-10:]), frequency) if far.heard else -120.0


def tells(device: Device, event: str) -> list[Any]:
    told: list[Any] = []
    device.room.on(event, told.append)
    return told


class Backends:
    """What the registry makes from now on, in place of what it would."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.made: list[Any] = []
        self.replace: dict[str, Any] = {}
        create = registry.create

        def wrapped(kind: Any, name: str = "auto", **options: Any) -> Any:
            made = self.replace.get(kind) or create(kind, name, **options)
            self.made.append(made)
            return made

        monkeypatch.setattr(registry, "create", wrapped)


@pytest.fixture
def backends(monkeypatch: pytest.MonkeyPatch) -> Backends:
    return Backends(monkeypatch)


class TestMicrophone:
    async def test_another_one_is_heard(
        self, device: Device, far: FarEnd, backends: Backends
    ) -> None:
        told = tells(device, "microphone.updated")
        backends.replace["microphone"] = SyntheticMicrophone(
            device_id=4, frequency=OTHER, pattern="continuous"
        )
        gate, peers = device.microphone.gate, len(far.peers)
        await device.room.update_microphone()
        await until(lambda: level(far, OTHER) > -20 and level(far, OURS) < -50)
        assert device.room.microphone_id == "synthetic:4"
        assert device.microphone.gate is gate
        (event,) = told
        assert event.previous.to_dict() == {
            "deviceId": "synthetic:1",
            "label": "Synthetic microphone 1",
        }
        assert event.current.deviceId == "synthetic:4"
        assert len(far.peers) == peers, "nothing was negotiated"

    async def test_one_that_fails_leaves_the_one_before(
        self, device: Device, far: FarEnd, backends: Backends
    ) -> None:
        told = tells(device, "microphone.updated")
        errors = tells(device, "microphone.disconnected")
        broken = backends.replace["microphone"] = SyntheticMicrophone(device_id=4)
        broken.unplug()
        with pytest.raises(DeviceNotFound):
            await device.room.update_microphone()
        del far.heard[:]
        await until(lambda: len(far.heard) > 10 and far.level() > -20)
        assert device.room.microphone_id == "synthetic:1"
        assert told == errors == []

    async def test_muted_stays_muted(
        self, device: Device, far: FarEnd, hub: FakeHub, backends: Backends
    ) -> None:
        backends.replace["microphone"] = SyntheticMicrophone(
            device_id=4, frequency=OTHER, pattern="continuous"
        )
        device.microphone.gate.mute(Party.ROOM)
        await until(lambda: device.microphone.suspended)
        await far.speaks(15)
        heard = len(far.heard)
        await device.room.update_microphone()
        # It was tried, and is closed again.
        assert device.room.microphone_id == "synthetic:4"
        assert device.microphone.suspended
        await far.speaks(25)
        assert len(far.heard) == heard
        device.microphone.gate.unmute(Party.ROOM)
        await until(lambda: len(far.heard) > heard + 10 and level(far, OTHER) > -20)

    async def test_constraints(self, device: Device) -> None:
        with pytest.raises(OverconstrainedError) as error:
            await device.room.update_microphone({"autoGainControl": {"exact": True}})
        assert error.value.constraint == "autoGainControl"
        assert isinstance(error.value, RoomError)
        with pytest.raises(Overconstrained) as error:
            await device.room.update_microphone(device_id={"exact": "nothing"})
        assert error.value.constraint == "deviceId"
        # The soft form takes what there is.
        await device.room.update_microphone(device_id={"ideal": "nothing"})


class TestCamera:
    async def test_another_one_is_seen(self, device: Device, far: FarEnd) -> None:
        told = tells(device, "camera.updated")
        await device.room.update_camera(device_id="synthetic:6", width=160, frame_rate=10)
        assert (device.room.camera_id, device.room.camera_label) == (
            "synthetic:6",
            "Synthetic camera 6",
        )
        assert device.camera.format == VideoFormat(160, 90, 10)
        pictures = far.pictures
        await until(lambda: far.pictures > pictures + 3)
        assert [(e.previous.deviceId, e.current.deviceId) for e in told] == [
            ("synthetic:1", "synthetic:6")
        ]
        wish = MediaTrackConstraints(width={"exact": 320}, frame_rate={"max": 10})
        await device.room.update_camera(wish)
        assert device.camera.format == VideoFormat(320, 180, 10)

    async def test_one_that_cannot_leaves_the_one_before(
        self, device: Device, far: FarEnd, backends: Backends
    ) -> None:
        class Modest(SyntheticCamera):
            def open(self, wanted: VideoFormat) -> VideoFormat:
                return super().open(VideoFormat(64, 36, 10))

        told = tells(device, "camera.updated")
        backends.replace["camera"] = Modest(device_id=9)
        with pytest.raises(Overconstrained) as error:
            await device.room.update_camera(width={"min": 640}, device_id="synthetic:9")
        assert error.value.constraint == "width"
        assert device.room.camera_id == "synthetic:1"
        assert device.camera.format == VideoFormat(320, 180, 10)
        pictures = far.pictures
        await until(lambda: far.pictures > pictures + 3)
        assert told == []
        with pytest.raises(Overconstrained):
            await device.room.update_camera(width={"min": 640, "max": 320})

    async def test_the_nearest_of_several(self, device: Device, backends: Backends) -> None:
        class Fixed(SyntheticCamera):
            opened = 0

            @classmethod
            def devices(cls) -> Any:
                return [SyntheticCamera(device_id=number).device for number in (3, 4, 5)]

            def open(self, wanted: VideoFormat) -> VideoFormat:
                number = self._number
                if number == 3:
                    raise DeviceNotFound("this one is broken; mend it")
                return super().open(VideoFormat(*{4: (640, 360), 5: (160, 90)}[number], 10))

        def create(kind: str, name: str = "auto", **options: Any) -> Any:
            return Fixed(**options)

        registry.create = create
        await device.room.update_camera(width=200)
        assert device.room.camera_id == "synthetic:5"
        await device.room.update_camera(width=600)
        assert device.room.camera_id == "synthetic:4"
        await device.room.update_camera(width={"max": 200})
        assert device.room.camera_id == "synthetic:5"

    async def test_not_in_an_audio_call(self, hub: FakeHub, stage: Stage) -> None:
        stage.stream = LocalStream(stage.stream.microphone)
        room = await stage.joined()
        with pytest.raises(NotInUse, match="camera"):
            await room.update_camera()


class TestSpeaker:
    async def test_another_one_plays(self, device: Device, backends: Backends) -> None:
        other = backends.replace["speaker"] = SyntheticSpeaker(device_id=3)
        told = tells(device, "speaker.updated")
        await until(lambda: device.hears(THEIRS) > -20)
        await device.room.update_speaker("synthetic:3")
        await until(lambda: level_dbfs(other.samples(0.2), THEIRS) > -20)
        assert [(e.previous.deviceId, e.current.deviceId) for e in told] == [
            ("synthetic:1", "synthetic:3")
        ]
        await device.room.update_speaker("synthetic:3")
        assert len(told) == 1, "it is the same one"

    async def test_one_that_fails(self, device: Device, backends: Backends) -> None:
        broken = backends.replace["speaker"] = SyntheticSpeaker(device_id=3)
        broken.unplug()
        with pytest.raises(HalError):
            await device.room.update_speaker("synthetic:3")
        assert device.speaker.device.id == "synthetic:1"
        position = len(device.speaker_device.samples())
        await until(lambda: len(device.speaker_device.samples()) > position + 4800)

    async def test_the_next_one_when_it_is_pulled(
        self, stage: Stage, hub: FakeHub, backends: Backends
    ) -> None:
        class Two(SyntheticSpeaker):
            @classmethod
            def devices(cls) -> Any:
                return [SyntheticSpeaker(device_id=number).device for number in (1, 2)]

        made: list[Two] = []

        def create(kind: str, name: str = "auto", **options: Any) -> Any:
            made.append(Two(**options))
            return made[-1]

        registry.create = create
        await stage.joined(speaker=None)
        first = made[0]
        first.unplug()
        await stage.until_heard("speaker.updated")
        names = [name for name in stage.names() if name.startswith("speaker")]
        assert names == ["speaker.disconnected", "speaker.updated"]
        (lost,), (event,) = (
            stage.payloads("speaker.disconnected"),
            stage.payloads("speaker.updated"),
        )
        assert lost.to_dict() == {"deviceId": "synthetic:1", "label": first.device.label}
        assert (event.previous.deviceId, event.current.deviceId) == ("synthetic:1", "synthetic:2")


class Spare:
    """Another microphone and camera, as somebody else makes them."""

    def __init__(self, frequency: float = OTHER) -> None:
        self.microphone = MicCapture(
            SyntheticMicrophone(device_id=4, frequency=frequency, pattern="continuous"), MicGate()
        )
        self.camera = CameraCapture(
            SyntheticCamera(device_id=4), CameraGate(), VideoFormat(320, 180, 10)
        )

    async def stop(self) -> None:
        await asyncio.gather(self.microphone.stop(), self.camera.stop())


@pytest.fixture
async def spare() -> AsyncIterator[Spare]:
    made = Spare()
    yield made
    await made.stop()


class TestStream:
    async def test_is_heard_and_seen(self, device: Device, far: FarEnd, spare: Spare) -> None:
        gate, peers = device.microphone.gate, len(far.peers)
        microphones, cameras = (tells(device, f"{k}.updated") for k in ("microphone", "camera"))
        await device.room.set_local_stream(LocalStream(spare.microphone, spare.camera))
        await until(lambda: level(far, OTHER) > -20 and level(far, OURS) < -50)
        pictures = far.pictures
        await until(lambda: far.pictures > pictures + 3)
        assert len(far.peers) == peers
        stream = device.room.local_stream
        assert stream is not None
        assert (stream.microphone, stream.camera) == (spare.microphone, spare.camera)
        assert spare.microphone.gate is gate
        assert [e.current.deviceId for e in (*microphones, *cameras)] == ["synthetic:4"] * 2
        # What was given stays its giver's.
        assert not device.microphone.suspended
        # The button of the room is the button of the new microphone.
        gate.mute(Party.ROOM)
        await until(lambda: spare.microphone.suspended)
        gate.unmute(Party.ROOM)
        await until(lambda: not spare.microphone.suspended)

    async def test_a_kind_that_it_lacks_stays(
        self, device: Device, far: FarEnd, spare: Spare
    ) -> None:
        await device.room.set_local_stream(LocalStream(camera=spare.camera))
        assert device.room.microphone_id == "synthetic:1"
        assert device.room.camera_id == "synthetic:4"
        del far.heard[:]
        await until(lambda: len(far.heard) > 10 and far.level() > -20)

    async def test_stays_muted(self, device: Device, far: FarEnd, spare: Spare) -> None:
        await device.room.audio_mute()
        await until(lambda: device.microphone.suspended)
        await far.speaks(15)
        heard = len(far.heard)
        spare.microphone.gate.unmute(Party.START)  # open, for whoever made it
        await device.room.set_local_stream(LocalStream(spare.microphone))
        await until(lambda: spare.microphone.suspended)
        await far.speaks(25)
        # Silent frames may slip out before the device is off; sound may not.
        assert all(np.abs(frame).max() <= 1 for frame in far.heard[heard:])
        await device.room.audio_unmute()
        await until(lambda: len(far.heard) > heard + 10 and level(far, OTHER) > -20)

    async def test_what_held_its_own_gate_holds_the_call(
        self, device: Device, far: FarEnd, spare: Spare
    ) -> None:
        theirs = spare.microphone.gate
        theirs.mute(Party.LATCH)
        await device.room.set_local_stream(LocalStream(spare.microphone))
        assert Party.LATCH in device.microphone.gate.closers
        device.microphone.gate.unmute(Party.LATCH)
        await until(lambda: device.microphone.gate.is_open)
        theirs.mute(Party.SOFTWARE)
        assert Party.SOFTWARE in device.microphone.gate.closers

    async def test_one_that_fails_changes_nothing(
        self, device: Device, far: FarEnd, spare: Spare
    ) -> None:
        camera: Any = spare.camera._camera
        camera.unplug()
        gate = spare.microphone.gate
        with pytest.raises(DeviceNotFound):
            await device.room.set_local_stream(LocalStream(spare.microphone, spare.camera))
        assert device.room.microphone_id == device.room.camera_id == "synthetic:1"
        assert spare.microphone.gate is gate
        assert spare.microphone.suspended
        del far.heard[:]
        await until(lambda: len(far.heard) > 10 and far.level() > -20)

    async def test_nothing_to_send(self, device: Device) -> None:
        with pytest.raises(ValueError, match="empty"):
            await device.room.set_local_stream(LocalStream())
        with pytest.raises(TypeError):
            await device.room.set_local_stream("stream")  # type: ignore[arg-type]

    async def test_made_ones_are_freed(self, stage: Stage, spare: Spare) -> None:
        room = await stage.joined(local_stream=None, speaker=None)
        microphone, camera = room.local_audio_track, room.local_video_track
        assert microphone is not None
        assert camera is not None
        await room.set_local_stream(LocalStream(spare.microphone))
        assert microphone.suspended
        assert not camera.suspended
        await room.leave()
        assert camera.suspended
        assert not spare.microphone.suspended


class TestServerWishes:
    async def test_the_camera_follows_within_its_setting(
        self, device: Device, far: FarEnd, hub: FakeHub
    ) -> None:
        async def wish(**video: Any) -> None:
            await hub.call_message("verto.mediaParams", hub.call_id, mediaParams={"video": video})

        gate = device.camera.gate
        await wish(width={"ideal": 160}, height={"ideal": 90}, frameRate={"ideal": 5, "max": 5})
        await until(lambda: device.camera.format == VideoFormat(160, 90, 5))
        # More than it was set up for is not to be had; what comes after, is.
        await wish(width={"min": 1280, "ideal": 1280}, height={"ideal": 720})
        await wish(width={"ideal": 1280}, height={"ideal": 720}, frameRate={"ideal": 30})
        await until(lambda: device.camera.format == VideoFormat(320, 180, 10))
        assert device.camera.gate is gate
        pictures = far.pictures
        await until(lambda: far.pictures > pictures + 3)

    async def test_a_camera_that_is_off_stays_off(self, device: Device, hub: FakeHub) -> None:
        device.camera.gate.mute(Party.ROOM)
        await until(lambda: device.camera.suspended)
        wishes = {"video": {"width": {"ideal": 160}, "height": 90}}
        await hub.call_message("verto.mediaParams", hub.call_id, mediaParams=wishes)
        await until(lambda: device.camera.wanted.width == 160)
        assert device.camera.suspended


async def test_given_devices_tell_when_they_fail(device: Device) -> None:
    told = tells(device, "camera.disconnected")
    back = tells(device, "camera.updated")
    camera: Any = device.camera._camera
    camera.unplug()
    await until(lambda: told)
    assert told[0].to_dict() == {"deviceId": "synthetic:1", "label": "Synthetic camera 1"}
    camera.replug()
    await until(lambda: back)
    assert back[0].previous.to_dict() == back[0].current.to_dict() == told[0].to_dict()
    assert isinstance(device.speaker, SpeakerPlayout)

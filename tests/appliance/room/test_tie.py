"""Which device a leg has and which the member has may change: nothing is seen past the gate."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from appliance.media.capture import CameraCapture, MicCapture
from appliance.media.gate import CameraGate, Party
from appliance.room import LocalStream, RoomSession, RoomSessionScreenShare
from hal.camera import VideoFormat
from hal.camera.synthetic import SyntheticCamera
from hal.device import Device
from hal.errors import DeviceNotFound, HalError
from tests.appliance.room.conftest import Stage, until

pytestmark = pytest.mark.usefixtures("only_virtual")

SMALL: dict[str, Any] = {"width": 320, "frame_rate": 10}
FORMAT = VideoFormat(320, 180, 10)

OWN, SCREEN, OTHER = "synthetic:1", "synthetic:9", "synthetic:5"


class Told:
    """Whoever shows in a light which cameras are open."""

    def __init__(self, room: RoomSession) -> None:
        self.now: list[CameraCapture] = []
        room.on_camera = self.tell

    def tell(self, capture: CameraCapture) -> Callable[[], None]:
        self.now.append(capture)
        return lambda: self.now.remove(capture)


class Studio:
    """A room whose own camera is real, and a screen that is shared in it."""

    def __init__(self, stage: Stage, room: RoomSession) -> None:
        self.stage = stage
        self.room = room
        self.told = Told(room)
        self.share: RoomSessionScreenShare
        self.moves: list[bool] = []

    async def begin(self, **wishes: Any) -> None:
        self.share = await self.room.start_screen_share(
            source="synthetic", video={"device_id": SCREEN, **SMALL}, **wishes
        )
        self.gate.subscribe(lambda gate: self.moves.append(gate.is_open))

    @property
    def gate(self) -> CameraGate:
        capture = self.share.local_video_track
        assert capture is not None
        return capture.gate

    @property
    def shown(self) -> bool:
        """Whether a light has to speak for the screen."""
        return self.share.local_video_track in self.told.now


@pytest.fixture
async def own() -> AsyncIterator[CameraCapture]:
    capture = CameraCapture(SyntheticCamera(device=OWN), CameraGate(), FORMAT)
    yield capture
    await capture.stop()


@pytest.fixture
async def studio(stage: Stage, own: CameraCapture) -> AsyncIterator[Studio]:
    stage.stream.camera = own
    room = await stage.joined()
    studio = Studio(stage, room)
    await studio.begin()
    assert studio.gate.is_open
    assert not studio.shown
    yield studio
    if room.active:
        await room.leave()
    assert studio.told.now == []


@pytest.fixture
def opened(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bool]]:
    """Each device that begins to be captured, and whether the screen's gate is open then."""
    begun: list[tuple[str, bool]] = []
    begin = CameraCapture._open

    def noted(self: CameraCapture) -> None:
        begun.append((self.device.id, studio.gate.is_open))
        begin(self)

    monkeypatch.setattr(CameraCapture, "_open", noted)
    return begun


def broken(monkeypatch: pytest.MonkeyPatch, device: str, meanwhile: Callable[[], None]) -> None:
    """A camera of that id does not open when it is captured, though it may be looked at."""
    begin = CameraCapture._open

    def fail(self: CameraCapture) -> None:
        if self.device.id == device:
            meanwhile()
            raise DeviceNotFound("the camera does not open; plug it in again")
        begin(self)

    monkeypatch.setattr(CameraCapture, "_open", fail)


async def test_a_screen_that_becomes_the_rooms_own_camera_is_under_its_cover(
    studio: Studio, own: CameraCapture, opened: list[tuple[str, bool]]
) -> None:
    own.gate.mute(Party.COVER)
    assert studio.gate.is_open
    await studio.share.update_camera(device_id=OWN)
    assert studio.share.camera_id == OWN
    assert studio.gate.closers == {Party.LATCH}
    assert studio.shown
    assert opened[0] == (OWN, False), "closed before it began"
    assert (OWN, True) not in opened
    own.gate.unmute(Party.COVER)
    assert studio.gate.is_open
    own.gate.mute(Party.SOFTWARE)
    assert not studio.gate.is_open, "whoever closes it closes both"
    await studio.share.update_camera(device_id=SCREEN)
    assert studio.gate.is_open
    assert not studio.shown


async def test_a_camera_that_becomes_the_screens_closes_the_screen(
    studio: Studio, own: CameraCapture, opened: list[tuple[str, bool]]
) -> None:
    own.gate.mute(Party.COVER)
    await studio.room.update_camera(device_id=SCREEN)
    assert own.device.id == SCREEN
    assert studio.gate.closers == {Party.LATCH}
    assert studio.shown
    assert opened[0] == (SCREEN, False), "closed before the room's camera began"
    await studio.room.update_camera(device_id=OWN)
    assert studio.gate.is_open
    assert not studio.shown


async def test_a_camera_that_another_part_moves_closes_the_screen(
    studio: Studio, own: CameraCapture, opened: list[tuple[str, bool]]
) -> None:
    """As when one was pulled, and the next takes its place."""
    own.gate.mute(Party.ROOM)
    await own.swap(SyntheticCamera(device=SCREEN))
    assert not studio.gate.is_open
    assert studio.shown
    assert opened[0] == (SCREEN, False)


async def test_while_all_is_open_nothing_closes(studio: Studio, own: CameraCapture) -> None:
    epoch = studio.gate.epoch
    await studio.share.update_camera(device_id=OWN)
    assert studio.shown
    await studio.share.update_camera(device_id=SCREEN)
    await studio.room.update_camera(device_id=SCREEN)
    assert studio.shown
    assert (studio.gate.epoch, studio.gate.is_open) == (epoch, True)
    own.gate.mute(Party.REMOTE)
    assert not studio.gate.is_open


async def test_a_screen_that_does_not_get_the_camera_goes_on(
    studio: Studio, own: CameraCapture, monkeypatch: pytest.MonkeyPatch
) -> None:
    own.gate.mute(Party.COVER)
    states: list[tuple[bool, bool]] = []
    broken(monkeypatch, OWN, lambda: states.append((studio.gate.is_open, studio.shown)))
    with pytest.raises(HalError, match="does not open"):
        await studio.share.update_camera(device_id=OWN)
    assert (False, True) in states
    assert studio.share.camera_id == SCREEN
    assert studio.gate.is_open
    assert not studio.shown


async def test_a_camera_that_only_tries_another_one_keeps_the_screen_closed(
    studio: Studio, own: CameraCapture, monkeypatch: pytest.MonkeyPatch
) -> None:
    own.gate.mute(Party.COVER)
    await studio.room.update_camera(device_id=SCREEN)
    studio.moves.clear()
    broken(monkeypatch, OTHER, lambda: own.gate.mute(Party.ROOM))
    with pytest.raises(HalError, match="does not open"):
        await studio.room.update_camera(device_id=OTHER)
    assert own.device.id == SCREEN
    assert not any(studio.moves), "it was the room's camera all the time"
    assert studio.shown


async def test_a_stream_with_the_screens_device_closes_the_screen(
    studio: Studio, own: CameraCapture, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = CameraCapture(SyntheticCamera(device=SCREEN), CameraGate(), FORMAT)
    other.gate.unmute(Party.START)
    own.gate.mute(Party.COVER)
    sent: list[bool] = []
    leg: Any = studio.stage.legs.made[0]
    monkeypatch.setattr(leg, "send_from", lambda **_: sent.append(studio.gate.is_open))
    await studio.room.set_local_stream(LocalStream(camera=other))
    assert sent == [False], "closed before any of it is sent"
    assert studio.shown
    await studio.room.set_local_stream(LocalStream(camera=own))
    assert studio.gate.is_open
    # It is followed to where it is now, and not to where the one before it was.
    await own.swap(SyntheticCamera(device=SCREEN))
    assert not studio.gate.is_open
    await other.stop()


async def test_a_shared_stream_of_the_rooms_own_camera_is_under_its_cover(
    studio: Studio, own: CameraCapture, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = CameraCapture(SyntheticCamera(device=OWN), CameraGate(), FORMAT)
    other.gate.unmute(Party.START)
    own.gate.mute(Party.COVER)
    gate, sent = studio.gate, list[bool]()
    leg: Any = studio.stage.legs.made[1]
    monkeypatch.setattr(leg, "send_from", lambda **_: sent.append(gate.is_open))
    await studio.share.set_local_stream(LocalStream(camera=other))
    assert (studio.gate, sent) == (gate, [False])
    await other.swap(SyntheticCamera(device=SCREEN))
    assert gate.is_open
    await studio.share.leave()
    await other.stop()


class FirstCamera(SyntheticCamera):
    """Whichever is the first when it is opened, as "the first USB camera" is."""

    first = OWN

    def open(self, wanted: VideoFormat) -> VideoFormat:
        self.device = Device(self.first, "the first camera", "camera", "synthetic")
        return super().open(wanted)


async def test_a_device_that_is_known_once_it_is_open(studio: Studio, own: CameraCapture) -> None:
    camera = FirstCamera(device=OWN)
    await own.swap(camera)
    own.gate.mute(Party.COVER)
    await until(lambda: own.suspended)
    assert studio.gate.is_open
    # Another one was plugged in meanwhile.
    camera.first = SCREEN
    await own.resume()
    assert not studio.gate.is_open
    assert studio.shown


async def test_a_microphone_is_silent_before_it_is_that_of_the_member(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = await stage.joined()
    leg = await room.add_microphone(device_id="synthetic:7")
    assert leg.local_audio_track is not None
    gate = leg.local_audio_track.gate
    await room.audio_mute()
    stage.stream.microphone.device = Device("synthetic:8", "", "microphone", "synthetic")  # type: ignore[misc,union-attr]
    begun: list[tuple[str, bool]] = []
    begin = MicCapture._open

    def noted(self: MicCapture) -> None:
        begun.append((self.device.id, self.gate.is_open))
        begin(self)

    monkeypatch.setattr(MicCapture, "_open", noted)
    assert gate.is_open
    await leg.update_microphone(device_id="synthetic:8")
    assert ("synthetic:8", False) in begun
    assert ("synthetic:8", True) not in begun
    await asyncio.wait_for(room.leave(), 20)

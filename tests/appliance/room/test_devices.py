"""Captures and playouts made from the machine's own devices, which are virtual here."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from appliance.media.gate import Party
from appliance.room import LocalStream, Overconstrained
from appliance.room.devices import Devices
from appliance.room.plan import MediaPlan
from hal import registry
from hal.audio.synthetic import SyntheticMicrophone, SyntheticSpeaker
from hal.camera.synthetic import SyntheticCamera
from hal.device import Device
from hal.display.memory import MemoryDisplay
from hal.errors import DeviceNotFound, DeviceUnplugged, HalError
from tests.appliance.room.conftest import until

EVERYTHING = MediaPlan(True, True, True, True)


pytestmark = pytest.mark.usefixtures("only_virtual")


@pytest.fixture
async def made() -> AsyncIterator[list[Devices]]:
    every: list[Devices] = []
    yield every
    for one in every:
        await one.close()


def devices(made: list[Devices], **options: Any) -> Devices:
    defaults: dict[str, Any] = {
        "local_stream": None,
        "speaker": None,
        "display": None,
        "speaker_id": None,
        "allow_remote_unmute": True,
    }
    one = Devices(**defaults | options)
    made.append(one)
    return one


async def test_makes_what_the_plan_needs(made: list[Devices]) -> None:
    one = devices(made)
    await one.open(EVERYTHING, True, True)
    assert one.microphone is not None
    assert one.camera is not None
    assert one.speaker is not None
    assert one.microphone.device.backend == "synthetic"
    assert one.microphone.gate.closers == {Party.START}
    assert one.microphone.gate.allow_remote_unmute
    assert not one.microphone.suspended
    assert not one.camera.suspended
    microphone = one.microphone
    await one.close()
    assert microphone.suspended
    assert (one.microphone, one.camera, one.speaker) == (None, None, None)


async def test_makes_nothing_more(made: list[Devices]) -> None:
    one = devices(made)
    await one.open(MediaPlan(False, False, False, True), True, True)
    assert (one.microphone, one.camera, one.speaker) == (None, None, None)


async def test_open_again_after_a_close(made: list[Devices]) -> None:
    one = devices(made)
    for _ in range(2):
        await one.open(MediaPlan(True, False, False, False), True, False)
        assert one.microphone is not None
        capture = one.microphone
        await one.close()
        assert capture.suspended


async def test_format(made: list[Devices]) -> None:
    one = devices(made)
    video = {"width": 640, "height": {"ideal": 360}, "frameRate": {"max": 15}}
    await one.open(MediaPlan(False, True, False, False), False, video)
    assert one.camera is not None
    assert (one.camera.wanted.width, one.camera.wanted.height, one.camera.wanted.rate) == (
        640,
        360,
        15,
    )


@pytest.mark.parametrize(
    ("video", "constraint"),
    [
        ({"deviceId": "no such camera"}, "deviceId"),
        ({"device_id": {"exact": "no such camera"}}, "deviceId"),
        ({"width": 0}, "width"),
        ({"frame_rate": {"exact": -1}}, "frameRate"),
    ],
)
async def test_overconstrained(made: list[Devices], video: Any, constraint: str) -> None:
    one = devices(made)
    with pytest.raises(Overconstrained) as error:
        await one.open(MediaPlan(True, True, True, True), True, video)
    assert error.value.constraint == constraint
    assert "\n" not in str(error.value)


async def test_camera_that_cannot(made: list[Devices], monkeypatch: pytest.MonkeyPatch) -> None:
    class Modest(SyntheticCamera):
        def open(self, wanted: Any) -> Any:
            return super().open(type(wanted)(320, 180, 30.0))

    def create(kind: str, name: str = "auto", **options: Any) -> Any:
        return Modest()

    monkeypatch.setattr(registry, "create", create)
    one = devices(made)
    with pytest.raises(Overconstrained, match="320") as error:
        await one.open(MediaPlan(False, True, False, False), False, {"width": {"min": 640}})
    assert error.value.constraint == "width"


async def test_chosen_by_id(made: list[Devices]) -> None:
    (camera,) = SyntheticCamera.devices()[:1]
    (speaker,) = SyntheticSpeaker.devices()[:1]
    one = devices(made, speaker_id=speaker.id)
    await one.open(MediaPlan(False, True, True, False), False, {"deviceId": camera.id})
    assert one.camera is not None
    assert one.speaker is not None
    assert one.camera.device.id == camera.id
    assert one.speaker.device.id == speaker.id


async def test_no_device_at_all(made: list[Devices], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "AUTO", dict.fromkeys(registry.AUTO, ()))
    one = devices(made)
    with pytest.raises(DeviceNotFound):
        await one.open(EVERYTHING, True, True)


async def test_tells_of_failures(made: list[Devices], monkeypatch: pytest.MonkeyPatch) -> None:
    microphones: list[SyntheticMicrophone] = []
    create = registry.create

    def keep(kind: Any, name: str = "auto", **options: Any) -> Any:
        device = create(kind, name, **options)
        if isinstance(device, SyntheticMicrophone):
            microphones.append(device)
        return device

    monkeypatch.setattr(registry, "create", keep)
    told: list[tuple[str, Device, HalError | None]] = []
    one = devices(made)
    one.on_device = lambda kind, device, error: told.append((kind, device, error))
    await one.open(MediaPlan(True, False, False, False), True, False)
    assert told == []
    assert one.microphone is not None
    microphones[0].unplug()
    await until(lambda: told)
    microphones[0].replug()
    await until(lambda: len(told) == 2)
    device = one.microphone.device
    (_, _, error), back = told
    assert isinstance(error, DeviceUnplugged)
    assert told[0][:2] == ("microphone", device)
    assert back == ("microphone", device, None)


async def test_a_display_is_shown_on(made: list[Devices]) -> None:
    display = MemoryDisplay()
    one = devices(made, display=display)
    assert one.display is not None
    await one.open(MediaPlan(False, False, False, True), False, True)
    assert one.display.display is display
    await one.close()
    assert one.display._thread is None


async def test_given_ones_are_not_stopped(made: list[Devices]) -> None:
    giver = devices(made)
    await giver.open(EVERYTHING, True, True)
    stream = LocalStream(giver.microphone, giver.camera)
    one = devices(made, local_stream=stream, speaker=giver.speaker)
    await one.open(EVERYTHING, True, True)
    await one.close()
    assert giver.microphone is not None
    assert not giver.microphone.suspended
    assert one.local_stream is stream
    assert one.speaker is giver.speaker

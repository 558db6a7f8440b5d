"""Another configuration while a call goes on: what the room sees and hears of it."""

from __future__ import annotations

from typing import Any

import pytest

from appliance.media.gate import Party
from appliance.provisioning import Config, ConfigError
from appliance.service.device import Device
from hal.device import Device as HalDevice
from hal.errors import HalError
from tests.appliance.service.conftest import MakeDevice, gone, until
from tests.appliance.service.test_hotplug import Plugs, events_of, seen, settled, speaker_of

PROBE = {"enabled": True, "tones": [1000.0, 2000.0]}

OTHERS: dict[str, Any] = {
    "camera": {
        "backend": "synthetic",
        "options": {"device_id": 3},
        "width": 160,
        "height": 90,
        "rate": 10,
    },
    "microphone": {
        "backend": "synthetic",
        "options": {"device_id": 3, "pattern": "continuous"},
        "expected_loss": 20,
    },
    "speaker": {"backend": "synthetic", "options": {"device_id": 3}},
}


def changed(device: Device, **sections: Any) -> Config:
    """The configuration of a device with other sections in it."""
    kinds = {name: type(getattr(device.config, name)) for name in sections}
    return device.config.model_copy(
        update={name: kinds[name].model_validate(values) for name, values in sections.items()}
    )


def level(device: Device, tone: str) -> float:
    found: float = device.report()["tones"][tone]["level_dbfs"]
    return found


async def test_other_devices_are_seen_and_heard_and_nobody_leaves(make_device: MakeDevice) -> None:
    oak = await make_device("Oak", 1)
    elm = await make_device("Elm", 2, probe=PROBE)
    await until(elm, lambda _: level(elm, "1000") > -40 and "1" in elm.report()["cameras"])
    member = oak.state().member_id
    told = events_of(elm, "member.left", "member.joined")

    await oak.adopt(changed(oak, **OTHERS))
    await until(elm, lambda _: elm.report()["cameras"].get("3", {}).get("advances", 0) > 2)
    await until(elm, lambda _: level(elm, "2000") > -40 and gone(elm, 1000))
    assert (oak.camera.format.width, oak.camera.format.height) == (160, 90)
    assert speaker_of(oak).device.id == "synthetic:3"
    assert oak.microphone.loss_percent == 20
    await until(oak, lambda _: level(oak, "1500") > -40)
    assert (oak.state().status, oak.state().member_id, told) == ("in_room", member, [])
    assert oak.state().tally == "live"


async def test_twenty_changes_leave_nothing_behind(make_device: MakeDevice) -> None:
    oak = await make_device("Oak", 1)
    first = oak.config
    second = changed(oak, **OTHERS)

    await oak.adopt(second)
    await oak.adopt(first)
    before = await settled(lambda counts: True)

    def as_before(counts: tuple[int, int, int]) -> bool:
        # What of the machine's own comes and goes may differ by one or two, not by ten.
        return all(after - one <= 2 for after, one in zip(counts, before, strict=True))

    for _ in range(10):
        await oak.adopt(second)
        await oak.adopt(first)
    after = await settled(as_before)
    assert as_before(after), (before, after)
    assert oak.state().status == "in_room"


async def test_what_cannot_be_opened_leaves_all_as_it_was(make_device: MakeDevice) -> None:
    oak = await make_device("Oak", 1)
    before, microphone, member = oak.config, oak.microphone.device, oak.state().member_id
    broken = {"backend": "file", "device": "/nowhere/at/all.mp4"}
    with pytest.raises((HalError, ConfigError), match="nowhere"):
        await oak.adopt(
            changed(
                oak,
                microphone=OTHERS["microphone"],
                camera=broken,
                controls={"backend": "virtual", "device": "other"},
            )
        )
    assert oak.config is before
    assert oak.microphone.device == microphone
    assert oak.camera.device.id == "synthetic:1"
    assert oak.console.controls.device.id == "virtual"
    assert (oak.state().member_id, oak.state().tally) == (member, "live")
    assert oak.failures == []


async def test_another_order_is_followed_from_then_on(make_device: MakeDevice) -> None:
    plugs = Plugs()
    plugs.there = [HalDevice("synthetic:7", "Seven", "camera", "synthetic")]
    oak = await make_device("Oak", 1, find=plugs.find)
    camera = {**OTHERS["camera"], "fallback": ["synthetic:7"]}
    await oak.adopt(changed(oak, camera=camera))
    oak.camera._camera.unplug()  # type: ignore[attr-defined]
    await until(oak, lambda _: oak.camera.device.id == "synthetic:7")
    assert oak.state().status == "in_room"


async def test_rules_of_muting_change_in_a_call(make_device: MakeDevice) -> None:
    oak = await make_device("Oak", 1, mute={"stop_camera_while_muted": False})
    oak.press("camera")
    oak.release("camera")
    await until(oak, lambda state: not state.camera_open)
    assert not oak.camera.suspended
    await oak.adopt(changed(oak, mute={"allow_remote_unmute": True}))
    await until(oak, lambda _: oak.camera.suspended)
    assert oak.camera_gate.allow_remote_unmute
    await oak.adopt(changed(oak, mute={"stop_camera_while_muted": False}))
    await until(oak, lambda _: not oak.camera.suspended)
    assert not oak.state().camera_open


async def test_another_screen_shows_the_room(make_device: MakeDevice) -> None:
    oak = await make_device("Oak", 1)
    await until(oak, lambda state: state.canvas_fps > 0)
    options = {"width": 640, "height": 360}
    await oak.adopt(changed(oak, display={"backend": "memory", "options": options}))
    pictures = oak.canvas.pictures
    await until(oak, lambda _: oak.canvas.pictures > pictures)
    picture = oak.screen()
    assert picture is not None
    assert (picture.width, picture.height) == (640, 360)


async def test_other_controls_keep_what_a_person_muted(make_device: MakeDevice) -> None:
    oak = await make_device("Oak", 1)
    elm = await make_device("Elm", 2)
    oak.press("mute")
    oak.release("mute")
    await until(elm, lambda _: bool(seen(elm, "Oak").get("audio_muted")))
    await oak.adopt(changed(oak, controls={"backend": "virtual", "device": "other"}))
    assert oak.console.controls.device.id == "other"
    assert (oak.state().tally, oak.state().mic_open) == ("muted", False)
    assert oak.microphone_gate.closers == {Party.ROOM}
    oak.press("mute")
    oak.release("mute")
    await until(elm, lambda _: seen(elm, "Oak").get("audio_muted") is False)
    assert oak.state().tally == "live"

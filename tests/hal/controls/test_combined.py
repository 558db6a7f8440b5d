"""Pins and a speakerphone as one set of controls."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from hal.controls import Button, CameraLight, Controls, Status, Tally
from hal.controls.combined import CombinedControls
from hal.controls.virtual import VirtualControls
from hal.errors import DeviceBusy, DeviceNotFound, DeviceUnplugged


class Stubborn(VirtualControls):
    """Lights that may be there and yet not obey."""

    stuck = False

    def set_tally(self, tally: Tally) -> None:
        if self.stuck:
            raise DeviceUnplugged("the light does not obey; check its pin")
        super().set_tally(tally)


class Bench:
    def __init__(self) -> None:
        self.pins = Stubborn(device="pins", latching=["mute"])
        self.phone = VirtualControls(device="phone", label="The phone")
        self.both = CombinedControls([self.pins, self.phone])
        self.heard: list[tuple[str, Button, bool]] = []

    def open(self) -> None:
        self.both.open_parts(asyncio.get_running_loop(), self.note)

    def note(self, part: Controls, button: Button, down: bool) -> None:
        self.heard.append((part.device.id, button, down))

    @property
    def lights(self) -> list[Tally]:
        return [self.pins.state.tally, self.phone.state.tally]


async def turn() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    bench.open()
    yield bench
    bench.both.close()


async def test_any_button_acts_and_says_whose_it_is(bench: Bench) -> None:
    bench.pins.press(Button.MUTE)
    bench.phone.tap(Button.MUTE)
    await turn()
    assert bench.heard == [
        ("pins", Button.MUTE, True),
        ("phone", Button.MUTE, True),
        ("phone", Button.MUTE, False),
    ]
    assert bench.both.latching == {Button.MUTE}


async def test_the_plain_handler_hears_them_too() -> None:
    bench = Bench()
    heard: list[tuple[Button, bool]] = []
    bench.both.open(asyncio.get_running_loop(), lambda *what: heard.append(what))
    bench.phone.press(Button.VOLUME_UP)
    await turn()
    assert heard == [(Button.VOLUME_UP, True)]
    bench.both.close()


async def test_of_a_switch_and_a_key_the_switch_counts(bench: Bench) -> None:
    bench.phone.press(Button.MUTE)
    assert not bench.both.pressed(Button.MUTE)
    bench.pins.press(Button.MUTE)
    assert bench.both.pressed(Button.MUTE)
    bench.phone.press(Button.CAMERA)
    assert bench.both.pressed(Button.CAMERA)


async def test_all_lights_follow(bench: Bench) -> None:
    bench.both.set_tally(Tally.MUTED)
    bench.both.set_status(Status.IN_ROOM)
    assert bench.lights == [Tally.MUTED, Tally.MUTED]
    assert bench.phone.state.status is Status.IN_ROOM
    bench.both.close()
    assert bench.lights == [Tally.OFF, Tally.OFF]


async def test_a_part_that_is_pulled_is_done_without(bench: Bench) -> None:
    bench.phone.unplug()
    bench.both.set_tally(Tally.MUTED)
    assert bench.lights == [Tally.MUTED, Tally.OFF]
    assert bench.both.missing == [bench.phone]
    assert bench.both.present


async def test_it_shows_the_truth_when_it_is_back(bench: Bench) -> None:
    bench.phone.unplug()
    assert bench.both.recover()
    bench.both.set_tally(Tally.LIVE)
    bench.both.set_status(Status.IN_ROOM)
    assert not bench.both.recover()
    bench.phone.replug()
    assert bench.both.recover()
    assert bench.lights == [Tally.LIVE, Tally.LIVE]
    assert bench.phone.state.status is Status.IN_ROOM
    bench.phone.tap(Button.MUTE)
    await turn()
    assert ("phone", Button.MUTE, True) in bench.heard


async def test_a_light_that_is_there_and_does_not_obey_spoils_it_all(bench: Bench) -> None:
    bench.pins.stuck = True
    with pytest.raises(DeviceUnplugged, match="does not obey"):
        bench.both.set_tally(Tally.MUTED)
    # The other one was told all the same.
    assert bench.phone.state.tally is Tally.MUTED


async def test_without_any_part_there_is_nothing(bench: Bench) -> None:
    bench.pins.unplug()
    bench.phone.unplug()
    with pytest.raises(DeviceUnplugged, match="none of the controls"):
        bench.both.set_tally(Tally.MUTED)
    with pytest.raises(DeviceUnplugged):
        bench.both.set_status(Status.FAULT)
    assert not bench.both.present


async def test_what_is_soldered_in_is_not_done_without() -> None:
    bench = Bench()
    bench.pins.pluggable = False  # type: ignore[misc]
    bench.pins.unplug()
    with pytest.raises(DeviceNotFound):
        bench.open()
    bench.pins.replug()
    bench.open()
    bench.both.close()


async def test_one_part_is_enough_to_open() -> None:
    bench = Bench()
    bench.phone.unplug()
    bench.open()
    with pytest.raises(DeviceBusy):
        bench.open()
    assert bench.both.missing == [bench.phone]
    bench.both.close()
    bench.pins.unplug()
    with pytest.raises(DeviceNotFound):
        bench.open()
    bench.pins.replug()
    bench.open()
    bench.both.close()
    assert not bench.both.recover()


async def test_the_cameras_light_is_on_each_part_that_has_one() -> None:
    pins, phone = VirtualControls(device="pins", camera_light=True), VirtualControls(device="phone")
    both = CombinedControls([pins, phone])
    both.open(asyncio.get_running_loop(), lambda *_: None)
    assert both.camera_light
    both.set_camera_light(CameraLight.LIVE)
    assert (pins.state.camera, phone.state.camera) == (CameraLight.LIVE, CameraLight.OFF)
    phone.unplug()
    both.recover()
    both.set_camera_light(CameraLight.CLOSED)
    assert pins.state.camera is CameraLight.CLOSED
    both.close()
    assert pins.state.camera is CameraLight.OFF
    assert not CombinedControls([phone]).camera_light


async def test_a_cameras_light_that_has_gone_is_not_done_without() -> None:
    pins, phone = VirtualControls(device="pins", camera_light=True), VirtualControls(device="phone")
    both = CombinedControls([pins, phone])
    both.open(asyncio.get_running_loop(), lambda *_: None)
    pins.unplug()
    for light in (CameraLight.LIVE, CameraLight.CLOSED):
        with pytest.raises(DeviceUnplugged, match="plug its controls in again"):
            both.set_camera_light(light)
    both.set_tally(Tally.MUTED)
    assert phone.state.tally is Tally.MUTED, "the other lights go on"
    pins.replug()
    assert both.recover()
    assert pins.state.camera is CameraLight.CLOSED
    both.close()

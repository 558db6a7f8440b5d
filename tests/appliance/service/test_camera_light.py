"""A whole device whose camera has a light on a pin: what the pin shows, and what the room sees."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import gpiozero
import pytest
from gpiozero.pins.mock import MockFactory

from appliance.hub.server import HubServer
from appliance.panel import PanelState
from appliance.provisioning import Config
from appliance.service.demo import PERMISSIONS
from appliance.service.device import Device
from hal.controls import CameraLight
from tests.appliance.service.conftest import MakeDevice, token_for, until
from tests.appliance.service.faulty_pin import FaultyPin

GREEN, LENS, OTHER, COVER = 6, 26, 20, 16

SMALL: dict[str, Any] = {"width": 320, "frame_rate": 10}


@pytest.fixture
def pins() -> Iterator[MockFactory]:
    factory = MockFactory(pin_class=FaultyPin)
    before, gpiozero.Device.pin_factory = gpiozero.Device.pin_factory, factory
    yield factory
    factory.reset()
    gpiozero.Device.pin_factory = before


def wired(**options: Any) -> dict[str, Any]:
    return {"backend": "gpio", "options": {"tally_green": GREEN, **options}}


def rewired(device: Device, **options: Any) -> Config:
    section = type(device.config.controls).model_validate(wired(**options))
    return device.config.model_copy(update={"controls": section})


def sees(state: PanelState, name: str) -> bool:
    """Whether the room is told that it sees this member."""
    own = next((one for one in state.members if one["name"] == name), {})
    return own.get("video_muted") is False


async def test_a_light_that_fails_takes_the_picture_away_and_gives_it_back(
    pins: MockFactory, make_device: MakeDevice
) -> None:
    oak = await make_device("Oak", 1, controls=wired(camera_light_pin=LENS))
    elm = await make_device("Elm", 2)
    await until(elm, lambda state: sees(state, "Oak"))
    oak.press("camera")
    await until(elm, lambda state: not sees(state, "Oak"))
    # Off: the camera is let go, and its light flashes.
    assert oak.state().camera_light == "closed"
    await until(oak, lambda _: oak.camera.suspended)
    pins.pin(LENS).fault = "raises"
    oak.press("camera")
    told = "the camera light does not work: the LEDs cannot be driven"
    await until(oak, lambda state: any(error.startswith(told) for error in state.errors))
    state = oak.state()
    assert (state.camera_open, state.camera_light, state.mic_open) == (False, "fault", True)
    assert "camera light" in oak._view.banner().text
    pins.pin(LENS).fault = None
    await until(elm, lambda state: sees(state, "Oak"))
    assert (pins.pin(LENS).state, oak.state().camera_light) == (True, "live")
    assert oak.state().errors == []


async def test_a_tally_that_fails_is_not_blamed_on_the_light_of_the_camera(
    pins: MockFactory, make_device: MakeDevice
) -> None:
    oak = await make_device("Oak", 1, controls=wired(camera_light_pin=LENS))
    await until(oak, lambda state: state.camera_open and state.mic_open)
    pins.pin(GREEN).fault = "raises"
    oak.press("mute")
    await until(oak, lambda state: not state.camera_open)
    (error,) = oak.state().errors
    off = "so microphone and camera are off: the LEDs cannot be driven"
    assert error.startswith(f"the controls do not work, {off}")
    shown = oak._view.banner().text
    assert shown == "The controls do not work. Microphone and camera are off."
    assert len(oak.failures) == 1
    assert oak.state().camera_light == "fault"
    pins.pin(GREEN).fault = None
    await until(oak, lambda state: state.camera_open)
    assert oak.state().errors == []


async def test_a_reload_moves_the_light_to_another_pin_and_takes_it_away(
    pins: MockFactory, make_device: MakeDevice
) -> None:
    oak = await make_device("Oak", 1, controls=wired())
    assert oak.state().camera_light is None
    await until(oak, lambda state: state.camera_open)
    for lens in (LENS, OTHER):
        await oak.adopt(rewired(oak, camera_light_pin=lens))
        assert (pins.pin(lens).state, oak.state().camera_light) == (True, "live")
        assert oak.state().camera_open
    assert not pins.pin(LENS).state
    await oak.adopt(rewired(oak))
    assert (oak.state().camera_open, oak.state().camera_light) == (True, None)
    assert not pins.pin(OTHER).state


def free(hub: HubServer) -> dict[str, Any]:
    """The room, with the right to show more in it."""
    more = [*PERMISSIONS, "room.self.additional_source", "room.self.screenshare"]
    return {"host": hub.url, "token": token_for(hub, "Oak", permissions=more), "user_name": "Oak"}


async def test_it_tells_of_a_further_camera_and_not_of_a_screen(
    pins: MockFactory, hub: HubServer, make_device: MakeDevice
) -> None:
    oak = await make_device("Oak", 1, room=free(hub), controls=wired(camera_light_pin=LENS))
    session = oak.presence.session
    assert session is not None
    leg = await session.add_camera(device_id="synthetic:7", width=320, height=180)
    further = leg._devices.camera
    assert further is not None
    await until(oak, lambda _: further.gate.is_open)
    own = asyncio.create_task(session.video_mute())
    await until(oak, lambda state: not state.camera_open)
    await own
    assert further.gate.is_open
    assert (pins.pin(LENS).state, oak.state().camera_light) == (True, "live")
    await leg.video_mute()
    assert oak.state().camera_light == "closed"
    await leg.video_unmute()
    assert oak.state().camera_light == "live"
    await leg.leave()
    assert oak.state().camera_light == "closed"
    share = await session.start_screen_share(source="synthetic", video=SMALL)
    assert share._devices.camera is not None
    await until(oak, lambda _: share._devices.camera.gate.is_open)
    assert oak.state().camera_light == "closed"


@pytest.mark.parametrize("mover", ["screen", "camera"])
async def test_a_screen_is_told_of_while_it_is_the_rooms_own_camera(
    pins: MockFactory, hub: HubServer, make_device: MakeDevice, mover: str
) -> None:
    controls = wired(camera_light_pin=LENS, cover_pin=COVER)
    oak = await make_device("Oak", 1, room=free(hub), controls=controls)
    session = oak.presence.session
    assert session is not None
    share = await session.start_screen_share(source="synthetic", video=SMALL)
    screen = share.local_video_track
    assert screen is not None
    apart, own, moves = screen.device.id, oak.camera.device.id, share
    if mover == "camera":
        apart, own, moves = own, apart, session
    gate = screen.gate
    await until(oak, lambda _: gate.is_open)
    pins.pin(COVER).drive_low()
    await until(oak, lambda state: state.camera_light == "closed")
    assert gate.is_open, "a cover does not mean a screen"
    lies: list[str] = []

    def moved(_: object) -> None:
        same = screen.device.id == oak.camera.device.id
        if same and gate.is_open and oak.console.camera_light is not CameraLight.LIVE:
            lies.append("open while dark")

    gate.subscribe(moved)
    await moves.update_camera(device_id=own)
    assert screen.device.id == oak.camera.device.id
    assert not gate.is_open
    assert oak.state().camera_light == "closed"
    pins.pin(COVER).drive_high()
    await until(oak, lambda state: state.camera_open)
    assert gate.is_open
    assert (pins.pin(LENS).state, oak.state().camera_light) == (True, "live")
    # Without its light the one is as closed as the other.
    pins.pin(COVER).drive_low()
    await until(oak, lambda state: state.camera_light == "closed")
    pins.pin(LENS).fault = "raises"
    pins.pin(COVER).drive_high()
    await until(oak, lambda state: state.camera_light == "fault")
    assert (gate.is_open, oak.state().camera_open) == (False, False)
    await moves.update_camera(device_id=apart)
    await until(oak, lambda _: gate.is_open)
    assert oak.state().camera_light == "fault"
    assert lies == []

"""A simulated HDMI input in a real room: what the others see, and what is said."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from appliance.hub.server import HubServer
from appliance.provisioning.config import ScreenShareConfig
from appliance.service.demo import PERMISSIONS
from appliance.service.device import Device
from appliance.service.periphery import Periphery
from appliance.service.sharing import Sharing
from hal.camera.synthetic import SyntheticCamera
from tests.appliance.service.conftest import MakeDevice, token_for, until

INPUT = ScreenShareConfig(backend="synthetic", device="synthetic:9")
MEMORY = {"backend": "memory", "options": {"width": 320, "height": 180}, "cec": False}


def shared(device: Device) -> list[dict[str, Any]]:
    return [one for one in device.state().members if one.get("type") == "screen"]


def said(device: Device) -> str:
    return " ".join(device.state().errors)


@contextlib.asynccontextmanager
async def sharing(device: Device, camera: SyntheticCamera) -> AsyncIterator[None]:
    one = Sharing(
        INPUT,
        lambda: device.presence.session,
        remark=lambda text: device.troubles.remark("screen share", text),
        make=lambda _: camera,
        every=0.2,
    )
    one.start()
    try:
        yield
    finally:
        await one.stop()


def room(hub: HubServer) -> dict[str, Any]:
    """The way in for a device that may share."""
    permissions = [*PERMISSIONS, "room.self.screenshare"]
    return {"host": hub.url, "token": token_for(hub, "Oak", permissions=permissions)}


async def test_what_comes_in_is_shared_for_as_long_as_it_does(
    make_device: MakeDevice, hub: HubServer
) -> None:
    oak = await make_device("Oak", 1, room=room(hub))
    elm = await make_device("Elm", 2)
    dongle = SyntheticCamera(device_id=9, label="HDMI capture")
    dongle.unplug()
    async with sharing(oak, dongle):
        await until(oak, lambda _: "is unplugged" in said(oak))
        assert not shared(elm)
        dongle.replug()
        await until(elm, lambda _: bool(shared(elm)))
        # The picture itself: the others read the number of the camera in it.
        await until(elm, lambda _: elm.report()["cameras"].get("9", {}).get("advances", 0) > 3)
        assert not said(oak)
        dongle.stall()
        await until(elm, lambda _: not shared(elm))
        await until(oak, lambda _: "HDMI capture has no signal" in said(oak))
        dongle.resume()
        await until(elm, lambda _: bool(shared(elm)))
        await until(oak, lambda _: not said(oak))
        dongle.unplug()
        await until(elm, lambda _: not shared(elm))
    assert oak.state().status == "in_room", "the device itself has stayed"


async def test_a_device_without_the_permission_says_so(make_device: MakeDevice) -> None:
    oak = await make_device("Oak", 1)
    async with sharing(oak, SyntheticCamera(device_id=9)):
        await until(oak, lambda _: "the room does not take this device's screen" in said(oak))
        assert not shared(oak)


async def test_a_device_shares_the_input_that_is_configured(
    make_device: MakeDevice, hub: HubServer
) -> None:
    oak = await make_device(
        "Oak", 1, room=room(hub), screen_share=INPUT.model_dump(), display=MEMORY
    )
    elm = await make_device("Elm", 2)
    periphery = Periphery(oak.config, oak)
    periphery.start()
    try:
        await until(elm, lambda _: bool(shared(elm)))
        await until(elm, lambda _: elm.report()["cameras"].get("9", {}).get("advances", 0) > 3)
    finally:
        await periphery.stop()
        await periphery.stop()

"""What stands round a running device: its screen's power, and the way to its panel."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zxingcpp

from appliance.hub.server import HubServer
from appliance.service.appliance import Appliance
from appliance.service.notify import Notifier
from appliance.service.periphery import Periphery
from appliance.service.screen_power import ScreenUse
from appliance.service.state_file import StateFile
from hal.display.cec import ScreenPower
from tests.appliance.service.conftest import DEADLINE, MakeDevice, settings

LINK = "http://192.168.7.20:8081/"


class Power(ScreenPower):
    def __init__(self) -> None:
        self.orders: list[str] = []

    def wake(self) -> None:
        self.orders.append("on")

    def standby(self) -> None:
        self.orders.append("off")


async def wait(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE):
        while not holds():
            await asyncio.sleep(0.02)


async def test_a_press_of_a_button_switches_the_screen_on(make_device: MakeDevice) -> None:
    oak = await make_device("Oak", 1)
    power = Power()
    periphery = Periphery(oak.config, oak, power=power)
    periphery.start()
    try:
        await wait(lambda: power.orders == ["on"])
        assert periphery._keeper is not None
        periphery._keeper._use = ScreenUse(0.2, time.monotonic())
        await wait(lambda: power.orders == ["on", "off"])
        periphery._keeper._use = ScreenUse(3600.0, time.monotonic() - 3600.0)
        oak.press("volume_up")
        await wait(lambda: power.orders == ["on", "off", "on"])
    finally:
        await periphery.stop()
    oak.press("volume_up")


async def test_the_power_is_left_alone_where_so_configured(make_device: MakeDevice) -> None:
    oak = await make_device("Oak", 1, joined=False, display={"backend": "memory", "cec": False})
    power = Power()
    periphery = Periphery(oak.config, oak, power=power)
    periphery.start()
    try:
        display = oak.config.display.model_copy(update={"cec": True})
        await periphery.adopt(oak.config.model_copy(update={"display": display}))
        await wait(lambda: power.orders == ["on"])
        await periphery.adopt(oak.config)
        assert periphery._keeper is None
    finally:
        await periphery.stop()
    assert power.orders == ["on"]


async def test_the_screen_leads_to_the_panel_outside_a_call(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "appliance.service.appliance.panel_link", lambda url, hosts: LINK if url else ""
    )
    common: dict[str, Any] = {
        "policy": {"auto_join": False},
        "display": {"backend": "memory", "options": {"width": 640, "height": 360}},
    }
    panel = {"listen": "127.0.0.1:0"}
    appliance = Appliance(
        settings(hub, "Oak", 1, panel={**panel, "qr": True}, **common),
        Notifier({}),
        StateFile(None),
    )

    def shown() -> list[str]:
        shown = appliance.device.screen()
        assert shown is not None
        picture = np.ascontiguousarray(shown.to_ndarray())
        return [found.text for found in zxingcpp.read_barcodes(picture)]

    await appliance.start()
    try:
        await wait(lambda: shown() == [LINK])
        config = appliance.config.model_copy(
            update={"panel": appliance.config.panel.model_copy(update={"qr": False})}
        )
        await appliance.adopt(config)
        await wait(lambda: shown() == [])
    finally:
        await appliance.stop()

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import gpiozero
import numpy as np
import pytest
from gpiozero.pins.mock import MockFactory

from appliance.provisioning import Config
from appliance.service.breakdown import TEXT, Breakdown
from hal.display.memory import MemoryDisplay

RED, GREEN, STATUS, LENS = 5, 6, 13, 26


@pytest.fixture
def pins() -> Iterator[MockFactory]:
    factory = MockFactory()
    before, gpiozero.Device.pin_factory = gpiozero.Device.pin_factory, factory
    yield factory
    factory.reset()
    gpiozero.Device.pin_factory = before


def config(also: bool = False, **display: object) -> Config:
    """With pins, alone or beside other controls."""
    lights = {"tally_red": RED, "tally_green": GREEN, "status_pin": STATUS}
    options = {"mute_pin": 17, **lights, "camera_light_pin": LENS}
    return Config.model_validate(
        {
            "room": {"host": "h", "name": "demo", "guest": True},
            "controls": (
                {"backend": "virtual", "also": ["gpio"], "options": options}
                if also
                else {"backend": "gpio", "options": options}
            ),
            "display": {"backend": "memory", "options": {"width": 640, "height": 360}, **display},
        }
    )


async def test_light_and_screen_show_it_and_the_other_lights_stay_dark(pins: MockFactory) -> None:
    breakdown, stop = Breakdown(config(), "no room is configured"), asyncio.Event()
    assert breakdown.text == "Out of order: no room is configured"
    await breakdown.show()
    keeping = asyncio.create_task(breakdown.keep(600, stop))
    seen: set[bool] = set()
    async with asyncio.timeout(30):
        # The status light blinks, as fast as no other state has it.
        while seen != {True, False}:
            seen.add(bool(pins.pin(STATUS).state))
            assert not pins.pin(RED).state
            assert not pins.pin(GREEN).state
            assert not pins.pin(LENS).state
            await asyncio.sleep(0.01)
    assert isinstance(breakdown._display, MemoryDisplay)
    picture = breakdown._display.picture().to_ndarray(format="gray")
    assert np.ptp(picture) > 100, "there is writing on it"
    stop.set()
    await keeping
    await breakdown.close()
    assert not pins.pin(STATUS).state


async def test_the_pins_show_it_beside_other_controls(pins: MockFactory) -> None:
    breakdown, stop = Breakdown(config(also=True), ""), asyncio.Event()
    await breakdown.show()
    keeping = asyncio.create_task(breakdown.keep(600, stop))
    async with asyncio.timeout(30):
        while not pins.pin(STATUS).state:
            await asyncio.sleep(0.01)
    stop.set()
    await keeping
    await breakdown.close()


async def test_it_ends_by_itself(pins: MockFactory) -> None:
    breakdown = Breakdown(config(), "")
    assert breakdown.text == TEXT
    await breakdown.show()
    async with asyncio.timeout(30):
        await breakdown.keep(0.1, asyncio.Event())
    await breakdown.close()


async def test_what_cannot_show_it_is_no_further_fault(
    pins: MockFactory, caplog: pytest.LogCaptureFixture
) -> None:
    breakdown = Breakdown(config(options={"width": "wide"}), "")
    await breakdown.show()
    assert "no screen shows the fault" in caplog.text
    await breakdown.keep(0.1, asyncio.Event())
    await breakdown.close()

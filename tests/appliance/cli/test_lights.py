"""The lights of a device that does not run, seen from the pins and from the exit code."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import gpiozero
import pytest
from gpiozero.pins.mock import MockFactory

from appliance.cli.exit_code import ExitCode
from appliance.cli.lights import drive
from appliance.provisioning import Config, load
from hal.errors import DeviceBusy
from tests.appliance.cli.command import complaint, roomlet

RED, GREEN, STATUS, LENS = 5, 6, 19, 26
CONFIG = """
[room]
host = "hub.local"
name = "demo"
guest = true

[controls]
backend = "gpio"
options = { tally_red = 5, tally_green = 6, status_pin = 19, tally_active_low = true, \
camera_light_pin = 26 }
"""
LIT, DARK = False, True
"""Levels of the tally, which is active low."""


@pytest.fixture
def pins() -> Iterator[MockFactory]:
    """As a device that was killed has left them: green, and the camera's lit."""
    factory = MockFactory()
    before, gpiozero.Device.pin_factory = gpiozero.Device.pin_factory, factory
    for number, level in ((RED, DARK), (GREEN, LIT), (STATUS, True), (LENS, True)):
        factory.pin(number).output_with_state(level)
    yield factory
    factory.reset()
    gpiozero.Device.pin_factory = before


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "room.toml"
    path.write_text(CONFIG)
    return path


@pytest.fixture
def config(path: Path) -> Config:
    return load(path)


def levels(pins: MockFactory) -> list[bool]:
    return [bool(pins.pin(number).state) for number in (RED, GREEN, STATUS, LENS)]


async def test_a_green_light_that_was_left_goes_out(pins: MockFactory, config: Config) -> None:
    assert levels(pins) == [DARK, LIT, True, True]
    pins.pin(RED).clear_states()
    await drive(config, None, asyncio.Event())
    assert levels(pins) == [DARK, DARK, False, False]
    assert LIT not in [bool(state.state) for state in pins.pin(RED).states]


async def test_a_fault_is_shown_until_the_signal(pins: MockFactory, config: Config) -> None:
    stop = asyncio.Event()
    showing = asyncio.create_task(drive(config, 60.0, stop))
    async with asyncio.timeout(30):
        # The red one blinks.
        while len([one for one in pins.pin(RED).states if bool(one.state) is LIT]) < 2:
            await asyncio.sleep(0.02)
        # So does that of the camera.
        pins.pin(LENS).clear_states()
        while len(pins.pin(LENS).states) < 3:
            await asyncio.sleep(0.02)
    assert bool(pins.pin(GREEN).state) is DARK
    stop.set()
    await showing
    assert levels(pins) == [DARK, DARK, False, False]


async def test_a_device_that_runs_keeps_its_lights(pins: MockFactory, config: Config) -> None:
    holder = gpiozero.LED(RED)
    with pytest.raises(DeviceBusy):
        await drive(config, None, asyncio.Event())
    holder.close()


async def test_the_command(path: Path) -> None:
    for show in ("off", "fault"):
        done = await roomlet(
            *("lights", show, "--config", path, "--for", "0"), GPIOZERO_PIN_FACTORY="mock"
        )
        assert done == (0, "", "")


async def test_a_configuration_that_cannot_be_read(tmp_path: Path) -> None:
    done = await roomlet("lights", "off", "--config", tmp_path / "none.toml")
    assert "none.toml" in complaint(done, ExitCode.CONFIGURATION)
    assert (await roomlet("lights", "green")).code == ExitCode.USAGE

"""Buttons and lights on pins, seen from the pins."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gpiozero
import pytest

from hal.controls import Button, CameraLight, Status, Tally
from hal.controls.gpio import GpioControls
from hal.errors import DeviceBusy, DeviceUnplugged
from tests.lab.conftest import GUEST, LED_LINES
from tests.lab.pins import Pins

pytestmark = pytest.mark.lab

DEADLINE = 60
MUTE = 17
RED, GREEN, BLUE, STATUS, LENS = LED_LINES
UNUSED = 26
"""A line that no other test takes: gpiozero keeps each line that it once had."""

LEDS = {
    "tally_red": RED,
    "tally_green": GREEN,
    # A level that is looked at may not be within a wink.
    "tally_muted": "steady",
    "status_pin": STATUS,
}
UP, DOWN = True, False


class Bench:
    """Open controls on some pins, and a queue of what they reported."""

    def __init__(self, pins: Pins, **options: Any) -> None:
        self.pins = pins
        self.controls = GpioControls(**{"mute_pin": MUTE, **LEDS, **options})
        self.presses: asyncio.Queue[tuple[Button, bool]] = asyncio.Queue()

    def open(self) -> GpioControls:
        self.controls.open(
            asyncio.get_running_loop(),
            lambda button, down: self.presses.put_nowait((button, down)),
        )
        return self.controls

    async def move(self, *levels: bool) -> None:
        """Move the mute contact, on another thread than the loop's."""
        await asyncio.to_thread(lambda: [self.pins.drive(MUTE, level) for level in levels])

    async def next(self) -> tuple[Button, bool]:
        return await asyncio.wait_for(self.presses.get(), DEADLINE)

    async def settled(self, *, down: bool) -> None:
        """Wait until the controls take the contact for closed, or open, and nothing is due."""
        await until(
            lambda: self.controls.pressed(Button.MUTE) == down and not self.controls._timers
        )

    def lights(self) -> str:
        names = {"red": RED, "green": GREEN}
        return " ".join(name for name, line in names.items() if self.pins.level(line))


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE):
        while not holds():
            due = asyncio.Event()
            asyncio.get_running_loop().call_later(0.01, due.set)
            await due.wait()


def test_the_pins_are_those_of_this_level(pins: Pins) -> None:
    GpioControls.devices()
    factory = type(gpiozero.Device.pin_factory).__name__
    assert factory == ("LGPIOFactory" if GUEST else "MockFactory")


async def test_each_press_and_release_is_reported(pins: Pins) -> None:
    bench = Bench(pins, debounce_ms=5)
    with bench.open() as controls:
        assert not controls.pressed(Button.MUTE)
        for _ in range(20):
            await bench.move(DOWN)
            assert await bench.next() == (Button.MUTE, True)
            await bench.settled(down=True)
            await bench.move(UP)
            assert await bench.next() == (Button.MUTE, False)
            await bench.settled(down=False)
        assert bench.presses.empty()


async def test_a_bouncing_contact_is_one_press(pins: Pins) -> None:
    bench = Bench(pins, debounce_ms=500)
    with bench.open():
        # Few enough for the kernel's queue of sixteen.
        await bench.move(*[DOWN, UP] * 5, DOWN)
        assert await bench.next() == (Button.MUTE, True)
        await bench.settled(down=True)
        assert bench.presses.empty()
        await bench.move(*[UP, DOWN] * 5, UP)
        assert await bench.next() == (Button.MUTE, False)
        await bench.settled(down=False)
        assert bench.presses.empty()


@pytest.mark.parametrize("last", [UP, DOWN])
async def test_a_burst_beyond_the_kernels_queue_leaves_the_right_state(
    pins: Pins, last: bool
) -> None:
    bench = Bench(pins)
    with bench.open():
        await bench.move(*[DOWN, UP] * 100, last)
        await bench.settled(down=last is DOWN)
        # Whatever was reported, the last word is the truth.
        reports = []
        while not bench.presses.empty():
            reports.append(bench.presses.get_nowait())
        assert reports
        assert reports[-1] == (Button.MUTE, last is DOWN)
        # And nothing was unlearnt.
        await bench.move(not last)
        assert await bench.next() == (Button.MUTE, last is UP)


async def test_a_button_that_is_held_stays_down(pins: Pins) -> None:
    bench = Bench(pins, debounce_ms=20)
    with bench.open() as controls:
        await bench.move(DOWN)
        assert await bench.next() == (Button.MUTE, True)
        await bench.settled(down=True)
        held = asyncio.Event()
        asyncio.get_running_loop().call_later(0.5, held.set)
        await held.wait()
        assert bench.presses.empty()
        assert controls.pressed(Button.MUTE)
        await bench.move(UP)
        assert await bench.next() == (Button.MUTE, False)


async def test_a_switch_that_is_closed_at_the_start_is_known(pins: Pins) -> None:
    gpiozero.Device.ensure_pin_factory()
    bench = Bench(pins, mute_mode="toggle", pull="floating", active_low=False)
    with bench.open() as controls:
        await bench.move(UP)
        await bench.settled(down=True)
    again = Bench(pins, mute_mode="toggle", pull="floating", active_low=False)
    with again.open() as controls:
        assert controls.pressed(Button.MUTE)
        assert again.presses.empty()


@pytest.mark.parametrize(
    ("tally", "lights"),
    [(Tally.OFF, ""), (Tally.LIVE, "green"), (Tally.MUTED, "red"), (Tally.FAULT, "red")],
)
async def test_the_light_is_driven_when_the_call_returns(
    pins: Pins, tally: Tally, lights: str
) -> None:
    bench = Bench(pins)
    with bench.open() as controls:
        for before in Tally:
            controls.set_tally(before)
            controls.set_tally(tally)
            assert bench.lights() == lights
    assert bench.lights() == ""


async def test_a_fault_blinks_red(pins: Pins) -> None:
    bench = Bench(pins)
    with bench.open() as controls:
        controls.set_tally(Tally.FAULT)
        for level in (False, True, False, True):
            await until(lambda wanted=level: pins.level(RED) == wanted)
            assert not pins.level(GREEN)
        controls.set_tally(Tally.LIVE)
        assert bench.lights() == "green"


async def test_a_light_that_is_lit_by_a_low_level(pins: Pins) -> None:
    bench = Bench(pins, tally_blue=BLUE, tally_active_low=True)
    with bench.open() as controls:
        controls.set_tally(Tally.MUTED)
        assert [pins.level(line) for line in (RED, GREEN, BLUE)] == [False, True, True]
        controls.set_tally(Tally.LIVE)
        assert [pins.level(line) for line in (RED, GREEN, BLUE)] == [True, False, True]


async def test_the_status_light_blinks_and_stands_still(pins: Pins) -> None:
    bench = Bench(pins)
    with bench.open() as controls:
        controls.set_status(Status.JOINING)
        for level in (False, True, False, True):
            await until(lambda wanted=level: pins.level(STATUS) == wanted)
        controls.set_status(Status.IN_ROOM)
        assert pins.level(STATUS)


async def test_the_cameras_light_is_driven_when_the_call_returns(pins: Pins) -> None:
    bench = Bench(pins, camera_light_pin=LENS)
    with bench.open() as controls:
        for light in (CameraLight.LIVE, CameraLight.OFF, CameraLight.LIVE):
            controls.set_camera_light(light)
            assert pins.level(LENS) == (light is CameraLight.LIVE)
        controls.set_camera_light(CameraLight.CLOSED)
        for level in (False, True, False, True):
            await until(lambda wanted=level: pins.level(LENS) == wanted)
    assert not pins.level(LENS)


async def test_closing_gives_the_pins_free(pins: Pins) -> None:
    for _ in range(3):
        bench = Bench(pins)
        with bench.open():
            await bench.move(DOWN)
            assert await bench.next() == (Button.MUTE, True)
        pins.drive(MUTE, UP)


@pytest.mark.kernel
async def test_a_line_of_another_program_is_busy(pins: Pins, chip: Path, tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [
            *(sys.executable, "-c"),
            "import lgpio, sys\n"
            f"chip = lgpio.gpiochip_open({chip.name.removeprefix('gpiochip')})\n"
            f"lgpio.gpio_claim_output(chip, {UNUSED}, 1)\n"
            "print('held', flush=True)\n"
            "sys.stdin.read()\n",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    )
    bench = Bench(pins, tally_red=UNUSED)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert pins.level(UNUSED)
        with pytest.raises(DeviceBusy, match="in use"):
            bench.open()
    finally:
        holder.communicate(timeout=DEADLINE)
    with bench.open() as controls:
        controls.set_tally(Tally.MUTED)
        assert pins.level(UNUSED)


@pytest.mark.kernel
async def test_a_light_that_is_taken_away_is_told(pins: Pins) -> None:
    """The line's handle goes, as with a chip on a bus that is pulled."""
    bench = Bench(pins)
    with bench.open() as controls:
        controls.set_tally(Tally.LIVE)
        factory: Any = gpiozero.Device.pin_factory
        factory.pin(RED).function = "input"
        with pytest.raises(DeviceUnplugged):
            controls.set_tally(Tally.MUTED)

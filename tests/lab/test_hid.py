"""The mute key and light of a speakerphone that the kernel makes on request (uinput)."""

from __future__ import annotations

import asyncio
import select
from collections.abc import Callable

import pytest

from hal.controls import Button, Tally
from hal.controls.hid import HidControls, find
from hal.errors import DeviceBusy, DeviceUnplugged
from tests.lab.kernel_devices import wait_for
from tests.lab.speakerphone import (
    MICMUTE,
    NAME,
    VOLUME_DOWN,
    VOLUME_UP,
    Speakerphone,
    evdev,
)

pytestmark = [pytest.mark.lab, pytest.mark.kernel]

DEADLINE = 60
PRESS = [(MICMUTE, 1), (MICMUTE, 0)]


class Bench:
    def __init__(self) -> None:
        (device,) = [one for one in find() if one.label == NAME]
        self.controls = HidControls(device=device.id)
        self.presses: asyncio.Queue[tuple[Button, bool]] = asyncio.Queue()

    def open(self) -> HidControls:
        self.controls.open(
            asyncio.get_running_loop(), lambda *press: self.presses.put_nowait(press)
        )
        return self.controls

    async def next(self) -> tuple[Button, bool]:
        return await asyncio.wait_for(self.presses.get(), DEADLINE)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE):
        while not holds():
            due = asyncio.Event()
            asyncio.get_running_loop().call_later(0.02, due.set)
            await due.wait()


async def test_keys_are_reported(speakerphone: Speakerphone) -> None:
    bench = Bench()
    with bench.open() as controls:
        for code, button in (
            (MICMUTE, Button.MUTE),
            (VOLUME_UP, Button.VOLUME_UP),
            (VOLUME_DOWN, Button.VOLUME_DOWN),
        ):
            for value in (1, 0):
                speakerphone.key(code, value)
                assert await bench.next() == (button, bool(value))
                assert controls.pressed(button) == bool(value)


async def test_a_key_that_repeats_is_one_press(speakerphone: Speakerphone) -> None:
    bench = Bench()
    with bench.open():
        for value in (1, 2, 2, 2, 0):
            speakerphone.key(MICMUTE, value)
        assert await bench.next() == (Button.MUTE, True)
        assert await bench.next() == (Button.MUTE, False)
        assert bench.presses.empty()


async def test_the_light_reaches_the_device(speakerphone: Speakerphone) -> None:
    bench = Bench()
    with bench.open() as controls:
        for tally, lit in ((Tally.MUTED, 1), (Tally.LIVE, 0), (Tally.MUTED, 1), (Tally.OFF, 0)):
            controls.set_tally(tally)
            speakerphone.await_light(lit)
        controls.set_tally(Tally.FAULT)
        for lit in (1, 0, 1):
            await asyncio.to_thread(speakerphone.await_light, lit)


async def test_a_press_is_for_roomlet_alone(speakerphone: Speakerphone) -> None:
    bench = Bench()
    with bench.open() as controls:
        other = evdev().InputDevice(controls.device.id)
        with pytest.raises(DeviceBusy):
            HidControls(device=controls.device.id).open(asyncio.get_running_loop(), lambda *_: None)
        for code, value in PRESS:
            speakerphone.key(code, value)
            await bench.next()
        ready, _, _ = select.select([other.fd], [], [], 0)
        assert not ready
        other.close()


async def test_a_queue_that_runs_over_leaves_the_right_state(speakerphone: Speakerphone) -> None:
    bench = Bench()
    with bench.open() as controls:
        # The loop does not come to read: the kernel drops what it cannot keep.
        for _ in range(200):
            for code, value in PRESS:
                speakerphone.key(code, value)
        speakerphone.key(MICMUTE, 1)
        await until(lambda: controls.pressed(Button.MUTE) and bench.presses.qsize() > 0)
        speakerphone.key(MICMUTE, 0)
        await until(lambda: not controls.pressed(Button.MUTE))


async def test_a_speakerphone_is_pulled_and_comes_back(speakerphone: Speakerphone) -> None:
    for _ in range(3):
        bench = Bench()
        with bench.open() as controls:
            controls.set_tally(Tally.LIVE)
            speakerphone.key(MICMUTE, 1)
            assert await bench.next() == (Button.MUTE, True)
            speakerphone.pull()
            # A key that cannot be let go any more is not held.
            assert await bench.next() == (Button.MUTE, False)
            with pytest.raises(DeviceUnplugged, match="gone"):
                controls.set_tally(Tally.MUTED)
        wait_for("the node to go", lambda: NAME not in [one.label for one in find()])
        speakerphone.plug()

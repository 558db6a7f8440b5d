from __future__ import annotations

import asyncio
import re
import sys
import threading
import warnings
from collections.abc import AsyncIterator, Iterator
from typing import Any

import gpiozero
import pytest
from gpiozero.pins.mock import MockFactory, MockPin, MockPWMPin

from hal.controls import Button, CameraLight, Status, Tally, pin_errors
from hal.controls.gpio import GpioControls
from hal.controls.patterns import CAMERA_PATTERNS, STATUS_PATTERNS
from hal.errors import BackendUnavailable, DeviceBusy, DeviceUnplugged, OptionInvalid

DEADLINE = 10
MUTE, CAMERA, COVER, RED, GREEN, BLUE, STATUS, LENS = 17, 27, 16, 5, 6, 13, 19, 26
LEDS = {"tally_red": RED, "tally_green": GREEN, "status_pin": STATUS}


@pytest.fixture
def pins() -> Iterator[MockFactory]:
    factory = MockFactory()
    before, gpiozero.Device.pin_factory = gpiozero.Device.pin_factory, factory
    yield factory
    factory.reset()
    gpiozero.Device.pin_factory = before


class Bench:
    """Open controls, the pins that they sit on, and a queue of what they reported."""

    def __init__(self, pins: MockFactory, **options: Any) -> None:
        self.pins = pins
        self.controls = GpioControls(**options)
        self.presses: asyncio.Queue[tuple[Button, bool]] = asyncio.Queue()
        self.loop_thread = threading.get_ident()

    def open(self) -> GpioControls:
        self.controls.open(asyncio.get_running_loop(), self.report)
        return self.controls

    def report(self, button: Button, down: bool) -> None:
        assert threading.get_ident() == self.loop_thread, "handlers run on the loop"
        self.presses.put_nowait((button, down))

    def pin(self, number: int) -> MockPin:
        return self.pins.pin(number)

    def level(self, number: int) -> bool:
        return bool(self.pin(number).state)

    async def next(self) -> tuple[Button, bool]:
        return await asyncio.wait_for(self.presses.get(), DEADLINE)

    async def on_thread(self, *levels: bool) -> None:
        """Drive the mute pin through levels on another thread, as gpiozero would."""

        def drive() -> None:
            for level in levels:
                if level:
                    self.pin(MUTE).drive_high()
                else:
                    self.pin(MUTE).drive_low()

        await asyncio.to_thread(drive)

    async def settled(self) -> None:
        """Wait until the lock-out is over: no timer is left."""
        async with asyncio.timeout(DEADLINE):
            while self.controls._timers:
                due = asyncio.Event()
                asyncio.get_running_loop().call_later(0.005, due.set)
                await due.wait()


@pytest.fixture
async def bench(pins: MockFactory) -> AsyncIterator[Bench]:
    made = Bench(pins, mute_pin=MUTE, **LEDS)
    made.open()
    yield made
    made.controls.close()


async def test_press_and_release(bench: Bench) -> None:
    assert not bench.controls.pressed(Button.MUTE)
    await bench.on_thread(False)
    assert await bench.next() == (Button.MUTE, True)
    assert bench.controls.pressed(Button.MUTE)
    await bench.settled()
    await bench.on_thread(True)
    assert await bench.next() == (Button.MUTE, False)
    assert not bench.controls.pressed(Button.MUTE)
    await bench.settled()
    assert bench.presses.empty()


async def test_bounces_are_one_press(pins: MockFactory) -> None:
    # Far longer than the thread that bounces may be held up by a busy machine.
    bench = Bench(pins, mute_pin=MUTE, debounce_ms=500)
    with bench.open():
        await bench.on_thread(*[False, True] * 20, False)
        assert await bench.next() == (Button.MUTE, True)
        await bench.settled()
        assert bench.presses.empty()
        await bench.on_thread(*[True, False] * 20, True)
        assert await bench.next() == (Button.MUTE, False)
        await bench.settled()
        assert bench.presses.empty()


async def test_a_tap_within_the_lockout_ends_up(bench: Bench) -> None:
    await bench.on_thread(False, True)
    assert await bench.next() == (Button.MUTE, True)
    assert await bench.next() == (Button.MUTE, False)
    assert not bench.controls.pressed(Button.MUTE)


async def test_a_lost_release_is_found_and_the_next_press_counts(bench: Bench) -> None:
    pin = bench.pin(MUTE)
    await bench.on_thread(False)
    assert await bench.next() == (Button.MUTE, True)
    pin._change_state(True)  # the contact opens, the kernel's queue loses the edge
    assert await bench.next() == (Button.MUTE, False)
    await bench.settled()
    await bench.on_thread(False)
    assert await bench.next() == (Button.MUTE, True)


async def test_gpiozeros_own_debounce_stays_off(bench: Bench) -> None:
    assert bench.pin(MUTE).bounce is None
    assert bench.pin(MUTE).pull == "up"


async def test_first_edge_does_not_wait_for_the_lockout(pins: MockFactory) -> None:
    bench = Bench(pins, mute_pin=MUTE, debounce_ms=1000)
    with bench.open():
        loop = asyncio.get_running_loop()
        begin = loop.time()
        await bench.on_thread(False)
        assert await bench.next() == (Button.MUTE, True)
        assert loop.time() - begin < 0.9


async def test_zero_debounce_passes_everything_settled(pins: MockFactory) -> None:
    bench = Bench(pins, mute_pin=MUTE, debounce_ms=0)
    with bench.open():
        await bench.on_thread(False)
        assert await bench.next() == (Button.MUTE, True)
        await bench.on_thread(True)
        assert await bench.next() == (Button.MUTE, False)


@pytest.mark.parametrize(
    ("options", "idle", "active"),
    [
        ({}, True, False),
        ({"pull": "down"}, False, True),
        ({"pull": "floating", "active_low": True}, True, False),
        ({"pull": "floating", "active_low": False}, False, True),
    ],
)
async def test_polarity(
    pins: MockFactory, options: dict[str, Any], idle: bool, active: bool
) -> None:
    if options.get("pull") == "floating" and idle:
        pins.pin(MUTE).drive_high()
    bench = Bench(pins, mute_pin=MUTE, **options)
    with bench.open() as controls:
        assert not controls.pressed(Button.MUTE)
        await bench.on_thread(active)
        assert await bench.next() == (Button.MUTE, True)
        await bench.settled()
        await bench.on_thread(idle)
        assert await bench.next() == (Button.MUTE, False)


async def test_a_switch_that_is_closed_at_start_is_known(pins: MockFactory) -> None:
    pins.pin(MUTE).drive_high()
    bench = Bench(pins, mute_pin=MUTE, mute_mode="toggle", pull="floating", active_low=False)
    assert bench.controls.latching == {Button.MUTE}
    with bench.open() as controls:
        assert controls.pressed(Button.MUTE)
        await bench.on_thread(False)
        assert await bench.next() == (Button.MUTE, False)
    assert not controls.pressed(Button.MUTE)


@pytest.mark.parametrize(("mode", "high"), [("closed", False), ("open", True)])
async def test_the_cover_is_a_switch(pins: MockFactory, mode: str, high: bool) -> None:
    """With `open` a broken wire reads as covered."""
    options = {"cover_pin": COVER, "cover_mode": mode, "pull": "floating", "active_low": True}
    bench = Bench(pins, **options)
    assert bench.controls.latching == {Button.COVER}
    pin = pins.pin(COVER)
    cover, uncover = (pin.drive_high, pin.drive_low) if high else (pin.drive_low, pin.drive_high)
    cover()
    with bench.open() as controls:
        assert controls.pressed(Button.COVER)
        uncover()
        assert await bench.next() == (Button.COVER, False)
        await bench.settled()
        cover()
        assert await bench.next() == (Button.COVER, True)
        await bench.settled()
        assert controls.pressed(Button.COVER)
        assert bench.presses.empty()


async def test_other_buttons(pins: MockFactory) -> None:
    others = {"volume_up_pin": 22, "volume_down_pin": 23, "hang_up_pin": 24}
    bench = Bench(pins, mute_pin=MUTE, camera_pin=CAMERA, **others)
    with bench.open():
        for pin, button in (
            (CAMERA, Button.CAMERA),
            (22, Button.VOLUME_UP),
            (23, Button.VOLUME_DOWN),
            (24, Button.HANG_UP),
        ):
            bench.pin(pin).drive_low()
            assert await bench.next() == (button, True)


@pytest.mark.parametrize(
    ("tally", "red", "green"),
    [
        (Tally.OFF, False, False),
        (Tally.LIVE, False, True),
        (Tally.MUTED, True, False),
        (Tally.FAULT, True, False),
    ],
)
async def test_tally_is_driven_when_it_returns(
    bench: Bench, tally: Tally, red: bool, green: bool
) -> None:
    for before in Tally:
        bench.controls.set_tally(before)
        bench.controls.set_tally(tally)
        # FAULT begins lit; it has no time yet to go dark.
        assert (bench.level(RED), bench.level(GREEN)) == (red, green)


async def test_fault_blinks_and_then_obeys_again(bench: Bench) -> None:
    bench.controls.set_tally(Tally.FAULT)
    pin = bench.pin(RED)
    async with asyncio.timeout(DEADLINE):
        while len(pin.states) < 6:
            due = asyncio.Event()
            asyncio.get_running_loop().call_later(0.05, due.set)
            await due.wait()
    assert not bench.level(GREEN)
    gaps = [state.timestamp for state in pin.states[3:6]]
    assert all(gap >= 0.25 * 0.9 for gap in gaps)
    bench.controls.set_tally(Tally.OFF)
    count = len(pin.states)
    due = asyncio.Event()
    asyncio.get_running_loop().call_later(3 * 0.25, due.set)
    await due.wait()
    assert not bench.level(RED)
    assert len(pin.states) == count, "it blinks no more"


@pytest.mark.parametrize(("option", "winks"), [({}, True), ({"tally_muted": "steady"}, False)])
async def test_muted_is_told_from_live_without_colours(
    pins: MockFactory, option: dict[str, Any], winks: bool
) -> None:
    bench = Bench(pins, **LEDS, **option)
    with bench.open() as controls:
        red, green = bench.pin(RED), bench.pin(GREEN)
        controls.set_tally(Tally.MUTED)
        red.clear_states()
        due = asyncio.Event()
        asyncio.get_running_loop().call_later(2.5, due.set)
        await due.wait()
        async with asyncio.timeout(DEADLINE):
            while winks and len(red.states) < 3:
                await asyncio.sleep(0.02)
        lit = [bool(state.state) for state in red.states]
        assert lit[:3] == ([True, False, True] if winks else [True])
        controls.set_tally(Tally.LIVE)
        green.clear_states()
        due = asyncio.Event()
        asyncio.get_running_loop().call_later(2.5, due.set)
        await due.wait()
        assert [bool(state.state) for state in green.states] == [True], "never dark while live"
        assert not bench.level(RED)


@pytest.fixture
def pulsed() -> Iterator[MockFactory]:
    factory = MockFactory(pin_class=MockPWMPin)
    before, gpiozero.Device.pin_factory = gpiozero.Device.pin_factory, factory
    yield factory
    factory.reset()
    gpiozero.Device.pin_factory = before


@pytest.mark.parametrize(("active_low", "duty"), [(False, 0.2), (True, 0.8)])
async def test_brightness(pulsed: MockFactory, active_low: bool, duty: float) -> None:
    dimmed = {"tally_brightness": 20, "tally_active_low": active_low, "tally_muted": "steady"}
    bench = Bench(pulsed, **LEDS, **dimmed, status_brightness=50)
    with bench.open() as controls:
        red, green, status = (bench.pin(pin) for pin in (RED, GREEN, STATUS))
        dark = float(active_low)
        assert (red.state, green.state) == (dark, dark)
        controls.set_tally(Tally.MUTED)
        assert red.state == pytest.approx(duty)
        assert red.frequency > 50, "no eye sees it"
        assert (green.state, green.frequency) == (dark, None)
        controls.set_tally(Tally.LIVE)
        assert (red.state, red.frequency) == (dark, None)
        assert green.state == pytest.approx(duty)
        controls.set_tally(Tally.FAULT)
        red.clear_states()
        async with asyncio.timeout(DEADLINE):
            while len(red.states) < 4:
                due = asyncio.Event()
                asyncio.get_running_loop().call_later(0.02, due.set)
                await due.wait()
        assert {round(state.state, 2) for state in red.states} == {dark, duty}
        controls.set_status(Status.IN_ROOM)
        assert status.state == pytest.approx(0.5)
    assert [pin.frequency for pin in (red, green, status)] == [None] * 3
    assert red.state != pytest.approx(duty)


async def test_a_dimmed_led_that_does_not_obey_is_told(
    pulsed: MockFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is read back before it is dimmed, for pulses cannot be."""
    bench = Bench(pulsed, **LEDS, tally_brightness=20)
    with bench.open() as controls:
        controls.set_tally(Tally.LIVE)
        monkeypatch.setattr(bench.pin(RED), "_set_state", lambda value: None)
        with pytest.raises(DeviceUnplugged, match="red tally LED"):
            controls.set_tally(Tally.MUTED)
        monkeypatch.undo()


async def test_a_pin_that_cannot_be_dimmed_is_told_at_once(pins: MockFactory) -> None:
    bench = Bench(pins, **LEDS, tally_brightness=20)
    with pytest.raises(OptionInvalid, match="brightness to 100"):
        bench.open()
    gpiozero.LED(RED).close()


async def test_active_low_rgb(pins: MockFactory) -> None:
    bench = Bench(pins, tally_red=RED, tally_green=GREEN, tally_blue=BLUE, tally_active_low=True)
    with bench.open() as controls:
        controls.set_tally(Tally.MUTED)
        assert [bench.level(pin) for pin in (RED, GREEN, BLUE)] == [False, True, True]
        controls.set_tally(Tally.LIVE)
        assert [bench.level(pin) for pin in (RED, GREEN, BLUE)] == [True, False, True]
        assert controls.latching == frozenset()


async def test_an_led_that_does_not_obey_is_told(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.controls.set_tally(Tally.LIVE)
    monkeypatch.setattr(bench.pin(RED), "_set_state", lambda value: None)
    with pytest.raises(DeviceUnplugged, match="red tally LED"):
        bench.controls.set_tally(Tally.MUTED)

    def fail(value: float) -> None:
        raise OSError("no such chip")

    monkeypatch.setattr(bench.pin(GREEN), "_set_state", fail)
    with pytest.raises(DeviceUnplugged, match="no such chip"):
        bench.controls.set_tally(Tally.LIVE)
    monkeypatch.undo()


async def test_status_led(bench: Bench) -> None:
    bench.controls.set_status(Status.IN_ROOM)
    assert bench.level(STATUS)
    for status, pattern in STATUS_PATTERNS.items():
        bench.controls.set_status(status)
        assert (pattern == ()) == (status is Status.IN_ROOM)
    assert set(STATUS_PATTERNS) == set(Status)
    assert len(set(STATUS_PATTERNS.values())) == len(Status), "each has its own"
    pin = bench.pin(STATUS)
    pin.clear_states()
    bench.controls.set_status(Status.JOINING)
    async with asyncio.timeout(DEADLINE):
        while len(pin.states) < 4:
            due = asyncio.Event()
            asyncio.get_running_loop().call_later(0.02, due.set)
            await due.wait()


@pytest.mark.parametrize("active_low", [False, True])
async def test_the_cameras_light_is_driven_when_it_returns(
    pins: MockFactory, active_low: bool
) -> None:
    wired = {"camera_light_pin": LENS, "camera_light_active_low": active_low}
    bench = Bench(pins, **LEDS, **wired)
    with bench.open() as controls:
        assert controls.camera_light
        controls.set_tally(Tally.LIVE)
        for before in CameraLight:
            for light in CameraLight:
                controls.set_camera_light(before)
                controls.set_camera_light(light)
                # What has a rhythm begins lit; it has no time yet to go dark.
                assert bench.level(LENS) == ((light is not CameraLight.OFF) != active_low)
        assert (bench.level(RED), bench.level(GREEN)) == (False, True), "it is a light of its own"
    assert bench.level(LENS) == active_low


async def test_a_camera_that_is_off_is_told_by_its_rhythm(pins: MockFactory) -> None:
    bench = Bench(pins, camera_light_pin=LENS)
    with bench.open() as controls:
        pin = bench.pin(LENS)
        controls.set_camera_light(CameraLight.LIVE)
        pin.clear_states()
        controls.set_camera_light(CameraLight.CLOSED)
        async with asyncio.timeout(DEADLINE):
            # Lit already, then dark, a short flash, dark, and from the beginning.
            while len(pin.states) < 5:
                due = asyncio.Event()
                asyncio.get_running_loop().call_later(0.05, due.set)
                await due.wait()
        # It may have gone on meanwhile.
        round_of_it = pin.states[:5]
        assert [bool(state.state) for state in round_of_it] == [True, False, True, False, True]
        lasted = [state.timestamp for state in round_of_it][1:]
        pattern = CAMERA_PATTERNS[CameraLight.CLOSED]
        assert all(was >= told * 0.9 for was, told in zip(lasted, pattern, strict=True))
        controls.set_camera_light(CameraLight.LIVE)
        pin.clear_states()
        due = asyncio.Event()
        asyncio.get_running_loop().call_later(1.0, due.set)
        await due.wait()
        assert [bool(state.state) for state in pin.states] == [True], "never dark while live"


async def test_a_cameras_light_that_does_not_obey_is_told(
    pins: MockFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(pins, **LEDS, camera_light_pin=LENS)
    with bench.open() as controls:
        monkeypatch.setattr(bench.pin(LENS), "_set_state", lambda value: None)
        with pytest.raises(DeviceUnplugged, match="camera LED does not obey; check its pin"):
            controls.set_camera_light(CameraLight.LIVE)
        controls.set_tally(Tally.LIVE)
        assert bench.level(GREEN)
        monkeypatch.undo()


async def test_brightness_of_the_cameras_light(pulsed: MockFactory) -> None:
    bench = Bench(pulsed, camera_light_pin=LENS, camera_light_brightness=20)
    with bench.open() as controls:
        controls.set_camera_light(CameraLight.LIVE)
        assert bench.pin(LENS).state == pytest.approx(0.2)
        controls.set_camera_light(CameraLight.OFF)
        assert bench.pin(LENS).state == 0


async def test_without_a_pin_the_camera_has_no_light(bench: Bench) -> None:
    assert not bench.controls.camera_light
    levels = [bench.level(pin) for pin in (RED, GREEN, STATUS)]
    for light in CameraLight:
        bench.controls.set_camera_light(light)
        assert [bench.level(pin) for pin in (RED, GREEN, STATUS)] == levels


async def test_close_darkens_frees_and_silences(pins: MockFactory) -> None:
    bench = Bench(pins, mute_pin=MUTE, **LEDS)
    with bench.open() as controls:
        controls.set_tally(Tally.MUTED)
        controls.set_status(Status.JOINING)
        await bench.on_thread(False)
    controls.close()
    assert not bench.level(RED)
    assert bench.pin(RED).function == "input"
    assert bench.presses.empty() or bench.presses.qsize() == 1
    while not bench.presses.empty():
        bench.presses.get_nowait()
    bench.pin(MUTE).drive_high()
    done = asyncio.Event()
    asyncio.get_running_loop().call_later(0.05, done.set)
    await done.wait()
    assert bench.presses.empty()
    with pytest.raises(DeviceUnplugged, match="not open"):
        controls.set_tally(Tally.LIVE)
    again = Bench(pins, mute_pin=MUTE, **LEDS)
    again.open().close()


async def test_a_pin_in_use_is_busy_and_nothing_stays_claimed(pins: MockFactory) -> None:
    holder = gpiozero.LED(GREEN)
    bench = Bench(pins, mute_pin=MUTE, **LEDS)
    with pytest.raises(DeviceBusy, match="in use"):
        bench.open()
    gpiozero.LED(RED).close()
    gpiozero.Button(MUTE).close()
    holder.close()
    bench.open().close()


async def test_a_pin_that_another_program_held_can_be_had_later(
    pins: MockFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also while somebody still keeps the error, as the device does to show it."""
    taken = True
    make = pins.pin

    def pin(name: int) -> Any:
        if taken and name == GREEN:
            raise RuntimeError("GPIO busy")
        return make(name)

    monkeypatch.setattr(pins, "pin", pin)
    bench = Bench(pins, mute_pin=MUTE, **LEDS)
    with pytest.raises(DeviceBusy, match="in use") as kept:
        bench.open()
    taken = False
    bench.open().close()
    assert kept.value.__cause__ is not None


async def test_open_twice(bench: Bench) -> None:
    with pytest.raises(DeviceBusy):
        bench.open()
    await bench.on_thread(False)
    assert await bench.next() == (Button.MUTE, True)


async def test_pins_that_the_board_lacks(
    pins: MockFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lacking(name: int) -> None:
        raise gpiozero.PinInvalidPin(f"{name} is not a valid pin name")

    with monkeypatch.context() as patch:
        patch.setattr(pins, "pin", lacking)
        with pytest.raises(OptionInvalid, match="pin number"):
            Bench(pins, mute_pin=27).open()
    with pytest.raises(OptionInvalid, match="pull"):
        Bench(pins, mute_pin=2, pull="down").open()


def test_devices(pins: MockFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [device.id for device in GpioControls.devices()] == ["gpio"]
    monkeypatch.setitem(sys.modules, "gpiozero", None)
    with pytest.raises(BackendUnavailable, match="gpiozero"):
        GpioControls.devices()


@pytest.mark.parametrize(
    ("chips", "says"),
    [
        ([], "no GPIO pins on this machine; choose other controls"),
        (["/dev/gpiochip0"], "no GPIO pins on this machine that can be reached (nothing works); "),
    ],
)
async def test_a_machine_without_pins(
    monkeypatch: pytest.MonkeyPatch, chips: list[str], says: str
) -> None:
    def choose(_: type[gpiozero.Device]) -> None:
        warnings.warn("Falling back from lgpio: none", gpiozero.PinFactoryFallback, stacklevel=1)
        raise gpiozero.BadPinFactory("nothing works")

    monkeypatch.setattr(gpiozero.Device, "pin_factory", None)
    monkeypatch.setattr(gpiozero.Device, "ensure_pin_factory", classmethod(choose))
    monkeypatch.setattr(pin_errors, "chips", lambda: chips)
    controls = GpioControls(mute_pin=MUTE)
    with warnings.catch_warnings(record=True) as leaked:
        warnings.simplefilter("always")
        with pytest.raises(BackendUnavailable, match=re.escape(says)):
            controls.open(asyncio.get_running_loop(), lambda *_: None)
        if chips:
            with pytest.raises(BackendUnavailable, match=re.escape(says)):
                GpioControls.devices()
        else:
            assert GpioControls.devices() == []
    assert leaked == []


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({}, "no pins"),
        ({"mute_pin": 5, "tally_red": 5}, "given to mute_pin and tally_red"),
        ({"mute_pin": 17, "tally_red": 28}, "tally_red 28 is no pin of the header; use .* 0 to 27"),
        ({"mute_pin": 0, "status_pin": -1}, "status_pin -1 is no pin"),
        ({"mute_pin": 5, "pull": "sideways"}, "pull"),
        ({"mute_pin": 5, "pull": "floating"}, "active_low"),
        ({"mute_pin": 5, "active_low": False}, "contradicts"),
        ({"mute_pin": 5, "debounce_ms": -1}, "debounce_ms"),
        ({"mute_pin": 5, "mute_mode": "lever"}, "mute_mode"),
        ({"cover_pin": 5, "cover_mode": "ajar"}, "cover_mode"),
        ({"tally_red": 5, "tally_muted": "disco"}, "tally_muted"),
        ({"tally_red": 5, "tally_brightness": 0}, "tally_brightness"),
        ({"status_pin": 5, "status_brightness": 101}, "status_brightness"),
        ({"camera_light_pin": 5, "camera_light_brightness": 0}, "camera_light_brightness"),
        ({"camera_light_pin": 5, "status_pin": 5}, "given to status_pin and camera_light_pin"),
        ({"mute_pin": 5, "device": "gpiochip9"}, "gpiochip9"),
    ],
)
def test_bad_options(options: dict[str, Any], match: str) -> None:
    with pytest.raises(OptionInvalid, match=match):
        GpioControls(**options)

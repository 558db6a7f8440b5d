from __future__ import annotations

import asyncio
import os
import sys
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import NamedTuple

import pytest

from hal.controls import Button, Status, Tally
from hal.controls import hid as module
from hal.controls.hid import HidControls, find
from hal.errors import (
    BackendUnavailable,
    DeviceBusy,
    DeviceForbidden,
    DeviceNotFound,
    DeviceUnplugged,
)

DEADLINE = 10
EV_SYN, EV_KEY, EV_LED = 0, 1, 17
MUTE, VOLUME_DOWN, VOLUME_UP, MICMUTE, A, Q = 113, 114, 115, 248, 30, 16
LED_MUTE, LED_NUML = 7, 0
USB, HOST, BLUETOOTH = 3, 0x19, 5


class Event(NamedTuple):
    type: int
    code: int
    value: int


REPORT = Event(EV_SYN, 0, 0)
DROPPED = Event(EV_SYN, 3, 0)


class Input:
    """An input device of the kernel's, behind the calls of `evdev.InputDevice`."""

    def __init__(
        self, name: str, keys: tuple[int, ...], leds: tuple[int, ...] = (), bus: int = USB
    ) -> None:
        self.name = name
        self.keys, self.led_codes = keys, leds
        self.info = SimpleNamespace(bustype=bus)
        self.held: set[int] = set()
        self.lit: set[int] = set()
        self.history: list[bool] = []
        self.opened = 0
        self.grabbed = False
        self.error: Exception | None = None
        self.refusal: OSError | None = None
        self.stuck = False
        self._queue: deque[Event] = deque()
        self._read, self._write = os.pipe2(os.O_NONBLOCK)

    def free(self) -> None:
        os.close(self._read)
        if self._write >= 0:
            os.close(self._write)

    def happen(self, *events: Event) -> None:
        """What a person does: one write of the kernel's, of some events."""
        for event in events:
            if event.type == EV_KEY:
                (self.held.add if event.value else self.held.discard)(event.code)
        self._queue.extend(events)
        os.write(self._write, b"!")

    def lose(self, *events: Event) -> None:
        """The same, but the queue has run over."""
        for event in events:
            (self.held.add if event.value else self.held.discard)(event.code)

    def pull(self) -> None:
        self.error = OSError(19, "No such device")
        os.write(self._write, b"!")

    def fileno(self) -> int:
        return self._read

    def capabilities(self, *, absinfo: bool) -> dict[int, list[int]]:
        return {EV_SYN: [0], EV_KEY: list(self.keys), EV_LED: list(self.led_codes)}

    def read(self) -> Iterator[Event]:
        os.read(self._read, 4096)
        if self.error is not None:
            raise self.error
        while self._queue:
            yield self._queue.popleft()

    def active_keys(self) -> list[int]:
        return sorted(self.held)

    def leds(self) -> list[int]:
        self._check()
        return sorted(self.lit)

    def set_led(self, led_num: int, value: int) -> None:
        self._check()
        if not self.stuck:
            (self.lit.add if value else self.lit.discard)(led_num)
            self.history.append(bool(value))

    def grab(self) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.grabbed = True

    def close(self) -> None:
        self.opened -= 1
        self.grabbed = False

    def _check(self) -> None:
        if self.error is not None:
            raise self.error


class Machine:
    """Its input devices, and `evdev` to look at them."""

    def __init__(self, root: Path) -> None:
        dev = self.dev = root / "dev"
        self.sys = root / "sys"
        self.asked: list[str] = []
        self.inputs: dict[str, Input] = {}
        self.forbidden: set[str] = set()
        (dev / "input" / "by-id").mkdir(parents=True)
        (dev / "input" / "by-path").mkdir()

    def plug(self, number: int, made: Input, *, by_id: str = "") -> str:
        node = self.dev / "input" / f"event{number}"
        node.touch()
        self.inputs[str(node)] = made
        if not by_id:
            return str(node)
        link = self.dev / "input" / "by-id" / by_id
        link.symlink_to(f"../event{number}")
        return str(link)

    def tell(self, number: int, bus: str, keys: str, lights: str) -> None:
        """What the kernel says of a device without that anybody opens it."""
        about = self.sys / f"event{number}" / "device"
        for name, text in (("id/bustype", bus), ("capabilities/key", keys),
                           ("capabilities/led", lights)):  # fmt: skip
            (about / name).parent.mkdir(parents=True, exist_ok=True)
            (about / name).write_text(f"{text}\n")

    def module(self) -> ModuleType:
        evdev = ModuleType("evdev")

        class EvdevError(Exception):
            pass

        def open_input(dev: str) -> Input:
            node = str(Path(dev).resolve())
            self.asked.append(Path(node).name)
            if node in self.forbidden:
                raise PermissionError(13, "Permission denied")
            if node not in self.inputs:
                raise FileNotFoundError(2, "No such file or directory")
            self.inputs[node].opened += 1
            return self.inputs[node]

        evdev.__dict__.update(
            EvdevError=EvdevError,
            InputDevice=open_input,
            list_devices=lambda folder: [one for one in self.inputs if one.startswith(folder)],
        )
        return evdev


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    made = Machine(tmp_path)
    monkeypatch.setitem(sys.modules, "evdev", made.module())
    look = find
    monkeypatch.setattr(module, "find", lambda: look(made.dev, made.sys))
    yield made
    assert [one.opened for one in made.inputs.values()] == [0] * len(made.inputs)
    for one in made.inputs.values():
        one.free()


def jabra() -> Input:
    return Input("Jabra SPEAK 510", (MICMUTE, VOLUME_UP, VOLUME_DOWN), (LED_MUTE,))


class Bench:
    """An open speakerphone, and a queue of what it reported."""

    def __init__(self, machine: Machine, device: Input) -> None:
        self.device = device
        machine.plug(4, device)
        self.controls = HidControls()
        self.presses: asyncio.Queue[tuple[Button, bool]] = asyncio.Queue()

    def open(self) -> HidControls:
        self.controls.open(asyncio.get_running_loop(), self.report)
        return self.controls

    def report(self, button: Button, down: bool) -> None:
        self.presses.put_nowait((button, down))

    async def next(self) -> tuple[Button, bool]:
        return await asyncio.wait_for(self.presses.get(), DEADLINE)


@pytest.fixture
def bench(machine: Machine) -> Bench:
    return Bench(machine, jabra())


def test_speakerphones_are_found_and_keyboards_are_not(machine: Machine) -> None:
    machine.plug(0, Input("Keyboard", (Q, A, MUTE, MICMUTE), (LED_NUML, LED_MUTE)))
    machine.plug(1, Input("Laptop's extra keys", (MICMUTE,), bus=HOST))
    machine.plug(2, Input("Monitor", (MUTE, VOLUME_UP)))
    machine.plug(3, Input("Mouse", (272,)))
    plain = machine.plug(5, Input("Plain", (MICMUTE,)))
    link = machine.plug(6, jabra(), by_id="usb-Jabra_SPEAK_510_501AA5-event-if03")
    air = machine.plug(7, Input("Headset", (MUTE,), (LED_MUTE,), bus=BLUETOOTH))
    assert [(one.id, one.label, one.kind) for one in HidControls.devices()] == [
        (link, "Jabra SPEAK 510", "controls"),
        (air, "Headset", "controls"),
        (plain, "Plain", "controls"),
    ]


def test_what_the_kernel_tells_of_is_not_opened_in_vain(machine: Machine) -> None:
    """Opened ones take long to close, and a missing speakerphone is looked for each second."""
    machine.plug(0, Input("Power Button", (116,), bus=HOST))
    machine.tell(0, "0019", "10000000000000 0", "0")
    machine.plug(1, Input("Keyboard", (Q, A, MUTE, MICMUTE), (LED_MUTE,)))
    machine.tell(1, "0003", "100000000000000 0 2000000000000 40010000", "80")
    machine.plug(2, Input("Monitor", (MUTE, VOLUME_UP)))
    machine.tell(2, "0003", "a000000000000 0", "0")
    machine.plug(3, jabra())
    machine.tell(3, "0003", "100000000000000 0 c000000000000 0", "80")
    machine.plug(4, Input("Headset", (MUTE,), (LED_MUTE,), bus=BLUETOOTH))
    machine.tell(4, "0005", "2000000000000 0", "80")
    machine.plug(5, Input("Told of by nobody", (MICMUTE,)))
    found = [one.label for one in HidControls.devices()]
    assert found == ["Jabra SPEAK 510", "Headset", "Told of by nobody"]
    assert sorted(machine.asked) == ["event3", "event4", "event5"]


def test_what_may_not_be_asked_is_left_out(machine: Machine) -> None:
    machine.forbidden.add(machine.plug(0, jabra()))
    assert HidControls.devices() == []
    with pytest.raises(DeviceNotFound, match="plug one in"):
        HidControls().open(asyncio.new_event_loop(), lambda button, down: None)


async def test_keys_become_buttons(bench: Bench) -> None:
    with bench.open() as controls:
        assert bench.device.grabbed, "the press is ours alone"
        bench.device.happen(Event(EV_KEY, MICMUTE, 1), REPORT)
        assert await bench.next() == (Button.MUTE, True)
        assert controls.pressed(Button.MUTE)
        # Held down, the kernel repeats the key: value 2.
        bench.device.happen(Event(EV_KEY, MICMUTE, 2), REPORT)
        bench.device.happen(Event(EV_KEY, MICMUTE, 0), REPORT, Event(EV_KEY, VOLUME_UP, 1), REPORT)
        assert await bench.next() == (Button.MUTE, False)
        assert await bench.next() == (Button.VOLUME_UP, True)
        bench.device.happen(Event(EV_KEY, A, 1), Event(EV_KEY, VOLUME_DOWN, 1), REPORT)
        assert await bench.next() == (Button.VOLUME_DOWN, True)
        assert not controls.pressed(Button.MUTE)
        assert bench.presses.empty()
        assert controls.latching == frozenset()
    assert not bench.device.grabbed


async def test_a_mute_key_beside_a_light_is_the_microphones(machine: Machine) -> None:
    bench = Bench(machine, Input("Headset", (MUTE,), (LED_MUTE,)))
    with bench.open():
        bench.device.happen(Event(EV_KEY, MUTE, 1), REPORT)
        assert await bench.next() == (Button.MUTE, True)


async def test_a_key_held_at_the_start_is_known(bench: Bench) -> None:
    bench.device.held = {MICMUTE}
    with bench.open() as controls:
        assert controls.pressed(Button.MUTE)
        bench.device.happen(Event(EV_KEY, MICMUTE, 0), REPORT)
        assert await bench.next() == (Button.MUTE, False)


async def test_a_queue_that_ran_over_leaves_no_wrong_level(bench: Bench) -> None:
    with bench.open() as controls:
        bench.device.happen(Event(EV_KEY, MICMUTE, 1), REPORT)
        assert await bench.next() == (Button.MUTE, True)
        # The release is lost, and what is left of the burst must not be believed.
        bench.device.lose(Event(EV_KEY, MICMUTE, 0), Event(EV_KEY, VOLUME_UP, 1))
        bench.device._queue.extend([DROPPED, Event(EV_KEY, VOLUME_DOWN, 1), REPORT])
        os.write(bench.device._write, b"!")
        assert await bench.next() == (Button.MUTE, False)
        assert await bench.next() == (Button.VOLUME_UP, True)
        assert not controls.pressed(Button.VOLUME_DOWN)
        bench.device.happen(Event(EV_KEY, MICMUTE, 1), REPORT)
        assert await bench.next() == (Button.MUTE, True)
        assert bench.presses.empty()


@pytest.mark.parametrize(
    ("tally", "lit"),
    [(Tally.OFF, False), (Tally.LIVE, False), (Tally.MUTED, True), (Tally.FAULT, True)],
)
async def test_the_light_is_driven_when_it_returns(bench: Bench, tally: Tally, lit: bool) -> None:
    with bench.open() as controls:
        for before in Tally:
            controls.set_tally(before)
            controls.set_tally(tally)
            assert (LED_MUTE in bench.device.lit) == lit
    assert not bench.device.lit, "closed, it is dark"


async def test_fault_blinks_and_then_obeys_again(bench: Bench) -> None:
    with bench.open() as controls:
        controls.set_tally(Tally.FAULT)
        async with asyncio.timeout(DEADLINE):
            while len(bench.device.history) < 6:
                due = asyncio.Event()
                asyncio.get_running_loop().call_later(0.02, due.set)
                await due.wait()
        assert bench.device.history[1:6] == [True, False, True, False, True]
        controls.set_tally(Tally.MUTED)
        count = len(bench.device.history)
        due = asyncio.Event()
        asyncio.get_running_loop().call_later(3 * module.BLINK_S, due.set)
        await due.wait()
        assert len(bench.device.history) == count, "steadily"
        assert bench.device.lit == {LED_MUTE}


async def test_the_light_can_be_set_from_another_thread(bench: Bench) -> None:
    with bench.open() as controls:
        await asyncio.to_thread(controls.set_tally, Tally.FAULT)
        assert bench.device.lit == {LED_MUTE}
        async with asyncio.timeout(DEADLINE):
            while bench.device.lit:
                due = asyncio.Event()
                asyncio.get_running_loop().call_later(0.02, due.set)
                await due.wait()


async def test_a_light_that_does_not_obey_is_told(bench: Bench) -> None:
    with bench.open() as controls:
        bench.device.stuck = True
        with pytest.raises(DeviceUnplugged, match="does not obey"):
            controls.set_tally(Tally.MUTED)


async def test_a_device_without_a_light(machine: Machine) -> None:
    bench = Bench(machine, Input("Plain", (MICMUTE,)))
    with bench.open() as controls:
        for tally in Tally:
            controls.set_tally(tally)
        for status in Status:
            controls.set_status(status)
        assert not bench.device.history


async def test_pulled_out_nothing_is_held_and_the_light_is_not_ours(bench: Bench) -> None:
    controls = bench.open()
    bench.device.happen(Event(EV_KEY, MICMUTE, 1), REPORT)
    assert await bench.next() == (Button.MUTE, True)
    bench.device.pull()
    assert await bench.next() == (Button.MUTE, False)
    with pytest.raises(DeviceUnplugged, match="plug it in again"):
        controls.set_tally(Tally.MUTED)
    with pytest.raises(DeviceUnplugged):
        controls.set_status(Status.IDLE)
    controls.close()
    controls.close()
    bench.device.error = None
    bench.device.held.clear()
    with bench.open():
        controls.set_tally(Tally.MUTED)
        assert bench.device.lit == {LED_MUTE}


async def test_pulled_out_between_two_presses_the_light_tells(bench: Bench) -> None:
    with bench.open() as controls:
        bench.device.error = OSError(19, "No such device")
        with pytest.raises(DeviceUnplugged, match="has gone"):
            controls.set_tally(Tally.MUTED)


async def test_somebody_else_holds_it(bench: Bench) -> None:
    bench.device.refusal = OSError(16, "Device or resource busy")
    with pytest.raises(DeviceBusy, match="another program"):
        bench.open()
    bench.device.refusal = None
    with bench.open(), pytest.raises(DeviceBusy, match="close it first"):
        bench.open()


async def test_a_light_that_may_not_be_written(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(led_num: int, value: int) -> None:
        raise sys.modules["evdev"].EvdevError("no write access to device")

    monkeypatch.setattr(bench.device, "set_led", refuse)
    with pytest.raises(DeviceForbidden, match="group input"):
        bench.open()


async def test_a_named_device(machine: Machine) -> None:
    node = machine.plug(3, jabra())
    other = machine.plug(4, Input("Mouse", (272,)))
    loop = asyncio.get_running_loop()
    with HidControls(device=node) as controls:
        controls.open(loop, lambda button, down: None)
        assert controls.device.label == "Jabra SPEAK 510"
    with pytest.raises(DeviceNotFound, match="no mute key"):
        HidControls(device=other).open(loop, lambda button, down: None)
    with pytest.raises(DeviceNotFound, match="is not there"):
        HidControls(device=str(machine.dev / "input/event9")).open(loop, lambda b, d: None)
    machine.forbidden.add(node)
    with pytest.raises(DeviceForbidden, match="group input"):
        HidControls(device=node).open(loop, lambda button, down: None)


async def test_after_close_nothing_is_reported(bench: Bench) -> None:
    controls = bench.open()
    controls.close()
    bench.device.happen(Event(EV_KEY, MICMUTE, 1), REPORT)
    due = asyncio.Event()
    asyncio.get_running_loop().call_later(0.05, due.set)
    await due.wait()
    assert bench.presses.empty()
    with pytest.raises(DeviceUnplugged, match="not open"):
        controls.set_tally(Tally.LIVE)
    assert not controls.pressed(Button.MUTE)


async def test_a_handler_may_close(machine: Machine) -> None:
    bench = Bench(machine, jabra())
    controls = bench.controls

    def close(button: Button, down: bool) -> None:
        bench.report(button, down)
        controls.close()

    controls.open(asyncio.get_running_loop(), close)
    bench.device.happen(Event(EV_KEY, MICMUTE, 1), Event(EV_KEY, VOLUME_UP, 1), REPORT)
    assert await bench.next() == (Button.MUTE, True)
    assert bench.presses.empty()


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "evdev", None)
    with pytest.raises(BackendUnavailable, match="python3-evdev"):
        HidControls.devices()

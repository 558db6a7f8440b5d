from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator

import pytest

from hal.controls import Button, CameraLight, Status, Tally
from hal.controls.virtual import State, VirtualControls
from hal.errors import DeviceBusy, DeviceNotFound, DeviceUnplugged, OptionInvalid

DEADLINE = 10


class Bench:
    """Open controls and a queue of what they reported."""

    def __init__(self, controls: VirtualControls) -> None:
        self.controls = controls
        self.presses: asyncio.Queue[tuple[Button, bool, int]] = asyncio.Queue()

    def report(self, button: Button, down: bool) -> None:
        self.presses.put_nowait((button, down, threading.get_ident()))

    async def next(self) -> tuple[Button, bool]:
        button, down, thread = await asyncio.wait_for(self.presses.get(), DEADLINE)
        assert thread == threading.get_ident(), "handlers run on the loop"
        return button, down


@pytest.fixture
async def bench() -> Iterator[Bench]:
    made = Bench(VirtualControls())
    made.controls.open(asyncio.get_running_loop(), made.report)
    yield made
    made.controls.close()


async def test_press_from_another_thread_arrives_on_the_loop(bench: Bench) -> None:
    await asyncio.to_thread(bench.controls.press, Button.MUTE)
    assert await bench.next() == (Button.MUTE, True)
    assert bench.controls.pressed(Button.MUTE)
    await asyncio.to_thread(bench.controls.release, Button.MUTE)
    assert await bench.next() == (Button.MUTE, False)
    assert not bench.controls.pressed(Button.MUTE)


async def test_a_level_that_stays_is_not_reported(bench: Bench) -> None:
    bench.controls.press(Button.MUTE)
    bench.controls.press(Button.MUTE)
    bench.controls.release(Button.CAMERA)
    bench.controls.press(Button.CAMERA)
    assert await bench.next() == (Button.MUTE, True)
    assert await bench.next() == (Button.CAMERA, True)
    assert bench.presses.empty()


async def test_tap_pushes_and_lets_go(bench: Bench) -> None:
    bench.controls.tap(Button.MUTE)
    assert [await bench.next(), await bench.next()] == [(Button.MUTE, True), (Button.MUTE, False)]


async def test_tap_throws_a_latching_switch() -> None:
    bench = Bench(VirtualControls(latching=["mute"]))
    assert bench.controls.latching == {Button.MUTE}
    with bench.controls as controls:
        controls.open(asyncio.get_running_loop(), bench.report)
        controls.tap(Button.MUTE)
        assert await bench.next() == (Button.MUTE, True)
        controls.tap(Button.MUTE)
        assert await bench.next() == (Button.MUTE, False)


async def test_leds_can_be_read(bench: Bench) -> None:
    begin = time.monotonic()
    for tally in (Tally.LIVE, Tally.MUTED, Tally.MUTED, Tally.FAULT):
        bench.controls.set_tally(tally)
        assert bench.controls.state.tally is tally
    bench.controls.set_status(Status.IN_ROOM)
    assert bench.controls.state == State(frozenset(), Tally.FAULT, Status.IN_ROOM)
    times, tallies = zip(*bench.controls.history, strict=True)
    assert tallies == (Tally.LIVE, Tally.MUTED, Tally.FAULT)
    assert begin <= times[0] <= times[1] <= times[2] <= time.monotonic()


async def test_observers_see_every_state_on_the_loop(bench: Bench) -> None:
    seen: asyncio.Queue[State] = asyncio.Queue()
    unsubscribe = bench.controls.subscribe(seen.put_nowait)
    await asyncio.to_thread(bench.controls.set_tally, Tally.LIVE)
    await asyncio.to_thread(bench.controls.press, Button.MUTE)
    first = await asyncio.wait_for(seen.get(), DEADLINE)
    second = await asyncio.wait_for(seen.get(), DEADLINE)
    assert first == State(tally=Tally.LIVE)
    assert second == State(frozenset({Button.MUTE}), Tally.LIVE)
    unsubscribe()
    unsubscribe()
    bench.controls.set_tally(Tally.MUTED)
    bench.controls.release(Button.MUTE)
    assert await bench.next() == (Button.MUTE, True)
    assert await bench.next() == (Button.MUTE, False)
    assert seen.empty()


async def test_unplugged_leds_cannot_be_driven(bench: Bench) -> None:
    bench.controls.set_tally(Tally.LIVE)
    bench.controls.unplug()
    assert bench.controls.state.tally is Tally.OFF
    for drive in (
        lambda: bench.controls.set_tally(Tally.MUTED),
        lambda: bench.controls.set_status(Status.IDLE),
    ):
        with pytest.raises(DeviceUnplugged):
            drive()
    bench.controls.press(Button.MUTE)
    bench.controls.replug()
    bench.controls.set_tally(Tally.MUTED)
    bench.controls.press(Button.CAMERA)
    assert await bench.next() == (Button.CAMERA, True)


async def test_close_darkens_and_silences(bench: Bench) -> None:
    bench.controls.set_tally(Tally.LIVE)
    bench.controls.press(Button.MUTE)
    bench.controls.close()
    bench.controls.close()
    assert bench.controls.state.tally is Tally.OFF
    assert bench.controls.state.status is None
    done = asyncio.Event()
    asyncio.get_running_loop().call_soon(done.set)
    await done.wait()
    assert bench.presses.empty(), "a press on its way is dropped"
    with pytest.raises(DeviceUnplugged, match="not open"):
        bench.controls.set_tally(Tally.LIVE)


async def test_the_cameras_light_where_there_is_one(bench: Bench) -> None:
    bench.controls.set_camera_light(CameraLight.LIVE)
    assert bench.controls.state.camera is CameraLight.OFF, "there is none"
    for end in ("close", "unplug"):
        with VirtualControls(camera_light=True) as controls:
            controls.open(asyncio.get_running_loop(), lambda *_: None)
            controls.set_camera_light(CameraLight.LIVE)
            assert controls.state.camera is CameraLight.LIVE
            getattr(controls, end)()
            assert controls.state.camera is CameraLight.OFF
            with pytest.raises(DeviceUnplugged):
                controls.set_camera_light(CameraLight.LIVE)


async def test_open_twice_and_unplugged(bench: Bench) -> None:
    loop = asyncio.get_running_loop()
    with pytest.raises(DeviceBusy):
        bench.controls.open(loop, bench.report)
    bench.controls.close()
    bench.controls.unplug()
    with pytest.raises(DeviceNotFound):
        bench.controls.open(loop, bench.report)


async def test_many_threads_lose_nothing(bench: Bench) -> None:
    def hammer(button: Button) -> None:
        for _ in range(50):
            bench.controls.tap(button)

    await asyncio.gather(*(asyncio.to_thread(hammer, button) for button in Button))
    seen = [await bench.next() for _ in range(len(Button) * 100)]
    for button in Button:
        assert [down for each, down in seen if each is button] == [True, False] * 50


def test_bad_latching_button() -> None:
    with pytest.raises(OptionInvalid, match="choose of mute"):
        VirtualControls(latching=["doorbell"])
    assert VirtualControls.devices()[0].id == "virtual"

"""Which device takes whose place."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from appliance.media.gate import CameraGate, Party
from appliance.service.succession import AGAIN, Order, Succession
from hal.device import Device
from hal.errors import DeviceNotFound, DeviceStalled, DeviceUnplugged, HalError


def camera(name: str, backend: str = "v4l2") -> Device:
    return Device(name, f"Camera {name}", "camera", backend)


HOME, OTHER, THIRD = camera("home"), camera("other"), camera("third")
PI, MADE_UP = camera("imx708", "picamera2"), camera("synthetic:1", "synthetic")


def names(devices: list[Device]) -> list[str]:
    return [device.id for device in devices]


def test_the_order_of_the_configuration_is_kept() -> None:
    order = Order(HOME, "v4l2", "home", ["third", "other"])
    assert names(order.candidates([OTHER, camera("stranger"), THIRD])) == ["home", "third", "other"]
    # One that is not listed may be there all the same.
    assert names(order.candidates([])) == ["home", "third", "other"]


def test_without_an_order_others_of_the_backend_will_do() -> None:
    order = Order(HOME, "v4l2", None, [])
    assert names(order.candidates([PI, MADE_UP, OTHER, HOME])) == ["home", "other"]


def test_auto_takes_any_real_device_and_leaves_a_made_up_one() -> None:
    assert names(Order(HOME, "auto", None, []).candidates([MADE_UP, OTHER, PI])) == [
        "home",
        "imx708",
        "other",
    ]
    made_up = Order(MADE_UP, "auto", None, [])
    assert names(made_up.candidates([MADE_UP, OTHER])) == ["other", "synthetic:1"]


class Worker:
    """A worker that is told what opens."""

    def __init__(self) -> None:
        self.device = HOME
        self.there = {"home"}
        self.suspended = False
        self.error: HalError | None = None
        self.observers: list[Any] = []
        self.tried: list[str] = []

    def observe(self, observer: Any) -> Any:
        self.observers.append(observer)
        return lambda: self.observers.remove(observer)

    def gone(self, error: HalError) -> None:
        self.tell(error)

    def tell(self, error: HalError | None) -> None:
        self.error = error
        for observer in self.observers:
            observer(error)

    async def swap(self, device: Device) -> None:
        await asyncio.sleep(0)
        self.tried.append(device.id)
        if device.id not in self.there:
            raise DeviceNotFound("it is not there; plug it in")
        self.device = device
        self.tell(None)

    def pull(self) -> None:
        self.there.discard(self.device.id)
        self.tell(DeviceUnplugged("it has gone; plug it in"))


class Rig:
    def __init__(self, *others: str) -> None:
        self.worker, self.gate = Worker(), CameraGate()
        self.gate.unmute(Party.START)
        self.listed: list[Device] = []
        order = Order(HOME, "v4l2", None, others)
        self.succession = Succession(
            self.worker,  # type: ignore[arg-type]
            order,
            self.worker.swap,
            lambda kind: self.listed,
            gate=self.gate,
            retry=0.01,
        )

    async def until(self, condition: Any) -> None:
        async with asyncio.timeout(30):
            while not condition():
                await asyncio.sleep(0.002)


@pytest.fixture
async def rig() -> Any:
    rig = Rig("other", "third")
    rig.succession.start()
    yield rig
    await rig.succession.stop()
    assert not rig.worker.observers


async def test_the_next_one_takes_over_and_gives_back(rig: Rig) -> None:
    rig.worker.there.add("third")
    rig.worker.pull()
    await rig.until(lambda: rig.worker.device.id == "third")
    assert rig.gate.is_open
    assert "Camera home has gone" in str(rig.succession.note)
    rig.worker.there.add("home")
    rig.listed = [HOME, THIRD]
    rig.succession.plugged()
    await rig.until(lambda: rig.worker.device.id == "home")
    assert rig.succession.note is None


async def test_one_that_is_back_and_does_not_open_yet_is_tried_again(rig: Rig) -> None:
    """As a card whose names ALSA has not read yet, or that a sound server looks at first."""
    rig.worker.there.add("third")
    rig.listed = [HOME, THIRD]
    rig.worker.pull()
    await rig.until(lambda: rig.worker.device.id == "third")
    rig.worker.there.add("home")
    await rig.until(lambda: rig.worker.device.id == "home")


async def test_one_that_never_opens_is_not_tried_for_ever(rig: Rig) -> None:
    rig.worker.there.add("third")
    rig.listed = [HOME, THIRD]
    rig.worker.pull()
    await rig.until(lambda: rig.worker.device.id == "third")
    await rig.until(lambda: rig.worker.tried.count("home") == 1 + AGAIN)
    # The last round is over when the one between the two was tried as well.
    await rig.until(lambda: rig.worker.tried[-1] == "other")
    # Each try takes the device from the call for a moment.
    tried = len(rig.worker.tried)
    rig.succession.plugged()
    rig.worker.there.add("home")
    await rig.until(lambda: rig.worker.device.id == "home")
    assert len(rig.worker.tried) == tried + 1


async def test_the_first_one_that_it_finds_is_the_preferred_one() -> None:
    """A configuration without a name: which device that is shows once it was opened."""
    worker, listed = Worker(), [HOME, OTHER]
    home = Device("", "first USB camera", "camera", "v4l2")
    worker.device = home
    succession = Succession(
        worker,  # type: ignore[arg-type]
        Order(home, "auto", None, []),
        worker.swap,
        lambda kind: listed,
        home=lambda: home,
        retry=0.01,
    )
    succession.start()
    assert succession.note is None
    home = worker.device = HOME
    worker.there.add("other")
    assert succession.note is None
    succession.plugged()
    async with asyncio.timeout(30):
        while succession._plugged:
            await asyncio.sleep(0.002)
        assert worker.tried == [], "what works is left alone"
        worker.pull()
        while worker.device != OTHER:
            await asyncio.sleep(0.002)
        assert succession.note == "Camera home has gone; the camera is now Camera other"
        worker.there.add("home")
        succession.plugged()
        while worker.device != HOME:
            await asyncio.sleep(0.002)
    assert succession.note is None
    await succession.stop()


async def test_one_that_is_no_better_changes_nothing(rig: Rig) -> None:
    rig.listed = [HOME, OTHER]
    rig.worker.there.add("other")
    rig.succession.plugged()
    await rig.until(lambda: not rig.succession._plugged)
    assert rig.worker.tried == []


async def test_without_any_the_gate_is_held_until_one_comes(rig: Rig) -> None:
    rig.worker.pull()
    await rig.until(lambda: rig.gate.closers == {Party.UNPLUGGED})
    assert rig.succession.missing
    assert "plug it in" in str(rig.succession.note)
    tries = len(rig.worker.tried)
    await rig.until(lambda: len(rig.worker.tried) > tries + 3)
    rig.worker.there.add("other")
    await rig.until(lambda: rig.gate.is_open)
    assert rig.worker.device.id == "other"
    assert not rig.succession.missing


async def test_a_worker_that_heals_by_itself_is_left_alone(rig: Rig) -> None:
    rig.worker.pull()
    await rig.until(lambda: rig.succession.missing)
    rig.worker.tell(None)
    assert rig.gate.is_open
    tries = len(rig.worker.tried)
    await asyncio.sleep(0.05)
    assert len(rig.worker.tried) <= tries + 3  # no more than the round under way


async def test_a_stall_is_no_loss(rig: Rig) -> None:
    rig.worker.tell(DeviceStalled("it gives nothing; open it again"))
    await asyncio.sleep(0)
    assert rig.worker.tried == []


async def test_one_that_rests_is_known_to_have_gone(rig: Rig) -> None:
    rig.worker.there.add("other")
    rig.succession.unplugged(HOME)
    assert rig.worker.error is None  # it reads, and finds out by itself
    rig.worker.suspended = True
    rig.worker.there.discard("home")
    rig.succession.unplugged(HOME)
    await rig.until(lambda: rig.worker.device.id == "other")

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable

from appliance.media.capture import CameraCapture
from appliance.media.gate import CameraGate
from appliance.media.playout import DisplayPlayout
from appliance.service.notify import Notifier
from appliance.service.vigil import Vigil
from hal.camera.synthetic import SyntheticCamera
from hal.display.memory import MemoryDisplay
from hal.errors import DeviceUnplugged

DEADLINE = 30
STUCK = 1.0


class Hanging(SyntheticCamera):
    """A camera whose driver hangs while `hangs` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.hangs = threading.Event()
        self.goes_on = threading.Event()

    def read(self):  # type: ignore[no-untyped-def]
        if self.hangs.is_set():
            self.goes_on.wait(DEADLINE)
        return super().read()


class Broken(SyntheticCamera):
    """A camera that is not there."""

    def open(self, wanted):  # type: ignore[no-untyped-def]
        raise DeviceUnplugged("it has gone; plug it in")


class Signs(Notifier):
    """Counts the signs of life."""

    def __init__(self) -> None:
        super().__init__({})
        self.watchdog_s = 0.2
        self.count = 0

    def alive(self) -> None:
        self.count += 1


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE):
        while not holds():
            await asyncio.sleep(0.01)


async def test_a_driver_that_hangs_ends_the_signs_of_life() -> None:
    camera, signs, told = Hanging(), Signs(), list[list[str]]()
    capture = CameraCapture(camera, CameraGate())
    display = DisplayPlayout(MemoryDisplay(width=64, height=36))
    workers = {"camera": capture, "display": display}
    vigil = Vigil(signs, lambda: workers, told.append, stuck_after=STUCK)
    await asyncio.gather(capture.start(), display.start())
    vigil.start()
    await until(lambda: signs.count > 5)
    assert told == []
    camera.hangs.set()
    await until(lambda: told == [["camera"]])
    count = signs.count
    # The loop turns all the same, and nobody gives a sign.
    end = time.monotonic() + 1
    await until(lambda: time.monotonic() > end)
    assert signs.count == count
    camera.hangs.clear()
    camera.goes_on.set()
    await until(lambda: told == [["camera"], []])
    await until(lambda: signs.count > count)
    await vigil.stop()
    await vigil.stop()
    await asyncio.gather(capture.stop(), display.stop())


async def test_who_rests_or_fails_is_not_stuck() -> None:
    resting = CameraCapture(SyntheticCamera(), CameraGate())
    failing = CameraCapture(Broken(), CameraGate())
    vigil = Vigil(Signs(), lambda: {"resting": resting, "failing": failing}, lambda _: None)
    assert vigil.look(time.monotonic() + 3600) == []
    await failing.start()
    begun = failing.turned
    await until(lambda: failing.turned > begun + 0.5)
    assert failing.failed
    assert vigil.look() == []
    # Time stands in for a thread that turns no more.
    assert vigil.look(time.monotonic() + 60) == ["failing"]
    await failing.stop()
    assert vigil.look(time.monotonic() + 60) == []

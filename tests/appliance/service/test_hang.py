"""A loop that hangs for real: what is still heard, and what the light shows meanwhile.

The far end lives on a loop of its own in another thread, and so does whoever reads the pins.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import gpiozero
import numpy as np
import pytest
from gpiozero.pins.mock import MockFactory

from appliance.media.capture import MicCapture
from appliance.media.gate import CameraGate, MicGate, Party
from appliance.media.lease import Lease
from appliance.media.opus import OpusDecoder
from appliance.media.packet import MediaPacket
from appliance.media.peer import Peer
from appliance.service.console import Console
from appliance.service.wire import Ear
from hal.audio.synthetic import SyntheticMicrophone
from hal.controls.gpio import GpioControls
from tests.appliance.media.conftest import level_at, until

MUTE, RED, GREEN = 17, 5, 6
HANG = 2.0
SLACK = 0.4
"""Seconds beyond the 100 ms that a machine with other work may take to run a thread."""

BEFORE, MEANWHILE = 1000.0, 2500.0
"""Hz: what is spoken before and after, and while the loop hangs."""


class FarEnd:
    """A peer that keeps what it receives, on a thread of its own."""

    def __init__(self) -> None:
        self.packets: list[MediaPacket] = []
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()
        self.peer: Peer = self._run(self._make())

    async def _make(self) -> Peer:
        return Peer(addresses=("127.0.0.1",))

    async def answer(self, offer: str) -> str:
        answer = asyncio.run_coroutine_threadsafe(self._answer(offer), self.loop)
        return await asyncio.wrap_future(answer)

    async def _answer(self, offer: str) -> str:
        answer = await self.peer.answer(offer)
        assert self.peer.audio_in is not None
        self.peer.audio_in.on_packet = self.packets.append
        return answer

    def _run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(30)

    def audible(self) -> list[tuple[float, bool]]:
        """When each packet came, and whether it carries sound by itself."""
        ear = Ear()
        return [(one.arrival, ear.hears(one.data)) for one in list(self.packets)]

    def hears(self) -> bool:
        """Whether the newest packet carries sound."""
        return [audible for _, audible in self.audible()][-1:] == [True]

    def close(self) -> None:
        self._run(self.peer.close())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


class Onlooker:
    """Reads the light's pins a few hundred times a second."""

    def __init__(self, pins: MockFactory) -> None:
        self.seen: list[tuple[float, bool, bool]] = []
        self._pins = pins
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def _look(self) -> None:
        while not self._stop.wait(0.003):
            red, green = (bool(self._pins.pin(pin).state) for pin in (RED, GREEN))
            self.seen.append((time.monotonic(), red, green))

    def close(self) -> None:
        self._stop.set()
        self._thread.join()


@pytest.fixture
def pins() -> Iterator[MockFactory]:
    factory = MockFactory()
    before, gpiozero.Device.pin_factory = gpiozero.Device.pin_factory, factory
    yield factory
    factory.reset()
    gpiozero.Device.pin_factory = before


@pytest.fixture
def far_end() -> Iterator[FarEnd]:
    far_end = FarEnd()
    yield far_end
    far_end.close()


class Near:
    def __init__(self) -> None:
        self.gate = MicGate()
        self.microphone = SyntheticMicrophone(pattern="continuous", frequency=BEFORE)
        self.capture = MicCapture(self.microphone, self.gate)
        controls = GpioControls(mute_pin=MUTE, tally_red=RED, tally_green=GREEN)
        self.console = Console(controls, self.gate, CameraGate())
        self.lease = Lease([self.gate])


@pytest.fixture
async def near(pins: MockFactory, far_end: FarEnd) -> AsyncIterator[Near]:
    near = Near()
    peer = Peer(addresses=("127.0.0.1",))
    await peer.accept(await far_end.answer(await peer.offer("sendonly", None)))
    assert peer.audio_out is not None
    near.capture.attach(peer.audio_out)
    near.capture.lease = near.lease
    near.lease.start()
    await near.console.start()
    await near.capture.start()
    near.gate.unmute(Party.START)
    yield near
    await near.console.stop()
    near.lease.stop()
    await near.capture.stop()
    await peer.close()


async def test_a_hanging_loop_is_silent_and_shows_a_fault(
    pins: MockFactory, far_end: FarEnd, near: Near
) -> None:
    await until(lambda: sum(audible for _, audible in far_end.audible()) > 20)
    onlooker = Onlooker(pins)
    began = time.monotonic()

    def speak_otherwise() -> None:
        near.microphone.frequency = MEANWHILE

    # Said well after the lease has run out, and while nobody could have pressed a button.
    timer = threading.Timer(SLACK + 0.1, speak_otherwise)
    timer.start()
    try:
        time.sleep(HANG)
    finally:
        ended = time.monotonic()
        timer.join()
        near.microphone.frequency = BEFORE
    mark = len(far_end.packets)
    await until(lambda: sum(audible for _, audible in far_end.audible()[mark:]) > 20)
    onlooker.close()

    late = began + 0.1 + SLACK
    arrivals = far_end.audible()
    assert not [at for at, audible in arrivals if audible and late < at < ended]
    looks = [(red, green) for at, red, green in onlooker.seen if late < at < ended]
    assert len(looks) > 50
    assert not any(green for _, green in looks)
    assert any(red for red, _ in looks)
    assert not all(red for red, _ in looks), "a fault blinks"
    # What was said meanwhile is not heard afterwards either.
    decoder = OpusDecoder()
    heard = np.concatenate([decoder.decode(one.data) for one in far_end.packets])
    windows = [heard[start : start + 2400] for start in range(0, len(heard) - 2400, 1200)]
    assert max(level_at(window, MEANWHILE) for window in windows) < -50
    assert max(level_at(window, BEFORE) for window in windows) > -15


async def test_a_dead_light_keeps_a_device_from_being_live(
    pins: MockFactory, far_end: FarEnd, near: Near
) -> None:
    await until(far_end.hears)
    near.gate.mute(Party.ROOM)
    # What was on its way then has arrived.
    await until(lambda: not far_end.hears())

    def broken(value: bool) -> None:
        raise OSError(5, "Input/output error")

    for number in (RED, GREEN):
        pins.pin(number)._set_state = broken  # type: ignore[method-assign]
    near.gate.unmute(Party.ROOM)
    assert not near.gate.is_open
    mark = len(far_end.packets)
    await until(lambda: len(far_end.packets) > mark + 20)
    assert not any(audible for _, audible in far_end.audible()[mark:])
    for number in (RED, GREEN):
        del pins.pin(number)._set_state
    await until(lambda: near.gate.is_open)
    assert pins.pin(GREEN).state

"""The promise of the tally light, under whatever can happen and in whatever order.

Real pins (of gpiozero's mock factory, so that their true level can be read), a real capture and
its thread, real packets on their way to a connected peer.  The verdict falls at the tap, packet
by packet: no sound may leave while the light is not green, or while it is red.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from fractions import Fraction
from types import SimpleNamespace
from typing import Any, Final

import gpiozero
import numpy as np
import pytest
from av import AudioFrame
from gpiozero.pins.mock import MockFactory
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from appliance.media import lease as lease_module
from appliance.media.capture import MicCapture
from appliance.media.gate import CameraGate, MicGate, Party
from appliance.media.lease import Lease
from appliance.media.peer import Peer
from appliance.room.errors import GateHeld
from appliance.room.mute import MuteSync
from appliance.service.console import Console
from appliance.service.wire import Ear, audio_ssrc, rtp_payload
from appliance.signaling.errors import Disconnected, PermissionDenied, SignalingError
from hal.audio import PERIOD, RATE, Microphone
from hal.controls import Button, Tally
from hal.controls.combined import CombinedControls
from hal.controls.gpio import GpioControls
from hal.controls.virtual import VirtualControls
from hal.device import Device
from hal.errors import DeviceStalled, HalError
from tests.appliance.service.faulty_pin import FaultyPin

MUTE, RED, GREEN = 17, 5, 6
DEADLINE: Final = 60.0
LONG: Final = 10.0
"""Seconds that a hang seems to last; the lease of these tests is half of it."""

TURNS: Final = 12
"""Steps of the loop in which a packet gets from the capture to the tap, and more."""


class ToldMicrophone(Microphone):
    """A steady tone, one period for each `speak`."""

    def __init__(self) -> None:
        self.device = Device("told", "Told microphone", "microphone", "test")
        self.xruns = 0
        self._turn = threading.Condition()
        self._asked = False
        self._next: HalError | bool | None = None
        self._ended = False
        wave = np.sin(2 * np.pi * 1000 * np.arange(PERIOD) / RATE) * 8000
        self._tone = wave.astype(np.int16).reshape(1, PERIOD)
        self._position = 0

    @classmethod
    def devices(cls) -> list[Device]:
        return []

    def open(self) -> None:
        pass

    def close(self) -> None:
        pass

    def speak(self, error: HalError | None = None) -> None:
        """Give one period, or fail; returns when the capture is done with it."""
        with self._turn:
            assert self._turn.wait_for(lambda: self._asked, DEADLINE)
            self._next, self._asked = error or True, False
            self._turn.notify_all()
            assert self._turn.wait_for(lambda: self._asked, DEADLINE)

    def end(self) -> None:
        with self._turn:
            self._ended = True
            self._turn.notify_all()

    def read(self) -> AudioFrame:
        with self._turn:
            self._asked = True
            self._turn.notify_all()
            self._turn.wait_for(lambda: self._next is not None or self._ended)
            told, self._next = self._next, None
        if isinstance(told, HalError):
            raise told
        frame = AudioFrame.from_ndarray(self._tone, format="s16", layout="mono")
        frame.sample_rate, frame.time_base = RATE, Fraction(1, RATE)
        frame.pts = self._position
        self._position += PERIOD
        return frame


class Studio:
    """What is made once: a loop, two connected peers, and pins."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.caller = Peer(addresses=("127.0.0.1",))
        self.callee = Peer(addresses=("127.0.0.1",))
        self.on_sound: Callable[[bool], None] = lambda audible: None
        self._ear = Ear()
        self.ssrc = self.run(self._connect())
        self.caller.tap = self._tap

    def run(self, work: Any) -> Any:
        return self.loop.run_until_complete(asyncio.wait_for(work, DEADLINE))

    async def _connect(self) -> int | None:
        offer = await self.caller.offer("sendonly", None)
        await self.caller.accept(await self.callee.answer(offer))
        await self.caller.wait_connected()
        await self.callee.wait_connected()
        return audio_ssrc(offer)

    def _tap(self, data: bytes) -> None:
        payload = rtp_payload(data, self.ssrc)
        if payload is not None:
            self.on_sound(self._ear.hears(payload))

    def close(self) -> None:
        self.run(self.caller.close())
        self.run(self.callee.close())
        self.loop.close()


class Server:
    """The room server's side of one member's mute."""

    def __init__(self) -> None:
        self.muted = False
        self.mood = "agrees"
        self.sync: MuteSync | None = None

    async def told(self, muted: bool) -> None:
        await asyncio.sleep(0)
        if self.mood == "refuses":
            raise PermissionDenied("403", "it may not")
        if self.mood == "is away":
            raise Disconnected("the connection was lost; wait")
        self.muted = muted
        assert self.sync is not None
        self.sync.server_says(muted)


studio: Studio | None = None


@pytest.fixture(autouse=True, scope="module")
def _studio() -> Iterator[None]:
    global studio
    studio = Studio()
    # Each failure that is played is told of, ten thousand times.
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)
    studio.close()


class MuteTruth(RuleBasedStateMachine):
    @initialize(start_muted=st.booleans())
    def begin(self, start_muted: bool) -> None:
        assert studio is not None
        self.studio = studio
        self.lies: list[str] = []
        self.heard = 0
        self.offset = 0.0
        self.has_broken = False
        lease_module.time = SimpleNamespace(monotonic=lambda: time.monotonic() + self.offset)  # type: ignore[assignment]
        self.factory = MockFactory(pin_class=FaultyPin)
        self.pins_before, gpiozero.Device.pin_factory = gpiozero.Device.pin_factory, self.factory
        self.gate = MicGate(allow_remote_unmute=False)
        if start_muted:
            self.gate.mute(Party.CONFIG)
        self.pins = GpioControls(mute_pin=MUTE, tally_red=RED, tally_green=GREEN, debounce_ms=2)
        self.switch = VirtualControls(device="switch", latching=["mute"])
        self.microphone = ToldMicrophone()
        self.studio.on_sound = self.sent
        self.studio.run(self._start())

    async def _start(self) -> None:
        controls = CombinedControls([self.pins, self.switch])
        self.console = Console(controls, self.gate, CameraGate(), retry_after=0.005)
        self.capture = MicCapture(self.microphone, self.gate)
        self.lease = self.capture.lease = Lease([self.gate], limit=LONG / 2)
        self.lease.start()
        outlet = self.studio.caller.audio_out
        assert outlet is not None
        self.outlet = outlet
        self.capture.attach(outlet)
        await self.console.start()
        await self.capture.start()
        self.server = Server()
        self.scripts: list[asyncio.Task[None]] = []
        self._join()

    def _join(self) -> None:
        self.sync = self.server.sync = MuteSync("microphone", self.gate, self.server.told)
        self.sync.start()
        self.sync.joined(self.server.muted)

    # --- what is seen

    def lit(self, pin: int) -> bool:
        return bool(self.factory.pin(pin)._state)

    @property
    def drivable(self) -> bool:
        """Whether the light obeys, and the device knows it."""
        broken = any(self.factory.pin(pin).fault for pin in (RED, GREEN))
        return not broken and self.console.error is None

    def sent(self, audible: bool) -> None:
        if audible:
            self.heard += 1
            if self.lit(RED) or not self.lit(GREEN):
                self.lies.append(f"sound, red {self.lit(RED)}, green {self.lit(GREEN)}")

    def turn(self) -> None:
        self.studio.run(self._turns())

    async def _turns(self) -> None:
        for _ in range(TURNS):
            await asyncio.sleep(0)

    # --- what happens

    @rule(packets=st.integers(1, 3), delivered=st.booleans())
    def speak(self, packets: int, delivered: bool) -> None:
        opened = self.gate.is_open
        before, epoch = self.heard, self.gate.epoch
        for _ in range(2 * packets):
            self.microphone.speak()
        if delivered:
            self.turn()
            # The rule that keeps all this from being kept by a device that is always silent.
            if opened and self.gate.epoch == epoch and packets > 1:
                assert self.heard > before

    @rule()
    def press(self) -> None:
        self.factory.pin(MUTE).drive_low()
        self.factory.pin(MUTE).drive_high()

    @rule(edges=st.lists(st.booleans(), min_size=1, max_size=6))
    def bounce(self, edges: list[bool]) -> None:
        pin = self.factory.pin(MUTE)
        for high in edges:
            (pin.drive_high if high else pin.drive_low)()
            if len(edges) % 2:
                self.turn()

    @rule(down=st.booleans())
    def throw_the_switch(self, down: bool) -> None:
        (self.switch.press if down else self.switch.release)(Button.MUTE)

    @rule(plugged=st.booleans())
    def pull_the_switch(self, plugged: bool) -> None:
        (self.switch.replug if plugged else self.switch.unplug)()

    @rule(muted=st.booleans())
    def moderate(self, muted: bool) -> None:
        self.server.muted = muted
        self.sync.server_says(muted)

    @rule(mood=st.sampled_from(["agrees", "refuses", "is away"]))
    def server_changes_its_mood(self, mood: str) -> None:
        self.server.mood = mood

    @rule(new=st.booleans())
    def reconnect(self, new: bool) -> None:
        (self.sync.joined if new else self.sync.refreshed)(self.server.muted)

    @rule()
    def session_crashes(self) -> None:
        self.studio.run(self._crash())

    async def _crash(self) -> None:
        await self.sync.stop()
        assert not self.gate.is_open
        self._join()

    @rule(mute=st.booleans())
    def script(self, mute: bool) -> None:
        async def act() -> None:
            with suppress(GateHeld, SignalingError):
                await (self.sync.mute() if mute else self.sync.unmute())

        self.scripts.append(self.studio.loop.create_task(act()))

    @rule(party=st.sampled_from([Party.ROOM, Party.UNPLUGGED]), mute=st.booleans())
    def another_thread(self, party: Party, mute: bool) -> None:
        act = self.gate.mute if mute else self.gate.unmute
        thread = threading.Thread(target=act, args=(party,))
        thread.start()
        thread.join(DEADLINE)
        assert not thread.is_alive()

    @rule()
    def microphone_crashes(self) -> None:
        self.microphone.speak(DeviceStalled("it gives nothing; open it again"))

    @rule(periods=st.integers(1, 4))
    def loop_hangs(self, periods: int) -> None:
        self.turn()
        self.offset += LONG
        heard = self.heard
        for _ in range(periods):
            self.microphone.speak()
        assert not self.gate.is_open
        assert self.console.tally is Tally.FAULT
        if self.drivable:
            assert not self.lit(GREEN)
        self.turn()
        assert self.heard == heard

    @rule(pin=st.sampled_from([RED, GREEN]), fault=st.sampled_from(["raises", "stuck", None]))
    def light_breaks(self, pin: int, fault: str | None) -> None:
        self.factory.pin(pin).fault = fault
        self.has_broken = True

    @rule()
    def time_passes(self) -> None:
        self.studio.run(asyncio.sleep(0.012))

    @rule()
    def loop_turns(self) -> None:
        self.turn()

    # --- what is never so

    @invariant()
    def the_light_has_told_the_truth(self) -> None:
        assert self.lies == []
        if self.gate.is_open:
            assert not self.lit(RED)
            assert self.lit(GREEN)
        elif self.drivable:
            assert not self.lit(GREEN)

    def teardown(self) -> None:
        if not hasattr(self, "console"):
            return
        for pin in (RED, GREEN):
            self.factory.pin(pin).fault = None
        self.microphone.end()
        self.studio.run(self._end())
        self.studio.on_sound = lambda audible: None
        lease_module.time = time
        self.factory.reset()
        gpiozero.Device.pin_factory = self.pins_before

    async def _end(self) -> None:
        for script in self.scripts:
            script.cancel()
        await asyncio.gather(*self.scripts, return_exceptions=True)
        await self.sync.stop()
        await self.console.stop()
        self.lease.stop()
        await self.capture.stop()
        # One that was stuck while its pin was given up stays as it was.
        assert self.has_broken or not (self.lit(GREEN) or self.lit(RED))


TestMuteTruth = MuteTruth.TestCase
TestMuteTruth.settings = settings(
    stateful_step_count=25, max_examples=max(300, settings().max_examples)
)

"""The promise of the camera's light, under whatever can happen and in whatever order.

As `test_mute_truth`: real pins (of gpiozero's mock factory, so that their true level can be read),
a real capture and its thread, real packets on their way to a connected peer.  The verdict falls at
the tap, packet by packet: no picture may leave while the light is dark, or has another rhythm than
none.  And it falls at the pin and at the gate: the one is never driven dark while the other is
open, and is lit whenever that opens.
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
import pytest
from av import Packet
from gpiozero.pins.mock import MockFactory
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from appliance.media import lease as lease_module
from appliance.media.capture import CameraCapture
from appliance.media.gate import CameraGate, Gate, MicGate, Party
from appliance.media.lease import Lease
from appliance.media.peer import Peer
from appliance.service.console import Console
from hal.camera import Camera, VideoFormat
from hal.controls import Button, CameraLight, lights, patterns
from hal.controls.combined import CombinedControls
from hal.controls.gpio import GpioControls
from hal.controls.virtual import VirtualControls
from hal.device import Device
from hal.errors import HalError
from tests.appliance.service.faulty_pin import FaultyPin

BUTTON, RED, GREEN, LENS = 27, 5, 6, 26
DEADLINE: Final = 60.0
LONG: Final = 10.0
"""Seconds that a hang seems to last; the lease of these tests is half of it."""

TURNS: Final = 12
"""Steps of the loop in which a packet gets from the capture to the tap, and more."""

PICTURE: Final = b"\0\0\0\1\x65" + bytes(range(1, 200))
"""An access unit, as far as a packet on the network is concerned."""


class ToldCamera(Camera):
    """A camera that encodes by itself: one picture for each `show`."""

    def __init__(self) -> None:
        self.device = Device("told", "Told camera", "camera", "test")
        self.format = VideoFormat()
        self._turn = threading.Condition()
        self._asked = self._given = self._ended = False
        self._pictures = 0

    @classmethod
    def devices(cls) -> list[Device]:
        return []

    def open(self, wanted: VideoFormat) -> VideoFormat:
        return self.format

    def close(self) -> None:
        pass

    def show(self) -> None:
        """Give one picture; returns when the capture is done with it."""
        with self._turn:
            assert self._turn.wait_for(lambda: self._asked, DEADLINE)
            self._given, self._asked = True, False
            self._turn.notify_all()
            assert self._turn.wait_for(lambda: self._asked, DEADLINE)

    def end(self) -> None:
        with self._turn:
            self._ended = True
            self._turn.notify_all()

    def read(self) -> Packet[Any]:
        with self._turn:
            self._asked = True
            self._turn.notify_all()
            self._turn.wait_for(lambda: self._given or self._ended)
            self._given = False
        picture: Packet[Any] = Packet(PICTURE)
        picture.pts, picture.time_base = self._pictures, Fraction(1, 30)
        picture.is_keyframe = True
        self._pictures += 1
        return picture


class Studio:
    """What is made once: a loop, and two connected peers."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.caller = Peer(addresses=("127.0.0.1",))
        self.callee = Peer(addresses=("127.0.0.1",))
        self.on_picture: Callable[[], None] = lambda: None
        self.run(self._connect())
        self.caller.tap = self._tap

    def run(self, work: Any) -> Any:
        return self.loop.run_until_complete(asyncio.wait_for(work, DEADLINE))

    async def _connect(self) -> None:
        offer = await self.caller.offer(None, "sendonly")
        await self.caller.accept(await self.callee.answer(offer))
        await self.caller.wait_connected()
        await self.callee.wait_connected()

    def _tap(self, data: bytes) -> None:
        # Nothing but pictures is sent here, and RTCP (RFC 5761), the repeated ones included.
        if not 192 <= data[1] <= 223:
            self.on_picture()

    def close(self) -> None:
        self.run(self.caller.close())
        self.run(self.callee.close())
        self.loop.close()


studio: Studio | None = None


@pytest.fixture(autouse=True, scope="module")
def _studio() -> Iterator[None]:
    global studio
    studio = Studio()
    before = patterns.CAMERA_PATTERNS
    # So fast that the dark part of a rhythm comes up here, too.
    quick = {light: tuple(s / 200 for s in pattern) for light, pattern in before.items()}
    lights.CAMERA_PATTERNS = quick  # type: ignore[misc]
    # Each failure that is played is told of, thousands of times.
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)
    lights.CAMERA_PATTERNS = before  # type: ignore[misc]
    studio.close()


class CameraTruth(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        assert studio is not None
        self.studio = studio
        self.lies: list[str] = []
        self.seen = 0
        self.offset = 0.0
        self.has_broken = False
        lease_module.time = SimpleNamespace(monotonic=lambda: time.monotonic() + self.offset)  # type: ignore[assignment]
        self.factory = MockFactory(pin_class=FaultyPin)
        self.pins_before, gpiozero.Device.pin_factory = gpiozero.Device.pin_factory, self.factory
        self.microphone, self.gate = MicGate(), CameraGate(allow_remote_unmute=False)
        self.gate.subscribe(self.moved)
        self.factory.pin(LENS).on_level = self.driven
        self.camera = ToldCamera()
        self.studio.on_picture = self.sent
        self.studio.run(self._start())

    async def _start(self) -> None:
        controls = self.wired(lens=True)
        self.console = Console(controls, self.microphone, self.gate, retry_after=0.005)
        self.capture = CameraCapture(self.camera, self.gate)
        self.lease = self.capture.lease = Lease([self.microphone, self.gate], limit=LONG / 2)
        self.lease.start()
        outlet = self.studio.caller.video_out
        assert outlet is not None
        assert outlet.codec == "h264"
        self.capture.attach(outlet)
        await self.console.start()
        await self.capture.start()
        self.gate.unmute(Party.START)

    def wired(self, *, lens: bool) -> CombinedControls:
        """Pins, and a cover that can be pulled."""
        self.cover = VirtualControls(device="cover", latching=["cover"])
        pins = GpioControls(
            camera_pin=BUTTON,
            tally_red=RED,
            tally_green=GREEN,
            camera_light_pin=LENS if lens else None,
            debounce_ms=2,
        )
        return CombinedControls([pins, self.cover])

    # --- what is seen

    @property
    def has_light(self) -> bool:
        return self.console.controls.camera_light

    @property
    def lit(self) -> bool:
        return bool(self.factory.pin(LENS)._state)

    @property
    def drivable(self) -> bool:
        """Whether the light obeys, and the device knows it."""
        broken = any(self.factory.pin(pin).fault for pin in (RED, GREEN, LENS))
        return not broken and self.console.error is None and self.console.camera_error is None

    def sent(self) -> None:
        self.seen += 1
        if not self.has_light:
            return
        shown = self.console.camera_light
        if not self.lit or shown is not CameraLight.LIVE:
            self.lies.append(f"a picture, lit {self.lit}, {shown}")

    def moved(self, gate: Gate) -> None:
        # The first to be told, so nobody has lit it since.
        if gate.is_open and self.has_light and not self.lit:
            self.lies.append("open while dark")

    def driven(self, level: bool) -> None:
        if not level and self.gate.is_open:
            self.lies.append("dark while open")

    def turn(self) -> None:
        self.studio.run(self._turns())

    async def _turns(self) -> None:
        for _ in range(TURNS):
            await asyncio.sleep(0)

    # --- what happens

    @rule(pictures=st.integers(1, 3), delivered=st.booleans())
    def show(self, pictures: int, delivered: bool) -> None:
        opened = self.gate.is_open
        before, epoch = self.seen, self.gate.epoch
        for _ in range(pictures):
            self.camera.show()
        if delivered:
            self.turn()
            # The rule that keeps all this from being kept by a device that never shows anything.
            if opened and self.gate.epoch == epoch and pictures > 1:
                assert self.seen > before

    @rule()
    def press(self) -> None:
        self.factory.pin(BUTTON).drive_low()
        self.factory.pin(BUTTON).drive_high()

    @rule(down=st.booleans())
    def move_the_cover(self, down: bool) -> None:
        (self.cover.press if down else self.cover.release)(Button.COVER)

    @rule(plugged=st.booleans())
    def pull_the_cover(self, plugged: bool) -> None:
        (self.cover.replug if plugged else self.cover.unplug)()

    @rule(
        party=st.sampled_from([Party.REMOTE, Party.SOFTWARE, Party.UNPLUGGED]),
        mute=st.booleans(),
        aside=st.booleans(),
    )
    def others(self, party: Party, mute: bool, aside: bool) -> None:
        """The room, a script, a camera that is pulled."""
        act = self.gate.mute if mute else self.gate.unmute
        if not aside:
            act(party)
            return
        thread = threading.Thread(target=act, args=(party,))
        thread.start()
        thread.join(DEADLINE)
        assert not thread.is_alive()

    @rule(ends=st.booleans())
    def the_call(self, ends: bool) -> None:
        (self.gate.mute if ends else self.gate.unmute)(Party.START)

    @rule()
    def all_let_go(self) -> None:
        """Else somebody or other nearly always holds it closed."""
        self.cover.release(Button.COVER)
        self.turn()
        for party in (Party.UNPLUGGED, Party.ROOM):
            self.gate.unmute(party)

    @rule(broken=st.booleans())
    def the_tally_is_driven(self, broken: bool) -> None:
        """Where it fails, all pins are opened anew, again and again."""
        self.factory.pin(GREEN).fault = "raises" if broken else None
        self.has_broken |= broken
        self.microphone.mute(Party.START)
        self.microphone.unmute(Party.START)
        self.time_passes()

    @rule(pictures=st.integers(1, 4))
    def loop_hangs(self, pictures: int) -> None:
        self.turn()
        self.offset += LONG
        seen = self.seen
        for _ in range(pictures):
            self.camera.show()
        assert not self.gate.is_open
        assert self.console.camera_light in (CameraLight.FAULT, None)
        self.turn()
        assert self.seen == seen

    @rule(fault=st.sampled_from(["raises", "stuck", "stuck", None]), dark=st.booleans())
    def light_breaks(self, fault: str | None, dark: bool) -> None:
        if dark:
            self.the_call(ends=True)
        self.factory.pin(LENS).fault = fault
        self.has_broken = True

    @rule(lens=st.sampled_from([True, True, True, False]))
    def reload(self, lens: bool) -> None:
        before = self.cover

        async def adopt() -> None:
            try:
                self.console.adopt(self.wired(lens=lens), cover_microphone=False, long_press=None)
            except HalError:
                self.cover = before

        self.studio.run(adopt())

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
        if not self.has_light:
            return
        shown = self.console.camera_light
        if self.gate.is_open:
            assert self.lit
            assert shown is CameraLight.LIVE
        elif self.drivable:
            assert shown is not CameraLight.LIVE
            if shown is CameraLight.OFF:
                assert not self.lit

    def teardown(self) -> None:
        if not hasattr(self, "console"):
            return
        for pin in (RED, GREEN, LENS):
            self.factory.pin(pin).fault = None
        self.camera.end()
        self.studio.run(self._end())
        self.studio.on_picture = lambda: None
        lease_module.time = time
        self.factory.reset()
        gpiozero.Device.pin_factory = self.pins_before

    async def _end(self) -> None:
        await self.console.stop()
        self.lease.stop()
        with suppress(HalError):
            await self.capture.stop()
        # One that was stuck while its pin was given up stays as it was.
        assert self.has_broken or not self.lit


TestCameraTruth = CameraTruth.TestCase
TestCameraTruth.settings = settings(
    stateful_step_count=25, max_examples=max(300, settings().max_examples)
)

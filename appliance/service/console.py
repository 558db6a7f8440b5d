"""The buttons and lights of a device, and the promise that the tally light never lies.

The order is the promise.  To close, the gate closes first and the light turns red after it.
To open, the light turns green first and the gate opens after it.  So there is no moment in which
the light is red and sound passes.  A light that cannot be driven keeps the gate closed.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final

from appliance.media.gate import CameraGate, Gate, MicGate, Party
from hal.controls import Button, Controls, Status, Tally
from hal.errors import DeviceUnplugged, HalError

log = logging.getLogger(__name__)

RETRY_AFTER: Final = 1.0
"""Seconds between attempts to get controls back that failed."""

VOLUME_STEP: Final = 5
"""Percent that one press of a volume button makes."""

_ROOMS: Final = frozenset({Party.ROOM, Party.SOFTWARE, Party.REMOTE})
"""Parties whose closing a press of the button withdraws."""


class Console:
    """The controls of one device, bound to its gates.

    `tally` is what the light shows, FAULT where it could not be driven; `error` says why.
    `on_change` is called after each change of them and of the gates, on any thread.
    `on_volume` is called on the loop with the percent to add.  `on_press` is called on the loop
    before anything else with each button that goes down and the moment (`time.monotonic`).
    """

    def __init__(
        self,
        controls: Controls,
        microphone: MicGate,
        camera: CameraGate,
        *,
        retry_after: float = RETRY_AFTER,
    ) -> None:
        self.controls: Final = controls
        self.tally = Tally.OFF
        self.error: HalError | None = None
        self.on_change: Callable[[], None] | None = None
        self.on_volume: Callable[[int], None] | None = None
        self.on_press: Callable[[Button, float], None] | None = None
        self._gates: Final[dict[Button, Gate]] = {Button.MUTE: microphone, Button.CAMERA: camera}
        self._microphone = microphone
        self._retry_after = retry_after
        self._status = Status.STARTING
        self._opened = False
        self._shown: Tally | None = None
        self._quiet = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._failed = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        # Without a light nobody can know: closed until there is one.
        microphone.mute(Party.WATCHDOG)
        microphone.before_open = self._before_open
        self._unsubscribe = [
            microphone.subscribe(self._microphone_changed),
            camera.subscribe(self._camera_changed),
        ]

    async def start(self) -> None:
        """Take the controls; where that fails, say so, and go on trying."""
        self._loop = asyncio.get_running_loop()
        self._open()
        self._keeper = self._loop.create_task(self._keep(), name="console")

    async def stop(self) -> None:
        """Close the gates, turn the lights off and give the controls back."""
        for gate in self._gates.values():
            gate.mute(Party.START)
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        for unsubscribe in self._unsubscribe:
            unsubscribe()
        # From here on nobody shows the truth, so nothing may open.
        self._microphone.mute(Party.WATCHDOG)
        self._opened = False
        self.controls.close()

    def show(self, status: Status) -> None:
        """Drive the status light.  It is no promise: a failure is only logged."""
        self._status = status
        if not self._opened:
            return
        try:
            self.controls.set_status(status)
        except HalError as error:
            log.info("the status light does not show %s: %s", status.value, error)

    def pushed(self, button: Button) -> None:
        """A push button went down: on the device, or on the panel that stands for it."""
        if self.on_press is not None:
            self.on_press(button, time.monotonic())
        if (gate := self._gates.get(button)) is not None:
            self._toggle(gate)
        elif self.on_volume is not None:
            self.on_volume(VOLUME_STEP if button is Button.VOLUME_UP else -VOLUME_STEP)

    def _moved(self, button: Button, down: bool) -> None:
        """The controls' handler, on the loop."""
        if button not in self.controls.latching:
            if down:
                self.pushed(button)
        elif (gate := self._gates.get(button)) is not None:
            if down:
                if self.on_press is not None:
                    self.on_press(button, time.monotonic())
                gate.mute(Party.LATCH)
            else:
                gate.unmute(Party.LATCH)

    def _toggle(self, gate: Gate) -> None:
        closers = gate.closers
        if not closers & _ROOMS:
            # What a switch holds is moved back there.  The watchdog may let go by itself, so
            # a press meanwhile must count.
            if Party.LATCH not in closers:
                gate.mute(Party.ROOM)
        elif Party.START not in closers:
            gate.unmute(Party.ROOM)
        else:
            # Outside a call: what the room wants changes, but nothing opens before its time.
            self._quiet = True
            try:
                gate.mute(Party.LATCH)
                gate.unmute(Party.ROOM)
                gate.mute(Party.START)
                if Party.LATCH not in closers:
                    gate.unmute(Party.LATCH)
            finally:
                self._quiet = False
            self._microphone_changed(self._microphone)

    def _before_open(self) -> None:
        self._drive(Tally.LIVE)

    def _microphone_changed(self, gate: Gate) -> None:
        if self._quiet:
            return
        try:
            self._drive(_tally(gate.closers))
        except Exception:
            gate.mute(Party.WATCHDOG)
        self._changed()

    def _camera_changed(self, gate: Gate) -> None:
        if not self._quiet:
            self._changed()

    def _drive(self, tally: Tally) -> None:
        """Show it, on the changing thread and under the gate's lock.  Raises HalError."""
        if tally is self._shown:
            return
        if not self._opened:
            raise self.error or DeviceUnplugged("the controls are not open yet; wait")
        try:
            self.controls.set_tally(tally)
        except Exception as error:
            # Whatever it is: the light may show anything now.
            self._fail(error if isinstance(error, HalError) else DeviceUnplugged(str(error)))
            raise
        self._shown = self.tally = tally

    def _fail(self, error: HalError) -> None:
        if self.error is None:
            log.error("the tally light cannot be driven, so the microphone stays closed: %s", error)
        self.error = error
        self._opened = False
        self._shown = None
        self.tally = Tally.FAULT
        if self._loop is not None:
            try:
                self._loop.call_soon_threadsafe(self._failed.set)
            except RuntimeError:
                log.debug("the tally light failed after the end of the loop")

    def _open(self) -> None:
        assert self._loop is not None
        self._quiet = True
        try:
            self.controls.open(self._loop, self._moved)
            for button in self._gates.keys() & self.controls.latching:
                if self.controls.pressed(button):
                    self._gates[button].mute(Party.LATCH)
                else:
                    self._gates[button].unmute(Party.LATCH)
        except HalError as error:
            self._fail(error)
        else:
            before, self.error = self.error, None
            self._opened = True
            self._shown = None
            if before is not None:
                log.warning("the controls are back")
        finally:
            self._quiet = False
        if self._opened:
            # Drives the light to the truth; where that fails, the gate is held again.
            self._microphone.unmute(Party.WATCHDOG)
            self.show(self._status)
        self._changed()

    async def _keep(self) -> None:
        """Get failed controls back, sooner or later."""
        while True:
            await self._failed.wait()
            await asyncio.sleep(self._retry_after)
            self._failed.clear()
            self._microphone.mute(Party.WATCHDOG)
            self.controls.close()
            self._open()

    def _changed(self) -> None:
        if self.on_change is not None:
            self.on_change()


def _tally(closers: frozenset[Party]) -> Tally:
    """What the light has to show.

    The start holds the gate whenever the device is not in a call, and until the first state of
    a call is known.
    """
    if Party.WATCHDOG in closers:
        return Tally.FAULT
    if Party.START in closers:
        return Tally.OFF
    return Tally.MUTED if closers else Tally.LIVE

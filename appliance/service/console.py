"""The buttons, switches and lights of a device, and the promise that no light of them ever lies.

The order is the promise.  To close, the gate closes first and the light turns red after it.
To open, the light turns green first and the gate opens after it.  So there is no moment in which
the light is red and sound passes.  A light that cannot be driven keeps the gate closed.  The same
holds for the camera, where it has a light.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from typing import Final

from appliance.media.gate import CameraGate, Gate, MicGate, Party
from appliance.service.camera_lamp import CameraLamp
from appliance.service.long_press import LongPress
from appliance.service.switches import PARTIES, SWITCHES, Switches
from appliance.service.tally import TallyLight
from hal.controls import Button, CameraLight, Controls, Status, Tally
from hal.controls.combined import CombinedControls
from hal.controls.virtual import VirtualControls
from hal.errors import DeviceUnplugged, HalError

log = logging.getLogger(__name__)

RETRY_AFTER: Final = 1.0
"""Seconds between attempts to get controls back that failed."""

VOLUME_STEP: Final = 5
"""Percent that one press of a volume button makes."""

_VOLUME_STEPS: Final = {Button.VOLUME_UP: VOLUME_STEP, Button.VOLUME_DOWN: -VOLUME_STEP}

_ROOMS: Final = frozenset({Party.ROOM, Party.CONFIG, Party.SOFTWARE, Party.REMOTE})
"""Parties whose closing a press of the button withdraws."""

_START: Final = frozenset({Party.START})


class Console:
    """The controls of one device, bound to its gates.

    `on_change` is called after each change of the light and of the gates, on any thread.
    `on_volume` is called on the loop with the percent to add, `on_hang_up` when a person wants to
    leave the room; it says whether there was one to leave.  `on_press` is called on the loop
    before anything else with each button that goes down and the moment (`time.monotonic`).
    `on_claim` is asked next, about push buttons: what it says True to means nothing else.
    """

    def __init__(
        self,
        controls: Controls,
        microphone: MicGate,
        camera: CameraGate,
        *,
        retry_after: float = RETRY_AFTER,
        cover_microphone: bool = False,
        long_press: float | None = None,
    ) -> None:
        """`cover_microphone` says that the privacy cover closes the microphone too.  To hold the
        mute button down for `long_press` seconds is to hang up; None: it is nothing else."""
        self.controls = controls
        self.on_change: Callable[[], None] | None = None
        self.on_volume: Callable[[int], None] | None = None
        self.on_hang_up: Callable[[], bool] | None = None
        self.on_press: Callable[[Button, float], None] | None = None
        self.on_claim: Callable[[Button], bool] | None = None
        self._gates: Final[dict[Button, Gate]] = {Button.MUTE: microphone, Button.CAMERA: camera}
        self._switches = Switches(microphone, camera, cover_microphone=cover_microphone)
        self._long_press = self._make_long_press(long_press)
        self._microphone = microphone
        self._camera = camera
        self._retry_after = retry_after
        self._status = Status.STARTING
        self._loop: asyncio.AbstractEventLoop | None = None
        self._failed = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        self._light = TallyLight(controls, microphone)
        self._camera_lamp = CameraLamp(controls, camera)
        # Without a light nobody can know: closed until there is one.
        self._hold("the light is not there yet", controls)
        self._light.on_change = self._camera_lamp.on_change = self._changed
        self._light.on_failure = self._camera_lamp.on_failure = self._light_failed

    @property
    def tally(self) -> Tally:
        """What the tally light shows; FAULT where it could not be driven."""
        return self._light.shown

    @property
    def error(self) -> HalError | None:
        """Why the controls fail: they do not open, or the tally light could not be driven."""
        return self._light.error

    @property
    def fails_camera(self) -> bool:
        """Whether `error` holds the camera closed, too."""
        held = Party.WATCHDOG in self._camera.closers
        return self.error is not None and self.controls.camera_light and held

    @property
    def camera_light(self) -> CameraLight | None:
        """What the light of the camera shows; None where there is no such light."""
        return self._camera_lamp.shown if self.controls.camera_light else None

    @property
    def camera_error(self) -> HalError | None:
        """Why the light of the camera could not be driven; None where `error` is all there is."""
        return self._camera_lamp.error

    def watch(self, gate: MicGate) -> Callable[[], None]:
        """Let the light speak for one more microphone: it is red only while all are closed.

        To be called before that one can open.  Returns what ends it.
        """
        return self._light.watch(gate)

    def watch_camera(self, gate: CameraGate) -> Callable[[], None]:
        """The same for the light of the camera, and one more of those.  One that is open, and only
        now has become the room's, is closed where there is no telling of it."""
        return self._camera_lamp.watch(gate)

    def adopt(
        self, controls: Controls | None, *, cover_microphone: bool, long_press: float | None
    ) -> None:
        """Go by other controls, unless None, and other rules; on the loop, after `start`.

        The microphone is closed before the old light goes out, and opens only once the new one
        works; so is the camera, if either has a light for it.  What a switch held, the button holds
        where the switch is there no longer, or another one in its place is open.  Raises HalError
        where the new controls cannot be taken; all is as before then.
        """
        rules = self._switches.cover_microphone, self._long_press
        self._forget_holding()
        self._switches.cover_microphone = cover_microphone
        self._long_press = self._make_long_press(long_press)
        if controls is not None:
            try:
                self._exchange(controls)
            except HalError:
                self._switches.cover_microphone, self._long_press = rules
                self._open()
                raise
        elif self._light.works:
            with self._quiet():
                self._switches.read(self.controls)

    def _exchange(self, controls: Controls) -> None:
        """Raises HalError, with the old controls closed."""
        assert self._loop is not None, "it is not started"
        self._hold("the controls are changed", self.controls, controls)
        self.controls.close()
        self._change(self.controls)
        try:
            controls.open_parts(self._loop, self._moved)
        except Exception as error:
            controls.close()
            raise self._failure(error) from error
        self.controls = controls
        self._change(controls)
        with self._quiet():
            self._switches.exchanged(controls)
        self._opened()

    def _hold(self, why: str, *controls: Controls) -> None:
        """Close what the lights of these controls speak for."""
        self._light.hold(why)
        if any(one.camera_light for one in controls):
            self._camera_lamp.hold(why)

    def _change(self, controls: Controls) -> None:
        self._light.change(controls)
        self._camera_lamp.change(controls)

    @contextlib.contextmanager
    def _quiet(self) -> Iterator[None]:
        with self._light.quiet(), self._camera_lamp.quiet():
            yield

    def _make_long_press(self, seconds: float | None) -> LongPress | None:
        return None if seconds is None else LongPress(Button.MUTE, seconds, self._held_long)

    async def start(self) -> None:
        """Take the controls; where that fails, say so, and go on trying."""
        self._loop = asyncio.get_running_loop()
        self._open()
        self._keeper = self._loop.create_task(self._keep(), name="console")

    async def stop(self) -> None:
        """Close the gates, turn the lights off and give the controls back."""
        for gate in self._gates.values():
            gate.mute(Party.START, "the device stops")
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        self._forget_holding()
        # From here on nobody shows the truth, so nothing may open.
        self._light.close()
        self._camera_lamp.close()
        self.controls.close()

    def show(self, status: Status) -> None:
        """Drive the status light.  It is no promise: a failure is only logged."""
        self._status = status
        if not self._light.works:
            return
        try:
            self.controls.set_status(status)
        except HalError as error:
            log.info("the status light does not show %s: %s", status.value, error)

    def press(self, button: Button) -> None:
        """Push a button from elsewhere, as the panel does: that of the virtual controls, where
        there are some."""
        virtual = self._virtual()
        if virtual is not None:
            virtual.press(button)
        else:
            self.pushed(button)

    def release(self, button: Button) -> None:
        """Let a button go that `press` has pushed."""
        virtual = self._virtual()
        if virtual is not None:
            virtual.release(button)

    def _virtual(self) -> VirtualControls | None:
        parts = self.controls.parts if isinstance(self.controls, CombinedControls) else ()
        found = (one for one in (self.controls, *parts) if isinstance(one, VirtualControls))
        return next(found, None)

    def pushed(self, button: Button, where: str = "the panel") -> None:
        """A push button went down: on the device, or on the panel that stands for it.
        `where` is for the log."""
        if self._claimed(button):
            return
        if (gate := self._gates.get(button)) is not None:
            self._toggle(gate, f"a press on {where}")
        elif button is Button.HANG_UP:
            self._hang_up()
        elif button in _VOLUME_STEPS and self.on_volume is not None:
            self.on_volume(_VOLUME_STEPS[button])

    def _claimed(self, button: Button) -> bool:
        """Tell of a press; whether it means nothing else."""
        if self.on_press is not None:
            self.on_press(button, time.monotonic())
        return self.on_claim is not None and self.on_claim(button)

    def _hang_up(self) -> bool:
        # Before anything is waited for.
        for gate in self._gates.values():
            gate.mute(Party.START, "somebody here hung up")
        return self.on_hang_up is not None and self.on_hang_up()

    def _moved(self, part: Controls, button: Button, down: bool) -> None:
        """The controls' handler, on the loop."""
        if button not in part.latching:
            if self._long_press is not None and button is Button.MUTE:
                self._held(self._long_press, part, down)
            elif down:
                self.pushed(button, part.device.label)
        elif button in SWITCHES:
            if down and self.on_press is not None:
                self.on_press(button, time.monotonic())
            self._switches.moved(self.controls, part, button, down=down)

    def _held(self, long_press: LongPress, part: Controls, down: bool) -> None:
        """The mute button where a long press is an act of its own.  It closes as it goes down.
        It opens as it comes up: who wants to hang up must not be heard for two seconds first."""
        why = f"a press on {part.device.label}"
        if down:
            if self._claimed(Button.MUTE):
                return
            opens = bool(self._microphone.closers & _ROOMS)
            if not opens:
                self._toggle(self._microphone, why)
            long_press.begin(part, opens)
        elif long_press.end(part) and self._microphone.closers & _ROOMS:
            self._toggle(self._microphone, why)

    def _held_long(self, opens: bool) -> None:
        # What the beginning of the press has closed is not what it was for.
        if self._hang_up() and not opens and Party.ROOM in self._microphone.closers:
            self._toggle(self._microphone, "the press was a long one")

    def _forget_holding(self) -> None:
        if self._long_press is not None:
            self._long_press.forget()

    def _toggle(self, gate: Gate, why: str) -> None:
        closers = gate.closers
        self._switches.forget(gate)
        if not closers & _ROOMS:
            # What a switch holds is moved back there.  The others let go by themselves, so
            # a press meanwhile must count.
            if not closers & PARTIES:
                gate.mute(Party.ROOM, why)
        else:
            # Outside a call what the room wants changes, but nothing opens before its time.
            gate.unmute(Party.ROOM, why, but=_START)

    def _light_failed(self) -> None:
        """On any thread, and under the lock of a gate."""
        if self._loop is None:
            return
        # The main gate may be another one than that which met the failure.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._after_failure)

    def _after_failure(self) -> None:
        if self.error is not None:
            # The camera does not wait for its light to go out as the controls are opened again.
            self._hold(str(self.error), self.controls)
            self._camera_lamp.fail_along()
            self._failed.set()
            self._changed()
        if self.camera_error is not None:
            self._camera.mute(Party.WATCHDOG, str(self.camera_error))

    def _open(self) -> None:
        assert self._loop is not None
        try:
            self.controls.open_parts(self._loop, self._moved)
        except Exception as error:
            self._switches.unreadable(self.controls)
            failure = self._failure(error)
            self._light.fail(failure)
            self._camera_lamp.fail_along()
            return
        self._opened()

    def _opened(self) -> None:
        with self._quiet():
            self._switches.read(self.controls)
        self._light.mended()
        if self.error is None:
            self._camera_lamp.mended()
        else:
            # The controls will be closed and opened again and again: the camera does not flicker.
            self._camera_lamp.fail_along()
        self.show(self._status)

    def _failure(self, error: Exception) -> HalError:
        """A fault of a driver or of ours must not end the controls for good, unnoticed."""
        if isinstance(error, HalError):
            return error
        log.error("%s failed", self.controls.device.label, exc_info=error)
        return HalError(f"{self.controls.device.label} failed: {error}; trying again")

    async def _keep(self) -> None:
        """Get failed controls back, sooner or later, and find out what has gone quietly."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._retry_after):
                    await self._failed.wait()
            if not self._failed.is_set():
                self.look()
                continue
            await asyncio.sleep(self._retry_after)
            self._failed.clear()
            if self._light.works:
                # Others have taken their place meanwhile.
                continue
            self._hold("the controls are opened again", self.controls)
            self._forget_holding()
            self.controls.close()
            self._open()

    def look(self) -> None:
        """Take controls that have come back, and find out what has gone; on the loop."""
        if not self._light.works:
            return
        try:
            recovered = self.controls.recover()
        except Exception as error:
            self._lose(self._failure(error))
            return
        if recovered:
            self._switches.read(self.controls)
            self._camera_lamp.refresh()
        if not self.controls.present:
            label = self.controls.device.label
            self._lose(DeviceUnplugged(f"{label} has gone; plug it in again"))
        else:
            self._camera_lamp.retry()

    def _lose(self, error: HalError) -> None:
        # The gates first, for the lights may show anything after it.
        self._hold(str(error), self.controls)
        self._light.fail(error)
        self._after_failure()

    def _changed(self) -> None:
        if self.on_change is not None:
            self.on_change()

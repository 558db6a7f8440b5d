"""Controls in software: for the demo, the panel and tests."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar, Final

from hal.controls import Button, ButtonHandler, CameraLight, Controls, Status, Tally
from hal.device import Device
from hal.errors import DeviceBusy, DeviceNotFound, DeviceUnplugged, OptionInvalid

_HISTORY: Final = 256


@dataclass(frozen=True, slots=True)
class State:
    """What a person sees and holds."""

    pressed: frozenset[Button] = frozenset()
    tally: Tally = Tally.OFF
    status: Status | None = None
    """None: the status LED is dark, the device is not running."""
    camera: CameraLight = CameraLight.OFF


Observer = Callable[[State], None]


class VirtualControls(Controls):
    """Buttons pressed by methods, LEDs read back as `state`.  All methods may be called
    from any thread.
    """

    pluggable: ClassVar[bool] = True

    def __init__(
        self,
        *,
        device: str | None = None,
        latching: Iterable[str | Button] = (),
        camera_light: bool = False,
        label: str | None = None,
    ) -> None:
        """`latching` names the buttons that are switches ("mute"); with "cover" there is a
        cover.  `camera_light` says that there is a light for the camera.  `device` is an id of
        one's choice, "virtual" by default.

        Raises OptionInvalid.
        """
        try:
            self.latching = frozenset(Button(button) for button in latching)
        except ValueError as error:
            valid = ", ".join(button.value for button in Button)
            raise OptionInvalid(f"latching: {error}; choose of {valid}", ["latching"]) from None
        self.device = Device(
            device or "virtual", label or "Virtual controls", "controls", "virtual"
        )
        self.camera_light = camera_light
        self._lock = threading.RLock()
        self._state = State()
        self._observers: list[Observer] = []
        self._history: deque[tuple[float, Tally]] = deque(maxlen=_HISTORY)
        self._plugged = True
        self._loop: asyncio.AbstractEventLoop | None = None
        self._handler: ButtonHandler | None = None

    @classmethod
    def devices(cls) -> list[Device]:
        """One set of controls."""
        return [cls().device]

    def open(self, loop: asyncio.AbstractEventLoop, handler: ButtonHandler) -> None:
        """See `Controls.open`."""
        with self._lock:
            if not self._plugged:
                raise DeviceNotFound(f"controls {self.device.id} are unplugged; plug them in")
            if self._loop is not None:
                raise DeviceBusy(f"controls {self.device.id} are open; close them first")
            self._loop, self._handler = loop, handler

    @property
    def present(self) -> bool:
        """See `Controls.present`."""
        with self._lock:
            return self._plugged

    def pressed(self, button: Button) -> bool:
        """See `Controls.pressed`."""
        with self._lock:
            return button in self._state.pressed

    def set_tally(self, tally: Tally) -> None:
        """See `Controls.set_tally`."""
        with self._lock:
            self._check()
            if tally is not self._state.tally:
                self._history.append((time.monotonic(), tally))
            self._change(replace(self._state, tally=tally))

    def set_status(self, status: Status) -> None:
        """See `Controls.set_status`."""
        with self._lock:
            self._check()
            self._change(replace(self._state, status=status))

    def set_camera_light(self, light: CameraLight) -> None:
        """See `Controls.set_camera_light`."""
        with self._lock:
            self._check()
            if self.camera_light:
                self._change(replace(self._state, camera=light))

    def close(self) -> None:
        """See `Controls.close`."""
        with self._lock:
            if self._loop is None:
                return
            if self._state.tally is not Tally.OFF:
                self._history.append((time.monotonic(), Tally.OFF))
            self._change(State(self._state.pressed))
            self._loop = self._handler = None

    @property
    def state(self) -> State:
        """Buttons and LEDs now."""
        with self._lock:
            return self._state

    @property
    def history(self) -> list[tuple[float, Tally]]:
        """The last changes of the tally LED, each with its `time.monotonic`."""
        with self._lock:
            return list(self._history)

    def press(self, button: Button) -> None:
        """Push a button or close a switch; nothing happens when it is down already."""
        self._set(button, down=True)

    def release(self, button: Button) -> None:
        """Let a button go or open a switch; nothing happens when it is up already."""
        self._set(button, down=False)

    def tap(self, button: Button) -> None:
        """Push a button and let it go; throw a switch to its other side."""
        with self._lock:
            if button in self.latching:
                self._set(button, down=button not in self._state.pressed)
            else:
                self.press(button)
                self.release(button)

    def subscribe(self, observer: Observer) -> Callable[[], None]:
        """Call `observer` with each new state, on the loop given to `open`, while open.
        Returns the function that ends it.
        """
        with self._lock:
            self._observers.append(observer)

        def unsubscribe() -> None:
            with self._lock:
                if observer in self._observers:
                    self._observers.remove(observer)

        return unsubscribe

    def unplug(self) -> None:
        """Fault: the LEDs go dark and cannot be driven; presses go nowhere."""
        with self._lock:
            self._plugged = False
            if self._state.tally is not Tally.OFF:
                self._history.append((time.monotonic(), Tally.OFF))
            self._change(State(self._state.pressed))

    def replug(self) -> None:
        """End the fault; the LEDs stay dark until they are set again."""
        with self._lock:
            self._plugged = True

    def _check(self) -> None:
        if self._loop is None:
            raise DeviceUnplugged(f"controls {self.device.id} are not open; open them first")
        if not self._plugged:
            raise DeviceUnplugged(f"controls {self.device.id} have gone; plug them in again")

    def _set(self, button: Button, *, down: bool) -> None:
        with self._lock:
            if (button in self._state.pressed) == down:
                return
            held = self._state.pressed ^ {button}
            self._change(replace(self._state, pressed=held))
            if self._plugged:
                self._cross(partial(self._report, button, down))

    def _change(self, state: State) -> None:
        if state != self._state:
            self._state = state
            for observer in self._observers:
                self._cross(partial(observer, state))

    def _cross(self, call: Callable[[], object]) -> None:
        """The one place where calls cross from any thread to the loop."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(call)

    def _report(self, button: Button, down: bool) -> None:
        handler = self._handler
        if handler is not None:
            handler(button, down)

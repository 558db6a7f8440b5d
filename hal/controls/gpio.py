"""Buttons and LEDs on the pins of a Raspberry Pi, through gpiozero.

gpiozero's own `bounce_time` stays unset, for it means opposite things on its pin
factories; `hal.controls.debounce` does the work, and the same on each of them.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import traceback
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, Protocol, TypeVar, cast

from hal.controls import (
    Button,
    ButtonHandler,
    CameraLight,
    Controls,
    Status,
    Tally,
    pin_errors,
    pin_factory,
)
from hal.controls.debounce import Debounce
from hal.controls.lights import Lights, Wire
from hal.device import Device
from hal.errors import (
    DeviceBusy,
    DeviceUnplugged,
    OptionInvalid,
)
from hal.optional import require

log = logging.getLogger(__name__)

_Key = TypeVar("_Key")
Pull = Literal["up", "down", "floating"]

_Listener = Callable[[float, int], None]
"""What a pin calls on gpiozero's thread: its ticks, and the level after the edge."""


class _Pin(Protocol):
    """The part of `gpiozero.Pin` that is used here."""

    bounce: float | None
    edges: str
    when_changed: _Listener | None
    """Held by a weak reference."""


class _Input(Protocol):
    """The part of `gpiozero.InputDevice` that is used here."""

    @property
    def pin(self) -> _Pin: ...
    @property
    def is_active(self) -> bool: ...
    def close(self) -> None: ...


class GpioControls(Controls):
    """Pins are BCM numbers of the header, 0 to 27; a part without a pin is not there.

    The tally LED is bi-colour (`tally_red`, `tally_green`) or RGB (`tally_blue` too, which
    only is held dark).
    """

    def __init__(
        self,
        *,
        device: str | None = None,
        mute_pin: int | None = None,
        mute_mode: Literal["push", "toggle"] = "push",
        camera_pin: int | None = None,
        camera_mode: Literal["push", "toggle"] = "push",
        volume_up_pin: int | None = None,
        volume_down_pin: int | None = None,
        hang_up_pin: int | None = None,
        cover_pin: int | None = None,
        cover_mode: Literal["closed", "open"] = "closed",
        pull: Pull = "up",
        active_low: bool | None = None,
        debounce_ms: int = 30,
        tally_red: int | None = None,
        tally_green: int | None = None,
        tally_blue: int | None = None,
        tally_active_low: bool = False,
        tally_brightness: int = 100,
        tally_muted: Literal["wink", "steady"] = "wink",
        status_pin: int | None = None,
        status_active_low: bool = False,
        status_brightness: int = 100,
        camera_light_pin: int | None = None,
        camera_light_active_low: bool = False,
        camera_light_brightness: int = 100,
        label: str | None = None,
    ) -> None:
        """`pull` is the resistor of all buttons; `active_low` says that a closed contact
        reads low, as it does with the default pull-up, and must be told with "floating".
        `cover_mode` is the state of the cover's contact that means that it is over the camera.
        `debounce_ms` is the lock-out after an edge.  Brightness is in percent, 1 to 100.

        Raises OptionInvalid.
        """
        self._buttons = _given(
            {
                Button.MUTE: mute_pin,
                Button.CAMERA: camera_pin,
                Button.VOLUME_UP: volume_up_pin,
                Button.VOLUME_DOWN: volume_down_pin,
                Button.HANG_UP: hang_up_pin,
                Button.COVER: cover_pin,
            }
        )
        tally = _given({"red": tally_red, "green": tally_green, "blue": tally_blue})
        tally_wire = _wire("tally", tally_active_low, tally_brightness)
        status_wire = _wire("status", status_active_low, status_brightness)
        camera_wire = _wire("camera_light", camera_light_active_low, camera_light_brightness)
        self._lights = Lights(
            {colour: tally_wire(pin) for colour, pin in tally.items()},
            None if status_pin is None else status_wire(status_pin),
            None if camera_light_pin is None else camera_wire(camera_light_pin),
            winks=tally_muted == "wink",
        )
        self.camera_light = camera_light_pin is not None
        _check_pins(
            mute_pin=mute_pin,
            camera_pin=camera_pin,
            volume_up_pin=volume_up_pin,
            volume_down_pin=volume_down_pin,
            hang_up_pin=hang_up_pin,
            cover_pin=cover_pin,
            tally_red=tally_red,
            tally_green=tally_green,
            tally_blue=tally_blue,
            status_pin=status_pin,
            camera_light_pin=camera_light_pin,
        )
        if device not in (None, _DEVICE.id):
            raise OptionInvalid(
                f"controls backend 'gpio' has no device {device!r}; use 'gpio'", ["device"]
            )
        if pull not in ("up", "down", "floating"):
            raise OptionInvalid(f"pull {pull!r} is unknown; use up, down or floating", ["pull"])
        if active_low is None:
            if pull == "floating":
                raise OptionInvalid(
                    "pull 'floating' needs active_low; set it to true or false",
                    ["pull", "active_low"],
                )
            active_low = pull == "up"
        elif pull != "floating" and active_low != (pull == "up"):
            raise OptionInvalid(
                f"active_low contradicts pull {pull!r}: the contact would never be seen; "
                "leave active_low out",
                ["active_low", "pull"],
            )
        if not 0 <= debounce_ms <= 1000:
            raise OptionInvalid(
                f"debounce_ms {debounce_ms} is out of range; use 0 to 1000", ["debounce_ms"]
            )
        modes = {Button.MUTE: mute_mode, Button.CAMERA: camera_mode}
        for button, mode in modes.items():
            _choice(f"{button.value}_mode", mode, ("push", "toggle"))
        _choice("cover_mode", cover_mode, ("closed", "open"))
        _choice("tally_muted", tally_muted, ("wink", "steady"))
        self.latching = frozenset(
            button
            for button in self._buttons
            if button is Button.COVER or modes.get(button) == "toggle"
        )
        self.device = Device(_DEVICE.id, label or _DEVICE.label, "controls", "gpio")
        self._pull = pull
        self._active_low = active_low
        self._lockout = debounce_ms / 1000
        self._inverted = frozenset({Button.COVER} if cover_mode == "open" else ())
        self._lock = threading.RLock()
        self._inputs: dict[Button, _Input] = {}
        self._listeners: list[_Listener] = []
        self._contacts: dict[Button, Debounce] = {}
        self._timers: dict[Button, asyncio.TimerHandle] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._handler: ButtonHandler | None = None

    @classmethod
    def devices(cls) -> list[Device]:
        """The machine's pins, where it has any.  Raises BackendUnavailable."""
        gpiozero = _library()
        if gpiozero.Device.pin_factory is None:
            if not pin_errors.chips():
                return []
            try:
                pin_factory.ensure(gpiozero)
            except Exception as error:
                failure = pin_errors.of(gpiozero, error)
                if failure is None:
                    raise
                raise failure from error
        return [_DEVICE]

    def open(self, loop: asyncio.AbstractEventLoop, handler: ButtonHandler) -> None:
        """See `Controls.open`; also raises DeviceForbidden, and OptionInvalid for a pin
        that this board lacks."""
        gpiozero = _library()
        with self._lock:
            if self._loop is not None:
                raise DeviceBusy("controls gpio are open; close them first")
            self._loop, self._handler = loop, handler
            try:
                pin_factory.ensure(gpiozero)
                self._claim(gpiozero)
                self._listeners = [
                    self._listen(loop, button, contact) for button, contact in self._inputs.items()
                ]
            except Exception as error:
                self.close()
                # gpiozero's half-made device lives in these frames.  Collected later, perhaps
                # while gpiozero reserves a pin, it would wait for a lock that its own thread has.
                traceback.clear_frames(error.__traceback__)
                failure = pin_errors.of(gpiozero, error)
                if failure is None:
                    raise
                raise failure from error

    def pressed(self, button: Button) -> bool:
        """See `Controls.pressed`: the debounced level, which the reports agree with."""
        contact = self._contacts.get(button)
        return contact.level if contact is not None else False

    def set_tally(self, tally: Tally) -> None:
        """See `Controls.set_tally`; the pins are read back."""
        with self._lock:
            self._drive(lambda: self._lights.show_tally(tally))

    def set_status(self, status: Status) -> None:
        """See `Controls.set_status`."""
        with self._lock:
            self._drive(lambda: self._lights.show_status(status))

    def set_camera_light(self, light: CameraLight) -> None:
        """See `Controls.set_camera_light`; the pin is read back."""
        with self._lock:
            self._drive(lambda: self._lights.show_camera(light))

    def close(self) -> None:
        """See `Controls.close`."""
        with self._lock:
            self._loop = self._handler = None
            contacts, timers = list(self._inputs.values()), list(self._timers.values())
            self._inputs = {}
            # The listeners stay: an edge on its way that finds its listener gone makes gpiozero
            # claim the line anew, on its own thread and whoever has it by then.
            self._contacts, self._timers = {}, {}
            self._lights.close()
        for timer in timers:
            timer.cancel()
        for contact in contacts:
            try:
                contact.close()
            except Exception as error:
                log.warning("a pin could not be freed: %s", error)

    def _claim(self, gpiozero: Any) -> None:
        # A line of another program fails here, before gpiozero notes it as ours: the note lasts
        # as long as somebody keeps the error, and nobody could claim the pin while it does.
        for pin in self._pins:
            gpiozero.Device.pin_factory.pin(pin)
        floating = self._pull == "floating"
        for button, pin in self._buttons.items():
            contact = gpiozero.InputDevice(
                pin,
                pull_up=None if floating else self._pull == "up",
                active_state=(not self._active_low) if floating else None,
            )
            self._inputs[button] = cast("_Input", contact)
            self._contacts[button] = Debounce(self._level(button), self._lockout)
        self._lights.claim(gpiozero)

    def _listen(
        self, loop: asyncio.AbstractEventLoop, button: Button, contact: _Input
    ) -> _Listener:
        # Not by DigitalInputDevice: once an edge was lost in the kernel's queue, it takes
        # the next press for one that it has seen, and says nothing.
        listener = self._crossing(loop, button)
        contact.pin.bounce = None
        contact.pin.edges = "both"
        contact.pin.when_changed = listener
        # The contact may have moved while nobody listened.
        if self._level(button) != self._contacts[button].level:
            listener(0.0, int(contact.is_active != self._active_low))
        return listener

    def _crossing(self, loop: asyncio.AbstractEventLoop, button: Button) -> _Listener:
        """What a pin calls on gpiozero's thread: the one place that crosses to the loop."""

        def cross(ticks: float, state: int) -> None:
            del ticks
            try:
                closed = bool(state) != self._active_low
                loop.call_soon_threadsafe(self._edge, button, closed != (button in self._inverted))
            except RuntimeError:
                log.debug("an edge of %s came after the loop had closed", button.value)

        return cross

    def _level(self, button: Button) -> bool:
        """Whether it is down, by its contact now."""
        return bool(self._inputs[button].is_active) != (button in self._inverted)

    def _edge(self, button: Button, level: bool) -> None:
        loop, contact = self._loop, self._contacts.get(button)
        if loop is not None and contact is not None:
            self._act(loop, button, contact, report=contact.edge(level, loop.time()))

    def _settle(self, button: Button) -> None:
        loop, contact = self._loop, self._contacts.get(button)
        self._timers.pop(button, None)
        if loop is None or contact is None:
            return
        level = self._level(button)
        # The loop may fire a timer its clock's resolution early.
        now = max(loop.time(), contact.recheck_at or 0.0)
        self._act(loop, button, contact, report=contact.settle(level, now))

    def _act(
        self, loop: asyncio.AbstractEventLoop, button: Button, contact: Debounce, *, report: bool
    ) -> None:
        if contact.recheck_at is not None and button not in self._timers:
            self._timers[button] = loop.call_at(contact.recheck_at, self._settle, button)
        if report and self._handler is not None:
            self._handler(button, contact.level)

    def _drive(self, show: Callable[[], None]) -> None:
        if self._loop is None:
            raise DeviceUnplugged("controls gpio are not open; open them first")
        try:
            show()
        except DeviceUnplugged:
            raise
        except Exception as error:
            raise DeviceUnplugged(f"the LEDs cannot be driven ({error}); check the pins") from error

    @property
    def _pins(self) -> list[int]:
        return [*self._buttons.values(), *self._lights.pins]


def _check_pins(**pins: int | None) -> None:
    """That there are any, all of the header, and none twice, by their options.  Raises
    OptionInvalid."""
    options: dict[int, str] = {}
    for name, pin in pins.items():
        if pin is not None and not 0 <= pin <= _PIN_MAX:
            raise OptionInvalid(
                f"{name} {pin} is no pin of the header; use a BCM number, 0 to {_PIN_MAX}", [name]
            )
        if pin in options:
            raise OptionInvalid(
                f"pin {pin} is given to {options[pin]} and {name}; each needs its own",
                [options[pin], name],
            )
        if pin is not None:
            options[pin] = name
    if not options:
        raise OptionInvalid("controls backend 'gpio' has no pins; set mute_pin and tally_red")


_PIN_MAX: Final = 27
"""The last BCM number of the 40 pins that every Raspberry Pi since 2014 has."""

_DEVICE: Final = Device("gpio", "GPIO pins", "controls", "gpio")


def _given(pins: Mapping[_Key, int | None]) -> dict[_Key, int]:
    return {key: pin for key, pin in pins.items() if pin is not None}


def _wire(name: str, active_low: bool, brightness: int) -> Callable[[int], Wire]:
    """What makes the wires of the LEDs that share these options."""
    if not 1 <= brightness <= 100:
        raise OptionInvalid(
            f"{name}_brightness {brightness} is out of range; use 1 to 100", [f"{name}_brightness"]
        )
    return lambda pin: Wire(pin, not active_low, brightness)


def _choice(name: str, value: str, valid: tuple[str, str]) -> None:
    if value not in valid:
        raise OptionInvalid(f"{name} {value!r} is unknown; use {' or '.join(valid)}", [name])


def _library() -> Any:
    return require("gpiozero", "install the Python package gpiozero")

"""The mute button and light of a USB speakerphone, through the kernel's input devices (evdev).

The kernel turns the telephony page of USB HID (0x0B) and the lights' (0x08) into the keys
KEY_MICMUTE, KEY_MUTE, KEY_VOLUMEUP and KEY_VOLUMEDOWN and the light LED_MUTE.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import struct
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Final

from hal.controls import Button, ButtonHandler, Controls, Status, Tally
from hal.device import Device
from hal.errors import (
    DeviceBusy,
    DeviceForbidden,
    DeviceNotFound,
    DeviceUnplugged,
    HalError,
    from_os,
)
from hal.links import links, text_of
from hal.optional import require

log = logging.getLogger(__name__)

BLINK_S: Final = 0.25
"""FAULT: the light is this long on and this long off."""

# linux/input.h and linux/input-event-codes.h
_EV_SYN, _EV_KEY, _EV_LED = 0x00, 0x01, 0x11
_SYN_REPORT, _SYN_DROPPED = 0, 3
_KEY_MUTE, _KEY_VOLUMEDOWN, _KEY_VOLUMEUP, _KEY_MICMUTE = 113, 114, 115, 248
_LED_MUTE = 0x07
_BUS_USB, _BUS_BLUETOOTH = 0x03, 0x05
_KEY_Q, _KEY_P = 16, 25
_UP, _DOWN = 0, 1


def find(dev: Path = Path("/dev"), sys: Path = Path("/sys/class/input")) -> list[Device]:
    """The speakerphones among the input devices, those with a light first.

    A keyboard is none, whatever keys it has: its other keys are not ours to take.  What `sys`
    tells of is not opened to find that out: the kernel takes up to 40 ms to close an input device,
    and a machine has a dozen.
    """
    evdev = _library()
    by_id, by_path = links(dev / "input" / "by-id"), links(dev / "input" / "by-path")
    found: list[tuple[bool, str, Device]] = []
    for node in sorted(str(one) for one in evdev.list_devices(str(dev / "input"))):
        if _is_another(sys / Path(node).name / "device"):
            continue
        try:
            device = evdev.InputDevice(node)
        except OSError as error:
            log.debug("%s cannot be asked what it is: %s", node, error)
            continue
        try:
            keys = _keys(device)
            if keys:
                name = Path(node).name
                link = by_id.get(name) or by_path.get(name) or node
                dark = not _has_light(device)
                found.append((dark, node, Device(str(link), device.name, "controls", "hid")))
        except OSError as error:
            log.debug("%s has gone while it was asked what it is: %s", node, error)
        finally:
            device.close()
    return [device for _, _, device in sorted(found, key=lambda item: item[:2])]


class HidControls(Controls):
    """One speakerphone.  It debounces its own keys.

    The light shows that the microphone is muted: lit for MUTED, blinking for FAULT, dark for
    LIVE and OFF.  There is none for the status or the camera.  The device is taken for ourselves
    alone, so that a press does not reach another program as well.
    """

    latching: frozenset[Button] = frozenset()
    pluggable: ClassVar[bool] = True

    def __init__(self, *, device: str | None = None, label: str | None = None) -> None:
        """`device` is an id of `devices` or any input node; the first one by default."""
        self._path, self._label = device, label
        self.device = Device(
            device or "", label or device or "first USB speakerphone", "controls", "hid"
        )
        self._lock = threading.RLock()
        self._input: Any = None
        self._light = False
        self._keys: Mapping[int, Button] = {}
        self._down: frozenset[Button] = frozenset()
        self._dropped = False
        self._blinking = 0
        """The number of the present FAULT; a blink of an earlier one ends itself."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._handler: ButtonHandler | None = None
        self._error: HalError | None = None

    @classmethod
    def devices(cls) -> list[Device]:
        """See `Controls.devices`.  Raises BackendUnavailable."""
        return find()

    @property
    def _what(self) -> str:
        return f"speakerphone {self.device.id}"

    def open(self, loop: asyncio.AbstractEventLoop, handler: ButtonHandler) -> None:
        """See `Controls.open`; also raises DeviceForbidden.  On the loop's thread, or before
        the loop runs."""
        evdev = _library()
        with self._lock:
            if self._loop is not None:
                raise DeviceBusy(f"{self._what} is open; close it first")
            self._select()
            try:
                opened = evdev.InputDevice(self.device.id)
            except OSError as error:
                raise from_os(error, self._what, group="input") from error
            try:
                self._keys = _keys(opened)
                if not self._keys:
                    raise DeviceNotFound(f"{self._what} has no mute key; name another device")
                self._light = _has_light(opened)
                try:
                    opened.grab()
                    if self._light:
                        # Also shows that it may be written to, before anybody trusts it.
                        opened.set_led(_LED_MUTE, 0)
                    held = frozenset(opened.active_keys())
                except OSError as error:
                    raise from_os(error, self._what, group="input") from error
                except evdev.EvdevError as error:
                    raise DeviceForbidden(
                        f"{self._what} may not be written to ({error}); add the user to group input"
                    ) from error
                self._down = frozenset(self._keys[key] for key in self._keys.keys() & held)
                self._dropped = False
                self._error = None
                loop.add_reader(opened.fileno(), self._readable)
            except BaseException:
                opened.close()
                raise
            self._input, self._loop, self._handler = opened, loop, handler

    @property
    def present(self) -> bool:
        """See `Controls.present`."""
        return self._error is None

    def pressed(self, button: Button) -> bool:
        """See `Controls.pressed`."""
        return button in self._down

    def set_tally(self, tally: Tally) -> None:
        """See `Controls.set_tally`; the kernel's word on the light is read back."""
        with self._lock:
            self._check()
            self._blinking += 1
            self._drive(tally in (Tally.MUTED, Tally.FAULT))
            if tally is Tally.FAULT and self._light and self._loop is not None:
                self._loop.call_soon_threadsafe(self._blink_later, self._blinking, False)

    def set_status(self, status: Status) -> None:
        """See `Controls.set_status`: there is no such light, but the device must be there."""
        with self._lock:
            self._check()

    def close(self) -> None:
        """See `Controls.close`.  On the loop's thread, or after the loop has ended."""
        with self._lock:
            opened, self._input = self._input, None
            loop, self._loop = self._loop, None
            self._handler = None
            self._down = frozenset()
            self._blinking += 1
            if opened is None or loop is None:
                return
            if not loop.is_closed():
                loop.remove_reader(opened.fileno())
            try:
                if self._light and self._error is None:
                    opened.set_led(_LED_MUTE, 0)
            except Exception as error:
                log.warning("%s: the light could not be put out: %s", self._what, error)
            # Closing gives it free for others as well.
            opened.close()

    def _select(self) -> None:
        found = find()
        known = {device.id: device for device in found}
        if self._path is None:
            if not found:
                raise DeviceNotFound("no USB speakerphone was found; plug one in")
            chosen = found[0]
        else:
            chosen = known.get(self._path, Device(self._path, self._path, "controls", "hid"))
        self.device = Device(chosen.id, self._label or chosen.label, "controls", "hid")

    def _check(self) -> None:
        if self._error is not None:
            raise self._error
        if self._input is None:
            raise DeviceUnplugged(f"{self._what} is not open; open it first")

    def _readable(self) -> None:
        """Take over what has happened to the keys.  Runs on the loop, which watches the node
        itself: there is no thread to cross from."""
        if self._input is None:
            return
        try:
            for event in self._input.read():
                self._take(event.type, event.code, event.value)
                if self._input is None:
                    return  # a handler closed us
        except BlockingIOError:
            return
        except OSError as error:
            self._lose(error)

    def _take(self, kind: int, code: int, value: int) -> None:
        if kind == _EV_SYN and code == _SYN_DROPPED:
            # The kernel's queue ran over: what follows up to the next report has holes.
            self._dropped = True
        elif kind == _EV_SYN and code == _SYN_REPORT and self._dropped:
            self._dropped = False
            held = frozenset(self._input.active_keys())
            for key, button in self._keys.items():
                self._report(button, down=key in held)
        elif kind == _EV_KEY and code in self._keys and value in (_UP, _DOWN) and not self._dropped:
            self._report(self._keys[code], down=value == _DOWN)

    def _report(self, button: Button, *, down: bool) -> None:
        if (button in self._down) == down:
            return
        self._down ^= {button}
        if self._handler is not None:
            self._handler(button, down)

    def _lose(self, error: OSError) -> None:
        """The device has gone: nothing is held any more, and the light is not ours."""
        log.warning("%s", from_os(error, self._what, opened=True))
        with self._lock:
            self._error = from_os(error, self._what, opened=True)
            if self._loop is not None and self._input is not None:
                self._loop.remove_reader(self._input.fileno())
        for button in self._down:
            self._report(button, down=False)

    def _drive(self, lit: bool) -> None:
        if not self._light:
            return
        try:
            self._input.set_led(_LED_MUTE, int(lit))
            shown = _LED_MUTE in self._input.leds()
        except Exception as error:
            failure = error if isinstance(error, OSError) else OSError(errno.EIO, str(error))
            lost = from_os(failure, self._what, opened=True)
            if failure.errno == errno.ENODEV:
                # The rest comes with the end of the reading, on the loop.
                self._error = lost
            raise lost from error
        if shown != lit:
            raise DeviceUnplugged(f"the mute light of {self._what} does not obey; plug it in again")

    def _blink_later(self, number: int, lit: bool) -> None:
        if self._loop is not None and number == self._blinking:
            self._loop.call_later(BLINK_S, self._blink, number, lit)

    def _blink(self, number: int, lit: bool) -> None:
        with self._lock:
            if number != self._blinking or self._error is not None:
                return
            try:
                self._drive(lit)
            except HalError as error:
                log.warning("%s", error)
                return
        self._blink_later(number, not lit)


def _library() -> Any:
    return require(
        "evdev", "install Debian's package python3-evdev, or Roomlet's extra hid with pip"
    )


def _keys(device: Any) -> Mapping[int, Button]:
    """The keys of a speakerphone; none for a device that is not one."""
    keys = device.capabilities(absinfo=False).get(_EV_KEY, ())
    return _chosen(device.info.bustype, frozenset(keys), _has_light(device))


def _is_another(about: Path) -> bool:
    """Whether the kernel tells in sysfs that a device is no speakerphone."""
    bus = text_of(about / "id" / "bustype")
    if not bus:
        return False
    keys, lights = (_bits(text_of(about / "capabilities" / one)) for one in ("key", "led"))
    return not _chosen(int(bus, 16), keys, _LED_MUTE in lights)


def _bits(text: str) -> frozenset[int]:
    """The numbers in a bitmap of sysfs: words of the machine's `long` in hex, the highest first."""
    width = 8 * struct.calcsize("l")
    words = [int(word, 16) for word in reversed(text.split())]
    return frozenset(
        width * place + bit for place, word in enumerate(words) for bit in range(width)
        if word >> bit & 1
    )  # fmt: skip


def _chosen(bus: int, keys: frozenset[int], light: bool) -> Mapping[int, Button]:
    if bus not in (_BUS_USB, _BUS_BLUETOOTH) or keys & set(range(_KEY_Q, _KEY_P + 1)):
        return {}
    mute = _KEY_MICMUTE if _KEY_MICMUTE in keys else _KEY_MUTE
    # KEY_MUTE alone may silence a loudspeaker: beside a mute light it is a microphone's.
    if mute not in keys or (mute == _KEY_MUTE and not light):
        return {}
    known = {
        mute: Button.MUTE,
        _KEY_VOLUMEUP: Button.VOLUME_UP,
        _KEY_VOLUMEDOWN: Button.VOLUME_DOWN,
    }
    return {key: button for key, button in known.items() if key in keys}


def _has_light(device: Any) -> bool:
    return _LED_MUTE in device.capabilities(absinfo=False).get(_EV_LED, ())

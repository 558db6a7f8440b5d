"""A speakerphone that the kernel makes on request (uinput), as its maker sees it."""

from __future__ import annotations

import select
from importlib import import_module
from typing import Any

from hal.controls.hid import find
from tests.lab.kernel_devices import DEADLINE, wait_for

NAME = "Roomlet test speakerphone"

# linux/input-event-codes.h and linux/input.h
EV_KEY, EV_LED = 0x01, 0x11
MICMUTE, VOLUME_UP, VOLUME_DOWN = 248, 115, 114
LED_MUTE = 7
BUS_USB = 3


def evdev() -> Any:
    """The module, which only a machine with speakerphones needs."""
    return import_module("evdev")


class Speakerphone:
    """It is not there before `plug`."""

    def __init__(self) -> None:
        self._device: Any = None

    def plug(self) -> None:
        """Connect it, and wait until the driver sees it."""
        self._device = evdev().UInput(
            {EV_KEY: [MICMUTE, VOLUME_UP, VOLUME_DOWN], EV_LED: [LED_MUTE]},
            name=NAME,
            bustype=BUS_USB,
        )
        wait_for("the speakerphone", lambda: NAME in [one.label for one in find()])

    def pull(self) -> None:
        """Disconnect it."""
        device, self._device = self._device, None
        if device is not None:
            device.close()

    def key(self, code: int, value: int) -> None:
        """A key goes down (1), repeats (2) or goes up (0)."""
        assert self._device is not None
        self._device.write(EV_KEY, code, value)
        self._device.syn()

    def await_light(self, lit: int) -> None:
        """Wait until the host has told the device to put its light on (1), or out (0)."""
        assert self._device is not None
        told: list[int] = []
        while told[-1:] != [lit]:
            ready, _, _ = select.select([self._device.fd], [], [], DEADLINE)
            assert ready, f"the host told only {told}"
            told += [event.value for event in self._device.read() if event.type == EV_LED]

"""What the devices that exist in software only share: a number, a clock, and faults.

A virtual device keeps its own clock on CLOCK_MONOTONIC: the n-th event is due at
`start + n / rate`, computed from n each time, so that waiting late never adds up to
a drift.
"""

from __future__ import annotations

import threading
import time
from typing import Final

from hal.errors import DeviceNotFound, DeviceStalled, DeviceUnplugged, OptionInvalid

PREFIX: Final = "synthetic:"
"""What the ids of synthetic devices begin with."""

LISTED: Final = (1, 2)
"""The numbers of those that are listed, so that there is a choice; any other can be opened too."""

STALL_S: Final = 1.0
"""A device that gives nothing for this long has stalled (contract of `read` and `write`)."""


class Faults:
    """The plug of a virtual device: waits for deadlines, and fails on demand.

    `unplug`, `replug`, `stall` and `resume` may be called from any thread, and cut short
    a wait that is under way.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._changed = threading.Condition()
        self._plugged = True
        self._stalled = False
        self._open = False
        self._lost = False

    def unplug(self) -> None:
        """Pull the device: what is open is lost, even when it is plugged in again."""
        with self._changed:
            self._plugged = False
            self._lost = True
            self._changed.notify_all()

    def replug(self) -> None:
        """Put the device back; it must be opened anew."""
        with self._changed:
            self._plugged = True
            self._changed.notify_all()

    def stall(self) -> None:
        """Give nothing from now on, but stay open."""
        with self._changed:
            self._stalled = True
            self._changed.notify_all()

    def resume(self) -> None:
        """End a stall; what fell into it is lost."""
        with self._changed:
            self._stalled = False
            self._changed.notify_all()

    @property
    def plugged(self) -> bool:
        """Whether the device could be opened now."""
        with self._changed:
            return self._plugged

    def attach(self) -> None:
        """Take the device, at `open`.  Raises DeviceNotFound while it is unplugged."""
        with self._changed:
            if not self._plugged:
                raise DeviceNotFound(f"{self._what} is unplugged; plug it in")
            self._open = True
            self._lost = False

    def detach(self) -> None:
        """Let the device go, at `close`."""
        with self._changed:
            self._open = False
            self._changed.notify_all()

    def wait_until(self, deadline: float) -> None:
        """Wait for a moment of `time.monotonic`.

        Raises DeviceUnplugged at once when the device is lost or closed, DeviceStalled
        when it still gives nothing STALL_S after the call.
        """
        give_up = time.monotonic() + STALL_S
        with self._changed:
            while True:
                if not self._open:
                    raise DeviceUnplugged(f"{self._what} is not open; open it first")
                if self._lost:
                    raise DeviceUnplugged(f"{self._what} has gone; plug it in and open it again")
                now = time.monotonic()
                if not self._stalled:
                    if now >= deadline:
                        return
                    self._changed.wait(deadline - now)
                elif now >= give_up:
                    raise DeviceStalled(f"{self._what} gives nothing; open it again")
                else:
                    self._changed.wait(give_up - now)


class Faulty:
    """A virtual device with a plug: `close`, and faults on demand, from any thread.

    Its subclass makes `_faults`, attaches it at `open`, and waits by it.
    """

    _faults: Faults

    def close(self) -> None:
        """Free the device.  Safe to call twice."""
        self._faults.detach()

    def unplug(self) -> None:
        """Fault: it is pulled; `read` or `write` raises DeviceUnplugged at once."""
        self._faults.unplug()

    def replug(self) -> None:
        """Put it back; it must be opened again."""
        self._faults.replug()

    def stall(self) -> None:
        """Fault: it gives or takes nothing; `read` or `write` raises DeviceStalled after a
        second."""
        self._faults.stall()

    def resume(self) -> None:
        """End a stall; what fell into it is lost."""
        self._faults.resume()


def number_of(device: str | None, device_id: int) -> int:
    """The number of a synthetic device: that in its id, else as given.

    Raises OptionInvalid when it is not 0..255.
    """
    number = device_id
    if device is not None:
        text = device.removeprefix(PREFIX)
        if not text.isdecimal():
            raise OptionInvalid(
                f"device {device!r} is no synthetic device; use {PREFIX}1", ["device"]
            )
        number = int(text)
    if not 0 <= number <= 255:
        if device is None:
            raise OptionInvalid(f"device_id {number} is out of range; use 0 to 255", ["device_id"])
        valid = f"{PREFIX}0 to {PREFIX}255"
        raise OptionInvalid(f"device {device!r} is out of range; use {valid}", ["device"])
    return number

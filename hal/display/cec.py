"""Switching the screen on and off over HDMI-CEC, through `cec-ctl` of v4l-utils.

A Raspberry Pi has one CEC adapter per HDMI socket.  Each with a screen gets the order; one without
a screen has the physical address f.f.f.f and is passed over.
"""

from __future__ import annotations

import logging
import re
import shutil
import subprocess
import threading
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Final

from hal.errors import (
    BackendUnavailable,
    DeviceForbidden,
    DeviceNotFound,
    DeviceStalled,
    DeviceUnplugged,
    HalError,
    OptionInvalid,
)

log = logging.getLogger(__name__)

TIMEOUT: Final = 15.0
"""Seconds that one run of `cec-ctl` may take.  Claiming an address takes about one, and a screen
that answers nothing is waited for at each of several tries."""

NAME_MAX: Final = 14
"""Bytes of an OSD name (CEC 1.4, Set OSD Name)."""

CLAIM_S: Final = 5.0
"""Seconds that the kernel may take to claim an address on the wire of a screen just plugged in."""

_LOOK_EVERY: Final = 0.2

_NO_SCREEN: Final = "f.f.f.f"
_UNCLAIMED: Final = re.compile(r"Logical Address Mask\s*:\s*0x0+\b")
_ADDRESS: Final = re.compile(r"Physical Address\s*:\s*([0-9a-f](?:\.[0-9a-f]){3})")


class ScreenPower(ABC):
    """What switches a screen on and off.  Both calls may take seconds: not for a loop."""

    @abstractmethod
    def wake(self) -> None:
        """Switch the screen on, and to this device's picture.  Raises HalError."""

    @abstractmethod
    def standby(self) -> None:
        """Switch the screen off.  Raises HalError."""


class CecPower(ScreenPower):
    """The screens at the CEC adapters of this machine."""

    def __init__(
        self,
        *,
        adapters: list[Path] | None = None,
        name: str = "Roomlet",
        timeout: float = TIMEOUT,
    ) -> None:
        """`adapters` are device nodes, by default all that there are at each call.  `name` is
        what the screen shows for this source, at most 14 bytes of ASCII.

        Raises OptionInvalid.
        """
        if not (name.isascii() and name.isprintable() and 0 < len(name) <= NAME_MAX):
            raise OptionInvalid(
                f"a CEC name is 1 to {NAME_MAX} ASCII characters, not {name!r}", ["name"]
            )
        self._adapters = adapters
        self._name = name
        self._timeout = timeout

    @staticmethod
    def available(dev: Path = Path("/dev")) -> bool:
        """Whether this machine has an adapter and the program to use it."""
        return bool(find(dev)) and shutil.which("cec-ctl") is not None

    def wake(self) -> None:
        """See `ScreenPower.wake`; raises as `standby`."""
        for adapter, address in self._screens():
            self._send(adapter, "--image-view-on")
            # A broadcast: it has no receiver that could confirm it.
            self._run(adapter, "--skip-info", "--active-source", f"phys-addr={address}")

    def standby(self) -> None:
        """See `ScreenPower.standby`.

        Raises BackendUnavailable without `cec-ctl`, DeviceNotFound without an adapter or a
        screen at one, DeviceForbidden, DeviceUnplugged where the screen does not take the order,
        DeviceStalled where `cec-ctl` does not end.
        """
        for adapter, _ in self._screens():
            self._send(adapter, "--standby")

    def _screens(self) -> list[tuple[Path, str]]:
        """The adapters with a screen, and their physical addresses there."""
        adapters = find() if self._adapters is None else self._adapters
        if not adapters:
            raise DeviceNotFound("this machine has no HDMI-CEC adapter; set display.cec to false")
        screens: list[tuple[Path, str]] = []
        failure: HalError | None = None
        for adapter in adapters:
            try:
                address = self._claim(adapter)
            except HalError as error:
                failure = error
                continue
            if address is not None:
                screens.append((adapter, address))
        if not screens:
            raise failure or DeviceNotFound(
                "no screen answers on HDMI-CEC; check its cable and that its CEC is on"
            )
        return screens

    def _claim(self, adapter: Path) -> str | None:
        """Be a player on an adapter's wire: its physical address there, None without a screen.

        A screen ignores the orders of one who has no logical address yet.
        """
        answer = self._run(adapter, "--playback", "--osd-name", self._name)
        end = time.monotonic() + CLAIM_S
        tick = threading.Event()
        while True:
            found = _ADDRESS.search(answer)
            if found is None or found[1] == _NO_SCREEN:
                return None
            if not _UNCLAIMED.search(answer) or time.monotonic() >= end:
                return found[1]
            tick.wait(_LOOK_EVERY)
            answer = self._run(adapter)

    def _send(self, adapter: Path, message: str) -> None:
        answer = self._run(adapter, "--skip-info", "--to", "0", message)
        if "Not Acknowledged" in answer or "Max Retries" in answer:
            raise DeviceUnplugged(
                f"the screen at {adapter} does not answer on HDMI-CEC; switch its CEC on"
            )

    def _run(self, adapter: Path, *arguments: str) -> str:
        """Run `cec-ctl` and return what it said."""
        program = shutil.which("cec-ctl")
        if program is None:
            raise BackendUnavailable("cec-ctl is not installed; install the package v4l-utils")
        try:
            done = subprocess.run(
                [program, "--device", str(adapter), *arguments],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=self._timeout,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise DeviceStalled(f"cec-ctl does not end at {adapter}; unplug the screen") from None
        except OSError as error:
            raise BackendUnavailable(f"cec-ctl does not run ({error}); install it anew") from error
        said = b"\n".join((done.stdout, done.stderr)).decode("utf-8", "replace")
        log.debug("cec-ctl %s: %s", " ".join(arguments), said)
        if done.returncode == 0:
            return said
        reason = " ".join(done.stderr.decode("utf-8", "replace").split()) or "no reason given"
        if "Permission denied" in reason:
            raise DeviceForbidden(
                f"{adapter} may not be opened by this user; add the user to the group video"
            )
        raise DeviceUnplugged(f"cec-ctl failed at {adapter} ({reason}); check the screen's cable")


def find(dev: Path = Path("/dev")) -> list[Path]:
    """The CEC adapters of this machine."""
    return sorted(dev.glob("cec[0-9]*"))

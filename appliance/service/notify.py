"""What the service manager is told, and what it asks for."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping
from importlib import import_module
from typing import Any

log = logging.getLogger(__name__)


class Notifier:
    """systemd's `sd_notify`, silent where no service manager listens."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._enabled = "NOTIFY_SOCKET" in environ
        self._last = ""
        self.is_ready = False
        """Whether the manager was told so."""
        self.watchdog_s = _watchdog(environ)
        """Seconds within which it wants a sign of life (`WatchdogSec=`); None where it does not."""

    @property
    def listens(self) -> bool:
        """Whether there is a service manager."""
        return self._enabled

    def ready(self) -> None:
        """The device is in its room, or out of it on purpose; said once."""
        if not self.is_ready:
            self.is_ready = True
            self._send("READY=1")

    def reloading(self) -> None:
        """The configuration is read again; to be ended by `reloaded`."""
        # The manager takes only an answer that is younger than its own request.
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._send(f"RELOADING=1\nMONOTONIC_USEC={now}")

    def reloaded(self) -> None:
        """It was read.  Before the device was ready for the first time this says nothing, for it
        would be taken for that."""
        if self.is_ready:
            self._send("READY=1")

    def stopping(self) -> None:
        """The device ends because it was asked to."""
        self._send("STOPPING=1")

    def alive(self) -> None:
        """A sign of life; before the device is ready, a plea for more time to start."""
        if self.is_ready:
            self._send("WATCHDOG=1")
        elif self.watchdog_s is not None:
            self._send(f"EXTEND_TIMEOUT_USEC={round(self.watchdog_s * 1e6)}")

    def status(self, text: str) -> None:
        """What it is doing, for `systemctl status`; the same text twice is told once."""
        # A line break would begin another assignment.
        line = " ".join(text.split())
        if line != self._last:
            self._last = line
            self._send(f"STATUS={line}")

    def _send(self, message: str) -> None:
        if not self._enabled:
            return
        try:
            daemon: Any = import_module("systemd.daemon")
        except ImportError as error:
            log.warning("the service manager cannot be told: %s; install systemd-python", error)
            self._enabled = False
            return
        daemon.notify(message)


def _watchdog(environ: Mapping[str, str]) -> float | None:
    if environ.get("WATCHDOG_PID") not in (None, str(os.getpid())):
        return None
    try:
        interval = int(environ.get("WATCHDOG_USEC", "0"))
    except ValueError:
        return None
    return interval / 1e6 if interval > 0 else None

"""What the service manager is told."""

from __future__ import annotations

import logging
import os
from importlib import import_module
from typing import Any

log = logging.getLogger(__name__)


class Notifier:
    """systemd's `sd_notify`, silent where no service manager listens."""

    def __init__(self) -> None:
        self._enabled = "NOTIFY_SOCKET" in os.environ
        self._last = ""

    def ready(self) -> None:
        """The device is up, in a room or on its way there."""
        self._send("READY=1")

    def stopping(self) -> None:
        """The device ends because it was asked to."""
        self._send("STOPPING=1")

    def status(self, text: str) -> None:
        """What it is doing, for `systemctl status`; the same text twice is told once."""
        if text != self._last:
            self._last = text
            self._send(f"STATUS={text}")

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

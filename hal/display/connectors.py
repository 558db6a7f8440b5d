"""The screens of this machine: which there are, and whether the one in use has changed.

The kernel tells both under /sys/class/drm, one folder a connector.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from hal.device import Device

WINDOW: Final = "window"
"""The id of the one screen that a desktop session offers."""

SYS: Final = Path("/sys")

LOOK_EVERY: Final = 1.0
"""Seconds between two looks at a connector.  The kernel answers from what it knows; it asks
the screen nothing."""


def find(sys: Path = SYS, environ: Mapping[str, str] = os.environ) -> list[Device]:
    """The window of a desktop session where there is one, else the connected screens of
    the machine, by connector ("HDMI-A-1")."""
    if environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY"):
        return [Device(WINDOW, "Window on the desktop", "display", "sdl")]
    found: list[tuple[int, str]] = []
    for connector in (sys / "class" / "drm").glob("card*-*"):
        if _text(connector / "status") == "connected":
            number = _text(connector / "connector_id")
            name = connector.name.partition("-")[2]
            found.append((int(number) if number.isdecimal() else 0, name))
    # SDL numbers the screens in the order of their connectors' ids.
    return [Device(name, f"Screen at {name}", "display", "sdl") for _, name in sorted(found)]


class State(NamedTuple):
    """What is at a connector: whether anything is, what it can show, and who it is."""

    connected: bool
    modes: str
    edid: bytes


def state_of(name: str, sys: Path = SYS) -> State:
    """The state of a connector by name; that of an empty one where there is none."""
    for connector in (sys / "class" / "drm").glob(f"card*-{name}"):
        return State(
            _text(connector / "status") == "connected",
            _text(connector / "modes"),
            _bytes(connector / "edid"),
        )
    return State(connected=False, modes="", edid=b"")


class Watch:
    """Looks at something now and then, and tells when it is no longer what it was."""

    def __init__(self, look: Callable[[], object], every: float | None = None) -> None:
        """`every` is in seconds, LOOK_EVERY by default."""
        self._look = look
        self._every = LOOK_EVERY if every is None else every
        self._first = look()
        self._next = time.monotonic() + self._every

    def changed(self) -> bool:
        """Whether it differs from what it was at first.  Between two looks, False."""
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + self._every
        return self._look() != self._first


def _text(path: Path) -> str:
    return _bytes(path).decode("utf-8", "replace").strip()


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""

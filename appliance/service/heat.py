"""How warm the machine is."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Final

from appliance.signaling.errors import one_line

_REAL: Final = range(-40, 151)
"""Degrees that a sensor means; others say that it is off."""


def warmest(root: Path = Path("/")) -> tuple[float, str] | None:
    """Degrees Celsius at the warmest sensor, and its name; None without one.  `root` is where the
    machine's files are; reading a sensor may take some ms."""
    zones: list[tuple[float, str]] = []
    for zone in sorted((root / "sys/class/thermal").glob("thermal_zone*")):
        with contextlib.suppress(OSError, ValueError):
            degrees = int((zone / "temp").read_text()) / 1000
            if int(degrees) in _REAL:
                zones.append((degrees, _name(zone)))
    return max(zones) if zones else None


def _name(zone: Path) -> str:
    try:
        return one_line((zone / "type").read_text(errors="replace")) or zone.name
    except OSError:
        return zone.name

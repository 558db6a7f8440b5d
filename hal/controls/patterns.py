"""How LEDs are lit, so that nobody needs to tell their colours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from hal.controls import CameraLight, Status, Tally
from hal.controls.lamp import Pattern

TALLY_PATTERNS: Final[Mapping[Tally, Pattern]] = {
    Tally.LIVE: (),
    Tally.MUTED: (1.9, 0.1),
    Tally.FAULT: (0.25, 0.25),
}
"""The tally LED: what blinks or winks is not live.  LIVE never goes dark, for dark says that
nothing leaves."""

STATUS_PATTERNS: Final[Mapping[Status, Pattern]] = {
    Status.STARTING: (0.5, 0.5),
    Status.IDLE: (0.1, 2.9),
    Status.JOINING: (0.2, 0.2),
    Status.IN_ROOM: (),
    Status.RECONNECTING: (0.15, 0.15, 0.15, 1.05),
    Status.UPDATING: (1.5, 0.5),
    Status.FAULT: (0.1, 0.1, 0.1, 0.1, 0.1, 0.7),
}
"""The status LED: each state has a rhythm of its own."""

CAMERA_PATTERNS: Final[Mapping[CameraLight, Pattern]] = {
    CameraLight.LIVE: (),
    CameraLight.CLOSED: (0.6, 0.3, 0.1, 2.0),
    CameraLight.FAULT: TALLY_PATTERNS[Tally.FAULT],
}
"""The camera's LED: what is steadily lit is live.  CLOSED, a long and a short flash, is mostly
dark, and no other light has its rhythm; a fault looks as that of the tally."""

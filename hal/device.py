"""What a device is called: its id, its label and its kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["camera", "microphone", "speaker", "controls", "display"]


@dataclass(frozen=True, slots=True)
class Device:
    """One device, named the same after a reboot.

    `id` is stable (a udev by-id path, an ALSA card id, a file name); `label` is for
    people; `backend` is the name under which the registry knows the driver.
    """

    id: str
    label: str
    kind: Kind
    backend: str

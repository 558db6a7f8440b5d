"""Who this device is: the names under which a fleet knows it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SERIALS: Final = (
    "proc/device-tree/serial-number",
    "sys/firmware/devicetree/base/serial-number",
    "sys/class/dmi/id/product_serial",
)
"""Where boards tell their serial numbers: device tree, then a PC's firmware (for root only)."""

_UNSET: Final = frozenset({"", "0", "none", "default-string", "to-be-filled-by-o.e.m"})
"""What firmware says that was never told a serial number."""


@dataclass(frozen=True, slots=True)
class Identity:
    """`serial` in small letters, None where the board has none; `macs` as `dc-a6-32-01-02-03`."""

    serial: str | None
    macs: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The device's own files, the strongest last."""
        names = [self.serial, *reversed(self.macs)]
        return tuple(f"{name}.toml" for name in names if name is not None)

    def __str__(self) -> str:
        return ", ".join(filter(None, (self.serial, *self.macs))) or "without a name"


def identify(root: Path = Path("/")) -> Identity:
    """Ask the machine whose files lie under `root`."""
    return Identity(_serial(root), _macs(root))


def _serial(root: Path) -> str | None:
    for name in SERIALS:
        try:
            raw = (root / name).read_bytes()
        except OSError:
            continue
        text = raw.decode("ascii", errors="replace").strip("\0 \n").lower()
        text = re.sub(r"[^a-z0-9_.-]+", "-", text).strip("-.")
        if text not in _UNSET:
            return text[:64]
    return None


def _macs(root: Path) -> tuple[str, ...]:
    """Of the hardware only, wired before wireless."""
    found = []
    for interface in sorted((root / "sys/class/net").glob("*")):
        if not (interface / "device").exists():
            continue
        try:
            text = (interface / "address").read_text().strip().lower()
        except OSError:
            continue
        if re.fullmatch(r"([0-9a-f]{2}:){5}[0-9a-f]{2}", text) and text != "00:00:00:00:00:00":
            found.append(((interface / "wireless").exists(), text.replace(":", "-")))
    return tuple(text for _, text in sorted(found, key=lambda pair: pair[0]))

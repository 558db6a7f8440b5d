"""Which mode of a camera's sensor to run for a wanted picture.

A sensor has few modes.  Small ones are often a cut from its middle: they would narrow the
view.  In a meeting room the widest view counts, then as few pixels as will do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from hal.camera import VideoFormat
from hal.errors import OptionInvalid

_NEAR: Final = 0.95
"""Two fields of view closer than this are the same to a viewer."""


@dataclass(frozen=True, slots=True)
class SensorMode:
    """Size in pixels and greatest rate that the sensor delivers, bits a pixel, and the width
    and height of the part of the sensor that it sees, in pixels of the whole."""

    width: int
    height: int
    rate: float
    bit_depth: int
    seen: tuple[int, int]

    @property
    def name(self) -> str:
        """As it is written in a configuration: "2304x1296"."""
        return f"{self.width}x{self.height}"

    def view(self, aspect: float) -> float:
        """How much of the sensor is left of this mode in a picture of that aspect."""
        width, height = self.seen
        return min(width, height * aspect) * min(height, width / aspect)


def parse(modes: Iterable[Mapping[str, Any]]) -> list[SensorMode]:
    """The entries of `Picamera2.sensor_modes`; those of no raw sensor are left out."""
    return [
        SensorMode(
            int(mode["size"][0]),
            int(mode["size"][1]),
            float(mode["fps"]),
            int(mode["bit_depth"]),
            (int(mode["crop_limits"][2]), int(mode["crop_limits"][3])),
        )
        for mode in modes
        if {"size", "fps", "bit_depth", "crop_limits"} <= mode.keys()
    ]


def choose(modes: Iterable[SensorMode], wanted: VideoFormat) -> SensorMode | None:
    """The mode for a picture; None when there is none at all.

    Rate comes first, then size, then the field of view; among modes that are alike the one
    with the fewest pixels, and of its bit depths the least from 10 on.
    """
    left = list(modes)
    if not left:
        return None
    # A sensor that runs at 29.97 does for 30.
    rate = min(max(mode.rate for mode in left), wanted.rate * 0.99)
    left = [mode for mode in left if mode.rate >= rate]
    width = min(max(mode.width for mode in left), wanted.width)
    wide = [mode for mode in left if mode.width >= width and mode.height >= wanted.height]
    left = wide or [mode for mode in left if mode.width >= width]
    aspect = wanted.width / wanted.height
    widest = max(mode.view(aspect) for mode in left)
    left = [mode for mode in left if mode.view(aspect) >= _NEAR * widest]
    return min(left, key=lambda m: (m.width * m.height, m.bit_depth < 10, m.bit_depth))


def choose_named(
    modes: Iterable[SensorMode], name: str | None, wanted: VideoFormat
) -> SensorMode | None:
    """As `choose`, among the modes of that name where one is given.  Raises OptionInvalid when
    there are none."""
    known = list(modes)
    if name is None:
        return choose(known, wanted)
    named = choose([mode for mode in known if mode.name == name], wanted)
    if named is None:
        names = ", ".join(dict.fromkeys(mode.name for mode in known)) or "none at all"
        raise OptionInvalid(
            f"'sensor_mode' {name!r} is none of this camera's; it has {names}", ["sensor_mode"]
        )
    return named


def fit(wanted: VideoFormat, largest: tuple[int, int], rate: float) -> VideoFormat:
    """The wanted picture, made smaller at the same aspect until it is within `largest`, in
    even numbers, and no faster than `rate`."""
    scale = min(1.0, largest[0] / wanted.width, largest[1] / wanted.height)
    return VideoFormat(
        max(int(wanted.width * scale) // 2 * 2, 2),
        max(int(wanted.height * scale) // 2 * 2, 2),
        min(wanted.rate, rate),
    )

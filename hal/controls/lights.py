"""The LEDs on the pins of one device: which one shows what, read back from the pins."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from hal.controls import CameraLight, Status, Tally
from hal.controls.lamp import Lamp, Pattern
from hal.controls.patterns import CAMERA_PATTERNS, STATUS_PATTERNS, TALLY_PATTERNS
from hal.errors import DeviceUnplugged

log = logging.getLogger(__name__)

_COLOURS: Final = {Tally.LIVE: "green", Tally.MUTED: "red", Tally.FAULT: "red"}


@dataclass(frozen=True, slots=True)
class Wire:
    """One LED: its pin, the level that lights it, and its brightness in percent, 1 to 100."""

    pin: int
    active_high: bool
    brightness: int

    def lamp(self, gpiozero: Any) -> Lamp:
        """Take the pin."""
        return Lamp(gpiozero, self.pin, active_high=self.active_high, brightness=self.brightness)


class Lights:
    """Dead until `claim`; an LED that is not there shows nothing.

    The owner sees to it that one thread at a time calls it.  What the pin library raises passes
    through; a light that does not obey raises DeviceUnplugged.
    """

    def __init__(
        self,
        tally: Mapping[str, Wire],
        status: Wire | None,
        camera: Wire | None,
        *,
        winks: bool,
    ) -> None:
        """`tally` is by colour; `winks` says that its red tells itself from its green so."""
        self.pins: Final = [
            wire.pin for wire in (*tally.values(), status, camera) if wire is not None
        ]
        self._tally_wires: Final = tally
        self._status_wire: Final = status
        self._camera_wire: Final = camera
        steady: dict[Tally, Pattern] = {} if winks else {Tally.MUTED: ()}
        self._tally_patterns: Final = {**TALLY_PATTERNS, **steady}
        self._tally: dict[str, Lamp] = {}
        self._status: Lamp | None = None
        self._camera: Lamp | None = None

    def claim(self, gpiozero: Any) -> None:
        """Take the pins; all is dark."""
        for colour, wire in self._tally_wires.items():
            self._tally[colour] = wire.lamp(gpiozero)
        if self._status_wire is not None:
            self._status = self._status_wire.lamp(gpiozero)
        if self._camera_wire is not None:
            self._camera = self._camera_wire.lamp(gpiozero)

    def show_tally(self, tally: Tally) -> None:
        """See `Controls.set_tally`."""
        wanted = _COLOURS.get(tally)
        for colour, lamp in self._tally.items():
            if colour != wanted:
                lamp.put(lit=False)
        lit = self._tally.get(wanted) if wanted is not None else None
        if lit is not None:
            lit.put(lit=True)
        for colour, lamp in self._tally.items():
            if lamp.is_lit != (lamp is lit):
                raise DeviceUnplugged(f"the {colour} tally LED does not obey; check its pin")
        if lit is not None:
            lit.play(self._tally_patterns[tally])

    def show_status(self, status: Status) -> None:
        """See `Controls.set_status`."""
        if self._status is not None:
            self._status.put(lit=True)
            self._status.play(STATUS_PATTERNS[status])

    def show_camera(self, light: CameraLight) -> None:
        """See `Controls.set_camera_light`."""
        if self._camera is None:
            return
        pattern = CAMERA_PATTERNS.get(light)
        lit = pattern is not None
        self._camera.put(lit=lit)
        if self._camera.is_lit != lit:
            raise DeviceUnplugged("the camera LED does not obey; check its pin")
        if pattern is not None:
            self._camera.play(pattern)

    def close(self) -> None:
        """Put them out and free their pins; what of it fails is only logged."""
        lamps = [*self._tally.values(), self._status, self._camera]
        self._tally, self._status, self._camera = {}, None, None
        for lamp in lamps:
            try:
                if lamp is not None:
                    lamp.close()
            except Exception as error:
                log.warning("a pin could not be freed: %s", error)

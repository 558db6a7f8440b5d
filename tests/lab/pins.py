"""The pins of the lab: the kernel's simulated ones in the guest, gpiozero's mock pins elsewhere.

Numbers are those of the Broadcom chip.  A level is that of the wire, True for high.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from gpiozero.pins.mock import MockFactory


class Pins(Protocol):
    """What a person or a meter does to the pins from outside."""

    def drive(self, line: int, high: bool) -> None:
        """Put a level on an input, as a contact and its resistor would."""

    def level(self, line: int) -> bool:
        """The level that an output has now."""


class KernelPins:
    """A chip of the kernel's GPIO simulator, through its files below /sys."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.chip = Path("/dev") / folder.name

    @classmethod
    def find(cls) -> KernelPins:
        """The first simulated chip.  Raises LookupError."""
        for line in sorted(Path("/sys/devices/platform").glob("gpio-sim.*/gpiochip*/sim_gpio0")):
            return cls(line.parent)
        raise LookupError("the kernel simulates no pins: modprobe gpio-sim and make a chip")

    def drive(self, line: int, high: bool) -> None:
        """See `Pins.drive`."""
        self._file(line, "pull").write_text("pull-up" if high else "pull-down")

    def level(self, line: int) -> bool:
        """See `Pins.level`."""
        return self._file(line, "value").read_text().strip() == "1"

    def _file(self, line: int, name: str) -> Path:
        return self.folder / f"sim_gpio{line}" / name


class MockPins:
    """gpiozero's mock pins."""

    def __init__(self, factory: MockFactory) -> None:
        self._factory = factory

    def drive(self, line: int, high: bool) -> None:
        """See `Pins.drive`."""
        pin = self._factory.pin(line)
        if pin.function != "input":
            return  # nobody listens: a contact may move all the same
        if high:
            pin.drive_high()
        else:
            pin.drive_low()

    def level(self, line: int) -> bool:
        """See `Pins.level`."""
        return bool(self._factory.pin(line).state)

"""Microphones and speakers: 48 kHz, mono, signed 16 bit, in periods of 10 ms.

A backend is a module with a subclass of `Microphone` and one of `Speaker`.  Each is
driven by one thread, which calls `open`, then `read` or `write` in a loop, then
`close`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Final, NamedTuple, Self

from av import AudioFrame

from hal.device import Device

RATE: Final = 48_000
"""Samples a second, everywhere between a device and a codec."""

PERIOD: Final = 480
"""Samples in one period: 10 ms at RATE."""


class CardTime(NamedTuple):
    """Where a card's own clock stood at a moment of ours; two of these tell its drift."""

    position: float
    """Samples at RATE since `open` that the card had recorded or played, xruns included."""

    at: float
    """`time.monotonic` of that moment, as the kernel took it."""


class _Endpoint(ABC):
    device: Device
    xruns: int
    """Over- or underruns since `open`; each was healed and the stream went on."""

    @classmethod
    @abstractmethod
    def devices(cls) -> list[Device]:
        """Every device that this backend could open now, the preferred one first."""

    @abstractmethod
    def open(self) -> None:
        """Open the device.  Raises DeviceNotFound, DeviceBusy, FormatUnsupported or
        BackendUnavailable."""

    @abstractmethod
    def close(self) -> None:
        """Free the device.  Safe to call twice."""

    @property
    def clock(self) -> CardTime | None:
        """The card's clock at the last period; None before the first one, and where the
        device has no clock to ask.  Any thread."""
        return None

    @property
    def volume(self) -> float | None:
        """The card's own volume, 0 to 1; None where it has none.  Any thread."""
        return None

    def set_volume(self, volume: float) -> bool:
        """Set the card's own volume, 0 to 1.  Returns whether it has one.  Any thread.

        Raises DeviceUnplugged when the card does not obey.
        """
        return False

    @property
    def hardware_mute(self) -> bool | None:
        """Whether the card itself is mute; None where it cannot be.  Any thread."""
        return None

    def set_hardware_mute(self, muted: bool) -> bool:
        """Mute the card itself, beside all that is done in software.  Returns whether it can;
        True was read back from the card.  Any thread.

        Raises DeviceUnplugged when the card does not obey.
        """
        return False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class Microphone(_Endpoint):
    """One microphone, closed until `open`."""

    @abstractmethod
    def read(self) -> AudioFrame:
        """Wait for the next period: an s16 mono frame of PERIOD samples at RATE.

        `pts` counts samples since `open` in a `time_base` of 1/RATE and skips what an
        overrun lost.  Raises DeviceUnplugged or DeviceStalled (nothing for a second).
        """


class Speaker(_Endpoint):
    """One loudspeaker, closed until `open`."""

    @abstractmethod
    def write(self, frame: AudioFrame) -> None:
        """Play one period (s16 mono, PERIOD samples, RATE); blocks while the device's
        buffer is full, and so paces its caller at the rate of the card's own clock.

        Raises DeviceUnplugged or DeviceStalled.
        """

    @property
    @abstractmethod
    def delay(self) -> int:
        """Samples written but not yet heard."""

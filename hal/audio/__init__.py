"""Microphones and speakers: 48 kHz, mono, signed 16 bit, in periods of 10 ms.

A backend is a module with a subclass of `Microphone` and one of `Speaker`.  Each is
driven by one thread, which calls `open`, then `read` or `write` in a loop, then
`close`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Final, Self

from av import AudioFrame

from hal.device import Device

RATE: Final = 48_000
"""Samples a second, everywhere between a device and a codec."""

PERIOD: Final = 480
"""Samples in one period: 10 ms at RATE."""


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

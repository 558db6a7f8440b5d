"""Cameras: sources of pictures.

A backend is a subclass of `Camera`.  It is driven by one capture thread, which calls
`open`, then `read` in a loop, then `close`; the other methods and properties may be used
from any thread.

Some cameras encode by themselves.  Those give packets for the network and, as `preview`,
the frames that the packets were made of, for the screen: one capture serves both.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Self

from av import Packet, VideoFrame, VideoStream

from hal.device import Device


@dataclass(frozen=True, slots=True)
class VideoFormat:
    """Size in pixels and rate in frames a second."""

    width: int = 1280
    height: int = 720
    rate: float = 30.0


class Camera(ABC):
    """One camera, closed until `open`.

    `device` names it.  `format` is what it delivers, valid after `open`.
    """

    device: Device
    format: VideoFormat

    @classmethod
    @abstractmethod
    def devices(cls) -> list[Device]:
        """Every camera that this backend could open now, the preferred one first."""

    @abstractmethod
    def open(self, wanted: VideoFormat) -> VideoFormat:
        """Start capture at the nearest format to `wanted` and return that format.

        Raises DeviceNotFound, DeviceBusy, FormatUnsupported or BackendUnavailable.
        """

    @abstractmethod
    def read(self) -> VideoFrame | Packet[VideoStream]:
        """Wait for the next picture, at most one second.

        A frame is yuv420p.  A packet is H.264 in Annex B, one access unit, a keyframe
        with its parameter sets, from a camera that encodes by itself and is told to (see
        `set_encoding`).  `pts` and `time_base` are set; pts never goes
        back.  Raises DeviceUnplugged when the device has gone, DeviceStalled when
        nothing came in time.
        """

    @abstractmethod
    def close(self) -> None:
        """Stop capture and free the device.  Safe to call twice."""

    def request_keyframe(self) -> None:
        """Ask a camera that encodes by itself for a keyframe; others ignore it."""

    def set_bitrate(self, bps: int) -> None:
        """Set the bit rate of a camera that encodes by itself; others ignore it."""

    def set_encoding(self, wanted: bool) -> None:
        """Whether a camera that can encode by itself is to do so, as it does at first.  Off,
        `read` gives frames and nothing is encoded; on again, it begins with a keyframe.
        Others ignore it."""

    @property
    def preview(self) -> VideoFrame | None:
        """The newest picture of a camera that encodes by itself: a yuv420p frame of
        `format`'s size that is not to be written to.  None before the first one, and from a
        camera whose `read` gives frames anyway."""
        return None

    @property
    def measured_rate(self) -> float | None:
        """Frames a second that the camera really delivers, by its own timestamps over the
        last two seconds; None until there are enough, and from a backend that measures
        nothing."""
        return None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

"""Displays: the screen of the room.

A backend is a subclass of `Display`.  One thread, the playout thread, calls `open`,
`show` and `close`; `set_banner` and `set_overlay` may be called from any thread and take
effect with the next picture.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Self

from av import VideoFrame

from hal.device import Device


@dataclass(frozen=True, slots=True)
class Banner:
    """What the screen says beside the picture; an empty text shows no banner.

    `muted` adds the red mute mark, whatever the text.  `link` is drawn as a QR code in the
    middle of the screen; an empty one is not.
    """

    text: str = ""
    muted: bool = False
    link: str = ""


@dataclass(frozen=True, slots=True)
class Overlay:
    """The local picture over its own layer of the canvas, in percent of it (0..100)."""

    frame: VideoFrame
    x: float
    y: float
    width: float
    height: float
    mirrored: bool = False


class Display(ABC):
    """One screen, dark until `open`."""

    device: Device

    @classmethod
    @abstractmethod
    def devices(cls) -> list[Device]:
        """Every screen that this backend could open now, the preferred one first."""

    @abstractmethod
    def open(self) -> None:
        """Take the screen.  Raises DeviceNotFound, DeviceBusy or BackendUnavailable."""

    @abstractmethod
    def show(self, frame: VideoFrame | None) -> None:
        """Show a yuv420p picture at its right aspect, with banner and overlay; None
        shows the banner alone.  Returns without waiting for the picture to age out: a
        newer picture replaces one not yet shown.  Raises DeviceUnplugged."""

    @abstractmethod
    def set_banner(self, banner: Banner) -> None:
        """Say something on the screen from the next picture on."""

    @abstractmethod
    def set_overlay(self, overlay: Overlay | None) -> None:
        """Put the local picture over the canvas from the next picture on."""

    @abstractmethod
    def close(self) -> None:
        """Give the screen back.  Safe to call twice."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

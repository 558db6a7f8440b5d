"""A screen in memory: for the panel, the demo and tests."""

from __future__ import annotations

import threading
import time

import numpy as np
from av import VideoFrame

from hal.device import Device
from hal.display import Banner, Display, Overlay
from hal.display.banner import Rgba, draw_mark, draw_text
from hal.display.geometry import Rect, banner, code, fit, layer, mark
from hal.display.qr import draw_qr
from hal.errors import DeviceNotFound, DeviceUnplugged, OptionInvalid
from hal.planes import Pixels


class MemoryDisplay(Display):
    """Keeps what is on the screen.

    `show` only takes the picture; it is composed when somebody looks, by `picture`, so
    that a screen that nobody looks at costs nothing.
    """

    def __init__(
        self,
        *,
        device: str | None = None,
        width: int = 1280,
        height: int = 720,
        label: str | None = None,
    ) -> None:
        """`width` and `height` are those of the screen, in pixels; `device` is an id of
        one's choice, "memory" by default.

        Raises OptionInvalid.
        """
        if not (16 <= width <= 7680 and 16 <= height <= 4320):
            raise OptionInvalid(
                f"a screen of {width}x{height} is out of range; use 16x16 to 7680x4320",
                ["height" if 16 <= width <= 7680 else "width"],
            )
        self.device = Device(device or "memory", label or "Screen in memory", "display", "memory")
        self.width = width
        self.height = height
        self._changed = threading.Condition()
        self._is_open = False
        self._plugged = True
        self._count = 0
        self._shown_at = 0.0
        self._frame: VideoFrame | None = None
        self._banner = Banner()
        self._overlay: Overlay | None = None
        self._visible: tuple[VideoFrame | None, Banner, Overlay | None] = (None, Banner(), None)

    @classmethod
    def devices(cls) -> list[Device]:
        """One screen."""
        return [cls().device]

    def open(self) -> None:
        """See `Display.open`."""
        with self._changed:
            if not self._plugged:
                raise DeviceNotFound(f"display {self.device.id} is unplugged; plug it in")
            self._is_open = True
            self._count = 0
            self._visible = (None, Banner(), None)

    def show(self, frame: VideoFrame | None) -> None:
        """See `Display.show`."""
        with self._changed:
            if not self._is_open:
                raise DeviceUnplugged(f"display {self.device.id} is not open; open it first")
            if not self._plugged:
                raise DeviceUnplugged(f"display {self.device.id} has gone; plug it in again")
            self._visible = (frame, self._banner, self._overlay)
            self._count += 1
            self._shown_at = time.monotonic()
            self._changed.notify_all()

    def set_banner(self, banner: Banner) -> None:
        """See `Display.set_banner`."""
        with self._changed:
            self._banner = banner

    def set_overlay(self, overlay: Overlay | None) -> None:
        """See `Display.set_overlay`."""
        with self._changed:
            self._overlay = overlay

    def close(self) -> None:
        """See `Display.close`; the screen goes dark."""
        with self._changed:
            self._is_open = False
            self._visible = (None, Banner(), None)
            self._changed.notify_all()

    @property
    def shown(self) -> int:
        """How many times `show` was called since `open`."""
        with self._changed:
            return self._count

    @property
    def shown_at(self) -> float:
        """`time.monotonic` of the last `show`; 0 when there was none."""
        with self._changed:
            return self._shown_at

    @property
    def frame(self) -> VideoFrame | None:
        """The canvas as it was last shown, without banner and overlay."""
        with self._changed:
            return self._visible[0]

    def wait(self, count: int, timeout: float) -> bool:
        """Wait until `show` was called `count` times since `open`; False when `timeout`
        (seconds) passed first or the screen was closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._count >= count or not self._is_open, timeout)
            return self._count >= count

    def picture(self) -> VideoFrame:
        """What is on the screen now, as rgb24 in the screen's size.  Any thread."""
        with self._changed:
            frame, says, overlay = self._visible
        screen = Rect(0, 0, self.width, self.height)
        pixels: Pixels = np.zeros((self.height, self.width, 3), np.uint8)
        canvas = screen
        if frame is not None:
            canvas = fit(frame.width, frame.height, screen)
            _paste(pixels, frame, canvas)
        if frame is not None and overlay is not None:
            area = layer(canvas, overlay.x, overlay.y, overlay.width, overlay.height)
            inner = fit(overlay.frame.width, overlay.frame.height, area)
            _paste(pixels, overlay.frame, inner, mirrored=overlay.mirrored)
        if says.link:
            area = code(screen)
            _blend(pixels, draw_qr(says.link, area.width, area.height), area)
        if says.text:
            area = banner(screen)
            _blend(pixels, draw_text(says.text, area.width, area.height), area)
        if says.muted:
            area = mark(screen)
            _blend(pixels, draw_mark(area.width), area)
        return VideoFrame.from_ndarray(pixels, format="rgb24")

    def unplug(self) -> None:
        """Fault: the screen is pulled; `show` raises DeviceUnplugged."""
        with self._changed:
            self._plugged = False

    def replug(self) -> None:
        """Put the screen back; it must be opened again."""
        with self._changed:
            self._plugged = True
            self._is_open = False


def _paste(target: Pixels, frame: VideoFrame, area: Rect, *, mirrored: bool = False) -> None:
    if area.width and area.height:
        source = frame.reformat(area.width, area.height, "rgb24").to_ndarray()
        if mirrored:
            source = source[:, ::-1]
        target[area.y : area.bottom, area.x : area.right] = source


def _blend(target: Pixels, picture: Rgba, area: Rect) -> None:
    alpha = picture[:, :, 3:].astype(np.uint16)
    below = target[area.y : area.bottom, area.x : area.right]
    mixed = (picture[:, :, :3] * alpha + below * (255 - alpha) + 127) // 255
    below[:] = mixed.astype(np.uint8)

"""The picture of an X11 screen as a camera, through FFmpeg's x11grab."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Final

import av
from av import Packet, VideoFrame, VideoStream
from av.container import InputContainer

from hal.camera import Camera, VideoFormat
from hal.device import Device
from hal.errors import DeviceNotFound, DeviceUnplugged, from_os
from hal.planes import to_yuv420p

STALL_S: Final = 1.0


class X11Camera(Camera):
    """One X11 screen, whole, with the pointer, scaled to the wanted size.

    A size that is not given in full is the screen's own.  pts is wall-clock time in
    microseconds, as x11grab stamps it.
    """

    def __init__(self, *, device: str | None = None, label: str | None = None) -> None:
        """`device` is the display's name (":0", ":0.1"), that of the environment by default.

        Raises DeviceNotFound when there is neither.
        """
        name = device or os.environ.get("DISPLAY", "")
        if not name:
            raise DeviceNotFound("no X11 display is known; name one as the device, such as ':0'")
        self.device = Device(name, label or f"Screen {name}", "camera", "x11")
        self.format = VideoFormat()
        self._what = f"X11 screen {name}"
        self._container: InputContainer | None = None
        self._packets: Iterator[Packet[VideoStream]] = iter(())
        self._pts = -1

    @classmethod
    def devices(cls) -> list[Device]:
        """The display of the environment, if there is one."""
        name = os.environ.get("DISPLAY", "")
        return [cls(device=name).device] if name else []

    def open(self, wanted: VideoFormat) -> VideoFormat:
        """See `Camera.open`; the picture keeps the screen's shape, in at most the wanted
        size."""
        options = {"framerate": f"{wanted.rate:g}", "draw_mouse": "1"}
        try:
            container = av.open(self.device.id, format="x11grab", options=options)
        except ValueError as error:
            raise DeviceNotFound(f"{self._what} cannot be named so; such as ':0'") from error
        except (av.FFmpegError, OSError) as error:
            raise from_os(error, self._what) from error
        stream = container.streams.video[0]
        scale = min(1.0, wanted.width / stream.width, wanted.height / stream.height)
        self.format = VideoFormat(
            max(round(stream.width * scale) // 2 * 2, 2),
            max(round(stream.height * scale) // 2 * 2, 2),
            wanted.rate,
        )
        self._container = container
        self._packets = container.demux(stream)
        self._pts = -1
        return self.format

    def read(self) -> VideoFrame:
        """See `Camera.read`; DeviceUnplugged when the display has gone."""
        deadline = time.monotonic() + STALL_S
        while self._container is not None and time.monotonic() < deadline:
            try:
                pictures = next(self._packets).decode()
            except StopIteration:
                break
            except av.FFmpegError as error:
                raise from_os(error, self._what, opened=True) from error
            for picture in pictures:
                frame = to_yuv420p(picture, self.format.width, self.format.height)
                self._pts = max(picture.pts if picture.pts is not None else 0, self._pts + 1)
                frame.pts, frame.time_base = self._pts, picture.time_base
                return frame
        raise DeviceUnplugged(f"{self._what} has gone; start it again")

    def close(self) -> None:
        """See `Camera.close`."""
        container, self._container = self._container, None
        self._packets = iter(())
        if container is not None:
            container.close()

"""USB cameras and other Video4Linux2 devices, through FFmpeg's input device.

A camera is named by its udev link, which is the same after a reboot:
`/dev/v4l/by-id/...` (maker, model and serial number), or `/dev/v4l/by-path/...` (the
socket it sits in) where the former is missing.
"""

from __future__ import annotations

import fcntl
import logging
import os
import select
import struct
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final, Literal, NamedTuple

import av
from av import Packet, VideoFrame, VideoStream
from av.container import InputContainer

from hal.camera import Camera, VideoFormat
from hal.device import Device
from hal.errors import (
    BackendUnavailable,
    DeviceNotFound,
    DeviceStalled,
    DeviceUnplugged,
    FormatUnsupported,
    HalError,
    OptionInvalid,
    from_os,
)
from hal.planes import to_yuv420p

log = logging.getLogger(__name__)

PixelFormat = Literal["auto", "mjpeg", "yuyv"]

OPEN_S: Final = 5.0
"""A camera that has not begun after this long will not: some hubs take two seconds."""

STALL_S: Final = 1.0

_GROUP: Final = "video"
_PIXEL_FORMATS: Final = {"mjpeg": "mjpeg", "yuyv": "yuyv422"}

# linux/videodev2.h
_VIDIOC_QUERYCAP: Final = 0x80685600
_QUERYCAP: Final = struct.Struct("16s32s32sIII3I")
_CAP_VIDEO_CAPTURE: Final = 0x0000_0001
_CAP_STREAMING: Final = 0x0400_0000
_CAP_DEVICE_CAPS: Final = 0x8000_0000

_RAW_SENSORS: Final = frozenset({"unicam", "rp1-cfe", "bcm2835-isp", "pispbe"})
"""Drivers of a Raspberry Pi's camera socket: they give raw sensor data, which only
libcamera can turn into pictures."""


class Capability(NamedTuple):
    """What a node says of itself."""

    driver: str
    card: str
    capture: bool
    """It streams pictures in (not out, not metadata, not a codec)."""


def query(node: Path) -> Capability | None:
    """Ask a node what it is; None when it cannot be asked (no V4L2 node, no permission)."""
    try:
        handle = os.open(node, os.O_RDWR | os.O_NONBLOCK)
    except OSError:
        return None
    answer = bytearray(_QUERYCAP.size)
    try:
        fcntl.ioctl(handle, _VIDIOC_QUERYCAP, answer)
    except OSError:
        return None
    finally:
        os.close(handle)
    driver, card, _bus, _version, whole, own, *_ = _QUERYCAP.unpack(answer)
    flags = own if whole & _CAP_DEVICE_CAPS else whole
    return Capability(
        driver.split(b"\0")[0].decode("utf-8", "replace"),
        card.split(b"\0")[0].decode("utf-8", "replace"),
        bool(flags & _CAP_VIDEO_CAPTURE and flags & _CAP_STREAMING),
    )


def find(
    dev: Path = Path("/dev"),
    sys: Path = Path("/sys"),
    ask: Callable[[Path], Capability | None] = query,
) -> list[Device]:
    """The cameras under `dev` and `sys`, USB ones (with a by-id link) first.

    A USB camera that this user may not open is listed too, for it is there; the error
    comes at `open`.
    """
    by_id, by_path = _links(dev / "v4l" / "by-id"), _links(dev / "v4l" / "by-path")
    found: list[tuple[bool, int, Device]] = []
    for entry in (sys / "class" / "video4linux").glob("video*"):
        number = entry.name.removeprefix("video")
        node = dev / entry.name
        # The second node of a UVC camera carries its metadata, not pictures.
        if not number.isdecimal() or _text(entry / "index") not in ("", "0") or not node.exists():
            continue
        answer = ask(node)
        if answer is not None and (not answer.capture or answer.driver in _RAW_SENSORS):
            continue
        if answer is None and not by_id.get(node.name):
            continue
        link = by_id.get(node.name) or by_path.get(node.name) or node
        label = _text(entry / "name") or (answer.card if answer else "") or entry.name
        unnamed = node.name not in by_id
        found.append((unnamed, int(number), Device(str(link), label, "camera", "v4l2")))
    return [device for _, _, device in sorted(found, key=lambda item: item[:2])]


class V4l2Camera(Camera):
    """One V4L2 camera, MJPEG or YUYV; frames come out as yuv420p.

    Capture is stamped by the kernel; pts is CLOCK_MONOTONIC in microseconds where the
    driver stamps with it, as UVC does.
    """

    def __init__(
        self,
        *,
        device: str | None = None,
        pixel_format: PixelFormat = "auto",
        label: str | None = None,
    ) -> None:
        """`device` is an id of `devices`, or any device node; the first one by default.
        `auto` takes MJPEG, which leaves USB its bandwidth, and YUYV where there is none.

        Raises OptionInvalid.
        """
        if pixel_format != "auto" and pixel_format not in _PIXEL_FORMATS:
            raise OptionInvalid(
                f"pixel_format {pixel_format!r} is unknown; use mjpeg, yuyv or auto"
            )
        self._pixel_format = pixel_format
        self._path = device
        self.device = Device(device or "", label or "first USB camera", "camera", "v4l2")
        if device is not None:
            known = {each.id: each for each in self.devices()}.get(device)
            name = label or (known.label if known else Path(device).name)
            self.device = Device(device, name, "camera", "v4l2")
        self.format = VideoFormat()
        self._container: InputContainer | None = None
        self._packets: Iterator[Packet[VideoStream]] = iter(())
        self._ready: list[VideoFrame] = []
        self._poll = select.poll()
        self._pts = -1

    @classmethod
    def devices(cls) -> list[Device]:
        """See `Camera.devices`."""
        return find()

    @property
    def _what(self) -> str:
        return f"camera {self.device.id}"

    def open(self, wanted: VideoFormat) -> VideoFormat:
        """See `Camera.open`; also raises DeviceForbidden, and DeviceStalled when the
        camera does not begin within OPEN_S."""
        if self._path is None:
            cameras = self.devices()
            if not cameras:
                raise DeviceNotFound("no USB camera was found; plug one in")
            self.device = cameras[0]
        container = self._begin(wanted)
        stream = container.streams.video[0]
        handle = _handle_of(self.device.id)
        if handle is None:
            container.close()
            raise BackendUnavailable(
                f"{self._what} was opened without a handle; report FFmpeg's version"
            )
        self._poll = select.poll()
        self._poll.register(handle, select.POLLIN)
        self._container = container
        self._packets = container.demux(stream)
        self._ready = []
        self._pts = -1
        rate = stream.average_rate or stream.guessed_rate
        self.format = VideoFormat(
            stream.width // 2 * 2, stream.height // 2 * 2, float(rate) if rate else wanted.rate
        )
        return self.format

    def read(self) -> VideoFrame:
        """See `Camera.read`."""
        deadline = time.monotonic() + STALL_S
        while not self._ready:
            if self._container is None:
                raise DeviceUnplugged(f"{self._what} is not open; open it first")
            self._await_data(deadline)
            try:
                packet = next(self._packets)
                self._ready = list(packet.decode())
            except av.error.InvalidDataError:
                # A picture torn on the wire; the next one is whole.
                log.debug("%s: a damaged picture was dropped", self._what)
            except StopIteration:
                raise DeviceUnplugged(f"{self._what} has gone; plug it in again") from None
            except av.FFmpegError as error:
                raise from_os(error, self._what, group=_GROUP, opened=True) from error
        picture = self._ready.pop(0)
        frame = to_yuv420p(picture, self.format.width, self.format.height)
        self._pts = max(picture.pts if picture.pts is not None else 0, self._pts + 1)
        frame.pts = self._pts
        frame.time_base = picture.time_base
        return frame

    def close(self) -> None:
        """See `Camera.close`."""
        container, self._container = self._container, None
        self._packets = iter(())
        self._ready = []
        if container is not None:
            container.close()

    def _await_data(self, deadline: float) -> None:
        # FFmpeg waits for the kernel without a limit, so the waiting is done here.
        left = max(0.0, deadline - time.monotonic())
        events = self._poll.poll(left * 1000)
        if not events:
            raise DeviceStalled(f"{self._what} gives no picture; unplug it and plug it in again")
        if not events[0][1] & select.POLLIN:
            raise DeviceUnplugged(f"{self._what} has gone; plug it in again")

    def _begin(self, wanted: VideoFormat) -> InputContainer:
        names = list(_PIXEL_FORMATS) if self._pixel_format == "auto" else [self._pixel_format]
        refusal: HalError | None = None
        for name in names:
            try:
                return self._within(partial(self._open_container, wanted, name))
            except HalError:
                raise
            except (av.FFmpegError, OSError) as error:
                refusal = from_os(error, self._what, group=_GROUP)
                if not isinstance(refusal, FormatUnsupported):
                    raise refusal from error
        raise FormatUnsupported(
            f"{self._what} gives neither of {', '.join(names)} near "
            f"{wanted.width}x{wanted.height}; choose another pixel_format or size"
        ) from refusal

    def _open_container(self, wanted: VideoFormat, name: str) -> InputContainer:
        return av.open(self.device.id, format="v4l2", options=arguments(wanted, name))

    def _within(self, begin: Callable[[], InputContainer]) -> InputContainer:
        """Run `begin`, which may hang on a dead camera, for at most OPEN_S."""
        lock = threading.Lock()
        outcome: list[InputContainer | BaseException] = []
        abandoned = False

        def work() -> None:
            try:
                result: InputContainer | BaseException = begin()
            except BaseException as error:
                result = error
            with lock:
                if abandoned and isinstance(result, InputContainer):
                    result.close()
                outcome.append(result)

        thread = threading.Thread(target=work, name="v4l2-open", daemon=True)
        thread.start()
        thread.join(OPEN_S)
        with lock:
            abandoned = not outcome
        if abandoned:
            raise DeviceStalled(f"{self._what} does not begin; unplug it and plug it in again")
        result = outcome[0]
        if isinstance(result, BaseException):
            raise result
        return result


def arguments(wanted: VideoFormat, pixel_format: str) -> dict[str, str]:
    """The options of FFmpeg's v4l2 input for a format; the driver takes the nearest size
    and rate that it has."""
    return {
        "input_format": _PIXEL_FORMATS[pixel_format],
        "video_size": f"{wanted.width}x{wanted.height}",
        "framerate": f"{wanted.rate:g}",
    }


def _handle_of(path: str) -> int | None:
    """The file descriptor under which this process has a device open, the latest one."""
    target = os.path.realpath(path)
    handles = [
        int(entry.name)
        for entry in Path("/proc/self/fd").iterdir()
        if os.path.realpath(entry) == target
    ]
    return max(handles, default=None)


def _links(folder: Path) -> dict[str, Path]:
    """Node name -> the udev link that leads to it."""
    try:
        links = sorted(folder.iterdir())
    except OSError:
        return {}
    return {link.resolve().name: link for link in reversed(links)}


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace").strip()
    except OSError:
        return ""

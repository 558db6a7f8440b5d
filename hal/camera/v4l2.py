"""USB cameras and other Video4Linux2 devices, through FFmpeg's input device.

A camera is named by its udev link, which is the same after a reboot:
`/dev/v4l/by-id/...` (maker, model and serial number), or `/dev/v4l/by-path/...` (the
socket it sits in) where the former is missing.
"""

from __future__ import annotations

import logging
import os
import select
import threading
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Final, Literal, TypeVar, cast

import av
from av import Packet, VideoCodecContext, VideoFrame, VideoStream
from av.codec.context import Flags
from av.container import InputContainer

from hal.camera import Camera, VideoFormat, codec_controls
from hal.camera.h264 import ParameterSets
from hal.camera.rate import RateMeter
from hal.camera.v4l2_nodes import find
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

PixelFormat = Literal["auto", "mjpeg", "yuyv", "h264"]

Item = TypeVar("Item", VideoFrame, "Packet[VideoStream]")

OPEN_S: Final = 5.0
"""A camera that has not begun after this long will not: some hubs take two seconds."""

STALL_S: Final = 1.0
KEYFRAME_S: Final = 5.0
"""What lies between two keyframes of a camera that encodes by itself, at most."""

_TIME_BASE: Final = Fraction(1, 1_000_000)
_GROUP: Final = "video"
_PIXEL_FORMATS: Final = {"mjpeg": "mjpeg", "yuyv": "yuyv422", "h264": "h264"}
_AUTO: Final = ("mjpeg", "yuyv")


class V4l2Camera(Camera):
    """One V4L2 camera, MJPEG or YUYV; frames come out as yuv420p.  With `pixel_format`
    "h264", a camera that encodes gives its own packets instead.

    Capture is stamped by the kernel; pts is CLOCK_MONOTONIC in microseconds where the
    driver stamps with it, as UVC does.

    Few drivers let a camera's encoder be told anything: where they do not, a keyframe comes
    when the camera makes one, and the bit rate is the camera's.
    """

    def __init__(
        self,
        *,
        device: str | None = None,
        pixel_format: PixelFormat = "auto",
        decode_preview: bool = True,
        label: str | None = None,
    ) -> None:
        """`device` is an id of `devices`, or any device node; the first one by default.
        `auto` takes MJPEG, which leaves USB its bandwidth, and YUYV where there is none.
        `decode_preview` decodes a camera's own H.264 all the time, for `preview`; without,
        there is none, and the machine is spared the work.

        Raises OptionInvalid.
        """
        if pixel_format != "auto" and pixel_format not in _PIXEL_FORMATS:
            raise OptionInvalid(
                f"pixel_format {pixel_format!r} is unknown; use mjpeg, yuyv, h264 or auto",
                ["pixel_format"],
            )
        self._pixel_format = pixel_format
        self._path = device
        self.device = Device(device or "", label or "first USB camera", "camera", "v4l2")
        if device is not None:
            # To learn its name every node is asked; with a label none is.
            self.device = Device(device, label or self._own_name(device), "camera", "v4l2")
        self.format = VideoFormat()
        self._container: InputContainer | None = None
        self._packets: Iterator[Packet[VideoStream]] = iter(())
        self._ready: list[VideoFrame | Packet[VideoStream]] = []
        self._poll = select.poll()
        self._pts = -1
        self._meter = RateMeter()
        self._decode_preview = decode_preview
        self._parameters = ParameterSets()
        self._encoding = True
        self._resume = True
        """Whether packets wait for the next keyframe."""
        # Not the container's, which learnt from a look at the stream to wait for more.
        self._decoder = VideoCodecContext.create("h264", "r")
        self._preview: VideoFrame | None = None
        self._node: int | None = None
        """The open node; None when there is no encoder of the camera's to talk to."""

    @classmethod
    def devices(cls) -> list[Device]:
        """See `Camera.devices`."""
        return find()

    @classmethod
    def _own_name(cls, device: str) -> str:
        known = {each.id: each for each in cls.devices()}.get(device)
        return known.label if known else Path(device).name

    @property
    def preview(self) -> VideoFrame | None:
        """See `Camera.preview`."""
        return self._preview

    @property
    def measured_rate(self) -> float | None:
        """See `Camera.measured_rate`: what `format` names is what the driver promised."""
        return self._meter.rate

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
        self._meter.reset()
        self._parameters = ParameterSets()
        self._resume = True
        self._node = handle if stream.codec_context.name == "h264" else None
        self._decoder = VideoCodecContext.create("h264", "r")
        # Cameras send pictures in the order in which they are seen.
        self._decoder.flags |= Flags.low_delay
        rate = stream.average_rate or stream.guessed_rate
        self.format = VideoFormat(
            stream.width // 2 * 2, stream.height // 2 * 2, float(rate) if rate else wanted.rate
        )
        return self.format

    def read(self) -> VideoFrame | Packet[VideoStream]:
        """See `Camera.read`; up to KEYFRAME_S when it has to wait for the camera to make a
        keyframe."""
        deadline = time.monotonic() + (STALL_S if self._node is None else KEYFRAME_S)
        while not self._ready:
            if self._container is None:
                raise DeviceUnplugged(f"{self._what} is not open; open it first")
            self._await_data(min(deadline, time.monotonic() + STALL_S))
            try:
                packet = next(self._packets)
                self._ready = self._unpack(packet)
            except av.error.InvalidDataError:
                # A picture torn on the wire; the next one is whole.
                log.debug("%s: a damaged picture was dropped", self._what)
            except StopIteration:
                raise DeviceUnplugged(f"{self._what} has gone; plug it in again") from None
            except av.FFmpegError as error:
                raise from_os(error, self._what, group=_GROUP, opened=True) from error
        return self._ready.pop(0)

    def request_keyframe(self) -> None:
        """See `Camera.request_keyframe`; of no effect where the driver cannot."""
        if self._node is not None:
            self._tell(codec_controls.force_keyframe, self._node)

    def set_bitrate(self, bps: int) -> None:
        """See `Camera.set_bitrate`; of no effect where the driver cannot."""
        if self._node is not None:
            self._tell(codec_controls.set_bitrate, self._node, bps)

    def set_encoding(self, wanted: bool) -> None:
        """See `Camera.set_encoding`: off, the camera's H.264 is decoded for `read`."""
        if wanted and not self._encoding:
            self._resume = True
            self.request_keyframe()
        self._encoding = wanted

    def close(self) -> None:
        """See `Camera.close`."""
        container, self._container = self._container, None
        self._packets = iter(())
        self._ready = []
        self._node = None
        self._preview = None
        if container is not None:
            container.close()

    def _unpack(self, packet: Packet[VideoStream]) -> list[VideoFrame | Packet[VideoStream]]:
        """What of a packet is to be handed out: its frames, or itself."""
        if self._node is None:
            return [self._frame(picture) for picture in packet.decode()]
        data, keyframe = self._parameters.complete(bytes(packet))
        if not data:
            return []
        moment, time_base = packet.pts, packet.time_base
        whole = cast("Packet[VideoStream]", Packet(data))
        frames: list[VideoFrame] = []
        if self._decode_preview or not self._encoding:
            frames = [to_yuv420p(one, *self._size) for one in self._decoder.decode(whole)]
            self._preview = frames[-1] if frames else self._preview
        self._resume = self._resume and not keyframe
        if self._encoding:
            if self._resume:
                return []
            whole.is_keyframe = keyframe
            return [self._stamped(whole, moment, time_base)]
        return [self._stamped(frame, moment, time_base) for frame in frames]

    @property
    def _size(self) -> tuple[int, int]:
        return self.format.width, self.format.height

    def _frame(self, picture: VideoFrame) -> VideoFrame:
        moment, time_base = picture.pts, picture.time_base
        return self._stamped(to_yuv420p(picture, *self._size), moment, time_base)

    def _stamped(self, item: Item, moment: int | None, time_base: Fraction | None) -> Item:
        self._pts = max(moment if moment is not None else 0, self._pts + 1)
        item.pts = self._pts
        item.time_base = time_base or _TIME_BASE
        self._meter.tick(float(self._pts * item.time_base))
        return item

    def _tell(self, order: Callable[..., None], *args: int) -> None:
        """Tell the camera's encoder something that it may not know of."""
        try:
            order(*args)
        except OSError as error:
            log.debug("%s: its encoder does not take %s: %s", self._what, order.__name__, error)

    def _await_data(self, deadline: float) -> None:
        # FFmpeg waits for the kernel without a limit, so the waiting is done here.
        left = max(0.0, deadline - time.monotonic())
        events = self._poll.poll(left * 1000)
        if not events:
            raise DeviceStalled(f"{self._what} gives no picture; unplug it and plug it in again")
        if not events[0][1] & select.POLLIN:
            raise DeviceUnplugged(f"{self._what} has gone; plug it in again")

    def _begin(self, wanted: VideoFormat) -> InputContainer:
        names = list(_AUTO) if self._pixel_format == "auto" else [self._pixel_format]
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
            f"{self._what} gives none of {', '.join(names)} near "
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
    options = {
        "input_format": _PIXEL_FORMATS[pixel_format],
        "video_size": f"{wanted.width}x{wanted.height}",
        "framerate": f"{wanted.rate:g}",
    }
    if pixel_format == "h264":
        # A buffer of the driver is a picture: FFmpeg's parser would hold each back until the
        # next one begins, and its look at the stream would keep the first seconds.
        options |= {"fflags": "noparse+nofillin", "fpsprobesize": "0", "analyzeduration": "1"}
    return options


def _handle_of(path: str) -> int | None:
    """The file descriptor under which this process has a device open, the latest one."""
    target = os.path.realpath(path)
    handles = [
        int(entry.name)
        for entry in Path("/proc/self/fd").iterdir()
        if os.path.realpath(entry) == target
    ]
    return max(handles, default=None)

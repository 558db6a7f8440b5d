"""Picamera2 and libcamera as far as Roomlet uses them, on a machine without a camera.

Pictures are those of `hal.camera.scene`, in buffers with padding as libcamera makes them, at
the rate that was asked for, from a thread of the camera's own.  The hardware encoder is a
thread as well and has the quirks of the real one: nothing comes below its floor, and parameter
sets come once.  `test_picamera2` holds the names and parameters to the record of the real ones.
"""

from __future__ import annotations

import enum
import os
import queue
import struct
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType, ModuleType, SimpleNamespace, TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt
from av import VideoFrame

from hal.camera import VideoFormat
from hal.camera.h264 import PPS, SPS, nal_units
from hal.camera.scene import Scene
from hal.camera.x264 import X264
from hal.planes import plane

HARDWARE_FLOOR = 600_000
PADDING = 64
S_CTRL = 0xC008561C
BITRATE, FORCE_KEY_FRAME = 0x009909CF, 0x009909E5


NOTHING: Mapping[str, Any] = MappingProxyType({})


class Platform(enum.Enum):
    VC4 = 0
    PISP = 1


class Transform:
    def __init__(
        self, rotation: int = 0, hflip: bool = False, vflip: bool = False, transpose: bool = False
    ) -> None:
        self.hflip, self.vflip = hflip, vflip


class AfModeEnum(enum.Enum):
    Manual, Auto, Continuous = 0, 1, 2


class AeMeteringModeEnum(enum.Enum):
    CentreWeighted, Spot, Matrix = 0, 1, 2


class AeFlickerModeEnum(enum.Enum):
    Off, Manual, Auto = 0, 1, 2


class AwbModeEnum(enum.Enum):
    Auto, Incandescent, Tungsten, Fluorescent, Indoor, Daylight, Cloudy = range(7)


MODES_IMX708 = [
    {
        "format": "SRGGB10_CSI2P",
        "unpacked": "SRGGB10",
        "bit_depth": 10,
        "size": size,
        "fps": fps,
        "crop_limits": crop,
        "exposure_limits": (9, 77193582, 20000),
    }
    for size, fps, crop in (
        ((1536, 864), 120.13, (768, 432, 3072, 1728)),
        ((2304, 1296), 56.03, (0, 0, 4608, 2592)),
        ((4608, 2592), 14.35, (0, 0, 4608, 2592)),
    )
]
"""A Camera Module 3, as Picamera2's manual prints it."""

CONTROLS: dict[str, tuple[Any, Any, Any]] = {
    "AfMode": (0, 2, 0),
    "LensPosition": (0.0, 32.0, 1.0),
    "ExposureTime": (9, 77193582, 20000),
    "AnalogueGain": (1.12, 16.0, 1.0),
    "ExposureValue": (-8.0, 8.0, 0.0),
    "AeMeteringMode": (0, 3, 0),
    "AeFlickerMode": (0, 1, 0),
    "AeFlickerPeriod": (100, 1000000, None),
    "AwbMode": (0, 7, 0),
    "Brightness": (-1.0, 1.0, 0.0),
    "Contrast": (0.0, 32.0, 1.0),
    "Saturation": (0.0, 32.0, 1.0),
    "Sharpness": (0.0, 16.0, 1.0),
    "FrameDurationLimits": (17850, 100_000_000, 33333),
}


class MappedArray:
    def __init__(
        self, request: CompletedRequest, stream: str, reshape: bool = True, write: bool = True
    ) -> None:
        assert stream == "main"
        assert not reshape, "Picamera2 shapes the array by its own lights"
        self._request = request
        self._array: npt.NDArray[np.uint8] | None = None

    def __enter__(self) -> MappedArray:
        self._array = self._request.buffer
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._array = None

    @property
    def array(self) -> npt.NDArray[np.uint8] | None:
        return self._array


class CompletedRequest:
    def __init__(self, buffer: npt.NDArray[np.uint8], config: dict[str, Any], moment: int) -> None:
        self.buffer = buffer
        self.config = config
        self._moment = moment

    def get_metadata(self) -> dict[str, Any]:
        return {"SensorTimestamp": self._moment, "ExposureTime": 20000}


class Output:
    def __init__(self, pts: object = None) -> None:
        pass

    def outputframe(
        self,
        frame: bytes,
        keyframe: bool = True,
        timestamp: int | None = None,
        packet: object = None,
        audio: bool = False,
    ) -> None:
        raise AssertionError("nobody took the frame")


class Encoder:
    def __init__(self, framerate: float = 30) -> None:
        self.firsttimestamp: int | None = None
        self._running = False
        self.output: Any = None
        self.name = ""
        self.size = (0, 0)

    def encode(self, stream: str, request: CompletedRequest) -> None:
        if self._running:
            self._encode(request, self._timestamp(request))

    def _encode(self, request: CompletedRequest, moment: int) -> None:
        raise NotImplementedError

    def start(self, quality: object = None) -> None:
        self._running = True
        self.firsttimestamp = None

    def stop(self) -> None:
        if not self._running:
            raise RuntimeError("Encoder already stopped")
        self._running = False

    def outputframe(
        self,
        frame: bytes,
        keyframe: bool = True,
        timestamp: int | None = None,
        packet: object = None,
        audio: bool = False,
    ) -> None:
        self.output.outputframe(frame, keyframe, timestamp, packet, audio)

    def _timestamp(self, request: CompletedRequest) -> int:
        moment = request.get_metadata()["SensorTimestamp"] // 1000
        if self.firsttimestamp is None:
            self.firsttimestamp = moment
        return int(moment - self.firsttimestamp)


class H264Encoder(Encoder):
    """The hardware's: works on a thread of its own, obeys V4L2 controls on its node."""

    made: list[H264Encoder] = []
    refusal: OSError | None = None

    def __init__(
        self,
        bitrate: int | None = None,
        repeat: bool = True,
        iperiod: int | None = None,
        framerate: float | None = None,
        enable_sps_framerate: bool = False,
        qp: int | None = None,
        profile: str | None = None,
    ) -> None:
        super().__init__()
        assert bitrate is not None
        assert framerate is not None
        self.bitrate, self.iperiod, self.framerate, self.profile = (
            bitrate,
            iperiod,
            framerate,
            profile,
        )
        self.vd: Any = None
        self.keyframes_forced = 0
        self._force = False
        self._work: queue.Queue[tuple[VideoFrame, int] | None] = queue.Queue()
        self._thread = threading.Thread(target=self._run, name="fake-v4l2-encoder")
        H264Encoder.made.append(self)

    def control(self, number: int, value: int) -> None:
        """What the kernel does with VIDIOC_S_CTRL."""
        if number == BITRATE:
            self.bitrate = value
        elif number == FORCE_KEY_FRAME:
            self._force = True
            self.keyframes_forced += 1
        else:
            raise OSError(22, "Invalid argument")

    def start(self, quality: object = None) -> None:
        super().start(quality)
        if H264Encoder.refusal is not None:
            raise H264Encoder.refusal
        self.vd = Path(os.devnull).open("rb+", buffering=0)  # noqa: SIM115 - until `stop`
        self._thread.start()

    def stop(self) -> None:
        super().stop()
        self._work.put(None)
        if self._thread.is_alive():
            self._thread.join(10)
        if self.vd is not None:
            self.vd.close()

    def _encode(self, request: CompletedRequest, moment: int) -> None:
        self._work.put((unpack(request), moment))

    def _run(self) -> None:
        codec = X264(VideoFormat(*self.size, self.framerate), self.bitrate, 1)
        first = True
        while (work := self._work.get()) is not None:
            frame, moment = work
            force, self._force = self._force, False
            codec.set_bitrate(self.bitrate)
            packet = codec.encode(frame, keyframe=force)
            if self.bitrate < HARDWARE_FLOOR:
                continue
            units = list(nal_units(bytes(packet)))
            if not first:
                units = [unit for unit in units if unit[0] not in (SPS, PPS)]
            first = False
            data = b"".join(b"\x00\x00\x00\x01" + unit for _, unit in units)
            self.outputframe(data, True, moment)


class Picamera2:
    infos: list[dict[str, Any]] = [
        {"Model": "ov5647", "Location": 2, "Rotation": 0, "Id": "/base/i2c/ov5647@36", "Num": 1},
        {"Model": "imx708", "Location": 2, "Rotation": 180, "Id": "/base/i2c/imx708@1a", "Num": 0},
        {"Model": "HD Webcam", "Id": "/base/pcie/usb@3-1:1.0-046d:0825", "Num": 2},
    ]
    refusal: BaseException | None = None
    modes: list[dict[str, Any]] = MODES_IMX708
    properties: dict[str, Any] = {"Model": "imx708", "ColorFilterArrangement": 0}
    controls_there: dict[str, tuple[Any, Any, Any]] = CONTROLS
    pixel_format = "YUV420"
    open_now: list[Picamera2] = []
    """Those that nobody has closed."""

    last: Picamera2

    def __init__(
        self,
        camera_num: int = 0,
        verbose_console: object = None,
        tuning: object = None,
        allocator: object = None,
    ) -> None:
        if Picamera2.refusal is not None:
            try:
                raise Picamera2.refusal
            except BaseException as error:
                raise RuntimeError("Camera __init__ sequence did not complete.") from error
        self.number = camera_num
        self.post_callback: Callable[[CompletedRequest], None] | None = None
        self._encoders: set[Any] = set()
        self.configuration: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._silent = threading.Event()
        self._thread: threading.Thread | None = None
        self.frames = 0
        Picamera2.open_now.append(self)
        Picamera2.last = self

    @staticmethod
    def global_camera_info() -> list[dict[str, Any]]:
        return Picamera2.infos

    @property
    def sensor_modes(self) -> list[dict[str, Any]]:
        if "ColorFilterArrangement" not in Picamera2.properties:
            raise AttributeError("'NoneType' object has no attribute 'at'")
        return Picamera2.modes

    @property
    def camera_properties(self) -> dict[str, Any]:
        return Picamera2.properties

    @property
    def camera_controls(self) -> dict[str, tuple[Any, Any, Any]]:
        return Picamera2.controls_there

    def create_video_configuration(
        self,
        main: Mapping[str, Any] = NOTHING,
        lores: object = None,
        raw: object = NOTHING,
        transform: Any = None,
        colour_space: object = None,
        buffer_count: int = 6,
        controls: Mapping[str, Any] = NOTHING,
        display: str | None = "main",
        encode: str = "main",
        queue: bool = True,
        sensor: Mapping[str, Any] = NOTHING,
        use_case: str = "video",
    ) -> dict[str, Any]:
        assert raw is None, "a raw stream would cost memory for nothing"
        assert set(sensor) <= {"output_size", "bit_depth"}
        for name in controls:
            if name not in self.camera_controls:
                raise RuntimeError(f"Control {name} is not advertised by libcamera")
        return {
            "main": main,
            "transform": transform,
            "controls": controls,
            "sensor": sensor,
            "display": display,
            "encode": encode,
        }

    def configure(self, camera_config: dict[str, Any] | None = None) -> None:
        assert camera_config is not None
        width, height = camera_config["main"]["size"]
        assert width % 2 == height % 2 == 0
        main = {"format": self.pixel_format, "size": (width, height), "stride": width + PADDING}
        self.configuration = {**camera_config, "main": main}

    def stream_configuration(self, name: str = "main") -> dict[str, Any]:
        found: dict[str, Any] = self.configuration[name]
        return found

    def start_encoder(
        self,
        encoder: Any = None,
        output: object = None,
        pts: object = None,
        quality: object = None,
        name: str | None = None,
    ) -> None:
        assert name is not None
        assert isinstance(output, Output), "Must pass Output"
        encoder.output = output
        encoder.name = name
        encoder.size = self.configuration[name]["size"]
        encoder.start(quality=quality)
        with self._lock:
            self._encoders.add(encoder)

    def stop_encoder(self, encoders: Any = None) -> None:
        encoders.stop()
        with self._lock:
            self._encoders.remove(encoders)

    def start(self, config: object = None, show_preview: object = False) -> None:
        self._thread = threading.Thread(target=self._run, name="fake-picamera2")
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(10)
        if self in Picamera2.open_now:
            Picamera2.open_now.remove(self)

    def process_requests(self, display: object) -> None:
        assert isinstance(display, CompletedRequest)
        with self._lock:
            if self.post_callback is not None:
                self.post_callback(display)
            for encoder in self._encoders:
                encoder.encode(encoder.name, display)

    def silence(self) -> None:
        """Fault: the sensor gives nothing more."""
        self._silent.set()

    def _run(self) -> None:
        width, height = self.configuration["main"]["size"]
        transform = self.configuration["transform"]
        scene = Scene(7, width, height)
        period = self.configuration["controls"]["FrameDurationLimits"][0] / 1e6
        begin = time.monotonic()
        while not self._stop.wait(max(0.0, begin + self.frames * period - time.monotonic())):
            if not self._silent.is_set():
                frame = scene.draw(self.frames, 0)
                moment = round((begin + self.frames * period) * 1e9)
                buffer = pack(frame, transform, self.configuration["main"])
                self.process_requests(
                    CompletedRequest(buffer, {"main": self.configuration["main"]}, moment)
                )
            self.frames += 1


def pack(frame: VideoFrame, transform: Any, stream: dict[str, Any]) -> npt.NDArray[np.uint8]:
    """A picture as libcamera lays it out: lines with rubbish at their ends."""
    parts = [
        plane(frame, number)[:: -1 if transform.vflip else 1, :: -1 if transform.hflip else 1]
        for number in range(3)
    ]
    stride = stream["stride"]
    if stream["format"] == "NV12":
        parts = [parts[0], np.stack(parts[1:], axis=-1).reshape(parts[1].shape[0], -1)]
        strides = [stride, stride]
    else:
        strides = [stride, stride // 2, stride // 2]
    lines = []
    for part, length in zip(parts, strides, strict=True):
        padded = np.full((part.shape[0], length), 0xAA, np.uint8)
        padded[:, : part.shape[1]] = part
        lines.append(padded.reshape(-1))
    return np.concatenate(lines)


def unpack(request: CompletedRequest) -> VideoFrame:
    """The picture in a YUV420 buffer, as an encoder sees it."""
    stream = request.config["main"]
    width, height = stream["size"]
    frame = VideoFrame(width, height, "yuv420p")
    begin = 0
    for number, shift in enumerate((0, 1, 1)):
        rows, stride = height >> shift, stream["stride"] >> shift
        part = request.buffer[begin : begin + rows * stride].reshape(rows, stride)
        plane(frame, number)[:] = part[:, : width >> shift]
        begin += rows * stride
    return frame


def ioctl(handle: int, request: int, data: bytes) -> int:
    """The kernel's side of the encoder's node."""
    assert request == S_CTRL
    number, value = struct.unpack("Ii", data)
    for encoder in H264Encoder.made:
        if encoder.vd is not None and not encoder.vd.closed and encoder.vd.fileno() == handle:
            encoder.control(number, value)
            return 0
    raise OSError(25, "Inappropriate ioctl for device")


def modules(platform: Platform) -> dict[str, ModuleType]:
    """What `import` would find on a Raspberry Pi."""
    picamera2 = ModuleType("picamera2")
    encoders, outputs = ModuleType("picamera2.encoders"), ModuleType("picamera2.outputs")
    libcamera = ModuleType("libcamera")
    picamera2.__dict__.update(
        Picamera2=Picamera2,
        MappedArray=MappedArray,
        Platform=Platform,
        get_platform=lambda: platform,
        encoders=encoders,
        outputs=outputs,
    )
    encoders.__dict__.update(H264Encoder=H264Encoder, Encoder=Encoder)
    outputs.__dict__.update(Output=Output)
    libcamera.__dict__.update(
        Transform=Transform,
        controls=SimpleNamespace(
            AfModeEnum=AfModeEnum,
            AeMeteringModeEnum=AeMeteringModeEnum,
            AeFlickerModeEnum=AeFlickerModeEnum,
            AwbModeEnum=AwbModeEnum,
        ),
    )
    return {
        "picamera2": picamera2,
        "picamera2.encoders": encoders,
        "picamera2.outputs": outputs,
        "libcamera": libcamera,
    }

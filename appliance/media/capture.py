"""From a device to encoded frames, through its gate.

Each capture owns one thread that opens its device, reads it and encodes.  It reaches the loop
in one place, `_Capture._to_loop`.  A device that fails is reported and tried again until it
is back.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Final

import numpy as np
from av import Packet, VideoFrame

from appliance.media.ends import Outlet
from appliance.media.errors import CodecError
from appliance.media.gate import CameraGate, Gate, MicGate
from appliance.media.opus import FRAME, OpusEncoder, Samples
from appliance.media.packet import Codec, Encoded, packetize
from appliance.media.video_encoder import VideoEncoder
from hal.audio import PERIOD, Microphone
from hal.camera import Camera, VideoFormat
from hal.device import Device
from hal.errors import DeviceStalled, HalError

log = logging.getLogger(__name__)

_RETRY: Final = 1.0
"""Seconds between attempts to open a device that failed."""

_MIN_BITRATE: Final = 150_000
"""Bits a second below which a picture is of no use at any rate."""

_SILENCE_DBFS: Final = -96.0


class _Capture(ABC):
    """A device, its gate and the outlets that it feeds.

    `on_error` is called on the loop with each failure of the device, and with None when
    it works again.
    """

    def __init__(self, gate: Gate) -> None:
        self.on_error: Callable[[HalError | None], None] | None = None
        self._gate = gate
        self._outlets: tuple[Outlet, ...] = ()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._opened: asyncio.Event | None = None
        self._unsubscribe: Callable[[], None] | None = None
        self._changing = asyncio.Lock()
        self._failed = False

    @property
    @abstractmethod
    def device(self) -> Device:
        """The device that is captured."""

    @property
    def suspended(self) -> bool:
        """Whether the device is closed now."""
        return self._thread is None

    @property
    def failed(self) -> bool:
        """Whether the device gave an error and has not come back yet."""
        return self._failed

    async def start(self) -> None:
        """Open the device and begin; waits until it is open or has failed once."""
        self._loop = asyncio.get_running_loop()
        if self._unsubscribe is None:
            self._unsubscribe = self._gate.subscribe(self._gate_changed)
        async with self._changing:
            if self._thread is not None:
                return
            self._stopping = threading.Event()
            self._opened = asyncio.Event()
            self._thread = threading.Thread(
                target=self._run, args=(self._stopping,), name=type(self).__name__, daemon=True
            )
            self._thread.start()
            await self._opened.wait()

    async def stop(self) -> None:
        """Close the device for good and let go of the outlets."""
        await self.suspend()
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None
        for outlet in self._outlets:
            self.detach(outlet)

    async def suspend(self) -> None:
        """Close the device until `resume`; returns when it is closed."""
        async with self._changing:
            thread, self._thread = self._thread, None
            if thread is not None:
                self._stopping.set()
                await asyncio.to_thread(thread.join)

    async def resume(self) -> None:
        """Open the device again after `suspend`."""
        await self.start()

    def attach(self, outlet: Outlet) -> None:
        """Feed an outlet from now on."""
        outlet.epoch = lambda: self._gate.epoch
        self._outlets += (outlet,)

    def detach(self, outlet: Outlet) -> None:
        """Stop feeding an outlet.  Safe for one that is not attached."""
        self._outlets = tuple(o for o in self._outlets if o is not outlet)

    def _gate_changed(self, gate: Gate) -> None:
        if not gate.is_open and self._loop is not None:
            self._to_loop(self._flush)

    def _flush(self) -> None:
        for outlet in self._outlets:
            outlet.flush()

    def _send(self, frame: Encoded, epoch: int) -> None:
        # What was captured before the gate's last change must not leave after it.
        if epoch != self._gate.epoch:
            return
        for outlet in self._outlets:
            if outlet.codec == frame.codec:
                outlet.send(frame)

    def _to_loop(self, function: Callable[..., None], *args: object) -> None:
        """The one place where the capture's thread reaches the loop."""
        assert self._loop is not None
        try:
            self._loop.call_soon_threadsafe(function, *args)
        except RuntimeError:
            # The loop has closed under a thread that is about to end.
            self._stopping.set()

    def _report(self, error: HalError | None) -> None:
        if self._opened is not None:
            self._opened.set()
        self._failed = error is not None
        if self.on_error is not None:
            self.on_error(error)

    def _run(self, stopping: threading.Event) -> None:
        failed = False
        while not stopping.is_set():
            try:
                self._open()
                if failed:
                    log.warning("%s is back", self.device.label)
                failed = False
                self._to_loop(self._report, None)
                while not stopping.is_set():
                    self._capture()
            except DeviceStalled as error:
                if not failed:
                    log.warning("%s", error)
                failed = True
                self._to_loop(self._report, error)
            except HalError as error:
                if not failed:
                    log.warning("%s", error)
                failed = True
                self._to_loop(self._report, error)
                stopping.wait(_RETRY)
            finally:
                self._close()

    @abstractmethod
    def _open(self) -> None: ...

    @abstractmethod
    def _capture(self) -> None: ...

    @abstractmethod
    def _close(self) -> None: ...


class MicCapture(_Capture):
    """Sound from a microphone to Opus.

    While the gate is closed and the device open, digital silence from a fresh encoder is
    sent: nothing of what was heard before can be in it.  `level_dbfs` is the last
    frame's level behind the gate.
    """

    def __init__(self, microphone: Microphone, gate: MicGate, *, bitrate: int = 32_000) -> None:
        super().__init__(gate)
        self.gate = gate
        self.level_dbfs = _SILENCE_DBFS
        self._microphone = microphone
        self._encoder = OpusEncoder(bitrate)
        self._periods: list[Samples] = []
        self._epoch = gate.epoch

    @property
    def device(self) -> Device:
        """The microphone."""
        return self._microphone.device

    @property
    def xruns(self) -> int:
        """Overruns of the device since it was opened."""
        return self._microphone.xruns

    def _open(self) -> None:
        self._periods.clear()
        self._microphone.open()

    def _close(self) -> None:
        self._microphone.close()

    def _capture(self) -> None:
        frame = self._microphone.read()
        # Read before the gate is asked: a change in between makes the frame stale.
        epoch = self.gate.epoch
        samples = self.gate.admit(frame).to_ndarray().reshape(-1).astype(np.int16, copy=False)
        if epoch != self._epoch:
            self._epoch = epoch
            self._encoder.reset()
            self._periods = [np.zeros(PERIOD, np.int16) for _ in self._periods]
        self._periods.append(samples)
        if len(self._periods) * PERIOD < FRAME:
            return
        whole = np.concatenate(self._periods)
        self._periods.clear()
        self.level_dbfs = _level(whole)
        if any(outlet.active for outlet in self._outlets):
            self._to_loop(self._send, packetize(self._encoder.encode(whole), "opus"), epoch)
        else:
            self._encoder.skip()


class CameraCapture(_Capture):
    """Pictures from a camera to H.264 or VP8, encoded once per codec and only while
    somebody receives them.

    `bitrate` is the most that is sent; receivers' estimates lower it.  `preview` is the
    newest picture, None while the gate or the device is closed or the camera encodes by itself.
    """

    def __init__(
        self,
        camera: Camera,
        gate: CameraGate,
        wanted: VideoFormat | None = None,
        bitrate: int = 2_000_000,
    ) -> None:
        super().__init__(gate)
        self.gate = gate
        self.preview: VideoFrame | None = None
        self.wanted = wanted or VideoFormat()
        self.frames = 0
        self._camera = camera
        self._most = bitrate
        self._estimates: dict[Outlet, int] = {}
        self._encoders: dict[Codec, VideoEncoder] = {}
        self._keyframes: set[Codec] = set()

    @property
    def device(self) -> Device:
        """The camera."""
        return self._camera.device

    @property
    def bitrate(self) -> int:
        """What is sent now, in bit/s: the least that a receiver has asked for."""
        return max(_MIN_BITRATE, min([self._most, *self._estimates.values()]))

    def attach(self, outlet: Outlet) -> None:
        """Feed an outlet; its keyframe requests and estimates reach the encoder."""
        super().attach(outlet)

        def keyframe() -> None:
            if outlet.codec is not None:
                self._keyframes.add(outlet.codec)
            self._camera.request_keyframe()

        def bitrate(bps: int) -> None:
            self._estimates[outlet] = bps
            self._camera.set_bitrate(self.bitrate)

        outlet.on_keyframe_request = keyframe
        outlet.on_bitrate = bitrate

    def detach(self, outlet: Outlet) -> None:
        """Stop feeding an outlet and forget what it asked for."""
        super().detach(outlet)
        self._estimates.pop(outlet, None)
        outlet.on_keyframe_request = outlet.on_bitrate = None

    def _open(self) -> None:
        self._camera.open(self.wanted)

    def _close(self) -> None:
        self._camera.close()
        self.preview = None
        for encoder in self._encoders.values():
            encoder.close()
        self._encoders.clear()

    def _capture(self) -> None:
        picture = self._camera.read()
        epoch = self.gate.epoch
        if not self.gate.is_open:
            self.preview = None
            return
        self.frames += 1
        codecs = {outlet.codec for outlet in self._outlets if outlet.active}
        if isinstance(picture, Packet):
            if "h264" in codecs:
                self._to_loop(self._send, packetize(picture, "h264"), epoch)
            return
        self.preview = picture
        for codec in codecs:
            if codec == "h264" or codec == "vp8":
                self._encode(picture, codec, epoch)
        for codec in self._encoders.keys() - codecs:
            self._encoders.pop(codec).close()

    def _encode(self, picture: VideoFrame, codec: Codec, epoch: int) -> None:
        if codec == "opus":
            return
        encoder = self._encoders.get(codec)
        if encoder is None:
            size = self._camera.format
            encoder = VideoEncoder(codec, size.width, size.height, size.rate, self.bitrate)
            self._encoders[codec] = encoder
        encoder.bitrate = self.bitrate
        keyframe = codec in self._keyframes
        self._keyframes.discard(codec)
        try:
            packet = encoder.encode(picture, keyframe)
        except CodecError as error:
            log.warning("%s; starting the encoder again", error)
            self._encoders.pop(codec).close()
            return
        self._to_loop(self._send, packetize(packet, codec), epoch)


def _level(samples: Samples) -> float:
    mean = float(np.mean(np.square(samples, dtype=np.float64)))
    return max(_SILENCE_DBFS, 10 * float(np.log10(max(mean, 1e-9) / 32768.0**2)))

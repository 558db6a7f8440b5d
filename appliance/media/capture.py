"""From a device to encoded frames, through its gate.

Each capture owns one thread that opens its device, reads it and encodes; see `worker`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

import numpy as np
from av import Packet, VideoFrame

from appliance.media.ends import Outlet
from appliance.media.errors import CodecError
from appliance.media.gate import CameraGate, Gate, MicGate
from appliance.media.lease import Lease
from appliance.media.meter import SILENCE_DBFS, Meter, dbfs
from appliance.media.mic_stream import MicStream
from appliance.media.opus import Samples
from appliance.media.packet import Codec, Encoded, packetize
from appliance.media.video_encoder import VideoEncoder
from appliance.media.worker import Worker
from hal.audio import Microphone
from hal.camera import Camera, VideoFormat
from hal.device import Device

log = logging.getLogger(__name__)

_MIN_BITRATE: Final = 150_000
"""Bits a second below which a picture is of no use at any rate."""


class _Capture(Worker):
    """A device, its gate and the outlets that it feeds.

    `lease`, where set, is asked before each period; see `appliance.media.lease`.
    """

    def __init__(self, gate: Gate) -> None:
        super().__init__()
        self.lease: Lease | None = None
        self._gate = gate
        self._outlets: tuple[Outlet, ...] = ()
        self._unsubscribe: Callable[[], None] | None = None

    async def start(self) -> None:
        """Open the device and begin; waits until it is open or has failed once."""
        self._loop = asyncio.get_running_loop()
        if self._unsubscribe is None:
            self._unsubscribe = self._gate.subscribe(self._gate_changed)
        await super().start()

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
            await self._halt()

    async def resume(self) -> None:
        """Open the device again after `suspend`."""
        await self.start()

    def attach(self, outlet: Outlet) -> None:
        """Feed an outlet from now on."""
        outlet.epoch = self._present
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

    def _present(self) -> int:
        """The gate's epoch, after a look at the lease."""
        if self.lease is not None:
            self.lease.check()
        return self._gate.epoch

    def _send(self, frame: Encoded, epoch: int) -> None:
        # What was captured before the gate's last change must not leave after it.
        if epoch != self._present():
            return
        for outlet in self._outlets:
            if outlet.codec == frame.codec:
                outlet.send(frame)

    async def _obey(self, gate: Gate, put: Callable[[], None]) -> None:
        """Put another gate in place, with the device closed: nothing that passed the one
        before is still on its way when this returns."""
        async with self._changing:
            running = self._thread is not None
            await self._halt()
            put()
            self._gate = gate
            if self._unsubscribe is not None:
                self._unsubscribe()
                self._unsubscribe = gate.subscribe(self._gate_changed)
            self._flush()
            if running:
                await self._launch()


class MicCapture(_Capture):
    """Sound from a microphone to Opus.

    While the gate is closed and the device open, digital silence from a fresh encoder is
    sent: nothing of what was heard before can be in it.  Nor does what was heard while it was
    closed leave after it was opened, however late the thread takes it from the card.
    `level_dbfs` is the last frame's level behind the gate.
    """

    def __init__(
        self,
        microphone: Microphone,
        gate: MicGate,
        *,
        bitrate: int = 32_000,
        loss_percent: int = 5,
    ) -> None:
        super().__init__(gate)
        self.gate = gate
        self.meter: Meter | None = None
        """What is told of all sound from the microphone, ahead of the gate: levels, which leave
        the device nowhere but to its panel.  May be set at any time."""
        self.level_dbfs = SILENCE_DBFS
        self._microphone = microphone
        self.bitrate = bitrate
        """Bit/s of Opus; may be set at any time."""
        self.loss_percent = loss_percent
        """How many of the packets may be lost; may be set at any time."""
        self._stream = MicStream(bitrate, loss_percent, gate.epoch)

    @property
    def device(self) -> Device:
        """The microphone."""
        return self._microphone.device

    @property
    def xruns(self) -> int:
        """Overruns of the device since it was opened."""
        return self._microphone.xruns

    async def swap(self, microphone: Microphone) -> None:
        """Go on with another microphone behind the same gate.

        When that one does not open, the one before is back and HalError is raised.
        """
        before = self._microphone

        async def put() -> None:
            self._microphone = microphone

        def back() -> None:
            self._microphone = before

        await self._exchange(put, back)

    async def take_gate(self, gate: MicGate) -> None:
        """Obey another gate from now on, and only that."""

        def put() -> None:
            self.gate = gate
            self._stream.reset()

        if gate is not self.gate:
            await self._obey(gate, put)

    def _open(self) -> None:
        self._microphone.open()
        self._stream.begin()

    def _close(self) -> None:
        self._microphone.close()

    def _work(self) -> None:
        frame = self._microphone.read()
        # Read before the gate is asked: a change in between makes the frame stale.
        epoch = self._present()
        if (meter := self.meter) is not None:
            meter.add(frame.to_ndarray().reshape(-1).astype(np.int16, copy=False))
        samples = self.gate.admit(frame).to_ndarray().reshape(-1).astype(np.int16, copy=False)
        assert frame.pts is not None, "see Microphone.read"
        whole = self._stream.add(samples, frame.pts, epoch, lambda: self._microphone.clock)
        if whole is None:
            return
        self.level_dbfs = _level(whole)
        if any(outlet.active for outlet in self._outlets):
            packet = self._stream.encode(whole, self.bitrate, self.loss_percent)
            self._to_loop(self._send, packetize(packet, "opus"), epoch)
        else:
            self._stream.skip()


class CameraCapture(_Capture):
    """Pictures from a camera to H.264 or VP8, encoded once per codec and only while
    somebody receives them.

    `bitrate` is the most that is sent; receivers' estimates lower it.  `preview` is the
    newest picture, None while the gate or the device is closed.
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
        self._encoding: bool | None = None

    @property
    def device(self) -> Device:
        """The camera."""
        return self._camera.device

    @property
    def format(self) -> VideoFormat:
        """What the camera delivers; valid once it was opened."""
        return self._camera.format

    async def swap(
        self,
        camera: Camera | Callable[[], Awaitable[Camera]] | None = None,
        wanted: VideoFormat | None = None,
        check: Callable[[], None] | None = None,
    ) -> None:
        """Go on with another camera, another format, or both, behind the same gate.

        A function gives the camera while the present one is closed, and so may open all of
        them to choose.  `check` may look at `format` once the camera is open, and raise.
        Then, or when it does not open (HalError), all is as before and the error is raised.
        """
        before = (self._camera, self.wanted)

        async def put() -> None:
            if camera is not None:
                self._camera = camera if isinstance(camera, Camera) else await camera()
            self.wanted = wanted or self.wanted

        def back() -> None:
            self._camera, self.wanted = before

        await self._exchange(put, back, check)

    async def take_gate(self, gate: CameraGate) -> None:
        """Obey another gate from now on, and only that."""

        def put() -> None:
            self.gate = gate

        if gate is not self.gate:
            await self._obey(gate, put)

    @property
    def bitrate(self) -> int:
        """What is sent now, in bit/s: the least that a receiver has asked for."""
        return max(_MIN_BITRATE, min([self._most, *self._estimates.values()]))

    def limit(self, bitrate: int) -> None:
        """Send at most so many bit/s from now on."""
        self._most = bitrate
        self._camera.set_bitrate(self.bitrate)

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
        self._encoding = None
        self._camera.set_bitrate(self.bitrate)

    def _close(self) -> None:
        self._camera.close()
        self.preview = None
        for encoder in self._encoders.values():
            encoder.close()
        self._encoders.clear()

    def _work(self) -> None:
        codecs = {outlet.codec for outlet in self._outlets if outlet.active}
        encoding = "h264" in codecs and self.gate.is_open
        if encoding is not self._encoding:
            self._camera.set_encoding(encoding)
            self._encoding = encoding
        # Read before the picture is: one that was taken under another state is stale.
        epoch = self._present()
        picture: VideoFrame | Packet[Any] | None = self._camera.read()
        if not self.gate.is_open:
            self.preview = None
            return
        self.frames += 1
        if isinstance(picture, Packet):
            if "h264" in codecs:
                self._to_loop(self._send, packetize(picture, "h264"), epoch)
                codecs.discard("h264")
            picture = self._camera.preview
        self.preview = picture
        if picture is None:
            return
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
        keyframe = codec in self._keyframes
        self._keyframes.discard(codec)
        try:
            encoder.bitrate = self.bitrate
            packet = encoder.encode(picture, keyframe)
        except CodecError as error:
            log.warning("%s; starting the encoder again", error)
            self._encoders.pop(codec).close()
            return
        self._to_loop(self._send, packetize(packet, codec), epoch)


def _level(samples: Samples) -> float:
    return dbfs(float(np.mean(np.square(samples, dtype=np.float64))))

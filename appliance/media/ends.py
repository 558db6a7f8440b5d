"""The two ends of one kind of media in a peer: what it sends, and what it receives.

Together with `peer` this is the seam to aiortc: frames that are encoded already go past
its encoders, feedback reaches ours, and packets that arrive go past its jitter buffer and
decoders.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final, cast

from aiortc import MediaStreamTrack
from aiortc.rtcrtpsender import RTCEncodedFrame
from aiortc.rtp import (
    RTCP_PSFB_APP,
    RtcpPsfbPacket,
    RtcpSrPacket,
    RtpPacket,
    unpack_remb_fci,
)
from aiortc.stats import RTCRemoteInboundRtpStreamStats

from appliance.media.packet import AUDIO_CLOCK, VIDEO_CLOCK, Codec, Encoded, Kind, MediaPacket
from appliance.media.sender_clock import SenderClock

_AUDIO_QUEUE: Final = 10
"""Opus frames that may wait for the transport: 200 ms, then the oldest is dropped."""

_VIDEO_QUEUE: Final = 2
"""Pictures that may wait for the transport; more means that the link or loop stalls."""


_LEAP: Final = 2.0
"""Seconds by which a source's time may run ahead of ours before it counts as another time."""


class Outlet:
    """What a peer sends of one kind.  To be used on the loop's thread only.

    `on_keyframe_request` is called when the far end asks for a keyframe, `on_bitrate` with
    the bits a second that it says it can receive.  `epoch`, where set, dates each frame: one
    that was queued under another epoch than the present one is never sent.  `codec` and
    `active` may be read from any thread.
    """

    def __init__(self, kind: Kind, transceiver: Any) -> None:
        self.kind: Final = kind
        self.on_keyframe_request: Callable[[], None] | None = None
        self.on_bitrate: Callable[[int], None] | None = None
        self.epoch: Callable[[], int] | None = None
        self.frames_dropped = 0
        self._transceiver = transceiver
        self._sender: Any = transceiver.sender
        self._queue: deque[tuple[Encoded, int]] = deque()
        self._ready = asyncio.Event()
        self._needs_keyframe = kind == "video"
        self._clock = VIDEO_CLOCK if kind == "video" else AUDIO_CLOCK
        self._shift = 0
        self._sent: tuple[int, float, int] | None = None
        self._sender.replaceTrack(_Placeholder(kind))
        # Set on the instance: aiortc calls each of these through the object.
        self._sender._next_encoded_frame = self._next
        self._sender._send_keyframe = self._keyframe_requested
        self._handle_rtcp = self._sender._handle_rtcp_packet
        self._sender._handle_rtcp_packet = self._rtcp_received

    @property
    def codec(self) -> Codec | None:
        """The negotiated codec, None before negotiation."""
        return _codec(self._transceiver)

    @property
    def heard(self) -> RTCRemoteInboundRtpStreamStats | None:
        """What the far end last reported of what it receives; None before it has."""
        for one in self._sender._RTCRtpSender__stats.values():
            if isinstance(one, RTCRemoteInboundRtpStreamStats):
                return one
        return None

    @property
    def active(self) -> bool:
        """Whether the other side takes this kind and the transport is up."""
        return (
            self._transceiver.currentDirection in ("sendrecv", "sendonly")
            and self._sender.transport.state == "connected"
        )

    def send(self, frame: Encoded) -> None:
        """Send one frame, or drop it where that keeps the delay down.

        Video starts with a keyframe, and after a dropped picture goes on with one.
        """
        if not self.active:
            return
        if self._needs_keyframe:
            if not frame.keyframe:
                self._keyframe_requested()
                return
            self._needs_keyframe = False
        limit = _VIDEO_QUEUE if self.kind == "video" else _AUDIO_QUEUE
        if len(self._queue) >= limit:
            self.frames_dropped += 1
            if self.kind == "video":
                self._queue.clear()
                self._needs_keyframe = not frame.keyframe
                if self._needs_keyframe:
                    self._keyframe_requested()
                    return
            else:
                self._queue.popleft()
        self._queue.append((frame, self._now()))
        self._ready.set()

    def flush(self) -> None:
        """Forget all that was queued, and all that could be sent again on request."""
        self._queue.clear()
        self._sender._RTCRtpSender__rtp_history.clear()
        self._needs_keyframe = self.kind == "video"

    def close(self) -> None:
        """Let go of everybody who listened."""
        self.on_keyframe_request = None
        self.on_bitrate = None
        self._queue.clear()

    def _now(self) -> int:
        return 0 if self.epoch is None else self.epoch()

    def _keyframe_requested(self) -> None:
        if self.on_keyframe_request is not None:
            self.on_keyframe_request()

    async def _next(self, codec: object) -> RTCEncodedFrame:
        while True:
            while not self._queue:
                self._ready.clear()
                await self._ready.wait()
            frame, epoch = self._queue.popleft()
            if epoch == self._now():
                break
        return RTCEncodedFrame(
            list(frame.payloads), self._stamp(frame.timestamp) & 0xFFFFFFFF, cast(int, None)
        )

    def _stamp(self, timestamp: int) -> int:
        """The frame's time in this stream.  A device that was opened again, or another one in
        its place, counts from an origin of its own: the stream's time goes on all the same,
        for a receiver takes a picture from the past for one that came too late."""
        now = time.monotonic()
        if self._sent is not None:
            last, at, stamp = self._sent
            elapsed = round((now - at) * self._clock)
            if not 0 < timestamp - last <= elapsed + _LEAP * self._clock:
                self._shift = stamp + max(elapsed, 1) - timestamp
        self._sent = (timestamp, now, timestamp + self._shift)
        return timestamp + self._shift

    async def _rtcp_received(self, packet: Any) -> None:
        if isinstance(packet, RtcpPsfbPacket) and packet.fmt == RTCP_PSFB_APP:
            try:
                bitrate, ssrcs = unpack_remb_fci(packet.fci)
            except ValueError:
                return
            if self._sender._ssrc in ssrcs and self.on_bitrate is not None:
                self.on_bitrate(int(bitrate))
            return
        await self._handle_rtcp(packet)


class Inlet:
    """What a peer receives of one kind.  `on_packet` is called on the loop's thread; `clock`
    is the sender's, as far as it was told; its timestamps count `clock_rate` a second."""

    def __init__(self, kind: Kind, transceiver: Any) -> None:
        self.kind: Final = kind
        self.on_packet: Callable[[MediaPacket], None] | None = None
        self._transceiver = transceiver
        self._receiver: Any = transceiver.receiver
        self._ssrc: int | None = None
        self._pli: asyncio.Task[None] | None = None
        # aiortc hands each packet to its jitter buffer after RTCP, NACK and RTX are
        # done; a stand-in takes it there and never completes a frame for its decoder.
        self._receiver._RTCRtpReceiver__jitter_buffer = self
        self.clock_rate: Final = VIDEO_CLOCK if kind == "video" else AUDIO_CLOCK
        self.clock: Final = SenderClock(self.clock_rate)
        self._handle_rtcp = self._receiver._handle_rtcp_packet
        self._receiver._handle_rtcp_packet = self._rtcp_received

    @property
    def codec(self) -> Codec | None:
        """The codec that the other side should prefer, None before negotiation."""
        return _codec(self._transceiver)

    def request_keyframe(self) -> None:
        """Ask the sender for a keyframe (PLI); a request under way is not repeated."""
        if self._ssrc is None or (self._pli is not None and not self._pli.done()):
            return
        self._pli = asyncio.ensure_future(self._receiver._send_rtcp_pli(self._ssrc))

    def add(self, packet: RtpPacket) -> tuple[bool, None]:
        """Take one packet from aiortc, in place of its jitter buffer."""
        self._ssrc = packet.ssrc
        codec = _codec_of_payload_type(self._transceiver, packet.payload_type)
        data: bytes = cast(Any, packet)._data
        if codec is not None and data and self.on_packet is not None:
            self.on_packet(
                MediaPacket(
                    codec,
                    packet.sequence_number,
                    packet.timestamp,
                    bool(packet.marker),
                    data,
                    time.monotonic(),
                )
            )
        return False, None

    async def _rtcp_received(self, packet: Any) -> None:
        # A report on another stream of this kind, such as the one before the sender began anew,
        # is none on what arrives now.
        if isinstance(packet, RtcpSrPacket) and packet.ssrc == self._ssrc:
            info = packet.sender_info
            self.clock.report(info.rtp_timestamp, info.ntp_timestamp)
        await self._handle_rtcp(packet)

    def close(self) -> None:
        """Let go of the listener."""
        self.on_packet = None
        if self._pli is not None:
            self._pli.cancel()


class _Placeholder(MediaStreamTrack):
    """Stands where aiortc wants a track: frames come through the outlet instead."""

    def __init__(self, kind: Kind) -> None:
        super().__init__()
        self.kind = kind

    async def recv(self) -> Any:
        raise AssertionError("the outlet feeds the sender, not the track")


def _codec(transceiver: Any) -> Codec | None:
    for codec in transceiver._codecs if transceiver.currentDirection else ():
        name = _codec_name(codec)
        if name is not None:
            return name
    return None


def _codec_of_payload_type(transceiver: Any, payload_type: int) -> Codec | None:
    for codec in transceiver._codecs:
        if codec.payloadType == payload_type:
            return _codec_name(codec)
    return None


def _codec_name(codec: Any) -> Codec | None:
    names: dict[str, Codec] = {"opus": "opus", "h264": "h264", "vp8": "vp8"}
    return names.get(codec.name.lower())

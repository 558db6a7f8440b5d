"""Encoded media on its way to and from RTP.

One encoded frame is cut into RTP payloads once, however many peers receive it.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final, Literal

from aiortc.codecs.h264 import H264Encoder
from av import Packet

from appliance.media.errors import CodecError

Kind = Literal["audio", "video"]
Codec = Literal["opus", "h264", "vp8"]

VIDEO_CLOCK: Final = 90_000
"""Ticks a second of the RTP clock of every video codec (RFC 3551)."""

AUDIO_CLOCK: Final = 48_000
"""Ticks a second of the RTP clock of Opus, whatever its sampling rate (RFC 7587)."""

PAYLOAD_MAX: Final = 1200
"""Bytes in one RTP payload, so that a packet passes every common tunnel unfragmented."""

# Stateless in what is used of it here: it cuts access units into NAL units and those
# into RFC 6184 payloads of at most 1300 bytes.
_h264 = H264Encoder()


@dataclass(frozen=True, slots=True)
class Encoded:
    """One encoded frame, ready for RTP and shared by all who receive it.

    `timestamp` is in ticks of the codec's RTP clock, from any fixed origin.
    """

    codec: Codec
    payloads: tuple[bytes, ...]
    timestamp: int
    keyframe: bool = False

    @property
    def size(self) -> int:
        """Bytes of all payloads together."""
        return sum(map(len, self.payloads))


@dataclass(frozen=True, slots=True)
class MediaPacket:
    """One RTP packet that arrived, in the order of arrival and with RTX undone.

    `data` is free of the codec's payload header (H.264: Annex B).  `arrival` is in
    seconds of the monotonic clock.
    """

    codec: Codec
    sequence: int
    timestamp: int
    marker: bool
    data: bytes
    arrival: float


def packetize(packet: Packet[Any], codec: Codec) -> Encoded:
    """Cut one encoded frame into RTP payloads.

    The packet's pts and time_base give the timestamp.  Raises CodecError when they are
    missing.
    """
    if packet.pts is None or packet.time_base is None:
        raise CodecError("an encoded frame without a time cannot be sent")
    clock = AUDIO_CLOCK if codec == "opus" else VIDEO_CLOCK
    timestamp = int(packet.pts * Fraction(packet.time_base) * clock)
    if codec == "opus":
        payloads = [bytes(packet)]
    elif codec == "h264":
        payloads = _h264.pack(packet)[0]
    else:
        payloads = _vp8_payloads(bytes(packet))
    return Encoded(codec, tuple(payloads), timestamp, bool(packet.is_keyframe))


def _vp8_payloads(frame: bytes) -> list[bytes]:
    # RFC 7741 with the one-byte descriptor: S is set on the first payload only.  No
    # picture id: it would have to count per receiver, and receivers do without.
    step = PAYLOAD_MAX - 1
    return [
        (b"\x00" if start else b"\x10") + frame[start : start + step]
        for start in range(0, len(frame), step)
    ]

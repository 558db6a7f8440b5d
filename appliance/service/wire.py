"""What really leaves the device: the sound in its own RTP packets, just before encryption."""

from __future__ import annotations

import re
import threading
import time
from typing import Any, Final

from appliance.media.errors import CodecError
from appliance.media.leg import MediaLeg
from appliance.media.opus import RATE, OpusDecoder
from hal.audio.spectrum import rms_dbfs

AUDIBLE_DBFS: Final = -60.0
"""A packet whose sound is louder is audible."""


BLENDED: Final = 5 * RATE // 1000
"""Samples at the beginning of what a decoder gives that are blended from the packet before: 5 ms.
In the first packet of silence they are the end of a sound that had left already."""


class Ear:
    """Tells which packets of one Opus stream carry sound of their own."""

    def __init__(self) -> None:
        self._decoder = OpusDecoder()

    def hears(self, payload: bytes) -> bool:
        """Whether the stream's next packet is audible.  Raises CodecError for what is no Opus."""
        return rms_dbfs(self._decoder.decode(payload)[BLENDED:]) > AUDIBLE_DBFS


class SentSound:
    """Decodes the sound of one call as it is sent.

    `packets` and `audible` count; `last_audible` is when (`time.monotonic`) the last audible
    packet was handed to encryption, None before the first.
    """

    def __init__(self) -> None:
        self.packets = 0
        self.audible = 0
        self.last_audible: float | None = None
        self._lock = threading.Lock()
        self._ssrc: int | None = None
        self._ear = Ear()

    def begin(self, offer: str) -> None:
        """A call with this offer begins: its sound is told by the ssrc in there."""
        ssrc = audio_ssrc(offer)
        with self._lock:
            self._ssrc = ssrc
            self._ear = Ear()

    def sent(self, data: bytes) -> None:
        """Take one outgoing packet, RTP or RTCP."""
        payload = rtp_payload(data, self._ssrc)
        if payload is None:
            return
        moment = time.monotonic()
        try:
            is_audible = self._ear.hears(payload)
        except CodecError:
            return
        self.packets += 1
        if is_audible:
            self.audible += 1
            self.last_audible = moment


class TappedLeg(MediaLeg):
    """A leg whose outgoing sound is listened to."""

    def __init__(self, sent: SentSound, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._sent = sent

    async def offer(self) -> str:
        """See `MediaLeg.offer`."""
        offer = await super().offer()
        self._sent.begin(offer)
        self.peer.tap = self._sent.sent
        return offer


def audio_ssrc(offer: str) -> int | None:
    """The first ssrc of an SDP's sound."""
    for section in re.split(r"^(?=m=)", offer, flags=re.MULTILINE):
        found = re.search(r"^a=ssrc:(\d+)", section, flags=re.MULTILINE)
        if section.startswith("m=audio") and found is not None:
            return int(found[1])
    return None


def rtp_payload(data: bytes, ssrc: int | None) -> bytes | None:
    """The payload of an RTP packet of this ssrc; None for any other and for RTCP."""
    if ssrc is None or len(data) < 12 or data[0] >> 6 != 2:
        return None
    # RTCP's packet types, where RTP has its marker and payload type (RFC 5761).
    if 192 <= data[1] <= 223 or int.from_bytes(data[8:12], "big") != ssrc:
        return None
    start = 12 + 4 * (data[0] & 0x0F)
    if data[0] & 0x10:
        start += 4 + 4 * int.from_bytes(data[start + 2 : start + 4], "big")
    end = len(data) - (data[-1] if data[0] & 0x20 else 0)
    return data[start:end] if start < end else None

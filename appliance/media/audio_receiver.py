"""From Opus packets of one sender to a steady stream of samples.

Packets arrive on the loop's thread; whoever plays or mixes pulls 20 ms at a time from a
thread of its own.  Between them stands the jitter buffer and one lock.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Final

import numpy as np

from appliance.media.ends import Inlet
from appliance.media.errors import CodecError
from appliance.media.jitter import AudioJitterBuffer
from appliance.media.opus import FRAME, RATE, OpusDecoder, Samples
from appliance.media.packet import MediaPacket

log = logging.getLogger(__name__)

_FADE: Final = 240
"""Samples (5 ms) over which a stream fades in, out, or across a cut."""

_CONCEAL: Final = 3
"""Frames of 20 ms that a gap is covered with the fading last sound; then silence."""

_SLACK: Final = 0.015
"""Seconds of more than is needed that are borne before samples are cut out."""

_CUT: Final = RATE // 100
"""Samples that are cut out or said twice at a time: 10 ms."""

_CUTS: Final = 15
"""Cuts of 10 ms in one review, so that no pull takes long: 150 ms given back a second."""

_REVIEW: Final = 50
"""Pulls (one second) over which the delay must exceed what is needed for a cut."""


class AudioReceiver:
    """What one sender says.  `pull` is safe from one thread beside the loop's."""

    def __init__(self, inlet: Inlet) -> None:
        self.underruns = 0
        self.cuts = 0
        self.arrived = asyncio.Event()
        """Set when the first packet has come."""
        self.hold = 0.0
        """Seconds that sound is held back beyond what jitter asks for; steps of 10 ms count."""
        self.playing: tuple[int, float] | None = None
        """The RTP time of the sound that was pulled last, and when it is heard, in seconds of
        the monotonic clock; None before the first.  To be read from any thread."""
        self._inlet = inlet
        self._lock = threading.Lock()
        self._jitter = AudioJitterBuffer()
        self._decoder = OpusDecoder()
        self._pcm: Samples = np.empty(0, np.int16)
        self._next: int | None = None
        self._last: Samples = np.zeros(FRAME, np.int16)
        self._gap = _CONCEAL
        self._buffering = True
        self._held = 0.0
        self._least, self._most = float("inf"), 0.0
        self._pulls = 0
        inlet.on_packet = self._received

    @property
    def delay_ms(self) -> float:
        """What is buffered now, in milliseconds."""
        with self._lock:
            return 1000 * self._buffered()

    def pull(self, at: float | None = None) -> Samples:
        """The next FRAME samples, mono at RATE; silence when there is nothing to say.

        `at` is when the first of them is heard, for `playing`.
        """
        with self._lock:
            if self._buffering:
                if self._buffered() < self._target() or not len(self._jitter):
                    return self._conceal()
                self._buffering = False
                self._held = self.hold
                self._least, self._most = float("inf"), 0.0
                self._pulls = 0
            self._review()
            self._stretch()
            while len(self._pcm) < FRAME:
                if not self._decode_next():
                    self._buffering = True
                    self.underruns += 1
                    return self._conceal()
            if at is not None and self._next is not None:
                self.playing = (self._next - len(self._pcm), at)
            samples, self._pcm = self._pcm[:FRAME], self._pcm[FRAME:]
            if self._gap:
                samples = _faded_in(samples)
                self._gap = 0
            self._last = samples
            return samples

    def close(self) -> None:
        """Stop listening to the inlet; pulls give silence from then on."""
        self._inlet.on_packet = None
        with self._lock:
            self._jitter.reset()
            self._pcm = np.empty(0, np.int16)

    def _received(self, packet: MediaPacket) -> None:
        with self._lock:
            self._jitter.push(packet.timestamp, packet.data, packet.arrival)
        self.arrived.set()

    def _buffered(self) -> float:
        head, tail = self._jitter.head, self._jitter.tail
        waiting = 0 if head is None or tail is None else tail - head + FRAME
        return (len(self._pcm) + waiting) / RATE

    def _target(self) -> float:
        return self._jitter.target + self.hold

    def _decode_next(self) -> bool:
        packet = self._jitter.pop()
        if packet is None:
            return False
        try:
            samples = self._decoder.decode(packet.data)
        except CodecError as error:
            log.debug("%s", error)
            return True
        missing = 0 if self._next is None else packet.time - self._next
        self._next = packet.time + len(samples)
        if 0 < missing <= _CONCEAL * FRAME:
            # A lost packet, not a pause: keep time, and cover the hole.
            self._pcm = np.concatenate([self._pcm, self._cover(missing)])
        self._pcm = np.concatenate([self._pcm, samples])
        return True

    def _cover(self, length: int) -> Samples:
        source = self._pcm[-FRAME:] if len(self._pcm) >= FRAME else self._last
        repeated = np.resize(source[::-1], length).astype(np.float32)
        return (repeated * np.linspace(0.7, 0.0, length, dtype=np.float32)).astype(np.int16)

    def _conceal(self) -> Samples:
        self._gap = min(self._gap + 1, _CONCEAL)
        if self._gap >= _CONCEAL or not self._last.any():
            self._last = np.zeros(FRAME, np.int16)
            return self._last
        # Played backwards the first sample meets the last one, so nothing clicks.
        fade = np.linspace(1.0, 0.3, FRAME, dtype=np.float32)
        self._last = (self._last[::-1] * fade).astype(np.int16)
        return self._last

    def _review(self) -> None:
        """Give back delay that nothing needs any more, ten milliseconds at a time.

        What the soonest packets leave in the buffer, less the jitter, is what the latest ones
        will find there: a frame must be left then.  The least delay has its share of the jitter
        in it already, so that a whole target is more than enough there.
        """
        buffered = self._buffered()
        self._least, self._most = min(self._least, buffered), max(self._most, buffered)
        self._pulls += 1
        if self._pulls < _REVIEW:
            return
        spare = max(
            self._least - self._jitter.target,
            self._most - self._jitter.spread - FRAME / RATE,
        )
        excess = spare - self.hold - _SLACK
        self._pulls, self._least, self._most = 0, float("inf"), 0.0
        if excess <= 0:
            return
        for _ in range(min(max(1, int(excess * RATE) // _CUT), _CUTS)):
            if not self._decode_a_cut():
                return
            self.cuts += 1
            pcm = self._pcm
            joined = _joined(pcm[:_FADE], pcm[_CUT : _CUT + _FADE])
            self._pcm = np.concatenate([joined, pcm[_CUT + _FADE :]])

    def _stretch(self) -> None:
        """Say ten milliseconds twice while sound is held less than it should be."""
        self._held = min(self._held, self.hold)
        if self.hold - self._held >= _CUT / RATE and self._decode_a_cut():
            pcm = self._pcm
            joined = _joined(pcm[_CUT : _CUT + _FADE], pcm[:_FADE])
            self._pcm = np.concatenate([pcm[:_CUT], joined, pcm[_FADE:]])
            self._held += _CUT / RATE

    def _decode_a_cut(self) -> bool:
        """Decode as much as a cut needs; False where there is less."""
        while len(self._pcm) < _CUT + _FADE and self._decode_next():
            pass
        return len(self._pcm) >= _CUT + _FADE


def _joined(before: Samples, after: Samples) -> Samples:
    """One sound becomes another over their length."""
    ramp = np.linspace(0.0, 1.0, len(before), dtype=np.float32)
    return (before * (1 - ramp) + after * ramp).astype(np.int16)


def _faded_in(samples: Samples) -> Samples:
    faded = samples.copy()
    ramp = np.linspace(0.0, 1.0, _FADE, dtype=np.float32)
    faded[:_FADE] = (faded[:_FADE] * ramp).astype(np.int16)
    return faded

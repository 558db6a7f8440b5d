"""Jitter buffers: packets in the order of arrival to media in the order of time.

No clocks, threads or codecs inside: the caller says what time it is.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

from appliance.media.packet import AUDIO_CLOCK, Codec, MediaPacket

_WINDOW: Final = 3.0
"""Seconds of arrivals from which the spread is estimated."""

_MIN_DELAY: Final = 0.020
_MAX_DELAY: Final = 0.300
"""Bounds of the audio delay in seconds: one packet, and what a talk still bears."""

_MOST: Final = 50
"""Audio packets that are held at the most: a second of the usual 20 ms."""

_VIDEO_SPAN: Final = 512
"""Packets of video that may wait for a missing one; aiortc's own buffer keeps as many."""


class Unwrapper:
    """RTP counters of `bits` bits to numbers that never wrap."""

    def __init__(self, bits: int) -> None:
        self._size = 1 << bits
        self._last: int | None = None

    def __call__(self, value: int) -> int:
        """The number nearest to the last one that is `value` modulo the counter's size."""
        if self._last is None:
            self._last = value
            return value
        half = self._size // 2
        self._last += (value - self._last + half) % self._size - half
        return self._last


@dataclass(frozen=True, slots=True)
class AudioPacket:
    """One packet with its place in time: samples of the RTP clock since any origin."""

    time: int
    data: bytes


class AudioJitterBuffer:
    """Orders audio packets and says how long to hold them.

    `target` is the delay in seconds that covers the jitter of the last three seconds: it rises at
    once with a late packet and falls when the late one is forgotten.  `spread` is that jitter:
    seconds by which the latest packet came after the soonest.
    """

    def __init__(self) -> None:
        self.target = _MIN_DELAY
        self.spread = 0.0
        self.received = 0
        self.late = 0
        self._unwrap = Unwrapper(32)
        self._packets: dict[int, bytes] = {}
        self._fastest: deque[tuple[float, float]] = deque()
        self._slowest: deque[tuple[float, float]] = deque()
        self._floor: int | None = None

    def __len__(self) -> int:
        return len(self._packets)

    @property
    def head(self) -> int | None:
        """The time of the earliest packet held, None when empty."""
        return min(self._packets) if self._packets else None

    @property
    def tail(self) -> int | None:
        """The time of the latest packet held, None when empty."""
        return max(self._packets) if self._packets else None

    def push(self, timestamp: int, data: bytes, arrival: float) -> None:
        """Take a packet; one whose time has passed is counted as late and dropped."""
        time = self._unwrap(timestamp)
        self.received += 1
        self._observe(time, arrival)
        if self._floor is not None and time < self._floor:
            if self._floor - time > 10 * AUDIO_CLOCK:
                # The sender has begun again with another origin.
                self.reset()
            else:
                self.late += 1
                return
        self._packets[time] = data
        if len(self._packets) > _MOST:
            del self._packets[min(self._packets)]

    def pop(self) -> AudioPacket | None:
        """Take out the earliest packet; all before it count as late from now on."""
        head = self.head
        if head is None:
            return None
        self._floor = head + 1
        return AudioPacket(head, self._packets.pop(head))

    def reset(self) -> None:
        """Forget all packets, and accept any time again."""
        self._packets.clear()
        self._fastest.clear()
        self._slowest.clear()
        self._floor = None

    def _observe(self, time: int, arrival: float) -> None:
        # Two monotonic queues give the extremes of a sliding window at a constant cost, however
        # many packets a sender throws.
        transit = arrival - time / AUDIO_CLOCK
        while self._fastest and self._fastest[-1][1] >= transit:
            self._fastest.pop()
        while self._slowest and self._slowest[-1][1] <= transit:
            self._slowest.pop()
        for queue in (self._fastest, self._slowest):
            queue.append((arrival, transit))
            while arrival - queue[0][0] > _WINDOW:
                queue.popleft()
        self.spread = min(self._slowest[0][1] - self._fastest[0][1], _MAX_DELAY)
        self.target = min(max(_MIN_DELAY, self.spread + _MIN_DELAY / 2), _MAX_DELAY)


@dataclass(frozen=True, slots=True)
class VideoUnit:
    """One whole encoded picture.  `timestamp` is in 90 kHz ticks and never wraps;
    `follows` is False where pictures before it were lost."""

    codec: Codec
    data: bytes
    timestamp: int
    keyframe: bool
    follows: bool


class FrameAssembler:
    """Builds pictures from video packets: each leaves with its marker bit.

    A picture leaves only after every one before it, unless they were given up by `skip`
    or because too much has piled up; after that only a keyframe may follow.
    """

    def __init__(self) -> None:
        self._sequence = Unwrapper(16)
        self._timestamp = Unwrapper(32)
        self._packets: dict[int, tuple[MediaPacket, int]] = {}
        self._next: int | None = None
        self._waits_for_keyframe = True
        self._waiting_since: float | None = None

    @property
    def waits_for_keyframe(self) -> bool:
        """Whether nothing but a keyframe can leave now."""
        return self._waits_for_keyframe

    def push(self, packet: MediaPacket) -> list[VideoUnit]:
        """Take a packet; give back the pictures that it completed, in order."""
        sequence = self._sequence(packet.sequence)
        timestamp = self._timestamp(packet.timestamp)
        if self._next is not None and sequence < self._next:
            return []
        self._packets[sequence] = (packet, timestamp)
        if self._next is None:
            self._next = sequence
        units = self._collect()
        if self._packets and len(self._packets) > _VIDEO_SPAN:
            self.skip()
        if not self._packets:
            self._waiting_since = None
        elif units or self._waiting_since is None:
            self._waiting_since = packet.arrival
        return units

    @property
    def has_hole(self) -> bool:
        """Whether packets wait for one that is missing."""
        return bool(self._packets) and self._next not in self._packets

    def overdue(self, now: float) -> float:
        """Seconds for which packets have waited for a missing one; 0 when none do."""
        if self._waiting_since is None or not self.has_hole:
            return 0.0
        return now - self._waiting_since

    def skip(self) -> None:
        """Give up what is missing: go on with the next keyframe."""
        self._packets.clear()
        self._next = None
        self._waits_for_keyframe = True
        self._waiting_since = None

    def _collect(self) -> list[VideoUnit]:
        units = []
        while (unit := self._collect_one()) is not None:
            units.append(unit)
        return [u for u in units if u.data]

    def _collect_one(self) -> VideoUnit | None:
        assert self._next is not None
        sequence = self._next
        parts = []
        while (entry := self._packets.get(sequence)) is not None:
            parts.append(entry)
            sequence += 1
            if entry[0].marker:
                break
        else:
            return None
        for used in range(self._next, sequence):
            del self._packets[used]
        self._next = sequence
        first, timestamp = parts[0]
        data = b"".join(part.data for part, _ in parts)
        keyframe = is_keyframe(first.codec, data)
        if self._waits_for_keyframe and not keyframe:
            return VideoUnit(first.codec, b"", timestamp, False, False)
        follows = not self._waits_for_keyframe
        self._waits_for_keyframe = False
        return VideoUnit(first.codec, data, timestamp, keyframe, follows)


def is_keyframe(codec: Codec, data: bytes) -> bool:
    """Whether an encoded picture (H.264: Annex B, an access unit) can be decoded alone.

    An H.264 picture counts only with its parameter sets in front, as every live encoder sends
    it: what is left of a keyframe whose first packets were missed may hold whole IDR slices.
    """
    if codec == "vp8":
        # RFC 6386 section 9.1: the lowest bit of a key frame is 0, and a start code follows.
        return len(data) > 6 and not data[0] & 1 and data[3:6] == b"\x9d\x01\x2a"
    start = 0
    while (start := data.find(b"\x00\x00\x01", start)) >= 0 and start + 3 < len(data):
        kind = data[start + 3] & 0x1F
        if kind == 7:
            return True
        if kind in (1, 5):
            return False
        start += 3
    return False

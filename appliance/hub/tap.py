"""What leaves a room beside its members' legs: the encoded canvas and the whole mix.

A tap is fed by the room and must never hold it up. `Intake` is the tap of everything that
writes: a queue with an end, between the room and a thread that may be slow.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from typing import Final, Literal, Protocol

import numpy as np
from aiortc.codecs.h264 import h264_depayload
from numpy.typing import NDArray

from appliance.media.packet import Encoded

Samples = NDArray[np.int16]

SPAN: Final = 10.0
"""Seconds of a room that may wait: memory cards pause for some seconds."""

SIZE: Final = 32 << 20
"""Bytes of pictures that may wait."""


class Tap(Protocol):
    """One who takes what a room gives. Neither method may wait, or raise."""

    def picture(self, frame: Encoded, at: float) -> None:
        """One H.264 frame of the canvas, of the time `at` in seconds of `time.monotonic`.

        Called on the loop's thread.
        """

    def sound(self, samples: Samples, at: float) -> None:
        """20 ms of everybody's sound, mono at 48 kHz, which begins at `at`.

        Called on the mixer's thread. The array belongs to all taps: it must not be changed.
        """


class Tappable(Protocol):
    """A room whose pictures and sound can be had: a `Stage`. For the loop's thread."""

    @property
    def rate(self) -> float:
        """Pictures a second."""

    def tap(self, tap: Tap) -> None:
        """Feed this tap too, from a keyframe that comes as soon as one can, and with one
        every two seconds from then on."""

    def untap(self, tap: Tap) -> None:
        """Feed this tap no more; unknown ones are ignored."""


@dataclass(frozen=True, slots=True)
class Picture:
    """One frame of the canvas, and its time."""

    at: float
    frame: Encoded

    def access_unit(self) -> bytes:
        """The frame as Annex B, put together again from its RTP payloads."""
        return b"".join(h264_depayload(payload) for payload in self.frame.payloads)


@dataclass(frozen=True, slots=True)
class Sound:
    """A piece of the mix, and the time at which it begins."""

    at: float
    samples: Samples


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that was asked for at a time."""

    at: float
    kind: Literal["pause", "stop"]


Item = Picture | Sound | Mark


class Intake:
    """A tap that queues what it is given for one other thread.

    When more waits than `span` seconds or `size` bytes, sound is lost, and pictures are up to the
    next keyframe that finds room: what is taken out can always be decoded.
    """

    def __init__(self, span: float = SPAN, size: int = SIZE) -> None:
        self.dropped = 0
        """Pictures lost."""
        self._span = span
        self._size = size
        self._items: deque[Item] = deque()
        self._bytes = 0
        self._broken = False
        self._filled = threading.Condition()

    def picture(self, frame: Encoded, at: float) -> None:
        """Queue a picture; see `Tap.picture`."""
        with self._filled:
            if self._full(at) or (self._broken and not frame.keyframe):
                self._broken = True
                self.dropped += 1
                return
            self._broken = False
            self._bytes += frame.size
            self._put(Picture(at, frame))

    def sound(self, samples: Samples, at: float) -> None:
        """Queue a piece of sound; see `Tap.sound`."""
        with self._filled:
            if not self._full(at):
                self._put(Sound(at, samples))

    def mark(self, kind: Literal["pause", "stop"], at: float) -> None:
        """Queue a wish, however full the queue is."""
        with self._filled:
            self._put(Mark(at, kind))

    def take(self) -> Item:
        """The oldest item; waits for one."""
        with self._filled:
            self._filled.wait_for(lambda: self._items)
            return self._pop()

    def poll(self, timeout: float) -> Item | None:
        """As `take`, but None if there is no item within `timeout` seconds."""
        with self._filled:
            return self._pop() if self._filled.wait_for(lambda: self._items, timeout) else None

    def clear(self) -> None:
        """Forget all pictures and sounds that wait. The next picture taken is a keyframe."""
        with self._filled:
            self._items = deque(item for item in self._items if isinstance(item, Mark))
            self._bytes = 0
            self._broken = True

    def _full(self, at: float) -> bool:
        return bool(self._items) and (
            at - self._items[0].at > self._span or self._bytes > self._size
        )

    def _pop(self) -> Item:
        item = self._items.popleft()
        if isinstance(item, Picture):
            self._bytes -= item.frame.size
        return item

    def _put(self, item: Item) -> None:
        self._items.append(item)
        self._filled.notify()

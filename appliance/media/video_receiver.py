"""From video packets of one sender to pictures.

Packets are put together on the loop's thread and decoded on a thread of the receiver's
own.  A decoder that falls behind skips to the next keyframe: it never queues up delay.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import threading
from collections.abc import Callable
from fractions import Fraction
from typing import Final, cast

from av import CodecContext, Packet, VideoCodecContext, VideoFrame
from av.error import FFmpegError

from appliance.media.ends import Inlet
from appliance.media.jitter import FrameAssembler, VideoUnit
from appliance.media.packet import Codec, MediaPacket

log = logging.getLogger(__name__)

_TIME_BASE: Final = Fraction(1, 90_000)

_PATIENCE: Final = 0.150
"""Seconds to wait for retransmission before a keyframe is asked for instead."""

_REPEAT: Final = 0.400
"""Seconds between requests while none is answered."""

_BACKLOG: Final = 15
"""Pictures (half a second at 30 a second) that may wait for the decoder."""

MOST_PIXELS: Final = 4096 * 2304
"""Pixels of a picture that is decoded.  A decoder holds several of them at 1.5 bytes a pixel, and
a few bytes from anybody can announce 16,000 by 16,000."""


class VideoReceiver:
    """The pictures of one sender.

    `latest` is the newest decoded picture (yuv420p), or None before the first; it is replaced,
    never changed.  `on_frame` is called with each picture on the decoder's thread.

    Pictures of more than `MOST_PIXELS` are not decoded, nor asked for again: the next keyframe that
    is small enough goes on.
    """

    def __init__(self, inlet: Inlet, on_frame: Callable[[VideoFrame], None] | None = None) -> None:
        self.latest: VideoFrame | None = None
        self.on_frame = on_frame
        self.frames = 0
        self.errors = 0
        self._inlet = inlet
        self._loop = asyncio.get_running_loop()
        self._assembler = FrameAssembler()
        self._units: queue.SimpleQueue[VideoUnit | None] = queue.SimpleQueue()
        self._timer: asyncio.TimerHandle | None = None
        self._asked_at = float("-inf")
        # Set by the decoder's thread: to ask for more would bring the same.
        self._too_large = False
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._decode, name="video-decoder", daemon=True)
        self._thread.start()
        inlet.on_packet = self._received

    def request_keyframe(self) -> None:
        """Ask the sender for a keyframe, at most every few hundred milliseconds."""
        now = self._loop.time()
        if self._closed.is_set() or self._too_large:
            return
        if now - self._asked_at >= _REPEAT:
            self._asked_at = now
            self._inlet.request_keyframe()

    def close(self) -> None:
        """Stop listening and let the decoder's thread end.  Safe to call twice.

        It does not wait: the thread ends by itself, at the latest when it has decoded the
        picture that it is at.
        """
        if self._closed.is_set():
            return
        self._closed.set()
        self._inlet.on_packet = None
        if self._timer is not None:
            self._timer.cancel()
        self._units.put(None)

    async def wait_closed(self) -> None:
        """Wait until the decoder's thread has ended, after `close`."""
        await asyncio.to_thread(self._thread.join)

    def _received(self, packet: MediaPacket) -> None:
        for unit in self._assembler.push(packet):
            if self._units.qsize() >= _BACKLOG:
                self._assembler.skip()
                break
            self._units.put(unit)
        if self._assembler.waits_for_keyframe:
            self.request_keyframe()
        elif not self._assembler.has_hole:
            return
        if self._timer is None:
            self._timer = self._loop.call_later(_PATIENCE, self._check)

    def _check(self) -> None:
        """Look whether what was missing has come; give it up when it has not."""
        self._timer = None
        if self._assembler.overdue(self._loop.time()) >= _PATIENCE:
            self._assembler.skip()
        if self._assembler.waits_for_keyframe:
            self.request_keyframe()
        if self._assembler.waits_for_keyframe or self._assembler.has_hole:
            self._timer = self._loop.call_later(_PATIENCE, self._check)

    def _decode(self) -> None:
        context: VideoCodecContext | None = None
        codec: Codec | None = None
        broken = warned = False
        while (unit := self._units.get()) is not None and not self._closed.is_set():
            if unit.keyframe:
                width, height = _size(unit)
                self._too_large = width * height > MOST_PIXELS
                if self._too_large:
                    if not warned:
                        warned = True
                        log.warning(
                            "pictures of %dx%d are not shown: too large; send at most %d pixels",
                            *(width, height, MOST_PIXELS),
                        )
                    # Its memory goes too, and all that follows until the next keyframe.
                    context = None
                    continue
            if unit.keyframe and (broken or unit.codec != codec or context is None):
                context, codec, broken = _decoder(unit.codec), unit.codec, False
            if context is None or broken:
                continue
            packet = Packet(unit.data)
            packet.pts = packet.dts = unit.timestamp
            packet.time_base = _TIME_BASE
            try:
                frames = context.decode(packet)
            except FFmpegError as error:
                log.debug("a picture could not be decoded: %s", error.strerror)
                self.errors += 1
                broken = True
                # The one place where the decoder's thread reaches the loop, which may be gone.
                with contextlib.suppress(RuntimeError):
                    self._loop.call_soon_threadsafe(self._decoder_failed)
                continue
            for frame in frames:
                if self._closed.is_set():
                    return
                if frame.format.name != "yuv420p":
                    pts, time_base = frame.pts, frame.time_base
                    frame = frame.reformat(format="yuv420p")
                    frame.pts, frame.time_base = pts, time_base
                self.frames += 1
                self.latest = frame
                if self.on_frame is not None:
                    self.on_frame(frame)

    def _decoder_failed(self) -> None:
        if self._closed.is_set():
            return
        self._assembler.skip()
        self.request_keyframe()


def _decoder(codec: Codec) -> VideoCodecContext:
    context = _context(codec)
    # One thread: frame threads would hold pictures back.
    context.thread_count = 1
    context.options = {"max_pixels": str(MOST_PIXELS)}
    if codec == "h264":
        context.options["flags"] = "low_delay"
    return context


def _size(keyframe: VideoUnit) -> tuple[int, int]:
    """Width and height that a keyframe announces, read from its head; 0 where it tells none."""
    context = _context(keyframe.codec)
    context.parse(keyframe.data)
    context.parse()
    return context.width, context.height


def _context(codec: Codec) -> VideoCodecContext:
    name = "h264" if codec == "h264" else "libvpx"
    return cast(VideoCodecContext, CodecContext.create(name, "r"))

"""Moving JPEG pictures of a device's screen or camera, made only while somebody looks."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from fractions import Fraction
from typing import Final

from av import VideoCodecContext, VideoFrame
from av.video.reformatter import VideoReformatter

log = logging.getLogger(__name__)

RATE: Final = 10.0
"""Pictures a second at most: a panel is a glance, not a screen."""
WIDTH: Final = 640
"""Widest picture, in pixels; narrower ones keep their size."""

_QUALITY: Final = 4
"""The encoder's quantiser, 2 (best) to 31; 4 keeps the names on the canvas crisp."""
_BLACK: Final = (16, 128, 128)


def encode_jpeg(frame: VideoFrame, *, width: int = WIDTH) -> bytes:
    """One picture as JPEG, at most `width` pixels wide, at its right aspect.

    May run on any thread: `frame` is only read.
    """
    scale = min(1.0, width / frame.width)
    # 4:2:0 needs even sides.
    size = [max(2, round(side * scale / 2) * 2) for side in (frame.width, frame.height)]
    # A reformatter of our own: the one inside the frame may be in use by the display's thread.
    picture = VideoReformatter().reformat(frame, size[0], size[1], "yuvj420p")
    picture.pts = 0
    context = VideoCodecContext.create("mjpeg", "w")
    context.width, context.height = size
    context.pix_fmt = "yuvj420p"
    context.framerate = Fraction(25)
    context.thread_count = 1
    context.qmin = context.qmax = _QUALITY
    return b"".join(bytes(packet) for packet in [*context.encode(picture), *context.encode(None)])


def dark(width: int = WIDTH, height: int = WIDTH * 9 // 16) -> VideoFrame:
    """The picture of a screen that shows nothing; sides in pixels, even."""
    frame = VideoFrame(width, height, "yuv420p")
    for plane, level in zip(frame.planes, _BLACK, strict=True):
        plane.update(bytes([level]) * plane.buffer_size)
    return frame


class PictureFeed:
    """The pictures of one source, each encoded once for everyone who watches.

    `source` is called on the loop, at most `rate` times a second and only while somebody
    watches; None shows as black.  The encoding itself happens on a worker thread.
    """

    def __init__(self, source: Callable[[], VideoFrame | None], *, rate: float = RATE) -> None:
        self._source = source
        self._period = 1.0 / rate
        self._jpeg = b""
        self._serial = 0
        self._wakes: set[asyncio.Event] = set()
        self._pump: asyncio.Task[None] | None = None

    @property
    def watchers(self) -> int:
        """How many are watching now."""
        return len(self._wakes)

    async def snapshot(self) -> bytes:
        """One JPEG of what the source shows now."""
        frame = self._source()
        return await asyncio.to_thread(encode_jpeg, dark() if frame is None else frame)

    async def pictures(self) -> AsyncGenerator[bytes]:
        """JPEGs as the source changes, until the generator is closed or the feed is.

        A slow reader misses pictures; it never delays another, and nothing piles up.
        """
        wake = asyncio.Event()
        self._wakes.add(wake)
        if self._pump is None:
            self._serial = 0
            self._pump = asyncio.create_task(self._run(), name="panel-pictures")
        pump = self._pump
        seen = 0
        try:
            while True:
                while self._serial <= seen and not pump.done():
                    wake.clear()
                    await wake.wait()
                if pump.done():
                    return
                seen = self._serial
                yield self._jpeg
        finally:
            self._wakes.discard(wake)
            if not self._wakes:
                await self.close()

    async def close(self) -> None:
        """End every running `pictures()` and stop encoding.  Safe to call twice."""
        pump, self._pump = self._pump, None
        if pump is not None:
            pump.cancel()
            await asyncio.gather(pump, return_exceptions=True)

    def _wake(self) -> None:
        for wake in self._wakes:
            wake.set()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        shown: VideoFrame | None = None
        due = loop.time()
        try:
            while True:
                frame = self._source()
                if frame is not shown or self._serial == 0:
                    shown = frame
                    self._jpeg = await asyncio.to_thread(
                        encode_jpeg, dark() if frame is None else frame
                    )
                    self._serial += 1
                    self._wake()
                # The next picture is due one period later; time lost is not caught up.
                due = max(due + self._period, loop.time())
                await asyncio.sleep(due - loop.time())
        except Exception:
            log.exception("no more pictures: the source or the encoder failed")
        finally:
            loop.call_soon(self._wake)  # once the task is done, so that every watcher sees it

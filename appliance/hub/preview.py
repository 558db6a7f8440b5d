"""The preview of a room: a small film of its last seconds, in a file that is always whole."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from fractions import Fraction
from pathlib import Path
from typing import Final, Protocol

import av
from av import VideoFrame
from av.error import FFmpegError
from av.video.reformatter import Interpolation, VideoReformatter

from appliance.hub.canvas import Watcher
from appliance.hub.film import copied
from appliance.hub.yuv import even

log = logging.getLogger(__name__)

WIDTH: Final = 320
"""Pixels: as wide as a card in a list of rooms. The height is that of the canvas' shape."""

RATE: Final = 2
"""Pictures a second."""

PICTURES: Final = 8
"""Pictures in one file: 4 seconds, and as often it is made anew."""

_QUALITY: Final = "26"
"""x264's constant rate factor: some 15 kB a file."""


class Watchable(Protocol):
    """Where pictures come from: a `Canvas`."""

    @property
    def width(self) -> int:
        """In pixels."""

    @property
    def height(self) -> int:
        """In pixels."""

    def watch(self, watcher: Watcher | None, interval: float = 1.0) -> None:
        """Show it the picture so often."""


class Preview:
    """Keeps one MP4 file up to date from `start` to `stop`; both are for the loop's thread.

    The file is there as soon as there is a picture, then it is replaced every 4 seconds, each
    time as a whole: who reads it gets the old one or the new one. Browsers show it in ``<video
    autoplay muted loop>``. Room and members notice nothing of it: it takes two pictures a second
    from the canvas, scales them there, and does the rest on a thread of its own.
    """

    def __init__(self, canvas: Watchable, path: Path) -> None:
        """The folder of `path` must exist."""
        self.path: Final = path
        """The preview, once there is one."""
        self._canvas = canvas
        self._width = min(WIDTH, canvas.width)
        self._height = even(canvas.height * self._width / canvas.width)
        self._reformatter = VideoReformatter()
        self._newest: VideoFrame | None = None
        self._changed = threading.Condition()
        self._stopped = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to watch the canvas."""
        if self._thread is not None:
            raise RuntimeError("the preview was started before")
        self._thread = threading.Thread(target=self._run, name="preview", daemon=True)
        self._thread.start()
        self._canvas.watch(self._look, 1 / RATE)

    async def stop(self) -> None:
        """End it, and remove the file. Safe to call twice, and before `start`."""
        if self._thread is None:
            return
        self._canvas.watch(None)
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        await asyncio.to_thread(self._thread.join)
        with contextlib.suppress(OSError):
            self.path.unlink(missing_ok=True)

    def _look(self, frame: VideoFrame) -> None:
        """Take a picture. On the canvas' thread, and quickly."""
        if (frame.width, frame.height) == (self._width, self._height):
            small = copied(frame)
        else:
            small = self._reformatter.reformat(
                frame, self._width, self._height, interpolation=Interpolation.AREA, threads=1
            )
        with self._changed:
            self._newest = small
            self._changed.notify_all()

    # From here on: the preview's thread.

    def _run(self) -> None:
        pictures: list[VideoFrame] = []
        first, failing = True, False
        while (picture := self._next()) is not None:
            pictures.append(picture)
            if len(pictures) < PICTURES and not first:
                continue
            try:
                self._write(pictures)
                failing = False
            except (OSError, FFmpegError) as error:
                # Told once: it would be the same again in 4 seconds.
                if not failing:
                    log.error("there is no preview: %s: %s", self.path, error)
                failing = True
            # Nobody waits 4 seconds for the first one. It starts the second one too.
            if not first:
                pictures = []
            first = False

    def _next(self) -> VideoFrame | None:
        """The next picture, None after the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or self._newest is not None)
            picture, self._newest = self._newest, None
            return None if self._stopped else picture

    def _write(self, pictures: list[VideoFrame]) -> None:
        """Make the file anew. Raises OSError or FFmpegError."""
        new = self.path.with_name(f"{self.path.name}.new")
        options = {"movflags": "+faststart"}
        try:
            with av.open(str(new), "w", format="mp4", container_options=options) as container:
                stream = container.add_stream("libx264", rate=RATE)
                stream.width, stream.height = self._width, self._height
                stream.options = {"preset": "veryfast", "crf": _QUALITY}
                stream.codec_context.thread_count = 1
                for number, picture in enumerate(pictures):
                    picture.pts, picture.time_base = number, Fraction(1, RATE)
                    container.mux(stream.encode(picture))
                container.mux(stream.encode(None))
            new.replace(self.path)
        except BaseException:
            with contextlib.suppress(OSError):
                new.unlink(missing_ok=True)
            raise

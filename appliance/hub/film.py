"""Films and sounds: opened, decoded, and brought to the form in which the room takes them.

No threads in here, and no clock: whoever reads waits for the source.
"""

from __future__ import annotations

import contextlib
import logging
import math
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

import av
import numpy as np
from av import AudioFrame, AudioResampler, Packet, VideoCodecContext, VideoFrame
from av.container import InputContainer
from av.error import ExitError, FFmpegError
from av.stream import Disposition, Stream
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter

from appliance.hub.errors import HubError
from appliance.hub.mixbus import Samples
from appliance.hub.urls import (
    PLAYED,
    WHITELIST,
    check_url,
    media_file,
    tls_options,
    without_secrets,
)
from appliance.hub.yuv import Picture, even, planes
from appliance.media.opus import RATE

log = logging.getLogger(__name__)

PATIENCE: Final = 10.0
"""Seconds that a source may take to open, to tell what it holds, or to deliver something."""

_ANALYSIS: Final = 1_500_000
"""Microseconds of a source to look at before it plays.  What comes live takes as long, and
must be done within `PATIENCE`: a connection that is interrupted is of no more use."""

_MOST_BROKEN: Final = 50
"""Broken packets in a row after which a film counts as broken."""

_OTHER_COLOURS: Final = frozenset({1, 9, 10})
"""AVCOL_SPC_BT709, BT2020_NCL and BT2020_CL: all else is, or is taken for, the canvas' BT.601."""

_FULL_RANGE: Final = 2
"""AVCOL_RANGE_JPEG."""

_THREADS: Final = 2
"""Threads of one decoder: the others are for the room."""


class FilmError(HubError):
    """A film cannot be opened, or breaks off; the message is one line."""


@dataclass(frozen=True, slots=True)
class Shot:
    """One picture, yuv420p and no larger than the canvas, at its second of the film."""

    at: float
    frame: VideoFrame


@dataclass(frozen=True, slots=True)
class Piece:
    """Some sound, mono at 48 kHz, which begins at this second of the film."""

    at: float
    samples: Samples


class Film:
    """One source, read from its start. All methods may wait, for `PATIENCE` seconds.

    `url` is an address of ``http``, ``https``, ``rtmp`` or ``rtmps``, or the plain name of a file
    in `folder`. Pictures are scaled down to `size` (width and height). For one thread.
    """

    def __init__(
        self,
        url: str,
        *,
        size: tuple[int, int],
        folder: Path | None = None,
        verify: bool = True,
    ) -> None:
        """Raises UrlError or FilmError."""
        self._url = url
        self._size = size
        self._folder = folder
        self._verify = verify
        self._cleanup = ExitStack()
        self._reformatter = VideoReformatter()
        self._start: float | None = None
        self._broken = 0
        try:
            self._open()
        except (FFmpegError, OSError) as error:
            raise self._error(error) from error
        container = self._container
        # Of a live stream nothing is known, or 0.
        self.duration: Final = container.duration / 1e6 if container.duration else None
        """Seconds; None of what has no end, as a live stream."""
        self.seekable: Final = self.duration is not None and not url.startswith(("rtmp:", "rtmps:"))
        """Whether `seek` may succeed."""
        self.has_picture: Final = self._video is not None
        self.has_sound: Final = self._audio is not None
        if container.start_time is not None:
            self._start = container.start_time / 1e6

    def _open(self) -> None:
        """Open the source at its start."""
        try:
            self._container = self._connect()
            self._video, self._audio = self._streams()
        except BaseException:
            self._cleanup.close()
            raise
        self._begin(-math.inf)

    def _begin(self, target: float) -> None:
        """Read on where the container is, and give what is seen or heard from `target` on."""
        self._packets = self._demux()
        self._resampler = AudioResampler("s16", "mono", RATE)
        self._ready: deque[Shot | Piece] = deque()
        self._target = target
        self._before: VideoFrame | None = None

    def _connect(self) -> InputContainer:
        source: BinaryIO | str
        if "://" not in self._url and self._folder is not None:
            # Opened here, so that a file that names other files leads nowhere.
            source = self._cleanup.enter_context(media_file(self._url, self._folder).open("rb"))
            options = {"protocol_whitelist": "none"}
        else:
            source = check_url(self._url, PLAYED)
            options = {
                "protocol_whitelist": WHITELIST,
                "analyzeduration": str(_ANALYSIS),
                **tls_options(verify=self._verify),
            }
        return self._cleanup.enter_context(
            av.open(
                source,
                "r",
                container_options=options,
                timeout=PATIENCE,
                # Old films have names in the letters of their time.
                metadata_errors="replace",
            )
        )

    def _streams(self) -> tuple[Stream | None, Stream | None]:
        streams = self._container.streams
        video = next(
            (
                stream
                for stream in streams.video
                # The cover of an album is no film.
                if not stream.disposition & Disposition.attached_pic
                and cast(Any, stream).codec_context is not None
            ),
            None,
        )
        audio = next(
            (one for one in streams.audio if cast(Any, one).codec_context is not None), None
        )
        if video is None and audio is None:
            raise FilmError(f"{self._name()} has neither pictures nor sound that can be decoded")
        if video is not None:
            context: VideoCodecContext = video.codec_context
            context.thread_type = "AUTO"
            context.thread_count = _THREADS
        return video, audio

    def read(self) -> Shot | Piece | None:
        """The next picture or piece of sound; None at the end. Raises FilmError."""
        try:
            while not self._ready:
                packet = next(self._packets, None)
                if packet is None:
                    if self._before is None:
                        return None
                    # The last picture lies before the moment that was sought.
                    self._ready.append(self._shot(self._before))
                    self._before = None
                    break
                self._decode(packet)
        except (FFmpegError, OSError) as error:
            raise self._error(error) from error
        return self._ready.popleft()

    def seek(self, seconds: float) -> None:
        """Go to the picture that is seen at this second.

        A source that cannot jump is opened again and read up to there. Raises FilmError.
        """
        packet = None
        with contextlib.suppress(FFmpegError, OSError):
            self._container.seek(round((seconds + (self._start or 0)) * 1_000_000))
            self._begin(seconds)
            # Only now some find out that they cannot, and some of those call it the end.
            packet = next(self._packets, None)
        if packet is not None:
            self._packets = chain((packet,), self._packets)
            return
        self.close()
        try:
            self._open()
        except (FFmpegError, OSError) as error:
            raise self._error(error) from error
        self._target = seconds

    def close(self) -> None:
        """Let go of the source. Safe to call twice."""
        self._cleanup.close()

    def _demux(self) -> Iterator[Packet[Any]]:
        return self._container.demux([one for one in (self._video, self._audio) if one is not None])

    def _decode(self, packet: Packet[Any]) -> None:
        try:
            frames: list[Any] = packet.decode()
        except FFmpegError:
            # A film may begin in the middle of something, or have a scratch.
            self._broken += 1
            if self._broken > _MOST_BROKEN:
                raise
            return
        for frame in frames:
            self._broken = 0
            if isinstance(frame, VideoFrame):
                self._picture(frame)
            elif isinstance(frame, AudioFrame):
                for mono in self._resampler.resample(frame):
                    samples = mono.to_ndarray().reshape(-1).astype(np.int16, copy=False)
                    at = self._second(mono)
                    if at is not None and samples.size and at + samples.size / RATE > self._target:
                        self._ready.append(Piece(at, samples))

    def _picture(self, frame: VideoFrame) -> None:
        at = self._second(frame)
        if at is None:
            return
        if at < self._target:
            self._before = frame
            return
        if self._before is not None and at > self._target:
            self._ready.append(self._shot(self._before))
        self._before = None
        self._ready.append(self._shot(frame))

    def _shot(self, frame: VideoFrame) -> Shot:
        return Shot(self._second(frame) or 0.0, self._fitted(frame))

    def _second(self, frame: VideoFrame | AudioFrame) -> float | None:
        if frame.pts is None or frame.time_base is None:
            return None
        at = float(frame.pts * frame.time_base)
        if self._start is None:
            self._start = at
        return at - self._start

    def _fitted(self, frame: VideoFrame) -> VideoFrame:
        """The picture upright, with square pixels, and no larger than the canvas."""
        turns = round(frame.rotation / 90) % 4
        most_wide, most_high = self._size if turns % 2 == 0 else reversed(self._size)
        aspect = cast(Any, self._video).sample_aspect_ratio if self._video is not None else None
        wide, high = frame.width * float(aspect or 1), float(frame.height)
        zoom = min(most_wide / wide, most_high / high, 1.0)
        width, height = max(even(wide * zoom), 2), max(even(high * zoom), 2)
        colours: dict[str, Any] = {}
        if frame.colorspace in _OTHER_COLOURS or frame.color_range == _FULL_RANGE:
            colours = {"dst_colorspace": Colorspace.ITU601, "dst_color_range": ColorRange.MPEG}
        small = self._reformatter.reformat(
            frame,
            width,
            height,
            "yuv420p",
            interpolation=Interpolation.BILINEAR,
            threads=1,
            **colours,
        )
        return _turned(small, turns) if turns else small

    def _name(self) -> str:
        return "The source" if "://" in self._url else f"The file {self._url!r}"

    def _error(self, error: Exception) -> FilmError:
        if isinstance(error, ExitError):
            return FilmError(f"{self._name()} has delivered nothing for {PATIENCE:g} seconds")
        text = (error.strerror if isinstance(error, OSError | FFmpegError) else "") or str(error)
        if "://" in self._url:
            text = without_secrets(text, self._url)
        return FilmError(f"{self._name()} cannot be played: {' '.join(text.split())}")


def copied(frame: VideoFrame) -> VideoFrame:
    """Another frame with the same picture (yuv420p)."""
    return _turned(frame, 0)


def _turned(frame: VideoFrame, turns: int) -> VideoFrame:
    """The picture (yuv420p) after so many quarters of a turn to the left."""
    sides = (frame.width, frame.height) if turns % 2 == 0 else (frame.height, frame.width)
    picture = Picture(*sides)
    for target, source in zip((picture.y, picture.u, picture.v), planes(frame), strict=True):
        target[...] = np.rot90(source, turns)
    return picture.frame

"""The picture of a room: every member painted into one, encoded once for all who see it.

Each canvas has a thread, which reads the scene that the loop last put in place and never waits
for anybody: members decode on threads of their own, and packets cross to the loop in
one place, `Canvas._post`.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from types import MappingProxyType
from typing import Final

from av import VideoFrame

from appliance.hub.compositor import Compositor, Fit, FrameSource, Scene, Sitter
from appliance.hub.pacing import Metronome
from appliance.hub.shared_encoder import SharedEncoder
from appliance.media.packet import VIDEO_CLOCK, Encoded
from appliance.media.video_encoder import VideoCodec
from appliance.signaling.layouts import Layer

log = logging.getLogger(__name__)

_STILL_AFTER: Final = 0.5
"""Seconds without a change after which the picture counts as still."""

_IN_FLIGHT: Final = 3
"""Ticks that may wait for the loop.  Behind a loop that is slower nothing is encoded, so
that nothing queues up and no frame is lost between two that depend on each other."""

CODECS: Final[tuple[VideoCodec, ...]] = ("h264", "vp8")
"""What a canvas can be encoded in."""

_TIME_BASE: Final = Fraction(1, VIDEO_CLOCK)

_SMOOTH: Final = 0.1
"""Weight of the newest frame in the averages of the statistics."""


@dataclass(frozen=True, slots=True)
class CanvasStats:
    """How the canvas does: averages over about the last ten frames, and totals."""

    fps: float = 0.0
    """Frames a second."""
    scale_ms: float = 0.0
    """Milliseconds a frame for bringing new pictures to the size of their cells."""
    paste_ms: float = 0.0
    """Milliseconds a frame for painting."""
    encode_ms: float = 0.0
    """Milliseconds a frame for all encoders together."""
    frames: int = 0
    """Frames encoded."""
    skipped: int = 0
    """Beats that passed without a frame because the machine or the loop was too slow."""


Watcher = Callable[[VideoFrame], None]


@dataclass(frozen=True, slots=True)
class _Watch:
    """Who looks at the picture itself, and how many seconds apart."""

    watcher: Watcher
    interval: float


class Canvas:
    """The canvas of one room.

    All methods are for the loop's thread.  `on_packet` is called on the loop with each frame of
    each codec that `want` asks for; nothing is painted or encoded while it asks for
    none.  Neither a member who stalls nor a loop that does ever holds up the picture: what is
    late is skipped.
    """

    def __init__(
        self,
        width: int = 1280,
        height: int = 720,
        rate: float = 30.0,
        *,
        on_packet: Callable[[Encoded], None],
        title: str = "",
        bitrate: int = 2_000_000,
    ) -> None:
        """`width` and `height` in pixels, both even; `rate` in frames a second; `title` is
        shown while nobody is on the canvas; `bitrate` in bit/s of each codec at the start."""
        self.width: Final = width
        self.height: Final = height
        self.rate: Final = rate
        self.on_packet: Final = on_packet
        self.stats = CanvasStats()
        self._compositor = Compositor(width, height)
        # What the loop sets and the thread reads.  Both are replaced as a whole.
        self._scene = Scene(title=title)
        self._wanted: frozenset[VideoCodec] = frozenset()
        self._watch: _Watch | None = None
        self._encoders: Final[Mapping[VideoCodec, SharedEncoder]] = {
            codec: SharedEncoder(codec, width, height, rate, bitrate) for codec in CODECS
        }
        # Ticks that the thread posted, and those that the loop took: each has one writer.
        self._posted = 0
        self._delivered = 0
        # The thread's own.
        self._started_at = 0.0
        self._changed_at = 0.0
        self._framed_at: float | None = None
        self._held_up = 0
        self._watched_at = float("-inf")

        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._wake = threading.Event()

    def set_layers(self, layers: Iterable[Layer]) -> None:
        """Show these layers from the next frame on."""
        self._scene = replace(self._scene, layers=tuple(layers))

    def set_source(self, member_id: str, source: FrameSource | None) -> None:
        """Where the member's pictures come from; None for a member who sends none.

        Of a source that is replaced the last picture stays until the new one gives its first.
        """
        self._seat(member_id, replace(self._sitter(member_id), source=source))

    def set_member(
        self, member_id: str, name: str, video_muted: bool, *, fit: Fit = "cover"
    ) -> None:
        """What is shown of the member beside its picture.

        A muted member has a mute image; after the unmute only pictures that arrive from
        then on are shown.  `fit` is ``contain`` for a shared screen, of which nothing may be cut.
        """
        old = self._sitter(member_id)
        unseen = old.unseen
        if old.video_muted and not video_muted:
            unseen = old.source.latest if old.source is not None else None
        self._seat(
            member_id,
            replace(old, name=name, video_muted=video_muted, fit=fit, unseen=unseen),
        )

    def remove_member(self, member_id: str) -> None:
        """Forget the member and let go of its source.  A layer that it still has shows
        a mute image.  Unknown members are ignored."""
        sitters = dict(self._scene.sitters)
        if sitters.pop(member_id, None) is not None:
            self._scene = replace(self._scene, sitters=MappingProxyType(sitters))

    def set_title(self, title: str) -> None:
        """The text shown while nobody is on the canvas."""
        self._scene = replace(self._scene, title=title)

    def want(self, codecs: Iterable[VideoCodec]) -> None:
        """Encode these codecs from the next frame on, each starting with a keyframe."""
        self._wanted = frozenset(codecs)
        if self._wanted:
            self._wake.set()

    def watch(self, watcher: Watcher | None, interval: float = 1.0) -> None:
        """Show the picture to `watcher` every `interval` seconds; None to end that.

        It is called on the canvas' thread, with a picture that changes when it returns.  The
        canvas is painted for it even while nobody wants packets, but then only as often.
        """
        self._watch = None if watcher is None else _Watch(watcher, interval)
        self._wake.set()

    def moment(self, timestamp: int) -> float:
        """When a frame with this timestamp was painted, in seconds of `time.monotonic`."""
        return self._started_at + timestamp / VIDEO_CLOCK

    def set_bitrate(self, codec: VideoCodec, bitrate: int) -> None:
        """Change the target of one codec, in bit/s."""
        self._encoders[codec].bitrate = bitrate

    def request_keyframe(self, codec: VideoCodec) -> None:
        """Make the next frame a keyframe, or the first that `KEYFRAME_INTERVAL` allows.

        Requests made before a keyframe reached the loop are all answered by it.
        """
        self._encoders[codec].ask()

    def start(self) -> None:
        """Start painting.  Must be called on the loop, once."""
        if self._thread is not None:
            raise RuntimeError("the canvas was started before")
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name="canvas", daemon=True)
        self._thread.start()

    async def stop(self) -> None:
        """End the thread and free the encoders.  `on_packet` is not called any more.

        Safe to call twice, and before `start`.
        """
        self._stop.set()
        self._wake.set()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)

    def _sitter(self, member_id: str) -> Sitter:
        return self._scene.sitters.get(member_id, Sitter())

    def _seat(self, member_id: str, sitter: Sitter) -> None:
        sitters = MappingProxyType({**self._scene.sitters, member_id: sitter})
        self._scene = replace(self._scene, sitters=sitters)

    def _deliver(self, frames: Sequence[Encoded]) -> None:
        self._delivered += 1
        if self._stop.is_set():
            return
        for frame in frames:
            if frame.keyframe and frame.codec != "opus":
                # Before it is handed on: a receiver that fails to take it asks again.
                self._encoders[frame.codec].answer()
            try:
                self.on_packet(frame)
            except Exception:
                log.exception("a frame of the canvas could not be handed on")

    # From here on: the canvas' thread.

    def _run(self) -> None:
        metronome = Metronome(1 / self.rate)
        self._started_at = time.monotonic()
        try:
            while metronome.wait(self._stop):
                try:
                    if self._wanted:
                        self._tick(time.monotonic(), metronome.skipped)
                    else:
                        self._glance()
                        self._idle()
                        metronome.rest()
                except Exception:
                    log.exception("the canvas could not paint a frame")
        finally:
            self._close_all_but(frozenset())

    def _idle(self) -> None:
        """Sleep until somebody wants a picture."""
        self._close_all_but(frozenset())
        self._framed_at = None
        self._wake.clear()
        # Between the look and the clearing somebody may have come, or stopped us.
        if not self._wanted and not self._stop.is_set():
            watch = self._watch
            due = None if watch is None else self._watched_at + watch.interval
            self._wake.wait(None if due is None else max(0.0, due - time.monotonic()))

    def _glance(self) -> None:
        """Paint for the watcher alone, if it is time."""
        now = time.monotonic()
        watch = self._watch
        if watch is not None and now >= self._watched_at + watch.interval:
            if self._compositor.compose(self._scene, now):
                self._changed_at = now
            self._show(now)

    def _show(self, now: float) -> None:
        watch = self._watch
        if watch is not None and now >= self._watched_at + watch.interval:
            self._watched_at = now
            watch.watcher(self._compositor.frame)

    def _close_all_but(self, wanted: frozenset[VideoCodec]) -> None:
        for codec, encoder in self._encoders.items():
            if codec not in wanted:
                encoder.close()

    def _tick(self, now: float, skipped: int) -> None:
        wanted = self._wanted
        self._close_all_but(wanted)
        if self._posted - self._delivered >= _IN_FLIGHT:
            self._held_up += 1
            return
        compositor = self._compositor
        scaled, pasted = compositor.scale_seconds, compositor.paste_seconds
        if compositor.compose(self._scene, now):
            self._changed_at = now
        still = now - self._changed_at > _STILL_AFTER
        self._show(now)

        compositor.frame.pts = round((now - self._started_at) * VIDEO_CLOCK)
        compositor.frame.time_base = _TIME_BASE
        began = time.perf_counter()
        encoded = [
            self._encoders[codec].encode(compositor.frame, now, still=still)
            for codec in sorted(wanted)
        ]
        seconds = time.perf_counter() - began
        if frames := [frame for frame in encoded if frame is not None]:
            self._count(
                now,
                (
                    compositor.scale_seconds - scaled,
                    compositor.paste_seconds - pasted,
                    seconds,
                ),
                skipped + self._held_up,
            )
            self._post(frames)

    def _count(self, now: float, seconds: tuple[float, float, float], skipped: int) -> None:
        old = self.stats
        fresh = old.frames == 0
        scale, paste, encode = (
            1000 * new if fresh else before + _SMOOTH * (1000 * new - before)
            for before, new in zip(
                (old.scale_ms, old.paste_ms, old.encode_ms), seconds, strict=True
            )
        )
        fps = old.fps
        if self._framed_at is not None and now > self._framed_at:
            # The mean of the intervals, not of the rates: those would make jitter look fast.
            interval = now - self._framed_at
            fps = 1 / (1 / fps + _SMOOTH * (interval - 1 / fps)) if fps else 1 / interval
        self._framed_at = now
        self.stats = CanvasStats(fps, scale, paste, encode, old.frames + 1, skipped)

    def _post(self, frames: Sequence[Encoded]) -> None:
        """Cross to the loop: the only place where this thread reaches it."""
        assert self._loop is not None
        self._posted += 1
        try:
            self._loop.call_soon_threadsafe(self._deliver, frames)
        except RuntimeError:
            # The loop was closed without a stop(): there is nobody left to paint for.
            self._stop.set()

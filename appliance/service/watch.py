"""Displays and speakers with somebody who watches: the truth at the very end of the way.

They pass everything on to the real ones and tell what was shown and played, and when.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final

import numpy as np
from av import AudioFrame, VideoFrame

from appliance.media.opus import Samples
from hal.audio import PERIOD, RATE, Speaker
from hal.device import Device
from hal.display import Banner, Display, Overlay


class WatchedDisplay(Display):
    """Calls `on_picture` on the playout's thread with each new picture that was shown, and the
    moment (`time.monotonic`) after which it stood there."""

    def __init__(self, display: Display) -> None:
        self.inner: Final = display
        self.on_picture: Callable[[VideoFrame, float], None] | None = None
        self._last: VideoFrame | None = None

    @property
    def device(self) -> Device:  # type: ignore[override]
        """That of the display, which may know it only once it is open."""
        return self.inner.device

    @classmethod
    def devices(cls) -> list[Device]:
        """None of its own."""
        return []

    def open(self) -> None:
        """See `Display.open`."""
        self.inner.open()

    def show(self, frame: VideoFrame | None) -> None:
        """See `Display.show`."""
        self.inner.show(frame)
        # The same picture is shown again for a new banner.
        new, self._last = frame is not self._last, frame
        if new and frame is not None and self.on_picture is not None:
            self.on_picture(frame, time.monotonic())

    def set_banner(self, banner: Banner) -> None:
        """See `Display.set_banner`."""
        self.inner.set_banner(banner)

    def set_overlay(self, overlay: Overlay | None) -> None:
        """See `Display.set_overlay`."""
        self.inner.set_overlay(overlay)

    def close(self) -> None:
        """See `Display.close`."""
        self.inner.close()


class WatchedSpeaker(Speaker):
    """Calls `on_sound` on the playout's thread with each period and the moment at which its
    first sample is heard."""

    def __init__(self, speaker: Speaker) -> None:
        self.inner: Final = speaker
        self.on_sound: Callable[[Samples, float], None] | None = None

    @property
    def device(self) -> Device:  # type: ignore[override]
        """That of the speaker, which may know it only once it is open."""
        return self.inner.device

    @classmethod
    def devices(cls) -> list[Device]:
        """None of its own."""
        return []

    @property
    def xruns(self) -> int:  # type: ignore[override]
        """See `Speaker.xruns`."""
        return self.inner.xruns

    @property
    def delay(self) -> int:
        """See `Speaker.delay`."""
        return self.inner.delay

    def open(self) -> None:
        """See `Speaker.open`."""
        self.inner.open()

    def write(self, frame: AudioFrame) -> None:
        """See `Speaker.write`."""
        self.inner.write(frame)
        if self.on_sound is not None:
            heard = time.monotonic() + (self.inner.delay - PERIOD) / RATE
            samples = frame.to_ndarray().reshape(-1).astype(np.int16, copy=False)
            self.on_sound(samples, heard)

    def close(self) -> None:
        """See `Speaker.close`."""
        self.inner.close()


class RateMeter:
    """How often something happens, over the last `window` seconds.  Safe from any thread."""

    def __init__(self, window: float = 5.0) -> None:
        self._window = window
        self._lock = threading.Lock()
        self._moments: deque[float] = deque()

    def add(self, moment: float) -> None:
        """It happened at `moment` (`time.monotonic`)."""
        with self._lock:
            self._moments.append(moment)
            self._forget(moment)

    def reset(self) -> None:
        """Begin anew."""
        with self._lock:
            self._moments.clear()

    def rate(self, now: float | None = None) -> float:
        """Times a second; of less than a window, over what there is."""
        with self._lock:
            moment = time.monotonic() if now is None else now
            self._forget(moment)
            if len(self._moments) < 2:
                return 0.0
            # What came to a halt must not look alive for the rest of the window.
            span = max(self._moments[-1], moment - 0.5) - self._moments[0]
            return (len(self._moments) - 1) / span if span > 0 else 0.0

    def _forget(self, moment: float) -> None:
        while self._moments and self._moments[0] < moment - self._window:
            self._moments.popleft()


class CanvasWatch:
    """The pictures of the room as the screen shows them: how many a second, and the first.

    `joined_ms` is from the call of `join` to the first picture, None until it stands there.
    """

    def __init__(self) -> None:
        self.joined_ms: float | None = None
        self.pictures = 0
        self._meter = RateMeter()
        self._joining: float | None = None

    @property
    def fps(self) -> float:
        """Pictures a second over the last five seconds."""
        return self._meter.rate()

    def joining(self) -> None:
        """`join` is called now."""
        self._meter.reset()
        self.joined_ms = None
        self._joining = time.monotonic()

    def picture(self, at: float) -> None:
        """A new picture stands on the screen since `at` (`time.monotonic`)."""
        self.pictures += 1
        self._meter.add(at)
        since, self._joining = self._joining, None
        if since is not None:
            self.joined_ms = 1000 * (at - since)

"""From received media to a loudspeaker and a screen, each on a thread of its own."""

from __future__ import annotations

import logging
import threading
import time
from fractions import Fraction
from typing import Final

import numpy as np
from av import AudioFrame, VideoFrame

from appliance.media.audio_receiver import AudioReceiver
from appliance.media.meter import Meter
from appliance.media.opus import FRAME, Samples
from appliance.media.picture_queue import PictureQueue
from appliance.media.worker import Worker
from hal.audio import PERIOD, RATE, Speaker
from hal.device import Device
from hal.display import Banner, Display, Overlay

log = logging.getLogger(__name__)

_IDLE: Final = 0.1
"""Seconds after which a screen without new pictures is drawn again for its banner."""


class _Playout(Worker):
    """A thread that keeps one output device open and fed."""

    async def stop(self) -> None:
        """Close the device and end the thread.  Safe to call twice."""
        async with self._changing:
            await self._halt()


class SpeakerPlayout(_Playout):
    """Plays the sum of its receivers, at the pace of the card's own clock.

    `volume` is a factor from 0 to 1.  `deaf` plays silence whatever arrives.
    """

    def __init__(self, speaker: Speaker) -> None:
        super().__init__()
        self.volume = 1.0
        self.deaf = False
        self.meter: Meter | None = None
        """What is told of all that is played, at its volume.  May be set at any time."""
        self._speaker = speaker
        self._receivers: tuple[AudioReceiver, ...] = ()
        self._position = 0

    @property
    def device(self) -> Device:
        """The loudspeaker."""
        return self._speaker.device

    @property
    def xruns(self) -> int:
        """Underruns of the device since it was opened."""
        return self._speaker.xruns

    def attach(self, receiver: AudioReceiver) -> None:
        """Play a receiver from now on."""
        self._receivers += (receiver,)

    def detach(self, receiver: AudioReceiver) -> None:
        """Stop playing a receiver.  Safe for one that is not attached."""
        self._receivers = tuple(r for r in self._receivers if r is not receiver)

    async def swap(self, speaker: Speaker) -> None:
        """Go on with another loudspeaker, at the same volume.

        When that one does not open, the one before is back and HalError is raised.
        """
        before = self._speaker

        async def put() -> None:
            self._speaker = speaker

        def back() -> None:
            self._speaker = before

        await self._exchange(put, back)

    def _open(self) -> None:
        self._speaker.open()

    def _close(self) -> None:
        self._speaker.close()

    def _work(self) -> None:
        samples = self._mixed(time.monotonic() + self._speaker.delay / RATE)
        if (meter := self.meter) is not None:
            meter.add(samples)
        for start in range(0, FRAME, PERIOD):
            frame = AudioFrame.from_ndarray(
                samples[start : start + PERIOD].reshape(1, PERIOD), format="s16", layout="mono"
            )
            frame.sample_rate = RATE
            frame.time_base = Fraction(1, RATE)
            frame.pts = self._position
            self._position += PERIOD
            self._speaker.write(frame)

    def _mixed(self, at: float) -> Samples:
        """What is heard from `at` on, in seconds of the monotonic clock."""
        total = np.zeros(FRAME, np.int32)
        for receiver in self._receivers:
            total += receiver.pull(at)
        if self.deaf:
            return np.zeros(FRAME, np.int16)
        if self.volume != 1.0:
            total = (total * self.volume).astype(np.int32)
        return np.clip(total, -32768, 32767).astype(np.int16)


class DisplayPlayout(_Playout):
    """Shows the newest picture that is due; one that comes too soon replaces the one before it.

    `shown` is what the screen shows now, `frames_shown` counts its pictures.
    """

    def __init__(self, display: Display) -> None:
        super().__init__()
        self.shown: VideoFrame | None = None
        self.frames_shown = 0
        self._display = display
        self._banner = Banner()
        self._overlay: Overlay | None = None
        self._changed = threading.Condition()
        # Under the lock of `_changed`.
        self._newest: VideoFrame | None = None
        self._redraw = False
        self._waiting = PictureQueue()

    @property
    def device(self) -> Device:
        """The screen."""
        return self._display.device

    @property
    def display(self) -> Display:
        """The screen itself."""
        return self._display

    def show(self, frame: VideoFrame | None, at: float | None = None) -> None:
        """Show a picture, `at` that second of the monotonic clock or else at once; None clears
        the screen.  One without a time makes all that wait before it void.  May be called from
        any thread.
        """
        with self._changed:
            if frame is None or at is None:
                self._waiting.clear()
                self._newest = frame
                self._redraw = True
            else:
                self._waiting.put(frame, at)
            self._changed.notify()

    def set_banner(self, banner: Banner) -> None:
        """Say something on the screen."""
        self._banner = banner
        self._display.set_banner(banner)
        self._wake()

    def set_overlay(self, overlay: Overlay | None) -> None:
        """Put the local picture over the canvas."""
        self._overlay = overlay
        self._display.set_overlay(overlay)

    async def swap(self, display: Display) -> None:
        """Go on with another screen, which shows what this one does.

        When that one does not open, the one before is back and HalError is raised.
        """
        before = self._display

        def take(one: Display) -> None:
            self._display = one
            # Any thread may have said something since the other one was made.
            one.set_overlay(self._overlay)
            one.set_banner(self._banner)

        async def put() -> None:
            take(display)

        await self._exchange(put, lambda: take(before))

    def _wake(self) -> None:
        with self._changed:
            self._redraw = True
            self._changed.notify()

    def _open(self) -> None:
        self._display.open()

    def _close(self) -> None:
        self._display.close()
        self.shown = None

    def _work(self) -> None:
        frame = self._next()
        self._display.show(frame)
        if frame is not None and frame is not self.shown:
            self.frames_shown += 1
        self.shown = frame

    def _next(self) -> VideoFrame | None:
        """Wait until there is something to draw."""
        tired = time.monotonic() + _IDLE
        with self._changed:
            while True:
                now = time.monotonic()
                if (frame := self._waiting.take(now)) is not None:
                    self._newest, self._redraw = frame, True
                if self._redraw or now >= tired:
                    self._redraw = False
                    return self._newest
                due = self._waiting.due
                self._changed.wait(tired - now if due is None else min(due, tired) - now)

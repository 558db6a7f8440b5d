"""From received media to a loudspeaker and a screen, each on a thread of its own."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from fractions import Fraction
from typing import Final

import numpy as np
from av import AudioFrame, VideoFrame

from appliance.media.audio_receiver import AudioReceiver
from appliance.media.opus import FRAME, Samples
from hal.audio import PERIOD, RATE, Speaker
from hal.device import Device
from hal.display import Banner, Display, Overlay
from hal.errors import HalError

log = logging.getLogger(__name__)

_RETRY: Final = 1.0
"""Seconds between attempts to open a device that failed."""

_IDLE: Final = 0.1
"""Seconds after which a screen without new pictures is drawn again for its banner."""


class _Playout:
    """A thread that keeps one output device open and fed.

    `on_error` is called on the loop with each failure, and with None when it works again.
    """

    def __init__(self, device: Device) -> None:
        self.device: Final = device
        self.on_error: Callable[[HalError | None], None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._opened: asyncio.Event | None = None

    async def start(self) -> None:
        """Open the device and begin; waits until it is open or has failed once."""
        if self._thread is not None:
            return
        self._loop = asyncio.get_running_loop()
        self._opened = asyncio.Event()
        self._stopping.clear()
        self._thread = threading.Thread(target=self._run, name=type(self).__name__, daemon=True)
        self._thread.start()
        await self._opened.wait()

    async def stop(self) -> None:
        """Close the device and end the thread.  Safe to call twice."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._stopping.set()
            self._wake()
            await asyncio.to_thread(thread.join)

    def _wake(self) -> None:
        """Let the thread see at once that it should end."""

    def _report(self, error: HalError | None) -> None:
        if self._opened is not None:
            self._opened.set()
        if self.on_error is not None:
            self.on_error(error)

    def _to_loop(self, error: HalError | None) -> None:
        """The one place where the playout's thread reaches the loop."""
        assert self._loop is not None
        try:
            self._loop.call_soon_threadsafe(self._report, error)
        except RuntimeError:
            self._stopping.set()

    def _run(self) -> None:
        failed = False
        while not self._stopping.is_set():
            try:
                self._open()
                if failed:
                    log.warning("%s is back", self.device.label)
                failed = False
                self._to_loop(None)
                while not self._stopping.is_set():
                    self._play()
            except HalError as error:
                if not failed:
                    log.warning("%s", error)
                failed = True
                self._to_loop(error)
                self._stopping.wait(_RETRY)
            finally:
                self._close()

    def _open(self) -> None:
        raise NotImplementedError

    def _play(self) -> None:
        raise NotImplementedError

    def _close(self) -> None:
        raise NotImplementedError


class SpeakerPlayout(_Playout):
    """Plays the sum of its receivers, at the pace of the card's own clock.

    `volume` is a factor from 0 to 1.  `deaf` plays silence whatever arrives.
    """

    def __init__(self, speaker: Speaker) -> None:
        super().__init__(speaker.device)
        self.volume = 1.0
        self.deaf = False
        self._speaker = speaker
        self._receivers: tuple[AudioReceiver, ...] = ()
        self._position = 0

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

    def _open(self) -> None:
        self._speaker.open()

    def _close(self) -> None:
        self._speaker.close()

    def _play(self) -> None:
        samples = self._mixed()
        for start in range(0, FRAME, PERIOD):
            frame = AudioFrame.from_ndarray(
                samples[start : start + PERIOD].reshape(1, PERIOD), format="s16", layout="mono"
            )
            frame.sample_rate = RATE
            frame.time_base = Fraction(1, RATE)
            frame.pts = self._position
            self._position += PERIOD
            self._speaker.write(frame)

    def _mixed(self) -> Samples:
        total = np.zeros(FRAME, np.int32)
        for receiver in self._receivers:
            total += receiver.pull()
        if self.deaf:
            return np.zeros(FRAME, np.int16)
        if self.volume != 1.0:
            total = (total * self.volume).astype(np.int32)
        return np.clip(total, -32768, 32767).astype(np.int16)


class DisplayPlayout(_Playout):
    """Shows the newest picture; one that comes too soon replaces the one before it.

    `shown` is what the screen shows now, `frames_shown` counts its pictures.
    """

    def __init__(self, display: Display) -> None:
        super().__init__(display.device)
        self.shown: VideoFrame | None = None
        self.frames_shown = 0
        self._display = display
        self._newest: VideoFrame | None = None
        self._changed = threading.Event()

    @property
    def display(self) -> Display:
        """The screen itself."""
        return self._display

    def show(self, frame: VideoFrame | None) -> None:
        """Show a picture; None clears the screen.  May be called from any thread."""
        self._newest = frame
        self._changed.set()

    def set_banner(self, banner: Banner) -> None:
        """Say something on the screen."""
        self._display.set_banner(banner)
        self._changed.set()

    def set_overlay(self, overlay: Overlay | None) -> None:
        """Put the local picture over the canvas."""
        self._display.set_overlay(overlay)

    def _wake(self) -> None:
        self._changed.set()

    def _open(self) -> None:
        self._display.open()

    def _close(self) -> None:
        self._display.close()
        self.shown = None

    def _play(self) -> None:
        self._changed.wait(_IDLE)
        self._changed.clear()
        frame = self._newest
        self._display.show(frame)
        if frame is not None and frame is not self.shown:
            self.frames_shown += 1
        self.shown = frame

"""What one leg sends, as the room hears and sees it: the two of them in step."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

from av import VideoFrame

from appliance.media.audio_receiver import AudioReceiver
from appliance.media.ends import Inlet
from appliance.media.lip_sync import LipSync
from appliance.media.opus import Samples
from appliance.media.picture_queue import PictureQueue
from appliance.media.video_receiver import VideoReceiver

_TRAIL: Final = 0.0
"""Seconds by which the sound is to come after the picture.  The picture waits for the canvas'
next beat anyway, and the receivers let the sound trail once more."""


class InStepSound:
    """The sound of a leg: a `SoundSource` of the mixer."""

    def __init__(self, inlet: Inlet, now: Callable[[], float] = time.monotonic) -> None:
        self.receiver: Final = AudioReceiver(inlet)
        self.clock: Final = inlet.clock
        self._now = now

    def pull(self) -> Samples:
        """The next 20 ms; they are heard in the mix from now on."""
        return self.receiver.pull(self._now())

    def close(self) -> None:
        """Take nothing more."""
        self.receiver.close()


class InStepPictures:
    """The pictures of a leg: a `FrameSource` of the canvas.

    With `sound`, that of the same leg, a picture that is early waits for it.
    """

    def __init__(
        self,
        inlet: Inlet,
        sound: InStepSound | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._now = now
        self._sync = (
            None
            if sound is None
            else LipSync(sound.receiver, sound.clock, inlet.clock, now, trail=_TRAIL)
        )
        self._lock = threading.Lock()
        self._waiting = PictureQueue()
        self._latest: VideoFrame | None = None
        self.receiver: Final = VideoReceiver(inlet, self._decoded)

    @property
    def latest(self) -> VideoFrame | None:
        """The newest picture whose time has come.  Safe on any thread."""
        with self._lock:
            self._look()
            return self._latest

    def forget(self) -> None:
        """Let none of those that wait be seen: they were taken before a mute, or during it."""
        with self._lock:
            self._waiting.clear()

    def close(self) -> None:
        """Take nothing more."""
        self.receiver.close()

    def _decoded(self, frame: VideoFrame) -> None:
        # On the decoder's thread.
        due = self._now() if self._sync is None else self._sync.due(frame.pts)
        with self._lock:
            # Of a member whom no layout shows nobody asks, and its pictures must not pile up.
            self._look()
            self._waiting.put(frame, due)

    def _look(self) -> None:
        due = self._waiting.take(self._now())
        if due is not None:
            self._latest = due

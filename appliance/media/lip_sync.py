"""Picture and sound of one sender, shown together.

They come as two streams, each with a clock of its own, and sound waits longer on its way: in
its jitter buffer and in the card.  The sender's reports place both on one wall clock; what is
early of the two is held back.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Final

from appliance.media.audio_receiver import AudioReceiver
from appliance.media.sender_clock import SenderClock

MOST: Final = 0.200
"""Seconds that picture or sound is held at the most: a talk bears no more."""

TRAIL: Final = 0.020
"""Seconds by which sound may trail.  Nobody sees that (ITU-R BT.1359 bears several times as
much), and the picture is so much fresher."""

_SLEW: Final = 0.1
"""Seconds by which the hold of the picture changes in a second: too slow to be seen."""

_SOUND_STEP: Final = 0.040
"""Seconds by which the hold of the sound changes in one review."""

_REVIEW: Final = 1.0
"""Seconds between reviews of the sound's hold."""

_FRESH: Final = 1.0
"""Seconds for which sound that has ended still tells when sound is heard."""

_ABSURD: Final = 1.0
"""Seconds between picture and sound that no network makes: clocks that do not belong
together, or one that was just set."""


class LipSync:
    """Says when to show each picture, and how long to hold the sound.

    Without reports on both streams, or without sound, it holds nothing.  `due` is to be called
    on one thread.
    """

    def __init__(
        self,
        audio: AudioReceiver,
        audio_clock: SenderClock,
        video_clock: SenderClock,
        now: Callable[[], float] = time.monotonic,
        *,
        trail: float = TRAIL,
    ) -> None:
        """`trail` is by how many seconds the sound is to come after the picture."""
        self.hold = 0.0
        """Seconds that the last picture was held back."""
        self._audio = audio
        self._audio_clock = audio_clock
        self._video_clock = video_clock
        self._now = now
        self._trail = trail
        # The lag of the pictures that come soonest, and how long those wait.  Lags are seconds of
        # our clock after the sender's; only their differences mean something.
        self._least: float | None = None
        self._wait = 0.0
        self._seen_at = 0.0
        self._reviewed_at = 0.0
        self._early: list[float] = []

    def due(self, timestamp: int | None) -> float:
        """When to show a picture that could be shown now, in seconds of the monotonic clock.
        `timestamp` is its RTP timestamp."""
        now = self._now()
        step = _SLEW * (now - self._seen_at)
        self._seen_at = now
        captured = None if timestamp is None else self._video_clock.moment(timestamp)
        if captured is None:
            self.hold, self._least = 0.0, None
            return now
        lag = now - captured
        if self._least is None or abs(self._least - lag) > _ABSURD:
            self._least, self._wait = lag, 0.0
        # A single late picture is late; it holds none of the others.
        self._least = min(lag, self._least + step)
        sound = self._sound_lag(now)
        if sound is not None and abs(sound - lag) > _ABSURD:
            sound = None
        goal = 0.0 if sound is None else min(max(sound - self._trail - self._least, 0.0), MOST)
        self._wait = min(max(goal, self._wait - step), self._wait + step)
        self.hold = max(self._least + self._wait - lag, 0.0)
        if sound is not None:
            self._review(now, lag - sound)
        return now + self.hold

    def _sound_lag(self, now: float) -> float | None:
        playing = self._audio.playing
        if playing is None or now - playing[1] > _FRESH:
            return None
        captured = self._audio_clock.moment(playing[0])
        return None if captured is None else playing[1] - captured

    def _review(self, now: float, early: float) -> None:
        """Hold the sound where the picture is what comes late.  `early` is by how much the
        sound would be heard before a picture that is not held."""
        self._early.append(early)
        if now - self._reviewed_at < _REVIEW:
            return
        usual = median(self._early)
        self._early.clear()
        self._reviewed_at = now
        if abs(usual) > TRAIL:
            step = min(max(usual, -_SOUND_STEP), _SOUND_STEP)
            self._audio.hold = min(max(self._audio.hold + step, 0.0), MOST)

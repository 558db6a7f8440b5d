"""Who is talking: a level in, a start or an end out."""

from __future__ import annotations

from typing import Final

ONSET: Final = 0.06
"""Seconds of voice before somebody counts as talking: longer than a click or a key stroke, and with
the mixer's step still below the 150 ms after which a mark on a screen looks late."""

HANG_OVER: Final = 0.6
"""Seconds of silence that end it: longer than the pauses inside a sentence."""

ON_DBFS: Final = -45.0
"""Speech at arm's length of a laptop lies above it, the noise of an office below."""

OFF_DBFS: Final = -50.0
"""Lower than the level of the start, so that a voice at the limit does not flutter."""

LONGEST_STEP: Final = 0.1
"""Seconds that one level may stand for; what is longer is a gap, not a measurement."""


class Talking:
    """The state of one member's voice. It keeps no clock: times come with the levels."""

    def __init__(self) -> None:
        #: Whether the member is talking.
        self.active = False
        self._voiced = 0.0
        self._last_voice = 0.0
        self._last_level: float | None = None

    def level(self, dbfs: float, now: float) -> bool | None:
        """Take the level of the sound that ended at `now`, in seconds of any steady clock.

        Returns the new state when it changed, else None.
        """
        step = 0.02 if self._last_level is None else now - self._last_level
        step = min(max(step, 0.0), LONGEST_STEP)
        self._last_level = now
        if dbfs >= (OFF_DBFS if self.active else ON_DBFS):
            self._voiced = min(self._voiced + step, ONSET)
            self._last_voice = now
            # Steps of 20 ms do not add up to 60 ms exactly.
            if not self.active and self._voiced >= ONSET - 1e-6:
                self.active = True
                return True
            return None
        self._voiced = max(self._voiced - step, 0.0)
        if self.active and now - self._last_voice >= HANG_OVER:
            return self.stop()
        return None

    def stop(self) -> bool | None:
        """The member fell silent for certain, as by a mute. Returns False if that is news."""
        self._voiced = 0.0
        if not self.active:
            return None
        self.active = False
        return False

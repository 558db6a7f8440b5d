"""What of a film is seen and heard just now: its clock, and what is decoded ahead of it.

The clock is the machine's own and stands while the film is paused, and while nothing is there to
show. All methods may be called on any thread and none waits long, but `wait`.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final

import numpy as np
from av import VideoFrame

from appliance.hub.film import Piece, Shot, copied
from appliance.hub.mixbus import Samples
from appliance.media.opus import FRAME, RATE

_AHEAD: Final = 1.0
"""Seconds of each kind to decode ahead."""

_ENOUGH: Final = 0.3
"""Seconds that are there before the clock starts, or starts anew after it ran dry."""

_MOST_SHOTS: Final = 40
_MOST_SOUND: Final = 20.0
"""Pictures, and seconds of sound, to keep at most of a film that has them far apart."""

_JITTER: Final = 30 * RATE // 1000
"""Samples (30 ms) by which the time of a piece of sound may be off what came before it."""

_OFF: Final = RATE // 10
"""Samples (100 ms) by which the sound may be off the clock before it jumps there: so early are
the beats of a mixer that catches up."""

_GAP: Final = 0.04
"""Seconds that a lone picture is seen."""

_SOON: Final = 0.001
"""Seconds that are no reason to wait for a picture."""

_REFRESH: Final = 2.0
"""Seconds after which a picture that stays is given anew: the canvas takes a source without new
pictures for frozen."""


class Playhead:
    """The moment of a film that is played. It begins at its start, paused."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._changed = threading.Condition()
        self._at = 0.0
        # When the clock was at `_at`, while it runs.
        self._since: float | None = None
        self._paused = True
        self._finished = False
        # The first is the one to be seen, or the next one.
        self._shots: deque[Shot] = deque()
        self._gap = _GAP
        self._current: Shot | None = None
        self._shown: VideoFrame | None = None
        self._shown_at = 0.0
        # Each with the number of its first sample in the film, one after the other.
        self._pieces: deque[tuple[int, Samples]] = deque()
        # The number of the sample that is heard next; None if the sound has to find its place.
        self._heard: int | None = None

    # What the film's thread does

    def put(self, part: Shot | Piece) -> None:
        """Add what comes next of its kind."""
        with self._changed:
            if isinstance(part, Shot):
                if self._shots:
                    self._gap = max(part.at - self._shots[-1].at, 0.0)
                self._shots.append(part)
            else:
                start = round(part.at * RATE)
                if self._pieces and abs(start - self._sound_end()) < _JITTER:
                    # Times are rounded in some containers; sound that follows has no seams.
                    start = self._sound_end()
                self._pieces.append((start, part.samples))
            self._advance()

    def finish(self) -> None:
        """Nothing more will come."""
        with self._changed:
            self._finished = True
            self._advance()

    def restart(self, at: float) -> None:
        """Forget what was decoded ahead, and go on at this second with what comes.

        The old picture stays until there is another one.
        """
        with self._changed:
            self._shots.clear()
            self._pieces.clear()
            self._gap = _GAP
            self._heard = None
            self._finished = False
            self._at, self._since = at, None

    def wants(self, *, picture: bool, sound: bool) -> bool:
        """Whether more should be decoded, of a film that has these."""
        with self._changed:
            self._advance()
            seen, heard = self._picture_end() - self._at, self._sound_end() / RATE - self._at
            lacks = (picture and seen < _AHEAD) or (sound and heard < _AHEAD)
            return lacks and len(self._shots) < _MOST_SHOTS and heard < _MOST_SOUND

    @property
    def over(self) -> bool:
        """Whether the film was played to its end."""
        with self._changed:
            self._advance()
            return self._finished and self._at >= self._end()

    def wait(self, seconds: float) -> None:
        """Wait so long, or until `wake`."""
        with self._changed:
            self._changed.wait(seconds)

    # What the room does

    def wake(self) -> None:
        """End what `wait` waits for."""
        with self._changed:
            self._changed.notify_all()

    def play(self) -> None:
        """Let the clock run, as soon as there is something to play."""
        with self._changed:
            self._paused = False
            self._advance()

    def pause(self) -> None:
        """Stop the clock; the picture stays."""
        with self._changed:
            self._advance()
            self._paused = True
            self._since = None

    @property
    def paused(self) -> bool:
        """Whether it is wanted that the clock stands."""
        return self._paused

    @property
    def position(self) -> float:
        """The second that is played."""
        with self._changed:
            self._advance()
            return self._at

    def picture(self) -> VideoFrame | None:
        """The picture of this moment. One that stays becomes another frame now and then."""
        with self._changed:
            self._advance()
            now = self._clock()
            due = self._shots[0] if self._shots and self._shots[0].at <= self._at + _SOON else None
            if due is not None and due is not self._current:
                self._current = due
                self._shown, self._shown_at = due.frame, now
            if self._shown is not None and now - self._shown_at > _REFRESH:
                self._shown, self._shown_at = copied(self._shown), now
            return self._shown

    def sound(self) -> Samples:
        """The next 20 ms of sound; silence while the clock stands."""
        samples = np.zeros(FRAME, np.int16)
        with self._changed:
            self._advance()
            if self._since is None:
                return samples
            now = round(self._at * RATE)
            if self._heard is None or abs(now - self._heard) > _OFF:
                self._heard = now
            begin, end = self._heard, self._heard + FRAME
            self._heard = end
            for start, piece in self._pieces:
                if start >= end:
                    break
                here = piece[max(begin - start, 0) : end - start]
                into = max(start - begin, 0)
                samples[into : into + here.size] = here
            self._forget(end)
        return samples

    # With the lock held

    def _advance(self) -> None:
        """Bring the clock up to now."""
        now = self._clock()
        if self._since is None:
            there = self._finished or self._end() - self._at >= _ENOUGH
            if self._paused or not there:
                # A picture that was sought is seen all the same.
                self._pass_shots()
                return
            self._since = now
        at = self._at + now - self._since
        end = max(self._end(), self._at)
        if at < end:
            self._at, self._since = at, now
        else:
            # At the end, or dry: then it waits until there is enough again.
            self._at, self._since = end, now if self._finished else None
        self._pass_shots()
        # Sound that nobody has come for.
        self._forget(round((self._at - 1.0) * RATE))

    def _pass_shots(self) -> None:
        while len(self._shots) > 1 and self._shots[1].at <= self._at + _SOON:
            self._shots.popleft()

    def _forget(self, before: int) -> None:
        # The last one stays, for the next to follow.
        while len(self._pieces) > 1 and self._pieces[0][0] + self._pieces[0][1].size <= before:
            self._pieces.popleft()

    def _end(self) -> float:
        return max(self._picture_end(), self._sound_end() / RATE)

    def _picture_end(self) -> float:
        return self._shots[-1].at + self._gap if self._shots else 0.0

    def _sound_end(self) -> int:
        if not self._pieces:
            return 0
        start, piece = self._pieces[-1]
        return start + piece.size

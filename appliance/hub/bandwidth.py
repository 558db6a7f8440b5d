"""How many bits a second all receivers of one shared picture can take.

What a receiver reports (REMB) is what it has seen to pass, and little more: while the picture
stands still that is next to nothing, and from there it grows by some percent a second only. Taken
at its word every still room would be blurred for half a minute when somebody moves. So a report
is bad news only if it is below what is being sent and does not grow.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

FLOOR: Final = 300_000
"""Bits a second below which the picture is of no use to anybody: it does not go there, and a
receiver that can take no more loses pictures, and nobody else does."""

FORGET: Final = 10.0
"""Seconds after which a report does not count any more: a receiver that is alive reports every
second, and one that is dead must not hold the others back."""

HOLD: Final = 10.0
"""Seconds for which a limit holds after the last bad news; then it is tried how far it can go."""

REVIEW: Final = 1.0
"""Seconds between two looks at the limits, and between two reports that are compared."""

_TIGHT: Final = 0.85
"""What is reported, as a part of what is sent, below which something is lost or late: receivers
fall back to this part of what came through."""

_GROWTH: Final = 1.01
"""Factor by which reports rise from one second to the next while all is well, at least."""

_DROP: Final = 0.93
"""Factor by which they fall, at least, when it is not."""

_STEP: Final = 1.2
"""Factor by which a limit is raised a second, after `HOLD`."""

_DOWN: Final = 0.95
_UP: Final = 1.15
"""Factors by which the target must differ to be changed: reports wander by less while nothing
happens, and for a VP8 encoder a change costs a keyframe."""


@dataclass(slots=True)
class _Receiver:
    """One receiver, by its reports."""

    bitrate: int
    reported_at: float
    #: An older report to compare with, and when it came.
    mark: int
    marked_at: float
    #: What it can take; None while nothing speaks against everything.
    limit: int | None = None
    limited_at: float = 0.0


class Bandwidth:
    """The bit rate for all who receive the same encoded picture. It keeps no clock: times are
    given, in seconds of any steady one.

    The receiver that can take least sets it, as long as it reports.
    """

    def __init__(self, ceiling: int) -> None:
        """`ceiling` is in bit/s: what the picture needs at its best, and the rate at the start."""
        self.ceiling: Final = max(ceiling, FLOOR)
        #: The bit rate to encode with.
        self.target = self.ceiling
        self._receivers: dict[object, _Receiver] = {}
        self._reviewed_at = float("-inf")
        # Bytes of the last second, and when they were sent.
        self._sent: deque[tuple[float, int]] = deque()
        self._bytes = 0

    def sent(self, size: int, now: float) -> None:
        """So many bytes of picture go to everybody."""
        self._sent.append((now, size))
        self._bytes += size
        while self._sent[0][0] <= now - 1.0:
            self._bytes -= self._sent.popleft()[1]

    def report(self, receiver: object, bitrate: int, now: float) -> bool:
        """A receiver says what it can take, in bit/s. Returns whether that changes the target."""
        known = self._receivers.get(receiver)
        if known is None:
            known = self._receivers[receiver] = _Receiver(bitrate, now, bitrate, now)
            bad = True
        else:
            bad = bitrate <= known.bitrate * _DROP
            if now - known.marked_at >= REVIEW:
                bad = bad or bitrate <= known.mark * _GROWTH
                known.mark, known.marked_at = bitrate, now
        known.bitrate, known.reported_at = bitrate, now
        if bad and 8 * self._bytes > FLOOR and bitrate < 8 * self._bytes * _TIGHT:
            known.limit, known.limited_at = bitrate, now
            wanted = self._wanted(now)
            return wanted <= self.target * _DOWN and self._set(wanted)
        if known.limit is not None:
            known.limit = max(known.limit, bitrate)
        return False

    def leave(self, receiver: object) -> None:
        """Forget a receiver; unknown ones are ignored."""
        self._receivers.pop(receiver, None)

    def review(self, now: float) -> bool:
        """Look at the limits again, at most every `REVIEW` seconds: some are old, or may be
        raised. Returns whether that changes the target. Cheap enough for every frame."""
        if now - self._reviewed_at < REVIEW:
            return False
        self._reviewed_at = now
        for receiver in self._receivers.values():
            if receiver.limit is not None and now - receiver.limited_at > HOLD:
                raised = max(round(receiver.limit * _STEP), FLOOR)
                receiver.limit = raised if raised < self.ceiling else None
        wanted = self._wanted(now)
        if wanted == self.ceiling or not self.target * _DOWN < wanted < self.target * _UP:
            return self._set(wanted)
        return False

    def _wanted(self, now: float) -> int:
        silent = [one for one, is_ in self._receivers.items() if now - is_.reported_at > FORGET]
        for receiver in silent:
            del self._receivers[receiver]
        limits = (one.limit for one in self._receivers.values() if one.limit is not None)
        return min(max(min(limits, default=self.ceiling), FLOOR), self.ceiling)

    def _set(self, target: int) -> bool:
        changed = target != self.target
        self.target = target
        return changed

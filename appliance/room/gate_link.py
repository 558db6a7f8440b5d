"""An extra microphone or camera held closed together with the member's own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

from appliance.media.gate import SAFETY, Gate, Party

PEOPLE: Final = SAFETY | {Party.ROOM, Party.CONFIG, Party.LATCH, Party.COVER}
"""Who closes the device as a whole: a button or a cover does not mean one leg of a call."""


class GateLink:
    """Keeps `gate` closed while `leader` is, on behalf of `Party.LATCH`.

    While it is `whole`, whoever holds the leader holds the gate: two captures of one and the
    same device are never heard one past the other.  Otherwise only `parties` do: a script or a
    moderator who mutes the member does not mute the leg, but a person in the room does.  It
    follows on the thread that changes the leader.
    """

    def __init__(
        self, leader: Gate, gate: Gate, *, whole: bool, parties: frozenset[Party] = PEOPLE
    ) -> None:
        self._leader = leader
        self._gate = gate
        self._whole = whole
        self._parties = parties
        self._lock = threading.Lock()
        self._end: Callable[[], None] = leader.subscribe(lambda _: self._follow())
        self._follow()

    @property
    def whole(self) -> bool:
        """Whether both are of one and the same device."""
        return self._whole

    @whole.setter
    def whole(self, whole: bool) -> None:
        self._whole = whole
        self._follow()

    def close(self) -> None:
        """Follow no longer; the gate stays as it is."""
        self._end()

    def _follow(self) -> None:
        # The leader is read under the lock: the last to follow has seen the last change.
        with self._lock:
            closers = self._leader.closers
            held = closers if self._whole else closers & self._parties
            if held:
                self._gate.mute(Party.LATCH, "with the microphone or camera of the device")
            else:
                self._gate.unmute(Party.LATCH, "with the microphone or camera of the device")

"""Who has the floor: the one speaker that a room shows larger than the others.

It changes hands slowly. A cough, a "yes" or a laugh gives it to nobody, and two who talk at the
same time do not pass it to and fro.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

LEAD: Final = 1.5
"""Seconds for which a challenger must lead before it gets the floor: longer than the "yes" of
somebody who listens, together with the time after which silence is noticed."""

MARGIN_DB: Final = 3.0
"""How much louder than a holder who is talking a challenger must be to lead: twice the power."""

SMOOTH: Final = 0.4
"""Seconds over which levels are averaged: a few syllables."""

_QUIET_DBFS: Final = -127.0


@dataclass(slots=True)
class _Speaker:
    """One who talks just now."""

    power: float
    """Averaged, as a fraction of full scale."""
    heard_at: float
    leads_since: float | None = None
    """Since when it leads over the holder without a break; None while it does not."""

    @property
    def dbfs(self) -> float:
        return 10 * math.log10(self.power) if self.power > 0 else _QUIET_DBFS


class Floor:
    """The floor of one room. It keeps no clock: times come with the levels.

    With nobody holding it the first who talks has it at once. The holder keeps it through its own
    silence and loses it to the loudest of those who have led for `LEAD` seconds: who talks while
    the holder is silent, or is louder by `MARGIN_DB`.
    """

    def __init__(self) -> None:
        #: The member who has it; None until somebody talks.
        self.holder: str | None = None
        self._speakers: dict[str, _Speaker] = {}

    def level(self, member_id: str, dbfs: float, talking: bool, now: float) -> bool:
        """Take how loud a member is, and whether that counts as talking, at the time `now` in
        seconds of any steady clock. Returns whether the floor has moved."""
        if not talking:
            self._speakers.pop(member_id, None)
            return False
        power = 10 ** (dbfs / 10)
        speaker = self._speakers.get(member_id)
        if speaker is None:
            speaker = self._speakers[member_id] = _Speaker(power, now)
        else:
            weight = 1 - math.exp(-max(now - speaker.heard_at, 0.0) / SMOOTH)
            speaker.power += weight * (power - speaker.power)
            speaker.heard_at = now
        if self.holder is None:
            return self._give(member_id)
        if member_id == self.holder:
            return False
        if not self._leads(speaker):
            speaker.leads_since = None
            return False
        if speaker.leads_since is None:
            speaker.leads_since = now
        if now - speaker.leads_since < LEAD or not self._is_loudest(speaker, now):
            return False
        return self._give(member_id)

    def leave(self, member_id: str) -> None:
        """Forget a member; if it had the floor, nobody has it now."""
        self._speakers.pop(member_id, None)
        if self.holder == member_id:
            self.holder = None
            self._begin_anew()

    def _leads(self, speaker: _Speaker) -> bool:
        holder = self._speakers.get(self.holder or "")
        return holder is None or speaker.dbfs >= holder.dbfs + MARGIN_DB

    def _is_loudest(self, speaker: _Speaker, now: float) -> bool:
        """Whether nobody else who might have the floor by now is louder."""
        return all(
            other.power <= speaker.power
            for other in self._speakers.values()
            if other.leads_since is not None and now - other.leads_since >= LEAD
        )

    def _give(self, member_id: str) -> bool:
        self.holder = member_id
        self._begin_anew()
        return True

    def _begin_anew(self) -> None:
        """Nobody has led over the new holder yet."""
        for speaker in self._speakers.values():
            speaker.leads_since = None

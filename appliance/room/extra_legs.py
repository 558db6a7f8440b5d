"""The extra legs of a session, and how they come into the room."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from .admission import Admission
from .call import Call
from .errors import SessionEnded
from .extra_leg import ExtraLeg
from .state import RoomState


class ExtraLegs:
    """Keeps every leg from its making to its end.

    The server tells of a leg's member by `member.joined` and the id of its parent, not by the
    call: so the legs come in one after the other.
    """

    def __init__(self, state: RoomState) -> None:
        self._state = state
        self._legs: list[ExtraLeg] = []
        self._present: list[ExtraLeg] = []
        self._turn = asyncio.Lock()
        self._admission: Admission | None = None

    @property
    def present(self) -> list[ExtraLeg]:
        """Those that are in the room, in the order in which they came."""
        return [leg for leg in self._present if leg.active]

    def add(self, leg: ExtraLeg) -> None:
        """Keep a new leg."""
        self._legs = [*(one for one in self._legs if not one.ended), leg]

    def call(self, call_id: str | None) -> Call | None:
        """The call of that id, if it is one of theirs."""
        calls = (leg.call for leg in self._legs)
        return next((call for call in calls if call is not None and call.id == call_id), None)

    def changed(self, leg: ExtraLeg) -> None:
        """A leg has come or gone."""
        self._present = [one for one in self._present if one is not leg]
        if leg.active:
            self._present.append(leg)

    async def enter(self, call: Call) -> Mapping[str, Any]:
        """Dial and wait for the call's member.  Raises as `Call.dial`, and JoinTimeout."""
        async with self._turn:
            admission = self._admission = Admission()
            try:
                await call.dial()
                return await admission.wait()
            finally:
                self._admission = None

    # --- what the server tells

    def member_joined(self, member: Mapping[str, Any]) -> None:
        """A member has come; it may be the one that a leg waits for."""
        parent, admission = member.get("parent_id"), self._admission
        if admission is None or parent is None or parent != self._state.member_id:
            return
        if self._leg(member.get("id")) is None:
            admission.grant(member)

    def member_updated(self, member: Mapping[str, Any]) -> None:
        """A member has changed."""
        if (leg := self._leg(member.get("id"))) is not None:
            leg.member_changed(member)

    def member_left(self, member: Mapping[str, Any]) -> None:
        """A member has gone."""
        if (leg := self._leg(member.get("id"))) is not None:
            leg.cut()

    def refreshed(self, members: Iterable[Any]) -> None:
        """The server was asked for all members: those who are not there have gone."""
        known = {m.get("id"): m for m in members if isinstance(m, Mapping)}
        for leg in self.present:
            member = known.get(leg.member_id)
            if member is None:
                leg.cut()
            else:
                leg.member_changed(member, whole=True)

    def follow(self) -> None:
        """The session is another member now."""
        for leg in self.present:
            leg.follow()

    def retie(self) -> None:
        """The session's devices may have changed."""
        for leg in self._legs:
            leg.retie()

    async def end(self, bye: float | None) -> None:
        """End all of them, with a goodbye of at most `bye` seconds or without one."""
        if self._admission is not None:
            self._admission.fail(SessionEnded("join"))
        work = [task for leg in self._legs if (task := leg.cut(bye)) is not None]
        await asyncio.gather(*work, return_exceptions=True)
        self._legs.clear()
        self._present.clear()

    def _leg(self, member_id: object) -> ExtraLeg | None:
        if not isinstance(member_id, str):
            return None
        return next((leg for leg in self._legs if leg.member_id == member_id), None)

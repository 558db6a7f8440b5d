"""Members with media who are to notice nothing of what others do to their hub."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Self

from appliance.hub.server import HubServer
from tests.appliance.hub.caller import GREEN, RED, Caller
from tests.appliance.media.conftest import level_at

FREQUENCIES = (1000.0, 2200.0)

_COMINGS = {
    "video.member.joined",
    "video.member.left",
    "video.member.updated",
    "video.member.talking",
    "video.layout.changed",
    "video.room.audience_count",
}
"""What members learn of guests who come, act on themselves, and go."""


@dataclass
class Witnesses:
    """Two in the room ``demo`` who hear and see each other, and one alone in ``quiet``."""

    pair: tuple[Caller, Caller]
    alone: Caller
    _marks: dict[Caller, int]

    @classmethod
    @contextlib.asynccontextmanager
    async def of(cls, hub: HubServer) -> AsyncIterator[Self]:
        """Bring them in; they see and hear each other when the block begins."""
        callers: list[Caller] = []
        try:
            for name, room, frequency, tint in (
                ("Ann", "demo", FREQUENCIES[0], RED),
                ("Ben", "demo", FREQUENCIES[1], GREEN),
                ("Cat", "quiet", FREQUENCIES[0], RED),
            ):
                callers.append(
                    await Caller.call(hub, name, room=room, frequency=frequency, tint=tint)
                )
            ann, ben, cat = callers
            self = cls((ann, ben), cat, {})
            await self.hear_and_see()
            self._marks = {one: await one.mark() for one in callers}
            yield self
            await self.check()
        finally:
            for caller in callers:
                await caller.hang_up()

    async def hear_and_see(self) -> None:
        """Wait until both hear and see each other just now, and the third sees itself."""
        self.alone.heard.clear()
        self.alone.video.latest = None
        await self.alone.sees(self.alone.member_id, RED)
        for one, other in itertools.permutations(self.pair):
            # Only what arrives from now on counts.
            one.heard.clear()
            one.video.latest = None
            assert other.frequency is not None
            assert other.tint is not None
            try:
                await one.hears(other.frequency)
                await one.sees(other.member_id, other.tint)
            except TimeoutError:
                raise AssertionError(
                    f"a witness does not hear or see the other: {len(one.heard)} pieces heard, now"
                    f" at {level_at(one.heard[-1], other.frequency):.0f} dB; colours"
                    f" {one.colours(other.member_id)}; {one.peer.state}, {other.peer.state};"
                    f" {one.peer.stats()}"
                ) from None

    async def check(self) -> None:
        """They have noticed nothing up to now, and their meeting goes on."""
        for one in (*self.pair, self.alone):
            assert one.socket.close_code is None, f"a witness was closed: {one.socket.close_code}"
            # Nothing of its sound was left out.
            numbers = [packet.sequence for packet in one.arrived]
            del one.arrived[:-1]
            assert all((b - a) % 65_536 == 1 for a, b in itertools.pairwise(numbers))
        await self.hear_and_see()
        mine = {one.member_id for one in self.pair}
        for one in self.pair:
            seen = one.events[self._marks[one] :]
            del one.frames[:]
            for name, params in seen:
                assert name in _COMINGS, f"a witness was told {name}: {params}"
                if name in ("video.member.joined", "video.member.left", "video.member.updated"):
                    assert params["member"]["id"] not in mine, f"{name} of a witness: {params}"
                if name == "video.layout.changed":
                    assert params["layout"]["name"] == "grid-responsive"
            # The newest layout is still needed, to know where to look.
            layouts = [event for event in one.events if event[0] == "video.layout.changed"]
            one.events[:] = layouts[-1:]
            self._marks[one] = 0
        said = {name for name, _ in self.alone.events[self._marks[self.alone] :]}
        assert said <= {"video.member.talking"}, f"who is alone was told {said}"

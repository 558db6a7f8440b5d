"""What a room records, plays and streams: one live object each."""

from __future__ import annotations

import weakref
from abc import ABC
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar, Final, Self, TypeVar

from appliance.signaling.payload import Payload

Rpc = Callable[..., Awaitable[Payload]]
"""Sends `video.<method>` with the room's id and the given parameters."""


class Work(ABC):
    """One recording, playback or stream, kept up to date by the server's events.

    There is one object for each id: two that are equal are the same.
    """

    kind: ClassVar[str]
    """What the wire calls it: "recording"."""

    def __init__(self, rpc: Rpc, place: Mapping[str, Any], fields: Mapping[str, Any]) -> None:
        self._rpc = rpc
        self._place = dict(place)
        self._fields = dict(fields)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id} {self.state}>"

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        # It stands for something in the room: a copy of a payload holds the same one.
        return self

    @property
    def id(self) -> str:
        """Its id."""
        return str(self._fields["id"])

    @property
    def room_id(self) -> str | None:
        """The id of its room."""
        return self._place.get("room_id")

    @property
    def room_session_id(self) -> str | None:
        """The id of its room session."""
        return self._place.get("room_session_id")

    @property
    def state(self) -> str | None:
        """What it is doing, in the server's words; "completed" when it has ended."""
        return self._fields.get("state")

    @property
    def started_at(self) -> datetime | None:
        """When it started, None while it has not."""
        return _time(self._fields.get("started_at"))

    @property
    def ended_at(self) -> datetime | None:
        """When it ended, None while it goes on."""
        return _time(self._fields.get("ended_at"))

    @property
    def payload(self) -> Payload:
        """All that the server has told, also what has no property here."""
        return Payload(dict(self._fields))

    async def stop(self) -> None:
        """End it."""
        await self._do("stop")

    async def _do(self, verb: str, **params: Any) -> None:
        await self._rpc(f"{self.kind}.{verb}", **{f"{self.kind}_id": self.id}, **params)

    def _update(self, place: Mapping[str, Any], fields: Mapping[str, Any]) -> None:
        self._place.update(place)
        self._fields.update(fields)


class PausableWork(Work):
    """A work that can rest and go on."""

    async def pause(self) -> None:
        """Let it rest."""
        await self._do("pause")

    async def resume(self) -> None:
        """Let it go on."""
        await self._do("resume")


W = TypeVar("W", bound=Work)

_PLACE: Final = ("room_id", "room_session_id")


class Works:
    """The works of a room by kind and id.

    One that goes on is kept; one that has ended for as long as somebody holds it.
    """

    def __init__(self, rpc: Rpc, kinds: Iterable[type[Work]]) -> None:
        self._rpc = rpc
        self._kinds = {kind.kind: kind for kind in kinds}
        self._known: weakref.WeakValueDictionary[tuple[str, str], Work] = (
            weakref.WeakValueDictionary()
        )
        self._going_on: dict[tuple[str, str], Work] = {}

    def get(self, cls: type[W], fields: Mapping[str, Any], place: Mapping[str, Any]) -> W:
        """The object for what the server describes, brought up to date.  `place` holds the
        ids of the room and its session."""
        key = (cls.kind, str(fields["id"]))
        place = {name: place[name] for name in _PLACE if place.get(name) is not None}
        work = self._known.get(key)
        if work is None:
            work = self._known[key] = cls(self._rpc, place, fields)
        else:
            work._update(place, fields)
        if work.state == "completed":
            self._going_on.pop(key, None)
        else:
            self._going_on[key] = work
        assert isinstance(work, cls)
        return work

    def applied(self, event: str, params: Mapping[str, Any]) -> Work | None:
        """The work that an event of the server is about; None where it is about none."""
        name, _, verb = event.partition(".")
        cls, fields = self._kinds.get(name), params.get(name)
        if cls is None or not isinstance(fields, Mapping) or not fields.get("id"):
            return None
        if verb == "ended":
            fields = {"state": "completed", **fields}
        return self.get(cls, fields, params)

    def with_objects(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """What tells of a room, with the objects in place of the lists of works."""
        session = params.get("room_session")
        if not isinstance(session, Mapping):
            return dict(params)
        place = {**params, **session}
        place.setdefault("room_session_id", session.get("id"))
        lists = {
            f"{name}s": [
                self.get(cls, fields, place)
                for fields in session.get(f"{name}s") or ()
                if isinstance(fields, Mapping) and fields.get("id")
            ]
            for name, cls in self._kinds.items()
        }
        return {**params, "room_session": {**session, **lists}}


def _time(value: object) -> datetime | None:
    """A time of the wire, in seconds since the epoch; 0 and null stand for none."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not value:
        return None
    return datetime.fromtimestamp(value, UTC)

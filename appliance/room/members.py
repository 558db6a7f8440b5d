"""The members of the room, as far as the server has told."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

Member = dict[str, Any]
Emission = tuple[str, dict[str, Any]]
"""The name of an event for the application, and its payload."""

OFF_CANVAS: Final = "off-canvas"


class Members:
    """The list of members: seeded at the join, then kept by the server's events.

    Updates carry changes only, so each is merged into what was known before.
    """

    def __init__(self) -> None:
        self._members: dict[str, Member] = {}

    def __len__(self) -> int:
        return len(self._members)

    def __iter__(self) -> Iterator[Member]:
        return iter(self.snapshot())

    def get(self, member_id: str) -> Member | None:
        """What is known of one member; a copy."""
        member = self._members.get(member_id)
        return None if member is None else dict(member)

    def snapshot(self) -> list[Member]:
        """Every member, in the order of joining; copies."""
        return [dict(member) for member in self._members.values()]

    def replace(self, members: Iterable[Any]) -> None:
        """Take the server's whole list in place of ours, keeping positions known."""
        known = self._members
        self._members = {}
        for member in members:
            if (member_id := _id(member)) is not None:
                position = known.get(member_id, {}).get("current_position")
                kept = {} if position is None else {"current_position": position}
                self._members[member_id] = kept | dict(member)

    def list_updated(self) -> Emission:
        """The event that tells the whole list."""
        return "memberList.updated", {"members": self.snapshot()}

    def apply(self, event: str, payload: Mapping[str, Any]) -> list[Emission]:
        """Take in one event of the server and say what the application hears of it.

        `event` is without the prefix `video.`; one that is not about members comes back
        as it is.  A payload without a usable member changes nothing.
        """
        raw: Emission = (event, dict(payload))
        if event == "layout.changed":
            return [raw, *self._positions(payload)]
        member = payload.get("member")
        if not event.startswith("member.") or (member_id := _id(member)) is None:
            return [raw]
        assert isinstance(member, Mapping)
        if event == "member.joined":
            self._members[member_id] = dict(member)
            return [raw, self.list_updated()]
        if event == "member.left":
            self._members.pop(member_id, None)
            return [raw, self.list_updated()]
        if event == "member.updated":
            return self._updated(member_id, member, payload)
        if event == "member.talking":
            return [*self._talking(member_id, member, payload), raw]
        return [raw]

    def _updated(
        self, member_id: str, member: Mapping[str, Any], payload: Mapping[str, Any]
    ) -> list[Emission]:
        keys = [key for key in _list(member.get("updated")) if isinstance(key, str)]
        news = {key: value for key, value in member.items() if key != "updated"}
        merged = self._members.setdefault(member_id, {})
        merged.update(news)
        full = {**payload, "member": {**merged, "updated": keys}}
        return [
            *((f"member.updated.{key}", full) for key in keys),
            ("member.updated", full),
            self.list_updated(),
        ]

    def _talking(
        self, member_id: str, member: Mapping[str, Any], payload: Mapping[str, Any]
    ) -> list[Emission]:
        talking = bool(member.get("talking"))
        if member_id in self._members:
            self._members[member_id]["talking"] = talking
        # The second name of each pair is deprecated and kept for older scripts.
        names = ("started", "start") if talking else ("ended", "stop")
        return [(f"member.talking.{name}", dict(payload)) for name in names]

    def _positions(self, payload: Mapping[str, Any]) -> list[Emission]:
        layout = payload.get("layout")
        layers = _list(layout.get("layers")) if isinstance(layout, Mapping) else []
        positions = {
            layer["member_id"]: layer.get("position")
            for layer in layers
            if isinstance(layer, Mapping) and isinstance(layer.get("member_id"), str)
        }
        emissions: list[Emission] = []
        rooms = {k: v for k, v in payload.items() if k in ("room_id", "room_session_id")}
        for member_id, member in self._members.items():
            position = positions.get(member_id, OFF_CANVAS)
            if member.get("current_position") == position:
                continue
            member["current_position"] = position
            full = {**rooms, "member": {**member, "updated": ["current_position"]}}
            emissions += [("member.updated.current_position", full), ("member.updated", full)]
        if emissions:
            emissions.append(self.list_updated())
        return emissions


def _id(member: object) -> str | None:
    value = member.get("id") if isinstance(member, Mapping) else None
    return value if isinstance(value, str) and value else None


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []

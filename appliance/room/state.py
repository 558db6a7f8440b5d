"""What the server has told about the room, and who we are in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .members import Emission, Member, Members


class RoomState:
    """The room as this member knows it: ids, rights, members, layers.

    `authorization` is what the token grants now; it changes with a promotion.
    """

    def __init__(self) -> None:
        self.authorization: dict[str, Any] = {}
        self.members = Members()
        self.member_id: str | None = None
        self.room_id: str | None = None
        self.room_session_id: str | None = None
        self.preview_url: str | None = None
        self.layers: list[Any] = []

    @property
    def permissions(self) -> list[str]:
        """The names of the permissions that the own member has."""
        room = self.authorization.get("room")
        scopes = room.get("scopes") if isinstance(room, Mapping) else None
        return [str(scope) for scope in scopes] if isinstance(scopes, list) else []

    @property
    def interactivity_mode(self) -> str:
        """What the own member is: "member" or "audience"; empty before the join."""
        return str(self.authorization.get("join_as") or "")

    @property
    def is_audience(self) -> bool:
        """Whether the own member is an audience participant: no list of members names those."""
        return self.interactivity_mode == "audience"

    @property
    def own(self) -> Member | None:
        """What is known of the own member; None when the server did not tell yet."""
        return None if self.member_id is None else self.members.get(self.member_id)

    def subscribed(self, params: Mapping[str, Any]) -> bool:
        """Take in `video.room.subscribed`; says whether this is a new membership."""
        session = params.get("room_session")
        session = session if isinstance(session, Mapping) else {}
        before = (self.member_id, self.room_session_id)
        self.member_id = _text(params.get("member_id"))
        self.room_id = _text(session.get("room_id"))
        self.room_session_id = _text(session.get("id")) or _text(session.get("room_session_id"))
        self.preview_url = _text(session.get("preview_url"))
        members = session.get("members")
        self.members.replace(members if isinstance(members, list) else [])
        return (self.member_id, self.room_session_id) != before

    def apply(self, event: str, params: dict[str, Any]) -> list[Emission]:
        """Take in any other event (without `video.`); says what the application hears."""
        if event in ("member.promoted", "member.demoted"):
            authorization = params.get("authorization")
            if self.is_own(params.get("member_id")) and isinstance(authorization, dict):
                self.authorization = authorization
        elif event == "layout.changed":
            layout = params.get("layout")
            layers = layout.get("layers") if isinstance(layout, Mapping) else None
            self.layers = layers if isinstance(layers, list) else []
        return self.members.apply(event, params)

    def is_own(self, member_id: object) -> bool:
        """Whether this is the id of the own member."""
        return self.member_id is not None and member_id == self.member_id


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None

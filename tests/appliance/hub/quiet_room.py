"""A room without sockets and media, for tests of what goes on around one."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from appliance.hub.members import Member
from appliance.hub.observers import RoomObserver
from appliance.hub.records import StoredRoom
from appliance.hub.room import Room
from appliance.hub.sessions import Session
from appliance.hub.tokens import TokenOptions
from tests.appliance.hub.hub_client import FakePeer, FakeStage


class Line:
    """The socket of a client, which keeps what is sent to it."""

    def __init__(self) -> None:
        self.events: list[tuple[str, Mapping[str, Any]]] = []

    def event(self, params: Mapping[str, Any]) -> None:
        self.events.append((params["event_type"], params["params"]))

    def unacked_events(self) -> list[Mapping[str, Any]]:
        return []

    def close(self, reason: str) -> None:
        """Nothing hangs on it."""

    def names(self) -> list[str]:
        return [name for name, _ in self.events]


def open_room(observer: RoomObserver | None = None, stored: StoredRoom | None = None) -> Room:
    """A room called demo, in which nobody is yet."""
    return Room("demo", project="project", stage=FakeStage, observer=observer, stored=stored)


def come_in(room: Room, name: str = "Oak", permissions: tuple[str, ...] = ()) -> Member:
    """Somebody joins the room by a `Line`."""
    options = TokenOptions(room_name=room.name, user_name=name, permissions=list(permissions))
    session = Session(options, project=room.project, node_id="node")
    session.link = Line()
    member = Member(str(uuid.uuid4()), name, "member", session)
    session.room, session.member = room, member
    room.join(member, str(uuid.uuid4()), FakePeer())
    return member


def line_of(member: Member) -> Line:
    """What the member's client was sent."""
    assert isinstance(member.session.link, Line)
    return member.session.link

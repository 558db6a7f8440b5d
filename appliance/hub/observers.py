"""Who is told what goes on in the rooms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from appliance.hub.members import Member
    from appliance.hub.room import Room

__all__ = ["RoomObserver", "RoomObservers"]


class RoomObserver:
    """Is told what goes on in the rooms, before the clients are. Does nothing by itself."""

    def began(self, room: Room) -> None:
        """The room's session begins: somebody joins for the first time, which `joined` tells next.

        It goes on until `closed`, also while nobody is in the room and somebody on the way in.
        """

    def joined(self, room: Room, member: Member) -> None:
        """A member joins."""

    def left(self, room: Room, member: Member) -> None:
        """A member has left."""

    def emitted(self, room: Room, event_type: str, params: Mapping[str, Any]) -> None:
        """An event is sent to the clients in the room."""

    def closed(self, room: Room) -> None:
        """The room is closed, and with it the session."""


class RoomObservers(RoomObserver):
    """Several observers as one; each is told in turn."""

    def __init__(self, *observers: RoomObserver) -> None:
        self._observers = observers

    def began(self, room: Room) -> None:
        """The session begins."""
        for observer in self._observers:
            observer.began(room)

    def joined(self, room: Room, member: Member) -> None:
        """A member joins."""
        for observer in self._observers:
            observer.joined(room, member)

    def left(self, room: Room, member: Member) -> None:
        """A member has left."""
        for observer in self._observers:
            observer.left(room, member)

    def emitted(self, room: Room, event_type: str, params: Mapping[str, Any]) -> None:
        """An event is sent."""
        for observer in self._observers:
            observer.emitted(room, event_type, params)

    def closed(self, room: Room) -> None:
        """The room is closed."""
        for observer in self._observers:
            observer.closed(room)

"""The rooms that are open just now: how one comes into being, and how it goes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator

from appliance.hub import admission
from appliance.hub.observers import RoomObserver
from appliance.hub.records import StoredRoom
from appliance.hub.room import Room
from appliance.hub.room_stage import RoomStage
from appliance.hub.tokens import TokenOptions

log = logging.getLogger(__name__)


class Rooms:
    """The rooms that are open just now, by name.

    `stored` finds the room that lasts of a name, if there is one.
    """

    def __init__(
        self,
        *,
        project: str,
        stage: Callable[[Room], RoomStage],
        auto_create: bool = True,
        stored: Callable[[str], StoredRoom | None],
        observer: RoomObserver | None = None,
        layout: str = "grid-responsive",
        max_members: int = 50,
    ) -> None:
        self._project = project
        self._stage = stage
        self._auto_create = auto_create
        self._stored = stored
        self._observer = observer
        self._layout = layout
        self._max_members = max_members
        self._rooms: dict[str, Room] = {}

    def __len__(self) -> int:
        return len(self._rooms)

    def __iter__(self) -> Iterator[Room]:
        return iter(self._rooms.values())

    def get(self, name: str) -> Room | None:
        """The room of this name, if it is open."""
        return self._rooms.get(name)

    def open(self, options: TokenOptions) -> Room:
        """The room that a token is for, opened now if need be. Raises Refused."""
        room = self._rooms.get(options.room_name)
        if room is not None:
            return room
        stored = self._stored(options.room_name)
        admission.may_open(options, exists=stored is not None, auto_create=self._auto_create)
        settings = admission.opened(stored.options if stored else None, options)
        room = Room(
            settings.name,
            project=self._project,
            display_name=settings.display_name,
            layout=settings.layout or self._layout,
            meta=settings.meta,
            max_members=self._max_members,
            stage=self._stage,
            options=settings,
            stored=stored,
            observer=self._observer,
        )
        self._rooms[room.name] = room
        log.info("room %s is open", room.name)
        return room

    async def release(self, room: Room) -> None:
        """Close a room that nobody is in, or on the way into."""
        if not room.is_idle or self._rooms.get(room.name) is not room:
            return
        del self._rooms[room.name]
        log.info("room %s is closed", room.name)
        room.close()
        room.observer.closed(room)
        await room.stage.close()

    async def close(self) -> None:
        """Close all rooms."""
        rooms, self._rooms = list(self._rooms.values()), {}
        for room in rooms:
            room.close()
            room.observer.closed(room)
        await asyncio.gather(*(room.stage.close() for room in rooms))

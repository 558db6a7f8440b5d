"""The rooms that are open just now: how one comes into being, and how it goes."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator

from appliance.hub import admission
from appliance.hub.observers import RoomObserver
from appliance.hub.records import StoredRoom
from appliance.hub.room import Room
from appliance.hub.room_options import RoomOptions
from appliance.hub.room_stage import RoomStage
from appliance.hub.sessions import Session
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
        #: The rooms that are closed and whose media have not ended yet.
        self._closing: set[Room] = set()

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
        stored, settings = self._settings(options)
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

    def admit(self, session: Session) -> None:
        """Whether somebody new may come into the room of its token, open or not. Raises
        Refused."""
        options = session.options
        room = self._rooms.get(options.room_name)
        if room is not None:
            room.admit(session)
            return
        _, settings = self._settings(options)
        admission.may_join(
            admission.Rules.of(settings, max_members=self._max_members),
            join_as=options.join_as,
            people=0,
            locked=False,
            now=time.time(),
        )

    async def release(self, room: Room) -> None:
        """Close a room that nobody is in, or on the way into.

        It is closed at once; what is awaited is the end of its media. `close` sees to that where
        this wait is cut short.
        """
        if not room.is_idle or self._rooms.get(room.name) is not room:
            return
        del self._rooms[room.name]
        log.info("room %s is closed", room.name)
        self._end(room)
        await self._ended(room)

    async def close(self) -> None:
        """Close all rooms, and wait for the end of their media. One that fails to end is logged.
        Safe to call twice."""
        rooms, self._rooms = list(self._rooms.values()), {}
        for room in rooms:
            self._end(room)
        closing = list(self._closing)
        results = await asyncio.gather(*map(self._ended, closing), return_exceptions=True)
        for room, error in zip(closing, results, strict=True):
            if error is not None:
                log.error("room %s has not closed: %s", room.name, error, exc_info=error)

    def _end(self, room: Room) -> None:
        self._closing.add(room)
        room.close()
        room.observer.closed(room)

    async def _ended(self, room: Room) -> None:
        await room.stage.close()
        self._closing.discard(room)

    def _settings(self, options: TokenOptions) -> tuple[StoredRoom | None, RoomOptions]:
        """The room that lasts, if there is one, and what a token opens. Raises Refused."""
        stored = self._stored(options.room_name)
        admission.may_open(options, exists=stored is not None, auto_create=self._auto_create)
        return stored, admission.opened(stored.options if stored else None, options)

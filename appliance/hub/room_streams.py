"""Where rooms are streamed to, every time that somebody is in them."""

from __future__ import annotations

import asyncio
import time
import uuid
from typing import Protocol

from appliance.hub.errors import StoreError
from appliance.hub.members import Member
from appliance.hub.observers import RoomObserver
from appliance.hub.records import RoomStream, StoredRoom
from appliance.hub.room import Room
from appliance.hub.rooms import Rooms
from appliance.hub.store import Store
from appliance.hub.tasks import Tasks

__all__ = ["Outgoing", "RoomStreams"]


class Outgoing(Protocol):
    """What sends rooms out. Everything is called on the loop and returns at once."""

    def start(self, room: Room, stream: RoomStream) -> None:
        """Send the room's session out, and tell its members. What goes wrong with it is the
        stream's own state."""

    def stop(self, room: Room, stream_id: str) -> list[asyncio.Task[None]]:
        """End what goes out by this stream: a room's own, or one of its session. The tasks are
        done when it has ended; of an unknown one there is none."""


class RoomStreams(RoomObserver):
    """The streams that rooms have of their own: kept in the store, sent by `outgoing`."""

    def __init__(self, store: Store, outgoing: Outgoing, tasks: Tasks) -> None:
        self._store = store
        self._outgoing = outgoing
        self._tasks = tasks
        self.rooms: Rooms | None = None

    def joined(self, room: Room, member: Member) -> None:
        """With the first who joins, the room's streams go out."""
        if not room.members and room.stored_id is not None:
            self._tasks.start(self._start(room, room.stored_id), f"streams of room {room.name}")

    async def add(self, room: StoredRoom, url: str) -> RoomStream | None:
        """A new stream, which goes out now if somebody is in the room; None when the room is
        gone. Raises StoreError."""
        now = time.time()
        stream = RoomStream(str(uuid.uuid4()), room.id, url, now, now)
        if not await self._store.room_streams.add(stream):
            return None
        if (running := self._running(room.id)) is not None:
            self._outgoing.start(running, stream)
        return stream

    async def change(self, stream: RoomStream, url: str) -> RoomStream | None:
        """Send a stream to another place from now on; None when it is gone. Raises StoreError."""
        changed = RoomStream(stream.id, stream.room_id, url, stream.created_at, time.time())
        if not await self._store.room_streams.change(changed):
            return None
        running = self._running(stream.room_id)
        if running is not None and url != stream.url:
            self._outgoing.stop(running, stream.id)
            self._outgoing.start(running, changed)
        return changed

    async def delete(self, stream: RoomStream) -> None:
        """End a stream and forget it. Raises StoreError."""
        await self._store.room_streams.delete(stream.id)
        if (running := self._running(stream.room_id)) is not None:
            self._outgoing.stop(running, stream.id)

    async def delete_all(self, room: StoredRoom) -> None:
        """End and forget all streams of a room. Raises StoreError."""
        for stream in await self._store.room_streams.of_room(room.id):
            await self.delete(stream)

    async def delete_of_session(self, session_id: str, stream_id: str) -> None:
        """End one stream of a session, if it goes on, and forget it. Raises StoreError."""
        tasks = [
            task
            for room in self.rooms or ()
            if room.session_id == session_id
            for task in self._outgoing.stop(room, stream_id)
        ]
        if tasks:
            # Its end is noted once more; only then it can be forgotten.
            await asyncio.wait(tasks)
        await self._store.streams.delete(stream_id)

    def _running(self, room_id: str) -> Room | None:
        """The room, if somebody is in it."""
        rooms = (room for room in self.rooms or () if room.stored_id == room_id and room.members)
        return next(rooms, None)

    async def _start(self, room: Room, room_id: str) -> None:
        try:
            streams = await self._store.room_streams.of_room(room_id)
        except StoreError:
            # Said by the store; the room goes on.
            return
        if not room.members:
            return
        for stream in streams:
            self._outgoing.start(room, stream)

"""Where rooms are streamed to, every time that somebody is in them."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from typing import Protocol

from appliance.hub.errors import StoreError
from appliance.hub.observers import RoomObserver
from appliance.hub.records import RoomStream, StoredRoom
from appliance.hub.room import Room
from appliance.hub.store import Store
from appliance.hub.tasks import Tasks

__all__ = ["Outgoing", "RoomStreams"]

log = logging.getLogger(__name__)


class Outgoing(Protocol):
    """What sends rooms out. Everything is called on the loop and returns at once."""

    def start(self, room: Room, stream: RoomStream) -> None:
        """Send the room's session out, and tell its members. What goes wrong with it is the
        stream's own state."""

    def stop(self, room: Room, stream_id: str) -> list[asyncio.Task[None]]:
        """End what goes out by this stream: a room's own, or one of its session. The tasks are
        done when it has ended; of an unknown one there is none."""


class RoomStreams(RoomObserver):
    """The streams that rooms have of their own: kept in the store, sent by `outgoing`.

    The store does one thing after the other, and who asked is told in the same order. So what
    goes out is what the store says, whoever joins or changes something meanwhile.
    """

    def __init__(self, store: Store, outgoing: Outgoing, tasks: Tasks) -> None:
        self._store = store
        self._outgoing = outgoing
        self._tasks = tasks
        #: The sessions that go on, and where the room's own streams of each were sent, by id.
        self._sent: dict[Room, dict[str, str]] = {}

    def began(self, room: Room) -> None:
        """With the session the room's streams go out."""
        self._sent[room] = {}
        if room.stored_id is not None:
            self._tasks.start(self._start(room, room.stored_id), f"streams of room {room.name}")

    def closed(self, room: Room) -> None:
        """With the session they end, which is seen to by who sends them."""
        self._sent.pop(room, None)

    async def add(self, room: StoredRoom, url: str) -> RoomStream | None:
        """A new stream, which goes out now if somebody is in the room; None when the room is
        gone. Raises StoreError."""
        now = time.time()
        stream = RoomStream(str(uuid.uuid4()), room.id, url, now, now)
        if not await self._store.room_streams.add(stream):
            return None
        self._send(stream)
        return stream

    async def change(self, stream: RoomStream, url: str) -> RoomStream | None:
        """Send a stream to another place from now on; None when it is gone. Raises StoreError."""
        changed = RoomStream(stream.id, stream.room_id, url, stream.created_at, time.time())
        if not await self._store.room_streams.change(changed):
            return None
        self._send(changed)
        return changed

    async def delete(self, stream: RoomStream) -> None:
        """End a stream and forget it. Raises StoreError."""
        await self._store.room_streams.delete(stream.id)
        if (running := self._running(stream.room_id)) is not None:
            self._stop(running, stream.id)

    def end_all(self, room: StoredRoom) -> None:
        """End all streams of a room that was deleted; the store has forgotten them with it."""
        if (running := self._running(room.id)) is not None:
            for stream_id in list(self._sent[running]):
                self._stop(running, stream_id)

    async def delete_of_session(self, session_id: str, stream_id: str) -> None:
        """End one stream of a session, if it goes on, and forget it. Raises StoreError."""
        tasks = [
            task
            for room in self._sent
            if room.session_id == session_id
            for task in self._outgoing.stop(room, stream_id)
        ]
        if tasks:
            # Its end is noted once more; only then it can be forgotten.
            await asyncio.wait(tasks)
        await self._store.streams.delete(stream_id)

    def _running(self, room_id: str) -> Room | None:
        """The room, if its session goes on."""
        return next((room for room in self._sent if room.stored_id == room_id), None)

    def _send(self, stream: RoomStream) -> None:
        """Let a stream go out to its URL, if the room's session goes on and it does not yet; nor
        did in this session, and was ended by hand."""
        room = self._running(stream.room_id)
        if room is not None and self._sent[room].get(stream.id) != stream.url:
            self._stop(room, stream.id)
            self._sent[room][stream.id] = stream.url
            self._outgoing.start(room, stream)

    def _stop(self, room: Room, stream_id: str) -> None:
        if self._sent[room].pop(stream_id, None) is not None:
            self._outgoing.stop(room, stream_id)

    async def _start(self, room: Room, room_id: str) -> None:
        try:
            streams = await self._store.room_streams.of_room(room_id)
        except StoreError as error:
            log.warning("room %s is not streamed by its own streams: %s", room.name, error)
            return
        for stream in streams:
            self._send(stream)

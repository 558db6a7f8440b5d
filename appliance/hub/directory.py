"""The rooms that last, at hand on the loop: who joins does not wait for the disk."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Iterable

from appliance.hub.records import StoredRoom
from appliance.hub.room_options import RoomOptions, RoomSettings
from appliance.hub.store import Store

__all__ = ["Directory"]


class Directory:
    """All rooms of the store, by name and by id. A change is on the disk before it counts."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._by_name: dict[str, StoredRoom] = {}
        self._by_id: dict[str, StoredRoom] = {}
        self._changing = asyncio.Lock()

    def __len__(self) -> int:
        return len(self._by_id)

    async def load(self, open_rooms: Iterable[str] = ()) -> None:
        """Read the rooms, and make those of `open_rooms` that are missing.

        Raises DataError and StoreError.
        """
        for room in await self._store.rooms.all():
            self._keep(room)
        for name in open_rooms:
            await self.create(RoomOptions(name=name))

    def named(self, name: str) -> StoredRoom | None:
        """The room of this name."""
        return self._by_name.get(name)

    def find(self, id_or_name: str) -> StoredRoom | None:
        """The room of this id, else the one of this name."""
        return self._by_id.get(id_or_name) or self._by_name.get(id_or_name)

    async def create(self, options: RoomOptions) -> StoredRoom | None:
        """A new room; None when there is one of that name. Raises StoreError."""
        now = time.time()
        room = StoredRoom(str(uuid.uuid4()), options, now, now)
        async with self._changing:
            if options.name in self._by_name or not await self._store.rooms.add(room):
                return None
            self._keep(room)
        return room

    async def change(self, room_id: str, settings: RoomSettings) -> StoredRoom | None:
        """Give a room new settings; None when it is gone. Raises StoreError."""
        async with self._changing:
            old = self._by_id.get(room_id)
            if old is None:
                return None
            options = old.options.changed(settings)
            room = StoredRoom(old.id, options, old.created_at, time.time())
            if not await self._store.rooms.change(room):
                return None
            self._keep(room)
        return room

    async def delete(self, room_id: str) -> StoredRoom | None:
        """Forget a room, and give it; None when it is gone already. Raises StoreError."""
        async with self._changing:
            room = self._by_id.get(room_id)
            if room is None:
                return None
            await self._store.rooms.delete(room_id)
            del self._by_id[room.id], self._by_name[room.name]
        return room

    def _keep(self, room: StoredRoom) -> None:
        self._by_id[room.id] = self._by_name[room.name] = room

"""The rooms that last, and where each of them is streamed to, as the store keeps them."""

from __future__ import annotations

import sqlite3

from pydantic import ValidationError

from appliance.hub.database import Database
from appliance.hub.errors import DataError
from appliance.hub.records import Page, PageRequest, RoomStream, StoredRoom
from appliance.hub.room_options import RoomOptions
from appliance.hub.table import Table, columns
from appliance.hub.tokens import blame

__all__ = ["RoomStreamTable", "RoomTable", "dump_options", "load_options"]


class RoomTable(Table[StoredRoom]):
    """The rooms. With one of them its streams are forgotten, not the sessions that were in it."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, "rooms", _room)

    async def all(self) -> list[StoredRoom]:
        """All rooms. Raises DataError when one cannot be understood."""
        try:
            return await self._list()
        except ValidationError as error:
            raise DataError(
                f"{self._database.path} holds a room that this roomlet cannot read"
                f" ({blame(error, RoomOptions)}); restore the file, or move it away for a new one"
            ) from None

    async def add(self, room: StoredRoom) -> bool:
        """Keep a new room; False when there is one of that name."""
        return await self._add(
            {
                "id": room.id,
                "name": room.name,
                "options": dump_options(room.options),
                "created_at": room.created_at,
                "updated_at": room.updated_at,
            }
        )

    async def change(self, room: StoredRoom) -> bool:
        """Keep a room's new options; False when it is gone."""
        news = {"options": dump_options(room.options), "updated_at": room.updated_at}
        return await self._change(room.id, news)

    async def page(self, page: PageRequest) -> Page[StoredRoom]:
        """The rooms, page by page."""
        return await self._page(page)


class RoomStreamTable(Table[RoomStream]):
    """The streams of all rooms."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, "room_streams", lambda row: RoomStream(**columns(row)))

    async def add(self, stream: RoomStream) -> bool:
        """Keep a new stream of a room; False when the room is gone."""
        return await self._add(
            {
                "id": stream.id,
                "room_id": stream.room_id,
                "url": stream.url,
                "created_at": stream.created_at,
                "updated_at": stream.updated_at,
            }
        )

    async def change(self, stream: RoomStream) -> bool:
        """Keep a stream's new URL; False when it is gone."""
        return await self._change(stream.id, {"url": stream.url, "updated_at": stream.updated_at})

    async def of_room(self, room_id: str) -> list[RoomStream]:
        """All streams of a room, in the order in which they were set."""
        return await self._list("room_id = ?", room_id)

    async def page(self, room_id: str, page: PageRequest) -> Page[RoomStream]:
        """The streams of a room, page by page."""
        return await self._page(page, [("room_id = ?", room_id)])


def dump_options(options: RoomOptions) -> str:
    """A room's options as they stand in a column."""
    return options.model_dump_json(exclude_defaults=True)


def load_options(row: sqlite3.Row) -> RoomOptions:
    """The options in a row. Raises pydantic's ValidationError."""
    return RoomOptions.model_validate_json(row["options"])


def _room(row: sqlite3.Row) -> StoredRoom:
    return StoredRoom(**columns(row, "name", "options"), options=load_options(row))

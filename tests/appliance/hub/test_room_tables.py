"""Rooms that last, and their streams, come back as they were."""

from __future__ import annotations

from dataclasses import replace

import pytest

from appliance.hub.errors import DataError
from appliance.hub.records import (
    RoomStream,
    StoredRoom,
)
from appliance.hub.room_options import RoomOptions
from appliance.hub.store import FILE, Store
from tests.appliance.hub.stored import OPTIONS


async def test_rooms(store: Store) -> None:
    room = StoredRoom("r", OPTIONS, 1.0, 1.0)
    assert await store.rooms.add(room)
    assert not await store.rooms.add(replace(room, id="other"))
    assert await store.rooms.all() == [room]
    changed = replace(room, options=RoomOptions(name="demo", fps=30), updated_at=2.0)
    assert await store.rooms.change(changed)
    assert await store.rooms.all() == [changed]
    assert await store.rooms.delete("r")
    assert not await store.rooms.delete("r")
    assert not await store.rooms.change(changed)
    assert await store.rooms.all() == []


async def test_streams_go_with_their_room(store: Store) -> None:
    stream = RoomStream("x", "r", "rtmp://127.0.0.1/a", 1.0, 1.0)
    assert not await store.room_streams.add(stream)
    await store.rooms.add(StoredRoom("r", OPTIONS, 1.0, 1.0))
    assert await store.room_streams.add(stream)
    changed = replace(stream, url="rtmp://127.0.0.1/b", updated_at=2.0)
    assert await store.room_streams.change(changed)
    assert await store.room_streams.one("x") == changed
    assert await store.room_streams.of_room("r") == [changed]
    await store.rooms.delete("r")
    assert await store.room_streams.one("x") is None
    assert not await store.room_streams.delete("x")


async def test_a_room_that_cannot_be_read(store: Store) -> None:
    await store.rooms.add(StoredRoom("r", OPTIONS, 1.0, 1.0))
    await store.database.change(
        lambda c: c.execute("""UPDATE rooms SET options = '{"name": "demo", "fps": 7}'""")
    )
    with pytest.raises(DataError, match=rf"{FILE} holds a room .*fps") as caught:
        await store.rooms.all()
    assert "\n" not in str(caught.value)

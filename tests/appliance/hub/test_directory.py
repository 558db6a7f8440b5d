"""The rooms at hand are those on the disk, also when many change them at once."""

from __future__ import annotations

import asyncio

import pytest

from appliance.hub.directory import Directory
from appliance.hub.errors import StoreError
from appliance.hub.room_options import RoomOptions, RoomSettings
from appliance.hub.store import Store


async def loaded(store: Store, *open_rooms: str) -> Directory:
    directory = Directory(store)
    await directory.load(open_rooms)
    return directory


async def test_rooms_are_found_by_id_and_by_name(store: Store) -> None:
    directory = await loaded(store, "demo", "lobby")
    room = directory.named("demo")
    assert room is not None
    assert directory.find(room.id) == directory.find("demo") == room
    assert directory.named(room.id) is None
    assert directory.find("nothing") is None
    again = await loaded(store, "demo")
    assert len(again) == 2
    assert again.named("demo") == room


async def test_an_id_goes_before_a_name(store: Store) -> None:
    directory = await loaded(store, "demo")
    room = directory.named("demo")
    assert room is not None
    await directory.create(RoomOptions(name=room.id))
    assert directory.find(room.id) == room


async def test_of_many_at_once_one_makes_the_room(store: Store) -> None:
    directory = await loaded(store)
    options = RoomOptions(name="demo")
    rooms = await asyncio.gather(*(directory.create(options) for _ in range(10)))
    (made,) = [room for room in rooms if room is not None]
    assert directory.named("demo") == made
    assert await store.rooms.all() == [made]


async def test_changes_at_once_are_all_kept(store: Store) -> None:
    directory = await loaded(store, "demo")
    room = directory.named("demo")
    assert room is not None
    await asyncio.gather(
        directory.change(room.id, RoomSettings(layout="2x2")),
        directory.change(room.id, RoomSettings(fps=20)),
        directory.change(room.id, RoomSettings(max_members=3)),
    )
    changed = directory.named("demo")
    assert changed is not None
    options = changed.options
    assert (options.layout, options.fps, options.max_members) == ("2x2", 20, 3)
    assert await store.rooms.all() == [changed]


async def test_a_change_that_is_not_kept_does_not_count(store: Store) -> None:
    directory = await loaded(store, "demo")
    room = directory.named("demo")
    assert room is not None
    await store.close()
    with pytest.raises(StoreError):
        await directory.change(room.id, RoomSettings(fps=20))
    with pytest.raises(StoreError):
        await directory.create(RoomOptions(name="other"))
    with pytest.raises(StoreError):
        await directory.delete(room.id)
    assert directory.named("demo") == room
    assert len(directory) == 1


async def test_deleted_rooms_are_gone(store: Store) -> None:
    directory = await loaded(store, "demo")
    room = directory.named("demo")
    assert room is not None
    assert await directory.delete(room.id) == room
    assert await directory.delete(room.id) is None
    assert await directory.change(room.id, RoomSettings()) is None
    assert directory.find("demo") is None
    assert await store.rooms.all() == []

"""A list is read page by page."""

from __future__ import annotations

from appliance.hub.records import (
    PageRequest,
    StoredRoom,
)
from appliance.hub.room_options import RoomOptions
from appliance.hub.store import Store
from tests.appliance.hub.stored import ALL


async def test_pages_stand_still_while_the_list_grows(store: Store) -> None:
    async def add(number: int) -> None:
        options = RoomOptions(name=f"room-{number}")
        await store.rooms.add(StoredRoom(f"id-{number}", options, 1.0, 1.0))

    for number in range(10):
        await add(number)
    seen: list[str] = []
    page = await store.rooms.page(PageRequest(size=4))
    anchor = page.anchor
    for number in range(1, 10):
        seen += [room.id for room in page.items]
        if not page.more:
            break
        await add(100 + number)
        page = await store.rooms.page(PageRequest(number, 4, anchor))
    assert seen == [f"id-{number}" for number in reversed(range(10))]
    assert len((await store.rooms.page(ALL)).items) == 12
    assert (await store.rooms.page(PageRequest(99, 1000))).items == []

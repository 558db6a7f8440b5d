"""What a room does by itself: the floor, raised hands, tones, and the count of the audience."""

from __future__ import annotations

import asyncio
import uuid

from appliance.hub.floor import LEAD
from appliance.signaling import verto
from tests.appliance.hub.conftest import TestHub
from tests.appliance.hub.hub_client import (
    PICTURES,
    RECEIVE,
    Client,
    make_room,
    places,
    room_of,
    token,
    until,
)


async def speak(hub: TestHub, client: Client, seconds: float = 0.2) -> None:
    """Let a member be heard, and all others be silent, for so long on the room's clock."""
    room, clock = room_of(hub), asyncio.get_running_loop().time
    started = clock()

    def said() -> bool:
        for member in list(room.members.values()):
            room.level(member.id, -20.0 if member.id == client.member_id else -127.0)
        return clock() - started >= seconds

    await until(said)


async def test_the_floor_follows_who_speaks(hub: TestHub) -> None:
    async with await Client.join(hub, user_name="Elm") as elm, await Client.join(hub) as oak:
        await elm.rpc("video.set_layout", name="highlight-1-responsive")
        mark = await elm.mark()
        await speak(hub, oak)
        layout = await elm.event("video.layout.changed", since=mark)
        assert places(layout) == {oak.member_id: "reserved-1", elm.member_id: "standard-1"}
        # The stage shows what the clients are told.
        assert [one.to_wire() for one in hub.stages[0].layers] == layout["layout"]["layers"]
        # A short word moves nobody.
        mark = await elm.mark()
        await speak(hub, elm, LEAD / 3)
        assert "video.layout.changed" not in (await elm.mark(), elm.names(mark))[1]
        await speak(hub, elm, LEAD + 1)
        layout = await elm.event("video.layout.changed", since=mark)
        assert places(layout)[elm.member_id] == "reserved-1"
        assert elm.names(mark).count("video.layout.changed") == 1


async def test_where_nobody_moves_nothing_is_told(hub: TestHub) -> None:
    async with await Client.join(hub, user_name="Elm") as elm, await Client.join(hub) as oak:
        mark = await elm.mark()
        await speak(hub, oak)
        assert room_of(hub).seats.floor.holder == oak.member_id
        await elm.settled()
        assert elm.names(mark) == ["video.member.talking"]


async def test_a_muted_holder_keeps_the_floor_and_one_who_leaves_does_not(hub: TestHub) -> None:
    async with await Client.join(hub, user_name="Elm"):
        oak = await Client.join(hub)
        await speak(hub, oak)
        await oak.rpc("video.member.audio_mute")
        assert room_of(hub).seats.floor.holder == oak.member_id
        await oak.verto(verto.bye(oak.call_id))
        await until(lambda: room_of(hub).seats.floor.holder is None)
        await oak.close()


async def test_who_speaks_by_an_extra_microphone_has_the_floor(hub: TestHub) -> None:
    async with await Client.join(hub, user_name="Elm") as elm, await Client.join(hub) as oak:
        await elm.rpc("video.set_layout", name="1x1")
        extra = str(uuid.uuid4())
        sound = PICTURES.replace("m=video 9 x 96\r\na=sendonly", "m=video 9 x 96\r\na=inactive")
        invite = verto.invite(
            extra,
            sound,
            additional_device=True,
            user_variables={"memberCallId": oak.call_id, "memberId": oak.member_id},
        )
        await oak.verto(invite, extra)
        device = (await oak.event("video.member.joined"))["member"]
        mark = await elm.mark()
        oak.member_id = device["id"]
        await speak(hub, oak)
        layout = await elm.event("video.layout.changed", since=mark)
        assert places(layout) == {device["parent_id"]: "standard-1"}


async def test_raised_hands_go_first_where_the_room_wants_it(hub: TestHub) -> None:
    names = ("Ash", "Elm", "Oak")
    ash, elm, oak = [await Client.join(hub, user_name=name) for name in names]
    mark = await ash.mark()
    await oak.rpc("video.member.raisehand")
    assert (await ash.mark(), ash.names(mark))[1] == ["video.member.updated"]
    mark = await ash.mark()
    await ash.rpc("video.prioritize_handraise", enable=True)
    room = (await ash.event("video.room.updated", since=mark))["room"]
    assert (room["updated"], room["prioritize_handraise"]) == (["prioritize_handraise"], True)
    layout = await ash.event("video.layout.changed", since=mark)
    assert places(layout)[oak.member_id] == "standard-1"
    mark = await ash.mark()
    await elm.rpc("video.member.raisehand")
    layout = await ash.event("video.layout.changed", since=mark)
    assert places(layout) == {
        oak.member_id: "standard-1",
        elm.member_id: "standard-2",
        ash.member_id: "standard-3",
    }
    # Also while others speak, where there is but one place.
    mark = await ash.mark()
    await ash.rpc("video.set_layout", name="1x1")
    await speak(hub, ash)
    await ash.settled()
    assert places(await ash.event("video.layout.changed", since=mark)) == {
        oak.member_id: "standard-1"
    }
    mark = await ash.mark()
    await oak.verto(verto.bye(oak.call_id))
    layout = await ash.event("video.layout.changed", since=mark)
    assert places(layout) == {elm.member_id: "standard-1"}
    for client in (ash, elm, oak):
        await client.close()


async def test_a_room_can_begin_with_hands_first(hub: TestHub) -> None:
    await make_room(hub, prioritize_handraise=True)
    async with await Client.join(hub, user_name="Elm") as elm, await Client.join(hub) as oak:
        mark = await elm.mark()
        await oak.rpc("video.member.raisehand")
        layout = await elm.event("video.layout.changed", since=mark)
        assert places(layout) == {oak.member_id: "standard-1", elm.member_id: "standard-2"}


async def test_tones_of_who_comes_and_goes(hub: TestHub) -> None:
    await make_room(hub, tone_on_entry_and_exit=True)
    async with await Client.join(hub, user_name="Elm"):
        assert hub.stages[0].chimes == ["entry"]
        oak = await Client.join(hub)
        watcher = await Client.connect(hub, token(hub, join_as="audience", permissions=[]))
        await watcher.invite(RECEIVE)
        assert hub.stages[0].chimes == ["entry", "entry"]
        await oak.verto(verto.bye(oak.call_id))
        await watcher.verto(verto.bye(watcher.call_id), watcher.call_id)
        await until(lambda: len(room_of(hub).members) == 1)
        assert hub.stages[0].chimes == ["entry", "entry", "exit"]
        await oak.close()
        await watcher.close()


async def test_without_the_option_nothing_rings(hub: TestHub) -> None:
    async with await Client.join(hub):
        assert hub.stages[0].chimes == []

"""Every method of a room: who may call it, on whom, and what the others see of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from appliance.hub.rpc import METHODS
from appliance.media.peer import PeerState
from appliance.signaling.layouts import LAYOUTS
from tests.appliance.hub.conftest import TestHub
from tests.appliance.hub.hub_client import RECEIVE, Client, token, until


async def test_methods_need_a_room(hub: TestHub) -> None:
    async with await Client.connect(hub) as client:
        for method in sorted(METHODS):
            frame = await client.request(method, {"member_id": "x"})
            assert frame["result"]["code"] == "404", method
    async with await Client.join(hub) as client:
        for method in sorted(METHODS):
            result = await client.rpc(method, room_session_id="another")
            assert result["code"] == "404", method


# What the others see


async def seen_by_all(
    *clients: Client, method: str, since: list[int], **params: Any
) -> dict[str, Any]:
    first, *rest = [
        await client.event(f"video.{method}", since=mark)
        for client, mark in zip(clients, since, strict=True)
    ]
    assert all(one == first for one in rest)
    return first


@pytest.mark.parametrize(
    ("method", "params", "changes"),
    [
        ("audio_mute", {}, {"audio_muted": True}),
        ("video_mute", {}, {"video_muted": True, "visible": False}),
        ("deaf", {}, {"deaf": True, "audio_muted": True}),
        ("set_input_volume", {"volume": -7.0}, {"input_volume": -7}),
        ("set_output_volume", {"volume": 50}, {"output_volume": 50}),
        ("set_input_sensitivity", {"value": 0}, {"input_sensitivity": 0}),
        ("raisehand", {}, {"handraised": True}),
        ("set_meta", {"meta": {"a": [1]}}, {"meta": {"a": [1]}}),
        ("set_position", {"position": "off-canvas"}, {"requested_position": "off-canvas"}),
    ],
)
async def test_a_change_of_a_member_is_seen_by_all(
    hub: TestHub, method: str, params: dict[str, Any], changes: dict[str, Any]
) -> None:
    async with await Client.join(hub, user_name="Elm") as other, await Client.join(hub) as client:
        for peer in hub.peers:
            peer.become(PeerState.CONNECTED)
        marks = [await other.mark(), await client.mark()]
        result = await client.rpc(f"video.member.{method}", member_id=other.member_id, **params)
        assert result == {"code": "200", "message": "OK"}
        event = await seen_by_all(other, client, method="member.updated", since=marks)
        member = event["member"]
        assert sorted(member["updated"]) == sorted(changes)
        assert changes.items() <= member.items()
        listed = (await client.rpc("video.members.get"))["members"][0]
        assert listed == {key: value for key, value in member.items() if key != "updated"}
        # Said twice it is no news.
        mark = await client.mark()
        await client.rpc(f"video.member.{method}", member_id=other.member_id, **params)
        assert await client.mark() == mark


@pytest.mark.parametrize(
    ("do", "undo", "media"),
    [
        ("audio_mute", "audio_unmute", {"audio_muted": True}),
        ("video_mute", "video_unmute", {"video_muted": True}),
        ("deaf", "undeaf", {"deaf": True, "audio_muted": True}),
    ],
)
async def test_mutes_reach_the_media_and_go_away_again(
    hub: TestHub, do: str, undo: str, media: dict[str, bool]
) -> None:
    async with await Client.join(hub) as client:
        hub.peers[0].become(PeerState.CONNECTED)
        nothing = {"audio_muted": False, "video_muted": False, "deaf": False}
        state = hub.stages[0].members
        await client.rpc(f"video.member.{do}")
        assert state[client.member_id] == {**nothing, **media}
        await client.rpc(f"video.member.{undo}")
        assert state[client.member_id] == nothing
        member = (await client.rpc("video.members.get"))["members"][0]
        assert (member["visible"], member["audio_muted"], member["deaf"]) == (True, False, False)


async def test_the_layout_is_told_after_a_video_mute(hub: TestHub) -> None:
    async with await Client.join(hub) as client:
        mark = await client.mark()
        await client.rpc("video.member.video_mute")
        await client.event("video.layout.changed", since=mark)
        assert client.names(mark) == ["video.member.updated", "video.layout.changed"]


async def test_muting_ends_the_talking(hub: TestHub) -> None:
    async with await Client.join(hub) as client:
        room = hub.rooms.get("demo")
        assert room is not None

        def loud() -> bool:
            room.level(client.member_id, -20.0)
            return room.members[client.member_id].voice.active

        await until(loud)
        event = await client.event("video.member.talking")
        assert event["member"] == {"id": client.member_id, "talking": True}
        mark = await client.mark()
        await client.rpc("video.member.audio_mute")
        event = await client.event("video.member.talking", since=mark)
        assert event["member"] == {"id": client.member_id, "talking": False}
        # A muted member does not talk, whatever its microphone hears.
        for _ in range(50):
            room.level(client.member_id, -20.0)
        assert not room.members[client.member_id].voice.active


async def test_layouts(hub: TestHub) -> None:
    async with await Client.join(hub, user_name="Elm") as other, await Client.join(hub) as client:
        assert (await client.rpc("video.list_available_layouts"))["layouts"] == list(LAYOUTS)
        for name in LAYOUTS:
            marks = [await other.mark(), await client.mark()]
            assert (await client.rpc("video.set_layout", name=name))["code"] == "200"
            event = await seen_by_all(other, client, method="layout.changed", since=marks)
            assert event["layout"]["name"] == name
            assert [layer.to_wire() for layer in hub.stages[0].layers] == event["layout"]["layers"]
            if name != LAYOUTS[0]:
                room = (await client.event("video.room.updated", since=marks[1]))["room"]
                assert (room["updated"], room["layout_name"]) == (["layout_name"], name)
        result = await client.rpc("video.set_layout", name="11x11")
        assert result["code"] == "404"
        assert "2x2" in result["message"]


async def test_a_layout_with_positions(hub: TestHub) -> None:
    async with await Client.join(hub, user_name="Elm") as other, await Client.join(hub) as client:
        mark = await client.mark()
        positions = {"self": "standard-4", other.member_id: "standard-2"}
        result = await client.rpc("video.set_layout", name="2x2", positions=positions)
        assert result["code"] == "200"
        await client.event("video.layout.changed", since=mark)
        assert client.names(mark) == [
            "video.member.updated",
            "video.member.updated",
            "video.room.updated",
            "video.layout.changed",
        ]
        members = (await client.rpc("video.members.get"))["members"]
        assert [one["current_position"] for one in members] == ["standard-2", "standard-4"]
    async with await Client.join(hub, permissions=["room.set_layout"]) as client:
        result = await client.rpc("video.set_layout", name="2x2", positions={"self": "auto"})
        assert result["code"] == "403"
        assert (await client.rpc("video.set_layout", name="2x2"))["code"] == "200"


@pytest.mark.parametrize(
    ("positions", "code"),
    [
        ({"self": "nowhere"}, "422"),
        ({"self": 7}, "422"),
        ("auto", "422"),
        (None, "422"),
        ({"nope": "auto"}, "404"),
    ],
)
async def test_wrong_positions_move_nobody(hub: TestHub, positions: Any, code: str) -> None:
    async with await Client.join(hub, user_name="Elm") as other, await Client.join(hub) as client:
        if isinstance(positions, dict):
            positions = {other.member_id: "off-canvas", **positions}
        mark = await client.mark()
        assert (await client.rpc("video.set_position", positions=positions))["code"] == code
        assert await client.mark() == mark


async def test_hidden_while_muted(hub: TestHub) -> None:
    async with await Client.join(hub, user_name="Elm") as other, await Client.join(hub) as client:
        await client.rpc("video.member.video_mute", member_id=other.member_id)
        for method, shown in (("hide_video_muted", False), ("show_video_muted", True)):
            mark = await client.mark()
            await client.rpc(f"video.{method}")
            room = (await client.event("video.room.updated", since=mark))["room"]
            assert (room["updated"], room["hide_video_muted"]) == (["hide_video_muted"], not shown)
            layout = await client.event("video.layout.changed", since=mark)
            placed = [layer["member_id"] for layer in layout["layout"]["layers"]]
            assert (other.member_id in placed) is shown


async def test_the_meta_of_a_room_and_of_a_member(hub: TestHub) -> None:
    async with await Client.join(hub, user_name="Elm") as other, await Client.join(hub) as client:
        for prefix, target in (("video.", {}), ("video.member.", {"member_id": other.member_id})):
            await client.rpc(f"{prefix}set_meta", meta={"foo": "bar", "x": 1}, **target)
            await client.rpc(f"{prefix}update_meta", meta={"t": 1, "x": 2}, **target)
            result = await client.rpc(f"{prefix}get_meta", **target)
            assert result["meta"] == {"foo": "bar", "x": 2, "t": 1}
            await client.rpc(f"{prefix}delete_meta", keys=["foo", "nope", 7], **target)
            result = await client.rpc(f"{prefix}get_meta", **target)
            assert result["meta"] == {"x": 2, "t": 1}
            long = {"long": "ä" * 1001}
            for method in ("set_meta", "update_meta"):
                result = await client.rpc(f"{prefix}{method}", meta=long, **target)
                assert result["code"] == "422"
                assert "2000" in result["message"]
            # Deeper than what it comes back in could hold.
            deep = json.loads('{"a":' + "[" * 900 + "]" * 900 + "}")
            assert (await client.rpc(f"{prefix}set_meta", meta=deep, **target))["code"] == "422"
        updated = (await other.event("video.room.updated"))["room"]
        assert (updated["updated"], updated["meta"]) == (["meta"], {"foo": "bar", "x": 1})


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("member.set_input_volume", {"volume": 51}),
        ("member.set_input_volume", {"volume": "loud"}),
        ("member.set_input_volume", {"volume": True}),
        ("member.set_input_volume", {}),
        ("member.set_output_volume", {"volume": -51}),
        ("member.set_input_sensitivity", {"value": -1}),
        ("member.set_input_sensitivity", {"value": 10**400}),
        ("member.set_position", {"position": "standard-0"}),
        ("member.set_meta", {"meta": []}),
        ("member.delete_meta", {"keys": "a"}),
        ("member.remove", {}),
        ("member.remove", {"member_id": 7}),
        ("member.audio_mute", {"member_id": {}}),
        ("prioritize_handraise", {"enable": 1}),
        ("set_meta", {}),
    ],
)
async def test_values_that_cannot_be_change_nothing(
    hub: TestHub, method: str, params: dict[str, Any]
) -> None:
    async with await Client.join(hub) as client:
        mark = await client.mark()
        result = await client.rpc(f"video.{method}", **params)
        assert result["code"] == "422", result
        assert result["message"]
        assert await client.mark() == mark


async def test_removing_a_member(hub: TestHub) -> None:
    async with await Client.join(hub, user_name="Elm") as other, await Client.join(hub) as client:
        mark, theirs = await client.mark(), await other.mark()
        result = await client.rpc("video.member.remove", member_id=other.member_id)
        assert result["code"] == "200"
        bye = await other.verto_event("verto.bye", since=theirs)
        assert (bye["callID"], bye["causeCode"]) == (other.call_id, "16")
        await client.event("video.layout.changed", since=mark)
        assert client.names(mark) == ["video.member.left", "video.layout.changed"]
        # The removed one is told of nothing more, and may come back with its token.
        await other.settled()
        assert other.names(theirs) == ["verto.bye"]
        await other.invite()


async def test_removing_oneself_is_answered_first(hub: TestHub) -> None:
    async with await Client.join(hub) as client:
        mark = len(client.frames)
        result = await client.rpc("video.member.remove", member_id=client.member_id)
        assert result["code"] == "200"
        await client.verto_event("verto.bye")
        assert "result" in client.frames[mark]


async def test_removing_all_ends_the_room(hub: TestHub) -> None:
    clients = [await Client.join(hub, user_name=name) for name in ("Elm", "Oak")]
    clients.append(await Client.join(hub, RECEIVE, join_as="audience"))
    result = await clients[0].rpc("video.member.remove", member_id="all")
    assert result["code"] == "200"
    for client in clients:
        ended = await client.event("video.room.ended")
        assert ended["room_session_id"] == client.room_session_id
        await client.verto_event("verto.bye")
        await client.close()
    await until(lambda: hub.stages[0].closed)


async def test_one_of_the_audience_can_be_removed(hub: TestHub) -> None:
    async with await Client.join(hub) as client:
        watcher = await Client.connect(hub, token(hub, join_as="audience", permissions=[]))
        await watcher.invite(RECEIVE)
        await client.rpc("video.member.remove", member_id=watcher.member_id)
        await watcher.verto_event("verto.bye")
        await client.event("video.room.audience_count", lambda p: p["total"] == 0)
        await watcher.close()

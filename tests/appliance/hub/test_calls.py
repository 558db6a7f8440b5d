"""From invite to bye, seen from the clients' side of the wire."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from appliance.hub import calls
from appliance.media.peer import PeerState
from appliance.signaling import verto
from tests.appliance.hub.conftest import MakeHub, TestHub
from tests.appliance.hub.hub_client import (
    BOTH,
    RECEIVE,
    Client,
    make_room,
    token,
    until,
)


async def test_the_join_in_the_order_that_clients_rely_on(hub: TestHub) -> None:
    async with await Client.join(hub, user_name="Elm") as other:
        seen = await other.mark()
        client = await Client.connect(hub)
        invite = verto.invite(client.call_id, BOTH)
        result = await client.verto(invite)
        inner = result["result"]
        assert result["code"] == "200"
        assert inner["id"] == invite["id"]
        assert inner["result"]["message"] == "CALL CREATED"
        assert inner["result"]["callID"] == client.call_id
        about = await client.event("video.room.subscribed")
        await client.event("video.layout.changed")
        assert client.names()[1:4] == [
            "verto.answer",
            "video.room.subscribed",
            "video.layout.changed",
        ]
        assert inner["result"]["memberID"] == about["member_id"]
        await other.event("video.layout.changed", since=seen)
        assert other.names(seen) == ["video.member.joined", "video.layout.changed"]
        joined = other.events[seen][1]
        assert joined["member"] == about["room_session"]["members"][1]
        layers = other.events[seen + 1][1]["layout"]["layers"]
        assert [layer["member_id"] for layer in layers] == [
            other.member_id,
            about["member_id"],
            None,
            None,
        ]
        await client.close()


async def test_the_answer_carries_what_clients_route_it_by(hub: TestHub) -> None:
    async with await Client.join(hub) as client:
        event = next(
            frame["params"]
            for frame in client.frames
            if frame.get("params", {}).get("event_type") == "webrtc.message"
        )
        assert event["project_id"] == hub.keys.project
        assert event["node_id"].endswith("@roomlet")
        assert event["params"]["jsonrpc"] == "2.0"
        assert event["params"]["method"] == "verto.answer"
        assert event["params"]["params"]["callID"] == client.call_id
        assert event["params"]["params"]["sdp"].startswith("answer-")
        # The client's acknowledgement inside video.message.
        reply = verto.envelope(verto.reply(event["params"]["id"], "verto.answer"), node_id="x")
        answer = await client.request("video.message", reply)
        assert answer["result"]["code"] == "200"
        assert answer["result"]["result"] == {}


async def test_bye_ends_the_call_and_the_member(hub: TestHub) -> None:
    async with await Client.join(hub, user_name="Elm") as other:
        client = await Client.join(hub)
        seen = await other.mark()
        result = await client.verto(verto.bye(client.call_id))
        assert result["result"]["result"]["message"] == "CALL ENDED"
        left = await other.event("video.member.left", since=seen)
        assert left["member"]["id"] == client.member_id
        await other.event("video.layout.changed", since=seen)
        assert other.names(seen) == ["video.member.left", "video.layout.changed"]
        assert hub.stages[0].peers.keys() == {other.member_id}
        await until(lambda: hub.peers[1].state is PeerState.CLOSED)
        error = (await client.verto(verto.bye(client.call_id)))["result"]["error"]
        assert (error["code"], error["message"]) == (-32002, "CALL DOES NOT EXIST")
        await client.close()


async def test_a_room_ends_with_its_last_member_and_begins_anew(hub: TestHub) -> None:
    async with await Client.connect(hub) as client:
        await client.invite()
        first = client.room_session_id
        await client.verto(verto.bye(client.call_id))
        await until(lambda: hub.stages[0].closed)
        about = await client.invite(call_id=str(uuid.uuid4()))
        assert about["room_session"]["id"] != first
        assert len(hub.stages) == 2


async def test_a_known_call_invited_again_keeps_its_member_and_gets_new_media(
    hub: TestHub,
) -> None:
    async with await Client.join(hub, user_name="Elm") as other:
        client = await Client.join(hub)
        seen = await other.mark()
        member_id = client.member_id
        about = await client.invite()
        assert about["member_id"] == member_id
        await until(lambda: hub.peers[1].state is PeerState.CLOSED)
        assert hub.stages[0].peers[member_id] is hub.peers[2]
        # What happens to the old connection is no news of the member.
        hub.peers[1].become(PeerState.FAILED)
        await client.settled()
        await other.settled()
        assert other.names(seen) == []
        await client.close()


async def test_a_reload_in_the_browser_comes_back_to_its_call(hub: TestHub) -> None:
    first = await Client.join(hub)
    await first.close()
    again = await Client.connect(
        hub,
        token(hub),
        protocol=first.connected["protocol"],
        authorization_state=first.authorization_state,
    )
    about = await again.invite(call_id=first.call_id)
    assert about["member_id"] == first.member_id
    await again.close()


async def test_the_same_call_id_of_another_client_is_another_call(hub: TestHub) -> None:
    async with await Client.join(hub) as victim, await Client.connect(hub) as thief:
        about = await thief.invite(call_id=victim.call_id)
        assert about["member_id"] != victim.member_id
        await thief.verto(verto.bye(victim.call_id), victim.call_id)
        assert len((await victim.rpc("video.members.get"))["members"]) == 1


@pytest.mark.parametrize("sdp", [None, 7, "", "x" * (calls.MAX_SDP + 1)])
async def test_an_invite_without_an_offer_is_an_error(hub: TestHub, sdp: object) -> None:
    async with await Client.connect(hub) as client:
        message = verto.invite(client.call_id, "")
        message["params"]["sdp"] = sdp
        result = await client.verto(message)
        assert result["result"]["error"]["code"] == -32602
        assert len(hub.rooms) == 0


async def test_a_locked_room_takes_nobody_new(hub: TestHub) -> None:
    async with await Client.join(hub, user_name="Elm") as other:
        client = await Client.join(hub)
        await other.rpc("video.lock")
        async with await Client.connect(hub) as late:
            result = await late.verto(verto.invite(late.call_id, BOTH))
            assert result == {
                "code": "403",
                "message": "The room is locked; ask its host to unlock it",
            }
            # Who is in may renew its media.
            await client.invite()
            await other.rpc("video.unlock")
            await late.invite()
        await client.close()


async def test_who_asks_learns_whether_it_would_be_let_in(make_hub: MakeHub) -> None:
    hub = await make_hub(max_members=2, auto_create_rooms=False)
    begin = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    await make_room(hub, join_from=begin)

    async def answer(**options: Any) -> str | None:
        """What the hub says that an invite would be refused with; one is."""
        async with await Client.connect(hub, token(hub, **options)) as late:
            result = (await late.request(verto.ADMISSION, {}))["result"]
            assert result["code"] == "200"
            refusal: dict[str, str] | None = result.get("refusal")
            if refusal is None:
                return None
            assert await late.verto(verto.invite(late.call_id, BOTH)) == refusal
            return refusal["message"]

    assert "does not let in before" in str(await answer())
    assert "There is no room attic" in str(await answer(room="attic"))
    assert len(hub.rooms) == 0, "a question opens none"
    new = {"room": "attic", "auto_create_room": True}
    async with await Client.join(hub, **new) as client:
        assert await answer(**new) is None
        async with await Client.join(hub, **new):
            assert "is full" in str(await answer(**new))
            assert await answer(join_as="audience", **new) is None
            await client.rpc("video.lock")
            assert "is locked" in str(await answer(join_as="audience", **new))
            # Who is in is not asked again.
            assert "refusal" not in (await client.request(verto.ADMISSION, {}))["result"]


async def test_a_full_room_takes_nobody_new(make_hub: MakeHub) -> None:
    hub = await make_hub(max_members=1)
    async with await Client.join(hub), await Client.connect(hub) as late:
        result = await late.verto(verto.invite(late.call_id, BOTH))
        assert result["code"] == "403"
        assert "full" in result["message"]
        async with await Client.join(hub, RECEIVE, join_as="audience"):
            pass


async def test_rooms_that_are_not_to_be_made(make_hub: MakeHub) -> None:
    hub = await make_hub(auto_create_rooms=False, open_rooms=("lobby",))
    async with await Client.connect(hub) as client:
        result = await client.verto(verto.invite(client.call_id, BOTH))
        assert result["code"] == "404"
    async with await Client.join(hub, room="lobby"):
        pass
    async with await Client.join(hub, auto_create_room=True), await Client.join(hub):
        pass


async def test_one_client_has_only_so_many_calls(hub: TestHub) -> None:
    async with await Client.connect(hub) as client:
        for _ in range(calls.MAX_LEGS):
            await client.invite(call_id=str(uuid.uuid4()))
        result = await client.verto(verto.invite("one-more", BOTH), "one-more")
        assert result["code"] == "403"


async def test_hold_silences_and_unhold_brings_back(hub: TestHub) -> None:
    async with await Client.join(hub) as client:
        for action, state in (("hold", "held"), ("unhold", "active")):
            result = await client.verto(verto.modify(client.call_id, action))
            inner = result["result"]["result"]
            assert inner == {"action": action, "callID": client.call_id, "holdState": state}
            await client.event(
                "video.member.updated",
                lambda p, held=state == "held": p["member"]["on_hold"] is held,
            )


async def test_modify_info_and_pong_are_answered(hub: TestHub) -> None:
    async with await Client.join(hub) as client:
        result = await client.verto(verto.modify(client.call_id, "updateMedia", BOTH))
        assert "invite again" in result["result"]["error"]["message"]
        result = await client.verto(verto.info(client.call_id, "1"))
        assert result["result"]["result"] == {"message": "SENT"}
        ping = verto.VertoMessage("verto.ping", 1, {"callID": client.call_id})
        result = await client.verto(verto.pong(ping))
        assert result["result"]["result"] == {}
        result = await client.verto({"id": "x", "method": "verto.attach", "params": {}})
        assert result["result"]["error"]["code"] == -32601
        for message in (verto.info("nope", "1"), verto.modify("nope", "hold")):
            result = await client.verto(message, "nope")
            assert result["result"]["error"]["message"] == "CALL DOES NOT EXIST"


async def test_a_room_that_ends_with_its_host(hub: TestHub) -> None:
    host = await Client.join(hub, end_room_session_on_leave=True)
    async with await Client.join(hub, user_name="Elm") as guest:
        await host.verto(verto.bye(host.call_id))
        await guest.event("video.room.ended")
        await guest.verto_event("verto.bye")
        await until(lambda: hub.stages[0].closed)
    await host.close()


# Screens and extra devices

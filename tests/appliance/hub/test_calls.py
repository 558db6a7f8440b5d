"""From invite to bye, seen from the clients' side of the wire."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import pytest

from appliance.hub import calls
from appliance.hub.gateway import Limits
from appliance.hub.members import DEFAULT_SENSITIVITY
from appliance.media.peer import PeerState
from appliance.signaling import verto
from tests.appliance.hub.conftest import MakeHub, TestHub
from tests.appliance.hub.hub_client import (
    BOTH,
    ENDLESS,
    PICTURES,
    RECEIVE,
    TRIPPING,
    UNUSABLE,
    Client,
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


async def test_subscribed_tells_all_of_the_room(hub: TestHub) -> None:
    client = await Client.connect(hub, token(hub, room_display_name="The Demo", meta={"a": 1}))
    about = await client.invite()
    session, room = about["room_session"], about["room"]
    assert session["id"] == session["room_session_id"] == room["room_session_id"]
    assert "id" not in room
    expected = {
        "name": "demo",
        "display_name": "The Demo",
        "project_id": hub.keys.project,
        "layout_name": "grid-responsive",
        "locked": False,
        "recording": False,
        "streaming": False,
        "hide_video_muted": False,
        "prioritize_handraise": False,
        "meta": {},
        "audience_count": 0,
        "recordings": [],
        "playbacks": [],
        "streams": [],
        "logos_visible": True,
        "blind_mode": False,
        "silent_mode": False,
        "meeting_mode": False,
    }
    for about_room in (session, room):
        assert expected.items() <= about_room.items()
        assert about_room["event_channel"]
    (member,) = session["members"]
    assert member == {
        "id": about["member_id"],
        "room_id": room["room_id"],
        "room_session_id": session["id"],
        "scope_id": client.connected["authorization"]["scope_id"],
        "name": "Oak",
        "type": "member",
        "parent_id": None,
        "requested_position": "auto",
        "current_position": "standard-1",
        "handraised": False,
        "visible": False,
        "audio_muted": False,
        "video_muted": False,
        "deaf": False,
        "on_hold": False,
        "input_volume": 0,
        "output_volume": 0,
        "input_sensitivity": DEFAULT_SENSITIVITY,
        "talking": False,
        "meta": {"a": 1},
    }
    await client.close()


async def test_a_member_becomes_visible_with_its_media(hub: TestHub) -> None:
    async with await Client.join(hub, user_name="Elm") as other:
        client = await Client.join(hub)
        hub.peers[1].become(PeerState.CONNECTED)
        for one in (client, other):
            updated = (await one.event("video.member.updated"))["member"]
            assert updated["updated"] == ["visible"]
            assert (updated["id"], updated["visible"]) == (client.member_id, True)
            # The whole member, so that lists of clients stay complete.
            assert updated["name"] == "Oak"
        hub.peers[1].become(PeerState.FAILED)
        await other.event("video.member.updated", lambda p: not p["member"]["visible"])
        await client.close()


async def test_one_without_a_camera_does_not_become_visible(hub: TestHub) -> None:
    client = await Client.connect(hub)
    await client.invite(
        BOTH.replace("m=video 9 x 96\r\na=sendrecv", "m=video 9 x 96\r\na=recvonly")
    )
    hub.peers[0].become(PeerState.CONNECTED)
    await client.settled()
    assert "video.member.updated" not in client.names()
    await client.close()


async def test_join_muted(hub: TestHub) -> None:
    options = {"join_audio_muted": True, "join_video_muted": True}
    client = await Client.connect(hub, token(hub, **options))
    about = await client.invite()
    member = about["room_session"]["members"][0]
    assert (member["audio_muted"], member["video_muted"]) == (True, True)
    media = hub.stages[0].members[client.member_id]
    assert media == {"audio_muted": True, "video_muted": True, "deaf": False}
    hub.peers[0].become(PeerState.CONNECTED)
    await client.settled()
    assert "video.member.updated" not in client.names()
    await client.close()


@pytest.mark.parametrize(
    ("options", "directions"),
    [
        ({}, ("sendrecv", "sendrecv")),
        ({"join_as": "audience"}, ("sendonly", "sendonly")),
        ({"media_allowed": "audio-only"}, ("sendrecv", "inactive")),
        ({"media_allowed": "video-only"}, ("inactive", "sendrecv")),
        ({"join_as": "audience", "media_allowed": "audio-only"}, ("sendonly", "inactive")),
    ],
)
async def test_a_leg_gets_the_media_that_its_token_allows(
    hub: TestHub, options: dict[str, str], directions: tuple[str, str]
) -> None:
    async with await Client.join(hub, **options):
        assert hub.peers[0].directions == directions


async def test_the_audience_is_counted_and_not_listed(hub: TestHub) -> None:
    async with await Client.join(hub, user_name="Elm") as member:
        seen = await member.mark()
        watcher = await Client.connect(hub, token(hub, join_as="audience", permissions=[]))
        about = await watcher.invite(RECEIVE)
        assert [one["name"] for one in about["room_session"]["members"]] == ["Elm"]
        assert about["room_session"]["audience_count"] == 1
        total = await member.event("video.room.audience_count", since=seen)
        assert total["total"] == 1
        layout = await watcher.event("video.layout.changed")
        assert watcher.member_id not in [one["member_id"] for one in layout["layout"]["layers"]]
        await watcher.close()
        # Its grace runs; its own bye ends it at once.
        again = await Client.connect(
            hub,
            token(hub, join_as="audience", permissions=[]),
            protocol=watcher.connected["protocol"],
            authorization_state=watcher.authorization_state,
        )
        await again.verto(verto.bye(watcher.call_id), watcher.call_id)
        await member.event("video.room.audience_count", lambda p: p["total"] == 0, since=seen)
        assert "video.member.joined" not in member.names(seen)
        assert "video.member.left" not in member.names(seen)
        await again.close()


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


async def test_a_new_main_leg_takes_over_and_the_old_bye_drops_only_the_old(
    hub: TestHub,
) -> None:
    async with await Client.join(hub, user_name="Elm") as other:
        client = await Client.join(hub)
        seen, old = await other.mark(), client.call_id
        new = str(uuid.uuid4())
        member_id = client.member_id
        assert (await client.invite(call_id=new))["member_id"] == member_id
        await client.verto(verto.bye(old), old)
        await until(lambda: hub.peers[1].state is PeerState.CLOSED)
        assert hub.peers[2].state is not PeerState.CLOSED
        assert hub.stages[0].peers[member_id] is hub.peers[2]
        await other.settled()
        assert "video.member.left" not in other.names(seen)
        await client.verto(verto.bye(new), new)
        await other.event("video.member.left", since=seen)
        await client.close()


async def test_the_end_of_the_newer_leg_brings_the_older_one_back(hub: TestHub) -> None:
    async with await Client.join(hub) as client:
        new = str(uuid.uuid4())
        await client.invite(call_id=new)
        await client.verto(verto.bye(new), new)
        assert hub.stages[0].peers[client.member_id] is hub.peers[0]


@pytest.mark.parametrize(
    ("sdp", "cause"), [(UNUSABLE, calls.INCOMPATIBLE), (TRIPPING, calls.OUT_OF_ORDER)]
)
async def test_an_offer_that_cannot_be_used_ends_that_call(
    hub: TestHub, sdp: str, cause: tuple[str, str]
) -> None:
    async with await Client.join(hub, user_name="Elm") as other:
        client = await Client.connect(hub)
        seen = await other.mark()
        assert (await client.verto(verto.invite(client.call_id, sdp)))["code"] == "200"
        bye = await client.verto_event("verto.bye")
        assert (bye["cause"], bye["causeCode"]) == cause
        await other.settled()
        assert other.names(seen) == []
        await client.invite()
        await client.close()


async def test_an_answer_that_takes_too_long_ends_that_call(
    hub: TestHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "ANSWER_TIMEOUT", 0.05)
    async with await Client.connect(hub) as client:
        await client.verto(verto.invite(client.call_id, ENDLESS))
        bye = await client.verto_event("verto.bye")
        assert bye["causeCode"] == "88"
        await until(lambda: hub.stages[0].closed)


async def test_a_second_invite_overtakes_one_that_is_still_being_answered(hub: TestHub) -> None:
    async with await Client.connect(hub) as client:
        await client.verto(verto.invite(client.call_id, ENDLESS))
        await client.invite()
        await until(lambda: hub.peers[0].state is PeerState.CLOSED)


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
            assert result == {"code": "403", "message": "The room is locked"}
            # Who is in may renew its media.
            await client.invite()
            await other.rpc("video.unlock")
            await late.invite()
        await client.close()


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


async def test_media_that_never_work_end_the_call(make_hub: MakeHub) -> None:
    hub = await make_hub(Limits(media=0.1))
    async with await Client.join(hub) as client:
        bye = await client.verto_event("verto.bye")
        assert (bye["cause"], bye["causeCode"]) == calls.RECOVERY


async def test_media_that_fail_may_come_back(make_hub: MakeHub) -> None:
    hub = await make_hub(Limits(media=2.0))
    async with await Client.join(hub, user_name="Elm") as other:
        hub.peers[0].become(PeerState.CONNECTED)
        client = await Client.join(hub)
        hub.peers[1].become(PeerState.CONNECTED)
        hub.peers[1].become(PeerState.FAILED)
        await client.invite()
        hub.peers[2].become(PeerState.CONNECTED)
        hub.peers[2].become(PeerState.FAILED)
        # Not renewed this time.
        await other.event("video.member.left")
        assert client.names().count("verto.bye") == 1
        await client.close()


async def test_the_time_of_a_member_runs_out(hub: TestHub) -> None:
    async with await Client.join(hub, user_name="Elm") as other:
        soon = datetime.now(UTC) + timedelta(seconds=0.3)
        client = await Client.connect(hub, token(hub, remove_at=soon))
        assert client.connected["authorization"]["expires_at"] == int(soon.timestamp())
        await client.invite()
        await client.verto_event("verto.bye")
        await other.event("video.member.left")
        await client.close()
        brief = await Client.join(hub, remove_after_seconds_elapsed=1)
        await brief.verto_event("verto.bye")
        await brief.close()


async def test_a_room_that_ends_with_its_host(hub: TestHub) -> None:
    host = await Client.join(hub, end_room_session_on_leave=True)
    async with await Client.join(hub, user_name="Elm") as guest:
        await host.verto(verto.bye(host.call_id))
        await guest.event("video.room.ended")
        await guest.verto_event("verto.bye")
        await until(lambda: hub.stages[0].closed)
    await host.close()


# Screens and extra devices


@pytest.mark.parametrize("kind", ["screen", "device"])
async def test_an_extra_leg_is_a_member_of_its_own(hub: TestHub, kind: str) -> None:
    async with await Client.join(hub, user_name="Elm") as other:
        client = await Client.join(hub)
        leg = str(uuid.uuid4())
        variables = {"memberCallId": client.call_id, "memberId": client.member_id}
        message = verto.invite(
            leg,
            PICTURES,
            screen_share=kind == "screen",
            additional_device=kind == "device",
            user_variables=variables,
        )
        seen, others_seen = await client.mark(), await other.mark()
        assert (await client.verto(message, leg))["code"] == "200"
        # Its owner learns the new member's id by the event.
        joined = (await client.event("video.member.joined", since=seen))["member"]
        assert (joined["type"], joined["parent_id"]) == (kind, client.member_id)
        assert client.names(seen)[:2] == ["verto.answer", "video.member.joined"]
        assert "video.room.subscribed" not in client.names(seen)
        await other.event("video.member.joined", since=others_seen)
        assert hub.peers[2].directions == ("recvonly", "recvonly")
        # It is muted as one's own.
        result = await client.rpc("video.member.audio_mute", member_id=joined["id"])
        assert result["code"] == "200"
        # It goes with its main leg.
        await client.verto(verto.bye(client.call_id))
        assert (await client.verto_event("verto.bye"))["callID"] == leg
        await other.event(
            "video.member.left", lambda p: p["member"]["id"] == joined["id"], since=others_seen
        )
        await client.close()


@pytest.mark.parametrize("kind", ["screen", "device"])
async def test_extra_legs_need_a_permission_and_their_own_parent(hub: TestHub, kind: str) -> None:
    def message(parent: str) -> dict[str, object]:
        return verto.invite(
            "leg",
            PICTURES,
            screen_share=kind == "screen",
            additional_device=kind == "device",
            user_variables={"memberId": parent},
        )

    async with await Client.join(hub, permissions=[]) as client:
        result = await client.verto(message(client.member_id), "leg")
        assert result["code"] == "403"
    async with await Client.join(hub) as client, await Client.join(hub) as other:
        for parent in (other.member_id, "nope", ""):
            result = await client.verto(message(parent), "leg")
            assert result["code"] == "404"


async def test_extra_legs_join_in_the_order_of_their_invites(
    hub: TestHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with await Client.join(hub) as client:
        for number in range(4):
            message = verto.invite(
                f"leg-{number}",
                PICTURES,
                additional_device=True,
                user_variables={"memberId": client.member_id},
            )
            await client.verto(message, f"leg-{number}")
        await until(lambda: client.names().count("video.member.joined") == 4)
        order = [
            params["params"]["callID"] if name == "webrtc.message" else "joined"
            for name, params in client.events
            if name == "video.member.joined"
            or (name == "webrtc.message" and params["params"]["callID"] != client.call_id)
        ]
        assert order == [x for n in range(4) for x in (f"leg-{n}", "joined")]

"""Which of a client's legs its member is seen and heard by, and what extra legs bring."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from appliance.media.peer import PeerState
from appliance.signaling import verto
from tests.appliance.hub.conftest import TestHub
from tests.appliance.hub.hub_client import (
    BOTH,
    PICTURES,
    Client,
    places,
    room_of,
    token,
    until,
)


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


async def test_a_new_call_of_a_member_is_heard_when_it_is_up(hub: TestHub) -> None:
    async with await Client.join(hub) as oak:
        hub.peers[0].become(PeerState.CONNECTED)
        new, seen = str(uuid.uuid4()), len(oak.events)
        await oak.verto(verto.invite(new, BOTH), new)
        await oak.verto_event("verto.answer", since=seen)
        stage = hub.stages[0]
        assert stage.peers[oak.member_id] is hub.peers[0]
        hub.peers[1].become(PeerState.CONNECTED)
        assert stage.peers[oak.member_id] is hub.peers[1]
        # When it breaks down, the old one is good again.
        hub.peers[1].become(PeerState.FAILED)
        assert stage.peers[oak.member_id] is hub.peers[0]
        assert stage.listening[oak.member_id] == [hub.peers[0], hub.peers[1]]


async def test_a_shared_screen_brings_its_layout_and_positions(hub: TestHub) -> None:
    async with await Client.join(hub, user_name="Elm") as elm, await Client.join(hub) as oak:
        mark, screen = await elm.mark(), str(uuid.uuid4())
        positions = {"self": "reserved-1", elm.member_id: "standard-2", "gone": "standard-3"}
        invite = verto.invite(
            screen,
            PICTURES,
            screen_share=True,
            user_variables={"memberCallId": oak.call_id, "memberId": oak.member_id},
            layout="screen-share",
            positions=positions,
        )
        assert (await oak.verto(invite, screen))["code"] == "200"
        joined = (await elm.event("video.member.joined", since=mark))["member"]
        assert joined["requested_position"] == "reserved-1"
        layout = await elm.event(
            "video.layout.changed", lambda p: p["layout"]["name"] == "screen-share", since=mark
        )
        assert places(layout) == {
            joined["id"]: "reserved-1",
            elm.member_id: "standard-2",
            oak.member_id: "standard-1",
        }


@pytest.mark.parametrize(
    ("wishes", "code"),
    [
        ({"layout": "11x11"}, "404"),
        ({"layout": 7}, "404"),
        ({"positions": {"self": "nowhere"}}, "422"),
        ({"positions": {"self": 7}}, "422"),
        ({"positions": "auto"}, "422"),
    ],
)
async def test_a_screen_with_wrong_wishes_is_refused(
    hub: TestHub, wishes: dict[str, Any], code: str
) -> None:
    async with await Client.join(hub) as oak:
        screen = str(uuid.uuid4())
        variables = {"memberCallId": oak.call_id, "memberId": oak.member_id}
        invite = verto.invite(screen, PICTURES, screen_share=True, user_variables=variables)
        invite["params"].update(wishes)
        assert (await oak.verto(invite, screen))["code"] == code
        assert len(room_of(hub).members) == 1

"""From the audience to the members and back: what the one who changes is told, what the others
see, and which of its legs is used meanwhile."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from appliance.hub.roles import demotion, media_of, promotion
from appliance.hub.tokens import TokenOptions
from appliance.media.peer import PeerState
from appliance.signaling import verto
from tests.appliance.hub.conftest import TestHub
from tests.appliance.hub.hub_client import BOTH, RECEIVE, Client, token, until

NEW_PERMISSIONS = ["room.self.audio_mute", "room.list_available_layouts"]


async def watch(hub: TestHub, **options: Any) -> Client:
    """One of the audience, whose media are up."""
    options = {"join_as": "audience", "permissions": [], "user_name": "Ash", **options}
    client = await Client.connect(hub, token(hub, **options))
    await client.invite(RECEIVE)
    hub.peers[-1].become(PeerState.CONNECTED)
    return client


async def moderate(hub: TestHub, **options: Any) -> Client:
    client = await Client.join(hub, user_name="Elm", **options)
    hub.peers[-1].become(PeerState.CONNECTED)
    await client.event("video.member.updated")
    return client


async def swap(client: Client, hub: TestHub, sdp: str = BOTH) -> dict[str, Any]:
    """Come with a new call, as clients do when they were promoted or demoted."""
    call_id, seen = str(uuid.uuid4()), len(client.events)
    result = await client.verto(verto.invite(call_id, sdp), call_id)
    assert result["code"] == "200", result
    await client.verto_event("verto.answer", since=seen)
    # Its old call is up: it is told of the new one when that is up too.
    await client.settled()
    assert "video.room.subscribed" not in client.names(seen)
    hub.peers[-1].become(PeerState.CONNECTED)
    about = await client.event("video.room.subscribed", since=seen)
    assert about["call_id"] == call_id
    old, client.call_id, client.member_id = client.call_id, call_id, about["member_id"]
    await client.verto(verto.bye(old), old)
    return about


async def test_a_promotion(hub: TestHub) -> None:
    async with await moderate(hub) as moderator, await watch(hub) as guest:
        seen, theirs = await moderator.mark(), await guest.mark()
        result = await moderator.rpc(
            "video.member.promote",
            member_id=guest.member_id,
            media_allowed="audio-only",
            permissions=NEW_PERMISSIONS,
            join_audio_muted=True,
            meta={"seat": 3},
        )
        assert result == {"code": "200", "message": "OK"}
        event = await guest.event("video.member.promoted", since=theirs)
        assert event["member_id"] == guest.member_id
        assert event["room_session_id"] == guest.room_session_id
        authorization = event["authorization"]
        assert authorization["type"] == "video"
        assert authorization["join_as"] == "member"
        assert authorization["room"]["scopes"] == NEW_PERMISSIONS
        # What it may send; a member receives everything.
        assert authorization["audio_allowed"] == "both"
        assert authorization["video_allowed"] == "receive"
        assert authorization["meta"] == {"seat": 3}
        # Nobody else is told, until it comes with its new call.
        await moderator.settled()
        assert moderator.names(seen) == []

        about = await swap(guest, hub)
        assert hub.peers[-1].directions == ("sendrecv", "sendonly")
        members = about["room_session"]["members"]
        assert [one["name"] for one in members] == ["Elm", "Ash"]
        joined = (await moderator.event("video.member.joined", since=seen))["member"]
        assert joined["id"] == about["member_id"]
        assert (joined["type"], joined["audio_muted"], joined["meta"]) == (
            "member",
            True,
            {"seat": 3},
        )
        assert moderator.names(seen)[:3] == [
            "video.member.joined",
            "video.room.audience_count",
            "video.layout.changed",
        ]
        assert (await moderator.event("video.room.audience_count", since=seen))["total"] == 0
        layout = await moderator.event("video.layout.changed", since=seen)
        assert guest.member_id in [one["member_id"] for one in layout["layout"]["layers"]]
        # It brings sound, which it may, and no pictures, which it may not.
        assert hub.stages[0].brings[guest.member_id] == (True, False)
        # The permissions hold from now on, and no others.
        assert (await guest.rpc("video.list_available_layouts"))["code"] == "200"
        assert (await guest.rpc("video.lock"))["code"] == "403"


async def test_the_bye_of_the_old_call_drops_only_that(hub: TestHub) -> None:
    async with await moderate(hub) as moderator, await watch(hub) as guest:
        await moderator.rpc("video.member.promote", member_id=guest.member_id)
        await swap(guest, hub)
        seen = await moderator.mark()
        await until(lambda: hub.peers[1].state is PeerState.CLOSED)
        stage = hub.stages[0]
        assert stage.peers[guest.member_id] is hub.peers[2]
        assert stage.listening[guest.member_id] == [hub.peers[2]]
        assert hub.peers[2].state is PeerState.CONNECTED
        assert "video.member.left" not in moderator.names(seen)
        listed = (await moderator.rpc("video.members.get"))["members"]
        assert [one["type"] for one in listed] == ["member", "member"]


async def test_both_calls_hear_until_the_old_one_is_gone(hub: TestHub) -> None:
    async with await moderate(hub) as moderator, await watch(hub) as guest:
        await moderator.rpc("video.member.promote", member_id=guest.member_id)
        call_id, seen = str(uuid.uuid4()), len(guest.events)
        await guest.verto(verto.invite(call_id, BOTH), call_id)
        await guest.verto_event("verto.answer", since=seen)
        listening = hub.stages[0].listening[guest.member_id]
        assert listening == [hub.peers[1], hub.peers[2]]
        # Its media are still taken from the call that works.
        assert hub.stages[0].peers[guest.member_id] is hub.peers[1]
        hub.peers[2].become(PeerState.CONNECTED)
        await guest.event("video.room.subscribed", since=seen)
        assert hub.stages[0].peers[guest.member_id] is hub.peers[2]
        assert listening == [hub.peers[1], hub.peers[2]]


async def test_an_old_call_that_is_down_is_not_waited_for(hub: TestHub) -> None:
    async with await moderate(hub) as moderator, await watch(hub) as guest:
        await moderator.rpc("video.member.promote", member_id=guest.member_id)
        hub.peers[1].become(PeerState.FAILED)
        about = await guest.invite(call_id=str(uuid.uuid4()))
        assert about["member_id"] == guest.member_id


async def test_an_old_call_that_ends_first_brings_the_new_one_in(hub: TestHub) -> None:
    async with await moderate(hub) as moderator, await watch(hub) as guest:
        await moderator.rpc("video.member.promote", member_id=guest.member_id)
        call_id, seen = str(uuid.uuid4()), len(guest.events)
        await guest.verto(verto.invite(call_id, BOTH), call_id)
        await guest.verto_event("verto.answer", since=seen)
        await guest.verto(verto.bye(guest.call_id), guest.call_id)
        about = await guest.event("video.room.subscribed", since=seen)
        assert about["call_id"] == call_id
        await moderator.event("video.member.joined")


async def test_a_demotion(hub: TestHub) -> None:
    async with await moderate(hub) as moderator:
        guest = await Client.join(hub, user_name="Ash", permissions=["room.self.screenshare"])
        hub.peers[1].become(PeerState.CONNECTED)
        screen = str(uuid.uuid4())
        variables = {"memberCallId": guest.call_id, "memberId": guest.member_id}
        share = verto.invite(screen, BOTH, screen_share=True, user_variables=variables)
        await guest.verto(share, screen)
        await moderator.event("video.member.joined", lambda p: p["member"]["type"] == "screen")
        room = hub.rooms.get("demo")
        assert room is not None

        def holds() -> bool:
            room.level(guest.member_id, -20.0)
            return room.seats.floor.holder == guest.member_id

        await until(holds)
        seen, theirs = await moderator.mark(), await guest.mark()
        result = await moderator.rpc(
            "video.member.demote", member_id=guest.member_id, media_allowed="audio-only"
        )
        assert result["code"] == "200"
        event = await guest.event("video.member.demoted", since=theirs)
        authorization = event["authorization"]
        assert event["member_id"] == guest.member_id
        assert authorization["join_as"] == "audience"
        assert (authorization["audio_allowed"], authorization["video_allowed"]) == (
            "receive",
            "none",
        )
        # At once, and not only when it comes with its new call, it is gone for the others.
        left = await moderator.event(
            "video.member.left", lambda p: p["member"]["id"] == guest.member_id, since=seen
        )
        assert left["member"]["type"] == "member"
        talking = await moderator.event("video.member.talking", since=seen)
        assert talking["member"] == {"id": guest.member_id, "talking": False}
        await moderator.event("video.room.audience_count", lambda p: p["total"] == 1, since=seen)
        assert hub.stages[0].brings[guest.member_id] == (False, False)
        assert room.seats.floor.holder is None
        # With it go its screens.
        bye = await guest.verto_event("verto.bye", since=theirs)
        assert bye["callID"] == screen
        # It has not left for itself, and goes on hearing with the call that it has.
        assert "video.member.left" not in [
            name
            for name, params in guest.events[theirs:]
            if params.get("member", {}).get("id") == guest.member_id
        ]
        assert hub.stages[0].listening[guest.member_id] == [hub.peers[1]]

        about = await swap(guest, hub, RECEIVE)
        assert hub.peers[-1].directions == ("sendonly", "inactive")
        assert about["room_session"]["audience_count"] == 1
        assert [one["name"] for one in about["room_session"]["members"]] == ["Elm"]
        # The audience sends nothing, whatever its token once allowed.
        result = await guest.verto(share, screen)
        assert result["code"] == "403"
        await guest.close()


async def test_a_call_that_is_answered_while_its_member_is_demoted_brings_nothing(
    hub: TestHub,
) -> None:
    async with await moderate(hub) as moderator, await Client.join(hub, user_name="Ash") as guest:
        new, seen = str(uuid.uuid4()), len(guest.events)
        await guest.verto(verto.invite(new, BOTH), new)
        await guest.verto_event("verto.answer", since=seen)
        assert hub.peers[2].directions == ("sendrecv", "sendrecv")
        await moderator.rpc("video.member.demote", member_id=guest.member_id)
        hub.peers[2].become(PeerState.CONNECTED)
        await guest.settled()
        assert hub.stages[0].brings[guest.member_id] == (False, False)


async def test_there_and_back_again(hub: TestHub) -> None:
    async with await moderate(hub) as moderator, await watch(hub) as guest:
        for _ in range(2):
            seen = await moderator.mark()
            await moderator.rpc(
                "video.member.promote", member_id=guest.member_id, permissions=NEW_PERMISSIONS
            )
            await swap(guest, hub)
            await moderator.event("video.member.joined", since=seen)
            theirs = await guest.mark()
            await moderator.rpc("video.member.demote", member_id=guest.member_id)
            demoted = await guest.event("video.member.demoted", since=theirs)
            # What was granted with the promotion has gone with it.
            assert demoted["authorization"]["room"]["scopes"] == []
            await swap(guest, hub, RECEIVE)


async def test_a_promotion_can_be_taken_back_before_its_call_comes(hub: TestHub) -> None:
    async with await moderate(hub) as moderator, await watch(hub) as guest:
        seen = await moderator.mark()
        await moderator.rpc("video.member.promote", member_id=guest.member_id)
        await moderator.rpc("video.member.demote", member_id=guest.member_id)
        await guest.event("video.member.demoted")
        await swap(guest, hub)
        assert hub.peers[-1].directions == ("sendonly", "sendonly")
        await moderator.settled()
        assert "video.member.joined" not in moderator.names(seen)
        assert "video.member.left" not in moderator.names(seen)


async def test_demoting_oneself_needs_no_id(hub: TestHub) -> None:
    async with await moderate(hub) as moderator:
        assert (await moderator.rpc("video.member.demote"))["code"] == "200"
        event = await moderator.event("video.member.demoted")
        assert event["member_id"] == moderator.member_id
        # One's own permissions stay, so one may come back.
        assert (await moderator.rpc("video.member.promote"))["code"] == "200"


async def test_a_full_room_promotes_nobody(hub: TestHub) -> None:
    room_options = {"permissions": ["room.member.promote"]}
    async with await moderate(hub, **room_options) as moderator:
        room = hub.rooms.get("demo")
        assert room is not None
        guests = [await watch(hub, user_name=name) for name in ("Ash", "Fir")]
        rules = room.stays.rules
        room.stays.rules = type(rules)(max_members=2)
        codes = [
            (await moderator.rpc("video.member.promote", member_id=guest.member_id))["code"]
            for guest in guests
        ]
        # The first has its place already, though its new call is still to come.
        assert codes == ["200", "403"]
        again = await moderator.rpc("video.member.promote", member_id=guests[0].member_id)
        assert again["code"] == "200"
        for guest in guests:
            await guest.close()


@pytest.mark.parametrize(
    "params",
    [
        {"media_allowed": "smell"},
        {"permissions": ["room.nothing"]},
        {"permissions": "room.lock"},
        {"join_audio_muted": 1},
        {"meta": []},
        {"meta": {"a": "x" * 2000}},
    ],
)
async def test_wrong_wishes_promote_nobody(hub: TestHub, params: dict[str, Any]) -> None:
    async with await moderate(hub) as moderator, await watch(hub) as guest:
        theirs = await guest.mark()
        result = await moderator.rpc("video.member.promote", member_id=guest.member_id, **params)
        assert result["code"] == "422"
        assert next(iter(params)) in result["message"]
        assert await guest.mark() == theirs


async def test_who_was_promoted_comes_back_as_a_member(hub: TestHub) -> None:
    async with await moderate(hub) as moderator:
        guest = await watch(hub)
        await moderator.rpc(
            "video.member.promote", member_id=guest.member_id, permissions=NEW_PERMISSIONS
        )
        await swap(guest, hub)
        await guest.cut()
        # With the same token, which is one for the audience.
        again = await Client.connect(
            hub,
            token(hub, join_as="audience", permissions=[], user_name="Ash"),
            protocol=guest.connected["protocol"],
            authorization_state=guest.authorization_state,
        )
        authorization = again.connected["authorization"]
        assert again.connected["protocol"] == guest.connected["protocol"]
        assert authorization["join_as"] == "member"
        assert authorization["room"]["scopes"] == NEW_PERMISSIONS
        about = await again.invite(call_id=guest.call_id)
        assert about["member_id"] == guest.member_id
        assert len(about["room_session"]["members"]) == 2
        await again.close()


async def test_who_leaves_and_joins_anew_is_what_its_token_says(hub: TestHub) -> None:
    async with await moderate(hub) as moderator, await watch(hub) as guest:
        await moderator.rpc("video.member.promote", member_id=guest.member_id)
        await swap(guest, hub)
        await guest.verto(verto.bye(guest.call_id), guest.call_id)
        seen = await moderator.mark()
        await guest.invite(RECEIVE, call_id=str(uuid.uuid4()))
        await moderator.event("video.room.audience_count", since=seen)
        assert "video.member.joined" not in moderator.names(seen)


def options(**changes: Any) -> TokenOptions:
    return TokenOptions(room_name="demo", **changes)


@pytest.mark.parametrize(
    ("join_as", "media", "by_token", "by_promotion"),
    [
        ("member", "all", ("both", "both"), ("both", "both")),
        ("member", "audio-only", ("both", "none"), ("both", "receive")),
        ("member", "video-only", ("none", "both"), ("receive", "both")),
        ("audience", "all", ("receive", "receive"), ("receive", "receive")),
        ("audience", "audio-only", ("receive", "none"), ("receive", "none")),
        ("audience", "video-only", ("none", "receive"), ("none", "receive")),
    ],
)
def test_what_media_mean(
    join_as: str, media: str, by_token: tuple[str, str], by_promotion: tuple[str, str]
) -> None:
    token_options = options(join_as=join_as, media_allowed=media)
    assert media_of(token_options) == by_token
    assert media_of(token_options, promoted=True) == by_promotion


def test_roles_change_only_what_they_name() -> None:
    of_token = options(
        join_as="audience", user_name="Ash", media_allowed="audio-only", meta={"a": 1}
    )
    member = promotion({"join_video_muted": True, "permissions": None}).over(of_token)
    assert (member.join_as, member.media_allowed) == ("member", "all")
    assert (member.user_name, member.meta, member.permissions) == ("Ash", {"a": 1}, [])
    assert (member.join_audio_muted, member.join_video_muted) == (False, True)
    # A demotion takes nothing but the media.
    again = demotion({"media_allowed": "video-only", "permissions": ["room.lock"]}).over(of_token)
    assert (again.join_as, again.media_allowed, again.permissions) == ("audience", "video-only", [])

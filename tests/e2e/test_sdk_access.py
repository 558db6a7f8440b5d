"""Who comes in and what they may do: the hub's answers as the official SDK gives them on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from room import Room
from sdk_client import SdkClient, SdkError

AUTH_FAILED = -32002


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("no token", "this is no room token"),
        ("of another hub", "signed with another key"),
        ("expired", "has expired"),
    ],
)
async def test_a_token_that_is_no_good_is_refused(
    room: Room, guest: SdkClient, kind: str, words: str
) -> None:
    token = {
        "no token": "nonsense",
        "of another hub": room.hub.token("Maple")[:-12] + "A" * 12,
        "expired": room.hub.token("Maple", join_until=datetime.now(UTC) - timedelta(minutes=1)),
    }[kind]
    with pytest.raises(SdkError, match=words) as caught:
        await guest.join(room.hub.websocket, token)
    assert (caught.value.name, caught.value.code) == ("AuthError", AUTH_FAILED)
    assert "Maple" not in room.host.members


async def test_what_a_token_does_not_permit_is_refused(room: Room, guest: SdkClient) -> None:
    await room.admit(guest, permissions=["room.self.audio_mute"])
    assert await guest.get("permissions") == ["room.self.audio_mute"]
    oak = room.id_of("Oak")
    for method, arguments, permission in (
        ("audioMute", {"memberId": oak}, "room.member.audio_mute"),
        ("audioUnmute", {}, "room.self.audio_unmute"),
        ("setLayout", {"name": "2x1"}, "room.set_layout"),
        ("removeMember", {"memberId": oak}, "room.member.remove"),
        # Permission is asked for before existence.
        ("audioMute", {"memberId": "nobody"}, "room.member.audio_mute"),
    ):
        with pytest.raises(SdkError, match=permission) as caught:
            await guest.call(method, arguments)
        assert caught.value.code == "403"
    assert await room.oak.is_muted(False)
    assert "Oak" in room.host.members
    await guest.call("audioMute")


async def test_a_member_that_is_not_there_is_not_found(room: Room, guest: SdkClient) -> None:
    await room.admit(guest)
    with pytest.raises(SdkError) as caught:
        await guest.call("audioMute", {"memberId": "nobody"})
    assert caught.value.code == "404"

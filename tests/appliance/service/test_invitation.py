from __future__ import annotations

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.service.errors import InvitationInvalid
from appliance.service.invitation import TEXT_MAX, Invitation

TOKEN = jwt.encode({"r": "oak"}, "k" * 32, headers={"typ": "VRT"})


@pytest.mark.parametrize(
    ("text", "room", "host"),
    [
        ("demo", "demo", None),
        (" Weekly_3-b \n", "Weekly_3-b", None),
        ("http://hub.local:8080/?room=oak", "oak", "ws://hub.local:8080"),
        ("https://HUB.example/index.html?x=1&room=oak", "oak", "wss://hub.example"),
        ("https://hub.example/meet/#oak", "oak", "wss://hub.example/meet"),
        ("wss://hub.example/?room=oak", "oak", "wss://hub.example"),
        ("http://[::1]:8080/#oak", "oak", "ws://[::1]:8080"),
    ],
)
def test_what_people_give(text: str, room: str, host: str | None) -> None:
    assert Invitation.parse(text) == Invitation(room, host)


def test_a_token_tells_its_room_and_does_not_show() -> None:
    invitation = Invitation.parse(TOKEN)
    assert invitation.room == "oak"
    assert invitation.token is not None
    assert invitation.token.get_secret_value() == TOKEN
    assert TOKEN not in repr(invitation)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "neither"),
        ("two words", "neither"),
        ("ftp://hub/?room=oak", "neither"),
        ("javascript:alert(1)#oak", "neither"),
        ("http://hub:99999/?room=oak", "neither"),
        ("http:///?room=oak", "neither"),
        ("http://hub/", "names no room"),
        ("http://hub/?room=a%20b", "names no room"),
        ("http://hub/#../../etc", "names no room"),
        ("http://me:secret@hub/?room=oak", "user and password"),
        ("x" * (TEXT_MAX + 1), "too long"),
    ],
)
def test_what_leads_nowhere_is_refused_and_not_repeated(text: str, told: str) -> None:
    with pytest.raises(InvitationInvalid, match=told) as refusal:
        Invitation.parse(text)
    assert "secret" not in str(refusal.value)


@given(st.text(max_size=200))
def test_any_text_is_an_invitation_or_refused(text: str) -> None:
    try:
        invitation = Invitation.parse(text)
    except InvitationInvalid:
        return
    assert invitation.room or invitation.token
    assert invitation.host is None or invitation.host.startswith(("ws://", "wss://"))

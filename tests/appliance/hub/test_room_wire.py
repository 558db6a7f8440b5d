"""What a client is told of the room that it has come into."""

from __future__ import annotations

from appliance.hub.members import DEFAULT_SENSITIVITY
from tests.appliance.hub.conftest import TestHub
from tests.appliance.hub.hub_client import (
    Client,
    token,
)


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

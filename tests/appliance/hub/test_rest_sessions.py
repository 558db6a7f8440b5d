"""What went on in the rooms, as a script finds it: told by the hub, not by those who did it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from appliance.hub import journal as journaling
from appliance.hub import store as storing
from appliance.hub.keys import FILE as KEYS_FILE
from appliance.signaling import verto
from tests.appliance.hub.conftest import MakeHub, TestHub
from tests.appliance.hub.hub_client import PICTURES, RECEIVE, Client, until
from tests.appliance.hub.rest_client import Script


async def leave(client: Client) -> None:
    await client.verto(verto.bye(client.call_id))
    await client.close()


async def test_a_meeting_from_begin_to_end(hub: TestHub) -> None:
    async with Script(hub) as script:
        room = await script.post("/rooms", {"name": "demo", "layout": "2x2"})
        assert await script.data("/room_sessions") == []
        oak = await Client.join(hub, user_name="Oak")
        elm = await Client.join(hub, user_name="Elm")
        (session,) = await script.data("/room_sessions")
        assert session["id"] == oak.room_session_id
        assert (session["name"], session["room_id"]) == ("demo", room["id"])
        assert (session["status"], session["end_time"]) == ("in-progress", None)
        assert (session["layout"], session["locked"]) == ("2x2", False)
        assert session["preview_url"] is None
        hub.stages[0].room.preview_url = "https://hub.example/preview"
        assert (await script.data("/room_sessions"))[0]["preview_url"].endswith("/preview")
        await oak.rpc("video.lock")
        one = f"/room_sessions/{session['id']}"
        assert (await script.get(one))["locked"] is True
        await elm.rpc("video.member.audio_mute")
        await leave(elm)
        members = await script.data(f"{one}/members")
        assert [member["name"] for member in members] == ["Elm", "Oak"]
        assert [member["id"] for member in members] == [elm.member_id, oak.member_id]
        assert [member["leave_time"] is None for member in members] == [False, True]
        assert {member["room_session_id"] for member in members} == {session["id"]}
        await leave(oak)
        await until(lambda: hub.stages[0].closed)
        session = await script.get(one)
        assert (session["status"], session["end_reason"]) == ("completed", "ended")
        assert session["end_time"] >= session["start_time"]
        assert session["duration"] >= 0
        assert all(one["leave_time"] for one in await script.data(f"{one}/members"))
        events = [
            (event["name"], event["room_participant_id"])
            for event in reversed(await script.data(f"{one}/events"))
        ]
        assert events == [
            ("room.started", None),
            ("member.joined", oak.member_id),
            ("member.joined", elm.member_id),
            ("room.updated", None),
            ("member.updated", elm.member_id),
            ("member.left", elm.member_id),
            ("member.left", oak.member_id),
            ("room.ended", None),
        ]


async def test_an_event_tells_all(hub: TestHub) -> None:
    async with Script(hub) as script, await Client.join(hub) as client:
        await client.rpc("video.set_meta", meta={"x": "ü"})
        event = (await script.data(f"/room_sessions/{client.room_session_id}/events"))[0]
        assert event["name"] == "room.updated"
        assert event["project_id"] == hub.keys.project
        assert event["room_session_id"] == client.room_session_id
        assert event["room_id"] == event["payload"]["room_id"]
        assert (event["level"], event["payload"]["room"]["meta"]) == ("info", {"x": "ü"})


async def test_everybody_is_on_the_list(hub: TestHub) -> None:
    """The audience, of whom nobody else hears, and screens with their owners."""
    async with (
        Script(hub) as script,
        await Client.join(hub, user_name="Oak") as oak,
        await Client.join(hub, RECEIVE, user_name="Ash", join_as="audience"),
    ):
        screen = verto.invite(
            "screen",
            PICTURES,
            screen_share=True,
            user_variables={"memberCallId": oak.call_id, "memberId": oak.member_id},
        )
        await oak.verto(screen, "screen")
        await oak.event("video.member.joined", lambda p: p["member"]["type"] == "screen")
        members = await script.data(f"/room_sessions/{oak.room_session_id}/members")
        kinds = [(one["type"], one["parent_id"]) for one in members]
        assert kinds == [("screen", oak.member_id), ("audience", None), ("member", None)]


async def test_a_room_that_a_token_made_has_sessions_only(hub: TestHub) -> None:
    async with Script(hub) as script, await Client.join(hub, room_display_name="Token's"):
        (session,) = await script.data("/room_sessions")
        assert (session["room_id"], session["display_name"]) == (None, "Token's")
        assert await script.data("/rooms") == []


async def test_sessions_are_found_by_their_qualities(hub: TestHub) -> None:
    async with Script(hub) as script:
        room = await script.post("/rooms", {"name": "oak"})
        async with await Client.join(hub, room="oak") as oak:
            await leave(await Client.join(hub, room="elm"))
            await until(lambda: hub.stages[1].closed)

            async def found(query: str) -> list[str]:
                return [one["name"] for one in await script.data(f"/room_sessions?{query}")]

            assert await found("") == ["elm", "oak"]
            assert await found("status=in-progress") == ["oak"]
            assert await found("status=completed") == ["elm"]
            assert await found("room_name=oak") == ["oak"]
            assert await found("room_name_matches=l") == ["elm"]
            assert await found(f"room_id={room['id']}") == ["oak"]
            page = await script.get("/room_sessions?room_name_matches=k&page_size=1")
            assert "room_name_matches=k" in page["links"]["first"]
            error = await script.refused("GET", "/room_sessions?status=over", None, 422)
            assert error["attribute"] == "status"
            await oak.settled()


async def test_an_invite_that_fails_is_no_session(hub: TestHub) -> None:
    async with Script(hub) as script, await Client.connect(hub) as client:
        await client.verto(verto.invite(client.call_id, "v=0\r\nunusable\r\n"))
        await client.verto_event("verto.bye")
        await until(lambda: hub.stages[0].closed)
        assert await script.data("/room_sessions") == []


async def test_what_is_not_there(hub: TestHub) -> None:
    async with Script(hub) as script:
        for rest in ("", "/members", "/events", "/recordings", "/streams"):
            error = await script.refused("GET", f"/room_sessions/nothing{rest}", None, 404)
            assert error["code"] == "not_found"


async def test_only_so_many_events_are_kept(
    hub: TestHub, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(journaling, "EVENTS_MAX", 5)
    async with Script(hub) as script:
        client = await Client.join(hub)
        for number in range(20):
            await client.rpc("video.set_meta", meta={"number": number})
        await leave(client)
        await until(lambda: hub.stages[0].closed)
        events = await script.data(f"/room_sessions/{client.room_session_id}/events")
        # How it ended is told always.
        first = ["room.started", "member.joined", *["room.updated"] * 3]
        assert [event["name"] for event in reversed(events)] == [*first, "room.ended"]
        lines = [one for one in caplog.records if "no more than 5 events" in one.getMessage()]
        assert len(lines) == 1


async def test_a_restart_loses_nothing(make_hub: MakeHub) -> None:
    hub = await make_hub()
    client = await Client.join(hub)
    session_id = client.room_session_id
    await hub.stop()
    await client.gone()
    again = await make_hub()
    async with Script(again) as script:
        session = await script.get(f"/room_sessions/{session_id}")
        assert (session["status"], session["end_reason"]) == ("completed", "ended")
        (member,) = await script.data(f"/room_sessions/{session_id}/members")
        assert member["id"] == client.member_id
        assert member["leave_time"] is not None


async def test_a_power_cut_leaves_a_clear_state(make_hub: MakeHub, tmp_path: Path) -> None:
    """The files as they are in the middle of a meeting are all that the next hub has."""
    hub = await make_hub()
    async with Script(hub) as script, await Client.join(hub) as client:
        # An answer of the store proves that all before it is on the disk.
        (session,) = await script.data("/room_sessions")
        after = tmp_path / "after"
        after.mkdir()
        for name in (storing.FILE, f"{storing.FILE}-wal", KEYS_FILE):
            shutil.copy(tmp_path / "hub" / name, after)
        again = await make_hub(data=after)
        async with Script(again) as survivor:
            found = await survivor.get(f"/room_sessions/{session['id']}")
            assert (found["status"], found["end_reason"]) == ("completed", "interrupted")
            assert found["end_time"] >= session["start_time"]
            (member,) = await survivor.data(f"/room_sessions/{session['id']}/members")
            assert member["id"] == client.member_id
            assert member["leave_time"] == found["end_time"]
            async with await Client.join(again) as late:
                assert late.room_session_id != session["id"]


async def test_a_full_disk_breaks_no_room(hub: TestHub, caplog: pytest.LogCaptureFixture) -> None:
    assert hub._archive is not None
    store = hub._archive.store

    async def limit(pages: int) -> None:
        await store.database.change(lambda c: c.execute(f"PRAGMA max_page_count = {pages}"))

    async with Script(hub) as script, await Client.join(hub) as client:
        await limit(1)
        big = {"x": "y" * 1900}
        for number in range(50):
            result = await client.rpc("video.set_meta", meta={**big, "number": number})
            assert result["code"] == "200"
        async with await Client.join(hub, user_name="Elm") as elm:
            await client.event("video.member.joined", lambda p: p["member"]["name"] == "Elm")
            await elm.settled()
        await script.get("/room_sessions")
        bodies = [{"name": f"room-{number}", "meta": big} for number in range(50)]
        answers = [await script.http.post("/api/video/rooms", json=body) for body in bodies]
        failed = [answer for answer in answers if answer.status_code != 200]
        assert failed
        for answer in failed:
            assert answer.status_code == 503
            assert answer.json()["errors"][0]["code"] == "store_failed"
            assert "full; free some space" in answer.json()["errors"][0]["message"]
        # What was not kept is not there either.
        assert len(await script.data("/rooms")) == 50 - len(failed)
        lines = [one.getMessage() for one in caplog.records if "rooms go on" in one.getMessage()]
        assert len(lines) == 1
        await limit(1_000_000)
        await script.post("/rooms", bodies[-1])

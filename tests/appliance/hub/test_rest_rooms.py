"""Rooms that last: made, changed and deleted by a script, and kept to by those who join."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from appliance.signaling import verto
from tests.appliance.hub.conftest import MakeHub, TestHub
from tests.appliance.hub.hub_client import BOTH, RECEIVE, Client, token
from tests.appliance.hub.rest_client import Script


@pytest.fixture
async def hub(make_hub: MakeHub) -> TestHub:
    """A hub as it comes: a token alone makes no room."""
    return await make_hub(auto_create_rooms=False)


async def join_refused(hub: TestHub, room: str = "demo", **options: Any) -> dict[str, Any]:
    """The answer to the invite of somebody who is not let in."""
    async with await Client.connect(hub, token(hub, room, **options)) as client:
        sdp = RECEIVE if options.get("join_as") == "audience" else BOTH
        result = await client.verto(verto.invite(client.call_id, sdp))
        assert result.keys() == {"code", "message"}, result
        return result


async def test_a_room_is_made_found_changed_and_deleted(hub: TestHub) -> None:
    async with Script(hub) as script:
        made = await script.post("/rooms", {"name": "demo"})
        assert made["name"] == made["display_name"] == "demo"
        assert (made["quality"], made["fps"], made["max_members"]) == ("720p", 30, 50)
        assert (made["layout"], made["record_on_start"]) == ("grid-responsive", False)
        for key in ("demo", made["id"]):
            assert await script.get(f"/rooms/{key}") == made
        changed = await script.put(
            f"/rooms/{made['id']}", {"layout": "2x2", "display_name": "Big", "meta": {"x": 1}}
        )
        kept = {"layout": "2x2", "display_name": "Big", "meta": {"x": 1}}
        assert changed == {**made, **kept, "updated_at": changed["updated_at"]}
        # What is not given stays; what is given as nothing goes back to the default.
        changed = await script.put("/rooms/demo", {"display_name": None})
        assert (changed["layout"], changed["display_name"]) == ("2x2", "demo")
        assert await script.data("/rooms") == [changed]
        await script.delete("/rooms/demo")
        await script.get("/rooms/demo", 404)
        await script.delete(f"/rooms/{made['id']}", 404)
        await script.put("/rooms/demo", {}, 404)
        assert await script.data("/rooms") == []


async def test_every_setting_is_kept(hub: TestHub) -> None:
    settings = {
        "name": "demo",
        "display_name": "Größe ☃",
        "description": "Long\nwords",
        "max_members": 300,
        "quality": "1080p",
        "fps": 20,
        "join_from": "2030-01-01T00:00:00Z",
        "join_until": "2030-01-02T00:00:00Z",
        "remove_at": "2030-01-03T00:00:00Z",
        "remove_after_seconds_elapsed": 60,
        "layout": "highlight-1-responsive",
        "record_on_start": True,
        "enable_room_previews": True,
        "prioritize_handraise": True,
        "tone_on_entry_and_exit": True,
        "sync_audio_video": True,
        "meta": {"a": [1, None]},
    }
    async with Script(hub) as script:
        made = await script.post("/rooms", settings)
        assert {name: made[name] for name in settings} == settings
        words = {"join_from": 1893456000, "join_until": "2030-01-02", "fps": 30.0}
        changed = await script.put("/rooms/demo", words)
        assert {name: changed[name] for name in settings} == {**settings, "fps": 30}


@pytest.mark.parametrize(
    ("change", "attribute"),
    [
        ({"name": None}, "name"),
        ({"name": "de mo"}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"display_name": "x" * 201}, "display_name"),
        ({"display_name": "a\nb"}, "display_name"),
        ({"max_members": 0}, "max_members"),
        ({"max_members": 301}, "max_members"),
        ({"max_members": "5"}, "max_members"),
        ({"quality": "4k"}, "quality"),
        ({"fps": 25}, "fps"),
        ({"join_from": "tomorrow"}, "join_from"),
        ({"join_until": True}, "join_until"),
        ({"remove_at": -1}, "remove_at"),
        ({"remove_after_seconds_elapsed": 0}, "remove_after_seconds_elapsed"),
        ({"layout": "round"}, "layout"),
        ({"record_on_start": 1}, "record_on_start"),
        ({"enable_room_previews": "yes"}, "enable_room_previews"),
        ({"meta": {"x": "y" * 2000}}, "meta"),
        ({"meta": []}, "meta"),
        ({"nmae": "demo"}, "nmae"),
    ],
)
async def test_what_is_wrong_is_named(hub: TestHub, change: dict[str, Any], attribute: str) -> None:
    body = {key: v for key, v in {"name": "demo", **change}.items() if v is not None}
    async with Script(hub) as script:
        error = await script.refused("POST", "/rooms", body, 422)
        assert error["attribute"] == attribute
        assert attribute in error["message"]
        assert await script.data("/rooms") == []


async def test_all_that_is_wrong_is_told_in_plain_words(hub: TestHub) -> None:
    body = {"nmae": "demo", "max_members": 500, "display_name": 7, "layout": "foo", "fps": 25}
    async with Script(hub) as script:
        errors = (await script.call("POST", "/rooms", body, 422))["errors"]
        assert {error["code"] for error in errors} == {"invalid_parameter"}
        told = {error["attribute"]: error["message"] for error in errors}
        assert told.pop("layout").startswith("layout: there is no layout 'foo'; there are ")
        assert told == {
            "name": "name: is missing",
            "nmae": "nmae: unknown key, did you mean name?",
            "max_members": "max_members: must be at most 300",
            "display_name": "display_name: must be a text, in quotes",
            "fps": "fps: must be 20 or 30",
        }
        error = await script.refused("POST", "/rooms", {"name": "demo room"}, 422)
        assert error["message"] == "name: letters, digits, - and _ only"
        # Rubbish is no way to make the hub look for thousands of names.
        names = [f"{number}" * 2000 for number in range(30)]
        rubbish = dict.fromkeys(names[:9], 1) | dict.fromkeys((f"x{n}" for n in range(1000)), 1)
        errors = (await script.call("POST", "/rooms", {"name": "a", **rubbish}, 422))["errors"]
        assert len(errors) == 20
        assert max(len(error["attribute"]) for error in errors) == 80


async def test_one_room_of_a_name(hub: TestHub) -> None:
    async with Script(hub) as script:
        made = await script.post("/rooms", {"name": "demo"})
        error = await script.refused("POST", "/rooms", {"name": "demo"}, 409)
        assert error["attribute"] == "name"
        assert (await script.refused("PUT", "/rooms/demo", {"name": "x"}, 422))["attribute"] == (
            "name"
        )
        assert await script.data("/rooms") == [made]


async def test_pages(hub: TestHub) -> None:
    async with Script(hub) as script:
        for number in range(5):
            await script.post("/rooms", {"name": f"room-{number}"})
        page = await script.get("/rooms?page_size=2")
        assert page["links"]["prev"] is None
        seen = [room["name"] for room in page["data"]]
        await script.post("/rooms", {"name": "late"})
        while (link := page["links"]["next"]) is not None:
            before, page = page, await script.get(link)
            assert page["links"]["self"] == link
            assert (await script.get(page["links"]["prev"]))["data"][-1] == before["data"][-1]
            seen += [room["name"] for room in page["data"]]
        assert seen == [f"room-{number}" for number in (4, 3, 2, 1, 0)]
        first = await script.get(page["links"]["first"])
        assert [room["name"] for room in first["data"]] == ["late", "room-4"]
        for query in ("page_size=0", "page_size=1001", "page_number=-1", "page_token=PAx", "a=1"):
            await script.get(f"/rooms?{query}", 422)


# Joining


async def test_without_a_room_nobody_joins(hub: TestHub) -> None:
    result = await join_refused(hub)
    said = "There is no room demo; make it, or take a token with auto_create_room"
    assert result == {"code": "404", "message": said}
    assert (await join_refused(hub, auto_create_room=False))["code"] == "404"
    async with await Client.join(hub, room="other", auto_create_room=True):
        pass
    async with Script(hub) as script:
        made = await script.post("/rooms", {"name": "demo"})
        async with await Client.connect(hub) as client:
            about = await client.invite()
            assert about["room_session"]["room_id"] == about["room"]["room_id"] == made["id"]


async def test_a_room_is_as_it_was_made(hub: TestHub) -> None:
    settings = {
        "name": "demo",
        "display_name": "Big room",
        "layout": "10x10",
        "prioritize_handraise": True,
        "meta": {"x": 1},
    }
    async with Script(hub) as script:
        await script.post("/rooms", settings)
        async with await Client.connect(hub, token(hub, room_display_name="Token")) as client:
            about = await client.invite()
            for words in (about["room_session"], about["room"]):
                assert (words["layout_name"], words["display_name"]) == ("10x10", "Big room")
                assert (words["prioritize_handraise"], words["meta"]) == (True, {"x": 1})
            assert (await script.get("/rooms/demo"))["active_session"] is None
            room = await script.get("/rooms/demo?include_active_session=true")
            assert room["active_session"]["id"] == about["room_session"]["id"]
            assert room["active_session"]["status"] == "in-progress"
            (listed,) = await script.data("/rooms?include_active_session=true")
            assert listed["active_session"]["id"] == room["active_session"]["id"]
        await script.get("/rooms/demo?include_active_session=1", 422)


async def test_a_full_room(hub: TestHub) -> None:
    async with Script(hub) as script:
        await script.post("/rooms", {"name": "demo", "max_members": 1})
        async with await Client.join(hub):
            result = await join_refused(hub)
            assert result["code"] == "403"
            assert "full" in result["message"]
            async with await Client.join(hub, RECEIVE, join_as="audience"):
                pass
            # A room that is running takes more at once.
            await script.put("/rooms/demo", {"max_members": 2})
            async with await Client.join(hub):
                pass


async def test_before_and_after_its_time(hub: TestHub) -> None:
    now = datetime.now(UTC)
    past, future = (now - timedelta(hours=1)).isoformat(), (now + timedelta(hours=1)).isoformat()
    async with Script(hub) as script:
        await script.post("/rooms", {"name": "demo", "join_from": future})
        result = await join_refused(hub)
        assert result["code"] == "403"
        assert "before 20" in result["message"]
        await script.put("/rooms/demo", {"join_from": None, "join_until": future})
        async with await Client.join(hub) as inside:
            await script.put("/rooms/demo", {"join_until": past})
            assert "since 20" in (await join_refused(hub))["message"]
            # Who is in the room stays.
            await inside.settled()
        await script.put("/rooms/demo", {"join_until": None, "remove_at": past})
        assert "since 20" in (await join_refused(hub))["message"]


async def test_everybody_is_removed_at_the_end(hub: TestHub) -> None:
    soon = (datetime.now(UTC) + timedelta(seconds=2)).isoformat()
    async with Script(hub) as script:
        await script.post("/rooms", {"name": "demo"})
        clients = [await Client.join(hub) for _ in range(2)]
        await script.put("/rooms/demo", {"remove_at": soon})
        for client in clients:
            bye = await client.verto_event("verto.bye")
            assert bye["callID"] == client.call_id
            await client.close()
        assert (await join_refused(hub))["code"] == "403"


async def test_each_is_removed_after_some_time(hub: TestHub) -> None:
    async with Script(hub) as script:
        await script.post("/rooms", {"name": "demo", "remove_after_seconds_elapsed": 1})
        async with await Client.join(hub) as first, await Client.join(hub) as second:
            await first.verto_event("verto.bye")
            await second.verto_event("verto.bye")
        # Anybody may come again.
        async with await Client.join(hub):
            pass


async def test_a_deleted_room_lets_nobody_in(hub: TestHub) -> None:
    async with Script(hub) as script:
        await script.post("/rooms", {"name": "demo"})
        async with await Client.join(hub) as inside:
            await script.delete("/rooms/demo")
            assert (await join_refused(hub))["code"] == "404"
            assert (await join_refused(hub, auto_create_room=True))["code"] == "404"
            # Who is in it goes on.
            assert (await inside.rpc("video.lock"))["code"] == "200"
            assert (await inside.rpc("video.unlock"))["code"] == "200"
            await script.post("/rooms", {"name": "demo"})
            async with await Client.join(hub):
                pass


async def test_open_rooms_are_there_from_the_start(make_hub: MakeHub) -> None:
    hub = await make_hub(auto_create_rooms=False, open_rooms=("lobby", "demo"))
    async with Script(hub) as script:
        assert {room["name"] for room in await script.data("/rooms")} == {"lobby", "demo"}
        await script.put("/rooms/demo", {"layout": "2x2"})
    async with await Client.join(hub):
        pass
    await hub.stop()
    again = await make_hub(auto_create_rooms=False, open_rooms=("lobby", "demo"))
    async with Script(again) as script:
        assert len(await script.data("/rooms")) == 2
        assert (await script.get("/rooms/demo"))["layout"] == "2x2"


async def test_the_canvas_is_as_large_as_the_room_wants_it(
    make_hub: MakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked of the stage that the hub would really make."""
    from appliance.hub import stage as module

    sizes: list[tuple[int, int, float]] = []

    class Measured:
        def __init__(
            self, _title: str, *, width: int, height: int, rate: float, on_level: object
        ) -> None:
            sizes.append((width, height, rate))

    monkeypatch.setattr(module, "Stage", Measured)
    hub = await make_hub(auto_create_rooms=False, width=640, height=360, rate=15)
    async with Script(hub) as script:
        for name, settings in (
            ("plain", {}),
            ("large", {"quality": "1080p", "fps": 20}),
            ("usual", {"quality": "720p", "fps": 30}),
        ):
            await script.post("/rooms", {"name": name, **settings})
            async with await Client.join(hub, room=name):
                hub._make_stage(hub.stages[-1].room)
    assert sizes == [(640, 360, 15), (1920, 1080, 20), (1280, 720, 30)]

"""Recordings and their files, as a script gets them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from appliance.hub.journal import Journal
from appliance.hub.room import Room
from tests.appliance.hub.conftest import MakeHub, TestHub
from tests.appliance.hub.hub_client import Client, until
from tests.appliance.hub.rest_client import Script

FILM = bytes(range(256)) * 40


class Studio:
    """A running room, and recordings of it as the recorder tells of them."""

    def __init__(self, hub: TestHub) -> None:
        assert hub._archive is not None
        self.journal: Journal = hub._archive.journal
        self.room: Room = hub.stages[0].room
        self.folder = hub.config.data / "recordings"
        self.folder.mkdir(exist_ok=True)

    def path(self, recording_id: str) -> Path:
        return self.folder / f"{recording_id}.mp4"

    def tell(self, recording_id: str, state: Any, **more: Any) -> None:
        path = self.path(recording_id)
        self.journal.recording(
            self.room, recording_id, state=state, path=path, started_at=100.0, **more
        )

    def finish(self, recording_id: str, content: bytes = FILM) -> None:
        self.path(recording_id).write_bytes(content)
        self.tell(recording_id, "completed", ended_at=103.4, duration=3.4)


@pytest.fixture
async def client(hub: TestHub) -> AsyncIterator[Client]:
    async with await Client.join(hub) as client:
        yield client


@pytest.fixture
def studio(hub: TestHub, client: Client) -> Studio:
    return Studio(hub)


async def test_from_start_to_end(hub: TestHub, client: Client, studio: Studio) -> None:
    async with Script(hub) as script:
        assert await script.data("/room_recordings") == []
        studio.path("one").touch()
        studio.tell("one", "recording")
        recording = await script.get("/room_recordings/one")
        assert recording["room_session_id"] == client.room_session_id
        assert (recording["status"], recording["finished_at"]) == ("recording", None)
        assert (recording["uri"], recording["size_in_bytes"]) == (None, None)
        await script.get("/room_recordings/one/media", 404)
        studio.tell("one", "paused")
        assert (await script.get("/room_recordings/one"))["status"] == "paused"
        studio.finish("one")
        recording = await script.get("/room_recordings/one")
        assert (recording["status"], recording["duration"]) == ("completed", 3)
        assert recording["started_at"] == "1970-01-01T00:01:40Z"
        assert recording["finished_at"] == "1970-01-01T00:01:43.400000Z"
        assert (recording["size_in_bytes"], recording["format"]) == (len(FILM), "video/mp4")
        studio.finish("two")
        session = f"/room_sessions/{client.room_session_id}/recordings"
        for path in ("/room_recordings", session):
            assert [one["id"] for one in await script.data(path)] == ["two", "one"]


async def test_the_file_whole_and_in_parts(hub: TestHub, studio: Studio) -> None:
    studio.finish("one")
    async with Script(hub) as script:
        path = "/api/video/room_recordings/one/media"
        answer = await script.http.get(path)
        assert (answer.status_code, answer.content) == (200, FILM)
        assert answer.headers["content-type"] == "video/mp4"
        assert answer.headers["accept-ranges"] == "bytes"
        assert "one.mp4" in answer.headers["content-disposition"]
        for header, part in (
            ("bytes=0-99", FILM[:100]),
            ("bytes=10000-", FILM[10000:]),
            ("bytes=-7", FILM[-7:]),
        ):
            answer = await script.http.get(path, headers={"Range": header})
            assert (answer.status_code, answer.content) == (206, part)
        answer = await script.http.get(path, headers={"Range": "bytes=99999-"})
        assert answer.status_code == 416
        assert (await script.http.head(path)).headers["content-length"] == str(len(FILM))


async def test_a_link_opens_the_file_for_some_time(hub: TestHub, studio: Studio) -> None:
    studio.finish("one")
    studio.finish("two", b"other")
    async with Script(hub) as script, httpx.AsyncClient() as anybody:
        uri = (await script.get("/room_recordings/one"))["uri"]
        assert uri.startswith(f"{hub.url}/api/video/room_recordings/one/media?")
        assert (await anybody.get(uri)).content == FILM
        for wrong in (
            uri.split("?")[0],
            uri.replace("/one/", "/two/"),
            uri[:-1] + ("0" if uri[-1] != "0" else "1"),
            uri.replace("expires=", "expires=9"),
            uri.replace("expires=", "expires=-"),
            uri.replace("expires=", "expires=x"),
            f"{hub.url}/api/video/room_recordings/one?{uri.split('?')[1]}",
        ):
            assert (await anybody.get(wrong)).status_code == 401, wrong
        brief = (await script.get("/room_recordings/one?media_ttl=1"))["uri"]
        (listed,) = [one for one in await script.data("/room_recordings") if one["id"] == "one"]
        assert (await anybody.get(listed["uri"])).status_code == 200

        async def over() -> bool:
            return (await anybody.get(brief)).status_code == 401

        async with asyncio.timeout(20):
            while not await over():
                await asyncio.sleep(0.05)
        await script.get("/room_recordings/one?media_ttl=0", 422)


async def test_a_recording_is_deleted_with_its_file(hub: TestHub, studio: Studio) -> None:
    async with Script(hub) as script:
        studio.path("one").touch()
        studio.tell("one", "recording")
        error = await script.refused("DELETE", "/room_recordings/one", None, 409)
        assert "stop it first" in error["message"]
        assert studio.path("one").exists()
        studio.finish("one")
        await script.delete("/room_recordings/one")
        assert not studio.path("one").exists()
        await script.get("/room_recordings/one", 404)
        await script.delete("/room_recordings/one", 404)
        # A file that somebody else has deleted is no obstacle.
        studio.finish("two")
        studio.path("two").unlink()
        await script.get("/room_recordings/two/media", 404)
        await script.delete("/room_recordings/two")


async def test_why_a_recording_has_ended(hub: TestHub, client: Client, studio: Studio) -> None:
    studio.path("one").write_bytes(FILM)
    studio.tell("one", "completed", ended_at=101.0, duration=1.0, error="the disk is full")
    async with Script(hub) as script:
        assert (await script.get("/room_recordings/one"))["error"] == "the disk is full"
        (event,) = await script.data("/room_recordings/one/events")
        assert (event["name"], event["level"]) == ("recording.failed", "error")
        assert event["room_recording_id"] == "one"
        events = await script.data(f"/room_sessions/{client.room_session_id}/events")
        assert events[0] == event


async def test_events_that_clients_are_told_of_belong_to_it(hub: TestHub, studio: Studio) -> None:
    ids = {"room_id": studio.room.id, "room_session_id": studio.room.session_id}
    studio.tell("one", "recording")
    studio.room.emit("video.recording.started", {**ids, "recording": {"id": "one"}})
    async with Script(hub) as script:
        (event,) = await script.data("/room_recordings/one/events")
        assert event["name"] == "recording.started"


async def test_an_interrupted_recording_is_finished_at_the_next_start(
    make_hub: MakeHub, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from appliance.hub import server

    hub = await make_hub()
    client = await Client.join(hub)
    studio = Studio(hub)
    studio.path("good").write_bytes(b"cut off")
    for name in ("good", "gone"):
        studio.tell(name, "recording")
    await hub.stop()
    await client.gone()
    gate = asyncio.Event()
    loop = asyncio.get_running_loop()

    def finish(path: Path) -> float:
        asyncio.run_coroutine_threadsafe(gate.wait(), loop).result(20)
        path.open("r+b").close()
        path.write_bytes(FILM)
        return 2.4

    monkeypatch.setattr(server, "finish_interrupted", finish)
    caplog.set_level(logging.INFO)
    again = await make_hub()
    async with Script(again) as script:
        recording = await script.get("/room_recordings/good")
        assert (recording["status"], recording["uri"]) == ("processing", None)
        await script.refused("DELETE", "/room_recordings/good", None, 409)
        gate.set()
        await until(lambda: caplog.text.count("the hub was interrupted") == 2)
        recording = await script.get("/room_recordings/good")
        assert (recording["status"], recording["duration"]) == ("completed", 2)
        assert recording["error"].startswith("the hub was interrupted")
        async with httpx.AsyncClient() as anybody:
            assert (await anybody.get(recording["uri"])).content == FILM
        recording = await script.get("/room_recordings/gone")
        assert (recording["status"], recording["uri"]) == ("completed", None)
        assert "cannot be repaired: no such file" in recording["error"]

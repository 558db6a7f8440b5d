"""Streams of rooms: set by a script, sent while somebody is there. The target is a stand-in."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from appliance.hub import server
from appliance.hub.streamer import StreamState
from appliance.signaling import verto
from tests.appliance.hub.conftest import MakeHub, TestHub
from tests.appliance.hub.hub_client import Client, token, until
from tests.appliance.hub.rest_client import Script

URL = "rtmp://127.0.0.1:1/live/secret-key"
OTHER = "rtmps://127.0.0.1:1/live/other-key"


class FakeStreamer:
    """A stream that goes nowhere, and says so as a real one does."""

    made: list[FakeStreamer]

    def __init__(
        self, room: object, url: str, *, on_change: Callable[[StreamState], None], **_: Any
    ) -> None:
        self.room = room
        self.on_change = on_change
        self.state = StreamState(f"stream-{len(self.made) + 1}", "streaming", time.time(), url=url)
        self.made.append(self)

    @property
    def id(self) -> str:
        return self.state.id

    def start(self) -> None:
        pass

    def change(self, **changes: Any) -> None:
        self.state = replace(self.state, **changes)
        self.on_change(self.state)

    async def stop(self) -> StreamState:
        await asyncio.sleep(0)
        if self.state.state != "completed":
            self.change(state="completed", ended_at=time.time(), duration=2.6)
        return self.state


@pytest.fixture(autouse=True)
def streamers(monkeypatch: pytest.MonkeyPatch) -> list[FakeStreamer]:
    FakeStreamer.made = []
    monkeypatch.setattr(server, "Streamer", FakeStreamer)
    return FakeStreamer.made


async def leave(client: Client) -> None:
    await client.verto(verto.bye(client.call_id))
    await client.close()


async def test_a_stream_goes_out_whenever_somebody_is_there(
    hub: TestHub, streamers: list[FakeStreamer]
) -> None:
    async with Script(hub) as script:
        room = await script.post("/rooms", {"name": "demo", "quality": "1080p", "fps": 20})
        made = await script.post("/rooms/demo/streams", {"url": URL}, 201)
        assert (made["url"], made["stream_type"], made["status"]) == (URL, "rtmp", "waiting")
        assert (made["width"], made["height"], made["fps"]) == (1920, 1080, 20)
        assert (made["room_id"], made["room_session_id"]) == (room["id"], None)
        assert await script.get(f"/streams/{made['id']}") == made
        assert await script.data(f"/rooms/{room['id']}/streams") == [made]
        assert streamers == []
        for number in (1, 2):
            client = await Client.join(hub)
            started = await client.event("video.stream.started")
            assert (started["stream"]["url"], started["stream"]["state"]) == (URL, "streaming")
            await client.event("video.room.updated", lambda p: p["room"].get("streaming") is True)
            running = await script.get(f"/streams/{made['id']}")
            assert running["status"] == "streaming"
            assert running["room_session_id"] == client.room_session_id
            session = f"/room_sessions/{client.room_session_id}/streams"
            (going,) = await script.data(session)
            assert going["id"] == streamers[-1].id
            assert (going["room_stream_id"], going["status"]) == (made["id"], "streaming")
            assert await script.get(f"/streams/{going['id']}") == going
            streamers[-1].change(error="the target refuses")
            assert (await script.get(f"/streams/{going['id']}"))["error"] == "the target refuses"
            # Who comes later does not start it again.
            async with await Client.connect(hub) as late:
                about = await late.invite()
                assert about["room_session"]["streaming"] is True
                (known,) = about["room"]["streams"]
                assert known["id"] == streamers[-1].id
                await leave(late)
            await leave(client)
            await until(lambda n=number: hub.stages[n - 1].closed)
            await until(lambda: streamers[-1].state.state == "completed")
            (past,) = await script.data(session)
            assert (past["status"], past["duration"]) == ("completed", 3)
            assert (await script.get(f"/streams/{made['id']}"))["status"] == "waiting"
            assert len(streamers) == number


async def test_a_room_with_somebody_in_it_is_sent_at_once(
    hub: TestHub, streamers: list[FakeStreamer]
) -> None:
    async with Script(hub) as script:
        await script.post("/rooms", {"name": "demo"})
        async with await Client.join(hub) as client:
            made = await script.post("/rooms/demo/streams", {"url": URL}, 201)
            await client.event("video.stream.started")
            assert made["status"] == "streaming"
            # To another place.
            changed = await script.put(f"/streams/{made['id']}", {"url": OTHER})
            assert (changed["url"], changed["stream_type"]) == (OTHER, "rtmps")
            await client.event("video.stream.started", lambda p: p["stream"]["url"] == OTHER)
            await client.event("video.stream.ended", lambda p: p["stream"]["url"] == URL)
            await script.put(f"/streams/{made['id']}", {"url": OTHER})
            assert len(streamers) == 2
            # And to none.
            await script.delete(f"/streams/{made['id']}")
            await client.event("video.stream.ended", lambda p: p["stream"]["url"] == OTHER)
            await client.event("video.room.updated", lambda p: p["room"].get("streaming") is False)
            for method in ("GET", "DELETE"):
                await script.call(method, f"/streams/{made['id']}", None, 404)
            await script.put(f"/streams/{made['id']}", {"url": URL}, 404)
            assert await script.data("/rooms/demo/streams") == []


async def test_one_stream_of_a_session_is_ended(
    hub: TestHub, streamers: list[FakeStreamer]
) -> None:
    async with Script(hub) as script:
        await script.post("/rooms", {"name": "demo"})
        made = await script.post("/rooms/demo/streams", {"url": URL}, 201)
        async with await Client.join(hub) as client:
            await client.event("video.stream.started")
            error = await script.refused("PUT", f"/streams/{streamers[0].id}", {"url": URL}, 409)
            assert "start another one" in error["message"]
            await script.delete(f"/streams/{streamers[0].id}")
            await client.event("video.stream.ended")
            await script.get(f"/streams/{streamers[0].id}", 404)
            # The room still has it, for the next session.
            assert (await script.get(f"/streams/{made['id']}"))["status"] == "waiting"


async def test_with_the_room_its_streams_end(hub: TestHub, streamers: list[FakeStreamer]) -> None:
    async with Script(hub) as script:
        await script.post("/rooms", {"name": "demo"})
        made = await script.post("/rooms/demo/streams", {"url": URL}, 201)
        async with await Client.join(hub) as client:
            await client.event("video.stream.started")
            await script.delete("/rooms/demo")
            await client.event("video.stream.ended")
            await script.get(f"/streams/{made['id']}", 404)
            await script.get("/rooms/demo/streams", 404)
            await client.settled()


async def test_only_those_who_may_stream_hear_of_it(hub: TestHub) -> None:
    async with Script(hub) as script:
        await script.post("/rooms", {"name": "demo"})
        async with await Client.join(hub) as host, await Client.join(hub, permissions=[]) as guest:
            await script.post("/rooms/demo/streams", {"url": URL}, 201)
            await host.event("video.stream.started")
            await guest.event("video.room.updated", lambda p: p["room"].get("streaming") is True)
            assert "video.stream.started" not in guest.names()
        async with await Client.connect(hub, token(hub, permissions=[])) as guest:
            about = await guest.invite()
            assert about["room"]["streams"] == []


async def test_streams_outlive_the_hub(make_hub: MakeHub, streamers: list[FakeStreamer]) -> None:
    hub = await make_hub()
    async with Script(hub) as script:
        await script.post("/rooms", {"name": "demo"})
        made = await script.post("/rooms/demo/streams", {"url": URL}, 201)
    client = await Client.join(hub)
    await client.event("video.stream.started")
    await hub.stop()
    await client.gone()
    assert streamers[0].state.state == "completed"
    again = await make_hub()
    async with Script(again) as script:
        assert await script.get(f"/streams/{made['id']}") == made
        session = f"/room_sessions/{client.room_session_id}/streams"
        (past,) = await script.data(session)
        assert (past["status"], past["error"]) == ("completed", None)
        async with await Client.join(again) as client:
            await client.event("video.stream.started")
    assert len(streamers) == 2


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1/x", "rtmp://", "rtmp:///x", "file:///etc/passwd", "rtmp://a b", "", 7, None],
)
async def test_urls_that_are_none(hub: TestHub, url: Any) -> None:
    async with Script(hub) as script:
        await script.post("/rooms", {"name": "demo"})
        error = await script.refused("POST", "/rooms/demo/streams", {"url": url}, 422)
        assert error["attribute"] == "url"
        await script.refused("POST", "/rooms/nothing/streams", {"url": URL}, 404)
        assert await script.data("/rooms/demo/streams") == []


async def test_no_key_in_the_log(hub: TestHub, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", "appliance")
    async with Script(hub) as script:
        await script.post("/rooms", {"name": "demo"})
        await script.post("/rooms/demo/streams", {"url": URL}, 201)
        async with await Client.join(hub) as client:
            await client.event("video.stream.started")
    records = [one for one in caplog.records if one.name.startswith("appliance")]
    assert records
    assert not any("secret-key" in one.getMessage() for one in records)

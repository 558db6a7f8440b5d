"""Recordings, playbacks and streams as clients ask for them: answers, events, lists, and who is
told. The pictures and the sound of it are looked at where the engines are tested."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from appliance.hub import playbacks, recordings, rpc_programme, server
from appliance.hub.errors import Refused
from appliance.hub.request import Outcome, Request
from appliance.hub.room import Room
from appliance.hub.streamer import StreamState
from appliance.hub.urls import STREAMED, check_url
from appliance.signaling import verto
from tests.appliance.hub.conftest import TestHub
from tests.appliance.hub.films import make_film, make_sound
from tests.appliance.hub.hub_client import Client, make_room, room_of, until
from tests.appliance.hub.quiet_room import come_in, open_room

URL = "rtmp://127.0.0.1:1/live/secret-key"
NOBODY = "00000000-0000-0000-0000-000000000000"

#: By kind: what a client needs to start one, and to be told of it.
SCOPES = {"recording": "room.recording", "playback": "room.playback", "stream": "room.stream"}


class FakeStreamer:
    """A stream that goes nowhere, and ends as a real one does."""

    made = 0

    def __init__(
        self, room: object, url: str, *, on_change: Callable[[StreamState], None], **_: Any
    ) -> None:
        check_url(url, STREAMED)
        type(self).made += 1
        self.on_change = on_change
        self.state = StreamState(f"stream-{self.made}", "streaming", time.time(), url=url)

    def start(self) -> None:
        pass

    async def stop(self) -> StreamState:
        await asyncio.sleep(0)
        if self.state.state != "completed":
            self.state = replace(self.state, state="completed", ended_at=time.time(), duration=2.6)
            self.on_change(self.state)
        return self.state


@pytest.fixture(autouse=True)
def _streams_go_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "Streamer", FakeStreamer)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_film(tmp_path_factory.mktemp("films") / "film.mp4", 4)


@pytest.fixture
def media(hub: TestHub, film: Path) -> Path:
    """The hub's folder of media, with a film and a sound in it."""
    folder = hub.config.data / "media"
    folder.mkdir()
    (folder / "film.mp4").symlink_to(film)
    (folder / "real.mp4").write_bytes(film.read_bytes())
    make_sound(folder / "sound.wav", 2)
    return folder


def ids(client: Client, hub: TestHub) -> dict[str, str]:
    return {"room_id": room_of(hub).id, "room_session_id": client.room_session_id}


async def start(client: Client, kind: str, **params: Any) -> dict[str, Any]:
    if kind == "stream":
        params.setdefault("url", URL)
    elif kind == "playback":
        params.setdefault("url", "real.mp4")
    answer = await client.rpc(f"video.{kind}.start", **params)
    assert answer["code"] == "200", answer
    thing: dict[str, Any] = answer[kind]
    return thing


# Recordings


async def test_a_recording_from_start_to_end(hub: TestHub) -> None:
    async with await Client.join(hub) as client:
        mark = await client.mark()
        answer = await client.rpc("video.recording.start")
        recording = answer["recording"]
        assert answer["recording_id"] == recording["id"]
        assert recording["state"] == "recording"
        assert (recording["duration"], recording["ended_at"]) == (None, None)
        assert recording["started_at"] == pytest.approx(time.time(), abs=60)
        started = await client.event("video.recording.started", since=mark)
        assert started == {**ids(client, hub), "recording": recording}
        room = (await client.event("video.room.updated", since=mark))["room"]
        assert (room["updated"], room["recording"]) == (["recording"], True)
        assert len(hub.stages[0].taps) == 1

        for verb, state in (("pause", "paused"), ("resume", "recording")):
            mark = await client.mark()
            result = await client.rpc(f"video.recording.{verb}", recording_id=recording["id"])
            assert result["code"] == "200"
            updated = await client.event("video.recording.updated", since=mark)
            assert (updated["recording"]["id"], updated["recording"]["state"]) == (
                recording["id"],
                state,
            )
            assert len(hub.stages[0].taps) == (state == "recording")
            # Said twice it is no news.
            await client.rpc(f"video.recording.{verb}", recording_id=recording["id"])
            await client.settled()
            assert client.names(mark) == ["video.recording.updated"]

        mark = await client.mark()
        await client.rpc("video.recording.stop", recording_id=recording["id"])
        ended = (await client.event("video.recording.ended", since=mark))["recording"]
        assert ended["state"] == "completed"
        assert ended["ended_at"] >= ended["started_at"]
        assert ended["duration"] == 0.0
        room = (await client.event("video.room.updated", since=mark))["room"]
        assert (room["updated"], room["recording"]) == (["recording"], False)
        assert hub.stages[0].taps == []

        listed = (await client.rpc("video.recording.list"))["recordings"]
        assert [one["state"] for one in listed] == ["completed"]
        for verb, code in (("pause", "409"), ("resume", "409"), ("stop", "200")):
            result = await client.rpc(f"video.recording.{verb}", recording_id=recording["id"])
            assert result["code"] == code
            assert result["message"]


async def test_several_recordings_at_once_and_in_a_row(hub: TestHub) -> None:
    async with await Client.join(hub) as client:
        first, second = [await start(client, "recording") for _ in range(2)]
        mark = await client.mark()
        await client.rpc("video.recording.stop", recording_id=first["id"])
        await client.event("video.recording.ended", since=mark)
        # The other one goes on, and the room is recorded still.
        assert "video.room.updated" not in client.names(mark)
        third = await start(client, "recording")
        listed = (await client.rpc("video.recording.list"))["recordings"]
        assert [(one["id"], one["state"]) for one in listed] == [
            (first["id"], "completed"),
            (second["id"], "recording"),
            (third["id"], "recording"),
        ]
        # All that go on end with the room.
        await client.verto(verto.bye(client.call_id))
        await until(lambda: hub.stages[0].closed)
        await until(lambda: hub.stages[0].taps == [])


async def test_there_are_not_too_many_recordings(
    hub: TestHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recordings, "LISTED", 2)
    async with await Client.join(hub) as client:
        made = [await start(client, "recording") for _ in range(recordings.MOST)]
        answer = await client.rpc("video.recording.start")
        assert answer["code"] == "409"
        for one in made:
            mark = await client.mark()
            await client.rpc("video.recording.stop", recording_id=one["id"])
            await client.event("video.recording.ended", since=mark)
        await start(client, "recording")
        listed = (await client.rpc("video.recording.list"))["recordings"]
        assert [one["state"] for one in listed] == ["completed", "completed", "recording"]


async def test_a_recording_that_cannot_be_made_says_why(hub: TestHub) -> None:
    (hub.config.data / "recordings").write_text("no folder")
    async with await Client.join(hub) as client:
        mark = await client.mark()
        answer = await client.rpc("video.recording.start")
        assert answer["code"] == "500"
        assert "ecord" in answer["message"]
        await client.settled()
        assert client.names(mark) == []


async def test_record_on_start(hub: TestHub) -> None:
    await make_room(hub, record_on_start=True)
    client = await Client.join(hub, permissions=["room.recording"])
    about = await client.event("video.room.subscribed")
    assert about["room_session"]["recording"] is True
    assert about["room"]["recording"] is True
    (recording,) = about["room_session"]["recordings"]
    assert recording["state"] == "recording"
    async with await Client.join(hub, user_name="Elm") as other:
        # Only the first who comes starts one.
        listed = (await other.rpc("video.recording.list"))["recordings"]
        assert [one["id"] for one in listed] == [recording["id"]]
        # Ended by hand it does not begin again.
        await other.rpc("video.recording.stop", recording_id=recording["id"])
        await other.event("video.recording.ended")
        await client.close()
        async with await Client.join(hub) as third:
            about = await third.event("video.room.subscribed")
            assert about["room_session"]["recording"] is False


async def test_one_who_comes_in_while_the_last_one_goes_starts_no_second_one(hub: TestHub) -> None:
    await make_room(hub, record_on_start=True)
    async with await Client.join(hub, user_name="Elm") as elm, await Client.connect(hub) as oak:
        await oak.linger()
        await elm.leave()
        # Nobody is in the room, but somebody on the way: the session goes on.
        assert room_of(hub).members == {}
        about = await oak.invite()
        assert about["room_session"]["id"] == elm.room_session_id
        (recording,) = about["room_session"]["recordings"]
        assert recording["state"] == "recording"


async def test_a_room_that_cannot_be_recorded_is_open_all_the_same(hub: TestHub) -> None:
    (hub.config.data / "recordings").write_text("no folder")
    await make_room(hub, record_on_start=True)
    async with await Client.join(hub) as client:
        about = await client.event("video.room.subscribed")
        assert about["room_session"]["recording"] is False


# Playbacks


def playing(client: Client) -> list[str]:
    """The layers of the newest layout in which a film is shown."""
    layouts = [params for name, params in client.events if name == "video.layout.changed"]
    layers = layouts[-1]["layout"]["layers"]
    assert all(one["visible"] and one["member_id"] is None for one in layers if one["playing_file"])
    return [one["position"] for one in layers if one["playing_file"]]


async def test_a_playback_from_start_to_its_end(hub: TestHub, media: Path) -> None:
    async with await Client.join(hub) as client:
        mark = await client.mark()
        playback = await start(client, "playback", volume=-10, seek_position=500)
        assert playback["state"] == "playing"
        assert (playback["url"], playback["volume"], playback["position"]) == (
            "real.mp4",
            -10,
            500,
        )
        started = await client.event("video.playback.started", since=mark)
        assert started == {**ids(client, hub), "playback": playback}
        # Once it is open it can be seen, and sought in.
        await client.event(
            "video.playback.updated", lambda p: p["playback"]["seekable"], since=mark
        )
        await until(lambda: playing(client) == ["playback"])
        assert list(hub.stages[0].clips) == [playback["id"]]
        for verb, state in (("pause", "paused"), ("resume", "playing")):
            mark = await client.mark()
            await client.rpc(f"video.playback.{verb}", playback_id=playback["id"])
            updated = await client.event("video.playback.updated", since=mark)
            assert updated["playback"]["state"] == state
        mark = await client.mark()
        await client.rpc("video.playback.pause", playback_id=playback["id"])
        for method, params, position in (
            ("seek_absolute", {"position": 1000}, 1000),
            ("seek_relative", {"position": 1500}, 2500),
            ("seek_relative", {"position": -700}, 1800),
        ):
            result = await client.rpc(
                f"video.playback.{method}", playback_id=playback["id"], **params
            )
            assert result["code"] == "200"

            async def at(position: int) -> bool:
                (one,) = (await client.rpc("video.playback.list"))["playbacks"]
                return bool(abs(one["position"] - position) < 100)

            async with asyncio.timeout(20):
                while not await at(position):
                    await asyncio.sleep(0.01)
        mark = await client.mark()
        await client.rpc("video.playback.set_volume", playback_id=playback["id"], volume=33)
        updated = await client.event("video.playback.updated", since=mark)
        assert updated["playback"]["volume"] == 33
        await client.rpc("video.playback.resume", playback_id=playback["id"])
        ended = (await client.event("video.playback.ended"))["playback"]
        assert (ended["id"], ended["state"]) == (playback["id"], "completed")
        await until(lambda: playing(client) == [])
        assert (await client.rpc("video.playback.list"))["playbacks"] == []
        assert hub.stages[0].clips == {}


async def test_a_playback_is_stopped(hub: TestHub, media: Path) -> None:
    async with await Client.join(hub) as client:
        playback = await start(client, "playback")
        await until(lambda: playing(client) == ["playback"])
        await client.rpc("video.playback.stop", playback_id=playback["id"])
        ended = (await client.event("video.playback.ended"))["playback"]
        assert ended["ended_at"] >= ended["started_at"]
        await until(lambda: playing(client) == [])
        result = await client.rpc("video.playback.stop", playback_id=playback["id"])
        assert result["code"] == "404"


async def test_a_sound_takes_no_layer(hub: TestHub, media: Path) -> None:
    async with await Client.join(hub) as client:
        mark = await client.mark()
        await start(client, "playback", url="sound.wav")
        await client.event(
            "video.playback.updated", lambda p: p["playback"]["seekable"], since=mark
        )
        await client.event("video.playback.ended", since=mark)
        assert "video.layout.changed" not in client.names(mark)


async def test_a_playback_brings_its_layout_and_positions(hub: TestHub, media: Path) -> None:
    async with await Client.join(hub) as client:
        await start(
            client,
            "playback",
            layout="5up",
            positions={"self": "reserved-1", client.member_id: "standard-3"},
        )
        await until(lambda: playing(client) == ["reserved-1"])
        layouts = [params for name, params in client.events if name == "video.layout.changed"]
        assert layouts[-1]["layout"]["name"] == "5up"
        seated = {one["member_id"]: one["position"] for one in layouts[-1]["layout"]["layers"]}
        assert seated[client.member_id] == "standard-3"


async def test_of_several_films_the_last_one_is_seen(hub: TestHub, media: Path) -> None:
    async with await Client.join(hub) as client:
        first = await start(client, "playback", positions={"self": "full-screen"})
        await until(lambda: playing(client) == ["full-screen"])
        # It does not end meanwhile.
        await client.rpc("video.playback.pause", playback_id=first["id"])
        second = await start(client, "playback", positions={"self": "playback"})
        await until(lambda: playing(client) == ["playback"])
        await client.rpc("video.playback.stop", playback_id=second["id"])
        await until(lambda: playing(client) == ["full-screen"])


async def test_a_source_that_is_not_there_ends_its_playback(hub: TestHub) -> None:
    async with await Client.join(hub) as client:
        await start(client, "playback", url="http://127.0.0.1:9/film.mp4")
        ended = (await client.event("video.playback.ended"))["playback"]
        assert ended["state"] == "completed"


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({}, "422"),
        ({"url": 7}, "422"),
        ({"url": ""}, "422"),
        ({"url": "file:///etc/passwd"}, "422"),
        ({"url": "concat:a|b"}, "422"),
        ({"url": "../keys.json"}, "422"),
        ({"url": "missing.mp4"}, "422"),
        ({"url": "film.mp4"}, "422"),
        ({"url": "real.mp4", "volume": 51}, "422"),
        ({"url": "real.mp4", "volume": "loud"}, "422"),
        ({"url": "real.mp4", "seek_position": -1}, "422"),
        ({"url": "real.mp4", "layout": "11x11"}, "404"),
        ({"url": "real.mp4", "positions": {"self": "nowhere"}}, "422"),
        ({"url": "real.mp4", "positions": {NOBODY: "standard-1"}}, "404"),
        ({"url": "real.mp4", "positions": []}, "422"),
    ],
)
async def test_what_cannot_be_played_changes_nothing(
    hub: TestHub, media: Path, params: dict[str, Any], code: str
) -> None:
    # The link leads out of the folder, and is not followed.
    async with await Client.join(hub) as client:
        mark = await client.mark()
        answer = await client.rpc("video.playback.start", **params)
        assert answer["code"] == code, answer
        await client.settled()
        assert client.names(mark) == []
        assert hub.stages[0].clips == {}


async def test_there_are_not_too_many_playbacks(hub: TestHub, media: Path) -> None:
    async with await Client.join(hub) as client:
        for _ in range(playbacks.MOST):
            await start(client, "playback")
        answer = await client.rpc("video.playback.start", url="real.mp4")
        assert answer["code"] == "409"


# Streams


async def test_a_stream_from_start_to_end(hub: TestHub) -> None:
    async with await Client.join(hub) as client:
        mark = await client.mark()
        stream = await start(client, "stream")
        assert (stream["url"], stream["state"]) == (URL, "streaming")
        started = await client.event("video.stream.started", since=mark)
        assert started == {**ids(client, hub), "stream": stream}
        room = (await client.event("video.room.updated", since=mark))["room"]
        assert (room["updated"], room["streaming"]) == (["streaming"], True)
        assert (await client.rpc("video.stream.list"))["streams"] == [stream]
        other = await start(client, "stream")
        mark = await client.mark()
        await client.rpc("video.stream.stop", stream_id=stream["id"])
        ended = (await client.event("video.stream.ended", since=mark))["stream"]
        assert (ended["id"], ended["state"], ended["duration"]) == (
            stream["id"],
            "completed",
            2.6,
        )
        assert (await client.rpc("video.stream.list"))["streams"] == [other]
        await client.rpc("video.stream.stop", stream_id=other["id"])
        room = (await client.event("video.room.updated", since=mark))["room"]
        assert (room["updated"], room["streaming"]) == (["streaming"], False)


@pytest.mark.parametrize("url", [None, 7, "", "http://127.0.0.1/x", "rtmp://", "rtmp://a b/c"])
async def test_what_cannot_be_streamed_to_changes_nothing(hub: TestHub, url: object) -> None:
    async with await Client.join(hub) as client:
        mark = await client.mark()
        assert (await client.rpc("video.stream.start", url=url))["code"] == "422"
        await client.settled()
        assert client.names(mark) == []


async def test_there_are_not_too_many_streams(hub: TestHub) -> None:
    async with await Client.join(hub) as client:
        for _ in range(rpc_programme.MOST_STREAMS):
            await start(client, "stream")
        assert (await client.rpc("video.stream.start", url=URL))["code"] == "409"


# Who is told


@pytest.mark.parametrize("kind", sorted(SCOPES))
async def test_only_who_may_is_told(hub: TestHub, media: Path, kind: str) -> None:
    scope = SCOPES[kind]
    async with (
        await Client.join(hub, permissions=[scope]) as one,
        await Client.join(hub, permissions=[scope], user_name="Elm") as other,
        await Client.join(hub, permissions=[], user_name="Ash") as none,
    ):
        thing = await start(one, kind)
        await other.event(f"video.{kind}.started")
        if kind == "playback":
            # It does not end by itself.
            await one.rpc("video.playback.pause", playback_id=thing["id"])
        late = await Client.join(hub, permissions=[scope], user_name="Fir")
        about = await late.event("video.room.subscribed")
        (listed,) = about["room_session"][f"{kind}s"]
        assert listed["id"] == thing["id"]
        assert about["room"][f"{kind}s"] == about["room_session"][f"{kind}s"]
        later = await Client.join(hub, permissions=[], user_name="Yew")
        about = await later.event("video.room.subscribed")
        assert about["room_session"][f"{kind}s"] == []
        await one.rpc(f"video.{kind}.stop", **{f"{kind}_id": thing["id"]})
        await other.event(f"video.{kind}.ended")
        for client in (none, later):
            await client.settled()
            assert not [name for name in client.names() if name.startswith(f"video.{kind}.")]
        if kind != "playback":
            # But whether it is done is told to everybody.
            updated = [p["room"] for name, p in none.events if name == "video.room.updated"]
            word = {"recording": "recording", "stream": "streaming"}[kind]
            assert [room[word] for room in updated] == [True, False]
        await late.close()
        await later.close()


# What is asked of the programme


class Asked:
    """A programme that does nothing, and what it was asked for; and a room with Oak and Elm."""

    def __init__(self) -> None:
        self.begun: list[dict[str, Any]] = []
        self.acts: list[tuple[str, int]] = []
        self.room = open_room()
        self.oak, self.elm = come_in(self.room, "Oak"), come_in(self.room, "Elm")
        playbacks = SimpleNamespace(begin=self._begin, control=self._control)
        broadcasts = SimpleNamespace(
            states=lambda room: [],
            begin=lambda room, url: self.begun.append({"url": url}),
            end=lambda room, stream_id: None,
        )
        self._programme: Any = SimpleNamespace(playbacks=playbacks, broadcasts=broadcasts)

    def __call__(self, method: str, **params: Any) -> Outcome | None:
        calls: Any = None
        request = Request(self.oak.session, self.room, self.oak, params, calls, self._programme)
        return rpc_programme.METHODS[f"video.{method}"](request)

    def play(self, **params: Any) -> dict[str, Any]:
        """What a playback is begun with."""
        self("playback.start", **{"url": "film.mp4", **params})
        return self.begun[-1]

    def _begin(self, room: Room, url: str, **how: Any) -> dict[str, Any]:
        self.begun.append({"url": url, **how})
        return {"id": "playback"}

    def _control(self, room: Room, playback_id: object, act: Callable[[Any], None]) -> None:
        note = self.acts.append
        act(
            SimpleNamespace(
                set_volume=lambda volume: note(("volume", volume)),
                seek=lambda position: note(("seek", position)),
                forward=lambda step: note(("forward", step)),
            )
        )


@pytest.fixture
async def asked() -> Asked:
    return Asked()


YEAR = 365 * 24 * 3600 * 1000


async def test_what_is_not_given_of_a_playback_and_what_is_null_are_the_same(asked: Asked) -> None:
    plain = {"url": "film.mp4", "volume": 0, "position": 0, "place": "auto"}
    assert asked.play() == plain
    assert asked.play(volume=None, seek_position=None, positions=None, layout=None) == plain


async def test_numbers_and_addresses_go_to_their_ends(asked: Asked) -> None:
    url = "x" * 2000
    assert asked.play(url=url, volume=-50, seek_position=YEAR) == {
        "url": url,
        "volume": -50,
        "position": YEAR,
        "place": "auto",
    }
    asked.play(volume=50, seek_position=0)
    for volume in (-50, 50):
        asked("playback.set_volume", volume=volume)
    for position in (0, YEAR):
        asked("playback.seek_absolute", position=position)
    for position in (-YEAR, YEAR):
        asked("playback.seek_relative", position=position)
    assert asked.acts == [
        *(("volume", one) for one in (-50, 50)),
        *(("seek", one) for one in (0, YEAR)),
        *(("forward", one) for one in (-YEAR, YEAR)),
    ]


@pytest.mark.parametrize(
    ("method", "params", "code"),
    [
        ("playback.start", {"url": "x" * 2001}, "422"),
        ("playback.start", {"url": ""}, "422"),
        ("playback.start", {"url": ["film.mp4"]}, "422"),
        ("playback.start", {"url": None}, "422"),
        ("playback.start", {"volume": 51}, "422"),
        ("playback.start", {"volume": -51}, "422"),
        ("playback.start", {"seek_position": -1}, "422"),
        ("playback.start", {"seek_position": YEAR + 1}, "422"),
        ("playback.start", {"layout": "round"}, "404"),
        ("playback.start", {"layout": ["2x2"]}, "404"),
        ("playback.start", {"positions": ["self"]}, "422"),
        ("playback.start", {"positions": {"self": "up"}}, "422"),
        ("playback.start", {"positions": {"self": ["auto"]}}, "422"),
        ("playback.start", {"positions": {NOBODY: "auto"}}, "404"),
        ("playback.set_volume", {"volume": 51}, "422"),
        ("playback.set_volume", {"volume": None}, "422"),
        ("playback.seek_absolute", {"position": -1}, "422"),
        ("playback.seek_absolute", {"position": YEAR + 1}, "422"),
        ("playback.seek_relative", {"position": -YEAR - 1}, "422"),
        ("playback.seek_relative", {}, "422"),
        ("stream.stop", {"stream_id": "nothing"}, "404"),
        ("stream.stop", {"stream_id": 7}, "404"),
        ("stream.stop", {}, "404"),
        ("stream.start", {"url": "x" * 2001}, "422"),
    ],
)
async def test_beyond_them_nothing_is_begun(
    asked: Asked, method: str, params: dict[str, Any], code: str
) -> None:
    layers = list(asked.room.seats.layers)
    params = {"url": "film.mp4", **params} if method == "playback.start" else params
    with pytest.raises(Refused, check=lambda one: one.code == code):
        asked(method, **params)
    # Nor has anybody moved.
    assert (asked.begun, asked.acts, asked.room.seats.layers) == ([], [], layers)


async def test_places_go_to_the_playback_and_to_members_with_a_layout_or_without(
    asked: Asked,
) -> None:
    begun = asked.play(positions={"self": "full-screen", asked.elm.id: "off-canvas"})
    assert begun["place"] == "full-screen"
    assert (asked.elm.requested_position, asked.room.layout_name) == (
        "off-canvas",
        "grid-responsive",
    )
    asked.play(positions={asked.elm.id: "standard-1"}, layout="2x2")
    assert (asked.elm.requested_position, asked.room.layout_name) == ("standard-1", "2x2")
    assert asked.oak.requested_position == "auto"
    asked.play(layout="5up")
    assert (asked.elm.requested_position, asked.room.layout_name) == ("standard-1", "5up")

"""Films that are played into the room."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from room import eventually
from scenarios.client import LOUD, Refused
from scenarios.covering import covers
from scenarios.meeting import Meeting
from scenarios.works import SECONDS, TONES, lacks_film, make_film, of, sees_film, shown_at
from sdk_client import Pixels

from tests.appliance.hub.films import FileServer, file_server

HALF = SECONDS / 2


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FileServer]:
    """A web server with one film."""
    folder = tmp_path_factory.mktemp("films")
    make_film(folder / "film.mp4")
    with file_server(folder) as server:
        yield server


async def play(meeting: Meeting, films: FileServer, **options: Any) -> str:
    """Let the client play the film as "film", and wait until the witness knows of it."""
    before = len(meeting.witness.events)
    await meeting.client.call("play", {"url": films.url("film.mp4"), **options}, keep="film")
    playback_id: str = await meeting.client.get("id", on="film")
    await meeting.witness.told("playback.started", of("playback", playback_id), before)
    return playback_id


async def stop(meeting: Meeting) -> None:
    """End it, and wait until it has gone."""
    playback_id = await meeting.client.get("id", on="film")
    await meeting.client.call("stop", on="film")
    await meeting.witness.told("playback.ended", of("playback", playback_id))
    await lacks_film(meeting.witness)


@covers(
    "play",
    "getPlaybacks",
    "playback.started",
    "playback.ended",
    "RoomSessionPlayback.id",
    "RoomSessionPlayback.roomId",
    "RoomSessionPlayback.roomSessionId",
    "RoomSessionPlayback.state",
    "RoomSessionPlayback.url",
    "RoomSessionPlayback.volume",
    "RoomSessionPlayback.startedAt",
    "RoomSessionPlayback.endedAt",
    "RoomSessionPlayback.stop",
)
async def test_plays_a_film(meeting: Meeting, films: FileServer) -> None:
    client, witness = meeting.client, meeting.witness
    playback_id = await play(meeting, films, volume=-3)
    await sees_film(witness, 0, HALF)
    await witness.hears_tone(TONES[0])
    fields = ("state", "url", "volume", "endedAt", "roomId", "roomSessionId")
    shown = {name: await client.get(name, on="film") for name in fields}
    assert shown == {
        "state": "playing",
        "url": films.url("film.mp4"),
        "volume": -3,
        "endedAt": None,
        "roomId": await client.get("roomId"),
        "roomSessionId": await client.get("roomSessionId"),
    }
    assert await client.get("startedAt", on="film")
    for one in (client, witness):
        (listed,) = (await one.call("getPlaybacks"))["playbacks"]
        assert (listed["id"], listed["state"]) == (playback_id, "playing")
    await stop(meeting)
    await witness.hears_tone(TONES[0], False)
    await client.told("playback.ended", of("playback", playback_id, state="completed"))
    assert (await witness.call("getPlaybacks"))["playbacks"] == []


@covers(
    "RoomSessionPlayback.pause",
    "RoomSessionPlayback.resume",
    "RoomSessionPlayback.state",
    "playback.updated",
)
async def test_pauses_a_film(meeting: Meeting, films: FileServer) -> None:
    client, witness = meeting.client, meeting.witness
    playback_id = await play(meeting, films)
    await witness.hears_tone(TONES[0])
    before = len(witness.events)
    await client.call("pause", on="film")
    paused = of("playback", playback_id, state="paused")
    await witness.told("playback.updated", paused, before)
    await client.told("playback.updated", paused)
    position = await client.get("position", on="film") / 1000
    await witness.hears_tone(TONES[0], False)
    stands = 0.0

    async def still() -> bool:
        nonlocal stands
        stands = await sees_film(witness)
        await asyncio.sleep(1)  # what went on in secret would be seen after it
        return await sees_film(witness) == stands

    # Pictures may be longer on their way than the sound.
    await eventually("the film stands", still)
    # Where it was paused: its pictures are a fifth of a second apart.
    assert position - 0.5 < stands < position + 0.1
    await client.call("resume", on="film")
    await witness.told("playback.updated", of("playback", playback_id, state="playing"), before)
    await witness.hears_tone(TONES[0])
    await sees_film(witness, stands + 0.1, HALF)
    await stop(meeting)


@covers("RoomSessionPlayback.setVolume", "RoomSessionPlayback.volume", "playback.updated")
async def test_turns_a_film_down(meeting: Meeting, films: FileServer) -> None:
    client, witness = meeting.client, meeting.witness
    playback_id = await play(meeting, films)
    await witness.hears_at(TONES[0], LOUD)
    before = len(witness.events)
    await client.call("setVolume", -20, on="film")
    await witness.told("playback.updated", of("playback", playback_id), before)
    await witness.hears_at(TONES[0], LOUD - 10)
    (listed,) = (await client.call("getPlaybacks", keep="list"))["playbacks"]
    assert listed["id"] == playback_id
    assert await client.get("volume", on="film") == -20
    await stop(meeting)


@covers(
    "RoomSessionPlayback.seek",
    "RoomSessionPlayback.forward",
    "RoomSessionPlayback.rewind",
    "RoomSessionPlayback.position",
    "play",
)
async def test_seeks_in_a_film(meeting: Meeting, films: FileServer) -> None:
    client, witness = meeting.client, meeting.witness
    await play(meeting, films, seekPosition=HALF * 1000 + 20_000)
    await sees_film(witness, HALF + 19, SECONDS)
    await witness.hears_tone(TONES[1])
    await client.call("seek", 2000, on="film")
    at = await sees_film(witness, 1.5, HALF)
    await witness.hears_tone(TONES[0])
    await client.call("forward", 60_000, on="film")
    at = await sees_film(witness, at + 59, at + 100)
    await client.call("rewind", 30_000, on="film")
    await sees_film(witness, at - 31, at - 1)

    async def told() -> bool:
        position = await client.get("position", on="film")
        return position is not None and (at - 31) * 1000 <= position <= at * 1000

    await eventually("the position is told", told)
    await stop(meeting)


@covers("play", "layout.changed")
async def test_plays_a_film_where_it_is_wanted(meeting: Meeting, films: FileServer) -> None:
    witness = meeting.witness
    await play(meeting, films, layout="3x3", positions={"self": "standard-2"})

    def there(pixels: Pixels) -> bool:
        layout = witness.layout()
        assert layout is not None
        film = next((one for one in layout["layers"] if one["playing_file"]), None)
        return (
            layout["name"] == "3x3"
            and film is not None
            and film["position"] == "standard-2"
            and film["width"] < 50
            and shown_at(witness, pixels) is not None
        )

    await witness.sees("the film at its place", there)
    await stop(meeting)


@covers("play", "playback.ended")
async def test_a_film_ends_by_itself(meeting: Meeting, films: FileServer) -> None:
    witness = meeting.witness
    playback_id = await play(meeting, films, seekPosition=(SECONDS - 3) * 1000)
    await witness.told("playback.ended", of("playback", playback_id))
    await lacks_film(witness)


@covers("play", "playback.started", "permissions")
async def test_nobody_plays_without_the_permission(meeting: Meeting, films: FileServer) -> None:
    guest = await meeting.joined("Birch", permissions=["room.self.audio_mute"])
    with pytest.raises(Refused) as refused:
        await guest.call("play", {"url": films.url("film.mp4")})
    assert refused.value.code == "403"
    await play(meeting, films)
    await sees_film(guest)
    assert guest.count("playback.started") == 0
    await stop(meeting)

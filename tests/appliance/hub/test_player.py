from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from appliance.hub import film as film_module
from appliance.hub.player import PlaybackError, PlaybackState, Player, UrlError
from appliance.hub.streamer import Streamer
from appliance.signaling.layouts import MemberSlot, arrange
from tests.appliance.hub.films import CAMERA, TONES, FileServer, file_server, make_film, make_sound
from tests.appliance.hub.live_room import BEAT, LiveRoom, Onlooker, SceneCamera, until
from tests.appliance.hub.rtmp_server import RtmpServer, free_port, make_certificate

MEMBER = 7
PLAIN = -12.2
"""The level of a sine of amplitude 8000 in dBFS."""


class PlayingRoom(LiveRoom):
    """A room that makes place for what is played, as the hub's rooms do."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.onlooker = Onlooker(self.stage)
        self.changes: list[PlaybackState] = []
        self.players: list[Player] = []

    def play(self, url: str, **settings: object) -> Player:
        player = Player(self.stage, url, folder=self.folder, on_change=self.changed, **settings)  # type: ignore[arg-type]
        self.players.append(player)
        player.start()
        return player

    def changed(self, state: PlaybackState) -> None:
        self.changes.append(state)
        playing = any(player.has_picture for player in self.players)
        layers = arrange("1x1", [MemberSlot("ann")])
        self.stage.arrange(
            [
                replace(layer, playing_file=True, visible=True)
                if playing and layer.position == "playback"
                else layer
                for layer in layers
            ]
        )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("media")
    make_film(folder / "film.mp4")
    make_sound(folder / "sound.wav")
    make_sound(folder / "tone.wav", 20, TONES[0])
    return folder


@pytest.fixture
async def room(folder: Path) -> AsyncIterator[PlayingRoom]:
    one = PlayingRoom(folder)
    yield one
    for player in one.players:
        await player.stop()
    await one.stage.close()


@pytest.fixture
def server(folder: Path) -> Iterator[FileServer]:
    with file_server(folder) as one:
        yield one


def film_clock(room: PlayingRoom, since: float = 0) -> float:
    """When the film began, by what is seen of it: the median."""
    scenes = room.onlooker.scenes(CAMERA, since)
    assert scenes
    return float(np.median([at - code.clock_ms / 1000 for at, code in scenes]))


async def shows_moment(room: PlayingRoom, clock_ms: int) -> None:
    """Wait until the picture of this moment of the film is seen."""

    def shown() -> bool:
        code = room.onlooker.newest()
        return code is not None and (code.camera, code.clock_ms) == (CAMERA, clock_ms)

    await until(shown)


async def test_a_film_is_seen_and_heard_in_time_to_its_end(room: PlayingRoom) -> None:
    skipped = room.stage.mixer.skipped
    player = room.play("film.mp4")
    assert player.state.to_wire() == {
        "id": player.id,
        "url": "film.mp4",
        "state": "playing",
        "volume": 0,
        "position": 0,
        "seekable": False,
        "started_at": pytest.approx(time.time(), abs=60),
        "ended_at": None,
    }
    await until(lambda: player.has_picture)
    await until(lambda: room.onlooker.shows(CAMERA))
    assert player.state.seekable
    assert player.state.duration == pytest.approx(4000, abs=100)
    await until(lambda: player.state.state == "completed")
    await until(lambda: room.onlooker.shows(MEMBER))

    scenes = room.onlooker.scenes(CAMERA)
    began = film_clock(room)
    # In time, to the end, and in order.
    for at, code in scenes:
        assert at - code.clock_ms / 1000 == pytest.approx(began, abs=0.12)
    numbers = [code.frame for _, code in scenes]
    assert numbers == sorted(numbers)
    assert numbers[0] < 10
    assert numbers[-1] > 70
    # The sound goes with the pictures, as well as the mixer keeps its beat.
    for second in range(1, 4):
        heard = room.onlooker.first(TONES[second])
        assert room.onlooker.in_time(heard, began + second)
    assert room.onlooker.usual(TONES[1], began + 1.2, began + 1.8) == pytest.approx(PLAIN, abs=0.5)
    # All four seconds of it, but for what a busy machine had no time to mix.
    assert room.onlooker.loud(TONES) > 0.9 * 4 / BEAT - (room.stage.mixer.skipped - skipped)

    state = player.state
    assert [change.state for change in room.changes] == ["playing", "completed"]
    assert state.reason is None
    assert state.position == pytest.approx(4000, abs=150)
    assert state.ended_at is not None
    assert not player.has_picture
    with pytest.raises(PlaybackError, match="has ended"):
        player.pause()
    with pytest.raises(PlaybackError, match="has ended"):
        player.seek(0)
    # Nothing of it is left in the room.
    silent_from = time.monotonic() + 0.05
    await until(lambda: room.onlooker.heard[-1][0] > silent_from + 0.2)
    assert max(np.abs(s).max() for at, s in room.onlooker.heard if at > silent_from) == 0


async def test_pause_and_resume(room: PlayingRoom) -> None:
    player = room.play("film.mp4")
    await until(lambda: player.state.position > 500)
    player.pause()
    paused_at = time.monotonic()
    position = player.state.position
    assert player.state.state == "paused"
    await asyncio.sleep(0.8)
    assert player.state.position == position
    still = room.onlooker.scenes(CAMERA, paused_at + 0.2)
    assert len({code.frame for _, code in still}) == 1
    assert still[0][1].clock_ms == pytest.approx(position, abs=120)
    assert room.onlooker.level(TONES[0], paused_at + 0.1) < -60
    resumed_at = time.monotonic()
    player.resume()
    player.resume()
    await until(lambda: player.state.position > position + 700)
    passed = time.monotonic() - resumed_at
    assert player.state.position - position == pytest.approx(passed * 1000, abs=250)
    after = room.onlooker.scenes(CAMERA, resumed_at)
    assert after[-1][1].clock_ms - after[0][1].clock_ms >= 400
    assert [change.state for change in room.changes] == ["playing", "paused", "playing"]


async def test_a_paused_picture_never_counts_as_frozen(
    room: PlayingRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("appliance.hub.compositor.FROZEN_AFTER", 0.6)
    monkeypatch.setattr("appliance.hub.playhead._REFRESH", 0.2)
    room.stage.canvas.set_source("ann", None)
    player = room.play("film.mp4")
    await until(lambda: room.onlooker.shows(CAMERA))
    player.pause()
    began = time.monotonic()
    await until(lambda: room.onlooker.seen[-1][0] > began + 1.5)
    assert room.onlooker.shows(CAMERA)


async def test_seeking_over_http(room: PlayingRoom, server: FileServer) -> None:
    player = room.play(server.url("film.mp4"), position=1500)
    await until(lambda: room.onlooker.shows(CAMERA))
    first = room.onlooker.scenes(CAMERA)[0][1]
    assert 1450 <= first.clock_ms < 2300
    assert player.state.position >= 1500

    player.pause()
    player.seek(3020)
    assert player.state.position == 3020
    # A paused film shows where it is: the picture of that very moment.
    await shows_moment(room, 3000)
    player.rewind(2000)
    assert player.state.position == 1020
    await shows_moment(room, 1000)
    player.forward(400)
    assert player.state.position == 1420
    await shows_moment(room, 1400)
    resumed_at = time.monotonic()
    player.resume()
    await until(lambda: room.onlooker.first(TONES[2], resumed_at))
    began = film_clock(room, resumed_at + 0.1)
    heard = room.onlooker.first(TONES[2], resumed_at)
    assert room.onlooker.in_time(heard, began + 2)

    player.seek(-500)
    assert player.state.position < 400
    player.seek(10_000_000)
    await until(lambda: player.state.state == "completed")
    assert player.state.reason is None


async def test_volumes_are_those_of_members(room: PlayingRoom) -> None:
    player = room.play("tone.wav", volume=-20)
    await until(lambda: room.onlooker.first(TONES[0], above=-40))
    start = time.monotonic()
    await until(lambda: room.onlooker.heard[-1][0] > start + 0.2)
    assert room.onlooker.usual(TONES[0], start) == pytest.approx(PLAIN - 10, abs=0.5)
    player.set_volume(10)
    start = time.monotonic() + 0.05
    await until(lambda: room.onlooker.heard[-1][0] > start + 0.2)
    assert room.onlooker.usual(TONES[0], start) == pytest.approx(PLAIN + 5, abs=0.5)
    assert (player.volume, player.state.volume) == (10, 10)
    player.set_volume(-50)
    start = time.monotonic() + 0.05
    await until(lambda: room.onlooker.heard[-1][0] > start + 0.2)
    assert room.onlooker.level(TONES[0], start) < -90
    for volume in (-51, 51):
        with pytest.raises(PlaybackError, match="volume"):
            player.set_volume(volume)
        with pytest.raises(PlaybackError, match="volume"):
            room.play("sound.wav", volume=volume)


async def test_sound_alone_leaves_the_canvas_to_the_members(room: PlayingRoom) -> None:
    player = room.play("sound.wav")
    await until(lambda: room.onlooker.first(TONES[1]))
    assert not player.has_picture
    assert room.onlooker.shows(MEMBER)
    first = room.onlooker.first(TONES[0])
    second = room.onlooker.first(TONES[1])
    assert first is not None
    assert second == pytest.approx(first + 1, abs=0.05 + room.onlooker.late)
    await until(lambda: player.state.state == "completed")
    assert player.state.reason is None


async def test_the_newest_of_two_is_seen_and_both_are_heard(
    room: PlayingRoom, tmp_path: Path
) -> None:
    room.folder = tmp_path
    make_film(tmp_path / "a.mp4", 4)
    make_sound(tmp_path / "b.wav", 4, 2500)
    film, sound = room.play("a.mp4"), room.play("b.wav")
    await until(lambda: room.onlooker.shows(CAMERA))
    await until(lambda: film.state.position > 2000)
    began = film_clock(room)
    for tone in (TONES[1], 2500):
        assert room.onlooker.usual(tone, began + 1.2, began + 1.8) == pytest.approx(PLAIN, abs=1)
    await sound.stop()
    assert room.onlooker.shows(CAMERA)
    assert film.state.state == "playing"
    state = await film.stop()
    assert (state.state, state.reason) == ("completed", None)
    await until(lambda: room.onlooker.shows(MEMBER))


async def test_a_live_stream_is_played_and_cannot_be_sought_in(
    room: PlayingRoom, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Two seconds up to a keyframe, and one and a half to look at what comes, leave some to spare.
    monkeypatch.setattr(film_module, "PATIENCE", 6)
    nginx = RtmpServer(tmp_path)
    nginx.start()
    source = LiveRoom()
    try:
        source.stage.canvas.set_source("ann", SceneCamera(12))
        source.tone.frequency = 2000
        streamer = Streamer(source.stage, nginx.url("key"))
        streamer.start()
        await until(lambda: streamer.state.connected)
        player = room.play(nginx.url("key"))
        await until(lambda: room.onlooker.shows(12))
        assert not player.state.seekable
        assert player.state.duration is None
        with pytest.raises(PlaybackError, match="live"):
            player.forward()
        await until(lambda: room.onlooker.first(2000))
        # A pause passes: then it goes on with what is now.
        player.pause()
        await asyncio.sleep(1.5)
        player.resume()
        resumed_at = time.monotonic()
        await until(lambda: len(room.onlooker.scenes(12, resumed_at + 0.5)) > 5)
        at, code = room.onlooker.scenes(12)[-1]
        assert code.age_ms(at) < 5000
        # This server keeps its viewers when a stream ends, and sends nothing.
        await streamer.stop()
        await until(lambda: player.state.state == "completed")
        assert player.state.reason == "The source has delivered nothing for 6 seconds"
    finally:
        await source.stage.close()
        nginx.stop()


async def test_a_source_that_falls_silent_ends_the_playback_and_says_so(
    room: PlayingRoom, server: FileServer, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(film_module, "PATIENCE", 1.5)
    make_film(folder / "long.mkv", 6)
    server.ranges = False
    server.stall_after = (folder / "long.mkv").stat().st_size * 2 // 3
    player = room.play(server.url("long.mkv"))
    await until(lambda: room.onlooker.shows(CAMERA))
    await until(lambda: player.state.state == "completed")
    assert player.state.reason == "The source has delivered nothing for 1.5 seconds"
    await until(lambda: room.onlooker.shows(MEMBER))
    # What had come was played.
    assert room.onlooker.scenes(CAMERA)[-1][1].clock_ms > 2000


async def test_stopping_a_stalled_source_frees_the_room_at_once(
    room: PlayingRoom, server: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(film_module, "PATIENCE", 3)
    server.stall_after = 100
    player = room.play(server.url("film.mp4"))
    await asyncio.sleep(0.3)
    stopping = asyncio.create_task(player.stop())
    await until(lambda: player.state.state == "completed", 2)
    assert player.state.reason is None
    assert await stopping is player.state


@pytest.mark.parametrize("what", ["refused", "missing", "no film", "untrusted"])
async def test_a_source_that_cannot_be_played_says_why(
    room: PlayingRoom, server: FileServer, folder: Path, tmp_path: Path, what: str
) -> None:
    (folder / "text.mp4").write_text("this is no film at all\n" * 100)
    with file_server(folder, make_certificate(tmp_path)) as secure:
        player = room.play(
            {
                "refused": f"http://user:secret@127.0.0.1:{free_port()}/film.mp4?key=secret",
                "missing": server.url("nothing.mp4"),
                "no film": server.url("text.mp4"),
                "untrusted": secure.url("film.mp4", "https"),
            }[what]
        )
        await until(lambda: player.state.state == "completed")
    reason = player.state.reason
    assert reason is not None
    assert reason.startswith("The source cannot be played: ")
    assert "\n" not in reason
    assert "secret" not in reason
    await until(lambda: room.onlooker.shows(MEMBER))
    if what == "refused":
        assert "refused" in reason
    if what == "missing":
        assert "404" in reason


async def test_https_is_played_from_a_server_that_need_not_be_trusted(
    room: PlayingRoom, folder: Path, tmp_path: Path
) -> None:
    with file_server(folder, make_certificate(tmp_path)) as secure:
        player = room.play(secure.url("film.mp4", "https"), verify=False)
        await until(lambda: room.onlooker.shows(CAMERA))
        await player.stop()


@pytest.mark.parametrize(
    "url",
    [
        "",
        ".",
        "..",
        "../secret.mp4",
        "a/../../secret.mp4",
        "/etc/passwd",
        "file:///etc/passwd",
        "file:film.mp4",
        "FILE:///etc/passwd",
        "concat:film.mp4|film.mp4",
        "subfile,,start,0,end,100,,:film.mp4",
        "pipe:0",
        "data:video/mp4;base64,AAAA",
        "ftp://127.0.0.1/film.mp4",
        "udp://127.0.0.1:1",
        "async:http://127.0.0.1/film.mp4",
        "http://",
        "http:///film.mp4",
        "http://127.0.0.1:x/film.mp4",
        "http://127.0.0.1/a b",
        "http://127.0.0.1/a\r\nX: y",
        "film.mp4\0",
        ".hidden.mp4",
        "missing.mp4",
        "link.mp4",
        "folder",
    ],
)
async def test_nothing_else_is_played(room: PlayingRoom, tmp_path: Path, url: str) -> None:
    media = tmp_path / "media"
    (media / "folder").mkdir(parents=True)
    room.folder = media
    for path in (tmp_path / "secret.mp4", media / ".hidden.mp4"):
        path.write_bytes((room.folder.parent / "x").name.encode())
    (media / "link.mp4").symlink_to(tmp_path / "secret.mp4")
    with pytest.raises(UrlError) as caught:
        room.play(url)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["hls", "concat"])
@pytest.mark.parametrize("where", ["folder", "http"])
async def test_a_playlist_leads_to_no_file(
    room: PlayingRoom, tmp_path: Path, folder: Path, kind: str, where: str
) -> None:
    """A playlist that anybody may serve, or upload, must not read the hub's files."""
    secret = make_film(tmp_path / "secret.ts", 2)
    text = {
        "hls": f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nfile://{secret}\n#EXT-X-ENDLIST\n",
        "concat": f"ffconcat version 1.0\nfile 'file://{secret}'\n",
    }[kind]
    name = {"hls": "list.m3u8", "concat": "list.ffconcat"}[kind]
    (folder / name).write_text(text)
    with file_server(folder) as server:
        player = room.play(name if where == "folder" else server.url(name))
        await until(lambda: player.state.state == "completed")
    assert not room.onlooker.scenes(CAMERA)


async def test_a_playlist_of_segments_is_played(
    room: PlayingRoom, folder: Path, server: FileServer
) -> None:
    make_film(folder / "part.ts", 3)
    (folder / "good.m3u8").write_text(
        "#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:3,\npart.ts\n#EXT-X-ENDLIST\n"
    )
    room.play(server.url("good.m3u8"))
    await until(lambda: room.onlooker.shows(CAMERA))


async def test_a_server_without_ranges_is_played_all_the_same(
    room: PlayingRoom, folder: Path, server: FileServer
) -> None:
    make_film(folder / "plain.mkv", 3)
    server.ranges = False
    player = room.play(server.url("plain.mkv"))
    await until(lambda: room.onlooker.shows(CAMERA))
    await until(lambda: player.state.position > 1200)
    sought_at = time.monotonic()
    player.seek(600)
    await until(lambda: player.state.position > 1000)
    # The old picture stays until there is the one that was sought.
    assert min(code.clock_ms for _, code in room.onlooker.scenes(CAMERA, sought_at)) < 1000
    await until(lambda: player.state.state == "completed")
    assert player.state.reason is None
    assert room.onlooker.scenes(CAMERA)[-1][1].clock_ms > 2500

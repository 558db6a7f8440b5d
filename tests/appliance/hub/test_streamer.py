from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import resource
import signal
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psutil
import pytest

from appliance.hub import streamer as streamer_module
from appliance.hub.publisher import Order
from appliance.hub.streamer import Streamer, StreamState, UrlError
from hal.camera.scene import COUNTER_MODULO
from tests.appliance.hub.live_room import HEIGHT, WIDTH, Film, Listener, LiveRoom, until
from tests.appliance.hub.rtmp_server import RtmpServer, free_port, make_certificate, tls_before

TONE, OTHER = 1000.0, 1700.0


@pytest.fixture
async def room() -> AsyncIterator[LiveRoom]:
    before = publishers()
    one = LiveRoom()
    yield one
    await one.stage.close()
    assert publishers() <= before


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RtmpServer]:
    one = RtmpServer(tmp_path)
    one.start()
    yield one
    one.stop()


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streamer_module, "_FIRST_DELAY", 0.1)
    monkeypatch.setattr(streamer_module, "_LAST_DELAY", 0.3)


def publishers() -> set[int]:
    return {
        child.pid
        for child in psutil.Process().children()
        if "appliance.hub.publisher" in child.cmdline()
    }


@contextlib.asynccontextmanager
async def alternating(room: LiveRoom) -> AsyncIterator[None]:
    """Two tones in turn."""

    async def alternate() -> None:
        while True:
            for frequency in (TONE, OTHER):
                room.tone.frequency = frequency
                await asyncio.sleep(0.6)

    task = asyncio.create_task(alternate())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def watch(url: str, seconds: float = 1.5) -> Film:
    return await asyncio.to_thread(Film.read, url, seconds=seconds, timeout=20)


async def test_a_stream_shows_and_sounds_as_the_room(room: LiveRoom, server: RtmpServer) -> None:
    changes: list[StreamState] = []
    url = server.url("oak-room-key")
    streamer = Streamer(room.stage, url, on_change=changes.append)
    listener = Listener(room.stage)
    async with alternating(room):
        streamer.start()
        await until(lambda: streamer.state.connected)
        assert streamer.state.to_wire() == {
            "id": streamer.id,
            "url": url,
            "state": "streaming",
            "duration": None,
            "started_at": pytest.approx(time.time(), abs=60),
            "ended_at": None,
        }
        film = await watch(url, 3)
    state = await streamer.stop()
    assert await streamer.stop() is state

    assert sorted(film.codecs) == ["aac", "h264"]
    assert (film.pictures[0][1].width, film.pictures[0][1].height) == (WIDTH, HEIGHT)
    scenes = film.scenes()
    assert len(scenes) > 30
    assert {code.camera for _, code in scenes} == {7}
    # Picture and sound are of the same moment.
    onset = film.clock() + film.change(OTHER, TONE)
    modulo = COUNTER_MODULO / 1000
    moments = listener.changes(OTHER, TONE)
    assert min(abs(onset - moment % modulo) for moment in moments) < 0.06
    assert listener.all_in(film, [TONE, OTHER])

    assert [change.connected for change in changes] == [True, False]
    assert (state.state, state.error) == ("completed", None)
    assert state.ended_at is not None
    assert state.duration == pytest.approx(state.ended_at - state.started_at, abs=0.01)


def test_no_key_is_shown_by_accident() -> None:
    state = StreamState("id", "streaming", 1.0, url="rtmp://127.0.0.1/live/secret-key")
    assert "secret-key" not in repr(state)
    assert state.to_wire()["url"].endswith("secret-key")


async def test_a_dead_target_disturbs_neither_the_room_nor_the_others(
    room: LiveRoom, server: RtmpServer, caplog: pytest.LogCaptureFixture
) -> None:
    room.tone.frequency = TONE
    with socket.create_server(("127.0.0.1", 0)) as silent:
        targets = [
            server.url("first"),
            server.url("second"),
            f"rtmp://127.0.0.1:{free_port()}/live/secret-key",  # refuses
            f"rtmp://127.0.0.1:{silent.getsockname()[1]}/live/secret-key",  # never answers
            server.url("other").replace("/live/", "/nowhere/"),  # not taken by the server
        ]
        streamers = [Streamer(room.stage, url) for url in targets]
        for streamer in streamers:
            streamer.start()
        good, dead = streamers[:2], streamers[2:]
        await until(lambda: all(one.state.connected for one in good))
        await until(lambda: dead[0].state.error and dead[2].state.error)
        films = await asyncio.gather(*(watch(one.state.url) for one in good))
        frames = room.stage.canvas.stats.frames
        # The loop is free all the time: it ticks while all of them try.
        longest, last = 0.0, time.monotonic()
        while room.stage.canvas.stats.frames < frames + 20:
            await asyncio.sleep(0.005)
            longest, last = max(longest, time.monotonic() - last), time.monotonic()
        assert longest < 1.0
        for film in films:
            assert film.scenes()
            assert film.usual(TONE, film.pictures[0][0], film.pictures[-1][0]) > -20
        assert [one.state.connected for one in dead] == [False, False, False]
        assert [one.state.state for one in dead] == ["streaming"] * 3
        assert "refused" in str(dead[0].state.error)
        began = time.monotonic()
        states = await asyncio.gather(*(one.stop() for one in streamers))
        # Also the one that waits for an answer ends soon.
        assert time.monotonic() - began < 10
    assert [state.state for state in states] == ["completed"] * 5
    for text in (caplog.text, *(str(one.state.error) for one in dead)):
        assert "secret-key" not in text
    assert all("\n" not in str(one.state.error) for one in dead)


async def test_it_reconnects_when_the_server_comes_back(room: LiveRoom, server: RtmpServer) -> None:
    room.tone.frequency = TONE
    changes: list[StreamState] = []
    streamer = Streamer(room.stage, server.url("key"), on_change=changes.append)
    streamer.start()
    await until(lambda: streamer.state.connected)
    server.stop()
    await until(lambda: not streamer.state.connected)
    assert streamer.state.state == "streaming"
    assert streamer.state.error
    server.start()
    await until(lambda: streamer.state.connected)
    assert streamer.state.error is None
    film = await watch(server.url("key"))
    assert film.scenes()
    assert film.usual(TONE, film.pictures[0][0], film.pictures[-1][0]) > -20
    await streamer.stop()
    ups = [change.connected for change in changes]
    assert ups[0] is True
    assert ups[-1] is False
    assert ups.count(True) == 2


async def test_a_publisher_that_hangs_or_dies_is_replaced(
    room: LiveRoom, server: RtmpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streamer_module, "PATIENCE", 3)
    before = publishers()
    errors: list[str] = []
    streamer = Streamer(
        room.stage,
        server.url("key"),
        on_change=lambda state: errors.append(state.error) if state.error else None,
    )
    streamer.start()
    await until(lambda: streamer.state.connected)
    (hanging,) = publishers() - before
    os.kill(hanging, signal.SIGSTOP)
    await until(lambda: not streamer.state.connected)
    assert errors[0] == "the target took nothing for 3 seconds"
    await until(lambda: streamer.state.connected)
    (dying,) = publishers() - before
    assert dying != hanging
    os.kill(dying, signal.SIGKILL)
    await until(lambda: not streamer.state.connected)
    await until(lambda: streamer.state.connected)
    film = await watch(server.url("key"))
    assert film.scenes()
    await streamer.stop()


async def test_rtmps_goes_only_to_who_is_trusted(
    room: LiveRoom, server: RtmpServer, tmp_path: Path
) -> None:
    cert_file, key_file = make_certificate(tmp_path)
    async with tls_before(server.port, cert_file, key_file) as port:

        def url(name: str) -> str:
            return f"rtmps://127.0.0.1:{port}/live/{name}"

        trusted = Streamer(room.stage, url("trusted"), ca_file=cert_file)
        doubted = Streamer(room.stage, url("doubted"))
        careless = Streamer(room.stage, url("careless"), verify=False)
        for one in (trusted, doubted, careless):
            one.start()
        await until(lambda: trusted.state.connected and careless.state.connected)
        await until(lambda: doubted.state.error)
        film = await watch(server.url("trusted"))
        assert film.scenes()
        assert not doubted.state.connected
        for one in (trusted, doubted, careless):
            await one.stop()


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/live",
        "rtmp:///live/key",
        "rtmp://",
        "live/key",
        "file:///etc/passwd",
        "/etc/passwd",
        "rtmp://host:99999/live/key",
        "rtmp://host/live/key swfUrl=x",
        "rtmp://host/live/key\nx",
        "tee:rtmp://host/live",
        "",
    ],
)
async def test_other_targets_are_refused(room: LiveRoom, url: str) -> None:
    with pytest.raises(UrlError):
        Streamer(room.stage, url)


async def test_signs_that_mean_something_to_ffmpeg_reach_the_server_as_they_are(
    room: LiveRoom, server: RtmpServer
) -> None:
    name = "a|b[c]'d\\e:f=g"
    streamer = Streamer(room.stage, server.url(name))
    streamer.start()
    await until(lambda: streamer.state.connected)
    film = await watch(server.url(name))
    assert film.scenes()
    await streamer.stop()


def test_a_publisher_is_written_to_however_many_files_the_hub_has_open() -> None:
    """The hub's units allow 16384; select() knows 1024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(2048, hard), hard))
    reader, writer = os.pipe()
    stop = threading.Event()
    high = -1
    try:
        high = fcntl.fcntl(writer, fcntl.F_DUPFD, 1500)
        os.set_blocking(high, False)
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(high, bytes(65_536))
        one = streamer_module._Publishing(Order("rtmp://127.0.0.1/x", 5.0), stop)
        one._to = high
        stop.set()
        with pytest.raises(streamer_module._PublishingError, match="was stopped"):
            one._write(b"x")
    finally:
        for descriptor in (reader, writer, high):
            with contextlib.suppress(OSError):
                os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

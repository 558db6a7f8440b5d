"""The process that sends a stream out, as its streamer has it: two pipes and an exit status."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path

import pytest

import appliance
from appliance.hub.publisher import News, Order, pack
from appliance.media.video_encoder import VideoEncoder
from hal.camera.scene import Scene
from tests.appliance.hub.far_end import sine
from tests.appliance.hub.hub_client import DEADLINE
from tests.appliance.hub.live_room import Film
from tests.appliance.hub.rtmp_server import free_port

RATE = 20
ORIGIN = 1000.0
"""What the clock shows when it all begins."""

COMMAND = (sys.executable, "-P", "-m", "appliance.hub.publisher")
IMPATIENT = "import sys, appliance.hub.publisher as p; p.PATIENCE = 1; sys.exit(p.main())"


@pytest.fixture(scope="module")
def room() -> list[bytes]:
    """A second of a room, packed: before each picture the sound of its moment."""
    scene, encoder = Scene(3, 320, 180), VideoEncoder("h264", 320, 180, RATE, 500_000)
    tone = sine(1000, 50, 8000)
    step = tone.size // RATE
    packets = []
    for n in range(RATE):
        at = ORIGIN + n / RATE
        packets.append(pack("sound", at, tone[n * step : (n + 1) * step].tobytes()))
        frame = scene.draw(n, n * 1000 // RATE)
        frame.pts, frame.time_base = n * 90_000 // RATE, Fraction(1, 90_000)
        packet = encoder.encode(frame, n == 0)
        packets.append(pack("keyframe" if packet.is_keyframe else "picture", at, bytes(packet)))
    return packets


@contextlib.contextmanager
def publisher(order: Order, *command: str) -> Iterator[subprocess.Popen[bytes]]:
    """The process, which has its order."""
    root = str(Path(appliance.__file__).parents[1])
    with subprocess.Popen(
        command or COMMAND,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": root},
    ) as process:
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps(asdict(order)).encode() + b"\n")
            process.stdin.flush()
            yield process
        finally:
            process.kill()


def publish(order: Order, packets: list[bytes]) -> tuple[int, list[News]]:
    """Hand on all packets and end the stream; the exit status and the news."""
    with publisher(order) as process:
        said, _ = process.communicate(b"".join(packets), DEADLINE)
        return process.returncode, [News(**json.loads(line)) for line in said.splitlines()]


def test_a_packet_is_its_kind_its_time_its_size_and_its_data() -> None:
    for kind, code in (("keyframe", b"K"), ("picture", b"P"), ("sound", b"S")):
        packet = pack(kind, 12.5, b"data")  # type: ignore[arg-type]
        assert packet == code + struct.pack(">d", 12.5) + b"\0\0\0\4" + b"data"
    assert len(pack("sound", 0.0, b"")) == 13


def test_an_order_does_not_show_where_it_leads() -> None:
    assert "key" not in repr(Order("rtmp://127.0.0.1/live/key", RATE))


def test_it_sends_what_it_gets_and_says_when_it_goes_out(tmp_path: Path, room: list[bytes]) -> None:
    target = tmp_path / "a.flv"
    # Once, however much follows.
    assert publish(Order(str(target), RATE), room) == (0, [News(True)])
    film = Film.read(target)
    assert sorted(film.codecs) == ["aac", "h264"]
    assert [code.frame for _, code in film.scenes()] == list(range(RATE))
    assert [at for at, _ in film.scenes()] == pytest.approx(
        [n / RATE for n in range(RATE)], abs=0.002
    )
    assert film.level(1000, 0.1, 0.9) == pytest.approx(-12.2, abs=1)


def test_it_goes_out_with_the_first_keyframe_and_not_before(
    tmp_path: Path, room: list[bytes]
) -> None:
    target = tmp_path / "a.flv"
    without = [packet for packet in room if not packet.startswith(b"K")]
    assert publish(Order(str(target), RATE), without) == (0, [])
    with publisher(Order(str(target), RATE)) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"".join([*without, *room[:2]]))
        process.stdin.flush()
        # At once, while the stream goes on.
        assert News(**json.loads(process.stdout.readline())) == News(True)
        assert process.poll() is None


def test_signs_that_mean_something_to_ffmpeg_are_taken_as_they_are(
    tmp_path: Path, room: list[bytes]
) -> None:
    name = "a|b[c]'d\\e:f=g.flv"
    options = {"bsfs/v": "h264_metadata=level=5.2:video_format=2"}
    order = Order(str(tmp_path / name), RATE, options)
    assert publish(order, room) == (0, [News(True)])
    assert [one.name for one in tmp_path.iterdir()] == [name]


def test_a_target_that_refuses_is_named_in_one_line(room: list[bytes]) -> None:
    order = Order(f"rtmp://127.0.0.1:{free_port()}/live/key", RATE)
    code, (news,) = publish(order, room)
    assert (code, news.up) == (1, False)
    assert news.reason.endswith("failed: Connection refused")
    assert "\n" not in news.reason


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        pytest.param("nowhere/a.flv", "No such file or directory", id="at once"),
        pytest.param("/dev/full", "No space left on device", id="later on"),
    ],
)
def test_why_it_has_ended_is_told_in_words(
    tmp_path: Path, room: list[bytes], place: str, reason: str
) -> None:
    code, news = publish(Order(str(tmp_path / place), RATE), room)
    assert (code, news[-1]) == (1, News(False, reason))


def test_a_target_that_hangs_up_ends_it(room: list[bytes]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(DEADLINE)

        def hang_up() -> None:
            connection, _ = server.accept()
            connection.recv(1)
            # With what it has not read: the other side is told off, not waved goodbye.
            connection.close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        order = Order(f"tcp://127.0.0.1:{server.getsockname()[1]}", RATE)
        with publisher(order) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(b"".join(room[:2]))
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["up"]
            thread.join()
            said, _ = process.communicate(b"".join(room[2:]), DEADLINE)
            (news,) = [News(**json.loads(line)) for line in said.splitlines()]
            assert process.returncode == 1
    assert not news.up
    assert news.reason in ("Connection reset by peer", "Broken pipe")


def test_a_target_that_never_answers_is_left_by_the_alarm(room: list[bytes]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        order = Order(f"rtmp://127.0.0.1:{silent.getsockname()[1]}/live/key", RATE)
        with publisher(order, sys.executable, "-P", "-c", IMPATIENT) as process:
            # Its input stays open: it is the alarm that ends it.
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(b"".join(room[:2]))
            process.stdin.flush()
            assert process.wait(DEADLINE) == -signal.SIGALRM
            assert process.stdout.read() == b""


def test_a_streamer_that_gives_no_more_is_left_by_the_alarm(tmp_path: Path) -> None:
    order = Order(str(tmp_path / "a.flv"), RATE)
    with publisher(order, sys.executable, "-P", "-c", IMPATIENT) as process:
        assert process.wait(DEADLINE) == -signal.SIGALRM


def test_it_goes_on_when_nobody_hears_its_news(tmp_path: Path, room: list[bytes]) -> None:
    target = tmp_path / "a.flv"
    with publisher(Order(str(target), RATE)) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.close()
        process.stdin.write(b"".join(room))
        process.stdin.close()
        assert process.wait(DEADLINE) == 0
    assert len(Film.read(target).scenes()) == RATE


@pytest.mark.parametrize("kind", ["sound", "picture"])
@pytest.mark.parametrize("left", ["half a head", "a head", "half the data"])
def test_half_a_packet_at_the_end_is_left_out(
    tmp_path: Path, room: list[bytes], kind: str, left: str
) -> None:
    """So a hub that is killed leaves it."""
    target = tmp_path / "a.flv"
    (*most, cut) = room if kind == "picture" else room[:-1]
    size = {"half a head": 7, "a head": 13, "half the data": 114}[left]
    assert publish(Order(str(target), RATE), [*most, cut[:size]]) == (0, [News(True)])
    frames = [code.frame for _, code in Film.read(target).scenes()]
    assert frames == list(range(RATE - 1))


def test_what_is_no_packet_is_told_as_a_fault_of_ours(tmp_path: Path, room: list[bytes]) -> None:
    order = Order(str(tmp_path / "a.flv"), RATE)
    code, news = publish(order, [*room, b"X" + bytes(12)])
    assert (code, news) == (1, [News(True), News(False, "unexpected: KeyError(b'X')")])


def test_the_process_does_without_webrtc() -> None:
    """It is started anew for each attempt: what it loads is what an attempt costs."""
    code = (
        "import sys, appliance.hub.publisher;"
        "sys.exit(bool({'aiortc', 'starlette', 'pydantic'} & {*sys.modules}))"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=DEADLINE).returncode == 0

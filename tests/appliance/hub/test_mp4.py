from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import av
import pytest

from appliance.hub import mp4
from appliance.hub.mp4 import finish_interrupted
from appliance.hub.muxing import CONTAINER_OPTIONS, Muxer
from appliance.media.video_encoder import VideoEncoder
from hal.camera.scene import Scene
from tests.appliance.hub.far_end import sine
from tests.appliance.hub.live_room import Film

SECONDS, RATE = 3, 20


def record(path: Path, *, whole: bool) -> None:
    """Scenes and a tone; not `whole` is how a killed writer leaves it."""
    options = {
        **CONTAINER_OPTIONS,
        "movflags": "+hybrid_fragmented+empty_moov+default_base_moof",
        "frag_duration": "500000",
    }
    scene = Scene(3, 320, 180)
    encoder = VideoEncoder("h264", 320, 180, RATE, 500_000)
    tone = sine(1000, SECONDS * 50, 8000)
    with path.open("wb") as file:
        muxer = Muxer(av.open(file, "w", format="mp4", container_options=options), RATE)
        for n in range(SECONDS * RATE):
            frame = scene.draw(n, n * 1000 // RATE)
            frame.pts, frame.time_base = n * 90_000 // RATE, Fraction(1, 90_000)
            packet = encoder.encode(frame, n % RATE == 0)
            muxer.picture(n / RATE, bytes(packet), bool(packet.is_keyframe))
            step = 48_000 // RATE
            muxer.sound(n / RATE, tone[n * step : (n + 1) * step])
        file.flush()
        cut = path.read_bytes()
        muxer.close(SECONDS)
    if not whole:
        path.write_bytes(cut)


def boxes(data: bytes) -> list[tuple[bytes, int]]:
    """The boxes of the top level, and where each begins."""
    found, start = [], 0
    while start < len(data):
        length, kind = struct.unpack(">I4s", data[start : start + 8])
        found.append((kind, start))
        start += length
    assert start == len(data)
    return found


@pytest.fixture(scope="module")
def cut_off(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("cut") / "a.mp4"
    record(path, whole=False)
    return path.read_bytes()


def check(path: Path, seconds: float) -> None:
    film = Film.read(path)
    assert film.duration == pytest.approx(seconds, abs=0.1)
    scenes = film.scenes()
    assert len(scenes) == pytest.approx(seconds * RATE, abs=2)
    for at, code in scenes:
        assert code.camera == 3
        assert at == pytest.approx(code.clock_ms / 1000, abs=0.002)
    assert film.level(1000, 0.1, seconds - 0.1) == pytest.approx(-12.2, abs=1)


def test_a_recording_that_was_cut_off_becomes_a_plain_file(tmp_path: Path, cut_off: bytes) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(cut_off)
    seconds = finish_interrupted(path)
    assert seconds > SECONDS - 1
    check(path, seconds)
    kinds = [kind for kind, _ in boxes(path.read_bytes())]
    assert b"moof" not in kinds
    assert kinds.count(b"mdat") == 1
    assert [one.name for one in tmp_path.iterdir()] == ["a.mp4"]


@pytest.mark.parametrize("where", ["in the index", "in the data", "in the length", "in zeros"])
def test_what_is_not_whole_at_the_end_is_cut_away(
    tmp_path: Path, cut_off: bytes, where: str
) -> None:
    fragments = [start for kind, start in boxes(cut_off) if kind == b"moof"]
    data_boxes = [start for kind, start in boxes(cut_off) if kind == b"mdat"]
    assert len(fragments) >= 4
    end = {
        "in the index": fragments[2] + 50,
        "in the data": data_boxes[2] + 500,
        "in the length": fragments[2] + 5,
        "in zeros": fragments[2],
    }[where]
    path = tmp_path / "a.mp4"
    path.write_bytes(cut_off[:end] + bytes(4096 if where == "in zeros" else 0))
    seconds = finish_interrupted(path)
    assert seconds == pytest.approx(1.0, abs=0.15)
    check(path, seconds)


@pytest.mark.parametrize(
    ("there", "damaged"),
    [
        pytest.param(b"avc1\0", b"avx1\0", id="a codec that nobody knows"),
        pytest.param(b"VideoHandler", b"Video\xd6andler", id="a name that is no text"),
    ],
)
def test_a_damaged_head_costs_no_more_than_it_has_damaged(
    tmp_path: Path, cut_off: bytes, there: bytes, damaged: bytes
) -> None:
    assert cut_off.count(there) == 1
    path = tmp_path / "a.mp4"
    path.write_bytes(cut_off.replace(there, damaged))
    assert finish_interrupted(path) > SECONDS - 1
    # Nor is anything left of what could not be joined.
    assert [one.name for one in tmp_path.iterdir()] == ["a.mp4"]


@pytest.mark.parametrize("length", [0, 7, 1, (1 << 32) - 1], ids=["0", "7", "long", "longest"])
@pytest.mark.parametrize(("kind", "which"), [(b"moov", 0), (b"moof", 1), (b"mdat", 1)])
def test_a_damaged_length_in_the_midst_costs_nothing_that_plays(
    tmp_path: Path, cut_off: bytes, kind: bytes, which: int, length: int
) -> None:
    at = [start for one, start in boxes(cut_off) if one == kind][which]
    path = tmp_path / "a.mp4"
    path.write_bytes(cut_off[:at] + struct.pack(">I", length) + cut_off[at + 4 :])
    before = pictures(path)
    finish_interrupted(path)
    assert pictures(path) >= before
    assert [one.name for one in tmp_path.iterdir()] == ["a.mp4"]


def pictures(path: Path) -> int:
    """How many of a file can be shown."""
    try:
        with av.open(str(path), format="mp4") as container:
            return sum(1 for _ in container.decode(video=0))
    except (av.FFmpegError, IndexError):
        return 0


def test_on_a_full_disk_the_fragments_stay(
    tmp_path: Path, cut_off: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mp4, "SPARE", 1 << 60)
    path = tmp_path / "a.mp4"
    path.write_bytes(cut_off + b"\0\0\1")
    seconds = finish_interrupted(path)
    check(path, seconds)
    assert path.read_bytes() == cut_off


def test_a_plain_file_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    record(path, whole=True)
    data = path.read_bytes()
    assert b"moof" not in [kind for kind, _ in boxes(data)]
    assert finish_interrupted(path) == pytest.approx(SECONDS, abs=0.1)
    assert path.read_bytes() == data
    check(path, SECONDS)


@pytest.mark.parametrize("data", [b"", b"\0\0", bytes(1000), b"GIF89a, or whatever else it is"])
def test_a_file_without_a_recording_has_no_seconds(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(data)
    assert finish_interrupted(path) == 0.0


def test_a_file_with_only_its_head_has_no_seconds(tmp_path: Path, cut_off: bytes) -> None:
    path = tmp_path / "a.mp4"
    first = next(start for kind, start in boxes(cut_off) if kind == b"moof")
    path.write_bytes(cut_off[: first + 20])
    assert finish_interrupted(path) == 0.0


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        finish_interrupted(tmp_path / "a.mp4")

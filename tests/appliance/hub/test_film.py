from __future__ import annotations

import itertools
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av import VideoFrame
from av.video.reformatter import ColorRange, Colorspace

from appliance.hub.film import Film, FilmError, Piece, Shot
from appliance.hub.yuv import planes
from hal.audio.spectrum import level_dbfs, peak_frequency
from hal.camera.scene import decode
from tests.appliance.hub.films import TONES, make_film, make_sound, tone, with_old_title

SIZE = (640, 360)


def read_all(film: Film) -> tuple[list[Shot], list[Piece]]:
    shots, pieces = [], []
    while (part := film.read()) is not None:
        if isinstance(part, Shot):
            shots.append(part)
        else:
            pieces.append(part)
    return shots, pieces


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("films")
    make_film(folder / "film.mp4", 4)
    return folder


def still(path: Path, frame: VideoFrame, **settings: Any) -> Path:
    """A film of one second that shows one picture."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"crf": "5"})
        stream.width, stream.height = frame.width, frame.height
        stream.pix_fmt = frame.format.name
        for name, value in settings.items():
            setattr(stream.codec_context, name, value)
        for n in range(10):
            frame.pts, frame.time_base = n, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def rgb(frame: VideoFrame, x: float, y: float) -> tuple[int, ...]:
    """The colour at a place, in parts of the sides, as the canvas will show it."""
    luma, u, v = planes(frame)
    row, column = int(y * frame.height), int(x * frame.width)
    c, d, e = (
        (int(luma[row, column]) - 16) / 219,
        (int(u[row // 2, column // 2]) - 128) / 224,
        (int(v[row // 2, column // 2]) - 128) / 224,
    )
    return tuple(
        round(255 * value) for value in (c + 1.402 * e, c - 0.344 * d - 0.714 * e, c + 1.772 * d)
    )


def test_a_film_is_read_from_start_to_end(folder: Path) -> None:
    film = Film("film.mp4", size=SIZE, folder=folder)
    assert film.duration == pytest.approx(4, abs=0.1)
    assert (film.seekable, film.has_picture, film.has_sound) == (True, True, True)
    shots, pieces = read_all(film)
    assert film.read() is None
    assert [shot.at for shot in shots] == pytest.approx([n / 20 for n in range(80)], abs=0.002)
    for shot in shots:
        code = decode(shot.frame)
        assert code is not None
        assert code.clock_ms / 1000 == pytest.approx(shot.at, abs=0.002)
        assert (shot.frame.width, shot.frame.height) == (320, 180)
        assert shot.frame.format.name == "yuv420p"
    sound = np.concatenate([piece.samples for piece in pieces])
    assert sound.dtype == np.int16
    assert sound.size / 48_000 == pytest.approx(4, abs=0.1)
    for a, b in itertools.pairwise(pieces):
        assert b.at == pytest.approx(a.at + a.samples.size / 48_000, abs=0.001)
    film.close()
    film.close()


def test_a_film_may_have_a_name_in_old_letters(tmp_path: Path) -> None:
    titled = with_old_title(make_film(tmp_path / "film.avi", 1))
    shots, pieces = read_all(Film(titled.name, size=SIZE, folder=tmp_path))
    assert len(shots) == 20
    assert pieces


@pytest.mark.parametrize("seconds", [0.0, 1.02, 2.0, 3.97, 60.0, 0.5])
@pytest.mark.parametrize("read_before", [0, 100, 10_000])
def test_a_seek_gives_the_picture_and_sound_of_that_moment(
    folder: Path, seconds: float, read_before: int
) -> None:
    film = Film("film.mp4", size=SIZE, folder=folder)
    for _ in range(read_before):
        if film.read() is None:
            break
    film.seek(seconds)
    shots, pieces = read_all(film)
    # The first is the one that is seen then.
    assert shots[0].at == pytest.approx(min(seconds // 0.05 * 0.05, 3.95), abs=0.051)
    assert shots[0].at <= seconds + 0.001
    if len(shots) > 1:
        assert shots[1].at > seconds - 0.001
    if seconds < 3.9:
        assert pieces[0].at <= seconds + 0.03
        assert pieces[0].at + pieces[0].samples.size / 48_000 > seconds
    film.close()


def test_a_large_picture_is_made_as_small_as_the_canvas(tmp_path: Path) -> None:
    still(tmp_path / "a.mp4", VideoFrame(1920, 800, "yuv420p"))
    film = Film("a.mp4", size=SIZE, folder=tmp_path)
    shots, _ = read_all(film)
    assert (shots[0].frame.width, shots[0].frame.height) == (640, 266)
    film.close()


def test_pixels_that_are_not_square_are_made_so(tmp_path: Path) -> None:
    still(
        tmp_path / "a.mp4",
        VideoFrame(360, 288, "yuv420p"),
        sample_aspect_ratio=Fraction(16, 11),
    )
    film = Film("a.mp4", size=SIZE, folder=tmp_path)
    shots, _ = read_all(film)
    assert (shots[0].frame.width, shots[0].frame.height) == (524, 288)
    film.close()


@pytest.mark.parametrize(
    ("colorspace", "color_range"),
    list(
        itertools.product(
            (Colorspace.ITU709, Colorspace.ITU601), (ColorRange.MPEG, ColorRange.JPEG)
        )
    ),
)
def test_colours_are_what_they_were(
    tmp_path: Path, colorspace: Colorspace, color_range: ColorRange
) -> None:
    colours = np.zeros((360, 640, 3), np.uint8)
    colours[:, :320] = (200, 30, 60)
    colours[:, 320:] = (20, 160, 90)
    frame = VideoFrame.from_ndarray(colours, "rgb24").reformat(
        format="yuv420p", dst_colorspace=colorspace, dst_color_range=color_range
    )
    number = {Colorspace.ITU709: 1, Colorspace.ITU601: 6}[colorspace]
    still(
        tmp_path / "a.mp4",
        frame,
        colorspace=number,
        color_range=2 if color_range is ColorRange.JPEG else 1,
    )
    film = Film("a.mp4", size=SIZE, folder=tmp_path)
    shots, _ = read_all(film)
    assert rgb(shots[0].frame, 0.2, 0.5) == pytest.approx((200, 30, 60), abs=8)
    assert rgb(shots[0].frame, 0.8, 0.5) == pytest.approx((20, 160, 90), abs=8)
    film.close()


def test_a_picture_taken_upright_is_shown_upright(tmp_path: Path) -> None:
    """As a phone films: the sensor lies, and the file says how to turn the picture."""
    colours = np.zeros((180, 320, 3), np.uint8)
    colours[:, :160] = 250
    frame = VideoFrame.from_ndarray(colours, "rgb24").reformat(format="yuv420p")
    plain = still(tmp_path / "plain.mp4", frame)
    data = plain.read_bytes()
    # The matrix in the track's header: that of no turn, and of a quarter to the left.
    one, half = (1 << 16).to_bytes(4, "big"), (1 << 30).to_bytes(4, "big")
    nought, minus = bytes(4), (0x100000000 - (1 << 16)).to_bytes(4, "big")
    matrix = b"".join((one, nought, nought, nought, one, nought, nought, nought, half))
    turned = b"".join((nought, minus, nought, one, nought, nought, nought, nought, half))
    at = data.index(matrix, data.index(b"tkhd"))
    (tmp_path / "turned.mp4").write_bytes(data[:at] + turned + data[at + len(turned) :])
    film = Film("turned.mp4", size=SIZE, folder=tmp_path)
    shots, _ = read_all(film)
    picture = shots[0].frame
    assert (picture.width, picture.height) == (180, 320)
    # The left of the sensor's picture is at the bottom now.
    assert rgb(picture, 0.5, 0.9)[0] > 200
    assert rgb(picture, 0.5, 0.1)[0] < 50
    film.close()


def test_the_cover_of_an_album_is_no_film(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        audio = container.add_stream("aac", rate=48_000, layout="mono")
        cover = container.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 64, 64, "yuvj420p"
        cover.disposition = 1024
        container.mux(cover.encode(VideoFrame(64, 64, "yuvj420p")))
        for n in range(50):
            container.mux(audio.encode(tone(n * 960, 960)))
        container.mux(audio.encode(None))
    film = Film("a.mp4", size=SIZE, folder=tmp_path)
    assert (film.has_picture, film.has_sound) == (False, True)
    shots, pieces = read_all(film)
    assert not shots
    assert pieces
    film.close()


def test_sound_of_another_kind_becomes_that_of_the_room(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    with av.open(str(path), "w") as container:
        audio = container.add_stream("pcm_s16le", rate=44_100, layout="stereo")
        at = np.arange(44_100) / 44_100
        left = np.rint(8000 * np.sin(2 * np.pi * TONES[0] * at)).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(
            np.repeat(left, 2).reshape(1, -1), format="s16", layout="stereo"
        )
        frame.sample_rate, frame.pts = 44_100, 0
        container.mux(audio.encode(frame))
        container.mux(audio.encode(None))
    film = Film("a.wav", size=SIZE, folder=tmp_path)
    _, pieces = read_all(film)
    sound = np.concatenate([piece.samples for piece in pieces])
    assert sound.size == pytest.approx(48_000, abs=100)
    assert peak_frequency(sound) == pytest.approx(TONES[0], abs=1)
    assert level_dbfs(sound, TONES[0]) == pytest.approx(-12.2, abs=0.5)
    film.close()


def test_a_film_with_scratches_is_played_on(tmp_path: Path) -> None:
    path = make_film(tmp_path / "a.ts", 4)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2 // 188 * 188
    data[middle : middle + 188 * 40] = np.random.default_rng(1).bytes(188 * 40)
    path.write_bytes(data)
    film = Film("a.ts", size=SIZE, folder=tmp_path)
    shots, pieces = read_all(film)
    assert shots[-1].at > 3.8
    assert len(shots) > 40
    assert len(pieces) > 100
    film.close()


@pytest.mark.parametrize("data", [b"", b"words, and nothing but words\n" * 100, bytes(10_000)])
def test_what_is_no_film_is_refused_in_one_line(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.mp4").write_bytes(data)
    with pytest.raises(FilmError) as caught:
        Film("a.mp4", size=SIZE, folder=tmp_path)
    assert "\n" not in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


def test_a_sound_has_no_picture(tmp_path: Path) -> None:
    make_sound(tmp_path / "a.wav")
    film = Film("a.wav", size=SIZE, folder=tmp_path)
    assert (film.has_picture, film.has_sound, film.seekable) == (False, True, True)
    film.close()

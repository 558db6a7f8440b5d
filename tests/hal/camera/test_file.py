from __future__ import annotations

import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av import VideoFrame
from PIL import Image

from hal.camera import VideoFormat
from hal.camera.file import FileCamera
from hal.camera.scene import Scene, decode
from hal.errors import DeviceNotFound, DeviceUnplugged, FormatUnsupported, OptionInvalid
from hal.planes import plane


def film(
    path: Path, *, frames: int, rate: int, size: tuple[int, int] = (320, 180), title: str = ""
) -> Path:
    scene = Scene(6, *size)
    with av.open(str(path), "w") as container:
        container.metadata["title"] = title
        stream = container.add_stream("libx264", rate, {"preset": "ultrafast", "crf": "18"})
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        for number in range(frames):
            frame = scene.draw(number, 0)
            frame.pts = number
            frame.time_base = Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def read_all(camera: FileCamera, count: int) -> list[VideoFrame]:
    return [camera.read() for _ in range(count)]


def number_in(frame: VideoFrame) -> int:
    code = decode(frame)
    assert code is not None
    assert code.camera == 6
    return code.frame


def test_plays_a_film_with_a_name_in_old_letters(tmp_path: Path) -> None:
    path = film(tmp_path / "film.avi", frames=5, rate=25, title="Xxx-title")
    data = path.read_bytes()
    assert b"Xxx-title" in data
    path.write_bytes(data.replace(b"Xxx-title", "März-Film".encode("latin-1")))
    with FileCamera(device=str(path)) as camera:
        camera.open(VideoFormat(320, 180, 30))
        assert [number_in(frame) for frame in read_all(camera, 2)] == [0, 1]


def test_plays_in_a_loop_with_time_that_goes_on(tmp_path: Path) -> None:
    with FileCamera(device=str(film(tmp_path / "film.mp4", frames=10, rate=25))) as camera:
        assert camera.open(VideoFormat(320, 180, 30)) == VideoFormat(320, 180, 25)
        begin = time.monotonic()
        frames = [camera.read() for _ in range(25)]
        took = time.monotonic() - begin
    assert took >= 0.9, "paced by its timestamps"
    numbers = [number_in(frame) for frame in frames]
    stamps = [frame.pts for frame in frames]
    # A picture whose successor was due already is left out, the others keep their time.
    for number, stamp in zip(numbers, stamps, strict=True):
        assert stamp is not None
        assert (stamp // 3600) % 10 == number
        assert stamp % 3600 == 0
    assert stamps == sorted(set(stamps))
    assert all(frame.time_base == Fraction(1, 90_000) for frame in frames)


def test_a_faster_film_is_thinned_to_the_wanted_rate(tmp_path: Path) -> None:
    with FileCamera(device=str(film(tmp_path / "film.mp4", frames=50, rate=50))) as camera:
        assert camera.open(VideoFormat(320, 180, 10)).rate == 10
        begin = time.monotonic()
        numbers = [number_in(camera.read()) for _ in range(6)]
        assert time.monotonic() - begin >= 0.45
    assert all(number % 5 == 0 for number in numbers)
    assert numbers == sorted(set(numbers))


def test_scales_and_keeps_the_aspect(tmp_path: Path) -> None:
    path = film(tmp_path / "film.mp4", frames=3, rate=25, size=(320, 240))
    with FileCamera(device=str(path)) as camera:
        camera.open(VideoFormat(640, 360, 25))
        frame = camera.read()
    assert (frame.width, frame.height, frame.format.name) == (640, 360, "yuv420p")
    luma = plane(frame, 0)
    assert np.all(luma[:, :78] == 16)
    assert np.all(luma[:, 562:] == 16)
    assert decode(frame, 12.5, 0, 75, 100) is not None
    assert plane(frame, 1)[0, 0] == plane(frame, 2)[0, 0] == 128


def test_a_still_picture_is_a_camera_too(tmp_path: Path) -> None:
    Image.new("RGB", (64, 64), (255, 0, 0)).save(tmp_path / "red.png")
    with FileCamera(device=str(tmp_path / "red.png")) as camera:
        camera.open(VideoFormat(64, 64, 10))
        first, second = camera.read(), camera.read()
    assert first.pts is not None
    assert second.pts is not None
    assert second.pts > first.pts
    assert 78 <= int(plane(second, 0)[32, 32]) <= 84, "red's luma in the limited range is 81"
    red = second.to_ndarray(format="rgb24")[32, 32]
    assert red[0] > 240
    assert max(red[1:]) < 20


def test_a_reader_that_paused_goes_on_where_the_film_stood(tmp_path: Path) -> None:
    with FileCamera(device=str(film(tmp_path / "film.mp4", frames=100, rate=25))) as camera:
        camera.open(VideoFormat(320, 180, 25))
        camera.read()
        camera._start -= 60  # as if the machine had slept for a minute
        assert number_in(camera.read()) < 50


def test_refuses_what_is_no_film(tmp_path: Path) -> None:
    with pytest.raises(DeviceNotFound, match=r"none\.mp4"):
        FileCamera(device=str(tmp_path / "none.mp4")).open(VideoFormat())
    (tmp_path / "text.mp4").write_text("no film" * 1000)
    with pytest.raises(FormatUnsupported):
        FileCamera(device=str(tmp_path / "text.mp4")).open(VideoFormat())
    with pytest.raises(DeviceNotFound):
        FileCamera(device=str(tmp_path)).open(VideoFormat())
    with pytest.raises(OptionInvalid):
        FileCamera(device="")


def test_refuses_sound_without_pictures(tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", 48_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 480), np.int16), "s16", "mono")
        frame.sample_rate = 48_000
        container.mux(stream.encode(frame))
    with pytest.raises(FormatUnsupported, match="no video"):
        FileCamera(device=str(path)).open(VideoFormat())


def test_a_film_deleted_meanwhile_is_unplugged(tmp_path: Path) -> None:
    path = film(tmp_path / "film.mp4", frames=3, rate=25)
    with FileCamera(device=str(path)) as camera:
        camera.open(VideoFormat(320, 180, 25))
        camera.read()
        path.unlink()
        with pytest.raises(DeviceUnplugged):
            read_all(camera, 5)


def test_read_after_close(tmp_path: Path) -> None:
    camera = FileCamera(device=str(film(tmp_path / "film.mp4", frames=3, rate=25)))
    camera.open(VideoFormat(320, 180, 25))
    camera.close()
    camera.close()
    with pytest.raises(DeviceUnplugged, match="not open"):
        camera.read()
    assert FileCamera.devices() == []

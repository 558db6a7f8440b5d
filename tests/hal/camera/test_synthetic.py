from __future__ import annotations

import threading
import time
from fractions import Fraction

import pytest

from hal.camera import VideoFormat, synthetic
from hal.camera.scene import SceneCode, decode
from hal.camera.synthetic import SyntheticCamera
from hal.errors import DeviceNotFound, DeviceStalled, DeviceUnplugged, OptionInvalid

SMALL = VideoFormat(320, 180, 50)

SLOW = VideoFormat(320, 180, 1)
"""So slow that the first picture is read in time on a busy machine, too."""


def read_code(camera: SyntheticCamera) -> SceneCode:
    code = decode(camera.read())
    assert code is not None
    return code


def test_gives_the_wanted_format() -> None:
    with SyntheticCamera() as camera:
        assert camera.open(VideoFormat(1280, 720, 30)) == VideoFormat(1280, 720, 30)
        frame = camera.read()
        assert (frame.format.name, frame.width, frame.height) == ("yuv420p", 1280, 720)


def test_gives_the_nearest_format() -> None:
    with SyntheticCamera() as camera:
        assert camera.open(VideoFormat(9999, 33, 500)) == VideoFormat(3840, 36, 60)
        assert camera.format == VideoFormat(3840, 36, 60)


def test_keeps_its_rate_without_drift() -> None:
    with SyntheticCamera(device_id=7) as camera:
        camera.open(SMALL)
        first = camera.read()
        begin = time.monotonic()
        stamps = []
        while time.monotonic() - begin < 1.0:
            frame = camera.read()
            assert frame.pts is not None
            stamps.append(frame.pts)
        end = time.monotonic()
        last = decode(frame)
        assert last is not None
        # By the frame counter, which counts what a busy machine missed as well.
        assert last.frame / 50 == pytest.approx(end - begin, abs=0.3)
        assert first.time_base == Fraction(1, 90_000)
        assert stamps == sorted(set(stamps))
        assert stamps[-1] == last.frame * 1800


def test_a_late_reader_gets_the_newest_picture() -> None:
    with SyntheticCamera() as camera:
        camera.open(SMALL)
        first = read_code(camera).frame
        pause = threading.Event()
        pause.wait(0.5)
        code = read_code(camera)
        assert code.frame >= first + 24
        assert code.age_ms() < 450, "the next one in turn would be as old as the pause"


def test_the_code_names_the_camera() -> None:
    with SyntheticCamera(device="synthetic:42") as camera:
        camera.open(SMALL)
        assert read_code(camera).camera == 42
        assert camera.device.id == "synthetic:42"


def test_unplug_and_replug() -> None:
    camera = SyntheticCamera()
    camera.open(SLOW)
    camera.read()
    threading.Timer(0.05, camera.unplug).start()
    begin = time.monotonic()
    with pytest.raises(DeviceUnplugged):
        camera.read()
    assert time.monotonic() - begin < 0.9, "at once, not at the next frame"
    camera.close()
    with pytest.raises(DeviceNotFound):
        camera.open(SMALL)
    camera.replug()
    camera.open(SLOW)
    assert read_code(camera).frame == 0
    camera.close()


def test_stall_and_resume() -> None:
    with SyntheticCamera() as camera:
        camera.open(SMALL)
        camera.read()
        camera.stall()
        with pytest.raises(DeviceStalled):
            camera.read()
        camera.resume()
        code = read_code(camera)
        assert code.frame >= 45, "what fell into the stall is lost"
        assert code.age_ms() < 750


def test_close_twice_and_read_after_close() -> None:
    camera = SyntheticCamera()
    camera.open(SMALL)
    camera.close()
    camera.close()
    with pytest.raises(DeviceUnplugged, match="not open"):
        camera.read()


def test_hooks_of_encoding_cameras_do_nothing() -> None:
    with SyntheticCamera() as camera:
        camera.open(SLOW)
        camera.request_keyframe()
        camera.set_bitrate(1)
        assert read_code(camera).frame == 0


def test_bad_number() -> None:
    with pytest.raises(OptionInvalid):
        SyntheticCamera(device_id=256)


def test_to_be_listed_a_camera_draws_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def drawn(*_: object) -> None:
        raise AssertionError("it was drawn")

    monkeypatch.setattr(synthetic, "Scene", drawn)
    assert [device.id for device in SyntheticCamera.devices()] == [
        "synthetic:1",
        "synthetic:2",
    ]

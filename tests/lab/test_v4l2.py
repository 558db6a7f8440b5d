"""Cameras of the kernel's test driver vivid: formats, pace, names, and the pulled plug."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from av import VideoFrame

from hal.camera import VideoFormat
from hal.camera.v4l2 import V4l2Camera
from hal.errors import DeviceBusy, DeviceNotFound, DeviceUnplugged, FormatUnsupported
from tests.lab.kernel_devices import PlatformDevice, wait_for

pytestmark = [pytest.mark.lab, pytest.mark.kernel]

SMALL = VideoFormat(320, 180, 15)


def pictures(camera: V4l2Camera, count: int) -> list[VideoFrame]:
    frames = [camera.read() for _ in range(count)]
    assert all(isinstance(frame, VideoFrame) for frame in frames)
    return [frame for frame in frames if isinstance(frame, VideoFrame)]


def test_a_camera_has_a_name_that_lasts(camera_id: str) -> None:
    (device,) = V4l2Camera.devices()
    assert device.label.startswith("vivid")
    assert device.id.startswith("/dev/v4l/by-path/platform-vivid")
    assert Path(os.path.realpath(device.id)).name.startswith("video")


@pytest.mark.parametrize("wanted", [(320, 180), (640, 360), (600, 350)])
def test_the_size_is_the_one_that_the_driver_gives(camera_id: str, wanted: tuple[int, int]) -> None:
    with V4l2Camera(device=camera_id) as camera:
        found = camera.open(VideoFormat(*wanted, 10))
        frame = pictures(camera, 2)[-1]
    assert (found.width, found.height) == wanted
    assert (frame.width, frame.height, frame.format.name) == (*wanted, "yuv420p")


def test_a_format_that_the_driver_lacks_is_refused(camera_id: str) -> None:
    with V4l2Camera(device=camera_id, pixel_format="mjpeg") as camera:
        with pytest.raises(FormatUnsupported, match="mjpeg"):
            camera.open(SMALL)
    with V4l2Camera(device=camera_id, pixel_format="auto") as camera:
        camera.open(SMALL)
        assert pictures(camera, 1)


def test_the_pictures_are_the_drivers(camera_id: str) -> None:
    """Its pattern is of colour bars, from white at the left to black at the right."""
    with V4l2Camera(device=camera_id) as camera:
        camera.open(SMALL)
        rgb = pictures(camera, 3)[-1].to_ndarray(format="rgb24").astype(int)
    # Below the text that the driver writes into the upper left.
    row = rgb[170, :, :]
    bars = [row[int((n + 0.5) * 320 / 8)] for n in range(8)]
    names = ["".join("rgb"[i] for i in range(3) if bar[i] > 100) for bar in bars]
    assert names == ["rgb", "rg", "gb", "g", "rb", "r", "b", ""]


def test_the_pictures_move_and_their_times_are_the_kernels(camera_id: str) -> None:
    with V4l2Camera(device=camera_id) as camera:
        camera.open(SMALL)
        frames = pictures(camera, 45)
        measured = camera.measured_rate
    times = [float(frame.pts * frame.time_base) for frame in frames if frame.time_base]
    steps = np.diff(times)
    assert all(steps > 0)
    # A driver that falls behind leaves pictures out; their times stay on its beat.
    assert float(np.median(steps)) == pytest.approx(1 / 15, rel=0.3)
    assert measured is not None
    recent = [moment for moment in times if moment > times[-1] - 2]
    assert measured == pytest.approx((len(recent) - 1) / (recent[-1] - recent[0]), rel=0.15)
    assert any((frames[0].to_ndarray() != frame.to_ndarray()).any() for frame in frames[1:]), (
        "the driver's counter changes"
    )


def test_a_camera_is_busy_while_another_has_it(camera_id: str) -> None:
    with V4l2Camera(device=camera_id) as first:
        first.open(SMALL)
        pictures(first, 1)
        with pytest.raises(DeviceBusy, match="in use"):
            V4l2Camera(device=camera_id).open(SMALL)
        pictures(first, 1)
    with V4l2Camera(device=camera_id) as again:
        again.open(SMALL)
        pictures(again, 1)


def test_a_camera_is_pulled_and_comes_back(camera_id: str, webcam: PlatformDevice) -> None:
    camera = V4l2Camera(device=camera_id)
    for _ in range(3):
        with camera:
            camera.open(SMALL)
            pictures(camera, 2)
            webcam.pull()
            with pytest.raises(DeviceUnplugged, match="gone"):
                pictures(camera, 200)
        wait_for("the node to go", lambda: not os.path.lexists(camera_id))
        with pytest.raises(DeviceNotFound, match="not there"):
            camera.open(SMALL)
        assert V4l2Camera.devices() == []
        webcam.put_back()
        wait_for("the link to come", lambda: [d.id for d in V4l2Camera.devices()] == [camera_id])


def test_nothing_stays_open(camera_id: str) -> None:
    def handles() -> int:
        return len(os.listdir("/proc/self/fd"))  # noqa: PTH208

    camera = V4l2Camera(device=camera_id)
    counts = []
    for _ in range(10):
        with camera:
            camera.open(SMALL)
            pictures(camera, 1)
        counts.append(handles())
    assert counts[-1] == counts[1]

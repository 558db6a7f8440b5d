"""The real Picamera2 and libcamera, on libcamera's virtual pipeline."""

from __future__ import annotations

import time
from collections.abc import Iterator

import av
import numpy as np
import pytest
from av import Packet, VideoFrame

from hal.camera import VideoFormat
from hal.camera.picamera2 import Picamera2Camera
from hal.errors import DeviceBusy, DeviceNotFound
from tests.lab.virtual_camera import virtual_camera

pytestmark = [pytest.mark.lab, pytest.mark.kernel]

WANTED = VideoFormat(640, 360, 10)


@pytest.fixture(autouse=True)
def camera_of_ten_pictures(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with virtual_camera(monkeypatch, WANTED.rate):
        yield


def test_it_is_listed() -> None:
    (device,) = Picamera2Camera.devices()
    assert device.backend == "picamera2"
    with pytest.raises(DeviceNotFound):
        Picamera2Camera(device="no such camera").open(WANTED)


def test_frames_are_the_pipelines_pictures() -> None:
    """Its pattern is of eight colour bars, from white to black."""
    with Picamera2Camera(encoder="none") as camera:
        found = camera.open(WANTED)
        assert (found.width, found.height) == (640, 360)
        frames = [camera.read() for _ in range(5)]
        now = time.clock_gettime(time.CLOCK_BOOTTIME)
    last = frames[-1]
    assert isinstance(last, VideoFrame)
    assert (last.width, last.height, last.format.name) == (640, 360, "yuv420p")
    rgb = last.to_ndarray(format="rgb24").astype(int)
    bars = [rgb[180, int((n + 0.5) * 640 / 8)] for n in range(8)]
    names = ["".join("rgb"[i] for i in range(3) if bar[i] > 100) for bar in bars]
    assert names == ["rgb", "rg", "gb", "g", "rb", "r", "b", ""]
    times = [float(frame.pts * frame.time_base) for frame in frames if frame.pts is not None]
    assert all(np.diff(times) > 0)
    assert 0 <= now - times[-1] < 30, "stamped with the kernel's clock"


def test_packets_are_h264_and_the_screen_sees_them_too() -> None:
    decoder = av.CodecContext.create("h264", "r")
    pictures: list[VideoFrame] = []
    with Picamera2Camera(encoder="x264", bitrate=1_000_000) as camera:
        camera.open(WANTED)
        packets = []
        for number in range(8):
            if number == 5:
                camera.request_keyframe()
            packets.append(camera.read())
        preview = camera.preview
    assert all(isinstance(packet, Packet) for packet in packets)
    for packet in packets:
        pictures += decoder.decode(Packet(bytes(packet)))
    assert len(pictures) >= 7
    assert packets[0].is_keyframe
    assert any(packet.is_keyframe for packet in packets[5:])
    assert preview is not None
    shown, sent = preview.to_ndarray()[:360].astype(int), pictures[-1].to_ndarray()[:360]
    assert abs(shown - sent).mean() < 8, "the same picture"


def test_a_camera_is_busy_while_another_has_it() -> None:
    with Picamera2Camera(encoder="none") as first:
        first.open(WANTED)
        first.read()
        with pytest.raises(DeviceBusy):
            Picamera2Camera(encoder="none").open(WANTED)
        first.read()


def test_it_opens_again_and_again() -> None:
    camera = Picamera2Camera(encoder="none")
    for _ in range(3):
        with camera:
            camera.open(WANTED)
            camera.read()

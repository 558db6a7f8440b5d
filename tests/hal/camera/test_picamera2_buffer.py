"""From libcamera's buffers to pictures."""

from __future__ import annotations

from itertools import pairwise

import pytest

from hal.camera.picamera2 import Picamera2Camera
from hal.camera.scene import decode
from hal.errors import (
    FormatUnsupported,
)
from hal.planes import plane
from tests.hal.camera import fake_picamera2 as fake
from tests.hal.camera.ribbon_camera import (
    SMALL,
    frame_of,
)


@pytest.mark.parametrize("pixel_format", ["YUV420", "NV12"])
def test_frames_are_the_sensors_pixels(pi: pytest.MonkeyPatch, pixel_format: str) -> None:
    pi.setattr(fake.Picamera2, "pixel_format", pixel_format)
    with Picamera2Camera(encoder="none") as camera:
        assert camera.open(SMALL) == SMALL
        frames = [frame_of(camera) for _ in range(6)]
        assert camera.preview is None, "`read` gives them already"
    codes = [decode(frame) for frame in frames]
    numbers = [code.frame for code in codes if code is not None]
    assert len(numbers) == 6
    assert numbers == sorted(set(numbers))
    assert {frame.format.name for frame in frames} == {"yuv420p"}
    assert {(frame.width, frame.height) for frame in frames} == {(640, 360)}
    # Colour as well as luma: the pixels are those of the scene, with no padding in them.
    scene = fake.Scene(7, 640, 360).draw(numbers[0], 0)
    for number in (1, 2):
        assert (plane(frames[0], number) == plane(scene, number)).all()
    stamps = [frame.pts for frame in frames if frame.pts is not None]
    steps = {b - a for a, b in pairwise(stamps)}
    counted = [b - a for a, b in pairwise(numbers)]
    assert frames[0].time_base == pytest.approx(1e-6)
    assert max(steps) <= max(counted) * 33_334
    assert min(steps) >= 33_332, "stamped by the sensor, not on arrival"


def test_a_format_that_nobody_asked_for(pi: pytest.MonkeyPatch) -> None:
    pi.setattr(fake.Picamera2, "pixel_format", "XBGR8888")
    with Picamera2Camera(encoder="none") as camera:
        camera.open(SMALL)
        with pytest.raises(FormatUnsupported, match="XBGR8888"):
            camera.read()

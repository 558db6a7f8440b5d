"""Which cameras libcamera has, and which one is opened."""

from __future__ import annotations

import sys

import pytest

from hal import registry
from hal.camera.picamera2 import Picamera2Camera
from hal.errors import (
    BackendUnavailable,
    DeviceNotFound,
)
from tests.hal.camera import fake_picamera2 as fake
from tests.hal.camera.ribbon_camera import (
    IMX708,
    SMALL,
)


@pytest.mark.usefixtures("pi")
def test_cameras_on_ribbons_are_listed_and_usb_ones_are_not() -> None:
    assert [(one.id, one.label, one.kind) for one in Picamera2Camera.devices()] == [
        ("/base/i2c/ov5647@36", "ov5647", "camera"),
        (IMX708, "imx708", "camera"),
    ]


@pytest.mark.usefixtures("pi")
def test_the_named_camera_is_opened_by_its_place_in_the_list() -> None:
    with Picamera2Camera(device=IMX708) as camera:
        camera.open(SMALL)
        assert fake.Picamera2.last.number == 1
        assert camera.device.label == "imx708"
    with Picamera2Camera() as camera:
        camera.open(SMALL)
        assert fake.Picamera2.last.number == 0
    with pytest.raises(DeviceNotFound, match="imx999 is not there"):
        Picamera2Camera(device="imx999").open(SMALL)


def test_without_picamera2_auto_says_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "picamera2", None)
    with pytest.raises(BackendUnavailable, match="python3-picamera2"):
        Picamera2Camera.devices()
    monkeypatch.setattr("hal.camera.v4l2.find", list)
    assert registry.create("camera").device.backend == "synthetic"
    assert "picamera2" not in caplog.text


@pytest.mark.usefixtures("pi")
def test_auto_takes_the_ribbon_camera() -> None:
    assert isinstance(registry.create("camera"), Picamera2Camera)
    found = registry.list_devices("camera")
    assert IMX708 in [device.id for device in found]

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from av import VideoFrame

from hal.camera import VideoFormat
from hal.camera.signal import SignalCamera, flat
from hal.camera.synthetic import SyntheticCamera
from hal.errors import DeviceNotFound, DeviceStalled, DeviceUnplugged

WANTED = VideoFormat(64, 36, 60)


def gray(luma: np.ndarray) -> VideoFrame:
    return VideoFrame.from_ndarray(luma.astype(np.uint8), format="gray").reformat(format="yuv420p")


def exhaust(camera: SignalCamera) -> None:
    while True:
        camera.read()


class Dongle(SyntheticCamera):
    """A dongle that gives one colour while no computer is at it."""

    dark = False
    opened = 0

    def open(self, wanted: VideoFormat) -> VideoFormat:
        self.opened += 1
        return super().open(wanted)

    def close(self) -> None:
        self.opened = 0
        super().close()

    def read(self) -> VideoFrame:
        frame = super().read()
        if self.dark:
            blank = gray(np.full((frame.height, frame.width), 16))
            blank.pts, blank.time_base = frame.pts, Fraction(1, 90_000)
            return blank
        return frame


def test_a_signal_comes_through_whole() -> None:
    dongle = Dongle(device_id=9)
    with SignalCamera(dongle) as camera:
        assert camera.open(WANTED) == camera.format == dongle.format
        assert camera.device == dongle.device
        stamps = [camera.read().pts for _ in range(5)]
        assert stamps == sorted(set(stamps)), "the picture that was waited for comes once"
    assert not dongle.opened


@pytest.mark.parametrize("fault", ["dark", "silent"])
def test_without_a_signal_there_is_no_camera(fault: str) -> None:
    dongle = Dongle(label="HDMI capture")
    dongle.dark = fault == "dark"
    if fault == "silent":
        dongle.stall()
    camera = SignalCamera(dongle, patience=0.2)
    with pytest.raises(DeviceNotFound, match="HDMI capture has no signal; connect a computer"):
        camera.open(WANTED)
    assert not dongle.opened, "the dongle is free again"


def test_a_computer_that_goes_dark_for_long_is_gone() -> None:
    dongle = Dongle()
    with SignalCamera(dongle, patience=60) as camera:
        camera.open(WANTED)
        camera.read()
        dongle.dark = True
        assert flat(camera.read()), "not at the first dark picture"
        camera._patience = 0.1
        with pytest.raises(DeviceUnplugged, match="no signal"):
            exhaust(camera)
        dongle.dark = False
        assert not flat(camera.read())


def test_other_faults_are_what_they_are() -> None:
    dongle = Dongle()
    with SignalCamera(dongle) as camera:
        camera.open(WANTED)
        camera.read()
        dongle.stall()
        with pytest.raises(DeviceStalled):
            camera.read()
        dongle.unplug()
        with pytest.raises(DeviceUnplugged, match="has gone"):
            camera.read()
    with pytest.raises(DeviceNotFound, match="is unplugged"):
        camera.open(WANTED)


def test_what_is_flat() -> None:
    random = np.random.default_rng(1)
    noise = random.integers(-2, 3, (720, 1280))
    assert flat(gray(np.full((720, 1280), 16)))
    assert flat(gray(128 + noise)), "noise is no picture"
    pointer = 128 + noise
    pointer[300:324, 400:416] = 235
    assert not flat(gray(pointer)), "a mouse pointer is"
    assert not flat(gray(np.tile(np.linspace(16, 235, 1280), (720, 1))))

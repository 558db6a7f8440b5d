"""A screen as a camera: a virtual X server of the test's own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest

from hal.camera import VideoFormat
from hal.camera.x11 import X11Camera
from hal.errors import DeviceNotFound, DeviceUnplugged
from hal.planes import plane

LIMIT_S = "120"
"""The X server is ended after this long, whatever becomes of the test."""


@dataclass
class XServer:
    display: str
    process: subprocess.Popen[bytes]

    def end(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Iterator[XServer]:
    timeout, server = shutil.which("timeout"), shutil.which("Xvfb")
    assert timeout, "install coreutils"
    assert server, "install xvfb"
    reader, writer = os.pipe()
    process = subprocess.Popen(
        [
            *(timeout, "--signal=KILL", LIMIT_S, server, "-displayfd", str(writer)),
            *("-screen", "0", "640x480x24", "-nolisten", "tcp", "-noreset", "-wr"),
        ],
        pass_fds=[writer],
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    os.close(writer)
    with os.fdopen(reader) as answer:
        number = answer.readline().strip()
    assert number, "Xvfb did not start"
    made = XServer(f":{number}", process)
    monkeypatch.setenv("DISPLAY", made.display)
    yield made
    made.end()


def read_to_the_end(camera: X11Camera) -> None:
    for _ in range(100):
        camera.read()


def test_the_screen_is_seen(screen: XServer) -> None:
    (device,) = X11Camera.devices()
    assert (device.id, device.backend) == (screen.display, "x11")
    with X11Camera() as camera:
        assert camera.open(VideoFormat(1280, 720, 10)) == VideoFormat(640, 480, 10)
        frames = [camera.read() for _ in range(3)]
    frame = frames[-1]
    assert (frame.width, frame.height, frame.format.name) == (640, 480, "yuv420p")
    # "-wr" makes the root window white: 235 in limited range.
    assert np.median(plane(frame, 0)) == 235
    times = [one.pts for one in frames]
    assert times == sorted(set(times))


def test_a_smaller_picture_keeps_its_shape(screen: XServer) -> None:
    with X11Camera(device=screen.display) as camera:
        assert camera.open(VideoFormat(320, 180, 5)) == VideoFormat(240, 180, 5)
        assert (camera.read().width, camera.read().height) == (240, 180)
        camera.close()
        camera.close()
        with pytest.raises(DeviceUnplugged):
            camera.read()


def test_a_screen_that_goes(screen: XServer) -> None:
    with X11Camera() as camera:
        camera.open(VideoFormat(640, 480, 10))
        camera.read()
        screen.end()
        with pytest.raises(DeviceUnplugged):
            read_to_the_end(camera)
        with pytest.raises(DeviceNotFound):
            camera.open(VideoFormat())


def test_no_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    assert X11Camera.devices() == []
    with pytest.raises(DeviceNotFound, match="':0'"):
        X11Camera()
    with pytest.raises(DeviceNotFound):
        X11Camera(device=":987").open(VideoFormat())
    with pytest.raises(DeviceNotFound):
        X11Camera(device="no display at all").open(VideoFormat())

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import av
import numpy as np
import numpy.typing as npt
import pytest

LIMIT_S = "120"
"""The X server is ended after this long, whatever becomes of the test."""


@dataclass
class XServer:
    """A virtual X server of the test's own, 640 x 480."""

    display: str

    def picture(self) -> npt.NDArray[np.uint8]:
        """What the root window shows: rows x columns x (red, green, blue)."""
        options = {"video_size": "640x480", "framerate": "1000", "draw_mouse": "0"}
        with av.open(self.display, format="x11grab", options=options) as container:
            return next(container.decode(video=0)).to_ndarray(format="rgb24")


@pytest.fixture(scope="module")
def x_process() -> Iterator[XServer]:
    timeout, server = shutil.which("timeout"), shutil.which("Xvfb")
    assert timeout, "install coreutils"
    assert server, "install xvfb"
    reader, writer = os.pipe()
    process = subprocess.Popen(
        [
            *(timeout, "--signal=KILL", LIMIT_S, server, "-displayfd", str(writer)),
            *("-screen", "0", "640x480x24", "-nolisten", "tcp", "-noreset"),
        ],
        pass_fds=[writer],
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    os.close(writer)
    with os.fdopen(reader) as answer:
        number = answer.readline().strip()
    assert number, "Xvfb did not start"
    yield XServer(f":{number}")
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(10)


@pytest.fixture
def x_server(x_process: XServer, monkeypatch: pytest.MonkeyPatch) -> XServer:
    monkeypatch.setenv("DISPLAY", x_process.display)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.delenv("SDL_VIDEODRIVER", raising=False)
    return x_process

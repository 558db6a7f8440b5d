from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from typing import Protocol

import av
import numpy as np
import numpy.typing as npt
import pytest

LIMIT_S = "600"
"""The X server is ended after this long, whatever becomes of the test."""


class Screen(Protocol):
    """What somebody sees who sits before it, and what is done to it."""

    def picture(self) -> npt.NDArray[np.uint8]:
        """What it shows now: rows x columns x (red, green, blue).  640 x 480 at first."""

    def mode(self, width: int, height: int) -> contextlib.AbstractContextManager[None]:
        """Another size of the screen for a while."""


class XServer:
    """A virtual X server of the test's own, 640 x 480."""

    def __init__(self) -> None:
        timeout, server = shutil.which("timeout"), shutil.which("Xvfb")
        assert timeout, "install coreutils"
        assert server, "install xvfb"
        reader, writer = os.pipe()
        self._process = subprocess.Popen(
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
        self.display = f":{number}"
        self._size = (640, 480)

    def picture(self) -> npt.NDArray[np.uint8]:
        """What the root window shows: rows x columns x (red, green, blue)."""
        size = "x".join(map(str, self._size))
        options = {"video_size": size, "framerate": "1000", "draw_mouse": "0"}
        with av.open(self.display, format="x11grab", options=options) as container:
            return next(container.decode(video=0)).to_ndarray(format="rgb24")

    @contextlib.contextmanager
    def mode(self, width: int, height: int) -> Iterator[None]:
        """Another size of the screen for a while."""
        name = f"{width}x{height}"
        clock = ["10", *map(str, (width, *[width + 8] * 2, width + 16))]
        lines = map(str, (height, *[height + 2] * 2, height + 4))
        self._xrandr("--newmode", name, *clock, *lines)
        self._xrandr("--addmode", "screen", name)
        self._xrandr("--output", "screen", "--mode", name)
        before, self._size = self._size, (width, height)
        try:
            yield
        finally:
            self._xrandr("--output", "screen", "--mode", "x".join(map(str, before)))
            self._size = before

    def _xrandr(self, *arguments: str) -> None:
        command = ["xrandr", "--display", self.display, *arguments]
        subprocess.run(command, check=True, capture_output=True, timeout=60)

    def destroy_windows(self) -> None:
        """Destroy each window on the screen, as no window manager would."""
        x11 = ctypes.CDLL("libX11.so.6")
        x11.XOpenDisplay.restype = ctypes.c_void_p
        connection = ctypes.c_void_p(x11.XOpenDisplay(self.display.encode()))
        assert connection
        x11.XDefaultRootWindow.restype = ctypes.c_ulong
        root = ctypes.c_ulong(x11.XDefaultRootWindow(connection))
        x11.XDestroySubwindows(connection, root)
        x11.XSync(connection, 0)
        x11.XCloseDisplay(connection)

    def end(self) -> None:
        """Pull the server down.  Safe to call twice."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(60)


@pytest.fixture(scope="module")
def x_process() -> Iterator[XServer]:
    server = XServer()
    yield server
    server.end()


@pytest.fixture
def new_x_server() -> Iterator[XServer]:
    server = XServer()
    yield server
    server.end()


@pytest.fixture
def x_server(x_process: XServer, monkeypatch: pytest.MonkeyPatch) -> XServer:
    monkeypatch.setenv("DISPLAY", x_process.display)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.delenv("SDL_VIDEODRIVER", raising=False)
    return x_process


@pytest.fixture
def screen(x_server: XServer) -> Screen:
    """The screen that tests of every level look at."""
    return x_server

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import zxingcpp
from av import VideoFrame

from hal.camera.scene import Scene, SceneCode, decode
from hal.device import Device
from hal.display import Banner, Overlay
from hal.display.connectors import find, state_of
from hal.display.memory import MemoryDisplay
from hal.display.sdl import SdlDisplay
from hal.errors import BackendUnavailable, DeviceNotFound, DeviceUnplugged, OptionInvalid

if TYPE_CHECKING:
    from .conftest import Screen, XServer

CANVAS = (0, 12.5, 100, 75)
"""Where a 16:9 canvas lies on the 4:3 screen, in percent."""

LAYER = (50, 50, 50, 37.5)
"""Its lower right quarter."""


@pytest.fixture
def display(screen: Screen) -> Iterator[SdlDisplay]:
    made = SdlDisplay(fullscreen=True)
    made.open()
    yield made
    made.close()


def rgb(array: np.ndarray) -> VideoFrame:
    return VideoFrame.from_ndarray(array, format="rgb24")


def gray(width: int, height: int, level: int) -> VideoFrame:
    array = np.full((height, width), level, np.uint8)
    return VideoFrame.from_ndarray(array, format="gray").reformat(format="yuv420p")


def until(
    display: SdlDisplay,
    screen: Screen,
    frame: VideoFrame | None,
    good: Callable[[np.ndarray], object],
) -> np.ndarray:
    """Show a canvas until what is expected is on the screen."""
    picture = screen.picture()
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        display.show(frame)
        picture = screen.picture()
        if good(picture):
            return picture
    raise AssertionError(f"the screen never came to that; its mean is {picture.mean():.1f}")


def show_until_seen(display: SdlDisplay, screen: Screen, code: SceneCode) -> np.ndarray:
    frame = Scene(code.camera, 1280, 720).draw(code.frame, code.clock_ms)
    return until(display, screen, frame, lambda p: decode(rgb(p), *CANVAS) == code)


def test_canvas_comes_to_the_screen_at_its_aspect(display: SdlDisplay, screen: Screen) -> None:
    picture = show_until_seen(display, screen, SceneCode(3, 77, 88))
    assert not picture[:59].any()
    assert not picture[421:].any()
    newer = show_until_seen(display, screen, SceneCode(3, 78, 99))
    assert not np.array_equal(picture, newer)


def test_colours_are_right(display: SdlDisplay, screen: Screen) -> None:
    picture = show_until_seen(display, screen, SceneCode(3, 1, 1))
    with MemoryDisplay(width=640, height=480) as memory:
        memory.open()
        memory.show(Scene(3, 1280, 720).draw(1, 1))
        expected = memory.picture().to_ndarray()
    difference = np.abs(picture.astype(int) - expected)[110:410]
    assert np.median(difference) <= 4
    assert difference.mean() < 6


def test_overlay_banner_and_mark(display: SdlDisplay, screen: Screen) -> None:
    display.set_overlay(Overlay(Scene(2, 320, 180).draw(5, 6), 50, 50, 50, 50))
    display.set_banner(Banner("Reconnecting"))
    picture = show_until_seen(display, screen, SceneCode(1, 2, 3))
    assert decode(rgb(picture), *LAYER) == SceneCode(2, 5, 6)
    assert picture[440:].max() > 240, "white text"
    assert not (picture[:60, 560:, 0] > 180).any(), "no mark yet"
    display.set_banner(Banner("Reconnecting", muted=True))
    display.show(gray(640, 480, 0))
    marked = until(display, screen, gray(640, 480, 0), lambda p: p[40, 567:625, 0].max() > 180)
    corner = marked[15:75, 565:625].astype(int)
    red = (corner[:, :, 0] > 180) & (corner[:, :, 1] < 60)
    assert red.mean() > 0.4
    assert (corner.min(axis=2) > 200).any(), "the microphone is white"
    display.set_banner(Banner())
    display.set_overlay(None)
    until(display, screen, gray(640, 480, 0), lambda p: not p.any())


def test_overlay_is_mirrored_when_asked(display: SdlDisplay, screen: Screen) -> None:
    half = np.zeros((90, 160), np.uint8)
    half[:, :80] = 255
    frame = VideoFrame.from_ndarray(half, format="gray").reformat(format="yuv420p")
    canvas = gray(640, 480, 100)
    display.set_overlay(Overlay(frame, 0, 0, 50, 50))
    picture = until(display, screen, canvas, lambda p: p[120, 40].min() > 200)
    assert picture[120, 280].max() < 50
    display.set_overlay(Overlay(frame, 0, 0, 50, 50, mirrored=True))
    picture = until(display, screen, canvas, lambda p: p[120, 280].min() > 200)
    assert picture[120, 40].max() < 50


def test_banner_alone_and_size_changes(display: SdlDisplay, screen: Screen) -> None:
    display.set_banner(Banner("No network"))
    picture = until(display, screen, None, lambda p: p[440:].max() > 240)
    assert not picture[:440].any()
    for width, height in ((320, 240), (1280, 960), (62, 46)):
        level = width % 200
        frame = gray(width, height, level)
        until(display, screen, frame, lambda p, v=level: abs(int(p[240, 320, 0]) - v) < 8)


def test_frames_of_other_formats_are_converted(display: SdlDisplay, screen: Screen) -> None:
    red = np.zeros((480, 640, 3), np.uint8)
    red[:, :, 0] = 255
    picture = until(display, screen, rgb(red), lambda p: p[240, 320, 0] > 230)
    assert picture[240, 320, 1:].max() < 30


def test_opens_again(display: SdlDisplay, screen: Screen) -> None:
    display.close()
    display.close()
    with pytest.raises(DeviceUnplugged, match="not open"):
        display.show(None)
    display.open()
    show_until_seen(display, screen, SceneCode(9, 9, 9))


def test_qr_code_lies_over_the_banner(display: SdlDisplay, screen: Screen) -> None:
    link = "http://10.0.0.7:8081/"
    display.set_banner(Banner("Not in a call", link=link))
    picture = until(display, screen, None, lambda p: p[60:400].max() > 200)
    assert [found.text for found in zxingcpp.read_barcodes(picture)] == [link]
    display.set_banner(Banner("Not in a call"))
    until(display, screen, None, lambda p: not p[:430].any())


def test_what_was_shown_last_is_what_is_seen(display: SdlDisplay, screen: Screen) -> None:
    for number in range(30):
        display.show(Scene(3, 640, 480).draw(number))
    # Nothing is shown any more: what is older has no way to come after it.
    deadline = time.monotonic() + 30
    while (code := decode(rgb(screen.picture()))) is None or code.frame != 29:
        assert time.monotonic() < deadline, f"the screen stays at {code}"
    assert decode(rgb(screen.picture())) == code


def test_full_screen_follows_another_mode(display: SdlDisplay, screen: Screen) -> None:
    show_until_seen(display, screen, SceneCode(4, 5, 6))
    with screen.mode(320, 240):
        picture = until(
            display,
            screen,
            Scene(4, 1280, 720).draw(7, 8),
            lambda p: p.shape == (240, 320, 3) and decode(rgb(p), *CANVAS) == SceneCode(4, 7, 8),
        )
        assert not picture[:29].any()
    show_until_seen(display, screen, SceneCode(4, 9, 9))


def test_a_window_that_was_destroyed_is_an_unplugged_screen(
    display: SdlDisplay, x_server: XServer
) -> None:
    show_until_seen(display, x_server, SceneCode(4, 5, 6))
    x_server.destroy_windows()
    with pytest.raises(DeviceUnplugged, match="window was closed"):
        display.show(gray(64, 48, 90))
    display.close()
    display.open()
    show_until_seen(display, x_server, SceneCode(4, 6, 7))


def test_the_end_of_the_desktop_is_not_the_end_of_the_process(new_x_server: XServer) -> None:
    # In a process of its own: SDL cannot be had back from a server that has gone.
    script = """
        import sys
        from hal.display.sdl import SdlDisplay
        from hal.errors import BackendUnavailable, DeviceUnplugged

        display = SdlDisplay()
        display.open()
        display.show(None)
        print("shown", flush=True)
        sys.stdin.readline()
        for action in (lambda: display.show(None), display.open):
            try:
                action()
            except (BackendUnavailable, DeviceUnplugged) as error:
                print(error, flush=True)
            display.close()
        print("alive")
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"DISPLAY": new_x_server.display},
    )
    with process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "shown\n"
            new_x_server.end()
            said, _ = process.communicate("go on\n", timeout=60)
        finally:
            process.kill()
    assert said.splitlines() == [
        "the desktop has ended; open the display again",
        "the desktop that the window was on has ended; start Roomlet again",
        "alive",
    ]
    assert process.returncode == 0


class Console:
    """A machine without a desktop, whose connectors are files, under SDL's driver for none."""

    def __init__(self, folder: Path) -> None:
        self.connector = folder / "class" / "drm" / "card0-HDMI-A-1"
        self.connector.mkdir(parents=True)
        self.plug("connected", "1920x1080\n")

    def plug(self, status: str, modes: str = "") -> None:
        (self.connector / "status").write_text(status)
        (self.connector / "modes").write_text(modes)


@pytest.fixture
def console(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Console:
    monkeypatch.setattr("hal.display.sdl.find", lambda: find(tmp_path, {}))
    monkeypatch.setattr("hal.display.sdl.state_of", lambda name: state_of(name, tmp_path))
    monkeypatch.setattr("hal.display.sdl._drivers", lambda **_: b"dummy")
    monkeypatch.setattr("hal.display.connectors.LOOK_EVERY", 0.0)
    return Console(tmp_path)


def test_a_screen_that_is_pulled_and_comes_back(console: Console) -> None:
    with SdlDisplay() as display:
        display.open()
        assert display.device.id == "HDMI-A-1"
        display.show(gray(64, 48, 90))
        console.plug("disconnected")
        with pytest.raises(DeviceUnplugged, match="no screen is connected"):
            display.show(gray(64, 48, 90))
        with pytest.raises(DeviceNotFound):
            display.open()
        console.plug("connected", "1280x720\n")
        display.open()
        display.show(gray(64, 48, 90))


def test_another_screen_at_the_connector_is_opened_anew(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[int] = []
    create = SdlDisplay._create
    monkeypatch.setattr(
        SdlDisplay,
        "_create",
        lambda self, index, **options: (opened.append(index), create(self, index, **options))[1],
    )
    with SdlDisplay() as display:
        display.open()
        for _ in range(3):
            display.show(gray(64, 48, 90))
        assert len(opened) == 1
        console.plug("connected", "1280x720\n")
        for _ in range(3):
            display.show(gray(64, 48, 90))
        assert len(opened) == 2


def test_the_console_waits_for_the_scan_with_two_buffers(console: Console) -> None:
    import sdl2

    with SdlDisplay() as display:
        display.open()
        info = sdl2.SDL_RendererInfo()
        assert sdl2.SDL_GetRendererInfo(display._renderer, info) == 0
        assert info.flags & sdl2.SDL_RENDERER_PRESENTVSYNC
        assert sdl2.SDL_GetHint(sdl2.SDL_HINT_VIDEO_DOUBLE_BUFFER) == b"1"


def test_the_renderer_is_opengl_es_on_the_console(console: Console) -> None:
    import sdl2

    with SdlDisplay() as display:
        display.open()
        assert sdl2.SDL_GetHint(sdl2.SDL_HINT_RENDER_DRIVER) == b"opengles2"


def test_the_renderer_is_sdls_choice_on_a_desktop(display: SdlDisplay) -> None:
    import sdl2

    assert not sdl2.SDL_GetHint(sdl2.SDL_HINT_RENDER_DRIVER)


def test_works_on_a_thread_of_its_own(x_server: XServer) -> None:
    display = SdlDisplay(width=320, height=240)
    result: list[object] = []

    def playout() -> None:
        try:
            display.open()
            for number in range(5):
                display.show(Scene(1, 320, 240).draw(number))
            result.append(display.device)
        except Exception as error:
            result.append(error)
        finally:
            display.close()

    display.set_banner(Banner("hello"))
    thread = threading.Thread(target=playout)
    thread.start()
    thread.join(30)
    assert result == [Device("window", "Window on the desktop", "display", "sdl")]


def test_a_closed_window_is_an_unplugged_screen(display: SdlDisplay) -> None:
    import sdl2

    display.show(None)
    event = sdl2.SDL_Event()
    event.type = sdl2.SDL_WINDOWEVENT
    event.window.event = sdl2.SDL_WINDOWEVENT_CLOSE
    assert sdl2.SDL_PushEvent(ctypes.byref(event)) == 1
    with pytest.raises(DeviceUnplugged, match="window was closed"):
        display.show(None)


def test_no_screen_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr("hal.display.sdl.find", list)
    with pytest.raises(DeviceNotFound, match="no screen is connected"):
        SdlDisplay().open()


def test_a_desktop_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", ":987")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(BackendUnavailable, match="SDL cannot open the screen"):
        SdlDisplay().open()
    with pytest.raises(DeviceNotFound, match="there is window"):
        SdlDisplay(device="HDMI-A-1").open()


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sdl2", None)
    with pytest.raises(BackendUnavailable, match="PySDL2"):
        SdlDisplay.devices()


def test_bad_size() -> None:
    with pytest.raises(OptionInvalid):
        SdlDisplay(width=5)

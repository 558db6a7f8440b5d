"""SDL on the kernel's own screen (KMS/DRM), without a desktop: what is seen, and the pulled plug.

The tests of the pictures are those of level 1, on another screen.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from hal.display.sdl import SdlDisplay
from hal.errors import DeviceNotFound, DeviceUnplugged
from tests.hal.display.test_sdl import (
    SceneCode,
    display,  # noqa: F401
    gray,
    show_until_seen,
    test_banner_alone_and_size_changes,  # noqa: F401
    test_canvas_comes_to_the_screen_at_its_aspect,  # noqa: F401
    test_colours_are_right,  # noqa: F401
    test_frames_of_other_formats_are_converted,  # noqa: F401
    test_full_screen_follows_another_mode,  # noqa: F401
    test_opens_again,  # noqa: F401
    test_overlay_banner_and_mark,  # noqa: F401
    test_overlay_is_mirrored_when_asked,  # noqa: F401
    test_qr_code_lies_over_the_banner,  # noqa: F401
    test_what_was_shown_last_is_what_is_seen,  # noqa: F401
)
from tests.lab.kernel_screen import KernelScreen, Monitor

pytestmark = [pytest.mark.lab, pytest.mark.kernel]


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Iterator[KernelScreen]:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER"):
        monkeypatch.delenv(name, raising=False)
    monitor = Monitor()
    yield KernelScreen(monitor)
    monitor.close()


def test_the_screen_is_listed_by_its_connector(screen: KernelScreen) -> None:
    import sdl2

    (device,) = SdlDisplay.devices()
    assert device.id == screen.name
    with SdlDisplay() as shown:
        shown.open()
        assert shown.device.id == screen.name
        assert sdl2.SDL_GetCurrentVideoDriver() == b"KMSDRM"
        info = sdl2.SDL_RendererInfo()
        assert sdl2.SDL_GetRendererInfo(shown._renderer, info) == 0
        assert info.name == b"opengles2"


def test_a_screen_is_pulled_and_comes_back(screen: KernelScreen) -> None:
    with SdlDisplay() as shown:
        shown.open()
        for number in range(3):
            show_until_seen(shown, screen, SceneCode(7, number, 1))
            screen.pull()
            with pytest.raises(DeviceUnplugged, match="no screen is connected"):
                _go_on(shown)
            with pytest.raises(DeviceNotFound):
                shown.open()
            assert SdlDisplay.devices() == []
            screen.put_back()
            shown.open()
        show_until_seen(shown, screen, SceneCode(7, 9, 1))


def _go_on(shown: SdlDisplay) -> None:
    """Show pictures for ten seconds."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        shown.show(gray(64, 48, 90))

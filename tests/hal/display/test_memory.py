from __future__ import annotations

import threading

import numpy as np
import pytest
from av import VideoFrame

from hal.camera.scene import Scene, SceneCode, decode
from hal.display import Banner, Overlay
from hal.display.memory import MemoryDisplay
from hal.errors import DeviceNotFound, DeviceUnplugged, OptionInvalid


def plain(width: int, height: int, luma: int) -> VideoFrame:
    gray = np.full((height, width), luma, np.uint8)
    return VideoFrame.from_ndarray(gray, format="gray").reformat(format="yuv420p")


def seen(display: MemoryDisplay) -> np.ndarray:
    return display.picture().to_ndarray()


def test_dark_until_something_is_shown() -> None:
    with MemoryDisplay(width=320, height=180) as display:
        display.open()
        assert not seen(display).any()
        assert (display.picture().width, display.picture().height) == (320, 180)
        assert display.shown == 0


def test_shows_the_canvas_at_its_aspect() -> None:
    with MemoryDisplay(width=640, height=480) as display:
        display.open()
        display.show(Scene(4, 1280, 720).draw(12, 34))
        picture = seen(display)
        assert not picture[:60].any()
        assert not picture[420:].any()
        assert decode(display.picture(), 0, 12.5, 100, 75) == SceneCode(4, 12, 34)
        assert display.frame is not None
        assert decode(display.frame) == SceneCode(4, 12, 34)


def test_overlay_lies_on_its_layer() -> None:
    with MemoryDisplay(width=640, height=480) as display:
        display.open()
        display.set_overlay(Overlay(Scene(2, 320, 180).draw(7, 8), 50, 50, 50, 50))
        display.show(Scene(1, 1280, 720).draw(5, 6))
        picture = display.picture()
        assert decode(picture, 0, 12.5, 100, 75) == SceneCode(1, 5, 6)
        assert decode(picture, 50, 50, 50, 37.5) == SceneCode(2, 7, 8)
        display.set_overlay(None)
        assert decode(display.picture(), 50, 50, 50, 37.5) is not None, "until the next picture"
        display.show(Scene(1, 1280, 720).draw(6, 6))
        assert decode(display.picture(), 50, 50, 50, 37.5) is None


def test_overlay_can_be_mirrored() -> None:
    half = np.zeros((90, 160), np.uint8)
    half[:, :80] = 255
    frame = VideoFrame.from_ndarray(half, format="gray").reformat(format="yuv420p")
    with MemoryDisplay(width=320, height=180) as display:
        display.open()
        for mirrored in (False, True):
            display.set_overlay(Overlay(frame, 0, 0, 50, 50, mirrored=mirrored))
            display.show(plain(320, 180, 128))
            left, right = seen(display)[45, 40].mean(), seen(display)[45, 120].mean()
            assert (left > 200, right > 200) == (not mirrored, mirrored)


def test_banner_and_mute_mark() -> None:
    with MemoryDisplay(width=640, height=360) as display:
        display.open()
        display.show(plain(640, 360, 128))
        before = seen(display).astype(int)
        display.set_banner(Banner("Reconnecting", muted=True))
        display.show(plain(640, 360, 128))
        after = seen(display).astype(int)
        assert np.array_equal(before[60:320], after[60:320])
        bar = after[330:]
        assert bar.min() < 60, "the bar darkens what is below"
        assert bar.max() > 240, "and there is white text on it"
        corner = after[:60, 580:]
        red = (corner[:, :, 0] > 180) & (corner[:, :, 1] < 60)
        assert red.mean() > 0.2
        display.set_banner(Banner())
        display.show(plain(640, 360, 128))
        assert np.array_equal(seen(display), before)


def test_banner_alone() -> None:
    with MemoryDisplay(width=640, height=360) as display:
        display.open()
        display.set_banner(Banner("No network"))
        display.set_overlay(Overlay(plain(64, 36, 200), 0, 0, 100, 100))
        display.show(None)
        picture = seen(display)
        assert not picture[:330].any()
        assert picture[330:].max() > 240
        assert display.frame is None


def test_waits_for_pictures() -> None:
    with MemoryDisplay() as display:
        display.open()
        assert not display.wait(1, 0.01)
        threading.Timer(0.05, display.show, [None]).start()
        assert display.wait(1, 10)
        assert display.shown == 1
        assert display.shown_at > 0
        threading.Timer(0.05, display.close).start()
        assert not display.wait(2, 10), "closing ends the wait"


def test_faults_and_closing() -> None:
    display = MemoryDisplay()
    with pytest.raises(DeviceUnplugged, match="not open"):
        display.show(None)
    display.open()
    display.show(plain(64, 36, 200))
    display.unplug()
    with pytest.raises(DeviceUnplugged, match="gone"):
        display.show(None)
    with pytest.raises(DeviceNotFound):
        display.open()
    display.replug()
    display.open()
    display.show(plain(64, 36, 200))
    display.close()
    display.close()
    assert not seen(display).any()
    assert MemoryDisplay.devices()[0].id == "memory"
    with pytest.raises(OptionInvalid):
        MemoryDisplay(width=1)

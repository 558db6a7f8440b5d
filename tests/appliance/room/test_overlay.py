"""The own picture over its place on the canvas."""

from __future__ import annotations

from typing import Any

import pytest
from av import VideoFrame

from appliance.room.overlay import LocalOverlay
from hal.display import Overlay


class Screen:
    def __init__(self) -> None:
        self.overlay: Overlay | None = None
        self.changes = 0

    def set_overlay(self, overlay: Overlay | None) -> None:
        self.overlay = overlay
        self.changes += 1


class Camera:
    def __init__(self) -> None:
        self.preview: VideoFrame | None = VideoFrame(16, 16, "yuv420p")


def layer(member_id: str | None = "me", **fields: Any) -> dict[str, Any]:
    place = {"x": 50, "y": 0.5, "width": 50, "height": 99.5, "visible": True}
    return {"member_id": member_id, **place, **fields}


@pytest.fixture
def screen() -> Screen:
    return Screen()


@pytest.fixture
def camera() -> Camera:
    return Camera()


@pytest.fixture
def overlay(screen: Screen, camera: Camera) -> LocalOverlay:
    made = LocalOverlay()
    made.bind(screen, camera)
    return made


def test_lies_on_its_layer(overlay: LocalOverlay, screen: Screen, camera: Camera) -> None:
    overlay.place("me", [layer("other", x=0), layer()])
    assert screen.overlay is not None
    shown = screen.overlay
    assert (shown.x, shown.y, shown.width, shown.height) == (50, 0.5, 50, 99.5)
    assert shown.frame is camera.preview
    assert not shown.mirrored
    assert overlay.visible


def test_follows_the_camera(overlay: LocalOverlay, screen: Screen, camera: Camera) -> None:
    overlay.place("me", [layer()])
    camera.preview = VideoFrame(32, 32, "yuv420p")
    overlay.draw()
    assert screen.overlay is not None
    assert screen.overlay.frame is camera.preview
    camera.preview = None  # the gate has closed
    overlay.draw()
    assert screen.overlay is None
    assert not overlay.visible


def test_mirrored(overlay: LocalOverlay, screen: Screen) -> None:
    overlay.set_mirrored(True)
    overlay.place("me", [layer()])
    assert overlay.mirrored
    assert screen.overlay is not None
    assert screen.overlay.mirrored


@pytest.mark.parametrize(
    "layers",
    [[], [layer("other")], [layer(visible=False)], [layer(None)], [layer(x="left")], [None, 7]],
)
def test_hidden(overlay: LocalOverlay, screen: Screen, layers: list[Any]) -> None:
    overlay.place("me", [layer()])
    overlay.place("me", layers)
    assert screen.overlay is None
    assert not overlay.visible


def test_nobody_without_an_id(overlay: LocalOverlay, screen: Screen) -> None:
    overlay.place(None, [layer(None)])
    assert screen.changes == 0


def test_unbound_takes_it_away(overlay: LocalOverlay, screen: Screen) -> None:
    overlay.place("me", [layer()])
    overlay.bind(None, None)
    assert screen.overlay is None
    overlay.draw()
    assert screen.overlay is None


def test_switched_off(screen: Screen, camera: Camera) -> None:
    overlay = LocalOverlay(enabled=False)
    overlay.bind(screen, camera)
    overlay.place("me", [layer()])
    assert screen.changes == 0

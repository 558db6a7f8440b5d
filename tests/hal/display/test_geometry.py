from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hal.display.geometry import Rect, banner, fit, layer, mark

sizes = st.integers(16, 4000)
boxes = st.builds(Rect, st.integers(0, 500), st.integers(0, 500), sizes, sizes)
percents = st.floats(-50, 150)


def inside(inner: Rect, outer: Rect) -> bool:
    return (
        outer.x <= inner.x
        and outer.y <= inner.y
        and inner.right <= outer.right
        and inner.bottom <= outer.bottom
    )


@given(sizes, sizes, boxes, st.sampled_from([1, 2]))
def test_fit_lies_inside_and_touches_two_edges(
    width: int, height: int, box: Rect, grain: int
) -> None:
    found = fit(width, height, box, grain)
    assert inside(found, box)
    assert found.width % grain == found.height % grain == 0
    assert (found.x - box.x) % grain == (found.y - box.y) % grain == 0
    assert box.width - found.width < grain + 1 or box.height - found.height < grain + 1


@given(sizes, sizes, boxes)
def test_fit_keeps_the_aspect_and_the_middle(width: int, height: int, box: Rect) -> None:
    found = fit(width, height, box)
    assert abs(found.width * height - found.height * width) <= max(width, height)
    assert abs((found.x - box.x) - (box.right - found.right)) <= 1
    assert abs((found.y - box.y) - (box.bottom - found.bottom)) <= 1


def test_fit_by_hand() -> None:
    assert fit(640, 480, Rect(0, 0, 1280, 720)) == Rect(160, 0, 960, 720)
    assert fit(1280, 720, Rect(0, 0, 640, 480)) == Rect(0, 60, 640, 360)
    assert fit(640, 480, Rect(0, 0, 640, 360), 2) == Rect(80, 0, 480, 360)
    assert fit(0, 0, Rect(5, 5, 10, 10)) == Rect(5, 5, 0, 0)


@given(boxes, percents, percents, st.floats(0, 150), st.floats(0, 150))
def test_layer_lies_on_the_canvas(
    canvas: Rect, x: float, y: float, width: float, height: float
) -> None:
    assert inside(layer(canvas, x, y, width, height), canvas)


@given(boxes, st.floats(0, 100), st.floats(0, 100))
def test_neighbours_meet_without_gap_or_overlap(canvas: Rect, cut: float, down: float) -> None:
    left = layer(canvas, 0, 0, cut, down)
    right = layer(canvas, cut, 0, 100 - cut, down)
    below = layer(canvas, 0, down, cut, 100 - down)
    assert left.right == right.x
    assert left.bottom == below.y


def test_layer_by_hand() -> None:
    canvas = Rect(0, 60, 640, 360)
    assert layer(canvas, 0, 0, 100, 100) == canvas
    assert layer(canvas, 75, 75, 25, 25) == Rect(480, 330, 160, 90)
    assert layer(canvas, 90, 0, 20, 50) == Rect(576, 60, 64, 180)
    assert layer(canvas, 120, 0, 20, 50).width == 0


@given(boxes)
def test_banner_and_mark_lie_on_the_screen(screen: Rect) -> None:
    bar, disc = banner(screen), mark(screen)
    assert inside(bar, screen)
    assert inside(disc, screen)
    assert bar.bottom == screen.bottom
    assert bar.width == screen.width
    assert disc.width == disc.height > 0


@pytest.mark.parametrize("screen", [Rect(0, 0, 1280, 720), Rect(0, 0, 720, 1280)])
def test_banner_and_mark_do_not_meet(screen: Rect) -> None:
    assert mark(screen).bottom < banner(screen).y

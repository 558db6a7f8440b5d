from __future__ import annotations

import numpy as np
import pytest
from av import VideoFrame
from hypothesis import given
from hypothesis import strategies as st

from appliance.hub.yuv import Colour, Picture, Rect, Stencil, even, planes

GREY = Colour(100, 110, 120)
RED = Colour.rgb(0xFF0000)


def flat(width: int, height: int, colour: Colour) -> VideoFrame:
    picture = Picture(width, height)
    picture.fill(Rect(0, 0, width, height), colour)
    return picture.frame


def test_what_is_painted_is_in_the_frame() -> None:
    picture = Picture(64, 32)
    picture.fill(Rect(0, 0, 64, 32), GREY)
    picture.fill(Rect(16, 8, 8, 4), RED)
    shown = picture.frame.to_ndarray()
    assert shown[:32][8:12, 16:24].tolist() == [[RED.y] * 8] * 4
    assert np.count_nonzero(shown[:32] == RED.y) == 32
    assert np.count_nonzero(shown[32:] == RED.u) == 8
    assert np.count_nonzero(shown[32:] == RED.v) == 8
    rgb = picture.frame.to_ndarray(format="rgb24")
    assert rgb[10, 20, 0] > 240
    assert rgb[10, 20, 1] < 15


@pytest.mark.parametrize("value", [0x000000, 0xFFFFFF, 0x3D6FB4, 0x00FF00, 0x2A2E37])
def test_colours_come_out_as_they_were_named(value: int) -> None:
    rgb = flat(16, 16, Colour.rgb(value)).to_ndarray(format="rgb24")[8, 8].tolist()
    assert rgb == pytest.approx([value >> 16, value >> 8 & 255, value & 255], abs=4)


def test_a_window_of_a_padded_frame_is_pasted_with_its_chroma() -> None:
    # Rows of 50 pixels are padded in memory; the left half differs from the right one.
    source = VideoFrame(50, 20, "yuv420p")
    for plane, left, right in zip(planes(source), (10, 20, 30), (200, 210, 220), strict=True):
        plane[:, : plane.shape[1] // 2] = left
        plane[:, plane.shape[1] // 2 :] = right
    picture = Picture(40, 40)
    picture.fill(Rect(0, 0, 40, 40), GREY)
    picture.paste(source, Rect(8, 4, 10, 12), 20, 6)
    assert picture.y[4:16, 8:18].tolist() == [[10] * 5 + [200] * 5] * 12
    assert picture.u[2:8, 4:9].tolist() == [[20, 20] + [210] * 3] * 6
    assert picture.v[2:8, 4:9].tolist() == [[30, 30] + [220] * 3] * 6
    assert np.count_nonzero(picture.y != GREY.y) == 120
    assert np.count_nonzero(picture.u != GREY.u) == 30


@given(st.integers(0, 255), st.integers(0, 255), st.integers(0, 255))
def test_a_blend_is_the_weighted_mean(under: int, over: int, coverage: int) -> None:
    picture = Picture(4, 4)
    picture.fill(Rect(0, 0, 4, 4), Colour(under, under, under))
    Stencil(np.full((2, 2), coverage, np.uint8), Colour(over, over, over)).onto(picture, 2, 2)
    expected = under + (over - under) * coverage / 255
    for value in (picture.y[2, 2], picture.y[3, 3], picture.u[1, 1], picture.v[1, 1]):
        assert int(value) == pytest.approx(expected, abs=1.01)
    assert picture.y[0, 0] == picture.u[0, 0] == under
    if coverage == 0:
        assert picture.y[2, 2] == under
    if coverage == 255:
        assert picture.y[2, 2] == over


def test_an_odd_stencil_is_padded_and_can_be_used_again() -> None:
    stencil = Stencil(np.full((3, 5), 255, np.uint8), RED)
    assert (stencil.width, stencil.height) == (6, 4)
    for _ in range(2):
        picture = Picture(8, 8)
        picture.fill(Rect(0, 0, 8, 8), GREY)
        stencil.onto(picture, 0, 0)
        assert np.count_nonzero(picture.y == RED.y) == 15
        assert picture.u[0, 0] == RED.u
        # One pixel of the four under the last chroma sample is covered.
        assert int(picture.u[1, 2]) == pytest.approx(GREY.u + (RED.u - GREY.u) / 4, abs=1)


def test_rectangles_that_only_touch_do_not_cross() -> None:
    one = Rect(0, 0, 10, 10)
    assert one.crosses(Rect(8, 8, 10, 10))
    assert Rect(2, 2, 2, 2).crosses(one)
    assert not one.crosses(Rect(10, 0, 10, 10))
    assert not one.crosses(Rect(0, 10, 10, 10))


def test_sides_must_be_even() -> None:
    assert [even(value) for value in (0, 0.9, 1.1, 2, 3.1, 359.9)] == [0, 0, 2, 2, 4, 360]
    with pytest.raises(ValueError, match="not 3x4"):
        Picture(3, 4)

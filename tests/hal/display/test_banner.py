from __future__ import annotations

import numpy as np
import pytest

from hal.display import banner as module
from hal.display.banner import draw_mark, draw_text


def white(picture: np.ndarray) -> np.ndarray:
    return np.all(picture[:, :, :3] > 200, axis=2)


def test_text_is_white_in_the_middle_of_a_dark_bar() -> None:
    picture = draw_text("Joining", 640, 60)
    assert picture.shape == (60, 640, 4)
    assert tuple(picture[0, 0]) == (0, 0, 0, 176)
    rows, columns = np.nonzero(white(picture))
    assert columns.size > 100
    assert abs((columns.min() + columns.max()) / 2 - 320) < 5
    assert abs((rows.min() + rows.max()) / 2 - 30) < 8


def test_different_texts_look_different() -> None:
    assert not np.array_equal(draw_text("Oak", 300, 40), draw_text("Elm", 300, 40))


def test_long_text_stays_inside() -> None:
    picture = draw_text("a very long line\nwith a break " * 40, 640, 60)
    _, columns = np.nonzero(white(picture))
    assert columns.min() >= 10
    assert columns.max() <= 630
    assert columns.max() - columns.min() > 500


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (200, 3)])
def test_tiny_bars_do_not_fail(size: tuple[int, int]) -> None:
    assert draw_text("x", *size).shape == (size[1], size[0], 4)


def test_without_the_font_the_text_is_still_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FONT", "NoSuchFont.ttf")
    module.font.cache_clear()
    try:
        assert white(draw_text("Joining", 640, 60)).sum() > 100
    finally:
        module.font.cache_clear()


def test_mark_is_a_red_disc_with_something_white() -> None:
    picture = draw_mark(90)
    assert picture.shape == (90, 90, 4)
    assert picture[0, 0, 3] == 0, "clear outside the disc"
    assert picture[45, 3, 3] == 255
    red = (picture[:, :, 0] > 180) & (picture[:, :, 1] < 60) & (picture[:, :, 3] == 255)
    assert 0.4 < red.mean() < 0.79
    assert white(picture).sum() > 100
    assert draw_mark(0).shape == (1, 1, 4)

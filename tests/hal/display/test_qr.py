from __future__ import annotations

import numpy as np
import pytest
import zxingcpp

from hal.display import Banner
from hal.display.geometry import Rect, banner, code, mark
from hal.display.memory import MemoryDisplay
from hal.display.qr import draw_qr

LINK = "http://192.168.100.200:8081/"


def read(picture: np.ndarray) -> list[str]:
    """The codes that another program sees in an RGB picture."""
    return [found.text for found in zxingcpp.read_barcodes(np.ascontiguousarray(picture))]


@pytest.mark.parametrize("size", [(90, 101), (324, 364), (486, 547)])
def test_another_program_reads_it(size: tuple[int, int]) -> None:
    picture = draw_qr(LINK, *size)
    assert picture.shape == (size[1], size[0], 4)
    assert (picture[:, :, 3] == 255).all()
    assert set(np.unique(picture[: size[0] // 2, :, 0])) == {0, 255}, "no blurred edge"
    assert read(picture[:, :, :3]) == [LINK]


def test_the_text_stands_below_where_it_fits() -> None:
    with_text = draw_qr(LINK, 324, 364)
    assert (with_text[310:, :, 0] < 128).any()
    assert not (draw_qr(LINK, 60, 68)[60:, :, 0] < 128).any()


@pytest.mark.parametrize("size", [(1, 1), (10, 12), (3, 50)])
def test_a_card_that_is_too_small_is_white(size: tuple[int, int]) -> None:
    assert (draw_qr(LINK, *size) == 255).all()


@pytest.mark.parametrize("screen", [Rect(0, 0, 1280, 720), Rect(0, 0, 720, 1280)])
def test_it_lies_clear_of_banner_and_mark(screen: Rect) -> None:
    card = code(screen)
    assert card.bottom < banner(screen).y
    assert card.right < mark(screen).x or card.y > mark(screen).bottom
    assert abs(2 * card.x + card.width - screen.width) <= 1


def test_the_screen_shows_it_and_takes_it_away() -> None:
    with MemoryDisplay(width=640, height=360) as display:
        display.open()
        display.set_banner(Banner("Not in a call", link=LINK))
        display.show(None)
        assert read(display.picture().to_ndarray()) == [LINK]
        display.set_banner(Banner("Not in a call"))
        display.show(None)
        assert not display.picture().to_ndarray()[:300].any()

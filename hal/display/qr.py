"""A QR code on a white card, with its text below for those who type."""

from __future__ import annotations

import io
from typing import Final

import numpy as np
import segno
from PIL import Image, ImageDraw

from hal.display.banner import Rgba, font

QUIET: Final = 4
"""Modules of white round the code, by its standard (ISO/IEC 18004)."""

_WHITE: Final = (255, 255, 255, 255)
_BLACK: Final = (0, 0, 0, 255)


def draw_qr(text: str, width: int, height: int) -> Rgba:
    """The code of `text` as large as it fits, over its text in one line.

    The card is opaque.  The code fills its upper part in whole pixels a module, so that no edge is
    blurred; where not even one pixel a module fits, the card is white.
    """
    card = Image.new("RGBA", (width, height), _WHITE)
    code = segno.make(text, error="m", micro=False)
    modules = code.symbol_size(border=QUIET)[0]
    caption = max(height - width, 0)
    scale = min(width, height - caption) // modules
    if not scale:
        return _pixels(card)
    picture = io.BytesIO()
    code.save(picture, kind="png", scale=scale, border=QUIET)
    drawn = Image.open(picture).convert("RGBA")
    left = (width - drawn.width) // 2
    top = (height - caption - drawn.height) // 2
    card.paste(drawn, (left, top))
    size = caption
    room = width - 2 * scale
    while size > 6 and font(size).getlength(text) > room:
        size -= 1
    if caption and font(size).getlength(text) <= room:
        middle = (width / 2, top + drawn.height)
        ImageDraw.Draw(card).text(middle, text, _BLACK, font(size), anchor="mt")
    return _pixels(card)


def _pixels(image: Image.Image) -> Rgba:
    return np.asarray(image, np.uint8)

"""The banner and the mute mark as pictures with transparency."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

Rgba = npt.NDArray[np.uint8]
"""Rows x columns x (red, green, blue, alpha), alpha not multiplied in."""

BACKGROUND: Final = (0, 0, 0, 176)
TEXT: Final = (255, 255, 255, 255)
MUTE_RED: Final = (220, 0, 0, 255)

_FONT: Final = "DejaVuSans.ttf"
_ELLIPSIS: Final = "\u2026"
_OVERSAMPLE: Final = 4


def draw_text(text: str, width: int, height: int) -> Rgba:
    """One line of white text, centred on a dark, half transparent bar of the given size.

    Text that is too long is made smaller, down to half, and then cut with an ellipsis;
    line breaks become spaces.
    """
    image = Image.new("RGBA", (width, height), BACKGROUND)
    line = " ".join(text.split())
    room = max(width - height, 1)
    size = max(height * 6 // 10, 6)
    smallest = max(size // 2, 6)
    while size > smallest and font(size).getlength(line) > room:
        size -= 1
    chosen = font(size)
    if chosen.getlength(line) > room:
        while line and chosen.getlength(line + _ELLIPSIS) > room:
            line = line[:-1]
        line = line.rstrip() + _ELLIPSIS
    ImageDraw.Draw(image).text((width / 2, height / 2), line, TEXT, chosen, anchor="mm")
    return _pixels(image)


def draw_mark(side: int) -> Rgba:
    """The mute mark: a red disc with a white microphone, struck through."""
    size = max(side, 1) * _OVERSAMPLE
    image = Image.new("RGBA", (size, size), (*MUTE_RED[:3], 0))
    draw = ImageDraw.Draw(image)
    line = max(size // 20, 1)

    def at(*parts: float) -> tuple[float, ...]:
        return tuple(part * size for part in parts)

    draw.ellipse((0, 0, size - 1, size - 1), MUTE_RED)
    draw.rounded_rectangle(at(0.41, 0.18, 0.59, 0.54), size * 0.09, TEXT)
    draw.arc(at(0.32, 0.30, 0.68, 0.64), 0, 180, TEXT, line)
    draw.line(at(0.5, 0.64, 0.5, 0.76), TEXT, line)
    draw.line(at(0.39, 0.77, 0.61, 0.77), TEXT, line)
    draw.line(at(0.24, 0.20, 0.76, 0.80), MUTE_RED, line * 3)
    draw.line(at(0.24, 0.20, 0.76, 0.80), TEXT, line)
    return _pixels(image.resize((max(side, 1), max(side, 1)), Image.Resampling.BOX))


@lru_cache(maxsize=64)
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The font of all texts on the screen, `size` in pixels."""
    try:
        return ImageFont.truetype(_FONT, size)
    except OSError:
        # Pillow's own font has fewer scripts, but is always there.
        return ImageFont.load_default(size)


def _pixels(image: Image.Image) -> Rgba:
    return np.asarray(image, np.uint8)

"""Names as pictures: text, initials and what a hostile name must not do to them."""

from __future__ import annotations

import threading
import unicodedata
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Coverage = NDArray[np.uint8]

_FONT: Final = "DejaVuSans.ttf"
"""Searched where the system keeps its fonts (Debian: fonts-dejavu-core)."""

_LONGEST: Final = 80
"""Characters of a name that are looked at; no cell shows more."""

_UNSEEN: Final = ("Cc", "Cf", "Cs", "Co", "Cn")
"""Categories without a glyph.  Cf holds the marks that reverse the writing direction."""

_JOINERS: Final = "\u200c\u200d"
"""Of category Cf too, but part of the spelling in some scripts."""

_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

# A FreeType face may be used by one thread at a time, and each room paints on its own.
_lock = threading.Lock()


def clean(name: str) -> str:
    """The name on one line, without control characters, at most 80 characters long."""
    kept = "".join(
        " " if char.isspace() else char
        for char in name[: 4 * _LONGEST]
        if char.isspace() or char in _JOINERS or unicodedata.category(char) not in _UNSEEN
    )
    return " ".join(kept.split())[:_LONGEST].rstrip()


def initials(name: str) -> str:
    """The first letters of the first and the last word, in capitals; "?" for no name."""
    words = [word for word in clean(name).split() if word[0].isalnum()]
    if not words:
        return "?"
    letters = words[0][0] + (words[-1][0] if len(words) > 1 else "")
    return letters.upper()[:2]


def text(line: str, size: int, width: int | None = None) -> Coverage:
    """The line as coverage (0 to 255), `size` pixels high from line to line.

    A line longer than `width` pixels ends in an ellipsis.  Never empty: at least one
    pixel wide.
    """
    with _lock:
        font = _font(size)
        if width is not None:
            line = _fit(line, font, width)
        left, _, right, _ = font.getbbox(line) if line else (0, 0, 1, 0)
        columns = max(1, int(np.ceil(right - min(left, 0))))
        image = Image.new("L", (columns, size + size // 4))
        if line:
            # "la" hangs the line from its ascender: all lines of a size share a base line.
            anchor = "la" if isinstance(font, ImageFont.FreeTypeFont) else None
            ImageDraw.Draw(image).text((-min(left, 0), 0), line, fill=255, font=font, anchor=anchor)
        return np.asarray(image, np.uint8)


def _fit(line: str, font: _Font, width: int) -> str:
    if font.getlength(line) <= width:
        return line
    shortest, longest = 0, len(line)  # characters that fit, and that do not
    while longest - shortest > 1:
        middle = (shortest + longest) // 2
        if font.getlength(line[:middle].rstrip() + "…") <= width:
            shortest = middle
        else:
            longest = middle
    cut = line[:shortest].rstrip() + "…"
    return cut if font.getlength(cut) <= width else ""


@lru_cache(maxsize=64)
def _font(size: int) -> _Font:
    try:
        return ImageFont.truetype(_FONT, size)
    except OSError:
        return ImageFont.load_default(size)

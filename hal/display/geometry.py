"""Where things go on a screen: pure arithmetic, shared by all displays."""

from __future__ import annotations

from typing import Final, NamedTuple

BANNER_SHARE: Final = 12
"""A banner is this fraction of the screen's height, at the bottom."""

MARK_SHARE: Final = 8
"""The mute mark is this fraction of the screen's height, at the top right."""

CODE_SHARE: Final = 0.5
"""The width of the card with the QR code, as a part of the screen's smaller side."""

CODE_ASPECT: Final = 9 / 8
"""Its height by its width: below the code is a line of text."""


class Rect(NamedTuple):
    """A rectangle in pixels, from the top left."""

    x: int
    y: int
    width: int
    height: int

    @property
    def right(self) -> int:
        """The first column beyond it."""
        return self.x + self.width

    @property
    def bottom(self) -> int:
        """The first row beyond it."""
        return self.y + self.height


def fit(width: float, height: float, box: Rect, grain: int = 1) -> Rect:
    """The largest rectangle of the aspect width:height inside `box`, centred.

    Its edges lie on multiples of `grain` pixels from the box's own (2 for planes with
    halved chroma); it is never empty unless the box is smaller than the grain.
    """
    if width <= 0 or height <= 0 or box.width <= 0 or box.height <= 0:
        return Rect(box.x, box.y, 0, 0)
    scale = min(box.width / width, box.height / height)
    fitted_width = _grained(width * scale, box.width, grain)
    fitted_height = _grained(height * scale, box.height, grain)
    return Rect(
        box.x + (box.width - fitted_width) // 2 // grain * grain,
        box.y + (box.height - fitted_height) // 2 // grain * grain,
        fitted_width,
        fitted_height,
    )


def layer(canvas: Rect, x: float, y: float, width: float, height: float) -> Rect:
    """A layer, given in percent of the canvas, in pixels; cut off at the canvas's edges.

    Neighbouring layers share their edge: it is the edges that are rounded, not the
    sizes.
    """
    left = canvas.x + round(canvas.width * min(max(x, 0), 100) / 100)
    right = canvas.x + round(canvas.width * min(max(x + width, 0), 100) / 100)
    top = canvas.y + round(canvas.height * min(max(y, 0), 100) / 100)
    bottom = canvas.y + round(canvas.height * min(max(y + height, 0), 100) / 100)
    return Rect(left, top, max(right - left, 0), max(bottom - top, 0))


def banner(screen: Rect) -> Rect:
    """Where the banner lies: over the whole width, at the bottom."""
    height = max(1, screen.height // BANNER_SHARE)
    return Rect(screen.x, screen.bottom - height, screen.width, height)


def mark(screen: Rect) -> Rect:
    """Where the mute mark lies: a square at the top right, its own quarter from the edges."""
    side = max(1, min(screen.width, screen.height) // MARK_SHARE)
    margin = side // 4
    return Rect(
        max(screen.x, screen.right - side - margin),
        min(screen.y + margin, screen.bottom - side),
        side,
        side,
    )


def code(screen: Rect) -> Rect:
    """Where the card with the QR code lies: in the middle of what the banner leaves free."""
    width = max(1, round(min(screen.width, screen.height) * CODE_SHARE))
    height = max(1, round(width * CODE_ASPECT))
    free = screen.height - banner(screen).height
    return Rect(
        screen.x + (screen.width - width) // 2,
        screen.y + max(0, (free - height) // 2),
        width,
        height,
    )


def _grained(size: float, limit: int, grain: int) -> int:
    nearest = max(round(size / grain) * grain, grain)
    return min(nearest, limit // grain * grain)

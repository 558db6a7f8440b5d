"""Pictures as the encoders take them: three planes of yuv420p, painted in place with numpy.

Nothing passes through RGB.  The range is limited (16 to 235) and the matrix BT.601, which is
what decoders assume of a stream that does not say.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Self, cast

import numpy as np
from av import VideoFrame
from av.video.plane import VideoPlane
from numpy.typing import NDArray

Plane = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Colour:
    """One colour, 8 bit a component."""

    y: int
    u: int
    v: int

    @classmethod
    def rgb(cls, value: int) -> Self:
        """From ``0xRRGGBB``."""
        r, g, b = (value >> 16 & 255) / 255, (value >> 8 & 255) / 255, (value & 255) / 255
        luma = 0.299 * r + 0.587 * g + 0.114 * b
        return cls(
            y=round(16 + 219 * luma),
            u=round(128 + 224 * (b - luma) / 1.772),
            v=round(128 + 224 * (r - luma) / 1.402),
        )


@dataclass(frozen=True, slots=True)
class Rect:
    """A rectangle in luma pixels.  Everything is even, so that chroma lines up."""

    x: int
    y: int
    width: int
    height: int

    def crosses(self, other: Rect) -> bool:
        """Whether the two share a pixel."""
        return (
            self.x < other.x + other.width
            and other.x < self.x + self.width
            and self.y < other.y + other.height
            and other.y < self.y + self.height
        )


def even(value: float) -> int:
    """The nearest even number."""
    return 2 * round(value / 2)


class Stencil:
    """A shape in one colour, ready to be blended in: text, a disc, a plate.

    `coverage` is 8 bit a pixel, 255 where the colour is opaque; an odd last row or column is
    padded.  What every blend needs is computed here, once.
    """

    def __init__(self, coverage: Plane, colour: Colour) -> None:
        height, width = coverage.shape
        full = np.zeros((height + height % 2, width + width % 2), np.uint16)
        full[:height, :width] = coverage
        full += full >> 7  # 0..256, so that the division is a shift
        squares = full[0::2, 0::2] + full[1::2, 0::2] + full[0::2, 1::2] + full[1::2, 1::2]
        half = ((squares + 2) >> 2).astype(np.uint16)
        self.height: Final[int] = full.shape[0]
        self.width: Final[int] = full.shape[1]
        self._luma = _Blend(full, colour.y)
        self._u = _Blend(half, colour.u)
        self._v = _Blend(half, colour.v)

    def onto(self, picture: Picture, x: int, y: int) -> None:
        """Blend into `picture` with the top left corner at the even pixel (x, y).

        The stencil must lie inside the picture.
        """
        self._luma.onto(picture.y, x, y)
        self._u.onto(picture.u, x // 2, y // 2)
        self._v.onto(picture.v, x // 2, y // 2)


class _Blend:
    """One plane of a stencil: out = (under * keep + add) / 256."""

    def __init__(self, coverage: NDArray[np.uint16], value: int) -> None:
        self._keep = (256 - coverage).astype(np.uint16)
        self._add = (coverage * np.uint16(value) + np.uint16(128)).astype(np.uint16)
        self._scratch = np.empty_like(self._add)

    def onto(self, plane: Plane, x: int, y: int) -> None:
        height, width = self._add.shape
        under = plane[y : y + height, x : x + width]
        # At most 255 * 256 + 128, which 16 bit hold.
        np.multiply(under, self._keep, out=self._scratch)
        np.add(self._scratch, self._add, out=self._scratch)
        np.right_shift(self._scratch, 8, out=self._scratch)
        under[...] = self._scratch


class Picture:
    """A yuv420p frame and its planes as arrays that write through to it."""

    def __init__(self, width: int, height: int) -> None:
        if width < 2 or height < 2 or width % 2 or height % 2:
            raise ValueError(f"a picture needs even sides, not {width}x{height}")
        self.width: Final = width
        self.height: Final = height
        self.frame: Final = VideoFrame(width, height, "yuv420p")
        self.y, self.u, self.v = planes(self.frame)

    def fill(self, rect: Rect, colour: Colour) -> None:
        """Paint a rectangle in one colour."""
        x, y, right, bottom = rect.x, rect.y, rect.x + rect.width, rect.y + rect.height
        self.y[y:bottom, x:right] = colour.y
        self.u[y // 2 : bottom // 2, x // 2 : right // 2] = colour.u
        self.v[y // 2 : bottom // 2, x // 2 : right // 2] = colour.v

    def paste(self, frame: VideoFrame, rect: Rect, left: int = 0, top: int = 0) -> None:
        """Copy the part of a yuv420p frame that starts at the even pixel (left, top) and has
        the size of `rect` to that place."""
        x, y, width, height = rect.x, rect.y, rect.width, rect.height
        for target, source, shift in zip(
            (self.y, self.u, self.v), planes(frame), (0, 1, 1), strict=True
        ):
            w, h = width >> shift, height >> shift
            x0, y0, x1, y1 = x >> shift, y >> shift, left >> shift, top >> shift
            target[y0 : y0 + h, x0 : x0 + w] = source[y1 : y1 + h, x1 : x1 + w]


def planes(frame: VideoFrame) -> tuple[Plane, Plane, Plane]:
    """The planes of a yuv420p frame as arrays over its own memory, without row padding."""
    y, u, v = (_array(plane) for plane in frame.planes)
    return y, u, v


def _array(plane: VideoPlane) -> Plane:
    # PyAV types planes as buffers from Python 3.12 on only.
    flat: Plane = np.frombuffer(cast(Any, plane), np.uint8)
    rows = flat[: plane.line_size * plane.height].reshape(plane.height, plane.line_size)
    return rows[:, : plane.width]

"""The test scene: a moving picture that tells its own number and time.

A strip over the top of the picture carries two rows of 32 cells.  A black cell (luma
16) is 0, a white one (luma 235) is 1, most significant bit first.  A row is 1/18 of the
picture high, a cell 1/32 wide: 40 x 40 pixels at 1280x720, large enough to survive
H.264 at 300 kbit/s and a picture scaled down to 426x240.

Row 1: camera number (8 bits), frame counter (24 bits).
Row 2: CLOCK_MONOTONIC in milliseconds modulo 2**24 when the frame was drawn (24 bits),
CRC-8 of the seven bytes before it (polynomial 0x07, initial value 0xFF).

Below it a bar and a block move over a still background; the tint tells the camera's
number by colour.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from av import VideoFrame

from hal.planes import Pixels, plane

COLUMNS: Final = 32
ROWS: Final = 2
ROW_SHARE: Final = 18
"""A row is this fraction of the picture's height."""

BLACK: Final = 16
WHITE: Final = 235
NEUTRAL: Final = 128
COUNTER_MODULO: Final = 1 << 24

_MIDDLE: Final = 0.5
"""Share of a cell, each way, that is averaged: its edges are blurred by codec and scaler."""

_CONTRAST: Final = 60.0
"""Least difference between the darkest and the lightest cell; below it there is no strip."""

_LUMA_FIRST: Final = frozenset(
    {"yuv420p", "yuv422p", "yuv444p", "yuvj420p", "yuvj422p", "yuvj444p", "nv12", "nv21", "gray"}
)
"""Pixel formats whose first plane is 8 bit luma; others are converted to be read."""

_GOLDEN_ANGLE: Final = 2.399963
"""Radians between the tints of two neighbouring numbers: no two of the first dozen are alike."""


@dataclass(frozen=True, slots=True)
class SceneCode:
    """What the strip of one picture says."""

    camera: int
    """Number of the camera, 0..255."""

    frame: int
    """Number of the frame since the camera was opened, modulo 2**24."""

    clock_ms: int
    """CLOCK_MONOTONIC in milliseconds when the frame was drawn, modulo 2**24."""

    def age_ms(self, now: float | None = None) -> int:
        """Milliseconds from drawing to `now` (seconds of `time.monotonic`; default: now).

        Right for ages up to 2**24 ms, about 4.6 hours, on the machine that drew it.
        """
        seconds = time.monotonic() if now is None else now
        return (int(seconds * 1000) - self.clock_ms) % COUNTER_MODULO


def crc8(data: bytes) -> int:
    """CRC-8 with polynomial 0x07 and initial value 0xFF."""
    crc = 0xFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1) ^ (0x107 if crc & 0x80 else 0)
    return crc


def encode(code: SceneCode) -> npt.NDArray[np.bool_]:
    """The cells of the strip: ROWS x COLUMNS, True is white."""
    body = (
        bytes([code.camera & 0xFF])
        + (code.frame % COUNTER_MODULO).to_bytes(3, "big")
        + (code.clock_ms % COUNTER_MODULO).to_bytes(3, "big")
    )
    bits = np.unpackbits(np.frombuffer(body + bytes([crc8(body)]), np.uint8))
    return bits.reshape(ROWS, COLUMNS).astype(np.bool_)


def decode(
    picture: VideoFrame | Pixels,
    x: float = 0.0,
    y: float = 0.0,
    width: float = 100.0,
    height: float = 100.0,
) -> SceneCode | None:
    """Read the strip of a scene that fills a region of a picture.

    `picture` is a frame of any pixel format or a plane of luma (rows x columns, uint8);
    the region is in percent of the picture, as the layers of a canvas are.  Returns None
    when there is no strip or its CRC does not match (one damaged strip in 256 passes).
    """
    luma = _luma(picture) if isinstance(picture, VideoFrame) else picture
    left, right = luma.shape[1] * x / 100, luma.shape[1] * (x + width) / 100
    top, bottom = luma.shape[0] * y / 100, luma.shape[0] * (y + height) / 100
    cell_width, cell_height = (right - left) / COLUMNS, (bottom - top) / ROW_SHARE
    if cell_width < 2 or cell_height < 2:
        return None
    columns = [_middle(left, cell_width, n, luma.shape[1]) for n in range(COLUMNS)]
    rows = [_middle(top, cell_height, n, luma.shape[0]) for n in range(ROWS)]
    levels = np.array([[luma[row, column].mean() for column in columns] for row in rows])
    low, high = levels.min(), levels.max()
    if high - low < _CONTRAST:
        return None
    body = np.packbits(levels > (low + high) / 2).tobytes()
    if crc8(body[:7]) != body[7]:
        return None
    return SceneCode(
        camera=body[0],
        frame=int.from_bytes(body[1:4], "big"),
        clock_ms=int.from_bytes(body[4:7], "big"),
    )


def tint(camera: int) -> tuple[int, int]:
    """The chroma (Cb, Cr) of the scene of a camera."""
    angle = camera * _GOLDEN_ANGLE
    return round(NEUTRAL + 60 * math.cos(angle)), round(NEUTRAL + 60 * math.sin(angle))


class Scene:
    """Draws the pictures of one camera at one size.

    The background is drawn once and copied into each frame; only the strip, the bar and
    the block are drawn anew, so that a frame of 1280x720 costs about a millisecond.
    """

    def __init__(self, camera: int, width: int, height: int, seed: int = 0) -> None:
        """`width` and `height` are even; `seed` varies background and movement."""
        self.camera = camera & 0xFF
        self.width = width
        self.height = height
        randoms = np.random.default_rng((self.camera, seed))
        self._phases = randoms.uniform(0.0, 2 * math.pi, 3)
        self._strip = [round(n * height / ROW_SHARE) for n in range(ROWS + 1)]
        self._columns = np.minimum(np.arange(width) * COLUMNS // width, COLUMNS - 1)
        self._planes = self._background(randoms)

    def draw(self, frame: int, clock_ms: int | None = None) -> VideoFrame:
        """Frame number `frame`, yuv420p; `clock_ms` defaults to CLOCK_MONOTONIC now."""
        picture = VideoFrame(self.width, self.height, "yuv420p")
        y, u, v = (plane(picture, n) for n in range(3))
        for target, background in zip((y, u, v), self._planes, strict=True):
            target[:] = background
        self._move(y, frame)
        if clock_ms is None:
            clock_ms = time.monotonic_ns() // 1_000_000
        cells = encode(SceneCode(self.camera, frame, clock_ms))
        for row in range(ROWS):
            line = np.where(cells[row, self._columns], WHITE, BLACK).astype(np.uint8)
            y[self._strip[row] : self._strip[row + 1]] = line
        return picture

    def _move(self, y: Pixels, frame: int) -> None:
        """Move a bar from left to right and a block on a closed curve."""
        top = self._strip[-1]
        bar = max(2, self.width // 40)
        left = frame * max(1, self.width // 160) % (self.width - bar)
        y[top:, left : left + bar] = 200
        side = max(4, self.height // 6)
        turn = frame * 0.05
        across = 0.5 + 0.45 * math.sin(turn + self._phases[0])
        down = 0.5 + 0.45 * math.sin(1.5 * turn + self._phases[1])
        block_x = int(across * (self.width - side))
        block_y = top + int(down * (self.height - top - side))
        y[block_y : block_y + side, block_x : block_x + side] = 60

    def _background(self, randoms: np.random.Generator) -> tuple[Pixels, Pixels, Pixels]:
        across = np.linspace(0, 2 * math.pi, self.width)
        down = np.linspace(0, 2 * math.pi, self.height)[:, np.newaxis]
        waves = np.sin(2 * across + self._phases[2]) + np.cos(3 * down)
        noise = randoms.normal(0.0, 2.0, (self.height, self.width))
        y = np.clip(115 + 25 * waves + noise, 40, 190).astype(np.uint8)
        chroma = []
        half_strip = (self._strip[-1] + 1) // 2
        for value in tint(self.camera):
            colour = np.full(((self.height + 1) // 2, (self.width + 1) // 2), value, np.uint8)
            colour[:half_strip] = NEUTRAL
            chroma.append(colour)
        return y, chroma[0], chroma[1]


def _luma(frame: VideoFrame) -> Pixels:
    if frame.format.name not in _LUMA_FIRST:
        frame = frame.reformat(format="yuv420p")
    return plane(frame, 0)


def _middle(start: float, size: float, number: int, limit: int) -> slice:
    """The pixels of the middle of cell `number`, at least one."""
    first = start + size * (number + (1 - _MIDDLE) / 2)
    begin = min(max(math.floor(first + 0.5), 0), limit - 1)
    end = min(max(math.floor(first + size * _MIDDLE + 0.5), begin + 1), limit)
    return slice(begin, end)

"""Many pictures into one: scaling, pasting, names and mute images.

No threads and no clock in here: `compose` paints the scene of one moment.  The picture
stays from one moment to the next, and only what changed is painted again.
"""

from __future__ import annotations

import logging
import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import Final, Literal, Protocol

import numpy as np
from av import VideoFrame
from av.video.reformatter import Interpolation, VideoReformatter

from appliance.hub.lettering import Coverage, clean, initials, text
from appliance.hub.yuv import Colour, Picture, Rect, Stencil, even
from appliance.signaling.layouts import Layer

log = logging.getLogger(__name__)

Fit = Literal["cover", "contain"]

FROZEN_AFTER: Final = 5.0
"""Seconds without a new picture after which a member counts as frozen.  Senders of a still
screen repeat it once a second."""

BACKGROUND: Final = Colour.rgb(0x16181D)
MUTED: Final = Colour.rgb(0x2A2E37)
BARS: Final = Colour.rgb(0x08090B)
WHITE: Final = Colour.rgb(0xF5F6F8)
FAINT: Final = Colour.rgb(0xA9AFBD)

DISCS: Final = tuple(
    map(
        Colour.rgb, (0x3D6FB4, 0x8A5FB0, 0x2E8B74, 0xB0653D, 0xA84A66, 0x5B7F3A, 0x4A7C96, 0x8C7433)
    )
)
"""What stands behind the initials; a name always gets the same one."""

_GAP: Final = 4
"""Pixels of background between two cells."""

_MOST_CUT: Final = 0.45
"""Part of a picture that may be cut away to fill its cell: a 4:3 camera or a square one fills a
16:9 cell, an upright phone is shown whole."""

_LEAST_LABEL: Final = 96
"""Sides in pixels below which a cell has no room for a name."""


class FrameSource(Protocol):
    """Where a member's pictures come from: a `VideoReceiver`."""

    @property
    def latest(self) -> VideoFrame | None:
        """The newest picture, replaced and never changed."""


@dataclass(frozen=True, slots=True)
class Sitter:
    """What the canvas knows of a member."""

    name: str = ""
    video_muted: bool = False
    source: FrameSource | None = None
    fit: Fit = "cover"
    unseen: VideoFrame | None = None
    """The newest picture at the moment of the last unmute.  It was taken before or during the mute,
    so it is not shown; the ones that follow are."""


@dataclass(frozen=True, slots=True)
class Scene:
    """All that decides the picture beside the members' own; never changed, only replaced."""

    title: str = ""
    layers: tuple[Layer, ...] = ()
    sitters: Mapping[str, Sitter] = field(default_factory=lambda: MappingProxyType({}))


class _Mark(Enum):
    """Why a member is shown without a picture."""

    NO_VIDEO = ""
    FROZEN = "No picture"


class Compositor:
    """Paints scenes into `frame`, which is the same object all the time.

    `scale_seconds` and `paste_seconds` add up what the two stages have cost.
    """

    def __init__(self, width: int, height: int) -> None:
        self._picture: Final = Picture(width, height)
        self.frame: Final = self._picture.frame
        self.scale_seconds = 0.0
        self.paste_seconds = 0.0
        self._scene = Scene()
        self._feeds: dict[str, _Feed] = {}
        self._cells: list[_Cell] = []
        self._clear()

    def compose(self, scene: Scene, now: float) -> bool:
        """Bring the picture up to `now` (seconds of any steady clock).

        Returns whether anything was painted.
        """
        painted = False
        if scene is not self._scene:
            painted = self._enter(scene)
        for cell in self._cells:
            feed = self._feeds[cell.member_id]
            sitter = scene.sitters.get(cell.member_id, _NOBODY)
            started = time.perf_counter()
            try:
                stale = cell.prepare(feed.look(sitter, now), sitter)
                cell.failing = False
            except Exception:
                # One member's picture, however odd, must not cost the others theirs.
                if not cell.failing:
                    log.exception("the picture of member %s cannot be shown", cell.member_id)
                cell.failing = True
                stale = cell.prepare(_Mark.FROZEN, sitter)
            scaled_at = time.perf_counter()
            self.scale_seconds += scaled_at - started
            if not stale:
                continue
            painted = True
            cell.paint(self._picture)
            for above in cell.covered_by:
                above.stale = True
            self.paste_seconds += time.perf_counter() - scaled_at
        return painted

    def _enter(self, scene: Scene) -> bool:
        """Take over a new scene.  Returns whether the whole canvas was painted for it."""
        old, self._scene = self._scene, scene
        again = scene.layers != old.layers or (not self._cells and scene.title != old.title)
        if again:
            self._cells = self._lay_out(scene.layers)
            self._clear()
        known = scene.sitters.keys() | {cell.member_id for cell in self._cells}
        self._feeds = {member_id: self._feeds.get(member_id) or _Feed() for member_id in known}
        return again

    def _lay_out(self, layers: Sequence[Layer]) -> list[_Cell]:
        shown = sorted(
            (layer for layer in layers if layer.member_id is not None and layer.visible),
            key=lambda layer: (layer.z_index, layer.layer_index),
        )
        cells = [
            _Cell(layer.member_id, rect)
            for layer in shown
            if layer.member_id is not None
            and (rect := pixels(layer, self._picture.width, self._picture.height)) is not None
        ]
        for index, cell in enumerate(cells):
            cell.covered_by = [
                other for other in cells[index + 1 :] if cell.rect.crosses(other.rect)
            ]
        return cells

    def _clear(self) -> None:
        canvas = self._picture
        whole = Rect(0, 0, canvas.width, canvas.height)
        canvas.fill(whole, BACKGROUND)
        title = clean(self._scene.title)
        if not self._cells and title:
            size = max(14, canvas.height // 14)
            _centred(canvas, whole, [(text(title, size, canvas.width * 9 // 10), FAINT)])


class _Feed:
    """A member's newest picture, as long as it may be shown."""

    def __init__(self) -> None:
        self._source: FrameSource | None = None
        self._newest: VideoFrame | None = None
        self._arrived = 0.0
        self._showing: VideoFrame | None = None

    def look(self, sitter: Sitter, now: float) -> VideoFrame | _Mark:
        source = sitter.source
        latest = source.latest if source is not None else None
        if source is None:
            self._newest = self._showing = None
        elif latest is not None and latest is not self._newest:
            self._newest, self._arrived = latest, now
            self._showing = latest
        if sitter.video_muted or self._showing is sitter.unseen:
            self._showing = None
        if self._showing is None:
            return _Mark.NO_VIDEO
        if now - self._arrived > FROZEN_AFTER:
            return _Mark.FROZEN
        return self._showing


class _Cell:
    """One layer in pixels, with what was last painted there."""

    def __init__(self, member_id: str, rect: Rect) -> None:
        self.member_id: Final = member_id
        self.rect: Final = rect
        self.covered_by: list[_Cell] = []
        self.stale = True
        """Something was painted below this cell, so that it must be painted again."""
        self.failing = False
        self._reformatter = VideoReformatter()
        self._shown: VideoFrame | _Mark | None = None
        self._fit: Fit = "cover"
        self._name: str | None = None
        self._label: Stencil | None = None
        self._scaled: VideoFrame | None = None
        self._window = (0, 0)
        self._target = rect

    def prepare(self, shown: VideoFrame | _Mark, sitter: Sitter) -> bool:
        """Scale the picture if it is a new one.  Returns whether the cell must be painted."""
        if sitter.name != self._name:
            self._name = sitter.name
            self._label = _label(sitter.name, self.rect)
            self.stale = True
        if shown is not self._shown or sitter.fit != self._fit:
            self._shown, self._fit = shown, sitter.fit
            self._scaled = None
            self.stale = True
            if isinstance(shown, VideoFrame):
                self._scale(shown, sitter.fit)
        return self.stale

    def paint(self, canvas: Picture) -> None:
        """Paint the cell as it was prepared."""
        self.stale = False
        if self._scaled is None:
            mark = self._shown if isinstance(self._shown, _Mark) else _Mark.NO_VIDEO
            _mute_image(canvas, self.rect, self._name or "", mark)
            return
        if self._target != self.rect:
            canvas.fill(self.rect, BARS)
        canvas.paste(self._scaled, self._target, *self._window)
        if self._label is not None:
            self._label.onto(
                canvas, self.rect.x, self.rect.y + self.rect.height - self._label.height
            )

    def _scale(self, frame: VideoFrame, fit: Fit) -> None:
        rect = self.rect
        width, height, self._target, self._window = fitted(frame.width, frame.height, rect, fit)
        # One thread: the other cores are busy decoding and encoding, and swscale would
        # start threads of its own for each cell.
        self._scaled = self._reformatter.reformat(
            frame, width, height, "yuv420p", interpolation=Interpolation.BILINEAR, threads=1
        )


_NOBODY: Final = Sitter()


def pixels(layer: Layer, width: int, height: int) -> Rect | None:
    """The layer on a canvas of so many pixels, less half the gap on each inner side.

    Sides that two layers share in percent never overlap in pixels.  None for a layer too
    small to show anything.
    """
    left, right = _edge(layer.x, width), _edge(layer.x + layer.width, width)
    top, bottom = _edge(layer.y, height), _edge(layer.y + layer.height, height)
    left += _GAP // 2 if left > 0 else 0
    top += _GAP // 2 if top > 0 else 0
    right -= _GAP // 2 if right < width else 0
    bottom -= _GAP // 2 if bottom < height else 0
    if right - left < 2 or bottom - top < 2:
        return None
    return Rect(left, top, right - left, bottom - top)


def _edge(percent: float, size: int) -> int:
    return min(max(even(percent * size / 100), 0), size)


def fitted(width: int, height: int, rect: Rect, fit: Fit) -> tuple[int, int, Rect, tuple[int, int]]:
    """How a picture of width x height comes into `rect`.

    Returns the width and height to scale to, the rectangle to paste into, and the left top
    corner of what is pasted.  ``cover`` fills the rectangle and cuts what stands over, unless
    that were too much of the picture; ``contain`` shows it whole, between bars.
    """
    across, down = rect.width / width, rect.height / height
    if fit == "cover" and min(across, down) / max(across, down) >= 1 - _MOST_CUT:
        zoom = max(across, down)
        w, h = max(even(width * zoom), rect.width), max(even(height * zoom), rect.height)
        return w, h, rect, ((w - rect.width) // 4 * 2, (h - rect.height) // 4 * 2)
    zoom = min(across, down)
    w = min(max(even(width * zoom), 2), rect.width)
    h = min(max(even(height * zoom), 2), rect.height)
    x, y = rect.x + (rect.width - w) // 4 * 2, rect.y + (rect.height - h) // 4 * 2
    return w, h, Rect(x, y, w, h), (0, 0)


def _label(name: str, rect: Rect) -> Stencil | None:
    """The name on a dark plate, for the bottom left corner of the cell."""
    line = clean(name)
    size = _letter_size(rect)
    if not line or min(rect.width, rect.height) < _LEAST_LABEL:
        return None
    pad = size // 2 + size // 2 % 2
    letters = text(line, size, min(rect.width * 2 // 3, rect.width - 4 * pad))
    rows, columns = letters.shape
    # Plate and letters in one stencil: half covered black below, white where letters are.
    return _Plate(letters, even(rows + pad), even(columns + 2 * pad), pad)


def _letter_size(rect: Rect) -> int:
    return min(max(12, rect.height // 22), 32)


class _Plate(Stencil):
    """White letters on a half transparent dark plate, with a margin below and at the left."""

    def __init__(self, letters: Coverage, height: int, width: int, pad: int) -> None:
        margin = pad
        plate = np.zeros((height + margin, width + margin), np.uint8)
        plate[:height, margin:] = 140
        super().__init__(plate, BARS)
        coverage = np.zeros((height + margin, width + margin), np.uint8)
        rows, columns = letters.shape
        top, left = (height - rows) // 2, margin + (width - columns) // 2
        coverage[top : top + rows, left : left + columns] = letters
        self._letters = Stencil(coverage, WHITE)

    def onto(self, picture: Picture, x: int, y: int) -> None:
        super().onto(picture, x, y)
        self._letters.onto(picture, x, y)


def _mute_image(canvas: Picture, rect: Rect, name: str, mark: _Mark) -> None:
    """A disc with the initials, the name below it and the mark below that."""
    canvas.fill(rect, MUTED)
    line = clean(name)
    side = even(min(rect.width, rect.height) * 0.4)
    if side < 8:
        return
    colour = DISCS[zlib.crc32(line.encode("utf-8", "replace")) % len(DISCS)]
    below: list[tuple[Coverage, Colour]] = []
    if min(rect.width, rect.height) >= _LEAST_LABEL:
        size = max(12, rect.height // 14)
        if line:
            below.append((text(line, size, rect.width * 9 // 10), WHITE))
        if mark.value:
            below.append((text(mark.value, max(10, size * 3 // 4), rect.width * 9 // 10), FAINT))
    top = rect.y + even(rect.height * (0.18 if below else 0.30))
    box = Rect(rect.x + (rect.width - side) // 4 * 2, top, side, side)
    Stencil(_disc(side), colour).onto(canvas, box.x, box.y)
    _centred(canvas, box, [(text(initials(name), max(8, side * 2 // 5), side), WHITE)])
    rest = Rect(rect.x, top + side, rect.width, rect.y + rect.height - top - side)
    _centred(canvas, rest, below)


def _centred(canvas: Picture, rect: Rect, lines: Sequence[tuple[Coverage, Colour]]) -> None:
    """Lines of text one below the other, in the middle of the rectangle."""
    stencils = [Stencil(coverage, colour) for coverage, colour in lines]
    y = rect.y + max(0, rect.height - sum(one.height for one in stencils)) // 4 * 2
    for stencil in stencils:
        if stencil.width <= rect.width and y + stencil.height <= rect.y + rect.height:
            stencil.onto(canvas, rect.x + (rect.width - stencil.width) // 4 * 2, y)
        y += stencil.height


def _disc(side: int) -> Coverage:
    middle = (side - 1) / 2
    rows = np.arange(side, dtype=np.float32) - middle
    distance = np.hypot(rows[:, None], rows[None, :])
    coverage: Coverage = (np.clip(side / 2 - distance, 0, 1) * 255).astype(np.uint8)
    return coverage

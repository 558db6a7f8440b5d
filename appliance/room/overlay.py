"""The own picture over its place on the canvas, without the way to the server and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from av import VideoFrame

from hal.display import Overlay


class Screen(Protocol):
    """What shows the canvas and the overlay on it."""

    def set_overlay(self, overlay: Overlay | None) -> None:
        """Put the local picture over the canvas, or take it away."""


class Preview(Protocol):
    """What has the own picture."""

    @property
    def preview(self) -> VideoFrame | None:
        """The newest one; None while nothing may be seen."""


@dataclass(frozen=True, slots=True)
class _Place:
    """Percent of the canvas, from the top left."""

    x: float
    y: float
    width: float
    height: float


class LocalOverlay:
    """Keeps the own picture on the own layer of the canvas, where the room shows one.

    `place` belongs to the loop; `draw` may be called from any thread, and is, with
    every picture of the canvas.
    """

    def __init__(self, *, enabled: bool = True) -> None:
        self._enabled = enabled
        self._mirrored = False
        self._place: _Place | None = None
        self._screen: Screen | None = None
        self._source: Preview | None = None
        self._shown = False

    @property
    def mirrored(self) -> bool:
        """Whether the local overlay is flipped left to right; what is sent never is."""
        return self._mirrored

    @property
    def visible(self) -> bool:
        """Whether the own picture lies over the canvas now."""
        return self._shown

    def set_mirrored(self, mirrored: bool) -> None:
        """Flip the local overlay, as in a mirror, or show it as the others see it."""
        self._mirrored = mirrored

    def bind(self, screen: Screen | None, source: Preview | None) -> None:
        """Show the pictures of `source` on `screen` from now on; None ends that."""
        previous, self._screen, self._source = self._screen, None, None
        if previous is not None and self._shown:
            previous.set_overlay(None)
            self._shown = False
        if self._enabled:
            self._source, self._screen = source, screen

    def rebind(self, source: Preview | None) -> None:
        """Show another source where one is shown; elsewhere nothing changes."""
        if self._source is not None:
            self._source = source

    def place(self, member_id: str | None, layers: Iterable[Any]) -> None:
        """Find the own layer in a layout; without a visible one nothing is shown."""
        self._place = next(
            (
                _Place(*(float(layer[key]) for key in ("x", "y", "width", "height")))
                for layer in layers
                if isinstance(layer, Mapping)
                and member_id is not None
                and layer.get("member_id") == member_id
                and layer.get("visible", True)
                and all(_number(layer.get(key)) for key in ("x", "y", "width", "height"))
            ),
            None,
        )
        self.draw()

    def draw(self) -> None:
        """Put the newest own picture in its place, or take it away."""
        screen, source, place = self._screen, self._source, self._place
        if screen is None:
            return
        frame = source.preview if source is not None and place is not None else None
        if frame is None or place is None:
            if self._shown:
                screen.set_overlay(None)
            self._shown = False
            return
        screen.set_overlay(
            Overlay(frame, place.x, place.y, place.width, place.height, self._mirrored)
        )
        self._shown = True


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)

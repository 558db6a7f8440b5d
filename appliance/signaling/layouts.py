"""Who stands where on the canvas: layouts as pure functions.

A layout is a list of places; `arrange` seats the members on them and gives the layers as
the wire carries them, in percent of the canvas.  Places are named as the protocol names
them: ``standard-N`` counts row by row from the top left, ``reserved-1`` is the large place of
the layouts that have one.  Nothing here keeps state: what a layout remembers is the list of
layers that it gave last, handed back as `previous`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Final

AUTO: Final = "auto"
OFF_CANVAS: Final = "off-canvas"

_POSITION: Final = re.compile(r"auto|off-canvas|(?:reserved|standard)-[1-9][0-9]{0,2}")

_DECIMALS: Final = 4
"""On the wire: a ten-thousandth of a percent is far below a pixel of any canvas."""


@dataclass(frozen=True, slots=True)
class MemberSlot:
    """A member who wants a place: its id, and the position that was requested for it."""

    id: str
    position: str = AUTO


@dataclass(frozen=True, slots=True)
class Layer:
    """One rectangle of the canvas; lengths in percent of the canvas' width or height.

    Layers with a greater `z_index` lie above.  A layer without a member is not `visible`.
    """

    layer_index: int
    z_index: int
    x: float
    y: float
    width: float
    height: float
    member_id: str | None
    reservation: str
    position: str
    playing_file: bool
    visible: bool

    def to_wire(self) -> dict[str, object]:
        """The fields as `video.layout.changed` carries them."""
        return {
            "layer_index": self.layer_index,
            "z_index": self.z_index,
            "x": round(self.x, _DECIMALS),
            "y": round(self.y, _DECIMALS),
            "width": round(self.width, _DECIMALS),
            "height": round(self.height, _DECIMALS),
            "member_id": self.member_id,
            "reservation": self.reservation,
            "position": self.position,
            "playing_file": self.playing_file,
            "visible": self.visible,
        }


@dataclass(frozen=True, slots=True)
class _Place:
    position: str
    x: float
    y: float
    width: float
    height: float


_Plan = Callable[[int], list[_Place]]
"""The places that a layout has for so many members on the canvas."""


def is_position(text: str) -> bool:
    """Whether a member may request this position in some layout."""
    return _POSITION.fullmatch(text) is not None


def positions(layers: Iterable[Layer]) -> dict[str, str]:
    """The position of each member that has a layer, by member id."""
    return {layer.member_id: layer.position for layer in layers if layer.member_id is not None}


def current_position(layers: Iterable[Layer], member_id: str) -> str:
    """Where the member stands now: a position of the layout, or ``off-canvas``."""
    return positions(layers).get(member_id, OFF_CANVAS)


def arrange(
    name: str,
    members: Sequence[MemberSlot],
    *,
    floor: str | None = None,
    previous: Iterable[Layer] | None = None,
) -> list[Layer]:
    """Seat the members, given in join order, in the layout called `name`.

    - A requested position that the layout has is honoured; of several members who request
      the same one the holder keeps it, else the first gets it.  A request that the layout
      cannot meet, now or at all, counts as ``auto``.
    - ``reserved-1``, where nobody requested it, goes to `floor` (the member who speaks), else to
      its last holder, else to the first member without a request.
    - Everybody else keeps the place of `previous` as long as it exists, so nobody
      moves when a member at a later place leaves; the rest fill the free places in order.
    - With more members than places, `floor` takes the last place that nobody requested; who
      finds none is off the canvas and has no layer.

    Empty places of the fixed grids are layers without a member.  The last two layers are
    always ``playback`` and ``full-screen``, empty.  Raises ValueError for an unknown layout.
    """
    plan = _PLANS.get(name)
    if plan is None:
        raise ValueError(f"no layout is called {name!r}; there are {', '.join(LAYOUTS)}")
    members = [member for member in members if member.position != OFF_CANVAS]
    places = plan(len(members))
    held = positions(previous) if previous is not None else {}
    seated = _seat([place.position for place in places], members, floor, held)
    layers = [
        Layer(
            layer_index=index,
            z_index=0,
            x=place.x,
            y=place.y,
            width=place.width,
            height=place.height,
            member_id=(member_id := seated.get(place.position)),
            reservation=place.position if place.position.startswith("reserved-") else "",
            position=place.position,
            playing_file=False,
            visible=member_id is not None,
        )
        for index, place in enumerate(places)
    ]
    for above, special in enumerate(("playback", "full-screen"), start=1):
        layers.append(
            Layer(
                layer_index=len(layers),
                z_index=above,
                x=0.0,
                y=0.0,
                width=100.0,
                height=100.0,
                member_id=None,
                reservation=special,
                position=special,
                playing_file=False,
                visible=False,
            )
        )
    return layers


def _seat(
    places: Sequence[str],
    members: Sequence[MemberSlot],
    floor: str | None,
    held: Mapping[str, str],
) -> dict[str, str]:
    """The member at each position, by position."""
    seated: dict[str, str] = {}
    free = dict.fromkeys(places)  # in order

    def seat(member_id: str, position: str) -> None:
        seated[position] = member_id
        del free[position]

    for holders_turn in (True, False):
        for member in members:
            holds = held.get(member.id) == member.position
            if holds is holders_turn and member.position in free:
                seat(member.id, member.position)
    placed = set(seated.values())
    waiting = [member.id for member in members if member.id not in placed]

    if "reserved-1" in free and waiting:
        holder = next((one for one in waiting if held.get(one) == "reserved-1"), waiting[0])
        chosen = floor if floor is not None and floor in waiting else holder
        seat(chosen, "reserved-1")
        waiting.remove(chosen)
    for member_id in waiting:
        if (position := held.get(member_id)) is not None and position in free:
            seat(member_id, position)
    placed = set(seated.values())
    waiting = [member_id for member_id in waiting if member_id not in placed]
    for member_id, position in zip(waiting, list(free), strict=False):
        seat(member_id, position)

    if floor is not None and floor in waiting and floor not in seated.values():
        requested = {
            member.position for member in members if seated.get(member.position) == member.id
        }
        for position in reversed(places):
            if position not in requested:
                seated[position] = floor
                break
    return seated


# The geometry.  A cell of 100/k by 100/k percent has the canvas' own shape, so that a camera of
# that shape is neither cut nor boxed.

_RESPONSIVE_MOST: Final = 100
"""Members on a responsive grid: as many as on the largest fixed one."""


def _rows(count: int, columns: int, width: float, height: float) -> list[_Place]:
    """`count` cells in rows of `columns`, the block and its last row centred."""
    rows = math.ceil(count / columns)
    top = (100.0 - rows * height) / 2
    places = []
    for index in range(count):
        row, column = divmod(index, columns)
        in_row = min(columns, count - row * columns)
        left = (100.0 - in_row * width) / 2
        places.append(
            _Place(
                f"standard-{index + 1}", left + column * width, top + row * height, width, height
            )
        )
    return places


def _fixed(columns: int, rows: int, _count: int) -> list[_Place]:
    return _rows(columns * rows, columns, 100.0 / columns, 100.0 / columns)


def _grid_responsive(count: int) -> list[_Place]:
    """One full; two side by side; then 2x2, 3x3 and so on, without the empty rows."""
    if count == 0:
        return []
    count = min(count, _RESPONSIVE_MOST)
    columns = math.ceil(math.sqrt(count))
    return _rows(count, columns, 100.0 / columns, 100.0 / columns)


def _grid_responsive_mobile(count: int) -> list[_Place]:
    """For upright canvases: up to three above one another, then more columns.

    The rows share the whole height; three rows a column keep the cells of a 9:16 canvas
    close to 16:9.
    """
    if count == 0:
        return []
    count = min(count, _RESPONSIVE_MOST)
    columns = math.ceil(math.sqrt(count / 3))
    return _rows(count, columns, 100.0 / columns, 100.0 / math.ceil(count / columns))


def _highlight(count: int) -> list[_Place]:
    """One large place; the others in a column at its right, then in a row below it too.

    One alone has the whole canvas.  Up to 9 others have a fifth of the width, up to 36 a tenth.
    """
    if count == 0:
        return []
    if count == 1:
        return [_Place("reserved-1", 0.0, 0.0, 100.0, 100.0)]
    others = count - 1
    if others <= 5:
        top = (100.0 - 20.0 * others) / 2
        spots = [(80.0, top + 20.0 * row) for row in range(others)]
        return _highlighted(10.0, 20.0, spots)
    if others <= 9:
        spots = [(80.0, 20.0 * row) for row in range(5)]
        spots += [(60.0 - 20.0 * column, 80.0) for column in range(4)]
        return _highlighted(0.0, 20.0, spots[:others])
    spots = [(80.0 + 10.0 * column, 10.0 * row) for row in range(10) for column in range(2)]
    spots += [(70.0 - 10.0 * column, 80.0 + 10.0 * row) for row in range(2) for column in range(8)]
    return _highlighted(0.0, 10.0, spots[:others])


def _highlighted(top: float, size: float, spots: Sequence[tuple[float, float]]) -> list[_Place]:
    large = _Place("reserved-1", 0.0, top, 80.0, 80.0)
    small = [_Place(f"standard-{n}", x, y, size, size) for n, (x, y) in enumerate(spots, start=1)]
    return [large, *small]


def _five_up(_count: int) -> list[_Place]:
    """One large place and a full column of four at its right."""
    small = [_Place(f"standard-{row + 1}", 75.0, 25.0 * row, 25.0, 25.0) for row in range(4)]
    return [_Place("reserved-1", 0.0, 12.5, 75.0, 75.0), *small]


_PLANS: Final[Mapping[str, _Plan]] = MappingProxyType(
    {
        "grid-responsive": _grid_responsive,
        "grid-responsive-mobile": _grid_responsive_mobile,
        "highlight-1-responsive": _highlight,
        "1x1": partial(_fixed, 1, 1),
        "2x1": partial(_fixed, 2, 1),
        "2x2": partial(_fixed, 2, 2),
        "5up": _five_up,
        "3x3": partial(_fixed, 3, 3),
        "4x4": partial(_fixed, 4, 4),
        "5x5": partial(_fixed, 5, 5),
        "6x6": partial(_fixed, 6, 6),
        "8x8": partial(_fixed, 8, 8),
        "10x10": partial(_fixed, 10, 10),
        # The share asks for reserved-1 itself; the members stand beside it.
        "screen-share": _highlight,
    }
)

LAYOUTS: Final[tuple[str, ...]] = tuple(_PLANS)
"""The name of every layout, in the order in which users are shown them."""

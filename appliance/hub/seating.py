"""Who and what stands where in a room: its layout, with raised hands and a film."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from appliance.hub.floor import Floor
from appliance.signaling.layouts import (
    AUTO,
    OFF_CANVAS,
    Layer,
    MemberSlot,
    arrange,
    positions,
)

if TYPE_CHECKING:
    from appliance.hub.members import Member

__all__ = ["SHOWING_PLACES", "Seats", "Showing", "seat"]

SHOWING_PLACES: Final = ("playback", "full-screen")
"""Layers above all others, which every layout has."""


@dataclass(frozen=True, slots=True)
class Showing:
    """A playback with a picture: its id, and where it is to be seen.

    That is a position of the layout or one of `SHOWING_PLACES`; ``auto``, and a position that the
    layout does not have or somebody else was promised, stand for ``playback``.
    """

    id: str
    position: str = AUTO


class Seats:
    """The places of one room, and what they follow beside its members' own wishes: the floor,
    the order of the raised hands, and what is shown."""

    def __init__(self) -> None:
        self.floor: Final = Floor()
        #: The playback that is seen on the canvas.
        self.showing: Showing | None = None
        #: The places as they are now.
        self.layers: list[Layer] = []
        self._hands: list[str] = []

    def position(self, member_id: str) -> str:
        """Where a member stands just now."""
        return positions(self.layers).get(member_id, OFF_CANVAS)

    def hand(self, member_id: str, raised: bool) -> None:
        """A member has raised its hand, or lowered it."""
        self._hands = [one for one in self._hands if one != member_id]
        self._hands += [member_id] if raised else []

    def forget(self, member_id: str) -> None:
        """A member has left the canvas and the conversation."""
        self.floor.leave(member_id)
        self.hand(member_id, raised=False)

    def arrange(
        self, layout: str, members: Mapping[str, Member], *, hide_muted: bool, hands_first: bool
    ) -> bool:
        """Give the members, by id, their places; of the audience nobody has one.

        Returns whether anybody has moved. Raises ValueError for an unknown layout.
        """
        before = positions(self.layers)
        slots = [
            MemberSlot(member.id, member.requested_position)
            for member in members.values()
            if member.type != "audience"
            and member.on_canvas
            and not (hide_muted and member.video_muted)
        ]
        self.layers = seat(
            layout,
            slots,
            floor=self._speaker(members),
            raised=self._hands if hands_first else (),
            showing=self.showing,
            previous=self.layers,
        )
        return positions(self.layers) != before

    def _speaker(self, members: Mapping[str, Member]) -> str | None:
        """Who has the floor, or, of a device without a picture, whose device it is."""
        holder = members.get(self.floor.holder or "")
        if holder is None:
            return None
        return holder.id if holder.on_canvas else holder.parent_id


def seat(
    layout: str,
    members: Sequence[MemberSlot],
    *,
    floor: str | None = None,
    raised: Sequence[str] = (),
    showing: Showing | None = None,
    previous: Sequence[Layer] = (),
) -> list[Layer]:
    """The layers of a room; see `arrange`.

    `raised` are the members whose hands go first, in the order in which they were raised: they
    change places with who has the first ones, unless a place was requested by its member. The
    layer that `film` has is `playing_file` and without a member. Raises ValueError for an unknown
    layout.
    """
    present = {member.id for member in members if member.position != OFF_CANVAS}
    raised = [one for one in raised if one in present]
    # The floor's own place is the best one there is.
    first = raised[0] if raised else floor
    if showing is not None and showing.position not in (AUTO, OFF_CANVAS, *SHOWING_PLACES):
        slots = [MemberSlot(showing.id, showing.position), *members]
        layers = arrange(layout, slots, floor=first, previous=previous)
        if any((one.member_id, one.position) == (showing.id, showing.position) for one in layers):
            return _with_showing(_hands_first(layers, raised, slots), showing)
    layers = _hands_first(arrange(layout, members, floor=first, previous=previous), raised, members)
    return layers if showing is None else _with_showing(layers, showing)


def _hands_first(
    layers: list[Layer], raised: Collection[str], members: Sequence[MemberSlot]
) -> list[Layer]:
    """The raised hands at the first places that nobody asked for."""
    wishes = {member.id: member.position for member in members}
    granted = {
        layer.member_id for layer in layers if wishes.get(layer.member_id or "") == layer.position
    }
    places = [
        index
        for index, layer in enumerate(layers)
        if layer.position not in SHOWING_PLACES and layer.member_id not in granted - {None}
    ]
    layers = list(layers)
    waiting = [member_id for member_id in raised if member_id not in granted]
    for target, member_id in zip(places, waiting, strict=False):
        displaced = layers[target].member_id
        for index, layer in enumerate(layers):
            if layer.member_id == member_id:
                layers[index] = replace(layer, member_id=displaced, visible=displaced is not None)
        layers[target] = replace(layers[target], member_id=member_id, visible=True)
    return layers


def _with_showing(layers: list[Layer], showing: Showing) -> list[Layer]:
    if showing.position == OFF_CANVAS:
        return layers
    place = showing.position if showing.position in SHOWING_PLACES else "playback"
    if any(layer.member_id == showing.id for layer in layers):
        place = showing.position
    return [
        replace(layer, member_id=None, playing_file=True, visible=True)
        if layer.position == place
        else layer
        for layer in layers
    ]

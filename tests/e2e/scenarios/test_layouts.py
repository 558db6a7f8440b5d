"""Where members stand on the canvas."""

from __future__ import annotations

from typing import Any

import pytest
from scenarios.client import Client, Refused, room_updated, updated
from scenarios.covering import covers
from scenarios.meeting import Meeting

NAMES = {
    "grid-responsive",
    "grid-responsive-mobile",
    "highlight-1-responsive",
    "screen-share",
    "1x1",
    "2x1",
    "2x2",
    "3x3",
    "4x4",
    "5up",
    "5x5",
    "6x6",
    "8x8",
    "10x10",
}

LAYER: dict[str, tuple[type, ...]] = {
    "member_id": (str, type(None)),
    "y": (int, float),
    "x": (int, float),
    "height": (int, float),
    "width": (int, float),
    "layer_index": (int,),
    "z_index": (int,),
    "reservation": (str,),
    "position": (str,),
    "playing_file": (bool,),
    "visible": (bool,),
}
"""The fields of a layer, and what they are."""


def _holds(name: str, **positions: str) -> Any:
    """Whether a layout has this name, and members at these positions."""

    def test(payload: Any) -> bool:
        layout = payload["layout"]
        held = {layer["member_id"]: layer["position"] for layer in layout["layers"]}
        return layout["name"] == name and positions.items() <= held.items()

    return test


async def _both_see(meeting: Meeting) -> None:
    """Each sees both cameras where the layout has them."""
    client, witness = meeting.client, meeting.witness
    for viewer in (witness, client):
        for member in (witness, client):
            await viewer.sees_camera(await member.member_id(), member.device)


@covers("getLayouts")
async def test_asks_for_the_layouts(meeting: Meeting) -> None:
    assert set((await meeting.client.call("getLayouts"))["layouts"]) >= NAMES
    birch = await meeting.joined("Birch", 4, permissions=[])
    with pytest.raises(Refused) as refused:
        await birch.call("getLayouts")
    assert refused.value.code == "403"


@covers("setLayout", "layout.changed", "room.updated", "VideoLayoutLayer")
async def test_sets_the_layout(meeting: Meeting) -> None:
    client, witness = meeting.client, meeting.witness
    await _both_see(meeting)
    one = await witness.member_id()
    before, told = len(witness.events), len(client.events)
    await client.call("setLayout", {"name": "3x3"})
    changed = await witness.told("layout.changed", _holds("3x3"), before)
    await witness.told("room.updated", room_updated(layout_name="3x3"), before)
    layers = changed["layout"]["layers"]
    assert len(layers) >= 9
    for layer in layers:
        assert layer.keys() >= LAYER.keys()
        for field, kinds in LAYER.items():
            assert isinstance(layer[field], kinds), (field, layer)
        assert 0 <= layer["x"] <= layer["x"] + layer["width"] <= 100.001
        assert 0 <= layer["y"] <= layer["y"] + layer["height"] <= 100.001
    assert {"playback", "full-screen"} <= {layer["position"] for layer in layers}
    await client.told("layout.changed", _holds("3x3"), told)
    assert round(witness.layers()[one].width) == 33
    await _both_see(meeting)
    await client.call("setLayout", {"name": "grid-responsive"})
    await witness.told("layout.changed", _holds("grid-responsive"), before)
    await _both_see(meeting)
    with pytest.raises(Refused):
        await client.call("setLayout", {"name": "no-such-layout"})


@covers("setLayout", "VideoPositions", "VideoPosition")
async def test_sets_the_layout_with_positions(meeting: Meeting) -> None:
    client, witness = meeting.client, meeting.witness
    me, other = await client.member_id(), await witness.member_id()
    before = len(witness.events)
    positions = {me: "reserved-1", other: "auto"}
    await client.call("setLayout", {"name": "highlight-1-responsive", "positions": positions})
    wanted = _holds("highlight-1-responsive", **{me: "reserved-1"})
    await witness.told("layout.changed", wanted, before)
    assert witness.layers()[me].width > witness.layers()[other].width
    await witness.sees_camera(me, client.device)
    before = len(witness.events)
    positions = {other: "reserved-1", "self": "auto"}
    await client.call("setLayout", {"name": "highlight-1-responsive", "positions": positions})
    wanted = _holds("highlight-1-responsive", **{other: "reserved-1"})
    await witness.told("layout.changed", wanted, before)
    assert witness.layers()[me].width < witness.layers()[other].width
    await witness.sees_camera(other, witness.device)


@covers("setPositions", "layout.changed", "VideoPositions", "VideoPosition")
async def test_sets_the_positions_of_all(meeting: Meeting) -> None:
    client, witness = meeting.client, meeting.witness
    me, other = await client.member_id(), await witness.member_id()
    before = len(witness.events)
    await client.call("setPositions", {"positions": {me: "standard-1", other: "standard-2"}})
    wanted = _holds("grid-responsive", **{me: "standard-1", other: "standard-2"})
    await witness.told("layout.changed", wanted, before)
    first, second = witness.layers()[me], witness.layers()[other]
    assert (first.x, first.y) < (second.x, second.y)
    await _both_see(meeting)
    before = len(witness.events)
    await client.call("setPositions", {"positions": {me: "standard-2", other: "standard-1"}})
    wanted = _holds("grid-responsive", **{me: "standard-2", other: "standard-1"})
    await witness.told("layout.changed", wanted, before)
    assert (witness.layers()[me], witness.layers()[other]) == (second, first)
    await _both_see(meeting)


async def _goes_off(mover: Client, subject: Client, meeting: Meeting, wish: dict[str, str]) -> None:
    """`mover` sends `subject` off the canvas and gets it back."""
    witness = meeting.witness
    subject_id = await subject.member_id()
    await witness.sees_camera(subject_id, subject.device)
    before = len(witness.events)
    await mover.call("setMemberPosition", {**wish, "position": "off-canvas"})
    moved = updated(subject_id, requested_position="off-canvas")
    await witness.told("member.updated", moved, before)
    await witness.told("layout.changed", after=before)
    await witness.lacks_camera(subject.device)
    # It is heard all the same.
    listener = meeting.client if subject is witness else witness
    await listener.hears_tone(subject.tone)
    await mover.call("setMemberPosition", {**wish, "position": "auto"})
    await witness.sees_camera(subject_id, subject.device)


@covers("setMemberPosition", "member.updated", "VideoPosition")
async def test_goes_off_the_canvas(meeting: Meeting) -> None:
    await _goes_off(meeting.client, meeting.client, meeting, {})


@covers("setMemberPosition", "VideoPosition")
async def test_sends_another_off_the_canvas(meeting: Meeting) -> None:
    other = await meeting.witness.member_id()
    await _goes_off(meeting.client, meeting.witness, meeting, {"memberId": other})


@covers("setLayout", "setPositions", "setMemberPosition")
async def test_does_not_move_without_permission(meeting: Meeting) -> None:
    witness = meeting.witness
    other = await witness.member_id()
    birch = await meeting.joined("Birch", 4, permissions=["room.set_layout"])
    before = len(witness.events)
    for method, wish in (
        ("setLayout", {"name": "3x3", "positions": {other: "auto"}}),
        ("setPositions", {"positions": {other: "auto"}}),
        ("setMemberPosition", {"position": "auto"}),
        ("setMemberPosition", {"memberId": other, "position": "auto"}),
    ):
        with pytest.raises(Refused) as refused:
            await birch.call(method, wish)
        assert refused.value.code == "403", method
    await birch.call("setLayout", {"name": "3x3"})
    await witness.told("layout.changed", _holds("3x3"), before)
    assert witness.count("layout.changed", before) == 1

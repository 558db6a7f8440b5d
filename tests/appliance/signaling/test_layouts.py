from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.signaling.layouts import (
    LAYOUTS,
    Layer,
    MemberSlot,
    arrange,
    current_position,
    is_position,
    positions,
)

EPSILON = 1e-9

requests = st.one_of(
    st.sampled_from(["auto", "off-canvas", "reserved-1", "reserved-2"]),
    st.integers(1, 30).map(lambda n: f"standard-{n}"),
)


@st.composite
def rooms(draw: st.DrawFn, most: int = 40) -> list[MemberSlot]:
    asked = draw(st.lists(st.one_of(st.just("auto"), requests), max_size=most))
    return [MemberSlot(f"m{index}", position) for index, position in enumerate(asked)]


layouts = st.sampled_from(LAYOUTS)


def autos(count: int) -> list[MemberSlot]:
    return [MemberSlot(f"m{index}") for index in range(count)]


def cells(layers: list[Layer]) -> list[Layer]:
    return layers[:-2]


def crossing(one: Layer, other: Layer) -> bool:
    return (
        one.x + one.width > other.x + EPSILON
        and other.x + other.width > one.x + EPSILON
        and one.y + one.height > other.y + EPSILON
        and other.y + other.height > one.y + EPSILON
    )


@given(layouts, rooms(), st.integers(0, 45))
def test_every_layer_lies_on_the_canvas_and_none_crosses_another(
    name: str, members: list[MemberSlot], speaker: int
) -> None:
    layers = arrange(name, members, floor=f"m{speaker}")
    for layer in layers:
        assert layer.width > 0
        assert layer.height > 0
        assert layer.x >= -EPSILON
        assert layer.y >= -EPSILON
        assert layer.x + layer.width <= 100 + EPSILON
        assert layer.y + layer.height <= 100 + EPSILON
    flat = cells(layers)
    for index, layer in enumerate(flat):
        assert not any(crossing(layer, other) for other in flat[index + 1 :])
    assert [layer.layer_index for layer in layers] == list(range(len(layers)))
    assert len({layer.position for layer in layers}) == len(layers)


@given(layouts, rooms(), st.integers(0, 45))
def test_members_are_placed_once_and_only_for_want_of_places_not_at_all(
    name: str, members: list[MemberSlot], speaker: int
) -> None:
    layers = arrange(name, members, floor=f"m{speaker}")
    placed = [layer.member_id for layer in layers if layer.member_id is not None]
    assert len(set(placed)) == len(placed)
    assert set(placed) <= {member.id for member in members if member.position != "off-canvas"}
    wanting = [member for member in members if member.position != "off-canvas"]
    assert len(placed) == min(len(wanting), len(cells(layers)))
    for layer in layers:
        assert layer.visible is (layer.member_id is not None)
        assert current_position(layers, str(layer.member_id)) == (
            layer.position if layer.visible else "off-canvas"
        )
    for member in members:
        if member.position == "off-canvas":
            assert current_position(layers, member.id) == "off-canvas"


@given(layouts, rooms(), st.integers(0, 45))
def test_a_requested_position_is_honoured_for_the_first_who_asks(
    name: str, members: list[MemberSlot], speaker: int
) -> None:
    layers = arrange(name, members, floor=f"m{speaker}")
    available = {layer.position for layer in cells(layers)}
    first = {member.position: member.id for member in reversed(members)}
    at = {layer.position: layer.member_id for layer in layers}
    for position in available & first.keys():
        assert at[position] == first[position]


@given(layouts, rooms(), st.integers(0, 45), st.integers(0, 45))
def test_the_same_input_gives_the_same_layers_and_a_second_pass_changes_nothing(
    name: str, members: list[MemberSlot], speaker: int, other: int
) -> None:
    before = arrange(name, members, floor=f"m{other}")
    once = arrange(name, members, floor=f"m{speaker}", previous=before)
    assert arrange(name, members, floor=f"m{speaker}", previous=before) == once
    assert arrange(name, members, floor=f"m{speaker}", previous=once) == once


@given(layouts, st.integers(2, 40), st.data())
def test_nobody_moves_when_a_member_at_a_later_place_leaves(
    name: str, count: int, data: st.DataObject
) -> None:
    members = autos(count)
    before = arrange(name, members)
    seats = {layer.member_id: layer for layer in before if layer.member_id is not None}
    leaver = data.draw(st.sampled_from(sorted(seats)), label="leaver")
    after = arrange(name, [member for member in members if member.id != leaver], previous=before)
    for member_id, seat in seats.items():
        if seat.layer_index < seats[leaver].layer_index:
            assert current_position(after, member_id) == seat.position


@given(layouts, st.integers(1, 40))
def test_nobody_changes_position_when_somebody_joins(name: str, count: int) -> None:
    before = arrange(name, autos(count))
    after = arrange(name, autos(count + 1), previous=before)
    assert positions(before).items() <= positions(after).items()


@pytest.mark.parametrize(
    ("count", "size", "tops"),
    [
        (1, 100.0, [0.0]),
        (2, 50.0, [25.0]),
        (3, 50.0, [0.0, 50.0]),
        (4, 50.0, [0.0, 50.0]),
        (5, 100 / 3, [50 / 3, 50.0]),
        (9, 100 / 3, [0.0, 100 / 3, 200 / 3]),
        (10, 25.0, [12.5, 37.5, 62.5]),
        (100, 10.0, [10.0 * row for row in range(10)]),
    ],
)
def test_the_responsive_grid_keeps_the_shape_of_the_canvas(
    count: int, size: float, tops: list[float]
) -> None:
    layers = cells(arrange("grid-responsive", autos(count)))
    assert len(layers) == count
    assert all(layer.width == layer.height == pytest.approx(size) for layer in layers)
    assert sorted({round(layer.y, 6) for layer in layers}) == pytest.approx(tops)


@given(st.sampled_from(["grid-responsive", "grid-responsive-mobile"]), st.integers(1, 100))
def test_each_row_of_a_responsive_grid_is_centred(name: str, count: int) -> None:
    layers = cells(arrange(name, autos(count)))
    for top in {layer.y for layer in layers}:
        row = [layer for layer in layers if layer.y == top]
        left = min(layer.x for layer in row)
        right = max(layer.x + layer.width for layer in row)
        assert left == pytest.approx(100 - right, abs=1e-6)


def test_the_upright_grid_stacks_up_to_three_and_fills_the_height() -> None:
    for count in range(1, 4):
        layers = cells(arrange("grid-responsive-mobile", autos(count)))
        assert [layer.width for layer in layers] == [100.0] * count
        assert sum(layer.height for layer in layers) == pytest.approx(100.0)
    assert [layer.width for layer in cells(arrange("grid-responsive-mobile", autos(4)))] == [50] * 4


def test_a_fixed_grid_counts_row_by_row_and_shows_its_empty_places() -> None:
    layers = cells(arrange("5x5", [MemberSlot("a"), MemberSlot("b", "standard-13")]))
    assert [layer.position for layer in layers] == [f"standard-{n}" for n in range(1, 26)]
    centre = layers[12]
    assert (centre.x, centre.y, centre.width, centre.height) == (40, 40, 20, 20)
    assert centre.member_id == "b"
    assert layers[0].member_id == "a"
    assert layers[1].member_id is None


def test_two_empty_layers_for_files_and_full_screen_lie_on_top() -> None:
    playback, full_screen = arrange("2x2", autos(1))[-2:]
    assert (playback.position, playback.reservation) == ("playback", "playback")
    assert (full_screen.position, full_screen.reservation) == ("full-screen", "full-screen")
    assert 0 < playback.z_index < full_screen.z_index
    for layer in (playback, full_screen):
        assert (layer.x, layer.y, layer.width, layer.height) == (0, 0, 100, 100)
        assert layer.member_id is None
        assert not layer.visible


def test_the_speaker_gets_the_large_place_and_changes_seats_with_the_last_one() -> None:
    members = autos(5)
    first = arrange("highlight-1-responsive", members)
    assert current_position(first, "m0") == "reserved-1"
    second = arrange("highlight-1-responsive", members, floor="m3", previous=first)
    assert current_position(second, "m3") == "reserved-1"
    assert current_position(second, "m0") == current_position(first, "m3")
    for bystander in ("m1", "m2", "m4"):
        assert current_position(second, bystander) == current_position(first, bystander)
    silence = arrange("highlight-1-responsive", members, previous=second)
    assert silence == second


def test_who_asked_for_the_large_place_keeps_it_from_the_speaker() -> None:
    members = [MemberSlot("a"), MemberSlot("b", "reserved-1"), MemberSlot("c")]
    layers = arrange("screen-share", members, floor="a")
    assert positions(layers) == {"b": "reserved-1", "a": "standard-1", "c": "standard-2"}
    assert layers[0].reservation == "reserved-1"
    assert layers[1].reservation == ""


def test_one_alone_has_the_whole_canvas_whatever_was_requested() -> None:
    for name in ("grid-responsive", "highlight-1-responsive", "screen-share", "1x1"):
        (layer,) = cells(arrange(name, [MemberSlot("a", "standard-7")]))
        assert (layer.x, layer.y, layer.width, layer.height) == (0, 0, 100, 100)
        assert layer.member_id == "a"


def test_a_speaker_without_a_place_takes_the_last_one_that_nobody_asked_for() -> None:
    members = [*autos(3), MemberSlot("wish", "standard-4"), MemberSlot("late")]
    before = arrange("2x2", members)
    assert current_position(before, "late") == "off-canvas"
    after = arrange("2x2", members, floor="late", previous=before)
    assert current_position(after, "late") == "standard-3"
    assert current_position(after, "m2") == "off-canvas"
    assert current_position(after, "wish") == "standard-4"
    assert current_position(arrange("1x1", autos(4), floor="m2"), "m2") == "standard-1"


def test_the_holder_of_a_position_keeps_it_when_an_earlier_member_asks_too() -> None:
    before = arrange("2x2", [MemberSlot("a"), MemberSlot("b", "standard-2")])
    after = arrange(
        "2x2", [MemberSlot("a", "standard-2"), MemberSlot("b", "standard-2")], previous=before
    )
    assert positions(after) == {"a": "standard-1", "b": "standard-2"}


def test_a_hundred_and_one_members_leave_one_outside() -> None:
    for name in ("grid-responsive", "grid-responsive-mobile", "10x10"):
        layers = arrange(name, autos(101))
        assert len(positions(layers)) == 100
        assert current_position(layers, "m100") == "off-canvas"


def test_the_wire_carries_plain_json_in_four_decimals() -> None:
    (layer, *_) = arrange("3x3", autos(1))
    wire = layer.to_wire()
    assert json.loads(json.dumps(wire)) == wire
    assert wire == {
        "layer_index": 0,
        "z_index": 0,
        "x": 0.0,
        "y": 0.0,
        "width": 33.3333,
        "height": 33.3333,
        "member_id": "m0",
        "reservation": "",
        "position": "standard-1",
        "playing_file": False,
        "visible": True,
    }


def test_every_name_of_the_protocol_is_there_and_an_unknown_one_is_refused() -> None:
    assert set(LAYOUTS) == {
        "grid-responsive",
        "grid-responsive-mobile",
        "highlight-1-responsive",
        "screen-share",
        "5up",
        *(f"{n}x{n}" for n in (1, 2, 3, 4, 5, 6, 8, 10)),
        "2x1",
    }
    with pytest.raises(ValueError, match=r"no layout is called '7x7'; there are grid-responsive"):
        arrange("7x7", autos(1))


def test_positions_that_may_be_requested() -> None:
    for good in ("auto", "off-canvas", "reserved-1", "standard-100"):
        assert is_position(good)
    for bad in ("", "Auto", "standard-0", "standard-01", "standard-1\n", "playback", "reserved-"):
        assert not is_position(bad)

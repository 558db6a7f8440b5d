"""Raised hands and films find their places, and everybody else keeps theirs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.hub.seating import SHOWING_PLACES, Showing, seat
from appliance.signaling.layouts import LAYOUTS, Layer, MemberSlot, arrange, positions


def slots(*ids: str, **wishes: str) -> list[MemberSlot]:
    return [MemberSlot(one, wishes.get(one, "auto")) for one in ids]


def playing(layers: list[Layer]) -> list[str]:
    return [layer.position for layer in layers if layer.playing_file]


def test_without_hands_and_films_it_is_the_layout() -> None:
    members = slots("a", "b", "c")
    assert seat("grid-responsive", members, floor="b") == arrange(
        "grid-responsive", members, floor="b"
    )


def test_a_raised_hand_changes_places_with_the_first() -> None:
    members = slots("a", "b", "c", "d")
    before = seat("2x2", members)
    after = seat("2x2", members, raised=["d"], previous=before)
    assert positions(after) == {
        "d": "standard-1",
        "b": "standard-2",
        "c": "standard-3",
        "a": "standard-4",
    }
    # The next hand takes the next place, and the first does not move.
    more = seat("2x2", members, raised=["d", "c"], previous=after)
    assert positions(more) == {
        "d": "standard-1",
        "c": "standard-2",
        "b": "standard-3",
        "a": "standard-4",
    }
    # A hand that goes down moves nobody.
    assert positions(seat("2x2", members, raised=["c"], previous=more))["d"] == "standard-2"
    assert positions(seat("2x2", members, previous=more)) == positions(more)


def test_a_raised_hand_comes_onto_a_full_canvas() -> None:
    members = slots("a", "b", "c")
    before = seat("1x1", members)
    after = seat("1x1", members, floor="b", raised=["c"], previous=before)
    assert positions(after) == {"c": "standard-1"}


def test_a_raised_hand_has_the_large_place_also_while_another_talks() -> None:
    members = slots("a", "b", "c")
    layers = seat("highlight-1-responsive", members, floor="b", raised=["c"])
    assert positions(layers)["c"] == "reserved-1"


def test_a_place_that_was_requested_is_not_taken() -> None:
    members = slots("a", "b", "c", a="standard-1")
    layers = seat("2x2", members, raised=["c"])
    assert positions(layers)["a"] == "standard-1"
    assert positions(layers)["c"] == "standard-2"
    # Nor does one leave the place that it requested for a better one.
    members = slots("a", "b", "c", c="standard-3")
    assert positions(seat("2x2", members, raised=["c"]))["c"] == "standard-3"


def test_hands_of_who_is_not_on_the_canvas_are_ignored() -> None:
    members = slots("a", "b")
    assert seat("2x2", members, raised=["nobody"]) == arrange("2x2", members)


@pytest.mark.parametrize("position", ["auto", "playback", "standard-77"])
def test_a_film_is_in_the_playback_layer(position: str) -> None:
    layers = seat("2x2", slots("a", "b"), showing=Showing("film", position))
    assert playing(layers) == ["playback"]
    layer = next(one for one in layers if one.playing_file)
    assert (layer.member_id, layer.visible, layer.width, layer.height) == (None, True, 100, 100)
    assert positions(layers) == {"a": "standard-1", "b": "standard-2"}


def test_a_film_can_fill_the_screen_or_be_heard_only() -> None:
    assert playing(seat("2x2", slots("a"), showing=Showing("film", "full-screen"))) == [
        "full-screen"
    ]
    assert playing(seat("2x2", slots("a"), showing=Showing("film", "off-canvas"))) == []


def test_a_film_takes_a_place_of_the_layout() -> None:
    members = slots("a", "b")
    before = seat("highlight-1-responsive", members)
    layers = seat(
        "highlight-1-responsive", members, showing=Showing("film", "reserved-1"), previous=before
    )
    assert playing(layers) == ["reserved-1"]
    # Three share the canvas now, and both members are on it.
    assert positions(layers).keys() == {"a", "b"}
    assert "reserved-1" not in positions(layers).values()
    # It keeps its place, and who speaks does not take it.
    again = seat(
        "highlight-1-responsive",
        members,
        floor="b",
        showing=Showing("film", "reserved-1"),
        previous=layers,
    )
    assert again == layers


def test_a_film_gives_way_to_who_requested_the_place() -> None:
    members = slots("a", "b", a="standard-1")
    before = seat("2x2", members)
    layers = seat("2x2", members, showing=Showing("film", "standard-1"), previous=before)
    assert positions(layers)["a"] == "standard-1"
    assert playing(layers) == ["playback"]


@given(
    layout=st.sampled_from(LAYOUTS),
    count=st.integers(0, 12),
    raised=st.lists(st.sampled_from([f"m{n}" for n in range(12)]), unique=True),
    place=st.sampled_from(["auto", "standard-1", "reserved-1", "full-screen", "off-canvas"]),
    wishes=st.dictionaries(
        st.sampled_from([f"m{n}" for n in range(12)]),
        st.sampled_from(["standard-1", "standard-2", "reserved-1", "off-canvas"]),
    ),
)
def test_nobody_is_lost_or_doubled(
    layout: str, count: int, raised: list[str], place: str, wishes: dict[str, str]
) -> None:
    members = slots(*(f"m{n}" for n in range(count)), **wishes)
    plain = seat(layout, members)
    layers = seat(layout, members, raised=raised, showing=Showing("film", place), previous=plain)
    seated = [layer.member_id for layer in layers if layer.member_id is not None]
    assert len(seated) == len(set(seated))
    assert set(seated) <= {one.id for one in members if one.position != "off-canvas"}
    assert len(playing(layers)) == (place != "off-canvas")
    for layer in layers:
        assert layer.visible == (layer.member_id is not None or layer.playing_file)
        assert layer.member_id is None or layer.position not in SHOWING_PLACES
    # Seated once more nobody moves.
    again = seat(layout, members, raised=raised, showing=Showing("film", place), previous=layers)
    assert again == layers

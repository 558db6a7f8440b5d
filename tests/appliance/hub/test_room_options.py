"""What can be set about a room, to its limits and no further, and what a change leaves alone."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from appliance.hub.room_options import MEMBERS_MAX, RoomDefaults, RoomOptions, RoomSettings
from appliance.signaling.layouts import LAYOUTS
from tests.appliance.hub.stored import OPTIONS


def test_a_room_needs_a_name_and_nothing_else() -> None:
    room = RoomOptions(name="demo")
    assert room.model_dump(exclude_defaults=True) == {"name": "demo"}
    assert (room.max_members, room.quality, room.layout, room.meta) == (None, None, None, {})
    assert RoomOptions(name="other").meta is not room.meta
    with pytest.raises(ValidationError, match="name"):
        RoomOptions.model_validate({})


def test_the_hub_s_own_defaults_can_be_a_room_s() -> None:
    defaults = RoomDefaults()
    RoomSettings(
        max_members=defaults.max_members,
        quality=defaults.quality,
        fps=30 if defaults.fps == 30 else 20,
        layout=defaults.layout,
    )


@pytest.mark.parametrize(
    ("field", "value", "means"),
    [
        ("name", "a", "a"),
        ("name", "x" * 100, "x" * 100),
        ("name", "Oak_room-7", "Oak_room-7"),
        ("display_name", " Größe ☃ ", "Größe ☃"),
        ("display_name", "x" * 200, "x" * 200),
        ("description", "two\nlines", "two\nlines"),
        ("description", "x" * 3000, "x" * 3000),
        ("max_members", 1, 1),
        ("max_members", MEMBERS_MAX, 300),
        ("max_members", 7.0, 7),
        ("fps", 20.0, 20),
        ("fps", 30, 30),
        ("remove_after_seconds_elapsed", 1, 1),
        ("remove_after_seconds_elapsed", 31_536_000, 31_536_000),
        ("join_from", 0, datetime(1970, 1, 1, tzinfo=UTC)),
        ("join_from", "2030-01-01T02:00:00+02:00", datetime(2030, 1, 1, tzinfo=UTC)),
        ("join_until", "2030-01-01", datetime(2030, 1, 1, tzinfo=UTC)),
        *(("layout", name, name) for name in LAYOUTS),
    ],
)
def test_what_a_room_may_be(field: str, value: object, means: object) -> None:
    room = RoomOptions.model_validate({"name": "demo", field: value})
    kept = getattr(room, field)
    assert kept == means
    assert type(kept) is type(means)
    # It comes back from the store as it was.
    again = RoomOptions.model_validate_json(room.model_dump_json(exclude_defaults=True))
    assert again == room


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("name", "x" * 101),
        ("name", "demo\n"),
        ("name", "größe"),
        ("name", "a/b"),
        ("display_name", " "),
        ("display_name", "x" * 201),
        ("display_name", "two\nlines"),
        ("description", "x" * 3001),
        ("max_members", 0),
        ("max_members", MEMBERS_MAX + 1),
        ("max_members", 7.5),
        ("max_members", True),
        ("max_members", "7"),
        ("quality", "4k"),
        ("fps", 25),
        ("fps", 20.5),
        ("fps", "20"),
        ("remove_after_seconds_elapsed", 0),
        ("remove_after_seconds_elapsed", 31_536_001),
        ("join_from", "soon"),
        ("join_from", True),
        ("remove_at", -1),
        ("remove_at", 1e300),
        ("layout", "1X1"),
        ("record_on_start", 1),
        ("record_on_start", "true"),
        ("meta", None),
        ("meta", {"a": "x" * 2000}),
        ("nmae", "demo"),
    ],
)
def test_what_it_may_not_be(field: str, value: object) -> None:
    with pytest.raises(ValidationError) as caught:
        RoomOptions.model_validate({"name": "demo", field: value})
    assert {error["loc"][0] for error in caught.value.errors()} == {field}


def test_a_layout_that_is_not_there_is_told_with_those_that_are() -> None:
    with pytest.raises(ValidationError) as caught:
        RoomSettings(layout="round" * 1000)
    message = caught.value.errors()[0]["msg"]
    assert all(name in message for name in LAYOUTS)
    # A long name does not come back whole.
    assert "round" * 17 not in message


def test_a_change_keeps_what_it_does_not_name_and_takes_away_what_is_null() -> None:
    settings = RoomSettings.model_validate({"max_members": 3, "quality": None, "meta": {"b": 2}})
    changed = OPTIONS.changed(settings)
    assert (changed.max_members, changed.quality, changed.meta) == (3, None, {"b": 2})
    untouched: dict[str, Any] = OPTIONS.model_dump(exclude={"max_members", "quality", "meta"})
    assert changed.model_dump(exclude={"max_members", "quality", "meta"}) == untouched
    # The old one is as it was: sessions go on with it.
    assert (OPTIONS.max_members, OPTIONS.meta) == (7, {"a": [1, {"b": None}]})
    assert OPTIONS.changed(RoomSettings()) == OPTIONS


def test_nobody_changes_one_that_others_hold() -> None:
    with pytest.raises(ValidationError):
        OPTIONS.max_members = 5  # type: ignore[misc]


def test_a_change_has_no_name() -> None:
    with pytest.raises(ValidationError):
        RoomSettings.model_validate({"name": "other"})

"""A room's settings are answered whole, and what it does not set is as the hub is set."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from appliance.hub.rest_settings import Flag, SettingsAnswer, maybe_time_of, time_of
from appliance.hub.room_options import RoomDefaults, RoomOptions, RoomSettings
from tests.appliance.hub.stored import OPTIONS

DEFAULTS = RoomDefaults(max_members=9, quality="1080p", fps=20, layout="2x2")


class Query(BaseModel):
    flag: Flag = False


@pytest.mark.parametrize(
    ("text", "flag"), [("true", True), ("false", False), (True, True), (False, False)]
)
def test_a_flag_is_true_or_false(text: object, flag: bool) -> None:
    assert Query.model_validate({"flag": text}).flag is flag


@pytest.mark.parametrize("text", ["", "True", "1", "0", "yes", "on", " true", "true\n"])
def test_anything_else_is_no_flag(text: str) -> None:
    with pytest.raises(ValidationError, match="must be true or false"):
        Query.model_validate({"flag": text})


def test_a_flag_is_a_boolean_of_the_document() -> None:
    assert Query.model_json_schema()["properties"]["flag"]["type"] == "boolean"


def test_times_have_a_zone_and_parts_of_a_second() -> None:
    assert time_of(1.25) == datetime(1970, 1, 1, 0, 0, 1, 250_000, tzinfo=UTC)
    assert maybe_time_of(0.0) == datetime(1970, 1, 1, tzinfo=UTC)
    assert maybe_time_of(None) is None


def test_what_a_room_does_not_set_is_as_the_hub_is_set() -> None:
    answer = SettingsAnswer.build(RoomOptions(name="demo"), DEFAULTS)
    assert answer.model_dump() == {
        "name": "demo",
        "display_name": "demo",
        "max_members": 9,
        "quality": "1080p",
        "fps": 20,
        "join_from": None,
        "join_until": None,
        "remove_at": None,
        "remove_after_seconds_elapsed": None,
        "layout": "2x2",
        "record_on_start": False,
        "enable_room_previews": False,
        "prioritize_handraise": False,
        "tone_on_entry_and_exit": False,
        "sync_audio_video": None,
        "meta": {},
    }


def test_what_it_sets_goes_before() -> None:
    defaults = RoomDefaults(max_members=9, quality="720p", fps=30, layout="2x2")
    answer = SettingsAnswer.build(OPTIONS, defaults)
    kept = answer.model_dump()
    assert kept == {name: getattr(OPTIONS, name) for name in kept}
    assert (answer.fps, answer.quality, answer.max_members, answer.layout) == (
        20,
        "1080p",
        7,
        "5up",
    )


def test_every_setting_of_a_room_is_answered_but_its_description() -> None:
    # That is answered of a room, and not of a session.
    assert RoomSettings.model_fields.keys() - SettingsAnswer.model_fields.keys() == {"description"}


def test_an_answer_that_says_more_says_all() -> None:
    class Answer(SettingsAnswer):
        id: str
        note: str | None

    more: dict[str, Any] = {"id": "r", "note": None}
    answer = Answer.build(RoomOptions(name="demo"), DEFAULTS, **more)
    assert (answer.id, answer.note, answer.name) == ("r", None, "demo")
    with pytest.raises(ValidationError):
        Answer.build(RoomOptions(name="demo"), DEFAULTS, id="r")

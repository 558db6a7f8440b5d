from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from appliance.provisioning.config import Config
from appliance.provisioning.mistakes import mistakes, shown, unknown, without, worst

ROOM = {"host": "ws://hub", "name": "demo", "guest": True}

VALUES = st.none() | st.booleans() | st.integers(-5, 9999) | st.text("ab:/.0", max_size=9)
SECTION = st.dictionaries(
    st.sampled_from(["host", "name", "token", "guest", "listen", "pin_file", "tls_key", "odd"]),
    VALUES | st.lists(VALUES, max_size=2),
    max_size=4,
)
SECTIONS = st.dictionaries(
    st.sampled_from(["room", "panel", "policy", "calendar", "token_headers", "rom"]),
    VALUES | SECTION,
)


@given(SECTIONS)
def test_there_are_mistakes_exactly_where_the_model_refuses(values: dict[str, Any]) -> None:
    found = mistakes(Config, values)
    try:
        Config.model_validate(values)
    except ValidationError:
        assert found
        key, reason = worst(found, lambda _: None)
        assert key in [mistake.key for mistake in found]
        assert "\n" not in reason
    else:
        assert found == []
    assert len({(tuple(one.key), one.reason) for one in found}) == len(found)


@given(SECTIONS)
def test_without_its_mistakes_only_rules_are_left(values: dict[str, Any]) -> None:
    wrong = [mistake.key for mistake in mistakes(Config, values) if mistake.rank < 2]
    assert all(mistake.rank == 2 for mistake in mistakes(Config, without(values, wrong)))


def test_the_one_that_is_told_is_the_likeliest_cause() -> None:
    found = mistakes(Config, {"room": ROOM | {"hots": 1}, "camera": {"rate": "x"}})
    assert [mistake.rank for mistake in found] == [0, 1]
    assert worst(found, lambda _: None) == (("room", "hots"), "unknown key, did you mean host?")
    assert worst(found[1:], lambda _: None)[1] == "must be a number, without quotes, not 'x'"
    # Of equals, the one that stands first.
    both = mistakes(Config, {"room": ROOM, "camera": {"rate": "x", "width": "y"}})
    lines = {("camera", "rate"): (9, 1), ("camera", "width"): (7, 1)}
    assert worst(both, lambda key: lines[key])[0] == ("camera", "width")  # type: ignore[index]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("turn:alice:c4n4ry@relay:3478", "'turn:...@relay:3478'"),
        ("ftp://u:c4/n4ry@p:1", "'ftp://...@p:1'"),
        ("u:c4n4ry@hub x", "'u:...@hub x'"),
        ("https://c4n4ry@hub", "'https://...@hub'"),
        ("u:c4@n4ry@hub", "'u:...@hub'"),
        ("u:c4'\"\nn4ry@hub", None),
        ("u:" + "c4n4ry" * 20 + "@hub", "'u:...@hub'"),
        (["a", "http://u:c4n4ry@p"], "['a', 'http://...@p']"),
        ({"proxy": "u:c4n4ry@p"}, "{'proxy':...@p'}"),
        # Nothing to hide.
        ("oak@rooms.example", "'oak@rooms.example'"),
        ("oak@hub:80", "'oak@hub:80'"),
        ("@:", "'@:'"),
        ("http://hub:80", "'http://hub:80'"),
        (7, "7"),
    ],
)
def test_no_password_of_what_may_be_an_address_is_shown(value: Any, text: str | None) -> None:
    assert shown(value) == text or text is None
    assert not re.search("c4|n4ry", shown(value))


@pytest.mark.parametrize(
    ("keys", "left"),
    [
        ([], {"a": {"b": 1, "c": [2, 3]}, "d": 4}),
        ([("a", "b")], {"a": {"c": [2, 3]}, "d": 4}),
        ([("a", "c", 1)], {"a": {"b": 1}, "d": 4}),
        ([("a", "b", "[key]")], {"a": {"c": [2, 3]}, "d": 4}),
        ([("a",), ("d",)], {}),
        ([("x",), ("a", "b"), ("a", "c")], {"a": {}, "d": 4}),
    ],
)
def test_values_without_some_of_them(keys: list[tuple[str | int, ...]], left: Any) -> None:
    values = {"a": {"b": 1, "c": [2, 3]}, "d": 4}
    assert without(values, keys) == left
    assert values == {"a": {"b": 1, "c": [2, 3]}, "d": 4}


def test_what_is_near_to_a_key_is_named() -> None:
    assert unknown("rtae", ["rate", "width"]) == "unknown key, did you mean rate?"
    assert unknown("xyz", ["rate", "width"]) == "unknown key, choose one of rate, width"

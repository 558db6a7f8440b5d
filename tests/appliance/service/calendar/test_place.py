"""In which room a meeting is: what is believed, and in which order."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.service.calendar.meeting import Meeting
from appliance.service.calendar.place import LINKS_MAX, hosts_of, place_of, read_place

START = dt.datetime(2026, 3, 16, 9, tzinfo=dt.UTC)
PLAIN = Meeting("a/1", "Sync", START, START + dt.timedelta(minutes=30))
HOSTS = hosts_of("ws://hub.local:8080", ["meet.example"])


def told(room: str = "", conference: str = "", texts: Iterable[str] = ()) -> Meeting:
    """A meeting whose event says these things, as it comes from the reader's process."""
    one = replace(PLAIN, **read_place(room, conference, texts))
    assert Meeting.from_json(json.loads(json.dumps(one.to_json()))) == one
    return one


@pytest.mark.parametrize(
    ("meeting", "where"),
    [
        ({}, ""),
        ({"room": "oak"}, ""),
        ({"room": "elm"}, "elm"),
        ({"room": "https://meet.example/?room=elm"}, "elm"),
        ({"room": "oak", "conference": "https://evil.example/?room=x"}, ""),
        ({"conference": "http://HUB.local:8080/?room=oak"}, ""),
        ({"conference": "http://hub.local:8080/#elm"}, "elm"),
        # A link to meet at another host is no reason to go into the own room.
        ({"conference": "https://evil.example/?room=oak"}, "evil.example"),
        ({"conference": "http://hub.local:8081/?room=oak"}, "hub.local:8081"),
        ({"conference": "https://meet.example.evil/?room=oak"}, "meet.example.evil"),
        ({"conference": "https://meet.example@evil.example/?room=oak"}, "evil.example"),
        # The name of a room in a building, and pages that are read along, say nothing.
        ({"texts": ("https://wiki.example/#elm", "Elm", "see https://evil.example/?room=y")}, ""),
        ({"texts": ("", "https://meet.example/?room=elm.", "https://meet.example/#ash")}, "elm"),
        ({"texts": ("", "", 'Join <a href="https://meet.example/#ash">here</a>')}, "ash"),
        ({"texts": ("", "", "https://meet.example/x/?room=ash http://[::1")}, ""),
    ],
)
def test_where(meeting: dict[str, Any], where: str) -> None:
    place = place_of(told(**meeting), "oak", HOSTS)
    assert str(place) == where
    assert bool(place.foreign) == ("." in where)


@given(st.text(), st.text(), st.tuples(st.text(), st.text()))
def test_nothing_that_stands_there_raises(room: str, link: str, texts: tuple[str, str]) -> None:
    assert place_of(told(room, f"https://{link}", texts), "oak", HOSTS)


def test_what_the_device_keeps_of_an_invitation_is_little() -> None:
    text = " ".join(f"https://h{n}.example/#r" for n in range(1000))
    one = told("x" * 4000, "", [text, text])
    assert len(one.links) == LINKS_MAX
    assert len(json.dumps(one.to_json())) < 2000

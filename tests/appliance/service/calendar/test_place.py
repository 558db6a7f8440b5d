"""In which room a meeting is: what is believed, and in which order."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.service.calendar.meeting import Meeting
from appliance.service.calendar.place import hosts_of, place_of

START = dt.datetime(2026, 3, 16, 9, tzinfo=dt.UTC)
PLAIN = Meeting("a/1", "Sync", START, START + dt.timedelta(minutes=30))
HOSTS = hosts_of("ws://hub.local:8080", ["meet.example"])


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
def test_where(meeting: dict[str, object], where: str) -> None:
    place = place_of(replace(PLAIN, **meeting), "oak", HOSTS)  # type: ignore[arg-type]
    assert str(place) == where
    assert bool(place.foreign) == ("." in where)


@given(st.text(), st.text(), st.tuples(st.text(), st.text()))
def test_nothing_that_stands_there_raises(room: str, link: str, texts: tuple[str, str]) -> None:
    one = replace(PLAIN, room=room, conference=f"https://{link}", texts=texts)
    assert place_of(one, "oak", HOSTS)

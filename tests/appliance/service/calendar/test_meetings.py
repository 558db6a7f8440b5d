"""What the device does about its meetings."""

from __future__ import annotations

import datetime as dt
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from appliance.provisioning.config import CalendarConfig
from appliance.service.calendar.meeting import Meeting
from appliance.service.calendar.meetings import Meetings, Plan, When
from appliance.service.calendar.place import Place

NINE = dt.datetime(2026, 3, 16, 9, tzinfo=dt.UTC)


def at(minute: float) -> dt.datetime:
    return NINE + dt.timedelta(minutes=minute)


def meeting(begins: float, ends: float, key: str = "") -> Meeting:
    return Meeting(key or f"{begins}", "Sync", at(begins), at(ends))


class Room:
    """A device that does as it is told."""

    def __init__(self, *agenda: Meeting, stays: bool = False, **config: Any) -> None:
        self.meetings = Meetings(CalendarConfig(**config))
        self.agenda, self.stays = list(agenda), stays
        self.places: dict[str, Place] = {}
        self.at: str | None = "" if stays else None
        self.others = 0

    def look(self, minute: float) -> Plan:
        plan = self.meetings.look(
            at(minute),
            self.agenda,
            at=self.at,
            others=None if self.at is None else self.others,
            stays=self.stays,
            place=lambda one: self.places.get(one.key, Place()),
        )
        if plan.join is not None:
            self.at = self.places.get(plan.join.key, Place()).room
        if plan.leave:
            self.at = "" if self.stays and self.at else None
        return plan


def test_it_comes_at_the_beginning_and_goes_after_the_end() -> None:
    room = Room(meeting(0, 30), leave_after_minutes=5)
    assert room.look(-20).when is When.NEXT
    assert (room.look(-5).when, room.at) == (When.SOON, None)
    assert room.look(0).join == room.agenda[0]
    room.others = 2
    assert room.look(20) == Plan(shown=room.agenda[0], when=When.NOW, open=True, near=True)
    room.others = 0
    assert not room.look(30).leave
    assert not room.look(34.9).leave
    assert room.look(35).leave == "the meeting is over"
    assert room.look(36) == Plan()


def test_a_meeting_is_never_ended_while_others_are_there() -> None:
    room = Room(meeting(0, 30))
    room.look(0)
    room.others = 1
    assert not any(room.look(minute).leave for minute in range(1, 300))
    room.others = 0
    assert room.look(300).leave == "the meeting is over"


def test_who_hangs_up_has_ended_it() -> None:
    room = Room(meeting(0, 30))
    room.look(0)
    room.look(1)
    room.at = None
    assert room.look(2) == Plan(
        shown=room.agenda[0], when=When.ENDED, open=True, ended=(room.agenda[0],)
    )
    assert room.look(10).join is None
    # And the press of a button makes it go on.
    room.at = ""
    assert room.look(11).when is When.NOW


def test_a_room_that_nobody_answers_for_is_tried_again() -> None:
    room = Room(meeting(0, 30))
    one = room.agenda[0]
    room.places[one.key] = Place("elm")
    assert room.look(0).join == one
    # The way there ends where it began, which is no hang-up.
    room.at = None
    room.look(0.1)
    room.meetings.missed(one, at(1))
    assert (room.look(0.5).join, room.look(0.6).when) == (None, When.NOW)
    assert room.look(1).join == one
    room.look(2)
    room.at = None
    assert room.look(3).when is When.ENDED, "now somebody hung up"


def test_nobody_comes() -> None:
    room = Room(meeting(0, 60), no_show_minutes=15)
    room.look(0)
    assert not any(room.look(minute).leave for minute in range(1, 15))
    assert room.look(16).leave == "the room was empty during the meeting"
    assert (room.look(17).join, room.look(17).when) == (None, When.ENDED)
    patient = Room(meeting(0, 60), no_show_minutes=0)
    patient.look(0)
    assert not any(patient.look(minute).leave for minute in range(1, 60))


def test_who_presses_the_button_after_a_no_show_stays() -> None:
    room = Room(meeting(0, 60), no_show_minutes=15)
    looks = [room.look(second / 60) for second in range(16 * 60)]
    assert any(plan.leave for plan in looks)
    assert room.at is None
    # The device is there between two looks.
    room.at = ""
    assert not any(room.look(20 + second / 60).leave for second in range(14 * 60))


def test_after_a_meeting_elsewhere_it_does_not_stay_where_nothing_is_on() -> None:
    here, far = meeting(0, 30, "here"), meeting(30, 60, "far")
    room = Room(here, far, no_show_minutes=0)
    room.places["far"] = Place("elm")
    room.look(0)
    assert room.look(30).join == far
    assert room.look(66).leave
    # Home is where it was before: in its own room, for a meeting that is over.
    room.at = ""
    assert room.look(67).leave == "the meeting is over"
    assert room.at is None


def test_a_person_who_takes_it_elsewhere_brings_it_home_into_the_meeting() -> None:
    room = Room(meeting(0, 60), no_show_minutes=0)
    room.look(0)
    room.at = "ash"
    room.look(10)
    room.at = ""
    assert not any(room.look(minute).leave for minute in range(20, 65))
    assert room.look(66).leave


def test_whom_a_person_called_home_stays() -> None:
    room = Room(meeting(0, 30, "far"))
    room.places["far"] = Place("elm")
    room.look(-60)
    room.at = ""
    room.look(-59)
    room.at = "ash"
    room.look(-50)
    room.at = ""
    assert not any(room.look(minute).leave for minute in range(-49, -15))


def test_who_is_there_is_not_left_while_the_connection_is_lost() -> None:
    far = meeting(0, 60, "far")
    room = Room(far, stays=True)
    room.places["far"] = Place("elm")
    room.others = 2
    room.look(-5)
    room.look(0)
    lost = room.meetings.look(
        at(40), room.agenda, at="", others=None, stays=True, place=lambda _: Place("elm")
    )
    assert lost.join is None
    room.others = 0
    assert room.look(41).join == far


def test_one_touch_before_the_beginning() -> None:
    room = Room(meeting(0, 30), auto_join=False)
    room.look(-6)
    room.at = ""
    assert room.look(-5).join is None
    assert not room.look(31).leave
    assert room.look(36).leave


def test_without_auto_join_it_waits_for_a_person() -> None:
    room = Room(meeting(0, 30), auto_join=False)
    assert [room.look(minute).join for minute in range(-5, 30)] == [None] * 35


def test_a_device_that_lives_in_its_room_stays_there() -> None:
    room = Room(meeting(0, 30), stays=True)
    assert not any(room.look(m).leave or room.look(m).join for m in range(-5, 90))


def test_one_meeting_after_the_other() -> None:
    room = Room(meeting(0, 30), meeting(30, 60), no_show_minutes=0)
    room.look(0)
    assert not any(room.look(m).leave for m in range(1, 65))
    assert room.look(66).leave


def test_a_meeting_elsewhere_is_only_shown() -> None:
    room = Room(meeting(0, 30, "far"))
    room.places["far"] = Place(foreign="evil.example")
    assert room.look(5) == Plan(shown=room.agenda[0], when=When.NOW)


def test_a_meeting_in_another_room_waits_for_who_is_in_this_one() -> None:
    room = Room(meeting(0, 30, "far"), stays=True)
    room.places["far"] = Place("elm")
    room.look(-5)
    room.others = 1
    assert room.look(0).join is None
    room.others = 0
    assert room.look(3).join == room.agenda[0]
    room.others = 2
    assert not room.look(50).leave
    room.others = 0
    assert room.look(51).leave == "the meeting is over"
    assert (room.at, room.look(52)) == ("", Plan())


def test_a_visit_that_fails_or_ends_is_not_made_again() -> None:
    room = Room(meeting(0, 30, "far"))
    room.places["far"] = Place("elm")
    assert room.look(0).join
    room.at = None
    assert (room.look(1).join, room.look(1).when) == (None, When.ENDED)


def test_where_a_person_went_the_device_stays() -> None:
    room = Room(meeting(0, 30))
    room.look(-1)
    room.at = "ash"
    assert not any(room.look(m).join or room.look(m).leave for m in range(40))


def test_from_one_room_to_the_next() -> None:
    room = Room(meeting(0, 30, "a"), meeting(30, 60, "b"))
    room.places = {"a": Place("elm"), "b": Place()}
    room.look(0)
    room.others = 1
    room.look(20)
    room.others = 0
    assert room.look(30).join == room.agenda[1]
    assert room.at == ""


def test_another_device_object_goes_on_where_the_one_before_stopped() -> None:
    room = Room(meeting(0, 30))
    room.look(0)
    room.at = None
    room.look(1)
    after = Room(*room.agenda)
    after.meetings.carry(room.meetings)
    assert after.look(2).join is None
    assert after.look(2).when is When.ENDED


def test_another_device_object_comes_for_the_meeting_that_is_on() -> None:
    room = Room(meeting(0, 30))
    room.look(0)
    room.look(5)
    after = Room(*room.agenda)
    after.meetings.carry(room.meetings)
    assert after.look(6).join == room.agenda[0]
    assert after.look(36).leave == "the meeting is over"


@given(
    st.lists(st.tuples(st.integers(0, 100), st.integers(1, 60)), max_size=6),
    st.lists(
        st.tuples(st.integers(0, 5), st.sampled_from(["", "press", "hang up", "come", "go"])),
        max_size=60,
    ),
    st.booleans(),
)
def test_whatever_people_do(
    spans: list[tuple[int, int]], acts: list[tuple[int, str]], stays: bool
) -> None:
    """Each meeting calls once, in its time, and nobody is left alone by the device."""
    room = Room(
        *(meeting(begin, begin + length, f"m{n}") for n, (begin, length) in enumerate(spans)),
        stays=stays,
    )
    called: list[str] = []
    minute = 0
    for wait, act in acts:
        minute += wait
        if act == "press":
            room.at = ""
        elif act == "hang up":
            room.at = None
        elif room.at is not None:
            room.others = max(0, room.others + (act == "come") - (act == "go"))
        room.others = 0 if room.at is None else room.others
        others = room.others
        plan = room.look(minute)
        assert not (plan.leave and others)
        if plan.join is not None:
            called.append(plan.join.key)
            assert plan.join.begins <= at(minute) < plan.join.ends
    assert len(called) == len(set(called))


def test_who_is_still_in_a_call_is_told_what_is_next() -> None:
    first, second = meeting(0, 30), meeting(30, 60)
    room = Room(first, second)
    room.look(0)
    room.others = 2
    assert room.look(24).coming is None
    assert room.look(25).coming == second
    # Then they are in it.
    assert room.look(30).coming is None


def test_who_came_early_for_a_meeting_is_not_told_of_it() -> None:
    room = Room(meeting(10, 30))
    room.look(5)
    room.at = ""
    assert [room.look(minute).coming for minute in (6, 8, 12)] == [None] * 3


def test_who_is_in_a_call_is_told_that_another_room_waits() -> None:
    far = meeting(10, 30)
    room = Room(far, stays=True)
    room.places[far.key] = Place("elm")
    room.others = 2
    assert [room.look(minute).coming for minute in (4, 6, 10, 29, 30)] == [
        None,
        far,
        far,
        far,
        None,
    ]
    # Outside a call there is another sentence.
    room.at = None
    assert room.look(29).coming is None

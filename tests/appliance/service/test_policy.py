from __future__ import annotations

import datetime as dt

from hypothesis import given
from hypothesis import strategies as st

from appliance.provisioning.config import PolicyConfig
from appliance.service.policy import Decision, Policy

COME = Decision(True)


def at(text: str) -> dt.datetime:
    return dt.datetime.combine(dt.date(2026, 5, 4), dt.time.fromisoformat(text), dt.UTC)


NOON = at("12:00")


def test_it_comes_by_itself_or_when_it_is_called() -> None:
    assert Policy(PolicyConfig()).decide(NOON, 0, None) == COME
    policy = Policy(PolicyConfig(auto_join=False))
    assert policy.decide(NOON, 0, None) == Decision(False, "press the button to join")
    policy.called()
    assert policy.decide(NOON, 1, None) == COME


def test_it_stays_out_after_a_person_hung_up_until_it_is_called() -> None:
    policy = Policy(PolicyConfig())
    assert policy.decide(NOON, 0, 2) == COME
    policy.hung_up()
    out = Decision(False, "somebody here hung up; press the button to join")
    assert policy.decide(NOON, 1, 2) == out
    assert policy.decide(NOON, 9999, None) == out
    policy.called()
    assert policy.decide(NOON, 10000, None) == COME


def test_it_leaves_a_room_that_stays_empty() -> None:
    policy = Policy(PolicyConfig(leave_empty_minutes=5))
    assert policy.decide(NOON, 0, 0) == COME
    assert policy.decide(NOON, 299, 0) == COME
    # Somebody looks in: the time begins anew.
    assert policy.decide(NOON, 300, 1) == COME
    assert policy.decide(NOON, 301, 0) == COME
    assert policy.decide(NOON, 600, 0) == COME
    assert policy.decide(NOON, 601, 0) == Decision(
        False, "the room was empty; press the button to join"
    )
    # And does not come back by itself.
    assert not policy.decide(NOON, 9000, None).attend
    policy.called()
    assert policy.decide(NOON, 9001, None) == COME
    assert policy.decide(NOON, 9002, 0) == COME


def test_a_lost_connection_is_no_empty_room() -> None:
    policy = Policy(PolicyConfig(leave_empty_minutes=1))
    for now in range(0, 600, 50):
        assert policy.decide(NOON, now, 0 if now % 100 else None).attend


def test_without_a_limit_it_stays_alone_for_ever() -> None:
    policy = Policy(PolicyConfig())
    assert policy.decide(NOON, 0, 0) == COME
    assert policy.decide(NOON, 1e6, 0) == COME


def test_quiet_hours_over_midnight() -> None:
    policy = Policy(PolicyConfig(quiet_from="19:00", quiet_until="07:00"))
    assert policy.decide(at("18:59"), 0, 0) == COME
    quiet = Decision(False, "quiet hours until 07:00; press the button to join")
    assert policy.decide(at("19:00"), 60, 0) == quiet
    assert policy.decide(at("00:30"), 61, None) == quiet
    assert policy.decide(at("07:00"), 62, None) == COME


def test_quiet_hours_end_no_meeting_and_forbid_no_person() -> None:
    policy = Policy(PolicyConfig(quiet_from="12:00", quiet_until="13:00"))
    assert policy.decide(at("11:59"), 0, 2) == COME
    assert policy.decide(at("12:30"), 1, 1) == COME
    assert not policy.decide(at("12:31"), 2, 0).attend
    policy.called()
    assert policy.decide(at("12:32"), 3, None) == COME
    assert policy.decide(at("12:33"), 4, 0) == COME
    # A call counts for these quiet hours, not for the next ones.
    assert policy.decide(at("13:00"), 5, 0) == COME
    assert not policy.decide(at("12:00"), 6, 0).attend


def test_quiet_hours_end_no_booked_meeting() -> None:
    policy = Policy(PolicyConfig(auto_join=False, quiet_from="12:00", quiet_until="13:00"))
    policy.booked()
    assert policy.decide(at("11:59"), 0, 0) == COME
    assert policy.decide(at("12:00"), 1, 0) == COME
    policy.dismissed("the meeting is over")
    assert not policy.decide(at("12:30"), 2, 0).attend
    policy.called()
    assert policy.decide(at("12:31"), 3, 0) == COME
    assert policy.decide(at("13:00"), 4, 0) == COME
    assert not policy.decide(at("12:00"), 5, 0).attend, "a call of a person is no booking"


def test_who_is_there_is_not_left_in_quiet_hours_while_the_connection_is_lost() -> None:
    policy = Policy(PolicyConfig(quiet_from="12:00", quiet_until="13:00"))
    assert policy.decide(at("11:59"), 0, 2) == COME
    assert policy.decide(at("12:30"), 1, None) == COME
    assert policy.decide(at("12:31"), 2, 1) == COME
    assert not policy.decide(at("12:32"), 3, 0).attend
    assert not policy.decide(at("12:33"), 4, None).attend


def test_the_end_of_quiet_hours_is_as_a_start() -> None:
    settings = PolicyConfig(auto_join=False, quiet_from="12:00", quiet_until="13:00")
    policy = Policy(settings)
    assert not policy.decide(at("12:30"), 0, None).attend
    assert policy.decide(at("13:30"), 1, None) == Decision(False, "press the button to join")


def test_a_visit_changes_nothing_of_what_was_before_it() -> None:
    policy = Policy(PolicyConfig(auto_join=False, quiet_from="12:00", quiet_until="13:00"))
    policy.visit()
    assert policy.visiting
    assert policy.decide(at("12:30"), 0, 0) == COME, "a person's wish, in quiet hours as well"
    policy.back()
    assert not policy.decide(at("12:31"), 1, None).attend
    policy.called()
    policy.visit()
    policy.back()
    assert policy.decide(at("12:32"), 2, None) == COME


def test_who_hangs_up_on_a_visit_is_out_of_every_room() -> None:
    policy = Policy(PolicyConfig())
    policy.visit()
    policy.hung_up()
    assert not policy.visiting
    assert not policy.decide(NOON, 0, None).attend


def test_a_visit_to_a_room_that_stays_empty_ends_at_home() -> None:
    policy = Policy(PolicyConfig(leave_empty_minutes=1))
    assert policy.decide(NOON, 0, 0) == COME
    policy.visit()
    # Alone from now on: the minute at home does not count.
    assert policy.decide(NOON, 59, 0) == COME
    assert policy.decide(NOON, 118, 0) == COME
    assert policy.visiting
    assert policy.decide(NOON, 119, 0) == COME
    assert not policy.visiting


@given(
    st.lists(
        st.tuples(
            st.times(), st.integers(0, 3) | st.none(), st.booleans(), st.floats(0, 1000, width=16)
        ),
        max_size=30,
    ),
    st.integers(0, 3),
)
def test_a_meeting_is_never_left_and_every_refusal_has_a_reason(
    steps: list[tuple[dt.time, int | None, bool, float]], minutes: int
) -> None:
    policy = Policy(
        PolicyConfig(leave_empty_minutes=minutes, quiet_from="08:00", quiet_until="20:00")
    )
    now, attended = 0.0, True
    for time, others, called, passed in steps:
        now += passed
        if called:
            policy.called()
        wall = dt.datetime.combine(dt.date(2026, 5, 4), time, dt.UTC)
        decision = policy.decide(wall, now, others if attended else None)
        if attended and others:
            assert decision.attend
        if called and others != 0:
            assert decision.attend or not policy._called
        assert decision.attend != bool(decision.reason)
        attended = decision.attend

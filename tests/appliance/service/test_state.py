from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.service.state import DeviceState, Situation
from hal.controls import Status

MOVES = st.sampled_from([status for status in Status if status is not Status.STARTING])


def test_observers_see_each_change_once() -> None:
    clock = [10.0]
    state = DeviceState(lambda: clock[0])
    seen: list[Situation] = []
    unsubscribe = state.subscribe(seen.append)
    state.move(Status.JOINING)
    state.move(Status.JOINING)
    clock[0] = 12.0
    state.move(Status.JOINING, "no answer")
    state.move(Status.IN_ROOM)
    unsubscribe()
    state.move(Status.IDLE)
    assert seen == [
        Situation(Status.JOINING, "", 10.0),
        Situation(Status.JOINING, "no answer", 10.0),
        Situation(Status.IN_ROOM, "", 12.0),
    ]


def test_a_fault_lies_over_the_state_and_gives_it_back() -> None:
    state = DeviceState()
    state.move(Status.IN_ROOM)
    state.fault("camera", "the camera hangs")
    state.fault("screen", "the screen hangs")
    state.move(Status.RECONNECTING)
    assert state.present.status is Status.FAULT
    assert state.present.reason == "the camera hangs; the screen hangs"
    state.mend("camera")
    assert state.present.reason == "the screen hangs"
    state.mend("screen")
    state.mend("screen")
    assert state.present.status is Status.RECONNECTING


def test_a_view_that_fails_does_not_blind_the_others(caplog: pytest.LogCaptureFixture) -> None:
    state = DeviceState()
    seen: list[Situation] = []

    def broken(situation: Situation) -> None:
        raise RuntimeError("broken")

    state.subscribe(broken)
    state.subscribe(seen.append)
    state.move(Status.IDLE)
    assert [one.status for one in seen] == [Status.IDLE]
    assert "a view of the state failed" in caplog.text


def test_a_device_starts_once() -> None:
    state = DeviceState()
    state.move(Status.STARTING, "looking for devices")
    state.move(Status.IDLE)
    with pytest.raises(ValueError, match="once"):
        state.move(Status.STARTING)


def test_the_sentence_is_one_line_and_tells_the_reason() -> None:
    for status in Status:
        text = Situation(status, "the cable is out", 0.0).sentence("demo")
        assert text.endswith(": the cable is out.")
        assert "\n" not in text
    assert Situation(Status.IN_ROOM, "", 0.0).sentence("demo") == "In demo."
    assert Situation(Status.JOINING, "", 0.0).sentence("") == "Joining the room."


@given(st.lists(st.tuples(MOVES, st.sampled_from(["", "a"]), st.sampled_from(["", "x", "y"]))))
def test_what_is_shown_is_the_last_move_unless_something_is_broken(
    steps: list[tuple[Status, str, str]],
) -> None:
    state, broken = DeviceState(), set()
    for status, reason, part in steps:
        state.move(status, reason)
        if part and part in broken:
            state.mend(part)
            broken.discard(part)
        elif part:
            state.fault(part, f"{part} is broken")
            broken.add(part)
        present = state.present
        over = broken and status is not Status.UPDATING
        assert (present.status is Status.FAULT) == bool(over or status is Status.FAULT)
        assert present.settled == (present.status in (Status.IN_ROOM, Status.IDLE, Status.UPDATING))
        if not over:
            assert (present.status, present.reason) == (status, reason)

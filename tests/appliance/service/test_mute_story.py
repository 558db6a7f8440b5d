"""The log of mutes as people read it: nothing that a person did is lost, and nothing is untrue."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.media.gate import Party
from appliance.service.json_lines import Entry
from appliance.service.mute_story import LiveStory, Story, Wanted

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine an hour ahead of the log."""
    monkeypatch.setenv("TZ", "UTC-1")  # as POSIX has it
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def entry(second: float, who: str, act: str, **fields: Any) -> Entry:
    closers = fields.pop("closers", [who] if act == "close" else [])
    at = (NOON + timedelta(seconds=second)).isoformat(timespec="milliseconds")
    return {
        "time": at,
        "device": "Oak",
        "what": "microphone",
        "who": who,
        "act": act,
        "why": "",
        "open": not closers,
        "closers": closers,
        **fields,
    }


def lapse(second: float, length: float = 0.1, **fields: Any) -> list[Entry]:
    why = {"why": "the loop stood still for 85 ms"}
    return [
        entry(second, "lease", "close", **why, **fields),
        entry(second + length, "lease", "open", **fields),
    ]


def test_one_act_is_one_line() -> None:
    acts = [
        entry(0, "room", "close", why="a press on GPIO pins"),
        entry(1.5, "room", "open", closers=["latch", "remote"]),
    ]
    assert Story().lines(acts) == [
        "2026-01-31T13:00:00.000+01:00  microphone: room closes (a press on GPIO pins);"
        " now closed by room",
        "2026-01-31T13:00:01.500+01:00  microphone: room releases; now closed by latch, remote",
    ]


def test_one_lapse_is_one_line() -> None:
    assert Story().lines(lapse(0, 0.25)) == [
        "2026-01-31T13:00:00.000+01:00  microphone: lease closes (the loop stood still for 85 ms)"
        " and releases 250 ms later; now open"
    ]


def test_lapses_that_follow_on_one_another_are_one_line() -> None:
    lapses = [*lapse(0), *lapse(50, 0.4), *lapse(100)]
    assert Story().lines(lapses) == [
        "2026-01-31T13:00:00.000+01:00  microphone: lease closes and releases 3 times"
        " until 2026-01-31T13:01:40.100+01:00, for 400 ms at the longest; now open"
    ]
    assert len(Story(each=True).lines(lapses)) == 6


def test_a_minute_of_quiet_ends_the_line() -> None:
    assert len(Story().lines([*lapse(0), *lapse(61)])) == 2
    assert len(Story().lines([*lapse(0), *lapse(-10)])) == 2, "somebody has put back the clock"


def test_what_the_lease_still_holds_is_told_as_held() -> None:
    (line,) = Story().lines([*lapse(0), lapse(1)[0]])
    assert "lease closes 2 times and releases once until" in line
    assert line.endswith("now closed by lease")


def test_an_opening_comes_first_where_the_closing_is_told_already() -> None:
    (line,) = Story().lines([lapse(0)[1], lapse(1)[0]])
    assert "lease closes and releases once until 2026-01-31T13:00:01.000+01:00; now" in line
    (line,) = Story().lines([lapse(0)[1], *lapse(1), *lapse(2, 0.3)])
    assert "lease closes 2 times and releases 3 times until" in line
    assert "for 300 ms at the longest" in line


def test_each_gate_has_its_own_line() -> None:
    both = [
        one
        for second in range(3)
        for pair in zip(lapse(second), lapse(second, what="camera"), strict=True)
        for one in pair
    ]
    first, second = Story().lines(both)
    assert "microphone: lease closes and releases 3 times" in first
    assert "camera: lease closes and releases 3 times" in second


def test_devices_are_named_once_there_is_more_than_one() -> None:
    story, old = Story(), entry(0, "room", "close")
    del old["device"]
    assert "  microphone: room" in story.lines([old])[0]
    assert "  microphone: room" in story.lines([entry(1, "room", "open")])[0]
    elm = [*lapse(2, device="Elm"), *lapse(3), *lapse(4, device="Elm"), old]
    things = [line.split("  ")[1].split(" lease")[0] for line in story.lines(elm)]
    assert things[:2] == ["Elm's microphone:", "Oak's microphone:"]
    assert things[2].startswith("microphone: room"), "one of before there were names has none"


class TestWhatComes:
    """Told as it comes, and lapses of the lease together once a minute."""

    def test_the_first_lapse_is_told_at_once_and_the_next_ones_after_a_minute(self) -> None:
        live = LiveStory(Story())
        assert len(live.lines(lapse(0), 7000.0)) == 1
        for second in range(1, 60):
            assert live.lines(lapse(second), 7000.0 + second) == []
        (line,) = live.lines([], 7060.0)
        assert "microphone: lease closes and releases 59 times" in line
        assert live.lines([], 7061.0) == []
        # After a minute of quiet the next one is news.
        assert len(live.lines(lapse(200), 7200.0)) == 1
        assert live.rest(7201.0) == []

    def test_what_a_person_does_is_told_at_once_with_what_was_before_it(self) -> None:
        live = LiveStory(Story())
        assert len(live.lines(lapse(0), 7000.0)) == 1
        assert live.lines(lapse(1), 7001.0) == []
        lapses, press = live.lines([entry(2, "room", "close")], 7002.0)
        assert "lease closes" in lapses
        assert "room closes" in press

    def test_a_gate_that_stays_closed_is_told(self) -> None:
        live = LiveStory(Story())
        assert len(live.lines(lapse(0), 7000.0)) == 1
        assert live.lines([lapse(1)[0]], 7001.0) == []
        assert live.lines([], 7001.5) == []
        (line,) = live.lines([], 7002.0)
        assert line.endswith("now closed by lease")
        # Once: another device's lapses are held back as before.
        assert live.lines(lapse(3, device="Elm"), 7003.0) == []
        elm, oak = live.lines([lapse(10)[1]], 7010.0)
        assert "Elm's microphone: lease closes" in elm
        assert "Oak's microphone: lease releases" in oak
        assert oak.endswith("now open")
        assert live.lines(lapse(11), 7011.0) == []

    def test_the_opening_of_a_gate_that_was_told_as_closed_is_told_at_once(self) -> None:
        live = LiveStory(Story())
        # A lapse of 100 ms that falls into two looks.
        closing, opening = lapse(0)
        (line,) = live.lines([closing], 7000.0)
        assert line.endswith("now closed by lease")
        (line,) = live.lines([opening], 7000.25)
        assert line.endswith("now open")
        assert live.lines([lapse(1)[0]], 7001.0) == []
        assert live.lines([lapse(1)[1]], 7001.25) == [], "nobody was told that it is closed"
        # What a person does tells that the lease holds it as well.
        told = live.lines([lapse(2)[0], entry(2, "room", "close", closers=["lease", "room"])], 7002)
        assert told[-1].endswith("now closed by lease, room")
        (line,) = live.lines([entry(2.1, "lease", "open", closers=["room"])], 7002.25)
        assert line.endswith("now closed by room")

    def test_a_gate_that_is_closed_again_at_once_is_no_news(self) -> None:
        live = LiveStory(Story())
        assert len(live.lines([lapse(0)[0]], 7000.0)) == 1
        assert live.lines([lapse(0)[1], lapse(0.2)[0]], 7000.25) == []
        (line,) = live.lines([lapse(0.2)[1]], 7000.5)
        assert line.endswith("now open")

    def test_what_is_held_back_is_told_in_the_end(self) -> None:
        live = LiveStory(Story())
        live.lines(lapse(0), 7000.0)
        assert live.lines(lapse(1), 7001.0) == []
        assert len(live.rest(7002.0)) == 1
        assert live.rest(7002.0) == []

    def test_nothing_is_held_back_where_each_is_wanted(self) -> None:
        live = LiveStory(Story(each=True))
        assert [len(live.lines(lapse(n), 7000.0 + n)) for n in range(3)] == [2, 2, 2]


ACTS = st.lists(
    st.tuples(
        st.sampled_from([*["lease"] * 4, "room", "remote"]),
        st.sampled_from(["close", "open"]),
        st.sampled_from(["microphone", "camera"]),
        st.sampled_from(["Oak", "Elm"]),
        st.integers(0, 90),
    ),
    max_size=40,
)


@given(ACTS)
def test_no_act_of_a_person_is_told_together_with_another(
    acts: list[tuple[str, str, str, str, int]],
) -> None:
    second, entries = 0, []
    for who, act, what, device, passed in acts:
        second += passed
        entries.append(entry(second, who, act, what=what, device=device))
    lines = Story().lines(entries)
    assert [line.split("  ")[0] for line in lines] == sorted(line.split("  ")[0] for line in lines)
    people = [line for line in lines if ": lease " not in line]
    assert people == [line for line in Story(each=True).lines(entries) if ": lease " not in line], (
        "word for word, as without the lease"
    )


@given(st.lists(st.tuples(st.sampled_from(["lease", "lease", "room"]), st.booleans()), max_size=60))
def test_what_is_told_as_closed_by_the_lease_is_so(looks: list[tuple[str, bool]]) -> None:
    live, closers, last = LiveStory(Story()), set[str](), ""
    for number, (who, looked) in enumerate(looks):
        act = "open" if who in closers else "close"
        closers ^= {who}
        at = number / 4
        entries = [entry(at, who, act, closers=sorted(closers))]
        if looked and who == "lease":  # both in one look
            act = "open" if who in closers else "close"
            closers ^= {who}
            entries.append(entry(at + 0.1, who, act, closers=sorted(closers)))
        last = [last, *live.lines(entries, 7000.0 + at)][-1]
        state = last.rpartition("; now ")[2]
        assert "lease" not in state or "lease" in closers, last


@pytest.mark.parametrize(
    "fields",
    [{"time": None}, {"time": "soon"}, {"time": "2026-01-31T12:00:00"}, {"closers": ["x"]}],
)
def test_an_odd_entry_is_told_as_far_as_it_can_be(fields: dict[str, Any]) -> None:
    odd: Entry = {**lapse(0)[0], **fields}
    (line,) = Story().lines([odd])
    assert "microphone: lease closes" in line
    assert Story().lines([{}]) == ["None  None: None releases; now closed by "]


def test_what_is_wanted() -> None:
    early, late = entry(0, "room", "close"), entry(60, "remote", "close", device="Elm")
    assert [Wanted()(one) for one in (early, late, {})] == [True, True, True]
    since = Wanted(NOON + timedelta(seconds=30))
    assert [since(one) for one in (early, late, {})] == [False, True, False]
    assert Wanted(NOON)(early)
    by = Wanted(by=frozenset({Party.ROOM.value}))
    assert [by(one) for one in (early, late, {})] == [True, False, False]
    devices = Wanted(devices=frozenset({"Elm"}))
    assert [devices(one) for one in (early, late, {})] == [False, True, False]

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from hal.controls.debounce import Debounce

LOCKOUT = 0.03


class Bench:
    """A contact on a line of time, its debouncer, and what was reported when."""

    def __init__(self, level: bool = False) -> None:
        self.contact = Debounce(level, LOCKOUT)
        self.level = level
        self.reports: list[tuple[float, bool]] = []

    def run(self, moves: list[tuple[float, bool]], seen: list[bool], late: float = 0.0) -> None:
        """Move the contact; `seen` says which edges the kernel's queue let through, `late`
        how long after its time the level is read again."""
        for (now, level), shown in zip(moves, seen, strict=True):
            self.settle(now, late)
            edge = level != self.level
            self.level = level
            if edge and shown and self.contact.edge(level, now):
                self.reports.append((now, level))
        self.settle(float("inf"), late)

    def settle(self, until: float, late: float) -> None:
        while (due := self.contact.recheck_at) is not None and due + late <= until:
            if self.contact.settle(self.level, due + late):
                self.reports.append((due + late, self.level))


@st.composite
def trains(draw: st.DrawFn) -> list[tuple[float, bool]]:
    """Levels at rising times: bursts of bounces with pauses between them."""
    gaps = draw(st.lists(st.sampled_from([0.0002, 0.001, 0.004, 0.02, 0.05, 0.4]), max_size=40))
    moves, now = [], 0.0
    for gap in gaps:
        now += gap
        moves.append((now, draw(st.booleans())))
    return moves


@given(trains(), st.booleans(), st.data())
def test_whatever_edges_were_lost_the_next_that_is_seen_sets_it_right(
    moves: list[tuple[float, bool]], start: bool, data: st.DataObject
) -> None:
    bench = Bench(start)
    seen = [data.draw(st.booleans()) for _ in moves]
    levels = [start, *(level for _, level in moves)]
    edges = [n for n in range(len(moves)) if levels[n] != levels[n + 1]]
    if edges:
        seen[edges[-1]] = True
    bench.run(moves, seen)
    assert bench.contact.level == bench.level
    assert bench.contact.recheck_at is None
    assert [level for _, level in bench.reports][-1:] in ([], [bench.level])


@given(trains(), st.booleans())
def test_reports_alternate_and_keep_their_distance(
    moves: list[tuple[float, bool]], start: bool
) -> None:
    bench = Bench(start)
    bench.run(moves, [True] * len(moves))
    levels = [level for _, level in bench.reports]
    assert levels == [bool((n + 1 + start) % 2) for n in range(len(levels))]
    times = [now for now, _ in bench.reports]
    assert all(later - now > LOCKOUT * 0.999 for now, later in pairwise(times))


@given(trains(), st.booleans(), st.floats(0, 0.2))
def test_a_late_recheck_still_ends_at_the_true_level(
    moves: list[tuple[float, bool]], start: bool, late: float
) -> None:
    bench = Bench(start)
    bench.run(moves, [True] * len(moves), late)
    assert bench.contact.level == bench.level


@given(st.floats(0.031, 10), st.booleans())
def test_the_first_edge_acts_at_once(when: float, start: bool) -> None:
    contact = Debounce(start, LOCKOUT)
    assert contact.edge(not start, when)
    assert contact.level is not start


def test_a_press_with_bounces_is_one_press() -> None:
    bench = Bench()
    moves = [(1 + n * 0.001, n % 2 == 0) for n in range(15)]
    bench.run(moves, [True] * 15)
    assert bench.reports == [(1, True)]


def test_a_tap_shorter_than_the_lockout_is_a_press_and_a_release() -> None:
    bench = Bench()
    bench.run([(1.0, True), (1.01, False)], [True, True])
    assert bench.reports == [(1.0, True), (1.0 + LOCKOUT, False)]


def test_a_release_that_was_lost_in_the_burst_is_found() -> None:
    bench = Bench()
    bench.run([(1.0, True), (1.01, False)], [True, False])
    assert bench.reports == [(1.0, True), (1.0 + LOCKOUT, False)]


def test_an_edge_to_the_known_level_makes_it_look_again() -> None:
    contact = Debounce(True, LOCKOUT)
    assert not contact.edge(True, 5.0)
    assert contact.recheck_at == 5.0 + LOCKOUT
    assert contact.settle(False, 5.0 + LOCKOUT)
    assert contact.level is False


def test_too_early_a_recheck_is_ignored() -> None:
    contact = Debounce(False, LOCKOUT)
    contact.edge(True, 1.0)
    assert not contact.settle(False, 1.01)
    assert contact.recheck_at is not None

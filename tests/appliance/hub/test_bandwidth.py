"""The slowest receiver sets the rate, unless it is dead, or only has not seen more yet."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from appliance.hub.bandwidth import FLOOR, FORGET, HOLD, Bandwidth

BEST = 2_000_000


class Link:
    """A picture that is sent at some rate, and time that passes with it."""

    def __init__(self, sent: int = BEST) -> None:
        self.bandwidth = Bandwidth(BEST)
        self.now = 50.0
        self.rate = sent
        self.run(1.0)

    def run(self, seconds: float, **reports: int) -> int:
        """So long the picture is sent, and these receivers report every second."""
        for _ in range(round(seconds)):
            for _ in range(20):
                self.now += 0.05
                self.bandwidth.sent(min(self.rate, self.bandwidth.target) // 160, self.now)
                self.bandwidth.review(self.now)
            for receiver, bitrate in reports.items():
                self.bandwidth.report(receiver, bitrate, self.now)
        return self.bandwidth.target


def test_it_begins_at_its_best_and_follows_the_slowest() -> None:
    link = Link()
    assert link.bandwidth.target == BEST
    assert link.run(3, a=5_000_000) == BEST
    assert link.run(1, a=5_000_000, b=900_000) == 900_000
    assert link.run(3, a=1_500_000, b=900_000) == 900_000
    assert link.run(1, a=1_500_000, b=600_000) == 600_000


def test_bad_news_is_obeyed_at_once() -> None:
    link = Link()
    link.run(2, a=5_000_000)
    assert link.bandwidth.report("a", 800_000, link.now + 0.1)
    assert link.bandwidth.target == 800_000


def test_a_still_picture_is_no_bad_news() -> None:
    link = Link(sent=60_000)
    # What a receiver reports of it is what it has seen.
    assert link.run(30, a=90_000) == BEST
    # Somebody moves: the reports are far below what is sent now, but they grow.
    link.rate = BEST
    report = 90_000
    for _ in range(40):
        report = min(round(report * 1.08), 5_000_000)
        assert link.run(1, a=report) == BEST


def test_reports_that_stay_below_what_is_sent_are_bad_news() -> None:
    link = Link(sent=60_000)
    link.run(5, a=500_000)
    link.rate = BEST
    # A link of 600 kbit/s: it takes no more, and says the same again and again.
    link.run(3, a=510_000)
    assert link.run(1, a=510_000) == 510_000


def test_a_limit_follows_the_reports_up() -> None:
    link = Link()
    assert link.run(1, a=600_000) == 600_000
    assert link.run(3, a=900_000) == 900_000
    assert link.run(3, a=1_200_000) == 1_200_000


def test_after_a_while_it_is_tried_how_far_a_limit_can_go() -> None:
    link = Link()
    link.run(1, a=600_000)
    # The same report is no bad news while no more than that is sent.
    assert link.run(HOLD - 1, a=600_000) == 600_000
    # The link is free again: reports grow with what is sent, and the limit goes in the end.
    seconds = 0
    while link.bandwidth.target < BEST:
        link.run(1, a=round(link.bandwidth.target * 1.05))
        seconds += 1
        assert seconds < 60
    # A link that is not is found out again before long.
    link = Link()
    lowest = [link.run(1, a=min(600_000, round(link.bandwidth.target * 1.5))) for _ in range(120)]
    assert max(lowest) < 1_200_000
    assert lowest.count(600_000) > 60


def test_small_changes_are_left_alone() -> None:
    link = Link()
    link.run(1, a=1_000_000)
    for rate in (980_000, 1_020_000, 1_100_000, 970_000):
        assert link.run(1, a=rate) == 1_000_000


def test_nobody_pulls_it_below_the_floor() -> None:
    link = Link()
    assert link.run(2, a=0) == FLOOR
    assert Bandwidth(10).target == FLOOR


def test_a_receiver_that_falls_silent_is_forgotten() -> None:
    link = Link()
    link.bandwidth.report("dead", 50_000, link.now)
    assert link.run(FORGET - 1, alive=1_500_000) == FLOOR
    assert link.run(3, alive=1_500_000) == BEST


def test_a_receiver_that_leaves_is_forgotten_at_once() -> None:
    link = Link()
    link.run(1, slow=400_000, fast=1_500_000)
    assert link.bandwidth.target == 400_000
    link.bandwidth.leave("slow")
    link.bandwidth.leave("nobody")
    assert link.run(1) == 1_500_000


@given(
    st.lists(
        st.tuples(
            st.sampled_from("abc"),
            st.integers(0, 10_000_000),
            st.floats(0.0, 30.0),
            st.sampled_from(["report", "review", "sent", "leave"]),
        )
    )
)
def test_it_stays_within_its_limits_and_tells_every_change(
    steps: list[tuple[str, int, float, str]],
) -> None:
    bandwidth, now = Bandwidth(BEST), 0.0
    for receiver, number, seconds, step in steps:
        now += seconds
        before, told = bandwidth.target, False
        if step == "report":
            told = bandwidth.report(receiver, number, now)
        elif step == "review":
            told = bandwidth.review(now)
        elif step == "sent":
            bandwidth.sent(number // 8, now)
        else:
            bandwidth.leave(receiver)
        assert told == (bandwidth.target != before)
        assert FLOOR <= bandwidth.target <= BEST

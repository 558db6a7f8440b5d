from __future__ import annotations

import random
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from appliance.provisioning.schedule import (
    FIRST,
    LONGEST,
    Schedule,
    boot_id,
    read_schedule,
    uptime,
    write_schedule,
)


@given(st.integers(60, 604_800), st.lists(st.booleans(), max_size=40), st.integers())
def test_waits_grow_without_an_answer_and_never_too_far(
    interval: int, answers: list[bool], seed: int
) -> None:
    rng, schedule, now, missed = random.Random(seed), Schedule(), 5.0, 0
    for answered in answers:
        schedule = schedule.after("boot", now, interval, answered=answered, rng=rng)
        missed = 0 if answered else missed + 1
        wait = schedule.due - now
        if answered:
            assert 0.9 * interval <= wait <= 1.1 * interval
        else:
            most = min(FIRST * 2.0**missed, max(LONGEST, interval))
            assert most / 2 <= wait <= most
        assert not schedule.is_due("boot", now)
        assert schedule.is_due("boot", schedule.due)
        now = schedule.due


def test_after_another_start_of_the_machine_it_looks_at_once() -> None:
    schedule = Schedule().after("one", 900.0, 900, answered=True, rng=random.Random(1))
    assert schedule.is_due("two", 10.0)


def test_devices_that_were_switched_on_together_part() -> None:
    dues = {
        Schedule().after("b", 0.0, 900, answered=True, rng=random.Random(seed)).due
        for seed in range(200)
    }
    assert len(dues) == 200
    assert max(dues) - min(dues) > 150


def test_is_kept_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "state/schedule.json"
    assert read_schedule(path) == Schedule()
    schedule = Schedule(boot=boot_id(), due=uptime() + 5, failures=2)
    write_schedule(path, schedule)
    assert read_schedule(path) == schedule
    path.write_bytes(b"\xffrubbish")
    assert read_schedule(path) == Schedule()

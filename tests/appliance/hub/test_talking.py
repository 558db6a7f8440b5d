"""Levels in, starts and ends of talking out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.hub.talking import HANG_OVER, LONGEST_STEP, OFF_DBFS, ON_DBFS, ONSET, Talking

STEP = 0.02


def run(levels: list[float], step: float = STEP) -> list[tuple[float, bool]]:
    """The changes, each with the end of the level that brought it."""
    voice = Talking()
    changes = []
    for number, level in enumerate(levels, start=1):
        news = voice.level(level, number * step)
        if news is not None:
            changes.append((round(number * step, 6), news))
    return changes


def seconds(level: float, duration: float) -> list[float]:
    return [level] * round(duration / STEP)


def test_it_starts_in_time_and_ends_after_the_hang_over() -> None:
    changes = run(seconds(-90, 0.2) + seconds(-20, 1.0) + seconds(-90, 1.0))
    assert [news for _, news in changes] == [True, False]
    assert changes[0][0] - 0.2 == pytest.approx(ONSET)
    assert changes[0][0] - 0.2 <= 0.150
    assert changes[1][0] - 1.2 == pytest.approx(HANG_OVER, abs=STEP)


def test_the_first_sound_counts() -> None:
    assert run(seconds(-20, 0.1))[0] == (pytest.approx(ONSET), True)


def test_clicks_and_key_strokes_are_no_voice() -> None:
    stroke = seconds(-10, 0.04) + seconds(-80, 0.16)
    assert run(stroke * 20) == []


def test_pauses_inside_a_sentence_do_not_end_it() -> None:
    sentence = seconds(-25, 0.3) + seconds(-80, 0.5)
    assert [news for _, news in run(sentence * 5)] == [True]


def test_a_voice_at_the_limit_does_not_flutter() -> None:
    between = (ON_DBFS + OFF_DBFS) / 2
    assert run(seconds(between, 2.0)) == []
    changes = run(seconds(ON_DBFS, 0.2) + seconds(between, 5.0))
    assert [news for _, news in changes] == [True]


def test_levels_that_come_seldom_still_count() -> None:
    assert run([-20.0] * 3, step=0.1)[0][0] <= 0.2


def test_a_gap_is_no_voice() -> None:
    voice = Talking()
    voice.level(-20, 100.0)
    # Ten seconds without a word: they do not make up for the onset at more than one step.
    assert voice.level(-90, 110.0) is None
    assert voice.level(-20, 110.02) is None
    assert LONGEST_STEP <= 0.15


def test_stop_is_news_once() -> None:
    voice = Talking()
    assert voice.stop() is None
    for number in range(10):
        voice.level(-20, number * STEP)
    assert voice.active
    assert voice.stop() is False
    assert voice.stop() is None
    # It has to start anew.
    assert voice.level(-20, 0.22) is None


@given(st.lists(st.floats(-127, 0), max_size=400))
def test_changes_alternate_and_ends_keep_their_distance(levels: list[float]) -> None:
    changes = run(levels)
    assert [news for _, news in changes] == [n % 2 == 0 for n in range(len(changes))]
    for (start, _), (end, _) in zip(changes[::2], changes[1::2], strict=False):
        assert end - start >= HANG_OVER - 1e-6


@given(st.floats(-500, 500), st.floats(-500, 500))
def test_clocks_that_jump_do_no_harm(first: float, second: float) -> None:
    voice = Talking()
    voice.level(-20, first)
    voice.level(-20, second)
    voice.level(-90, first)

"""What people mean by `--since`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import typer

from appliance.cli.moment import moment


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine whose time zone is not that of the log."""
    monkeypatch.setenv("TZ", "UTC-5:30")  # as POSIX has it: ahead of UTC
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("90s", timedelta(seconds=90)),
        ("15min", timedelta(minutes=15)),
        ("15m", timedelta(minutes=15)),
        ("2h", timedelta(hours=2)),
        ("-2h", timedelta(hours=2)),
        ("2 h ago", timedelta(hours=2)),
        ("3d", timedelta(days=3)),
        ("1w", timedelta(days=7)),
    ],
)
def test_a_span_has_passed_since(text: str, span: timedelta) -> None:
    now = datetime.now(UTC)
    assert moment(text, now) == now - span
    assert now - span <= moment(text) <= datetime.now(UTC) - span


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("2026-01-31", "2026-01-31T00:00:00+05:30"),
        ("2026-01-31T09:30", "2026-01-31T09:30:00+05:30"),
        ("2026-01-31 09:30:15", "2026-01-31T09:30:15+05:30"),
        ("2026-01-31t09:30z", "2026-01-31T09:30:00+00:00"),
        ("2026-01-31T09:30:00.125-08:00", "2026-01-31T09:30:00.125-08:00"),
    ],
)
def test_a_date_is_in_the_machines_time_zone_unless_it_says_another(text: str, meant: str) -> None:
    assert moment(text) == datetime.fromisoformat(meant)


def test_days_begin_at_midnight_here() -> None:
    now = datetime.fromisoformat("2026-01-31T20:00:00+00:00")  # a day further, here
    assert moment("today", now).isoformat() == "2026-02-01T00:00:00+05:30"
    assert moment("Yesterday", now).isoformat() == "2026-01-31T00:00:00+05:30"
    assert moment("09:30", now).isoformat() == "2026-02-01T09:30:00+05:30"


@pytest.mark.parametrize(
    "text", ["", "lately", "2", "2x", "h", "25:00", "9:5", "2026-02-30", "99999999999w", "--2h"]
)
def test_what_means_nothing_is_bad_usage(text: str) -> None:
    with pytest.raises(typer.BadParameter, match=r"--since: .* is no moment; say today"):
        moment(text)

"""Moments of the past as people say them: `--since` of commands that look back."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

import typer

_UNITS: Final = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400, "w": 604_800}

_SPAN: Final = re.compile(r"-?(\d+)\s*([a-z]+?)(?:\s+ago)?")
"""As `journalctl` has it: `-2h`, `2h ago`, and without either."""


def moment(text: str, now: datetime | None = None) -> datetime:
    """What `text` means `now`: `today`, `yesterday`, a span that has passed since (`90s`, `15min`,
    `2h`, `3d`), a time of today (`09:30`), or a date with or without a time (ISO 8601).

    What tells no time zone is in the machine's own.  Raises BadParameter.
    """
    words = " ".join(text.lower().split())
    try:
        return _meant(words, (now or datetime.now(UTC)).astimezone())
    except (ValueError, OverflowError, OSError):
        raise typer.BadParameter(
            f"--since: {text!r} is no moment; say today, 2h, 09:30 or 2026-01-31T09:30"
        ) from None


def _meant(words: str, now: datetime) -> datetime:
    if words in ("today", "yesterday"):
        return _midnight(now.date() - timedelta(days=words == "yesterday"))
    if (span := _SPAN.fullmatch(words)) is not None:
        if (unit := _UNITS.get(span[2])) is None:
            raise ValueError(words)
        return now - timedelta(seconds=int(span[1]) * unit)
    if re.fullmatch(r"\d\d:\d\d(:\d\d)?", words):
        return datetime.combine(now.date(), time.fromisoformat(words)).astimezone()
    return datetime.fromisoformat(words.upper()).astimezone()


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time()).astimezone()

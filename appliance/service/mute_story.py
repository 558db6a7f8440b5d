"""The log of mutes as people read it: what they ask for of it, a line each.

A busy machine lets the lease of `appliance.media.lease` lapse again and again.  The log has each
closing and each opening; here those of one gate that follow on one another are told in one line.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Final

from appliance.media.gate import Party
from appliance.service.json_lines import Entry

TOGETHER: Final = 60.0
"""Seconds from one lapse of the lease to the next within which they are told together."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which entries are asked for; what is None or empty leaves none out."""

    since: datetime | None = None
    """With a time zone; entries that tell no time are older."""
    by: frozenset[str] = frozenset()
    """Values of `Party`: who closed or opened."""
    devices: frozenset[str] = frozenset()
    """Names of devices; an entry of before there were any is of none."""

    def __call__(self, entry: Entry) -> bool:
        if self.by and entry.get("who") not in self.by:
            return False
        if self.devices and entry.get("device") not in self.devices:
            return False
        if self.since is None:
            return True
        at = _moment(entry)
        return at is not None and at >= self.since


class Story:
    """Tells entries in lines, the times in the machine's own time zone.

    Devices are named once there has been more than one.  With `each` no two entries are told
    together.
    """

    def __init__(self, *, each: bool = False) -> None:
        self._each = each
        self._devices: set[str] = set()

    def lines(self, entries: Iterable[Entry]) -> list[str]:
        """The lines of further entries, by the time of the first that a line tells of."""
        found = list(entries)
        self._devices |= {str(one["device"]) for one in found if one.get("device")}
        groups = [[one] for one in found] if self._each else _together(found)
        return [self._line(group) for group in groups]

    def _line(self, group: list[Entry]) -> str:
        first, last = group[0], group[-1]
        named = first.get("device") if len(self._devices) > 1 else None
        thing = f"{named}'s {first.get('what')}" if named else first.get("what")
        acts = _acts(first) if len(group) == 1 else _lapses(group)
        state = "open" if last.get("open") else f"closed by {', '.join(last.get('closers', []))}"
        return f"{_shown(first)}  {thing}: {first.get('who')} {acts}; now {state}"


def _together(entries: list[Entry]) -> list[list[Entry]]:
    groups: list[list[Entry]] = []
    going: dict[tuple[str, str], list[Entry]] = {}
    for entry in entries:
        gate = str(entry.get("device")), str(entry.get("what"))
        lapses = going.get(gate)
        if entry.get("who") != Party.LEASE.value:
            # What comes after it is another story, lest an act of a person be lost among them.
            going.pop(gate, None)
            groups.append([entry])
        elif lapses is not None and _follows(lapses[-1], entry):
            lapses.append(entry)
        else:
            going[gate] = [entry]
            groups.append(going[gate])
    return groups


def _follows(before: Entry, after: Entry) -> bool:
    passed = _between(before, after)
    # Not where somebody has put back the clock.
    return passed is not None and 0 <= passed <= TOGETHER


def _acts(entry: Entry) -> str:
    why = f" ({entry['why']})" if entry.get("why") else ""
    return f"{'closes' if entry.get('act') == 'close' else 'releases'}{why}"


def _lapses(group: list[Entry]) -> str:
    closings = sum(one.get("act") == "close" for one in group)
    openings = len(group) - closings
    spans = [_between(one, next_) for one, next_ in pairwise(group) if one.get("act") == "close"]
    longest = max((span for span in spans if span is not None), default=0.0)
    if closings == openings == 1:
        return f"{_acts(group[0])} and {_acts(group[1])} {longest:.2f} s later"
    both = f"closes and releases {closings} times"
    acts = both if closings == openings else f"closes {closings} and releases {openings} times"
    return f"{acts} until {_shown(group[-1])}, for {longest:.2f} s at the longest"


def _moment(entry: Entry) -> datetime | None:
    try:
        at = datetime.fromisoformat(str(entry.get("time")))
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _between(before: Entry, after: Entry) -> float | None:
    first, second = _moment(before), _moment(after)
    return None if first is None or second is None else (second - first).total_seconds()


def _shown(entry: Entry) -> str:
    at = _moment(entry)
    if at is None:
        return str(entry.get("time"))
    return at.astimezone().isoformat(timespec="milliseconds")

"""The log of mutes as people read it: what they ask for of it, a line each.

A busy machine lets the lease of `appliance.media.lease` lapse again and again.  The log has each
closing and each opening; here those of one gate that follow on one another are told in one line.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Final, TypeAlias

from appliance.media.gate import Party
from appliance.service.json_lines import Entry

TOGETHER: Final = 60.0
"""Seconds from one lapse of the lease to the next within which they are told together; and those
for which `LiveStory` holds them back."""

STAYS: Final = 1.0
"""Seconds after which a gate that the lease has closed counts as one that stays closed."""


Gate: TypeAlias = tuple[str, str]
"""The device's name, and what of it."""


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
        self.each: Final = each
        self._devices: set[str] = set()

    def lines(self, entries: Iterable[Entry]) -> list[str]:
        """The lines of further entries, by the time of the first that a line tells of."""
        found = list(entries)
        self._devices |= {str(one["device"]) for one in found if one.get("device")}
        groups = [[one] for one in found] if self.each else _together(found)
        return [self._line(group) for group in groups]

    def _line(self, group: list[Entry]) -> str:
        first, last = group[0], group[-1]
        named = first.get("device") if len(self._devices) > 1 else None
        thing = f"{named}'s {first.get('what')}" if named else first.get("what")
        acts = _acts(first) if len(group) == 1 else _lapses(group)
        state = "open" if last.get("open") else f"closed by {', '.join(last.get('closers', []))}"
        return f"{_shown(first)}  {thing}: {first.get('who')} {acts}; now {state}"


class LiveStory:
    """Tells what comes, as it comes, but for the lease: within a minute of its last line what it
    does is held back, and told in one.

    What anybody else does is told at once, and so are a gate that stays closed and one that opens
    after it was told as closed; what was held back with it, too.
    """

    def __init__(self, story: Story) -> None:
        self._story = story
        self._held: list[Entry] = []
        self._closed: dict[Gate, float] = {}
        """Since when the lease holds what nobody was told of."""
        self._shut: set[Gate] = set()
        """Those that were last told as held by the lease: until the next line people believe so."""
        self._told = float("-inf")

    def lines(self, entries: Iterable[Entry], now: float) -> list[str]:
        """The lines that are due `now` (`time.monotonic`), with further entries or without."""
        others, opened = False, set[Gate]()
        for entry in entries:
            self._held.append(entry)
            gate = _gate(entry)
            if not _is_lapse(entry):
                others = True
            elif _closes(entry):
                self._closed[gate] = now
                opened.discard(gate)
            else:
                self._closed.pop(gate, None)
                opened.add(gate)
        stays = any(now - since >= STAYS for since in self._closed.values())
        news = others or stays or not opened.isdisjoint(self._shut)
        due = self._story.each or news or now - self._told >= TOGETHER
        return self.rest(now) if due else []

    def rest(self, now: float) -> list[str]:
        """The lines of what is held back."""
        held, self._held = self._held, []
        self._closed.clear()
        for entry in held:
            change = self._shut.add if _is_held(entry) else self._shut.discard
            change(_gate(entry))
        if any(map(_is_lapse, held)):
            self._told = now
        return self._story.lines(held)


def _is_lapse(entry: Entry) -> bool:
    return entry.get("who") == Party.LEASE.value


def _is_held(entry: Entry) -> bool:
    return Party.LEASE.value in entry.get("closers", [])


def _closes(entry: Entry) -> bool:
    return entry.get("act") == "close"


def _gate(entry: Entry) -> Gate:
    return str(entry.get("device")), str(entry.get("what"))


def _together(entries: list[Entry]) -> list[list[Entry]]:
    groups: list[list[Entry]] = []
    going: dict[Gate, list[Entry]] = {}
    for entry in entries:
        gate = _gate(entry)
        lapses = going.get(gate)
        if not _is_lapse(entry):
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
    return f"{'closes' if _closes(entry) else 'releases'}{why}"


def _lapses(group: list[Entry]) -> str:
    spans = [_between(one, after) for one, after in pairwise(group) if _closes(one)]
    longest = f"{1000 * max((span or 0.0 for span in spans), default=0.0):.0f} ms"
    closed = sum(map(_closes, group))
    opened = len(group) - closed
    if closed == opened == 1 and _closes(group[0]):
        return f"{_acts(group[0])} and {_acts(group[1])} {longest} later"
    both = f"closes and releases {_times(closed)}"
    acts = both if closed == opened else f"closes {_times(closed)} and releases {_times(opened)}"
    acts += f" until {_shown(group[-1])}"
    return f"{acts}, for {longest} at the longest" if spans else acts


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


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

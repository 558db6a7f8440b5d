"""The table of the API's coverage: each item, its scenarios, and how both clients did.

It is made by a full run of the scenarios and by nothing else.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
from scenarios.api import GROUPS
from scenarios.covering import CLIENTS, Covered, Kind

FILE = Path(__file__).parents[3] / "docs/coverage.md"

HEAD = """\
# Coverage of the API

Written by `make coverage` from a run of the scenarios in `tests/e2e/scenarios`; not by hand. Each
scenario is one test that runs with our `RoomSession` and with the unmodified SDK 3.30.0 in
Chromium, both against the hub, and judges the effect at another member of the room.

"yes" means that the scenarios pass with this client. A number points to what is said below.
"""


COLUMNS = "| item | RoomSession | SDK | scenarios |\n|---|---|---|---|\n"


@dataclasses.dataclass(frozen=True)
class Run:
    """One scenario with one client."""

    name: str
    file: str
    kind: Kind
    covered: Covered
    passed: bool


class Results:
    """What a test run has shown so far."""

    def __init__(self) -> None:
        self.runs: list[Run] = []

    def add(self, item: pytest.Function, passed: bool) -> None:
        """Keep how a scenario ended."""
        self.runs.append(
            Run(
                item.originalname,
                item.path.name,
                item.callspec.params["kind"],
                Covered.by(item),
                passed,
            )
        )

    def uncovered(self) -> list[str]:
        """The items of the API that no scenario covers."""
        covered = {item for run in self.runs for item in run.covered.items}
        return [item for items in GROUPS.values() for item in items if item not in covered]

    def table(self) -> str:
        """All of `docs/coverage.md`."""
        notes: list[str] = []
        parts = [HEAD]
        for group, items in GROUPS.items():
            parts.append(f"\n## {group}\n\n{COLUMNS}")
            parts += [self._row(item, notes) for item in items]
        if notes:
            parts.append("\n## Notes\n\n")
            parts += [f"{number}. {note}\n" for number, note in enumerate(notes, 1)]
        return "".join(parts)

    def _row(self, item: str, notes: list[str]) -> str:
        runs = [run for run in self.runs if item in run.covered.items]
        scenarios = sorted({(run.file, run.name) for run in runs})
        where = ", ".join(f"`{file}::{name}`" for file, name in scenarios) or "none"
        verdicts = [self._verdict(item, kind, runs, notes) for kind in CLIENTS]
        return f"| `{short(item)}` | {' | '.join(verdicts)} | {where} |\n"

    def _verdict(self, item: str, kind: Kind, runs: list[Run], notes: list[str]) -> str:
        own = [run for run in runs if run.kind == kind]
        if not own:
            reasons = dict.fromkeys(run.covered.because for run in runs if run.covered.because)
            return "".join(("no", *_numbers(reasons, notes))) if runs else "?"
        if not all(run.passed for run in own):
            return "FAILS"
        reasons = {}
        if kind == "official":
            reasons = dict.fromkeys(
                run.covered.deviations[item] for run in own if item in run.covered.deviations
            )
        return "".join(("yes", *_numbers(reasons, notes)))


def short(item: str) -> str:
    """The name of an item within its group."""
    name = item.rpartition(" ")[2]
    owner, _, member = name.partition(".")
    return member if f"`{owner}`" in GROUPS else name


def _numbers(reasons: dict[str, None], notes: list[str]) -> Iterator[str]:
    for reason in reasons:
        if reason not in notes:
            notes.append(reason)
        yield f" ({notes.index(reason) + 1})"

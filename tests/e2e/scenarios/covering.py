"""What a scenario covers of the API, and with which client it can run."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Literal, TypeVar

import pytest
from scenarios.api import ITEMS

Kind = Literal["roomlet", "official"]

CLIENTS: tuple[Kind, ...] = ("roomlet", "official")

Scenario = TypeVar("Scenario", bound=Callable[..., Any])


@dataclasses.dataclass(frozen=True)
class Covered:
    """What a scenario says about itself."""

    items: tuple[str, ...]
    #: The one client that can, None for both; and why the other cannot.
    only: Kind | None = None
    because: str = ""
    #: Where the SDK does something else than its documentation says, by item.
    deviations: dict[str, str] = dataclasses.field(default_factory=dict)

    @classmethod
    def by(cls, node: Any) -> Covered:
        """What the scenario of a test item, or of a definition of one, says."""
        covered = getattr(node.function, "covered", None)
        if not isinstance(covered, Covered):
            raise pytest.UsageError(f"{node.nodeid} does not say what it covers: add @covers(...)")
        return dataclasses.replace(covered, deviations=getattr(node.function, "deviations", {}))


def covers(
    *items: str, only: Kind | None = None, because: str = ""
) -> Callable[[Scenario], Scenario]:
    """Say which items of the API a scenario shows at work; see `api.GROUPS` for their names.

    `only` names the one client that can, `because` tells why the other cannot: it stands in the
    table.  Raises ValueError for an item that there is not.
    """
    if unknown := set(items) - ITEMS:
        raise ValueError(f"the API has no {', '.join(sorted(unknown))}; see api.py")
    if (only is None) != (not because):
        raise ValueError("only and because go together")

    def mark(scenario: Scenario) -> Scenario:
        scenario.covered = Covered(items, only, because)  # type: ignore[attr-defined]
        # One loop for all: browser, witness and client live longer than one scenario.
        return pytest.mark.asyncio(loop_scope="session")(scenario)

    return mark


def deviates(item: str, how: str) -> Callable[[Scenario], Scenario]:
    """Say what the SDK does otherwise than documented; the scenario asserts that it does so."""

    def mark(scenario: Scenario) -> Scenario:
        known = getattr(scenario, "deviations", {})
        scenario.deviations = {**known, item: how}  # type: ignore[attr-defined]
        return scenario

    return mark

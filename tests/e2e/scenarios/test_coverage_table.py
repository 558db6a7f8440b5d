"""The committed table says what this run of the scenarios has shown."""

from __future__ import annotations

import pytest
from scenarios.coverage_table import FILE, Results


def test_the_table_is_what_the_scenarios_show(
    results: Results, request: pytest.FixtureRequest
) -> None:
    table = results.table()
    if request.config.getoption("--write-coverage-table", False):
        FILE.write_text(table)
    assert results.uncovered() == [], "items of the API without a scenario"
    assert FILE.read_text() == table, "docs/coverage.md is out of date: run make coverage"

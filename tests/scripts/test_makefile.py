"""`make test`: two runs of pytest, and what they come to together."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]

PYTEST: Final = """#!/bin/sh
case "$*" in
    *--collect-only*) run=look code=$LOOK ;;
    *"-m e2e"*) run=browser code=$BROWSER ;;
    *) run=fast code=$FAST ;;
esac
echo "$run" >> "$RUNS"
exit "$code"
"""
"""Stands in for pytest: notes which run it is, and ends as it is told."""

FAILED, NONE = 1, 5
"""What pytest says of a test that failed, and where there is no test."""


@pytest.mark.parametrize(
    ("fast", "look", "browser", "runs", "code"),
    [
        (0, 0, 0, "fast look browser", 0),
        (FAILED, 0, 0, "fast", 2),
        (0, 0, FAILED, "fast look browser", 2),
        # ARGS leaves nothing to one of the two; of such a second one nothing is to be seen.
        (0, NONE, NONE, "fast look", 0),
        (NONE, 0, 0, "fast look browser", 0),
        (NONE, 0, FAILED, "fast look browser", 2),
        (NONE, NONE, NONE, "fast look", 2),
        # A module that cannot be imported is told by the run, not hidden by the look.
        (0, 2, 2, "fast look browser", 2),
    ],
)
def test_two_runs_come_to_one_end(
    tmp_path: Path, fast: int, look: int, browser: int, runs: str, code: int
) -> None:
    program, told = tmp_path / "pytest", tmp_path / "runs"
    program.write_text(PYTEST)
    program.chmod(0o755)
    # What a `make test` around this one has set is not for this one.
    env = {name: text for name, text in os.environ.items() if not name.startswith(("MAKE", "MFL"))}
    codes = {"FAST": str(fast), "LOOK": str(look), "BROWSER": str(browser), "RUNS": str(told)}
    done = subprocess.run(
        ["make", "--old-file=lint", "test", f"BIN={tmp_path}", "ARGS=tests"],
        cwd=ROOT,
        env=env | codes,
        capture_output=True,
        timeout=120,
    )
    assert told.read_text().split() == runs.split()
    assert done.returncode == code

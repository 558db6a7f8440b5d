"""`make test`: two runs of pytest, and what they come to together."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]

FAST: Final = "def test_fast(): assert {fast}\n"
BROWSER: Final = "@pytest.mark.e2e\ndef test_browser(): assert {browser}\n"


def make_test(file: Path, *arguments: str) -> tuple[int, list[str]]:
    """The exit code of `make test` for one file of tests, and what it says at the end of runs.

    The checks before the tests are left out.
    """
    # What a `make test` around this one has set is not for this one.
    foreign = ("MAKE", "MFLAGS", "PYTEST")
    done = subprocess.run(
        [
            *("make", "--old-file=lint", "test", "WORKERS=0", f"BIN={Path(sys.executable).parent}"),
            f"ARGS=-c {ROOT / 'pyproject.toml'} -p no:cacheprovider {file} {' '.join(arguments)}",
        ],
        cwd=ROOT,
        env={name: text for name, text in os.environ.items() if not name.startswith(foreign)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    said = [line.strip("= ") for line in done.stdout.splitlines() if " in " in line]
    return done.returncode, [line.partition(" in ")[0] for line in said if line[0].isdigit()]


@pytest.mark.parametrize(
    ("fast", "browser", "code", "told"),
    [
        (True, None, 0, ["1 passed"]),
        (True, False, 2, ["1 passed, 1 deselected", "1 failed, 1 deselected"]),
        (False, True, 2, ["1 failed, 1 deselected"]),
    ],
)
def test_the_last_that_it_says_is_of_tests_that_ran(
    tmp_path: Path, fast: bool, browser: bool | None, code: int, told: list[str]
) -> None:
    file = tmp_path / "test_some.py"
    tests = FAST if browser is None else FAST + BROWSER
    file.write_text("import pytest\n" + tests.format(fast=fast, browser=browser))
    assert make_test(file) == (code, told)


def test_those_in_a_browser_alone(tmp_path: Path) -> None:
    file = tmp_path / "test_some.py"
    file.write_text("import pytest\n" + BROWSER.format(browser=True))
    code, told = make_test(file)
    assert code == 0
    assert told == ["1 deselected", "1 passed"]


def test_no_test_at_all_is_no_success(tmp_path: Path) -> None:
    file = tmp_path / "test_some.py"
    file.write_text(FAST.format(fast=True))
    assert make_test(file, "-k nothing")[0] == 2

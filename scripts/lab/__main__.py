"""Run the tests on virtual hardware and write down what they showed.

    python scripts/lab [pytest's arguments]

Level 1 runs on this machine, on what libraries offer in place of devices.  Level 2 runs in a
guest whose kernel makes the devices.  With arguments only a part runs, and nothing is written
down.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
import time
from pathlib import Path

import guest
import report

DOCS = guest.REPO / "docs"
LEVEL_1_S = 900
"""The longest that level 1 may take."""

NOTHING_COLLECTED = 5


def level_1(arguments: list[str]) -> tuple[int, Path]:
    """pytest's exit status and its results."""
    results = guest.LAB / "level1.xml"
    results.unlink(missing_ok=True)
    command = [
        *(sys.executable, "-m", "pytest", "tests/hal", "tests/lab", "-m", "not kernel"),
        *("-n", "auto", "--dist", "loadfile", "-q", f"--junitxml={results}", *arguments),
    ]
    return subprocess.run(
        command, cwd=guest.REPO, timeout=LEVEL_1_S, check=False
    ).returncode, results


def main(arguments: list[str]) -> int:
    """The exit status of the whole."""
    begin = time.monotonic()
    guest.LAB.mkdir(exist_ok=True)
    try:
        place = guest.build()
        print("lab: level 1, on this machine", flush=True)
        first, path = level_1(arguments)
        print("lab: level 2, in the guest", flush=True)
        results = guest.run(place, [shlex.quote(one) for one in arguments])
    except (guest.GuestError, subprocess.TimeoutExpired) as error:
        print(f"lab: {error}", file=sys.stderr)
        return 2
    codes = {first}
    second = []
    for part in guest.PARTS:
        codes.add(int((results / f"{part}.exit").read_text()))
        print((results / f"{part}.log").read_text(errors="replace"))
        second += _read(results / f"{part}.xml")
    found = _read(path), second
    print(report.table(*found))
    print(f"lab: took {(time.monotonic() - begin) / 60:.0f} min")
    if not arguments:
        write_down(*found, place, results)
    fine = {0, NOTHING_COLLECTED} if arguments else {0}
    return 0 if codes <= fine else 1


def write_down(
    first: list[report.Result], second: list[report.Result], place: Path, results: Path
) -> None:
    """Write the pages on what was found."""
    versions, kernel = (place / "versions").read_text(), (results / "kernel").read_text().strip()
    (DOCS / "lab-report.md").write_text(report.page(first, second, versions, kernel))
    hardware = DOCS / "hardware.md"
    hardware.write_text(report.put_table(hardware.read_text(), report.table(first, second)))
    print("lab: wrote docs/lab-report.md and the table in docs/hardware.md")


def _read(path: Path) -> list[report.Result]:
    return report.read(path) if path.exists() else []


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

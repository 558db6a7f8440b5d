"""What the lab found: a table of drivers and levels, and each test in the guest."""

from __future__ import annotations

import datetime as dt
import platform
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

BEGIN = "<!-- lab: from here on to the end of the table `make lab` writes -->"
END = "<!-- lab: end of the table -->"

DRIVERS = {
    "controls `gpio`": ("hal.controls.test_gpio", "hal.controls.test_pin_factory", "lab.test_gpio"),
    "controls `hid`": ("hal.controls.test_hid", "lab.test_hid"),
    "microphone and speaker `alsa`": (
        "hal.audio.test_alsa",
        "hal.audio.test_mixer",
        "lab.test_alsa",
    ),
    "camera `v4l2`": ("hal.camera.test_v4l2", "lab.test_v4l2"),
    "camera `picamera2`": ("hal.camera.test_picamera2", "lab.test_picamera2"),
    "display `sdl`": ("hal.display.test_sdl", "lab.test_sdl"),
    "screen power `cec`": ("hal.display.test_cec", "lab.test_cec"),
    "hot plug": ("hal.test_hotplug", "lab.test_hotplug"),
    "a whole device in a call": ("lab.test_call",),
    "the service under systemd": ("lab.test_service", "lab.test_upkeep"),
}
"""The test modules, below `tests`, that show each driver."""


@dataclass(frozen=True)
class Result:
    """One test of one level."""

    module: str
    """As in DRIVERS."""

    name: str
    outcome: str
    """passed, failed or skipped."""

    seconds: float


def read(path: Path) -> list[Result]:
    """The results in a JUnit file.  Raises OSError, and ET.ParseError for no such file."""
    results = []
    for case in ET.parse(path).iter("testcase"):
        failed = case.find("failure") is not None or case.find("error") is not None
        skipped = case.find("skipped") is not None
        results.append(
            Result(
                case.get("classname", "").removeprefix("tests."),
                case.get("name", ""),
                "failed" if failed else "skipped" if skipped else "passed",
                float(case.get("time", 0)),
            )
        )
    return results


def table(first: list[Result], second: list[Result]) -> str:
    """The drivers and how they did on each level, in Markdown."""
    lines = [
        "| driver | level 1: libraries | level 2: the kernel's virtual devices |",
        "|---|---|---|",
    ]
    for driver, modules in DRIVERS.items():
        cells = [_cell([r for r in level if r.module in modules]) for level in (first, second)]
        lines.append(f"| {driver} | {cells[0]} | {cells[1]} |")
    return "\n".join(lines)


def page(first: list[Result], second: list[Result], versions: str, kernel: str) -> str:
    """The whole report."""
    today = dt.datetime.now(dt.UTC).date().isoformat()
    found = [line.split(" ", 1) for line in versions.splitlines() if " " in line]
    rows = "\n".join(f"| {name} | {version} |" for name, version in found)
    tests = "\n".join(
        f"| {one.module.removeprefix('lab.')} | {one.name.replace('|', ' ')} | {one.outcome} "
        f"| {one.seconds:.1f} |"
        for one in second
    )
    return f"""# Report of the lab

Written by `make lab` on {today}. What the levels are, and what neither of them can show, is in
[hardware.md](hardware.md).

{table(first, second)}

Level 1 ran on Python {platform.python_version()} ({platform.machine()}), level 2 in a guest
with kernel {kernel}, emulated by qemu without KVM, in slowed time: its seconds are longer
than ours.

| in the guest | version |
|---|---|
{rows}

## Each test in the guest

| module | test | outcome | seconds |
|---|---|---|---|
{tests}
"""


def put_table(text: str, new: str) -> str:
    """A page with the table between its marks replaced.  Raises ValueError without marks."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page has no {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{new}\n\n{END}{after}"


def _cell(results: list[Result]) -> str:
    if not results:
        return "–"
    counts = {kind: sum(r.outcome == kind for r in results) for kind in ("failed", "skipped")}
    passed = len(results) - sum(counts.values())
    parts = [f"{passed} passed"]
    parts += [f"**{counts['failed']} failed**"] if counts["failed"] else []
    parts += [f"{counts['skipped']} skipped"] if counts["skipped"] else []
    return ", ".join(parts)

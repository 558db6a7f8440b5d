"""`roomlet demo`: where its report goes."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from appliance.cli.exit_code import ExitCode
from appliance.cli.program import run
from tests.appliance.cli.command import complaint, roomlet


async def test_a_report_that_cannot_be_written_is_told_before_the_demo(tmp_path: Path) -> None:
    path = tmp_path / "none" / "report.json"
    result = await roomlet("demo", "--for", "3600", "--report", path)
    assert complaint(result, ExitCode.OTHER).startswith(
        f"roomlet: {path}: no such file or directory;"
    )


def test_a_report_that_cannot_be_written_after_all_is_not_lost(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def report(*_: object) -> dict[str, object]:
        return {"errors": [], "canvas_fps": 25.0}

    monkeypatch.setattr("appliance.service.demo.report", report)
    # It can be opened, and takes nothing.
    monkeypatch.setattr(sys, "argv", ["roomlet", "demo", "--for", "10", "--report", "/dev/full"])
    assert run() == ExitCode.OTHER
    out, err = capsys.readouterr()
    assert json.loads(out) == {"errors": [], "canvas_fps": 25.0}
    assert err == "roomlet: /dev/full: no space left on device; check the path\n"

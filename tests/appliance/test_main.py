"""`python -m appliance` is the command `roomlet`."""

from __future__ import annotations

import asyncio
import runpy
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from appliance import __version__
from appliance.cli import main
from appliance.cli.exit_code import ExitCode
from tests.appliance.cli.command import Result, run_command

INSTALLED = Path(sys.executable).with_name("roomlet")


async def both(*arguments: str) -> Result:
    """What both say, who say the same."""
    module, installed = await asyncio.gather(
        run_command(sys.executable, "-m", "appliance", *arguments),
        run_command(INSTALLED, *arguments),
    )
    assert module == installed
    return module


async def test_it_answers_as_the_command_does() -> None:
    assert await both("--version") == (ExitCode.OK, f"roomlet {__version__}\n", "")
    told = await both("fly")
    assert (told.code, told.out) == (ExitCode.USAGE, "")
    assert told.err.startswith("roomlet: No such command 'fly'")


def test_the_command_is_the_same_function() -> None:
    (command,) = entry_points(group="console_scripts", name="roomlet")
    assert command.load() is main


def test_who_only_imports_it_runs_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    assert runpy.run_module("appliance.__main__", run_name="appliance.__main__")["main"] is main
    assert capfd.readouterr() == ("", "")

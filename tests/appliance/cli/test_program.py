"""The program: usage, help, and how failures are told."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_type_hints

import pytest
import typer

from appliance import __version__
from appliance.cli.exit_code import ExitCode
from appliance.cli.program import app
from tests.appliance.cli.command import complaint, roomlet


async def test_version_and_help() -> None:
    assert (await roomlet("--version")).out == f"roomlet {__version__}\n"
    told = await roomlet("--help")
    assert told.code == 0
    for command in ("demo", "hub", "run", "join", "token", "devices"):
        assert command in told.out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["fly"], "No such command 'fly'; see 'roomlet --help'"),
        (["demo", "--fro", "3"], "--fro"),
        (["demo", "--for", "3"], "Invalid value for '--for': must be at least 10; see"),
        (["demo", "--for", "x"], "Invalid value for '--for': must be a number; see"),
        (["lights", "of"], "Invalid value for 'show': 'of' is not one of 'off', 'fault'; see"),
        (["hub", "--canvas", "100x100"], ": --canvas: the width must be at least 160; see"),
        (["hub", "--canvas", "1280x721"], ": --canvas: the height must be a multiple of 2; see"),
        (["hub", "--fps", "100"], ": --fps: must be at most 60; see"),
        (["hub", "--panel", "Oak=ftp://x"], ": --panel: 'ftp://x' is no address of a panel; give"),
        (["demo", "--report", "-"], "--report needs --for"),
        (["hub", "--listen", "8080"], "'8080' is no address"),
        (["hub", "--cert", "x.pem"], "cert and key go together"),
        (["hub", "--panel", "x"], "NAME=URL"),
        (["token", "--room", "a b"], "--room: letters, digits, - and _ only; see"),
        (
            ["token", "--room", "a", "--permission", "room.self.fly"],
            "no permission 'room.self.fly'",
        ),
        (["join", "ftp://x", "demo"], "HOST: must be"),
        (["join", "x", "a b"], "ROOM: letters, digits, - and _ only"),
        (["hub", "--open-room", "a b"], "--open-room: letters, digits, - and _ only"),
        (["join", "x", "demo", "--camera", "v4l3"], "--camera: no camera backend 'v4l3'; did you"),
        (["join", "x", "demo", "--display", ":7"], "--display: no display backend ''"),
    ],
)
async def test_bad_usage_is_one_line(arguments: list[str], says: str) -> None:
    assert says in complaint(await roomlet(*arguments), ExitCode.USAGE)


async def test_without_a_command_there_is_the_help_and_nothing_else() -> None:
    result = await roomlet()
    assert result.code == ExitCode.USAGE
    assert "Usage: roomlet" in result.out
    assert result.err == ""


async def test_the_help_tells_where_a_hub_keeps_its_data() -> None:
    wide = {"COLUMNS": "200"}
    for command in ("hub", "token"):
        told = await roomlet(command, "--help", **wide)
        assert "~/.local/share/roomlet/hub" in told.out
        assert ("mode 0600" in told.out) == (command == "token")


def test_no_sentence_of_the_help_is_broken_by_a_line_of_its_source() -> None:
    def texts(group: Any) -> Iterator[tuple[str, str]]:
        for name, command in group.commands.items():
            yield name, inspect.cleandoc(command.help or "")
            if hasattr(command, "commands"):
                yield from texts(command)

    told = dict(texts(typer.main.get_command(app)))
    assert {"update", "reboot", "check", "mute", "sign"} <= told.keys()
    # The lines of a first paragraph stay as they are, in the help of the program and the command's.
    broken = [name for name, text in told.items() if "\n" in text.partition("\n\n")[0]]
    assert broken == []


async def test_debug_shows_where(tmp_path: Path) -> None:
    result = await roomlet("--debug", "run", "--config", tmp_path / "none.toml")
    assert result.code == ExitCode.CONFIGURATION
    assert "Traceback" in result.err
    assert result.err.splitlines()[-1].startswith("roomlet: ")


def _parameters(of: typer.Typer) -> Iterator[tuple[str, Any]]:
    """What each command takes: the name, and its type with all that is said of it."""
    for command in of.registered_commands:
        assert command.callback is not None
        for name, hint in get_type_hints(command.callback, include_extras=True).items():
            yield f"{command.callback.__name__} {name}", hint
    for group in of.registered_groups:
        assert group.typer_instance is not None
        yield from _parameters(group.typer_instance)


def test_whether_a_file_may_be_read_is_said_by_who_reads_it() -> None:
    # Typer would call it bad usage, in words and with a code of its own.
    paths = {name: hint for name, hint in _parameters(app) if "Path" in repr(hint)}
    assert {"run config", "check files", "hub data"} <= paths.keys()
    checked = [name for name, hint in paths.items() if hint.__metadata__[0].readable]
    assert checked == []

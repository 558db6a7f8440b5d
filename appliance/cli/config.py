"""`roomlet config`: configurations looked at by people, before a device sees them and on it."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from appliance.cli.exit_code import ExitCode

if TYPE_CHECKING:
    from appliance.provisioning import ConfigError
    from appliance.provisioning.checking import Checked
    from appliance.provisioning.layers import Layers

ROOT_HELP = "The root of the device's files: a mounted image."

app = typer.Typer(no_args_is_help=True)


class Secrets(StrEnum):
    """What `show` does with secrets."""

    masked = "masked"
    shown = "shown"


@app.command()
def check(
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[FILE...]", help="Each is one device.", readable=False),
    ] = None,
    over: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The fleet's file, which lies below each and is no device itself.",
            readable=False,
        ),
    ] = None,
    here: Annotated[
        bool,
        typer.Option(
            "--here",
            help="This is the device: a file that they name and is missing is a mistake. Without a"
            " FILE all its own are looked at.",
        ),
    ] = False,
    root: Annotated[Path, typer.Option(help=ROOT_HELP, readable=False)] = Path("/"),
) -> int:
    """Whether configurations can be, and the files that they name.

    Silence, or a line for each mistake.
    """
    if files:
        outcomes = _devices(files, over)
    elif here and over is None:
        outcomes = [_this_device(root)]
    else:
        raise typer.BadParameter("name the file of each device; without one, --here alone does")
    told: dict[str, None] = {}
    good = True
    for look in outcomes:
        lines, is_good = _look(look, here)
        good = good and is_good
        # What is wrong with the fleet's file is so for each device: once is enough.
        told |= dict.fromkeys(lines)
    for line in told:
        typer.echo(f"roomlet: {line}", err=True)
    return ExitCode.OK if good else ExitCode.CONFIGURATION


_Device = Callable[[], "tuple[Layers, Checked]"]
"""The look at the files of one device."""


def _this_device(root: Path) -> _Device:
    from appliance.provisioning.checking import check_device
    from appliance.provisioning.identity import identify
    from appliance.provisioning.places import Places

    return lambda: check_device(Places.under(root), identify(root))


def _devices(files: Sequence[Path], over: Path | None) -> list[_Device]:
    """Those whose files are given: with a fleet's file not that, nor what one of them includes."""
    from appliance.provisioning.checking import check

    def look(path: Path) -> tuple[Layers, Checked]:
        gaps: list[ConfigError] = []
        layers = _layers(path, over, gaps)
        return layers, check(layers, gaps)

    if over is None:
        return [partial(look, path) for path in files]
    beneath = {over.resolve()}
    for path in files:
        found = {part.source.path.resolve() for part in _layers(path, over, []).parts}
        beneath |= found - {path.resolve()}
    devices = [path for path in files if path.resolve() not in beneath]
    if not devices:
        raise typer.BadParameter(f"none of the files is a device's; name one that {over} is for")
    return [partial(look, path) for path in devices]


def _layers(path: Path, over: Path | None, gaps: list[ConfigError] | None = None) -> Layers:
    """The files of one device, over those of its fleet if there is one.  Raises ConfigError, or
    fills `gaps` (see `read_parts`)."""
    from appliance.provisioning.layers import Layers, read_parts
    from appliance.provisioning.places import Places

    # As on the devices, where all of a fleet's files are together, and what they name is there.
    folder = None if over is None else Places().local
    below = [] if over is None else read_parts("fleet", over, folder=folder, gaps=gaps)
    return Layers([*below, *read_parts("device", path, folder=folder, gaps=gaps)])


def _look(look: _Device, here: bool) -> tuple[list[str], bool]:
    """What is to be said of one device, and whether it can be."""
    from appliance.provisioning.checking import in_order
    from appliance.service.named_files import troubles

    with warnings_kept() as warnings:
        layers, checked = look()
        found = [] if checked.config is None else list(troubles(checked.config))
    remarks = [] if here else [one.remark for one in found if one.remark is not None]
    mistakes = [*checked.mistakes, *(one.error for one in found if here or one.remark is None)]
    lines = [
        f"warning: {error}" if error in remarks else str(error)
        for error in sorted([*mistakes, *remarks], key=lambda error: in_order(layers, error))
    ]
    return [*lines, *(f"warning: {text}" for text in warnings)], not mistakes


@contextlib.contextmanager
def warnings_kept() -> Iterator[list[str]]:
    """What is told in the log of configurations and their files meanwhile; it is told here then."""
    texts: list[str] = []

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            texts.append(record.getMessage())

    logger, kept = logging.getLogger("appliance.provisioning"), Kept(logging.WARNING)
    logger.addHandler(kept)
    logger.propagate = False
    try:
        yield texts
    finally:
        logger.propagate = True
        logger.removeHandler(kept)


@app.command()
def show(
    file: Annotated[
        Path | None,
        typer.Argument(help="A device's file; without one, this device.", readable=False),
    ] = None,
    changed: Annotated[
        bool, typer.Option("--changed", help="Only what differs from the built-in values.")
    ] = False,
    secrets: Annotated[Secrets, typer.Option(help="What becomes of secrets.")] = Secrets.masked,
    over: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="The fleet's file, which lies below the device's.", readable=False
        ),
    ] = None,
    root: Annotated[Path, typer.Option(help=ROOT_HELP, readable=False)] = Path("/"),
) -> None:
    """A whole configuration, with the file that each value comes from."""
    from appliance.provisioning import Config
    from appliance.provisioning.layers import Layers
    from appliance.provisioning.provisioner import provisioner_under
    from appliance.provisioning.showing import show

    if file is None and over is not None:
        raise typer.BadParameter(f"name the file of the device that {over} lies below")
    notes: tuple[str, ...] = ()
    if file is None:
        running = provisioner_under(root).look()
        config, layers, notes = running.config, running.layers, running.notes
    else:
        layers = Layers.of_file(file) if over is None else _layers(file, over)
        config = Config.from_layers(layers)
    for note in notes:
        typer.echo(f"roomlet: {note}", err=True)
    typer.echo(show(config, layers, changed=changed, secrets=secrets.value), nl=False)


@app.command()
def schema() -> None:
    """The JSON Schema of a configuration, for editors."""
    from appliance.provisioning import Config

    made = Config.model_json_schema()
    made["properties"]["include"] = {
        "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
        "description": "Files beside this one that lie just below it.",
    }
    typer.echo(json.dumps(made, indent=2))


@app.command()
def example() -> None:
    """A configuration with every key, its default and what it means."""
    from appliance.provisioning.example import example as text

    typer.echo(text(), nl=False)

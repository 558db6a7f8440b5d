"""`roomlet config`: configurations looked at by people, before a device sees them and on it."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from appliance.cli.exit_code import ExitCode

ROOT_HELP = "The root of the device's files: a mounted image."

app = typer.Typer(no_args_is_help=True)


class Secrets(StrEnum):
    """What `show` does with secrets."""

    masked = "masked"
    shown = "shown"


@app.command()
def check(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Each is one device.")],
    over: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The fleet's file, which lies below each.")
    ] = None,
    here: Annotated[
        bool,
        typer.Option(
            "--here", help="This is the device: a file that they name and is missing is a mistake."
        ),
    ] = False,
) -> int:
    """Whether configurations can be, and the files that they name: silence, or a line for each
    mistake."""
    told: dict[str, None] = {}
    good = True
    for path in files:
        lines, is_good = _look_at(path, over, here)
        good = good and is_good
        # What is wrong with the fleet's file is so for each device: once is enough.
        told |= dict.fromkeys(lines)
    for line in told:
        typer.echo(f"roomlet: {line}", err=True)
    return ExitCode.OK if good else ExitCode.CONFIGURATION


def _look_at(path: Path, over: Path | None, here: bool) -> tuple[list[str], bool]:
    """What is to be said of one device, and whether it can be."""
    from appliance.provisioning import ConfigError
    from appliance.provisioning.checking import check, in_order
    from appliance.provisioning.layers import Layers, read_parts
    from appliance.service.named_files import troubles

    try:
        below = [] if over is None else list(read_parts("fleet", over))
        layers = Layers([*below, *read_parts("device", path)])
    except ConfigError as error:
        return [str(error)], False
    with _warnings() as warnings:
        checked = check(layers)
        found = [] if checked.config is None else list(troubles(checked.config))
    remarks = [] if here else [trouble.error for trouble in found if trouble.unseen]
    mistakes = [*checked.mistakes, *(t.error for t in found if here or not t.unseen)]
    lines = [
        f"warning: {error}" if error in remarks else str(error)
        for error in sorted([*mistakes, *remarks], key=lambda error: in_order(layers, error))
    ]
    return [*lines, *(f"warning: {text}" for text in warnings)], not mistakes


@contextlib.contextmanager
def _warnings() -> Iterator[list[str]]:
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
        Path | None, typer.Argument(help="A device's file; without one, this device.")
    ] = None,
    changed: Annotated[
        bool, typer.Option("--changed", help="Only what differs from the built-in values.")
    ] = False,
    secrets: Annotated[Secrets, typer.Option(help="What becomes of secrets.")] = Secrets.masked,
    root: Annotated[Path, typer.Option(help=ROOT_HELP)] = Path("/"),
) -> None:
    """A whole configuration, with the file that each value comes from."""
    from appliance.provisioning import Config
    from appliance.provisioning.layers import Layers
    from appliance.provisioning.provisioner import provisioner_under
    from appliance.provisioning.showing import show

    notes: tuple[str, ...] = ()
    if file is None:
        running = provisioner_under(root).look()
        config, layers, notes = running.config, running.layers, running.notes
    else:
        layers = Layers.of_file(file)
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

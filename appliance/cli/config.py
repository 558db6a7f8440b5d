"""`roomlet config`: configurations looked at by people, before a device sees them and on it."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

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
) -> None:
    """Whether configurations can be: silence, or a line for each that cannot."""
    from appliance.provisioning import Config, ConfigError
    from appliance.provisioning.layers import Layers, read_parts
    from appliance.provisioning.options import check_options

    failures = []
    for path in files:
        try:
            below = [] if over is None else list(read_parts("fleet", over))
            layers = Layers([*below, *read_parts("device", path)])
            check_options(Config.from_layers(layers))
        except ConfigError as error:
            failures.append(error)
    for failure in failures[:-1]:
        typer.echo(f"roomlet: {failure}", err=True)
    if failures:
        raise failures[-1]


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

"""`roomlet devices`."""

from __future__ import annotations

import json
from typing import Annotated

import typer

app = typer.Typer()


@app.command()
def devices(
    as_json: Annotated[bool, typer.Option("--json", help="For programs: a JSON array.")] = False,
) -> None:
    """The cameras, microphones, speakers, controls and screens of this machine."""
    from dataclasses import asdict

    from rich.console import Console
    from rich.table import Table

    from hal.registry import list_devices

    found = list_devices()
    if as_json:
        typer.echo(json.dumps([asdict(device) for device in found], indent=2))
        return
    table = Table("kind", "backend", "device", "label", box=None, header_style="bold")
    for device in found:
        table.add_row(device.kind, device.backend, device.id, device.label)
    Console(soft_wrap=True).print(table)

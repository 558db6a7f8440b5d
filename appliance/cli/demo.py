"""`roomlet demo`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from appliance.cli.exit_code import ExitCode
from appliance.cli.loop import run_until_signal

app = typer.Typer()


@app.command()
def demo(
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of the page; 0 takes a free one.")
    ] = 8080,
    seconds: Annotated[
        float | None,
        typer.Option(
            "--for",
            min=10,
            metavar="SECONDS",
            help="Look at two appliances for so many SECONDS, and report.",
        ),
    ] = None,
    report: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", help="File for the report, a JSON object; - is standard output."
        ),
    ] = None,
) -> None:
    """A hub and a simulated appliance on this machine, for a browser or a report."""
    from appliance.service import demo as demonstration

    def say(text: str) -> None:
        typer.echo(text, err=seconds is not None)

    if seconds is None:
        if report is not None:
            raise typer.BadParameter("--report needs --for SECONDS")
        run_until_signal(lambda stop: demonstration.meeting(port, say, stop))
        return
    path = None if report in (None, "-") else Path(report or "")
    if path is not None:
        # A file that cannot be written is told now, not when the time is over.
        path.open("a").close()
    figures = run_until_signal(lambda stop: demonstration.report(port, seconds, say, stop))
    text = json.dumps(figures, indent=2)
    try:
        if path is None:
            typer.echo(text)
        else:
            path.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        if path is None:
            raise
        # What took so long to find out must not be lost.
        typer.echo(text)
        raise OSError(error.errno, error.strerror, str(path)) from error
    if figures["errors"]:
        raise typer.Exit(ExitCode.OTHER)

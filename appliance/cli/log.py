"""`roomlet log`."""

from __future__ import annotations

import json
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator

app = typer.Typer(no_args_is_help=True)


@app.callback()
def _group() -> None:
    """What a device remembers of its past."""


@app.command()
def mute(
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with what happens from now on.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object a line, as it is kept.")
    ] = False,
    state: Annotated[
        Path | None,
        typer.Option(metavar="DIRECTORY", help="The device's state directory."),
    ] = None,
) -> None:
    """Who muted and unmuted this device, when, and why."""
    from appliance.service import mute_log

    path = (state or mute_log.state_directory()) / mute_log.NAME
    for entry in _followed(path) if follow else mute_log.read(path):
        typer.echo(json.dumps(entry, ensure_ascii=False) if as_json else _told(entry))


def _followed(path: Path) -> Iterator[dict[str, Any]]:
    from appliance.service import mute_log

    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    return mute_log.follow(path, stopped)


def _told(entry: dict[str, Any]) -> str:
    state = "open" if entry.get("open") else f"closed by {', '.join(entry.get('closers', []))}"
    why = f" ({entry['why']})" if entry.get("why") else ""
    act = "closes" if entry.get("act") == "close" else "releases"
    return f"{entry.get('time')}  {entry.get('what')}: {entry.get('who')} {act}{why}; now {state}"

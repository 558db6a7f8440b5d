"""`roomlet log`."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from appliance.cli.moment import moment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from appliance.service.json_lines import Entry

app = typer.Typer(no_args_is_help=True)


@app.callback()
def _group() -> None:
    """What a device remembers of its past."""


@app.command()
def mute(
    since: Annotated[
        str | None,
        typer.Option(
            "--since", "-S", metavar="TIME", help="From then on: today, 2h, 09:30, 2026-01-31."
        ),
    ] = None,
    by: Annotated[
        list[str] | None,
        typer.Option(metavar="PARTY", help="Only what this one did: room, remote, ... Repeatable."),
    ] = None,
    device: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Only this device's. Repeatable."),
    ] = None,
    lines: Annotated[
        int | None,
        typer.Option(
            "--lines", "-n", min=0, metavar="NUMBER", help="The newest of what there is so far."
        ),
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with what happens from now on.")
    ] = False,
    every: Annotated[
        bool, typer.Option("--all", "-a", help="Each lapse of the lease in lines of its own.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object a line, as it is kept.")
    ] = False,
    state: Annotated[
        Path | None,
        typer.Option(metavar="DIRECTORY", help="The device's state directory.", readable=False),
    ] = None,
) -> None:
    """Who muted and unmuted this device, when, and why."""
    from appliance.service import mute_log
    from appliance.service.mute_story import LiveStory, Story, Wanted

    wanted = Wanted(
        None if since is None else moment(since), _parties(by or ()), frozenset(device or ())
    )
    state = state or mute_log.state_directory()
    # Where there is a folder a log may come yet.
    if not (state.is_dir() if follow else mute_log.exists(state)):
        raise typer.BadParameter(
            f"there is no log of mutes in {state}; name the device's state directory with --state"
        )
    batches: Iterable[list[Entry]] = _followed(state) if follow else [list(mute_log.read(state))]
    story = LiveStory(Story(each=every))
    for number, batch in enumerate(batches):
        if number == 0:
            _known(wanted.devices, batch, state)
        entries = filter(wanted, batch)
        told = (
            [json.dumps(entry, ensure_ascii=False) for entry in entries]
            if as_json
            else story.lines(entries, time.monotonic())
        )
        for line in told if lines is None else told[max(0, len(told) - lines) :]:
            typer.echo(line)
        lines = None
    for line in story.rest(time.monotonic()):
        typer.echo(line)


def _followed(state: Path) -> Iterator[list[Entry]]:
    from appliance.service import mute_log

    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    return mute_log.follow(state, stopped)


def _known(names: Iterable[str], entries: list[Entry], state: Path) -> None:
    """Raises BadParameter for a device that a log which is not empty does not have."""
    known = sorted({str(entry["device"]) for entry in entries if entry.get("device")})
    for name in names if entries else ():
        if name not in known:
            others = f"there are {', '.join(known)}" if known else "it names none"
            raise typer.BadParameter(f"--device: {name!r} is not in the log of {state}; {others}")


def _parties(names: Iterable[str]) -> frozenset[str]:
    from appliance.media.gate import Party

    known = [party.value for party in Party]
    for name in names:
        if name not in known:
            raise typer.BadParameter(f"--by: {name!r} is none of {', '.join(known)}")
    return frozenset(names)

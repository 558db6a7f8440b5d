"""`roomlet token`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from appliance.cli.options import DATA, DATA_HELP, checked, data_directory

app = typer.Typer()


@app.command()
def token(
    room: Annotated[str, typer.Option(help="The room that it opens.")],
    name: Annotated[str | None, typer.Option(help="The member's name.")] = None,
    permission: Annotated[
        list[str] | None, typer.Option(help="As room.self.audio_mute; give as many as wanted.")
    ] = None,
    audience: Annotated[bool, typer.Option("--audience", help="To watch and hear only.")] = False,
    minutes: Annotated[
        float | None, typer.Option(help="How long it lets in; without end if not given.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help=DATA_HELP, show_default=DATA, readable=False)
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write it there, for its owner alone (mode 0600).", readable=False
        ),
    ] = None,
) -> None:
    """A room token, signed with the keys of a hub.

    The keys come from the hub's data directory, or from ROOMLET_PROJECT and ROOMLET_API_TOKEN.
    The token goes to the standard output, or with --out to a file that only its owner can read.
    """
    from datetime import UTC, datetime, timedelta

    from appliance.hub import keys
    from appliance.hub.tokens import TokenOptions, mint

    until = None
    if minutes is not None:
        # Its end is a whole second. What is no number is not more than one either.
        if not minutes >= 1 / 60:
            raise typer.BadParameter(
                f"--minutes takes at least one second, 0.02, not {minutes:g};"
                " without it a token has no end"
            )
        try:
            until = datetime.now(UTC) + timedelta(minutes=minutes)
        except OverflowError:
            raise typer.BadParameter(
                "--minutes is too long; leave it out for a token without end"
            ) from None
    options = checked(
        lambda: TokenOptions(
            room_name=room,
            user_name=name,
            permissions=permission or [],
            join_as="audience" if audience else "member",
            join_until=until,
            # Who holds the keys may make rooms.
            auto_create_room=True,
        )
    )
    secrets = keys.find(data_directory(data))
    minted = mint(options, secrets.signing_key, project=secrets.project)
    if out is None:
        typer.echo(minted)
    else:
        _write_secret(out, minted + "\n")


def _write_secret(path: Path, text: str) -> None:
    """Write a file that its owner alone can read, whatever it was before."""
    with open(
        path, "w", encoding="ascii", opener=lambda name, flags: os.open(name, flags, 0o600)
    ) as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(text)

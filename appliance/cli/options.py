"""What several commands' options share."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import typer

DATA: Final = "~/.local/share/roomlet/hub"
DATA_HELP: Final = "The hub's directory of keys and of all that it keeps."
OPTIONS: Final = {
    "room_name": "--room",
    "user_name": "--name",
    "permissions": "--permission",
    "join_until": "--minutes",
    "listen": "--listen",
    "open_rooms": "--open-room",
    "panels": "--panel",
    "width": "--canvas: the width",
    "height": "--canvas: the height",
    "rate": "--fps",
    "max_members": "--max-members",
    "addresses": "--media-address",
    "allowed_hosts": "--allowed-host",
    "room.host": "HOST",
    "room.name": "ROOM",
    "room.user_name": "--name",
    "room.token": "--token",
    "panel.listen": "--panel",
}
"""What the fields of settings are called on the command line."""


def checked(make: Callable[[], Any]) -> Any:
    """What `make` makes of options; what pydantic refuses of them is bad usage."""
    from pydantic import ValidationError

    from appliance.words import in_words

    try:
        return make()
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        fields = [str(part) for part in first["loc"] if isinstance(part, str)]
        name = next(
            (OPTIONS[key] for key in (".".join(fields), *fields[:1]) if key in OPTIONS),
            ".".join(fields),
        )
        text = in_words(first)
        # Of an option of two values, the one that is wrong goes on into what it must be.
        between = " " if ":" in name else ": "
        raise typer.BadParameter(f"{name}{between}{text}" if name else text) from None


def data_directory(given: Path | None) -> Path:
    """The hub's data directory, by default among the user's own data."""
    if given is not None:
        return given.expanduser()
    home = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(home).expanduser() / "roomlet" / "hub"

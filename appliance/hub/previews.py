"""The previews of the rooms: who has one, where it can be had, and the HTTP call that gives it."""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from appliance.hub.observers import RoomObserver
from appliance.hub.preview import Preview
from appliance.hub.room import Room
from appliance.hub.tasks import Tasks

__all__ = ["PREFIX", "Previews"]

log = logging.getLogger(__name__)

PREFIX: Final = "/previews"

_RANGE: Final = re.compile(r"bytes=(\d{0,9})-(\d{0,9})")


class Previews(RoomObserver):
    """A small film of each room that wants one, at an address that nobody can guess: who was
    given it may look. Everything is for the loop's thread."""

    def __init__(self, tasks: Tasks, folder: Path) -> None:
        """`folder` is this one's own: what is left in it by an earlier process is removed."""
        self._tasks = tasks
        self._folder = folder
        #: By name, and the name by room session.
        self._previews: dict[str, Preview] = {}
        self._names: dict[str, str] = {}
        #: Where the hub is reached, for those who do not come over a socket of theirs.
        self.base = ""

    def clear(self) -> None:
        """Remove what an earlier process has left."""
        try:
            for path in self._folder.glob("*.mp4*"):
                path.unlink()
        except OSError as error:
            log.warning("old previews are left in %s: %s", self._folder, error.strerror)

    def began(self, room: Room) -> None:
        """With the session the preview begins, where the room is set so."""
        if not room.options.enable_room_previews:
            return
        name = secrets.token_urlsafe(24)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            log.error("room %s has no preview: %s: %s", room.name, self._folder, error.strerror)
            return
        preview = Preview(room.stage.canvas, self._folder / f"{name}.mp4")
        preview.start()
        self._previews[name] = preview
        self._names[room.session_id] = name
        room.preview_path = f"{PREFIX}/{name}.mp4"
        room.preview_url = self.base + room.preview_path

    def closed(self, room: Room) -> None:
        """With the session its preview ends."""
        name = self._names.pop(room.session_id, None)
        if name is not None:
            self._tasks.start(self._previews.pop(name).stop(), f"end of preview of {room.name}")

    async def get(self, request: Request) -> Response:
        """``GET /previews/{name}.mp4``: the newest film, whole or in part."""
        preview = self._previews.get(request.path_params["name"])
        if preview is None:
            return Response(status_code=404)
        try:
            # Read at once: while it is sent, another file may take its place.
            film = await asyncio.to_thread(preview.path.read_bytes)
        except OSError:
            # The first picture is still to come.
            return Response(status_code=404, headers={"Cache-Control": "no-store"})
        headers = {"Cache-Control": "no-store", "Accept-Ranges": "bytes"}
        part = _part(request.headers.get("range", ""), len(film))
        if part is None:
            return Response(film, media_type="video/mp4", headers=headers)
        headers["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{len(film)}"
        return Response(film[part.start : part.stop], 206, headers, "video/mp4")


def _part(header: str, size: int) -> range | None:
    """The bytes that a Range header asks for; None for all, also where it makes no sense."""
    match = _RANGE.fullmatch(header.strip())
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if not first:
        return range(max(size - int(last), 0), size) if int(last) else None
    start, stop = int(first), min(int(last) + 1, size) if last else size
    return range(start, stop) if start < stop else None

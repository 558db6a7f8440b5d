"""What is played to the rooms: each player, its events, and its place on the canvas."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from appliance.hub.errors import Refused
from appliance.hub.observers import RoomObserver
from appliance.hub.player import PlaybackError, PlaybackState, Player, UrlError
from appliance.hub.room import Room
from appliance.hub.room_wire import LIST_SCOPES
from appliance.hub.seating import Showing
from appliance.hub.tasks import Tasks

__all__ = ["Playbacks"]

MOST: Final = 4
"""Playbacks of one room at a time: each has a thread that decodes."""


class Playbacks(RoomObserver):
    """All playbacks of all rooms. Everything is for the loop's thread.

    `folder` holds the files that can be played by their plain names.
    """

    def __init__(self, tasks: Tasks, folder: Path) -> None:
        self._tasks = tasks
        self._folder = folder
        #: Where each is to be seen, by id.
        self._places: dict[str, str] = {}

    def begin(
        self, room: Room, url: str, *, volume: int, position: int, place: str
    ) -> dict[str, Any]:
        """Play a film or a sound from now on: `volume` is -50 to 50, `position` the millisecond to
        begin with, `place` where on the canvas it is seen (see `Showing`).

        Returns what clients are told of it; raises Refused.
        """
        if len(room.playbacks) >= MOST:
            raise Refused("409", f"The room plays {MOST} films already; stop one first")
        try:
            player = Player(
                room.stage,
                url,
                folder=self._folder,
                volume=volume,
                position=position,
                on_change=lambda state: self._changed(room, state),
            )
        except (UrlError, PlaybackError) as error:
            raise Refused("422", str(error)) from None
        room.playbacks[player.id] = player
        self._places[player.id] = place
        player.start()
        self._tell(room, "started", player.state)
        return _wire(room, player.state)

    def control(self, room: Room, playback_id: object, act: Callable[[Player], None]) -> None:
        """Pause, resume, seek or the like. Raises Refused."""
        try:
            act(self._find(room, playback_id))
        except PlaybackError as error:
            raise Refused("409", str(error)) from None

    def end(self, room: Room, playback_id: object) -> None:
        """End a playback. Raises Refused for an unknown one, or one that has ended."""
        player = self._find(room, playback_id)
        self._tasks.start(_stopped(player), f"end of playback {player.id}")

    def wire(self, room: Room) -> list[dict[str, Any]]:
        """What is played in a room, in the words of the wire."""
        return [_wire(room, player.state) for player in room.playbacks.values()]

    def closed(self, room: Room) -> None:
        """With the session its playbacks end."""
        for playback_id in list(room.playbacks):
            self.end(room, playback_id)

    def _find(self, room: Room, playback_id: object) -> Player:
        player = room.playbacks.get(playback_id) if isinstance(playback_id, str) else None
        if player is None:
            raise Refused("404", "The room has no such playback")
        return player

    def _changed(self, room: Room, state: PlaybackState) -> None:
        if state.state == "completed":
            room.playbacks.pop(state.id, None)
            self._places.pop(state.id, None)
        self._tell(room, "ended" if state.state == "completed" else "updated", state)
        # The last one that has a picture is the one that the stage shows.
        seen = [player.id for player in room.playbacks.values() if player.has_picture]
        room.show(Showing(seen[-1], self._places[seen[-1]]) if seen else None)

    def _tell(self, room: Room, what: str, state: PlaybackState) -> None:
        params = {**_ids(room), "playback": _wire(room, state)}
        room.emit(f"video.playback.{what}", params, scopes=LIST_SCOPES["playbacks"])


async def _stopped(player: Player) -> None:
    await player.stop()


def _ids(room: Room) -> dict[str, Any]:
    return {"room_id": room.id, "room_session_id": room.session_id}


def _wire(room: Room, state: PlaybackState) -> dict[str, Any]:
    return {**_ids(room), **state.to_wire()}

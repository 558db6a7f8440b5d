"""The recordings of the rooms: each recorder, its events, and what is kept of it."""

from __future__ import annotations

import logging
import uuid
from pathlib import Path
from typing import Any, Final

from appliance.hub.errors import Refused
from appliance.hub.journal import Journal
from appliance.hub.observers import RoomObserver
from appliance.hub.recorder import Recorder, RecordingError, RecordingState
from appliance.hub.room import Room
from appliance.hub.room_wire import LIST_SCOPES
from appliance.hub.tasks import Tasks

__all__ = ["Recordings"]

log = logging.getLogger(__name__)

MOST: Final = 4
"""Recordings of one room at a time: each has a thread and writes the whole room to the disk."""

LISTED: Final = 100
"""Ended recordings of a session that its members can list. All of them are kept in the store."""


class Recordings(RoomObserver):
    """All recordings of all rooms, in files of `folder`. Everything is for the loop's thread."""

    def __init__(self, journal: Journal, tasks: Tasks, folder: Path) -> None:
        self._journal = journal
        self._tasks = tasks
        self._folder = folder

    def begin(self, room: Room) -> dict[str, Any]:
        """Record a room from now on. Returns what clients are told of it; raises Refused."""
        if sum(one.state.state != "completed" for one in room.recordings.values()) >= MOST:
            raise Refused("409", f"The room is recorded {MOST} times already; stop one first")
        recording_id = str(uuid.uuid4())
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            recorder = Recorder(
                room.stage,
                self._folder / f"{recording_id}.mp4",
                recording_id=recording_id,
                on_change=lambda state: self._changed(room, recorder, state),
            )
            recorder.start()
        except OSError as error:
            reason = (error.strerror or "unknown error").lower()
            raise Refused("500", f"Cannot record to {self._folder.name}: {reason}") from None
        except RecordingError as error:
            raise Refused("500", str(error)) from None
        room.recordings[recording_id] = recorder
        self._keep(room, recorder, recorder.state)
        self._tell(room, "started", recorder.state)
        room.update_room(recording=True)
        return _wire(room, recorder.state)

    def pause(self, room: Room, recording_id: object) -> None:
        """Leave out what comes. Raises Refused."""
        try:
            self._find(room, recording_id).pause()
        except RecordingError as error:
            raise Refused("409", str(error)) from None

    def resume(self, room: Room, recording_id: object) -> None:
        """Go on with a paused one. Raises Refused."""
        try:
            self._find(room, recording_id).resume()
        except RecordingError as error:
            raise Refused("409", str(error)) from None

    def end(self, room: Room, recording_id: object) -> None:
        """End a recording; one that has ended stays so. Raises Refused for an unknown one."""
        recorder = self._find(room, recording_id)
        self._tasks.start(_stopped(recorder), f"end of recording {recorder.id}")

    def wire(self, room: Room) -> list[dict[str, Any]]:
        """The recordings of a room's session, in the words of the wire."""
        return [_wire(room, recorder.state) for recorder in room.recordings.values()]

    def began(self, room: Room) -> None:
        """With the session the recording begins, where the room is set so."""
        if room.options.record_on_start:
            try:
                self.begin(room)
            except Refused as refusal:
                log.error("room %s is not recorded: %s", room.name, refusal)

    def closed(self, room: Room) -> None:
        """With the session its recordings end."""
        for recording_id, recorder in room.recordings.items():
            if recorder.state.state != "completed":
                self.end(room, recording_id)

    def _find(self, room: Room, recording_id: object) -> Recorder:
        recorder = room.recordings.get(recording_id) if isinstance(recording_id, str) else None
        if recorder is None:
            raise Refused("404", "The room has no such recording")
        return recorder

    def _changed(self, room: Room, recorder: Recorder, state: RecordingState) -> None:
        self._keep(room, recorder, state)
        if state.state != "completed":
            self._tell(room, "updated", state)
            return
        self._tell(room, "ended", state)
        ended = [one for one in room.recordings.values() if one.state.state == "completed"]
        for old in ended[:-LISTED]:
            del room.recordings[old.id]
        room.update_room(recording=len(ended) < len(room.recordings))

    def _tell(self, room: Room, what: str, state: RecordingState) -> None:
        params = {**_ids(room), "recording": _wire(room, state)}
        room.emit(f"video.recording.{what}", params, scopes=LIST_SCOPES["recordings"])

    def _keep(self, room: Room, recorder: Recorder, state: RecordingState) -> None:
        self._journal.recording(
            room,
            state.id,
            state=state.state,
            path=recorder.path,
            started_at=state.started_at,
            ended_at=state.ended_at,
            duration=state.duration,
            error=state.reason,
        )


async def _stopped(recorder: Recorder) -> None:
    await recorder.stop()


def _ids(room: Room) -> dict[str, Any]:
    return {"room_id": room.id, "room_session_id": room.session_id}


def _wire(room: Room, state: RecordingState) -> dict[str, Any]:
    return {**_ids(room), **state.to_wire()}

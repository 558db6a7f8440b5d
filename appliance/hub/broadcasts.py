"""What goes out of the rooms by RTMP just now: each stream, its events, and what is kept of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

from appliance.hub.journal import Journal
from appliance.hub.observers import RoomObserver
from appliance.hub.records import RoomStream
from appliance.hub.room import Room
from appliance.hub.streamer import StreamState
from appliance.hub.tasks import Tasks

__all__ = ["Broadcasts", "MakeStream", "Stream"]

#: Who is told of streams: those who may start them.
SCOPES: Final = ("room.stream", "room.stream.start")


class Stream(Protocol):
    """One stream: a `Streamer`, or a test's stand-in."""

    @property
    def state(self) -> StreamState:
        """The stream as it is just now."""

    def start(self) -> None:
        """Begin to connect."""

    async def stop(self) -> StreamState:
        """End the stream."""


MakeStream = Callable[[Room, str, Callable[[StreamState], None]], Stream]
"""Makes a stream of a room to a URL, which tells of its changes. Raises UrlError."""


class Broadcasts(RoomObserver):
    """All streams of all rooms. Everything is for the loop's thread."""

    def __init__(self, journal: Journal, tasks: Tasks, make: MakeStream) -> None:
        self._journal = journal
        self._tasks = tasks
        self._make = make
        #: By room session and stream id.
        self._streams: dict[str, dict[str, Stream]] = {}
        #: The room's own stream that one is of, by stream id.
        self._of_room: dict[str, str] = {}

    def begin(self, room: Room, url: str, room_stream_id: str | None = None) -> StreamState:
        """Send a room's session out, and tell its members. Raises UrlError."""
        stream = self._make(room, url, lambda state: self._changed(room, state))
        stream.start()
        state = stream.state
        self._streams.setdefault(room.session_id, {})[state.id] = stream
        if room_stream_id is not None:
            self._of_room[state.id] = room_stream_id
        self._keep(room, state)
        room.emit("video.stream.started", _about(room, state), scopes=SCOPES)
        room.update_room(streaming=True)
        return state

    def end(self, room: Room, stream_id: str) -> asyncio.Task[None] | None:
        """End one stream of a room; the task is done when it has ended. None when there is none
        of that id."""
        stream = self._streams.get(room.session_id, {}).get(stream_id)
        if stream is None:
            return None
        return self._tasks.start(_stopped(stream), f"end of stream {stream_id}")

    def states(self, room: Room) -> list[StreamState]:
        """The streams that go out of a room."""
        return [stream.state for stream in self._streams.get(room.session_id, {}).values()]

    # What `RoomStreams` asks for

    def start(self, room: Room, stream: RoomStream) -> None:
        """Send the room's session out by a stream of the room's own."""
        self.begin(room, stream.url, stream.id)

    def stop(self, room: Room, stream_id: str) -> list[asyncio.Task[None]]:
        """End what goes out by this stream: a room's own, or one of its session."""
        tasks = [
            self.end(room, own_id)
            for own_id in list(self._streams.get(room.session_id, {}))
            if stream_id in (own_id, self._of_room.get(own_id))
        ]
        return [task for task in tasks if task is not None]

    def closed(self, room: Room) -> None:
        """With the session its streams end."""
        for stream_id in list(self._streams.get(room.session_id, {})):
            self.end(room, stream_id)

    def _changed(self, room: Room, state: StreamState) -> None:
        self._keep(room, state)
        if state.state != "completed":
            return
        streams = self._streams.get(room.session_id, {})
        streams.pop(state.id, None)
        self._of_room.pop(state.id, None)
        room.streams.pop(state.id, None)
        room.emit("video.stream.ended", _about(room, state), scopes=SCOPES)
        if not streams:
            self._streams.pop(room.session_id, None)
            room.update_room(streaming=False)

    def _keep(self, room: Room, state: StreamState) -> None:
        room.streams[state.id] = state.to_wire()
        self._journal.stream(
            room,
            state.id,
            url=state.url,
            state=state.state,
            started_at=state.started_at,
            ended_at=state.ended_at,
            duration=state.duration,
            error=state.error,
            room_stream_id=self._of_room.get(state.id),
        )


async def _stopped(stream: Stream) -> None:
    await stream.stop()


def _about(room: Room, state: StreamState) -> dict[str, object]:
    ids = {"room_id": room.id, "room_session_id": room.session_id}
    return {**ids, "stream": {**ids, **state.to_wire()}}

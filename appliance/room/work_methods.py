"""The methods that record a room, play into it, and stream it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from appliance.signaling.errors import ProtocolError
from appliance.signaling.payload import Payload

from .playback import RoomSessionPlayback
from .recording import RoomSessionRecording
from .state import RoomState
from .stream import RoomSessionStream
from .works import W, Works

KINDS = (RoomSessionRecording, RoomSessionPlayback, RoomSessionStream)
"""The works of a room."""


class WorkMethods(ABC):
    """Each raises as the methods of `RoomMethods`."""

    _works: Works
    _state: RoomState

    @abstractmethod
    async def _rpc(self, method: str, **params: Any) -> Payload:
        """Send `video.<method>` with the room's id and these parameters."""

    async def start_recording(self) -> RoomSessionRecording:
        """Record the room.  Permission: `room.recording`."""
        return await self._start(RoomSessionRecording)

    async def get_recordings(self) -> Payload:
        """The recordings of this room session, as `.recordings`.  Permission:
        `room.recording`."""
        return await self._list(RoomSessionRecording)

    async def play(
        self,
        url: str,
        *,
        volume: float | None = None,
        seek_position: float | None = None,
        positions: Mapping[str, str] | None = None,
        layout: str | None = None,
    ) -> RoomSessionPlayback:
        """Play a file or stream (http, https, rtmp, rtmps) into the room.  Permission:
        `room.playback`.

        `volume` is -50 to 50 (0), `seek_position` where to begin, in milliseconds.  As soon
        as it starts, members go to `positions` (by id, or "self" for the playback), and the
        room to `layout`.
        """
        wishes = {
            "volume": volume,
            "seek_position": seek_position,
            "positions": None if positions is None else dict(positions),
            "layout": layout,
        }
        given = {name: value for name, value in wishes.items() if value is not None}
        return await self._start(RoomSessionPlayback, url=url, **given)

    async def get_playbacks(self) -> Payload:
        """The playbacks of this room session, as `.playbacks`.  Permission:
        `room.playback`."""
        return await self._list(RoomSessionPlayback)

    async def start_stream(self, url: str) -> RoomSessionStream:
        """Send the room's canvas and sound to an RTMP or RTMPS server.  Permission:
        `room.stream` or `room.stream.start`."""
        return await self._start(RoomSessionStream, url=url)

    async def get_streams(self) -> Payload:
        """The streams of this room session, as `.streams`.  Permission: `room.stream`."""
        return await self._list(RoomSessionStream)

    async def _start(self, cls: type[W], **params: Any) -> W:
        result = (await self._rpc(f"{cls.kind}.start", **params)).to_dict()
        fields = result.get(cls.kind)
        if not isinstance(fields, Mapping) or not fields.get("id"):
            # Older servers tell no more than the id.
            fields = {**params, "id": result.get(f"{cls.kind}_id")}
        if not fields["id"]:
            raise ProtocolError(f"the server did not name the {cls.kind} that it started")
        return self._works.get(cls, fields, {**self._place, **result})

    async def _list(self, cls: type[W]) -> Payload:
        result = (await self._rpc(f"{cls.kind}.list")).to_dict()
        listed = result.get(f"{cls.kind}s")
        works = [
            self._works.get(cls, fields, self._place)
            for fields in (listed if isinstance(listed, list) else ())
            if isinstance(fields, Mapping) and fields.get("id")
        ]
        return Payload({f"{cls.kind}s": works})

    @property
    def _place(self) -> dict[str, Any]:
        state = self._state
        return {"room_id": state.room_id, "room_session_id": state.room_session_id}

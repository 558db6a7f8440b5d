"""A stream of the room to somewhere else."""

from __future__ import annotations

from .works import Work


class RoomSessionStream(Work):
    """Sends canvas and sound to an RTMP server.  `state` is "streaming" or "completed".

    `stop` needs `room.stream`.
    """

    kind = "stream"

    @property
    def url(self) -> str | None:
        """Where it goes."""
        return self._fields.get("url")

    @property
    def duration(self) -> float | None:
        """Its length in seconds, None until the server tells."""
        return self._fields.get("duration")

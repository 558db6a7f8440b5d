"""A recording of the room."""

from __future__ import annotations

from .works import PausableWork


class RoomSessionRecording(PausableWork):
    """Records canvas and sound.  `state` is "recording", "paused" or "completed".

    `pause`, `resume` and `stop` need `room.recording`.
    """

    kind = "recording"

    @property
    def duration(self) -> float | None:
        """Its length in seconds, None until the server tells."""
        return self._fields.get("duration")

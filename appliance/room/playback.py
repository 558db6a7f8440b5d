"""Something that is played into the room."""

from __future__ import annotations

from .works import PausableWork


class RoomSessionPlayback(PausableWork):
    """Plays a file or stream.  `state` is "playing", "paused" or "completed".

    All methods need `room.playback`; those that seek, `room.playback_seek` or
    `room.playback`.
    """

    kind = "playback"

    @property
    def url(self) -> str | None:
        """What is played."""
        return self._fields.get("url")

    @property
    def volume(self) -> float | None:
        """How loud: -50 to 50, 0 is as it is."""
        return self._fields.get("volume")

    @property
    def position(self) -> float | None:
        """Where it stood when the server last told, in milliseconds from the beginning."""
        return self._fields.get("position")

    @property
    def seekable(self) -> bool | None:
        """Whether one can go to another place in it; not so in a live stream."""
        return self._fields.get("seekable")

    async def set_volume(self, volume: float) -> None:
        """Set how loud it is: -50 to 50, 0 is as it is."""
        await self._do("set_volume", volume=volume)

    async def seek(self, position: float) -> None:
        """Go on at a place, in milliseconds from the beginning."""
        await self._do("seek_absolute", position=abs(position))

    async def forward(self, offset: float = 5000) -> None:
        """Skip so many milliseconds."""
        await self._do("seek_relative", position=offset)

    async def rewind(self, offset: float = 5000) -> None:
        """Go back so many milliseconds."""
        await self._do("seek_relative", position=-offset)

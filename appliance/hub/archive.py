"""All that outlives a meeting, as one: the store, the rooms in it, and who writes into it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from appliance.hub.broadcasts import Broadcasts, MakeStream
from appliance.hub.directory import Directory
from appliance.hub.errors import DataError, StoreError
from appliance.hub.journal import Journal
from appliance.hub.observers import RoomObservers
from appliance.hub.records import RecordingRecord
from appliance.hub.recovery import finish_recordings
from appliance.hub.room_streams import RoomStreams
from appliance.hub.store import Store
from appliance.hub.tasks import Tasks

__all__ = ["Archive"]


class Archive:
    """What a hub keeps in its data directory.

    `make_stream` makes a stream out of a room, `finish` repairs the file of an interrupted
    recording and returns its seconds.
    """

    def __init__(
        self,
        data: Path,
        tasks: Tasks,
        *,
        make_stream: MakeStream,
        finish: Callable[[Path], float],
    ) -> None:
        self.store: Final = Store(data)
        self.directory: Final = Directory(self.store)
        self.journal: Final = Journal(self.store)
        self.broadcasts: Final = Broadcasts(self.journal, tasks, make_stream)
        self.streams: Final = RoomStreams(self.store, self.broadcasts, tasks)
        #: Is told of everything in the rooms. The journal comes first: what the others do is
        #: part of a session that it knows of.
        self.observer: Final = RoomObservers(self.journal, self.streams, self.broadcasts)
        self._tasks = tasks
        self._finish = finish
        self._unfinished: list[RecordingRecord] = []

    async def open(self, open_rooms: Iterable[str]) -> None:
        """Open the store, make the rooms that are missing, and end what was interrupted.

        Raises DataError.
        """
        try:
            await self.store.open()
            await self.directory.load(open_rooms)
            self._unfinished = await self.store.recover()
        except StoreError as error:
            raise DataError(str(error)) from error

    def start(self) -> None:
        """Finish what was interrupted, beside all else."""
        if self._unfinished:
            work = finish_recordings(self.store, self._unfinished, self._finish)
            self._tasks.start(work, "end of interrupted recordings")

    async def close(self) -> None:
        """Write what is noted, and close. Safe to call twice, and before open()."""
        self.journal.close()
        await self.store.close()

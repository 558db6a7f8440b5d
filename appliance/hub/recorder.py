"""Recording a room: its canvas and its mix in an MP4 file.

The file is written in fragments of half a second by a thread of its own, so that a hub that is
killed leaves a file that plays up to its last second; `finish_interrupted` makes a plain MP4 of
it at the next start. A recording that is stopped is a plain MP4 at once.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import av
from av.error import FFmpegError

from appliance.hub.errors import HubError
from appliance.hub.mp4 import SPARE, finish_interrupted
from appliance.hub.muxing import CONTAINER_OPTIONS, Muxer
from appliance.hub.outgoing import Outgoing, OutgoingState
from appliance.hub.tap import Intake, Picture, Sound, Tappable

__all__ = ["Recorder", "RecordingError", "RecordingState", "finish_interrupted"]

log = logging.getLogger(__name__)

_FRAGMENT: Final = 500_000
"""Microseconds in one fragment: what a sudden end costs, with the picture that is held back."""

_SYNC_EVERY: Final = 2.0
"""Seconds between two looks at the disk: what was written is made to outlive a power cut, and
the space that is left is measured."""


class RecordingError(HubError):
    """A recording cannot be started, paused or resumed."""


@dataclass(frozen=True, slots=True)
class RecordingState(OutgoingState):
    """A recording, as it is just now. `duration` is that of the file."""

    state: Literal["recording", "paused", "completed"]
    reason: str | None = None
    """Why it ended by itself, in one line; None if it was stopped, or goes on."""


class Recorder(Outgoing[RecordingState]):
    """One recording, from `start` to its end.

    The room is never held up: when the disk is slower than the room for more than ten seconds,
    pictures are lost and counted in `dropped`, and the recording goes on at the next keyframe.
    When the disk is full or fails, the recording ends with a `reason`, and what was written
    stays. Of a recording without a single picture no file is left.
    """

    KIND = "recording"

    def __init__(
        self,
        room: Tappable,
        path: Path,
        *,
        recording_id: str | None = None,
        on_change: Callable[[RecordingState], None] | None = None,
        spare: int = SPARE,
    ) -> None:
        """`path` must not exist yet, its folder must. `spare` is in bytes: the recording ends
        before the disk has less."""
        state = RecordingState(recording_id or str(uuid.uuid4()), "recording", time.time())
        super().__init__(room, state, Intake(), on_change)
        self.path: Final = path
        self._rate = room.rate
        self._spare = spare

    def start(self) -> None:
        """Begin with the next keyframe. Raises RecordingError when the file cannot be made."""
        self._not_started()
        try:
            file = _File(self.path)
        except OSError as error:
            raise RecordingError(
                f"Cannot record to {self.path}: {error.strerror}. Check the data directory."
            ) from error
        if file.free < self._spare:
            file.close()
            self.path.unlink()
            raise RecordingError(f"Cannot record: {_full(self._spare)}")
        self._begin(self._run, file)

    def pause(self) -> None:
        """Leave out what comes, until `resume`. Raises RecordingError after the end."""
        self._check()
        if self._state.state == "recording":
            self._room.untap(self._intake)
            self._intake.mark("pause", time.monotonic())
            self._change(state="paused")

    def resume(self) -> None:
        """Go on where `pause` stopped, with the next keyframe. Raises RecordingError after
        the end."""
        self._check()
        if self._state.state == "paused":
            self._room.tap(self._intake)
            self._change(state="recording")

    async def stop(self) -> RecordingState:
        """End the recording and finish the file. Returns its last state; safe to repeat."""
        await self._finish()
        return self._state

    def _check(self) -> None:
        self._started()
        if self._state.state == "completed":
            raise RecordingError("The recording has ended; start another one")

    def _ended(self, duration: float, reason: str | None) -> None:
        self._room.untap(self._intake)
        if reason is not None:
            log.error("recording %s has ended: %s", self.id, reason)
        if self.dropped:
            log.warning("recording %s lacks %d pictures", self.id, self.dropped)
        self._change(
            state="completed",
            duration=round(duration, 3),
            ended_at=time.time(),
            reason=reason,
        )

    # From here on: the recorder's thread.

    def _run(self, file: _File) -> None:
        duration, reason = 0.0, None
        try:
            duration, reason = self._write(file)
        except Exception as error:
            reason = _reason(file.error or error)
            if not isinstance(error, OSError | FFmpegError):
                log.exception("the recorder failed")
            file.close()
            with contextlib.suppress(OSError):
                duration = finish_interrupted(self.path)
        file.close()
        if not duration:
            with contextlib.suppress(OSError):
                self.path.unlink()
        with contextlib.suppress(RuntimeError):  # the loop was closed: nobody wants to know
            # The only place where this thread reaches the loop.
            self._loop.call_soon_threadsafe(self._ended, duration, reason)

    def _write(self, file: _File) -> tuple[float, str | None]:
        """Write until there is a reason to end. Returns the seconds in the file, and why it
        ended if nobody wanted that."""
        options = {
            **CONTAINER_OPTIONS,
            "movflags": "+hybrid_fragmented+empty_moov+default_base_moof",
            "frag_duration": str(_FRAGMENT),
        }
        container = av.open(file, "w", format="mp4", container_options=options)
        try:
            muxer = Muxer(container, self._rate)
            reason = None
            looked_at = time.monotonic()
            while True:
                item = self._intake.take()
                if isinstance(item, Picture):
                    muxer.picture(item.at, item.access_unit(), item.frame.keyframe)
                elif isinstance(item, Sound):
                    muxer.sound(item.at, item.samples)
                elif item.kind == "pause":
                    muxer.pause(item.at)
                else:
                    break
                if time.monotonic() - looked_at > _SYNC_EVERY:
                    looked_at = time.monotonic()
                    file.sync()
                    if file.free < self._spare:
                        reason = _full(self._spare)
                        break
            muxer.close(item.at)
            file.sync()
            return muxer.duration, reason
        finally:
            # After a failure this fails too; without it the container would write later on.
            with contextlib.suppress(OSError, FFmpegError):
                container.close()


class _File:
    """A file for FFmpeg to write to, which after a failure fails for good.

    FFmpeg goes on after an error, and would write the end of a container in the middle of it.
    """

    def __init__(self, path: Path) -> None:
        """Raises OSError, also for a file that exists."""
        self.error: OSError | None = None
        self._file = path.open("xb", buffering=0)

    @property
    def free(self) -> int:
        """Bytes left on the disk."""
        disk = os.fstatvfs(self._file.fileno())
        return disk.f_bavail * disk.f_frsize

    def write(self, data: bytes) -> int:
        """Write all of it. Raises OSError."""
        if self.error is not None:
            raise self.error
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            self.error = error
            raise
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """As of any file."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """As of any file."""
        return self._file.tell()

    def sync(self) -> None:
        """Bring to the disk what was written. Raises OSError."""
        os.fdatasync(self._file.fileno())

    def close(self) -> None:
        """Close the file; what the disk says to that comes too late for anybody."""
        with contextlib.suppress(OSError):
            self._file.close()


def _full(spare: int) -> str:
    return f"the disk is full, but for a reserve of {spare >> 20} MiB; delete old recordings"


def _reason(error: Exception) -> str:
    text = (error.strerror if isinstance(error, OSError) else None) or str(error) or repr(error)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"the disk is full ({text}); delete old recordings"
    return f"the file cannot be written: {text}"

"""What a hub does about recordings that an earlier process of it has not finished."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from appliance.hub.records import RecordingRecord
from appliance.hub.store import Store

__all__ = ["finish_recordings"]

log = logging.getLogger(__name__)


async def finish_recordings(
    store: Store, recordings: Iterable[RecordingRecord], finish: Callable[[Path], float]
) -> None:
    """Make whole files of interrupted recordings, one after the other.

    `finish` repairs one file and returns its seconds, 0.0 where nothing of it plays; it may take
    its time, and raises OSError for a file that cannot be repaired. Whatever becomes of it, the
    recording is completed then, and the next one has its turn. Those whose turn has not come when
    this is cancelled stay as they are.
    """
    for recording in recordings:
        duration: float | None = None
        size = 0
        error = "the hub was interrupted; what was written until then is kept"
        try:
            duration = await asyncio.to_thread(finish, recording.path)
            if duration:
                size = recording.path.stat().st_size
            else:
                error = "the hub was interrupted before there was anything that plays"
        except Exception as failure:
            reason = "unexpected error"
            if isinstance(failure, OSError):
                reason = (failure.strerror or "unknown error").lower()
            else:
                log.exception("the repair of recording %s failed", recording.id)
            error = f"the hub was interrupted, and the file cannot be repaired: {reason}"
        store.recordings.changed(
            replace(
                recording,
                state="completed",
                ended_at=recording.ended_at or recording.updated_at,
                duration=duration,
                size=size or None,
                error=error,
                updated_at=time.time(),
            )
        )
        log.info("recording %s: %s", recording.id, error)

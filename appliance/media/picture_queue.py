"""Pictures that wait to be shown."""

from __future__ import annotations

from collections import deque
from typing import Final

from av import VideoFrame

_MOST_WAITING: Final = 16
"""Pictures that may wait to be due: 200 ms of 60 a second, and some; then the oldest goes."""


class PictureQueue:
    """Pictures that wait for their time, without a clock of its own."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[float, VideoFrame]] = deque(maxlen=_MOST_WAITING)

    @property
    def due(self) -> float | None:
        """When the next picture is to be shown; None where none waits."""
        return self._waiting[0][0] if self._waiting else None

    def put(self, frame: VideoFrame, at: float) -> None:
        """Let a picture wait for `at`, after those before it."""
        self._waiting.append((at, frame))

    def take(self, now: float) -> VideoFrame | None:
        """The newest picture that is due, None where none is; those before it go with it."""
        newest = None
        while self._waiting and self._waiting[0][0] <= now:
            newest = self._waiting.popleft()[1]
        return newest

    def clear(self) -> None:
        """Forget what waits."""
        self._waiting.clear()

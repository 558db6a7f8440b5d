"""Playing a film or a sound to a room: its picture on the canvas, its sound in the mix.

A thread of its own opens, reads and decodes the source, and may have to wait for it; the room
takes what is ready at its own beat and waits for nothing.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal, Protocol

from av import VideoFrame

from appliance.hub.errors import HubError
from appliance.hub.film import Film, FilmError
from appliance.hub.mixbus import Samples
from appliance.hub.playhead import Playhead
from appliance.hub.stage import Clip
from appliance.hub.urls import PLAYED, UrlError, check_url, media_file

__all__ = ["PlaybackError", "PlaybackState", "Player", "UrlError"]

log = logging.getLogger(__name__)

LOUDEST: Final = 50
"""Volumes go from -50 to 50, as those of members."""

STEP: Final = 5000
"""Milliseconds that `Player.forward` and `Player.rewind` go if nothing else is said."""

_BEAT: Final = 0.05
"""Seconds between two looks of the film's thread at what the room has taken."""


class PlaybackError(HubError):
    """A playback cannot do what is asked for."""


@dataclass(frozen=True, slots=True)
class PlaybackState:
    """A playback, as it is just now. Times are seconds of the epoch."""

    id: str
    url: str
    state: Literal["playing", "paused", "completed"]
    started_at: float
    volume: int = 0
    position: int = 0
    """Milliseconds from the start of the film."""
    seekable: bool = False
    """False until the source is open."""
    duration: int | None = None
    """Milliseconds; None until the source is open, and of what has no end."""
    has_picture: bool = False
    """False until the source is open."""
    ended_at: float | None = None
    reason: str | None = None
    """Why it broke off, in one line; None if it was stopped, played to its end, or goes on."""

    def to_wire(self) -> dict[str, Any]:
        """The fields as clients know them."""
        return {
            "id": self.id,
            "url": self.url,
            "state": self.state,
            "volume": self.volume,
            "position": self.position,
            "seekable": self.seekable,
            "started_at": self.started_at,
            "ended_at": self.ended_at,
        }


@dataclass(frozen=True, slots=True, eq=False)
class _Wish:
    """A second of the film to go to."""

    seconds: float


class PlayRoom(Protocol):
    """Where a film is played: a `Stage`. For the loop's thread."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the canvas."""

    def play(self, clip: Clip) -> None:
        """Let it be seen and heard; again, when it has changed."""

    def stop_playing(self, clip_id: str) -> None:
        """Let go of it; unknown ones are ignored."""


class Player:
    """One playback, from `start` to its end; everything is for the loop's thread but what
    the stage calls (`latest` and `pull`).

    `on_change` is called on the loop after every change of `state` except the start and the
    mere passing of time: when the source is open (it is seekable then, and has a picture, or
    not), after each wish that is met, and at the end.
    """

    def __init__(
        self,
        room: PlayRoom,
        url: str,
        *,
        folder: Path | None = None,
        volume: int = 0,
        position: int = 0,
        playback_id: str | None = None,
        on_change: Callable[[PlaybackState], None] | None = None,
        verify: bool = True,
    ) -> None:
        """`url` is an address of ``http``, ``https``, ``rtmp`` or ``rtmps`` (of whose TLS the
        certificate is verified, if `verify`), or the plain name of a file in `folder`.

        `volume` is -50 to 50, `position` where to begin, in milliseconds. Raises UrlError for
        other addresses, PlaybackError for another volume.
        """
        if "://" not in url and folder is not None:
            media_file(url, folder)
        else:
            check_url(url, PLAYED)
        self._room = room
        self._folder = folder
        self._verify = verify
        self._size = room.size
        self._on_change = on_change
        position = max(position, 0)
        self._state = PlaybackState(
            id=playback_id or str(uuid.uuid4()),
            url=url,
            state="playing",
            started_at=time.time(),
            volume=_checked(volume),
            position=position,
        )
        self._head = Playhead()
        # Where to go: the loop sets it, the thread takes it and then resets it.
        self._wish = _Wish(position / 1000) if position else None
        self._wish_lock = threading.Lock()
        self._stop = threading.Event()
        self._loop = asyncio.get_running_loop()
        self._thread: threading.Thread | None = None

    @property
    def id(self) -> str:
        """The playback's id."""
        return self._state.id

    @property
    def state(self) -> PlaybackState:
        """The playback as it is just now, with its position."""
        if self._state.state != "completed":
            self._state = replace(self._state, position=self._position())
        return self._state

    @property
    def volume(self) -> int:
        """-50 to 50."""
        return self._state.volume

    @property
    def has_picture(self) -> bool:
        """Whether there is something to see, and no end yet."""
        return self._state.has_picture and self._state.state != "completed"

    @property
    def latest(self) -> VideoFrame | None:
        """The picture of this moment. For any thread."""
        return self._head.picture()

    def pull(self) -> Samples:
        """The next 20 ms of sound. For the mixer's thread."""
        return self._head.sound()

    def start(self) -> None:
        """Open the source and play it as soon as it can be."""
        if self._thread is not None:
            raise RuntimeError("the playback was started before")
        self._state = replace(self._state, started_at=time.time())
        self._head.play()
        self._thread = threading.Thread(target=self._run, name="player", daemon=True)
        self._thread.start()
        self._room.play(self)

    def pause(self) -> None:
        """Stand still; the picture stays. Raises PlaybackError after the end."""
        self._check()
        if self._state.state == "playing":
            self._head.pause()
            self._change(state="paused")

    def resume(self) -> None:
        """Go on. Raises PlaybackError after the end."""
        self._check()
        if self._state.state == "paused":
            self._head.play()
            self._change(state="playing")

    def set_volume(self, volume: int) -> None:
        """-50 to 50. Raises PlaybackError for another one, and after the end."""
        self._check()
        self._change(volume=_checked(volume))
        self._room.play(self)

    def seek(self, position: int) -> None:
        """Go to this millisecond: of those that there are, the nearest.

        Raises PlaybackError when the source cannot, is not open yet, or has ended.
        """
        self._check()
        if not self._state.seekable:
            raise PlaybackError("This playback cannot be sought in: it is live, or not open yet")
        last = self._state.duration or 0
        with self._wish_lock:
            self._wish = _Wish(min(max(position, 0), last) / 1000)
        self._head.wake()
        self._tell()

    def forward(self, milliseconds: int = STEP) -> None:
        """Go ahead by so much. Raises as `seek` does."""
        self.seek(self._position() + milliseconds)

    def rewind(self, milliseconds: int = STEP) -> None:
        """Go back by so much. Raises as `seek` does."""
        self.seek(self._position() - milliseconds)

    async def stop(self) -> PlaybackState:
        """End the playback. Returns its last state; safe to repeat.

        The end is known, and the room free of it, at once; what takes time, up to
        `film.PATIENCE` with a source that delivers nothing, is to let go of the source.
        """
        if self._thread is None:
            raise RuntimeError("the playback was never started")
        self._stop.set()
        self._head.wake()
        self._end(None)
        await asyncio.to_thread(self._thread.join)
        return self._state

    def _position(self) -> int:
        wish = self._wish
        return round(1000 * (self._head.position if wish is None else wish.seconds))

    def _check(self) -> None:
        if self._thread is None:
            raise RuntimeError("the playback was never started")
        if self._state.state == "completed":
            raise PlaybackError("The playback has ended; start another one")

    def _change(self, **changes: Any) -> None:
        state = replace(self.state, **changes)
        if state != self._state:
            self._state = state
            self._tell()

    def _tell(self) -> None:
        if self._on_change is not None:
            self._on_change(self.state)

    def _opened(self, duration: float | None, seekable: bool, has_picture: bool) -> None:
        if self._state.state != "completed":
            milliseconds = None if duration is None else round(1000 * duration)
            self._change(duration=milliseconds, seekable=seekable, has_picture=has_picture)
            self._room.play(self)

    def _end(self, reason: str | None) -> None:
        if self._state.state != "completed":
            if reason is not None:
                log.warning("playback %s has ended: %s", self.id, reason)
            self._room.stop_playing(self.id)
            self._change(state="completed", ended_at=time.time(), reason=reason)

    # From here on: the film's thread.

    def _run(self) -> None:
        reason = None
        try:
            film = Film(self._state.url, size=self._size, folder=self._folder, verify=self._verify)
            try:
                self._post(self._opened, film.duration, film.seekable, film.has_picture)
                self._play(film)
            finally:
                film.close()
        except (FilmError, UrlError) as error:
            reason = str(error)
        except Exception as error:
            log.exception("the player failed")
            reason = f"unexpected: {error!r}"
        self._post(self._end, reason)

    def _play(self, film: Film) -> None:
        """Keep the playhead fed until the end of the film."""
        live = film.duration is None
        finished = missed = False
        while not (self._stop.is_set() or (finished and self._head.over)):
            if (wish := self._wish) is not None:
                if film.seekable:
                    film.seek(wish.seconds)
                    self._head.restart(wish.seconds)
                    finished = False
                with self._wish_lock:
                    if self._wish is wish:
                        self._wish = None
                continue
            # What is live goes on during a pause, and is joined again where it is then.
            passing = live and self._head.paused
            wanted = self._head.wants(picture=film.has_picture, sound=film.has_sound)
            if finished or not (wanted or passing):
                self._head.wait(_BEAT)
                continue
            part = film.read()
            if part is None:
                finished = True
                self._head.finish()
            elif passing:
                missed = True
            else:
                if missed:
                    self._head.restart(part.at)
                    missed = False
                self._head.put(part)

    def _post(self, call: Callable[..., None], *arguments: object) -> None:
        """Cross to the loop: the only place where this thread reaches it."""
        try:
            self._loop.call_soon_threadsafe(call, *arguments)
        except RuntimeError:
            # The loop was closed without a stop().
            self._stop.set()


def _checked(volume: int) -> int:
    if not -LOUDEST <= volume <= LOUDEST:
        raise PlaybackError(f"A volume is from -{LOUDEST} to {LOUDEST}, not {volume}")
    return volume

"""The one place where sound or pictures can pass on their way out of the device.

A gate is open only while nobody holds it closed.  Anyone may close it; who may open it
again depends on who closed it, so that no script, server or moderator can undo what a
person in the room did.  Closing takes effect for the next period that is admitted, before
any lock of the caller's, any await or any network.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from av import AudioFrame

log = logging.getLogger(__name__)


class Party(Enum):
    """Who closes a gate, or asks to open it."""

    START = "start"
    """Closed until the first state of the call is known."""
    ROOM = "room"
    """A person in the room: the button, or the panel that stands for it."""
    CONFIG = "config"
    """The configuration, at the device's start: nobody has pressed anything yet."""
    LATCH = "latch"
    """A latching switch: only moving it back releases it."""
    COVER = "cover"
    """The privacy cover: only taking it away releases it."""
    SOFTWARE = "software"
    """A script on this machine."""
    REMOTE = "remote"
    """The server, or a moderator through it."""
    WATCHDOG = "watchdog"
    """Our own safety, when the light cannot show the truth."""
    LEASE = "lease"
    """Our own safety, while the loop gives no sign of life; see `appliance.media.lease`."""
    UNPLUGGED = "unplugged"
    """There is no device behind the gate: it was pulled, and none took its place."""


_CLEARS: Final[dict[Party, frozenset[Party]]] = {
    Party.START: frozenset({Party.START}),
    Party.ROOM: frozenset(
        {Party.START, Party.ROOM, Party.CONFIG, Party.SOFTWARE, Party.REMOTE},
    ),
    Party.CONFIG: frozenset({Party.CONFIG}),
    Party.LATCH: frozenset({Party.LATCH}),
    Party.COVER: frozenset({Party.COVER}),
    Party.SOFTWARE: frozenset({Party.START, Party.SOFTWARE, Party.REMOTE}),
    Party.REMOTE: frozenset({Party.SOFTWARE, Party.REMOTE}),
    Party.WATCHDOG: frozenset({Party.WATCHDOG}),
    Party.LEASE: frozenset({Party.LEASE}),
    Party.UNPLUGGED: frozenset({Party.UNPLUGGED}),
}
"""What each party may withdraw.  REMOTE may do so only where the gate allows it."""

SAFETY: Final = frozenset({Party.WATCHDOG, Party.LEASE})
"""Parties that hold a gate because the truth is in doubt."""


@dataclass(frozen=True, slots=True)
class Change:
    """One change of who holds a gate closed: who made it, and why in a few words."""

    by: Party
    why: str
    before: frozenset[Party]
    after: frozenset[Party]


class Gate:
    """Open only while `closers` is empty; closed at start by `Party.START`.

    Every method may be called from any thread and returns without waiting for anything
    but another change of the same gate.

    `before_open`, where set, is called just before the gate opens, on the thread that opens
    it: whoever shows the truth in a light lights it there, so that the light is never
    behind.  When it raises, the gate stays closed, held by `Party.WATCHDOG`.  `last` is the
    last change; an observer that is called finds its own there.
    """

    def __init__(self, *, allow_remote_unmute: bool = False) -> None:
        self.allow_remote_unmute = allow_remote_unmute
        self.before_open: Callable[[], None] | None = None
        self.last: Change | None = None
        self._lock = threading.RLock()
        self._closers: frozenset[Party] = frozenset({Party.START})
        self._epoch = 0
        self._observers: tuple[Callable[[Gate], None], ...] = ()

    @property
    def is_open(self) -> bool:
        """Whether anything may pass now."""
        return not self._closers

    @property
    def closers(self) -> frozenset[Party]:
        """Everybody who holds it closed."""
        return self._closers

    @property
    def epoch(self) -> int:
        """Counts every change between open and closed."""
        return self._epoch

    def mute(self, by: Party, why: str = "") -> None:
        """Close it on behalf of `by`; `why` is for the log."""
        self._set(by, why, lambda closers: closers | {by})

    def unmute(self, by: Party, why: str = "", *, but: frozenset[Party] = frozenset()) -> bool:
        """Withdraw what `by` may withdraw, `but` not that, and say whether the gate is open now."""
        if by is Party.REMOTE and not self.allow_remote_unmute:
            return self.is_open
        return self._set(by, why, lambda closers: closers - (_CLEARS[by] - but))

    def subscribe(self, observer: Callable[[Gate], None]) -> Callable[[], None]:
        """Call `observer` after each change of `closers`, on the thread that made it.

        Returns a function that ends the subscription.
        """
        with self._lock:
            self._observers += (observer,)

        def unsubscribe() -> None:
            with self._lock:
                self._observers = tuple(o for o in self._observers if o is not observer)

        return unsubscribe

    def _set(
        self, by: Party, why: str, change: Callable[[frozenset[Party]], frozenset[Party]]
    ) -> bool:
        # The observers run under the lock so that the last one to run has seen the last
        # change: an LED driven by two threads in turn must end on the later state.
        with self._lock:
            closers = change(self._closers)
            if closers == self._closers:
                return not closers
            if not closers and (obstacle := self._obstacle()) is not None:
                by, why, closers = Party.WATCHDOG, obstacle, frozenset({Party.WATCHDOG})
                if closers == self._closers:
                    return False
            moved = bool(closers) != bool(self._closers)
            made = Change(by, why, self._closers, closers)
            self._closers = closers
            if moved:
                # Last: what was admitted just before is stale from here on.
                self._epoch += 1
            self.last = made
            for observer in self._observers:
                try:
                    observer(self)
                except Exception:
                    log.exception("an observer of the %s failed", type(self).__name__)
            return not self._closers

    def _obstacle(self) -> str | None:
        """What keeps it from opening now."""
        if self.before_open is None:
            return None
        try:
            self.before_open()
        except Exception as error:
            log.warning("the %s stays closed: %s", type(self).__name__, error)
            return str(error)
        return None


class MicGate(Gate):
    """The gate of the microphone."""

    def admit(self, frame: AudioFrame) -> AudioFrame:
        """The frame itself while open, else digital silence of the same shape and time."""
        if self.is_open:
            return frame
        silence = AudioFrame(
            format=frame.format.name, layout=frame.layout.name, samples=frame.samples
        )
        for plane in silence.planes:
            plane.update(bytes(plane.buffer_size))
        silence.sample_rate = frame.sample_rate
        silence.pts = frame.pts
        silence.time_base = frame.time_base
        return silence


class CameraGate(Gate):
    """The gate of the camera; a closed one gives no picture at all."""

"""What goes out of a room: a recording or a stream, from its start to its end."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Generic, TypeVar

from appliance.hub.tap import Intake, Tappable

__all__ = ["Outgoing", "OutgoingState"]


@dataclass(frozen=True, slots=True)
class OutgoingState:
    """How it is just now. Times are seconds of the epoch."""

    id: str
    state: str
    started_at: float
    duration: float | None = None
    """Seconds, once it is completed."""
    ended_at: float | None = None

    def to_wire(self) -> dict[str, Any]:
        """The fields as clients know them."""
        return {
            "id": self.id,
            "state": self.state,
            "duration": self.duration,
            "started_at": self.started_at,
            "ended_at": self.ended_at,
        }


S = TypeVar("S", bound=OutgoingState)


class Outgoing(Generic[S]):
    """One of them, with a thread of its own that takes what comes from `room` by `intake`.

    Everything is for the loop's thread. `on_change` is called on the loop after every change of
    `state` except the start.
    """

    KIND: ClassVar[str]
    """What it is called."""

    def __init__(
        self,
        room: Tappable,
        state: S,
        intake: Intake,
        on_change: Callable[[S], None] | None,
    ) -> None:
        self._room = room
        self._state = state
        self._intake = intake
        self._on_change = on_change
        self._loop = asyncio.get_running_loop()
        self._thread: threading.Thread | None = None

    @property
    def id(self) -> str:
        """Its id."""
        return self._state.id

    @property
    def state(self) -> S:
        """How it is just now."""
        return self._state

    @property
    def dropped(self) -> int:
        """Pictures lost because what takes them was too slow, or not there."""
        return self._intake.dropped

    def _begin(self, run: Callable[..., None], *args: object) -> None:
        """Start the thread, with `run`, and feed it."""
        self._state = replace(self._state, started_at=time.time())
        self._thread = threading.Thread(target=run, args=args, name=self.KIND, daemon=True)
        self._thread.start()
        self._room.tap(self._intake)

    async def _finish(self) -> None:
        """Feed the thread no more, and wait for its end."""
        thread = self._started()
        self._room.untap(self._intake)
        self._intake.mark("stop", time.monotonic())
        # What the thread posted is done before this wait ends: the loop keeps the order.
        await asyncio.to_thread(thread.join)

    def _started(self) -> threading.Thread:
        if self._thread is None:
            raise RuntimeError(f"the {self.KIND} was never started")
        return self._thread

    def _not_started(self) -> None:
        if self._thread is not None:
            raise RuntimeError(f"the {self.KIND} was started before")

    def _change(self, **changes: Any) -> None:
        state = replace(self._state, **changes)
        if state != self._state:
            self._state = state
            if self._on_change is not None:
                self._on_change(state)

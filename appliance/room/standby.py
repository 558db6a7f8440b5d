"""Device off while muted: what `stop_microphone_while_muted` and its twin mean."""

from __future__ import annotations

from typing import Protocol

from appliance.media.gate import Gate, Party

from .follower import GateFollower


class Suspendable(Protocol):
    """A capture whose device can be closed and opened again while it stays attached."""

    @property
    def suspended(self) -> bool:
        """Whether the device is closed for now."""

    async def suspend(self) -> None:
        """Close the device."""

    async def resume(self) -> None:
        """Open it again; one that fails is tried again by the capture itself."""


class Standby(GateFollower):
    """Closes the device of a capture while its gate is closed, and opens it in time."""

    def __init__(self, capture: Suspendable, gate: Gate) -> None:
        super().__init__(gate)
        self._capture = capture

    async def _follow(self) -> None:
        while (suspend := self._wanted()) is not None and suspend != self._capture.suspended:
            await (self._capture.suspend() if suspend else self._capture.resume())

    def _wanted(self) -> bool | None:
        closers = self.gate.closers
        # Before the first state is known the device stays as it is: warm for the join.
        return None if Party.START in closers else bool(closers)

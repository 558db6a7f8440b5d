"""A connection that remembers what it told."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from appliance.signaling.connection import Connection, ConnectionState
from tests.appliance.signaling.scripted_server import Peer

TOKEN = "header.very-secret-token.signature"


#: Seconds that a loaded machine may take for what needs no waiting.
PATIENCE = 30.0


class Client(Connection):
    """A connection that remembers what it told."""

    def __init__(self, url: str, token: str = TOKEN, **options: Any) -> None:
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.states: list[ConnectionState] = []
        self.reconnections: list[bool] = []
        self.attempts: list[int] = []
        self.changed = asyncio.Event()
        defaults: dict[str, Any] = {
            "agent": "test/1",
            "on_event": self._remember_event,
            "on_state": self._remember_state,
            "on_reconnected": self._remember_reconnection,
            "backoff": self._hurry,
            "open_timeout": PATIENCE,
            "request_timeout": PATIENCE,
        }
        super().__init__(url, token, **{**defaults, **options})

    async def until(self, condition: Any) -> None:
        """Wait until ``condition()`` holds; looked at whenever something was told."""
        async with asyncio.timeout(PATIENCE):
            while not condition():
                self.changed.clear()
                await self.changed.wait()

    def _remember_event(self, kind: str, params: dict[str, Any]) -> None:
        self.told.append((kind, params))
        self.changed.set()

    def _remember_state(self, state: ConnectionState) -> None:
        self.states.append(state)
        self.changed.set()

    def _remember_reconnection(self, resumed: bool) -> None:
        self.reconnections.append(resumed)
        self.changed.set()

    def _hurry(self, attempt: int) -> float:
        self.attempts.append(attempt)
        self.changed.set()
        return 0.0


async def accept(peer: Peer) -> None:
    await peer.let_in()
    await peer.serve()


def ours(caplog: pytest.LogCaptureFixture) -> list[tuple[int, str]]:
    """What our own modules logged."""
    records = (record for record in caplog.records if record.name.startswith("appliance."))
    return [(record.levelno, record.getMessage()) for record in records]

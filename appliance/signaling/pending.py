"""Requests on their way: each has one answer and one deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .client_events import Answered
from .errors import Disconnected, RequestTimeout

__all__ = ["PendingRequests"]


@dataclass(slots=True)
class _Call:
    method: str
    answer: asyncio.Future[dict[str, Any]]
    deadline: asyncio.TimerHandle | None = None


class PendingRequests:
    """The requests that somebody waits for."""

    def __init__(
        self,
        name: str,
        *,
        answer_timeout: float,
        queue_timeout: float,
        forget: Callable[[str], None],
        on_overdue: Callable[[str], None],
    ) -> None:
        """None yet.

        Args:
            name: what the texts call the server.
            answer_timeout: seconds for the answer, from the sending on.
            queue_timeout: seconds that a request waits to be sent.
            forget: told the id of each request that nobody waits for any more.
            on_overdue: told, in words, that a request was sent and not answered in time.
        """
        self._name = name
        self._answer_timeout = answer_timeout
        self._queue_timeout = queue_timeout
        self._forget = forget
        self._on_overdue = on_overdue
        self._calls: dict[str, _Call] = {}

    async def answer(
        self, identifier: str, method: str, begin: Callable[[], None]
    ) -> dict[str, Any]:
        """Wait for the answer to a request; ``begin`` sets it going.

        Raises:
            SignalingError: what the server answered instead, or why no answer came.
        """
        call = _Call(method, asyncio.get_running_loop().create_future())
        self._calls[identifier] = call
        self._set_deadline(call, self._queue_timeout, self._stale, identifier)
        try:
            begin()
            return await call.answer
        finally:
            del self._calls[identifier]
            if call.deadline is not None:
                call.deadline.cancel()
            self._forget(identifier)

    def sent(self, identifier: str) -> bool:
        """The request left: its answer is due. False where nobody waits for one."""
        if (call := self._calls.get(identifier)) is None:
            return False
        self._set_deadline(call, self._answer_timeout, self._overdue, identifier)
        return True

    def settle(self, answered: Answered) -> None:
        """Hand the answer to who waits for it."""
        call = self._calls.get(answered.id)
        if call is None or call.answer.done():
            return
        if answered.error is not None:
            call.answer.set_exception(answered.error)
        else:
            call.answer.set_result(answered.result or {})

    def _set_deadline(
        self, call: _Call, delay: float, then: Callable[[str], None], identifier: str
    ) -> None:
        if call.deadline is not None:
            call.deadline.cancel()
        call.deadline = asyncio.get_running_loop().call_later(delay, then, identifier)

    def _overdue(self, identifier: str) -> None:
        call = self._calls[identifier]
        if not call.answer.done():
            self._forget(identifier)
            text = f"{call.method}: no answer from {self._name} in {self._answer_timeout:g} s"
            call.answer.set_exception(RequestTimeout(f"{text}; trying a new connection"))
            self._on_overdue(text)

    def _stale(self, identifier: str) -> None:
        call = self._calls[identifier]
        if not call.answer.done():
            self._forget(identifier)
            text = f"{call.method}: no connection to {self._name} for {self._queue_timeout:g} s"
            call.answer.set_exception(Disconnected(f"{text}; try again when it is back"))

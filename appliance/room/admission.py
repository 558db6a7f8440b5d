"""The wait of a call to be let in."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from .errors import JoinTimeout

ADMISSION_TIMEOUT: Final = 20.0
"""Seconds from the answer of a call until the server must have let the member in."""


class Admission:
    """Ends with what the server says of the new member, or with why there is none.

    `backlog` keeps the events that came since then, for they are told after it.
    """

    def __init__(self) -> None:
        self.backlog: list[tuple[str, dict[str, Any]]] = []
        self._news: asyncio.Future[Mapping[str, Any]] = asyncio.get_running_loop().create_future()

    @property
    def pending(self) -> bool:
        """Whether it is still waited."""
        return not self._news.done()

    def grant(self, params: Mapping[str, Any]) -> None:
        """The server has let it in."""
        if self.pending:
            self._news.set_result(params)

    def fail(self, error: Exception) -> None:
        """Nothing will come any more."""
        if self.pending:
            self._news.set_exception(error)
            self._news.exception()  # who waits may fail for another reason before it looks

    async def wait(self) -> Mapping[str, Any]:
        """What the server said.  Raises JoinTimeout, or the reason given to `fail`."""
        patience = asyncio.timeout(ADMISSION_TIMEOUT)
        try:
            async with patience:
                return await self._news
        except TimeoutError as error:
            if not patience.expired():
                raise
            raise JoinTimeout(
                f"the room answered the call, but did not let the member in within"
                f" {ADMISSION_TIMEOUT:.0f} s; try again"
            ) from error

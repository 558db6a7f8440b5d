"""The cards that one page has open: each sends its news by the page's live socket."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

from starlette.websockets import WebSocketDisconnect

from appliance.panel.device import Refused
from appliance.panel.maintenance import CARDS, Card, Maintenance

log = logging.getLogger(__name__)


class Cards:
    """Those of one page; `send` sends a text to it.  On one event loop."""

    def __init__(
        self, maintenance: Maintenance | None, send: Callable[[str], Awaitable[None]]
    ) -> None:
        self._maintenance: Final = maintenance
        self._send: Final = send
        self._open: dict[str, asyncio.Task[None]] = {}

    @property
    def offered(self) -> tuple[Card, ...]:
        """The names of the cards that this device has."""
        return () if self._maintenance is None else CARDS

    def request(self, command: Any) -> Coroutine[Any, Any, None] | None:
        """What a command asks of who looks after the device; None for any other command."""
        maintenance = self._maintenance
        if maintenance is None:
            return None
        match command:
            case {"choose": {"kind": str(kind), "backend": str(backend), "device": str(device)}}:
                return maintenance.choose(kind, backend, device)
            case {"choose": {"kind": str(kind), "device": None}}:
                return maintenance.withdraw_choice(kind)
            case {"withdraw": str(key)}:
                return maintenance.withdraw(key)
            case {"restart": {"sure": bool(sure)}}:
                return _at_once(maintenance.restart, sure)
        return None

    def show(self, name: str) -> None:
        """Send the card's news from now on.  Raises Refused for one that there is not."""
        card = next((one for one in self.offered if one == name), None)
        if card is None:
            raise Refused(f"This device has no card {name[:40]!r}.")
        if card not in self._open:
            self._open[card] = asyncio.create_task(self._tell(card), name=f"panel-card-{card}")

    def hide(self, name: str) -> None:
        """Send nothing more of it.  Nothing where it is not shown."""
        task = self._open.pop(name, None)
        if task is not None:
            task.cancel()

    async def close(self) -> None:
        """Hide all, and wait until nothing is sent any more.  Safe to call twice."""
        tasks = list(self._open.values())
        for name in tuple(self._open):
            self.hide(name)
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _tell(self, card: Card) -> None:
        assert self._maintenance is not None, "see offered"
        try:
            async with contextlib.aclosing(self._maintenance.watch(card)) as news:
                async for piece in news:
                    text = json.dumps({card: piece}, separators=(",", ":"))
                    try:
                        await self._send(text)
                    except (WebSocketDisconnect, RuntimeError):
                        return  # the page has just gone away, which is no fault
        except Exception:
            log.exception("the card %s has failed", card)
        finally:
            if self._open.get(card) is asyncio.current_task():
                del self._open[card]


async def _at_once(act: Callable[[bool], None], sure: bool) -> None:
    act(sure)

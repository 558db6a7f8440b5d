"""The other end of a panel: its API as a program uses it."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from collections.abc import Callable
from http.client import HTTPException
from typing import Any, Final

from websockets.asyncio.client import connect

from appliance.service.errors import ServiceError

TIMEOUT_S: Final = 10.0


class PanelGone(ServiceError, ConnectionError):
    """The panel does not answer."""


class PanelClient:
    """One panel, by the address of its page."""

    def __init__(self, url: str) -> None:
        self.url: Final = url.rstrip("/") + "/"

    async def state(self) -> dict[str, Any]:
        """`PanelState` now.  Raises PanelGone."""
        return await asyncio.to_thread(self._get, "api/state")

    async def report(self) -> dict[str, Any]:
        """The device's measurements.  Raises PanelGone."""
        return await asyncio.to_thread(self._get, "api/report")

    async def tap(self, button: str) -> None:
        """Press a button and let it go."""
        async with connect(self._live, proxy=None) as socket:
            await socket.send(json.dumps({"press": button}))
            await socket.send(json.dumps({"release": button}))
            # The panel reads in order: once it has refused this, it has done the rest.
            await socket.send(json.dumps({"done": True}))
            async with asyncio.timeout(TIMEOUT_S):
                while "error" not in json.loads(await socket.recv()):
                    pass

    async def until(
        self, what: str, test: Callable[[dict[str, Any]], bool], timeout: float
    ) -> dict[str, Any]:
        """Wait for a state; returns it.  Raises TimeoutError naming `what`."""
        try:
            async with asyncio.timeout(timeout):
                async with connect(self._live, proxy=None) as socket:
                    while True:
                        state = json.loads(await socket.recv()).get("state")
                        if isinstance(state, dict) and test(state):
                            return state
        except TimeoutError:
            raise TimeoutError(f"{what} not within {timeout:.0f} s") from None

    @property
    def _live(self) -> str:
        return f"ws{self.url.removeprefix('http')}api/live"

    def _get(self, path: str) -> dict[str, Any]:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(self.url + path, timeout=TIMEOUT_S) as answer:
                value = json.load(answer)
        except (OSError, HTTPException, ValueError) as error:
            raise PanelGone(f"the panel at {self.url} does not answer: {error}") from error
        return value if isinstance(value, dict) else {}

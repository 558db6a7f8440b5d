"""Getting the media of a call back after they were lost."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from appliance.media.errors import MediaError
from appliance.media.peer import PeerState
from appliance.signaling.errors import Disconnected, RequestTimeout, SignalingError

from .errors import RoomError
from .tasks import Tasks

log = logging.getLogger(__name__)

LIMIT: Final = 12.0
"""Seconds to get the media back, as in the browser SDK; then the session is left."""

GRACE: Final = 1.0
"""Seconds in which a server that closed the media may still say goodbye: who was removed
must not call again."""

RETRY: Final = 0.5
"""Seconds between two attempts."""


class Recovery:
    """Watches the media of a call and dials again when they are lost.

    `emit` is told `media.connected`, `media.disconnected` and `media.reconnecting`; `give_up`
    is called when the media did not come back in time.
    """

    def __init__(
        self,
        dial: Callable[[], Awaitable[object]],
        tasks: Tasks,
        emit: Callable[[str], object],
        give_up: Callable[[], object],
        *,
        refresh: Callable[[], Awaitable[object]] | None = None,
        patient: bool = False,
        limit: float = LIMIT,
    ) -> None:
        """`refresh` gets a fresh way to the server; `dial` is repeated until the media are back.
        A `patient` one also goes on after the server has refused."""
        self._dial = dial
        self._refresh = refresh
        self._patient = patient
        self._tasks = tasks
        self._emit = emit
        self._give_up = give_up
        self._limit = limit
        self._state = PeerState.NEW
        self._news = asyncio.Event()
        self._running = False
        self._task: asyncio.Task[None] | None = None

    @property
    def running(self) -> bool:
        """Whether the media are being won back now."""
        return self._running

    def media(self, state: PeerState) -> None:
        """The state of the call's present media has changed."""
        self._state = state
        self._news.set()
        if state is PeerState.CONNECTED:
            self._emit("media.connected")
        elif state in (PeerState.FAILED, PeerState.CLOSED):
            self.begin(GRACE if state is PeerState.CLOSED else 0.0, refresh=True)

    def begin(self, delay: float = 0.0, *, refresh: bool = False) -> None:
        """Win the media back, unless that is under way; wait `delay` seconds first.

        `refresh` where the way to the server is in doubt as well.
        """
        if not self._running:
            self._running = True
            self._task = self._tasks.start(self._run(delay, refresh), "media recovery")

    def stop(self) -> None:
        """Win nothing back any more that is being won back now."""
        if self._task is not None:
            self._task.cancel()

    async def settled(self) -> bool:
        """Wait until the present media have connected (True) or failed."""
        while self._state not in (PeerState.CONNECTED, PeerState.FAILED, PeerState.CLOSED):
            self._news.clear()
            await self._news.wait()
        return self._state is PeerState.CONNECTED

    async def _run(self, delay: float, refresh: bool) -> None:
        try:
            await asyncio.sleep(delay)
            self._emit("media.disconnected")
            self._emit("media.reconnecting")
            patience = asyncio.timeout(self._limit)
            try:
                async with patience:
                    back = await self._win_back(refresh)
            except TimeoutError:
                if not patience.expired():
                    raise
                back = False
        finally:
            self._running = False
        if not back:
            log.warning("the media of the call did not come back within %.0f s", self._limit)
            self._emit("media.disconnected")
            self._give_up()

    async def _win_back(self, refresh: bool) -> bool:
        while True:
            self._state = PeerState.NEW
            try:
                if refresh and self._refresh is not None:
                    await self._refresh()
                refresh = False
                await self._dial()
                if await self.settled():
                    return True
                log.info("the new media failed; trying again")
            except (Disconnected, RequestTimeout, MediaError) as error:
                log.info("the media are not back yet: %s", error)
            except (SignalingError, RoomError) as error:
                if self._patient:
                    log.info("the media are not back yet: %s", error)
                    await asyncio.sleep(RETRY)
                    continue
                log.warning("the server does not take the call again: %s", error)
                return False
            await asyncio.sleep(RETRY)

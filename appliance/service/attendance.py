"""Being in the room: joining, joining again, and saying so."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Any, Final

from appliance.media.errors import MediaError
from appliance.provisioning.errors import ConfigError
from appliance.room import RECONNECTION_ATTEMPT_TIMEOUT, Payload, RoomError, RoomSession
from appliance.service.errors import EntranceClosed
from appliance.signaling.errors import (
    AuthError,
    NotAdmitted,
    PermissionDenied,
    SignalingError,
)
from hal.controls import Status
from hal.errors import HalError

log = logging.getLogger(__name__)

RETRY_MIN: Final = 1.0
RETRY_MAX: Final = 30.0
"""Seconds of the first and of the longest wait for a server that does not answer."""

REFUSED_RETRY: Final = 30.0
"""Seconds until a token or a room that refused is tried again: the token may be replaced, or its
time may come, and the room may be unlocked."""

REMOVED_RETRY: Final = 10.0
"""Seconds until the room is entered again after the device was removed or the room ended."""

LOOK_EVERY: Final = 1.0
"""Seconds between two looks at whether anything comes from the room."""

SILENT_AFTER: Final = 3.0
"""Seconds without a byte after which the screen says so.  Sound comes fifty times a second."""

NEVER_AFTER: Final = 20.0
LOST_AFTER: Final = 60.0
"""Seconds without a byte, from the join and later, after which the device joins anew.  ICE sees a
dead path after 30, and the session tries to mend it for 12 more."""

Refusal = (AuthError, PermissionDenied, EntranceClosed, ConfigError)
"""What no retry mends by itself."""

Failure = (*Refusal, SignalingError, RoomError, MediaError, HalError, OSError)
"""Everything that keeps a device out of its room."""


class Attendance:
    """Keeps a device in its room until it is cancelled.

    `make_session` makes one session for a token, `get_token` gets the token.  `on_begin` is
    called with each session before its join, `on_end` after its end, `on_status` with what
    the device is doing and why.  With `patient` set to False the first failure before the first
    success is raised instead of waited for.  A `visitor` does not come back by itself where it
    was removed or refused.
    """

    def __init__(
        self,
        make_session: Callable[[str], RoomSession],
        get_token: Callable[[], Awaitable[str]],
        *,
        on_begin: Callable[[RoomSession], None],
        on_end: Callable[[], Awaitable[None]],
        on_status: Callable[[Status, str], None],
        patient: bool = True,
        visitor: bool = False,
    ) -> None:
        self.session: RoomSession | None = None
        self._make_session = make_session
        self._get_token = get_token
        self._on_begin = on_begin
        self._on_end = on_end
        self._on_status = on_status
        self._patient = patient
        self._visitor = visitor
        self._failures = 0
        self._told = ""

    async def run(self) -> None:
        """Join, and join again.  Ends by cancellation, and then leaves the room.

        A visitor's ends with the room as well, and raises Failure where it was turned away.
        """
        while True:
            self._on_status(Status.JOINING, "")
            try:
                pause, status, reason = await self._stay()
            except Failure as error:
                if not self._patient or (self._visitor and isinstance(error, Refusal)):
                    raise
                pause, status, reason = self._failed(error)
            if self._visitor and status is Status.IDLE:
                return
            self._on_status(status, reason)
            await asyncio.sleep(pause)

    async def _stay(self) -> tuple[float, Status, str]:
        """One stay in the room; returns how long to stay out after it, as what, and why."""
        token = await self._get_token()
        session = self.session = self._make_session(token)
        session.renew_token = self._get_token
        left = asyncio.get_running_loop().create_future()

        def has_left(event: Payload) -> None:
            if not left.done():
                left.set_result(event.to_dict().get("reason"))

        def reconnecting(*_: object) -> None:
            if not session.active:
                return  # it is being left
            log.warning("the connection to the room was lost; reconnecting")
            self._on_status(Status.RECONNECTING, str(session.connection_error or ""))

        def connected(*_: object) -> None:
            if session.active:
                self._on_status(Status.IN_ROOM, "")

        session.on("room.left", has_left)
        session.on("media.reconnecting", reconnecting)
        session.on("media.connected", connected)
        self._on_begin(session)
        try:
            async with session:
                await session.join()
                self._patient = True
                self._failures, self._told = 0, ""
                log.info("in the room, as member %s", session.member_id)
                self._on_status(Status.IN_ROOM, "")
                reason = await self._watch(session, left)
        finally:
            self.session = None
            await self._on_end()
        if reason == RECONNECTION_ATTEMPT_TIMEOUT:
            log.warning("the room was lost; joining again")
            return _jittered(RETRY_MIN), Status.JOINING, "the room was lost"
        log.warning("the room has ended, or this device was removed from it; joining again later")
        return REMOVED_RETRY, Status.IDLE, "the room ended, or removed this device"

    async def _watch(self, session: RoomSession, left: asyncio.Future[Any]) -> Any:
        """Wait until the session has left, and say so when nothing comes from the room.

        Returns the reason of `room.left`, or that of a room that was lost.
        """
        clock = asyncio.get_running_loop().time
        received: object = None
        heard, told, ever = clock(), "", False
        while not left.done():
            await asyncio.wait({left}, timeout=LOOK_EVERY)
            now, count = clock(), session.stats().get("bytes_received", 0)
            if count != received:
                ever = ever or received is not None
                received, heard = count, now
                if told and not left.done():
                    self._on_status(Status.IN_ROOM, "")
                told = ""
            elif now - heard > (LOST_AFTER if ever else NEVER_AFTER):
                log.warning("nothing comes from the room; joining anew")
                return RECONNECTION_ATTEMPT_TIMEOUT
            elif now - heard > SILENT_AFTER:
                why = str(session.connection_error or "nothing comes from the room server")
                if why != told:
                    told = why
                    self._on_status(Status.RECONNECTING, why)
        return left.result()

    def _failed(self, error: Exception) -> tuple[float, Status, str]:
        text = str(error)
        # Once as a warning; the same again is no news.
        log.log(logging.DEBUG if text == self._told else logging.WARNING, "%s (trying again)", text)
        self._told = text
        self._failures += 1
        if isinstance(error, NotAdmitted):
            # No fault of the device: people can open the room, or make place in it.
            return _jittered(REFUSED_RETRY), Status.JOINING, text
        if isinstance(error, Refusal):
            return _jittered(REFUSED_RETRY), Status.FAULT, text
        wait = min(RETRY_MAX, RETRY_MIN * 1.6 ** (self._failures - 1))
        return _jittered(wait), Status.JOINING, text


def _jittered(seconds: float) -> float:
    """Random, so that the devices of a building do not come back all at once."""
    return seconds * random.uniform(0.5, 1.0)

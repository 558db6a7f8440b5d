"""From member to audience and back: one call takes over from another."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from abc import ABC, abstractmethod
from typing import Final

from appliance.media.errors import MediaError
from appliance.signaling.connection import Connection
from appliance.signaling.errors import SignalingError
from hal.errors import HalError

from .admission import Admission
from .call import Call
from .devices import Devices
from .errors import JoinRefused, RoomError
from .muting import Muting
from .phase import Phase
from .plan import JoinWishes, MediaPlan
from .recovery import Recovery
from .routing import ServerEvents

log = logging.getLogger(__name__)

HEARING_TIMEOUT: Final = 5.0
"""Seconds that the call before goes on at most while nothing is heard of the next one."""

OVERLAP: Final = 0.25
"""Seconds that both are heard: the first sound of the next one has to pass a jitter buffer."""

SHORT_BYE: Final = 2.0
"""Seconds to wait for the server's word where it may well not be there any more."""


class Handover(ServerEvents, ABC):
    """Follows a promotion or demotion of the own member.

    The server has granted or taken the right to send.  A new call says what is sent and
    received now; the one before goes on until that one is heard.
    """

    _devices: Devices
    _connection: Connection | None
    _wishes: JoinWishes
    _handing_over: asyncio.Lock

    @abstractmethod
    def _make_call(self, connection: Connection, plan: MediaPlan) -> tuple[Call, Recovery]:
        """A call for that plan, and what wins its media back."""

    @abstractmethod
    def _start_muting(self, plan: MediaPlan) -> None:
        """Follow the gates of what is sent from now on; they are closed until the state of
        the member is known."""

    @abstractmethod
    def _room_ended(self, ended: JoinRefused) -> None:
        """The server has ended the call."""

    @abstractmethod
    def _room_lost(self) -> None:
        """There is no way back into the room."""

    def _role_changed(self, event: str) -> None:
        promoted = event == "member.promoted"
        if not promoted:
            # Before anything is waited for: who may not send does not.
            self._muting.close()
        self._tasks.start(self._hand_over(promoted=promoted), event)

    async def _hand_over(self, *, promoted: bool) -> None:
        async with self._handing_over:
            connection, before, recovery = self._connection, self._call, self._recovery
            if self._phase is not Phase.JOINED or connection is None or before is None:
                return
            # The server may end the old call, and its media, as soon as it has the new one.
            watched, ends = (before.on_media, before.on_bye), list[JoinRefused]()
            before.on_media, before.on_bye = None, ends.append
            if recovery is not None:
                recovery.stop()
            try:
                await self._take_over(connection, promoted=promoted)
            except (SignalingError, RoomError, MediaError, HalError) as error:
                log.warning("the call could not follow the change of rights: %s", error)
                before.on_media, before.on_bye = watched
                for ended in ends:
                    self._room_ended(ended)
                return
            # Nobody hears of the old one any more.
            before.on_state = None
            try:
                await self._heard()
                await before.hang_up(SHORT_BYE)
            finally:
                await before.close()

    async def _take_over(self, connection: Connection, *, promoted: bool) -> None:
        role = "member" if promoted else "audience"
        wishes = self._wishes
        plan = wishes.plan({**self._state.authorization, "join_as": role})
        await self._devices.open(plan, wishes.audio, wishes.video)
        await self._muting.stop()
        self._muting = Muting()
        self._start_muting(plan)
        call, recovery = self._make_call(connection, plan)
        admission = self._admission = Admission()
        self._next_call = call
        try:
            await call.dial()
            params = await admission.wait()
        except BaseException:
            self._next_call = self._admission = None
            self._muting.close()
            await call.hang_up(SHORT_BYE)
            await call.close()
            raise
        self._call, self._recovery, self._next_call = call, recovery, None
        self._let_in(admission, params, taken_over=True)

    async def _heard(self) -> None:
        """Wait until the new call is heard, but not for ever."""
        leg = None if self._call is None else self._call.leg
        if leg is None or self._recovery is None:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(HEARING_TIMEOUT):
                if await self._recovery.settled() and leg.audio is not None:
                    await leg.audio.arrived.wait()
                    await asyncio.sleep(OVERLAP)

"""One gate and the server's idea of it, held in step.

The gate is the truth.  The server is told of every change that a person in the room or a
script makes; what the server or a moderator wants is done at the gate as far as the gate
allows, and where it does not, the server is told so.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Final

from appliance.media.gate import SAFETY, Gate, Party
from appliance.signaling.errors import (
    Disconnected,
    NotFound,
    PermissionDenied,
    RequestTimeout,
    SignalingError,
)

from .errors import GateHeld, RoomError
from .follower import GateFollower

log = logging.getLogger(__name__)

Send = Callable[[bool], Awaitable[object]]
"""Tells the server that the own member is muted (True) or not; raises SignalingError."""

ECHO_TIME: Final = 5.0
"""Seconds after the answer to a request within which its own event is awaited."""

CONTEST_TIME: Final = 10.0
"""Seconds without contradiction after which an argument with the server is over."""

CONTEST_FREE: Final = 2
"""Contradictions that are answered at once; each further one waits twice as long."""

DELAY_MIN: Final = 0.25
DELAY_MAX: Final = 8.0
"""Seconds of the shortest and the longest wait before the server is told again."""

_HELD: Final = SAFETY | {Party.ROOM, Party.CONFIG, Party.LATCH, Party.COVER, Party.UNPLUGGED}
"""Parties that no script overrules."""


@dataclass(slots=True, eq=False)
class _Echo:
    """An event that our own request will make the server send."""

    muted: bool
    expires: float | None = None
    """On the monotonic clock, from the answer on."""


class MuteSync(GateFollower):
    """Mutes and unmutes one device of the own member; see the module's docstring."""

    def __init__(self, what: str, gate: Gate, send: Send) -> None:
        """`what` names the device in messages: "microphone" or "camera"."""
        super().__init__(gate)
        self._what = what
        self._send = send
        self._turn = asyncio.Lock()
        self._server: bool | None = None
        self._echoes: list[_Echo] = []
        self._refused: bool | None = None
        self._known = False
        self._over = False
        self._actions = 0
        self._muting = 0
        self._closings = 0
        self._contests = 0
        self._last_contest = 0.0

    def start(self) -> None:
        """Follow the gate, and keep it closed until the first state is known."""
        self.gate.mute(Party.START, "until the room has told the first state")
        super().start()

    def cancel(self) -> None:
        """Close the gate for the time after the call, and follow no longer."""
        self._over = True
        self._closings += 1
        self.gate.mute(Party.START, "the call is over")
        super().cancel()

    async def mute(self) -> None:
        """Close the gate at once, then tell the server.

        Whatever the server answers, the gate stays closed; the error is raised all the same.
        """
        self._closings += 1
        with self._acting():
            self._muting += 1
            try:
                self.gate.mute(Party.SOFTWARE, "a script mutes")
                async with self._turn:
                    await self._tell(muted=True)
            finally:
                self._muting -= 1

    async def unmute(self) -> None:
        """Ask the server, and open the gate only after it has agreed.

        Raises GateHeld when somebody with a better right keeps the gate closed, or closed
        it meanwhile; the server is then told that it is muted.
        """
        ticket = self._closings
        self._check_held()
        with self._acting():
            async with self._turn:
                if ticket == self._closings:
                    await self._tell(muted=False)
                if ticket == self._closings:
                    self.gate.unmute(Party.SOFTWARE, "a script unmutes, and the server agrees")
            if closers := self.gate.closers:
                raise GateHeld(self._what, (party.value for party in closers))

    async def along_with(self, request: Callable[[], Awaitable[object]], *, muted: bool) -> None:
        """Do `request`, a wish of the own member by which the server also mutes or unmutes
        it, and let the gate go along on success as far as it may."""
        ticket = self._closings
        with self._acting():
            async with self._turn:
                await self._carry_out(request(), muted=muted)
                if muted:
                    self._closings += 1
                    self.gate.mute(Party.SOFTWARE, "a script's wish mutes as well")
                elif ticket == self._closings:
                    self.gate.unmute(Party.SOFTWARE, "a script's wish unmutes as well")

    @property
    def agreed(self) -> bool:
        """Whether the server shows what the gate is.  While it does not, the gate is the
        quieter of the two: what the server calls muted is closed."""
        closers = self.gate.closers
        if not self._known or Party.START in closers:
            return True
        return self._server is bool(closers)

    def joined(self, muted: bool) -> None:
        """The first state of a new member is known: release the gate, or mute it."""
        if self._over:
            return
        self._known = True
        self._echoes.clear()
        self._refused = None
        self._server = muted
        if muted:
            self._closings += 1
            self.gate.mute(Party.REMOTE, "muted in the room from the beginning")
        self.gate.unmute(Party.START, "the room has told the first state")
        self._gate_moved.set()
        self._wake.set()

    def refreshed(self, muted: bool) -> None:
        """The server's state was asked for after a time without news."""
        if not self._known:
            self.joined(muted)
            return
        # Events of the time without news will not come any more.
        self._echoes = [echo for echo in self._echoes if echo.expires is None]
        self._refused = None
        if self._server is None or self._server == muted:
            # Unknown is what a lost request of ours leaves behind: the gate tells the rest.
            self._server = muted
        else:
            self.server_says(muted)
        self._gate_moved.set()
        self._wake.set()

    def server_says(self, muted: bool) -> None:
        """The server's event: the own member is muted now, or it is not."""
        if not self._known:
            self.joined(muted)
            return
        self._refused = None
        expected = self._take_echo(muted)
        predates = bool(self._echoes) and not expected
        self._server = muted
        if not expected and muted:
            self._closings += 1
            self.gate.mute(Party.REMOTE, "the server or a moderator mutes")
        elif not expected and not predates and not self._muting:
            # One from before our own request would not overrule that.
            self._allow_remote()
        self._wake.set()

    def _allow_remote(self) -> None:
        if not self.gate.unmute(Party.REMOTE, "the server or a moderator unmutes"):
            self._contest()

    def _moved(self) -> None:
        self._refused = None

    async def _follow(self) -> None:
        failures = 0
        while (muted := self._owed()) is not None:
            await self._pause(max(_delay(failures), self._contest_delay()))
            async with self._turn:
                if self._owed() != muted:
                    continue
                try:
                    await self._tell(muted=muted)
                except (PermissionDenied, NotFound):
                    failures = 0  # asking again is vain until something changes
                except (SignalingError, RoomError) as error:
                    failures += 1
                    state = "muted" if muted else "open"
                    log.info("the %s is %s, and the server not told yet: %s",
                             self._what, state, error)  # fmt: skip
                else:
                    failures = 0

    @contextlib.contextmanager
    def _acting(self) -> Iterator[None]:
        """While a script acts, it is the one who tells the server."""
        self._actions += 1
        try:
            yield
        finally:
            self._actions -= 1
            self._wake.set()

    def _owed(self) -> bool | None:
        """What the server has to be told, None for nothing or for nothing yet."""
        closers = self.gate.closers
        if not self._known or self._actions or Party.START in closers:
            return None
        muted = bool(closers)
        return None if muted in (self._server, self._refused) else muted

    async def _tell(self, *, muted: bool) -> None:
        try:
            await self._carry_out(self._send(muted), muted=muted)
        except (PermissionDenied, NotFound) as error:
            self._refuse(muted, error)
            raise

    async def _carry_out(self, request: Awaitable[object], *, muted: bool) -> None:
        echo = None
        if self._server != muted:
            echo = _Echo(muted)
            self._echoes.append(echo)
        try:
            await request
        except (Disconnected, RequestTimeout, asyncio.CancelledError):
            # It may have been done or not.
            self._echoes.clear()
            self._server = None
            raise
        except BaseException:
            if echo in self._echoes:
                self._echoes.remove(echo)
            raise
        self._refused = None
        # When its event came first, a later event may have come as well and is the truth.
        if echo in self._echoes and echo is not None:
            echo.expires = time.monotonic() + ECHO_TIME
            self._server = muted

    def _take_echo(self, muted: bool) -> bool:
        """Whether this event is what a request of ours brought about."""
        now = time.monotonic()
        self._echoes = [e for e in self._echoes if e.expires is None or e.expires > now]
        for index, echo in enumerate(self._echoes):
            if echo.muted == muted:
                # Events come in order: those before it will not come any more.
                del self._echoes[: index + 1]
                return True
        return False

    def _refuse(self, muted: bool, error: SignalingError) -> None:
        self._refused = muted
        if muted:
            log.warning("the %s is muted, but the server refuses to show it: %s", self._what, error)
        elif self._server is not False:
            # Nobody would hear it: then it must not look open either.
            log.warning("the %s stays muted: %s", self._what, error)
            self._closings += 1
            self.gate.mute(Party.REMOTE, f"the server refuses to unmute: {error}")

    def _check_held(self) -> None:
        held = self.gate.closers & _HELD
        if held:
            raise GateHeld(self._what, (party.value for party in held))

    def _contest(self) -> None:
        now = time.monotonic()
        if now - self._last_contest > CONTEST_TIME:
            self._contests = 0
        self._contests += 1
        self._last_contest = now

    def _contest_delay(self) -> float:
        if time.monotonic() - self._last_contest > CONTEST_TIME:
            return 0.0
        return _delay(self._contests - CONTEST_FREE)


def _delay(step: int) -> float:
    """Seconds before try number `step`: none before the zeroth."""
    return 0.0 if step <= 0 else min(DELAY_MAX, DELAY_MIN * 2 ** (step - 1))

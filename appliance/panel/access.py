"""Who has come in: a PIN opens a session, and a browser shows its cookie from then on.

Sessions are kept in memory, and only as digests.  A session ends when its page logs out, when
nobody has used it for `IDLE`, and all of them when the PIN changes.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import secrets
import time
from collections.abc import Callable
from typing import Final

from appliance.panel.lockout import Lockout
from appliance.provisioning import ConfigError

log = logging.getLogger(__name__)

IDLE: Final = 12 * 3600.0
"""Seconds after which a session that nobody used ends."""

MOST: Final = 64
"""Sessions at once; the one that was used least lately gives way."""

LOCKED: Final = "c1d3f2e0a5f34c3b9b1f5a2f7d1e6a09"
"""The id of the message that PINs from an address do not count for a while; it never changes."""

LOOK_EVERY: Final = 1.0
"""Seconds for which the PIN is believed to be what it was."""

PIN_MOST: Final = 1024
"""Characters of a PIN that are looked at."""


class Access:
    """The PIN of one panel, and the sessions that it opened.

    `read_pin` gives the PIN as it is now, or raises ConfigError; then nobody is let in.  It may
    be replaced while the panel runs.  On one event loop.
    """

    def __init__(
        self,
        read_pin: Callable[[], str | None],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.lockout: Final = Lockout(clock)
        self._read_pin = read_pin
        self._clock = clock
        self._pin = b""
        self._looked = -LOOK_EVERY
        self._sessions: dict[bytes, float] = {}
        self._observers: tuple[Callable[[], None], ...] = ()

    def go_by(self, read_pin: Callable[[], str | None]) -> None:
        """Read the PIN elsewhere from now on; another one ends all sessions."""
        self._read_pin = read_pin
        self._look(now=True)

    def subscribe(self, ended: Callable[[], None]) -> Callable[[], None]:
        """Have `ended` called after sessions have ended.  Returns what ends that."""
        self._observers += (ended,)

        def unsubscribe() -> None:
            self._observers = tuple(one for one in self._observers if one is not ended)

        return unsubscribe

    def enter(self, guess: str, address: str) -> str | None:
        """The token of a new session for who knows the PIN, else None.

        Each guess counts, also the right one until it is known to be that; the caller has looked
        at `lockout.wait` before, with nothing awaited in between.
        """
        self.lockout.guess(address)
        pin = self._look(now=True)
        # Of equal length whatever was guessed, so that the time taken says nothing.
        if not (hmac.compare_digest(_digest(guess[:PIN_MOST]), pin) and pin):
            wait = self.lockout.wait(address)
            if wait > 0:
                log.warning(
                    "the panel: wrong PINs from %s; none from there counts for %d s",
                    *(address, round(wait)),
                    extra={"MESSAGE_ID": LOCKED},
                )
            else:
                log.warning("the panel: a wrong PIN from %s", address)
            return None
        self.lockout.right(address)
        token = secrets.token_urlsafe(32)
        while len(self._sessions) >= MOST:
            del self._sessions[min(self._sessions, key=lambda one: self._sessions[one])]
        self._sessions[_digest(token)] = self._clock()
        log.info("the panel: %s came in", address)
        return token

    def admits(self, token: str) -> bool:
        """Whether this is the token of a session; it counts as used."""
        self._look()
        session, now = _digest(token), self._clock()
        used = self._sessions.get(session)
        if used is None:
            return False
        if now - used > IDLE:
            del self._sessions[session]
            return False
        self._sessions[session] = now
        return True

    def leave(self, token: str) -> None:
        """End a session, if it is one."""
        if self._sessions.pop(_digest(token), None) is not None:
            self._tell()

    def _look(self, *, now: bool = False) -> bytes:
        """The digest of the PIN as it is now, empty where there is none to be had."""
        at = self._clock()
        if not now and at - self._looked < LOOK_EVERY:
            return self._pin
        self._looked = at
        try:
            text = self._read_pin()
            pin = b"" if text is None else _digest(text)
        except ConfigError as error:
            if self._pin:
                log.error("the panel lets nobody in: %s", error)
            pin = b""
        if pin != self._pin:
            self._pin = pin
            if self._sessions:
                self._sessions.clear()
                self._tell()
        return pin

    def _tell(self) -> None:
        for ended in self._observers:
            ended()


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode(errors="surrogatepass")).digest()

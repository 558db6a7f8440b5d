"""How often a PIN may be guessed: by address, and all together.

Guesses are counted before they are looked at, so that many at once are no way round; they are
counted by address and not by connection.  A lock grows with each wrong guess up to a limit, and
what nobody adds to is forgotten.  Nobody is kept out for good by what others do: who came in from
an address once is bound by that address's own guesses alone, and who has not guessed for `FORGET`
has one guess that the lock for all does not bind.  After a mistake in that one he waits like all,
for as long as somebody else goes on guessing.

What that costs: the lock for all lets 60 guesses an hour pass, and each address of a guesser adds
one.  With 250 addresses of a LAN that is 310 an hour: all million PINs of six digits take 134 days,
half of them 67.  Each hour no more than `MOST` have theirs, so that with any number of addresses it
is 38 days.  A PIN of eight digits takes a hundred times as long.
"""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

FREE: Final = 5
"""Wrong guesses from one address before it has to wait."""
FIRST: Final = 5.0
"""Seconds of the first wait; each further wrong guess doubles it."""
LONGEST: Final = 900.0
"""Seconds that an address waits at the most."""

FREE_ALL: Final = 20
"""Wrong guesses from everywhere together before all have to wait."""
LONGEST_ALL: Final = 60.0
"""Seconds that all wait at the most."""

FORGET: Final = 3600.0
"""Seconds without a wrong guess after which those before are forgotten."""
KNOWN: Final = 30 * 24 * 3600.0
"""Seconds for which it is remembered that somebody came in from an address."""
MOST: Final = 1024
"""Addresses that are remembered.  While it is as many that have guessed within `FORGET`, all others
wait with the rest: forgotten early, they would have a guess as often as they like."""


@dataclass(slots=True)
class _Guesses:
    """The wrong guesses of one address, or of all."""

    free: int
    longest: float
    count: int = 0
    last: float = 0.0
    until: float = 0.0

    def wait(self, now: float) -> float:
        return max(0.0, self.until - now)

    def forgotten(self, now: float) -> bool:
        return now - self.last > FORGET

    def add(self, now: float) -> None:
        if self.forgotten(now):
            self.count = 0
        self.count += 1
        self.last = now
        if self.count >= self.free:
            # The power is bounded: the wait is at its longest long before.
            doubled = FIRST * 2.0 ** min(self.count - self.free, 20)
            self.until = now + min(doubled, self.longest)

    def take_back(self) -> None:
        self.count = max(0, self.count - 1)
        self.until = 0.0


class Lockout:
    """`clock` gives seconds that only ever grow."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._all = _Guesses(FREE_ALL, LONGEST_ALL)
        self._by_place: dict[str, _Guesses] = {}
        self._known: dict[str, float] = {}

    def wait(self, address: str) -> float:
        """Seconds until a guess from this address may be looked at; 0 for now."""
        now, place = self._clock(), _place(address)
        own = self._by_place.get(place)
        wait = 0.0 if own is None else own.wait(now)
        since = self._known.get(place)
        if since is not None and now - since < KNOWN:
            return wait
        if (own is None or own.forgotten(now)) and self._remembers_one_more(now):
            return wait
        return max(wait, self._all.wait(now))

    def guess(self, address: str) -> None:
        """Count a guess, before it is looked at."""
        now, place = self._clock(), _place(address)
        own = self._by_place.pop(place, None) or _Guesses(FREE, LONGEST)
        own.add(now)
        self._by_place[place] = own
        self._all.add(now)
        while len(self._by_place) > MOST:
            # The one that has been quiet longest.
            del self._by_place[next(iter(self._by_place))]

    def right(self, address: str) -> None:
        """The guess that was counted last was right."""
        place = _place(address)
        self._by_place.pop(place, None)
        self._known.pop(place, None)
        self._known[place] = self._clock()
        while len(self._known) > MOST:
            del self._known[next(iter(self._known))]
        self._all.take_back()

    def _remembers_one_more(self, now: float) -> bool:
        """Whether nobody has to be forgotten early for another address."""
        if len(self._by_place) < MOST:
            return True
        # The one that has been quiet longest.
        return next(iter(self._by_place.values())).forgotten(now)


def _place(address: str) -> str:
    """What one guesser cannot change at will: of IPv6 the network, which is one household's."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            return str(ip.ipv4_mapped)
        return str(ipaddress.ip_network((ip, 64), strict=False))
    return str(ip)

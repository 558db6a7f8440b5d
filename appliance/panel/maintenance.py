"""What the page asks of a device for whoever looks after it: its cards, each live while it is open.

A card is a stream of JSON objects.  What each one holds is listed in docs/panel.md.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Coroutine, Mapping
from typing import Any, Final, Literal, Protocol, get_args

Card = Literal["log", "stats", "devices", "levels", "config"]
"""`log`: the last lines of the device's log, then each new one.  `stats`: how network, media and
machine did over the last two minutes, then each new sample.  `devices`: the cameras, microphones
and loudspeakers to choose from.  `levels`: how loud it is, ten times a second at the most.
`config`: the configuration in force."""

CARDS: Final[tuple[Card, ...]] = get_args(Card)


class Maintenance(Protocol):
    """That of one device.  Called on the panel's event loop."""

    def watch(self, card: Card, /) -> AsyncGenerator[Mapping[str, Any]]:
        """What a card shows now, then each piece of news, until it is closed.

        No secret is in it.  What it costs, it costs only while somebody has it open; who is slow
        to read misses news rather than have it pile up.
        """

    def choose(self, kind: str, backend: str, device: str, /) -> Coroutine[Any, Any, None]:
        """Go by another camera, microphone or speaker, in a call too; `device` is its id.

        Returns once it is in use.  Raises Refused with the reason; the one before is used then.
        """

    def withdraw_choice(self, kind: str, /) -> Coroutine[Any, Any, None]:
        """Go by what the configuration says again.  Raises as `choose`."""

    def withdraw(self, key: str, /) -> Coroutine[Any, Any, None]:
        """Take back what was changed at the device: a dotted key.  Raises as `choose`."""

    def restart(self, sure: bool, /) -> None:
        """Begin the program anew; `sure` says that others in the call shall not hinder it.

        Raises Refused with the reason.
        """

    def bundle(self) -> Coroutine[Any, Any, bytes]:
        """A zip file of all that helps to find a fault; no secret is in it."""

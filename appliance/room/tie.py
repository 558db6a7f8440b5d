"""What an extra leg captures, tied to what the member itself captures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from appliance.media.capture import CameraCapture, MicCapture
from appliance.media.gate import Party

from .gate_link import PEOPLE, GateLink

C = TypeVar("C", MicCapture, CameraCapture)


class Tie(Generic[C]):
    """Holds the gate of one capture together with that of the session's own, and tells whoever
    shows in a light what is open.

    Which device each of them has may change at any time: `follow` is to be called then, on the
    loop, and before anything of another device leaves.  What is only tried loosens nothing.
    """

    def __init__(
        self,
        mine: Callable[[], C | None],
        leader: Callable[[], C | None],
        tell: Callable[[C], Callable[[], None]] | None,
        *,
        apart: bool = False,
    ) -> None:
        """`mine` and `leader` give the present captures.  `tell` is called with the leg's before
        it can open, and what that returns at its end.  With `apart`, neither that nor a person
        in the room means it, unless both have one and the same device."""
        self._mine: Callable[[], C | None] = mine
        self._leader: Callable[[], C | None] = leader
        self._tell: Callable[[C], Callable[[], None]] | None = tell
        self._apart = apart
        self._whole = False
        self._link: GateLink | None = None
        self._untell: Callable[[], None] | None = None

    def follow(self) -> None:
        """See who has which device now."""
        mine, leader = self._mine(), self._leader()
        if mine is None:
            return
        if leader is not None:
            tried = mine.trying or leader.trying
            self._whole = mine.device.id == leader.device.id or (tried and self._whole)
        meant = self._whole or not self._apart
        # The light speaks for whatever the link lets open: it comes first, and goes first.
        if meant and self._untell is None and self._tell is not None:
            self._untell = self._tell(mine)
        elif not meant:
            self._tell_no_more()
        if self._link is not None:
            self._link.whole = self._whole
        elif leader is not None:
            parties = frozenset[Party]() if self._apart else PEOPLE
            self._link = GateLink(leader.gate, mine.gate, whole=self._whole, parties=parties)

    def close(self) -> None:
        """Follow no longer.  To be called once nothing can leave."""
        if self._link is not None:
            self._link.close()
        self._tell_no_more()

    def _tell_no_more(self) -> None:
        untell, self._untell = self._untell, None
        if untell is not None:
            untell()

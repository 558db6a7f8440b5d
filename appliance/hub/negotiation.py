"""From a client's offer to media that work: the answer, the way into the room with it, and the
watch over the connection."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from functools import partial
from typing import Final

from appliance.hub.errors import Refused
from appliance.hub.legs import (
    INCOMPATIBLE,
    OUT_OF_ORDER,
    RECOVERY,
    REJECTED,
    Cause,
    Leg,
    active_leg,
)
from appliance.hub.members import Member
from appliance.hub.sessions import Session
from appliance.hub.tasks import Tasks
from appliance.media.errors import MediaError
from appliance.media.peer import Peer, PeerState
from appliance.signaling.errors import one_line

__all__ = ["ANSWER_TIMEOUT", "Negotiation", "check_time"]

log = logging.getLogger(__name__)

#: Seconds for making an answer; the client gives up after 20.
ANSWER_TIMEOUT: Final = 10.0


def check_time(session: Session) -> None:
    """The token's time to join may have ended since its socket was let in. Raises Refused."""
    until = session.options.join_until
    if until is not None and time.time() >= until.timestamp():
        raise Refused("403", "Unauthorized: the token's time to join is over; get a new one")


class Negotiation:
    """The media connections of all legs.

    `peer` makes a new connection. `hang_up` ends a leg: one whose offer cannot be used, or that
    has no working media for `media_timeout` seconds. `remove` ends all legs of a member: one
    whose time in the room is over.
    """

    def __init__(
        self,
        *,
        peer: Callable[[], Peer],
        media_timeout: float,
        tasks: Tasks,
        hang_up: Callable[[Leg, Cause], None],
        remove: Callable[[Member], None],
    ) -> None:
        self._peer = peer
        self._media_timeout = media_timeout
        self._tasks = tasks
        self._hang_up = hang_up
        self._remove = remove

    def offer(self, leg: Leg, sdp: str) -> None:
        """Answer an offer soon, instead of an earlier one that is not answered yet."""
        if leg.task is not None:
            leg.task.cancel()
        leg.task = self._tasks.start(self._answer(leg, sdp), f"answer to call {leg.call_id[:40]!r}")

    def close(self, peer: Peer) -> None:
        """Close a connection soon; its leg hears no more of it."""
        peer.on_state = None
        self._tasks.start(peer.close(), "end of a media connection")

    async def _answer(self, leg: Leg, sdp: str) -> None:
        """Make the leg's media and let its member in."""
        directions = audio, video = leg.directions
        async with leg.session.answering:
            peer = self._peer()
            try:
                async with asyncio.timeout(ANSWER_TIMEOUT):
                    answer = await peer.answer(sdp, audio=audio, video=video)
                leg.offered(sdp, directions)
                self._answered(leg, peer, answer)
            except (MediaError, TimeoutError) as error:
                why = str(error) or f"not ready within {ANSWER_TIMEOUT:g} s"
                log.info("call %r has no media: %s", leg.call_id[:40], why)
                self._give_up(leg, peer, INCOMPATIBLE)
            except Refused as refusal:
                # The room was locked or filled while the answer was made.
                log.info("call %r is refused: %s", leg.call_id[:40], refusal)
                self._give_up(leg, peer, REJECTED)
            except asyncio.CancelledError:
                self.close(peer)
                raise
            except Exception:
                # An offer that trips the media library must not take more than its own call.
                log.exception("call %r has no media", leg.call_id[:40])
                self._give_up(leg, peer, OUT_OF_ORDER)

    def _give_up(self, leg: Leg, peer: Peer, cause: Cause) -> None:
        leg.task = None
        if leg.peer is not peer:
            self.close(peer)
        self._hang_up(leg, cause)

    def _answered(self, leg: Leg, peer: Peer, answer: str) -> None:
        session = leg.session
        known = leg.member or (session.member if leg.kind == "main" else None)
        if known is None and leg.kind == "main":
            check_time(session)
            leg.room.admit(session)
        old, leg.peer, leg.task = leg.peer, peer, None
        if old is not None:
            self.close(old)
        self._watch(leg, peer)
        session.send_verto("verto.answer", {"callID": leg.call_id, "sdp": answer})
        if known is None:
            self._let_in(leg, peer)
        else:
            _renew(leg, peer, known, old)
        leg.show()

    def _let_in(self, leg: Leg, peer: Peer) -> None:
        """Let a new member in with this leg."""
        session, room = leg.session, leg.room
        leg.chosen = leg.welcomed = True
        member = leg.member = leg.new_member()
        if leg.kind == "main":
            session.room, session.member = room, member
        member.requested_position = leg.positions.pop("self", "auto")
        room.join(member, leg.call_id, peer)
        log.info("room %s: %s (%s) has joined", room.name, one_line(member.name), member.type)
        # Who was to get a place may have left by now.
        wishes = {one: place for one, place in leg.positions.items() if one in room.members}
        if leg.layout is not None:
            room.set_layout(leg.layout, wishes)
        elif wishes:
            room.place(wishes)
        if leg.kind == "main":
            room.stays.begin(member.id, session.options, partial(self._remove, member))

    # The state of the media

    def _watch(self, leg: Leg, peer: Peer) -> None:
        self._expect_media(leg)
        peer.on_state = partial(self._state_changed, leg, peer)
        self._state_changed(leg, peer, peer.state)

    def _state_changed(self, leg: Leg, peer: Peer, state: PeerState) -> None:
        if leg.peer is not peer or not leg.is_alive:
            return
        if state is PeerState.CONNECTED:
            if leg.timer is not None:
                leg.timer.cancel()
                leg.timer = None
        elif state in (PeerState.FAILED, PeerState.CLOSED):
            # The client may come back with an invite for the same call.
            self._expect_media(leg)
        if leg.member is not None and (active := active_leg(leg.member)) is not None:
            active.choose()
            active.welcome()
        leg.show()

    def _expect_media(self, leg: Leg) -> None:
        if leg.timer is not None:
            leg.timer.cancel()
        loop = asyncio.get_running_loop()
        leg.timer = loop.call_later(self._media_timeout, self._hang_up, leg, RECOVERY)


def _renew(leg: Leg, peer: Peer, member: Member, old: Peer | None) -> None:
    """Give a member that is here another leg, or a leg of it another connection than `old`."""
    leg.member, leg.chosen, leg.welcomed = member, False, leg.kind != "main"
    active = active_leg(member)
    if active is not None and active is not leg:
        # It hears and sees from its first packet on, and is heard when it is there.
        leg.room.stage.listen(member, peer)
    else:
        leg.choose()
        leg.welcome()
    if old is not None:
        leg.room.stage.drop(member.id, old)

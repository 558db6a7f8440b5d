"""Calls: what clients ask of their legs, from the invite to the bye, and how legs end.

A member lives as long as it has a leg. A known call id that is invited again keeps its
member and gets new media.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from appliance.hub.admission import full
from appliance.hub.errors import Refused
from appliance.hub.legs import NORMAL, RECOVERY, Cause, Leg, LegKind, active_leg, kind_of
from appliance.hub.members import Member
from appliance.hub.negotiation import Negotiation, check_time
from appliance.hub.roles import Role
from appliance.hub.room import Room
from appliance.hub.room_wire import ids, snapshot
from appliance.hub.rooms import Rooms
from appliance.hub.sessions import Session, Sessions
from appliance.hub.tasks import Tasks
from appliance.media.peer import Peer
from appliance.signaling.errors import one_line
from appliance.signaling.server import (
    INVALID_PARAMS,
    METHOD_NOT_FOUND,
    ServerProtocol,
    VertoCall,
)

log = logging.getLogger(__name__)

#: Legs of one client at a time.
MAX_LEGS: Final = 8

#: Characters of an offer; a browser's has about 10,000.
MAX_SDP: Final = 100_000

#: The code that the wire uses for everything that is wrong with a call.
CALL_ERROR: Final = -32002


class Calls:
    """All legs of the hub.

    `peer` makes a new connection. A leg that has no working media for `media_timeout` seconds
    is hung up.
    """

    def __init__(
        self,
        rooms: Rooms,
        *,
        peer: Callable[[], Peer],
        media_timeout: float,
        tasks: Tasks,
    ) -> None:
        self._rooms = rooms
        self._tasks = tasks
        self._media_timeout = media_timeout
        self._negotiation = Negotiation(
            peer=peer,
            media_timeout=media_timeout,
            tasks=tasks,
            hang_up=self.hang_up,
            remove=partial(self.remove, why="its time is over"),
        )
        self.sessions: Sessions | None = None

    # Verto requests

    def handle(self, session: Session, protocol: ServerProtocol, call: VertoCall) -> None:
        """Do what a client's Verto request asks for, and answer it."""
        handler = {
            "verto.invite": self._invite,
            "verto.bye": self._bye,
            "verto.modify": self._modify,
            "verto.info": self._info,
            "verto.pong": self._pong,
        }.get(call.method)
        if handler is None:
            protocol.verto_error(call, METHOD_NOT_FOUND, f"there is no {call.method[:80]}")
        else:
            handler(session, protocol, call)

    def _invite(self, session: Session, protocol: ServerProtocol, call: VertoCall) -> None:
        sdp = call.params.get("sdp")
        if not isinstance(sdp, str) or not 0 < len(sdp) <= MAX_SDP:
            protocol.verto_error(call, INVALID_PARAMS, "the invite needs an SDP offer")
            return
        leg = session.legs.get(call.call_id)
        if leg is None:
            try:
                leg = self._new_leg(session, call)
            except Refused as refusal:
                protocol.reply(call.id, {"code": refusal.code, "message": refusal.message})
                return
        protocol.verto_reply(
            call,
            {"message": "CALL CREATED", "callID": leg.call_id, "memberID": leg.member_id},
        )
        self._negotiation.offer(leg, sdp)

    def _bye(self, session: Session, protocol: ServerProtocol, call: VertoCall) -> None:
        leg = session.legs.get(call.call_id)
        if leg is None:
            protocol.verto_error(call, CALL_ERROR, "CALL DOES NOT EXIST")
            return
        cause, code = NORMAL
        ended = {"message": "CALL ENDED", "callID": leg.call_id, "cause": cause, "causeCode": code}
        protocol.verto_reply(call, ended)
        self.drop(leg, "it has hung up")

    def _modify(self, session: Session, protocol: ServerProtocol, call: VertoCall) -> None:
        leg = session.legs.get(call.call_id)
        if leg is None or leg.member is None:
            protocol.verto_error(call, CALL_ERROR, "CALL DOES NOT EXIST")
            return
        action = call.params.get("action")
        if action not in ("hold", "unhold"):
            # A new invite with the same call id does it instead, with new media.
            message = "media cannot be changed in a call; invite again with the same callID"
            protocol.verto_error(call, CALL_ERROR, message)
            return
        held = action == "hold"
        leg.room.update(leg.member, on_hold=held)
        state = "held" if held else "active"
        protocol.verto_reply(call, {"action": action, "callID": leg.call_id, "holdState": state})

    def _info(self, session: Session, protocol: ServerProtocol, call: VertoCall) -> None:
        if call.call_id in session.legs:
            # Dialled digits have nobody to go to in a video room.
            protocol.verto_reply(call, {"message": "SENT"})
        else:
            protocol.verto_error(call, CALL_ERROR, "CALL DOES NOT EXIST")

    def _pong(self, session: Session, protocol: ServerProtocol, call: VertoCall) -> None:
        protocol.verto_reply(call, {})

    # Endings

    def drop(self, leg: Leg, why: str) -> None:
        """End a leg without a word to its client; its member goes with its last leg.

        `why` is for the log, a line here as below.
        """
        session, room, member = leg.session, leg.room, leg.member
        if not leg.is_alive:
            return
        leg.end()
        if member is not None:
            other = active_leg(member)
            if other is None:
                self._member_left(leg, member, why)
            else:
                other.choose()
                other.welcome()
                if leg.peer is not None:
                    room.stage.drop(member.id, leg.peer)
        if leg.peer is not None:
            self._negotiation.close(leg.peer)
        if leg.kind == "main" and not any(one.kind == "main" for one in session.legs.values()):
            for child in list(session.legs.values()):
                self.hang_up(child, why="its owner has left")
        if room.is_idle:
            self._tasks.start(self._rooms.release(room), f"end of room {room.name}")
        if self.sessions is not None:
            self.sessions.settle(session)

    def hang_up(self, leg: Leg, cause: Cause = NORMAL, why: str | None = None) -> None:
        """End a leg and tell its client."""
        if not leg.is_alive:
            return
        text, code = cause
        leg.session.send_verto(
            "verto.bye", {"callID": leg.call_id, "cause": text, "causeCode": code}
        )
        lost = f"no media came for {self._media_timeout:g} s"
        self.drop(leg, why or (lost if cause == RECOVERY else f"its call has ended: {text}"))

    def remove(self, member: Member, why: str) -> None:
        """Hang up all legs of a member."""
        for leg in [one for one in member.session.legs.values() if one.member is member]:
            self.hang_up(leg, why=why)

    def end_room(self, room: Room, why: str) -> None:
        """Hang up on everybody in a room, also on who is just coming in."""
        session, about = snapshot(room)
        room.emit("video.room.ended", {**ids(room), "room": about, "room_session": session})
        for leg in list(room.legs):
            self.hang_up(leg, why=why)

    def end_session(self, session: Session) -> None:
        """Drop all legs of a client that is gone for good."""
        stops = self.sessions is not None and self.sessions.closed
        for leg in list(session.legs.values()):
            self.drop(leg, "the hub stops" if stops else "its connection did not come back")

    # From the audience to the members and back

    def promote(self, member: Member, role: Role) -> None:
        """Make one of the audience a member, who comes in with a new leg. Raises Refused when
        there is no place."""
        room, session = member.session.room, member.session
        if room is None:
            return
        # One who is on the way already has its place.
        if session.options.join_as != "member" and room.taken >= room.stays.rules.max_members:
            raise full(room.stays.rules.max_members)
        session.role = role
        self._tell_role(member, "video.member.promoted")

    def demote(self, member: Member, role: Role) -> None:
        """Make a member one of the audience. It is neither heard nor seen any more at once, and
        hears and sees the room by the leg that it has until its new one is there."""
        room, session = member.session.room, member.session
        if room is None:
            return
        session.role = role
        for leg in list(session.legs.values()):
            if leg.kind != "main":
                self.hang_up(leg, why="its owner is one of the audience")
        if member.type != "audience":
            for leg in session.legs.values():
                leg.chosen = False
            room.demoted(member)
            if (active := active_leg(member)) is not None:
                active.choose()
        self._tell_role(member, "video.member.demoted")

    def _tell_role(self, member: Member, event_type: str) -> None:
        session, room = member.session, member.session.room
        assert room is not None
        params = {
            **ids(room),
            "member_id": member.id,
            "authorization": session.authorization(),
        }
        # It goes to one client only, but belongs to what happened in the room.
        room.observer.emitted(room, event_type, {**params, "member": {"id": member.id}})
        log.info("room %s: %s is to be %s", room.name, session.who, session.options.join_as)
        session.send(event_type, params, room.event_channel)

    # The way in

    def admit(self, session: Session) -> None:
        """Whether a client that is in no room would get into its own now. Raises Refused."""
        if session.member is None:
            check_time(session)
            self._rooms.admit(session)

    def _new_leg(self, session: Session, call: VertoCall) -> Leg:
        """A leg for a call id that is new. Raises Refused."""
        if len(session.legs) >= MAX_LEGS:
            raise Refused("403", f"A client has at most {MAX_LEGS} calls at a time; end one")
        dialog = call.params.get("dialogParams")
        dialog = dialog if isinstance(dialog, dict) else {}
        kind = kind_of(dialog)
        if kind == "main":
            member_id = session.member.id if session.member else str(uuid.uuid4())
            room = session.room or self._rooms.open(session.options)
            if session.member is None:
                try:
                    check_time(session)
                    room.admit(session)
                except Refused:
                    self._tasks.start(self._rooms.release(room), f"end of room {room.name}")
                    raise
        else:
            room, member_id = self._parent(session, kind, dialog), str(uuid.uuid4())
        return Leg.invited(call.call_id, kind, session, room, member_id, call.params)

    def _parent(self, session: Session, kind: LegKind, dialog: dict[str, Any]) -> Room:
        """The room of the member that an extra leg belongs to."""
        scope = "room.self.screenshare" if kind == "screen" else "room.self.additional_source"
        if scope not in session.scopes:
            raise Refused("403", f"Unauthorized: the token does not hold {scope}")
        if session.options.join_as != "member":
            raise Refused("403", "Unauthorized: the audience sends nothing")
        variables = dialog.get("userVariables")
        parent_id = variables.get("memberId") if isinstance(variables, dict) else None
        if session.room is None or session.member is None or parent_id != session.member.id:
            raise Refused("404", "The member that this call belongs to is not in the room")
        return session.room

    def _member_left(self, leg: Leg, member: Member, why: str) -> None:
        session, who = leg.session, one_line(member.name)
        log.info("room %s: %s (%s) has left: %s", leg.room.name, who, member.type, why)
        leg.room.leave(member)
        if session.member is not member:
            return
        session.member = session.room = session.role = None
        if session.options.end_room_session_on_leave:
            self.end_room(leg.room, f"the room has ended with {who}")

"""Calls: from a client's invite to a member with media in a room, and to the bye.

A leg is one WebRTC connection of a client: its main one, a shared screen, or an extra device.
A member lives as long as it has a leg. A known call id that is invited again keeps its
member and gets new media.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Literal

from appliance.hub.errors import Refused
from appliance.hub.members import Member, MemberType
from appliance.hub.roles import Allowed, Role
from appliance.hub.rooms import Room, Rooms
from appliance.hub.sessions import Session, Sessions
from appliance.hub.tasks import Tasks
from appliance.media.errors import MediaError
from appliance.media.peer import Direction, Peer, PeerState
from appliance.signaling.layouts import LAYOUTS, is_position
from appliance.signaling.server import (
    INVALID_PARAMS,
    METHOD_NOT_FOUND,
    ServerProtocol,
    VertoCall,
)

log = logging.getLogger(__name__)

LegKind = Literal["main", "screen", "device"]

#: Legs of one client at a time.
MAX_LEGS: Final = 8

#: Characters of an offer; a browser's has about 10,000.
MAX_SDP: Final = 100_000

#: Seconds for making an answer; the client gives up after 20.
ANSWER_TIMEOUT: Final = 10.0

#: The code that the wire uses for everything that is wrong with a call.
CALL_ERROR: Final = -32002

# Hang-up causes (Q.850, as FreeSWITCH names them).
NORMAL: Final = ("NORMAL_CLEARING", "16")
OUT_OF_ORDER: Final = ("DESTINATION_OUT_OF_ORDER", "27")
REJECTED: Final = ("CALL_REJECTED", "21")
INCOMPATIBLE: Final = ("INCOMPATIBLE_DESTINATION", "88")
RECOVERY: Final = ("RECOVERY_ON_TIMER_EXPIRE", "102")

Cause = tuple[str, str]


@dataclass(eq=False, slots=True)
class Leg:
    """One WebRTC connection of a client, and the member that it belongs to."""

    call_id: str
    kind: LegKind
    session: Session
    room: Room
    member_id: str
    member: Member | None = None
    peer: Peer | None = None
    task: asyncio.Task[None] | None = None
    timer: asyncio.TimerHandle | None = None
    #: What its client sends, as far as it may.
    brings_audio: bool = False
    brings_video: bool = False
    #: The layout, and positions by member id, that a screen comes with; ``self`` is its own.
    layout: str | None = None
    positions: dict[str, str] = field(default_factory=dict)
    #: Whether the member's own media are taken from it.
    chosen: bool = False
    #: Whether its client was told that it is in the room.
    welcomed: bool = False


class Calls:
    """All legs of the hub.

    `peer` makes a new connection. A leg that has no working media for `media_timeout` seconds
    is hung up. `on_idle` is called with a room that nobody is left in.
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
        self._peer = peer
        self._media_timeout = media_timeout
        self._tasks = tasks
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
        if leg.task is not None:
            leg.task.cancel()
        leg.task = self._tasks.start(self._answer(leg, sdp), f"answer to call {leg.call_id[:40]!r}")

    def _bye(self, session: Session, protocol: ServerProtocol, call: VertoCall) -> None:
        leg = session.legs.get(call.call_id)
        if leg is None:
            protocol.verto_error(call, CALL_ERROR, "CALL DOES NOT EXIST")
            return
        cause, code = NORMAL
        ended = {"message": "CALL ENDED", "callID": leg.call_id, "cause": cause, "causeCode": code}
        protocol.verto_reply(call, ended)
        self.drop(leg)

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

    def drop(self, leg: Leg) -> None:
        """End a leg without a word to its client; its member goes with its last leg."""
        session, room, member = leg.session, leg.room, leg.member
        if session.legs.get(leg.call_id) is not leg:
            return
        del session.legs[leg.call_id]
        room.legs.discard(leg)
        for pending in (leg.task, leg.timer):
            if pending is not None:
                pending.cancel()
        if member is not None:
            other = _active(session, member)
            if other is None:
                self._member_left(leg, member)
            else:
                self._choose(other)
                self._welcome(other)
                if leg.peer is not None:
                    room.stage.drop(member.id, leg.peer)
        if leg.peer is not None:
            self._close(leg.peer)
        if leg.kind == "main" and not any(one.kind == "main" for one in session.legs.values()):
            for child in list(session.legs.values()):
                self.hang_up(child)
        if room.is_idle:
            self._tasks.start(self._rooms.release(room), f"end of room {room.name}")
        if self.sessions is not None:
            self.sessions.settle(session)

    def hang_up(self, leg: Leg, cause: Cause = NORMAL) -> None:
        """End a leg and tell its client."""
        if leg.session.legs.get(leg.call_id) is not leg:
            return
        text, code = cause
        leg.session.send_verto(
            "verto.bye", {"callID": leg.call_id, "cause": text, "causeCode": code}
        )
        self.drop(leg)

    def remove(self, member: Member) -> None:
        """Hang up all legs of a member."""
        for leg in [one for one in member.session.legs.values() if one.member is member]:
            self.hang_up(leg)

    def promote(self, member: Member, role: Role) -> None:
        """Make one of the audience a member, who comes in with a new leg. Raises Refused when
        there is no place."""
        room, session = member.session.room, member.session
        if room is None:
            return
        # One who is on the way already has its place.
        if session.options.join_as != "member" and room.taken >= room.stays.rules.max_members:
            limit = room.stays.rules.max_members
            raise Refused("403", f"The room is full: it takes {limit} members")
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
                self.hang_up(leg)
        if member.type != "audience":
            for leg in session.legs.values():
                leg.chosen = False
            room.demoted(member)
            if (active := _active(session, member)) is not None:
                self._choose(active)
        self._tell_role(member, "video.member.demoted")

    def _tell_role(self, member: Member, event_type: str) -> None:
        session, room = member.session, member.session.room
        assert room is not None
        params = {
            "room_id": room.id,
            "room_session_id": room.session_id,
            "member_id": member.id,
            "authorization": session.authorization(),
        }
        # It goes to one client only, but belongs to what happened in the room.
        room.observer.emitted(room, event_type, {**params, "member": {"id": member.id}})
        session.send(event_type, params, room.event_channel)

    def end_room(self, room: Room) -> None:
        """Hang up on everybody in a room, also on who is just coming in."""
        session, about = room.snapshot()
        ids = {"room_id": room.id, "room_session_id": room.session_id}
        room.emit("video.room.ended", {**ids, "room": about, "room_session": session})
        for leg in list(room.legs):
            self.hang_up(leg)

    def end_session(self, session: Session) -> None:
        """Drop all legs of a client that is gone for good."""
        for leg in list(session.legs.values()):
            self.drop(leg)

    # The way in

    def _new_leg(self, session: Session, call: VertoCall) -> Leg:
        """A leg for a call id that is new. Raises Refused."""
        if len(session.legs) >= MAX_LEGS:
            raise Refused("403", f"A client has at most {MAX_LEGS} calls at a time")
        dialog = call.params.get("dialogParams")
        dialog = dialog if isinstance(dialog, dict) else {}
        kind: LegKind = "main"
        if dialog.get("screenShare") is True:
            kind = "screen"
        elif dialog.get("additionalDevice") is True:
            kind = "device"
        if kind == "main":
            member_id = session.member.id if session.member else str(uuid.uuid4())
            room = session.room or self._rooms.open(session.options)
            if session.member is None:
                try:
                    _check_time(session)
                    room.admit(session)
                except Refused:
                    self._tasks.start(self._rooms.release(room), f"end of room {room.name}")
                    raise
        else:
            room, member_id = self._parent(session, kind, dialog), str(uuid.uuid4())
        leg = Leg(call.call_id, kind, session, room, member_id)
        if kind == "screen":
            leg.layout, leg.positions = _arrangement(call.params)
        session.legs[leg.call_id] = leg
        room.legs.add(leg)
        return leg

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

    async def _answer(self, leg: Leg, sdp: str) -> None:
        """Make the leg's media and let its member in."""
        audio, video = _directions(leg)
        async with leg.session.answering:
            peer = self._peer()
            try:
                async with asyncio.timeout(ANSWER_TIMEOUT):
                    answer = await peer.answer(sdp, audio=audio, video=video)
                leg.brings_audio = _brings(sdp, "audio") and audio in ("sendrecv", "recvonly")
                leg.brings_video = _brings(sdp, "video") and video in ("sendrecv", "recvonly")
                self._answered(leg, peer, answer)
            except (MediaError, TimeoutError) as error:
                log.info("call %r has no media: %s", leg.call_id[:40], error)
                self._give_up(leg, peer, INCOMPATIBLE)
            except Refused as refusal:
                # The room was locked or filled while the answer was made.
                log.info("call %r is refused: %s", leg.call_id[:40], refusal)
                self._give_up(leg, peer, REJECTED)
            except asyncio.CancelledError:
                self._close(peer)
                raise
            except Exception:
                # An offer that trips the media library must not take more than its own call.
                log.exception("call %r has no media", leg.call_id[:40])
                self._give_up(leg, peer, OUT_OF_ORDER)

    def _give_up(self, leg: Leg, peer: Peer, cause: Cause) -> None:
        leg.task = None
        if leg.peer is not peer:
            self._close(peer)
        self.hang_up(leg, cause)

    def _answered(self, leg: Leg, peer: Peer, answer: str) -> None:
        session, room = leg.session, leg.room
        known = leg.member or (session.member if leg.kind == "main" else None)
        if known is None and leg.kind == "main":
            _check_time(session)
            room.admit(session)
        old, leg.peer, leg.task = leg.peer, peer, None
        if old is not None:
            self._close(old)
        self._watch(leg, peer)
        session.send_verto("verto.answer", {"callID": leg.call_id, "sdp": answer})
        if known is not None:
            leg.member, leg.chosen, leg.welcomed = known, False, leg.kind != "main"
            active = _active(session, known)
            if active is not None and active is not leg:
                # It hears and sees from its first packet on, and is heard when it is there.
                room.stage.listen(known, peer)
            else:
                self._choose(leg)
                self._welcome(leg)
            if old is not None:
                room.stage.drop(known.id, old)
            self._show(leg)
            return
        leg.chosen = leg.welcomed = True
        member = leg.member = self._new_member(leg)
        if leg.kind == "main":
            session.room, session.member = room, member
        member.requested_position = leg.positions.pop("self", "auto")
        room.join(member, leg.call_id, peer)
        # Who was to get a place may have left by now.
        wishes = {one: place for one, place in leg.positions.items() if one in room.members}
        if leg.layout is not None:
            room.set_layout(leg.layout, wishes)
        elif wishes:
            room.place(wishes)
        if leg.kind == "main":
            room.stays.begin(member.id, session.options, partial(self.remove, member))
        self._show(leg)

    def _new_member(self, leg: Leg) -> Member:
        options = leg.session.options
        kind: MemberType = options.join_as if leg.kind == "main" else leg.kind
        parent = leg.session.member if leg.kind != "main" else None
        member = Member(
            id=leg.member_id,
            name=options.user_name or _default_name(leg),
            type=kind,
            session=leg.session,
            parent_id=parent.id if parent is not None else None,
            on_canvas=leg.kind != "device" or leg.brings_video,
        )
        _bring(leg, member)
        if leg.kind == "main":
            member.meta = dict(options.meta)
            member.audio_muted = options.join_audio_muted
            member.video_muted = options.join_video_muted
        return member

    def _member_left(self, leg: Leg, member: Member) -> None:
        session = leg.session
        leg.room.leave(member)
        if session.member is not member:
            return
        session.member = session.room = session.role = None
        if session.options.end_room_session_on_leave:
            self.end_room(leg.room)

    # The state of the media

    def _watch(self, leg: Leg, peer: Peer) -> None:
        self._expect_media(leg)
        peer.on_state = partial(self._state_changed, leg, peer)
        self._state_changed(leg, peer, peer.state)

    def _state_changed(self, leg: Leg, peer: Peer, state: PeerState) -> None:
        if leg.peer is not peer or leg.session.legs.get(leg.call_id) is not leg:
            return
        if state is PeerState.CONNECTED:
            if leg.timer is not None:
                leg.timer.cancel()
                leg.timer = None
        elif state in (PeerState.FAILED, PeerState.CLOSED):
            # The client may come back with an invite for the same call.
            self._expect_media(leg)
        if leg.member is not None and (active := _active(leg.session, leg.member)) is not None:
            self._choose(active)
            self._welcome(active)
        self._show(leg)

    def _expect_media(self, leg: Leg) -> None:
        if leg.timer is not None:
            leg.timer.cancel()
        loop = asyncio.get_running_loop()
        leg.timer = loop.call_later(self._media_timeout, self.hang_up, leg, RECOVERY)

    def _choose(self, leg: Leg) -> None:
        """Take the member's own media from this leg."""
        member = leg.member
        if member is None or leg.peer is None or leg.chosen:
            return
        for other in leg.session.legs.values():
            if other.member is member:
                other.chosen = other is leg
        _bring(leg, member)
        leg.room.stage.add(member, leg.peer)
        self._show(leg)

    def _welcome(self, leg: Leg) -> None:
        """Tell a client that its new leg is in the room: it lets go of the old one then."""
        member, session = leg.member, leg.session
        if member is None or leg.welcomed:
            return
        leg.welcomed = True
        if member.type == "audience" and session.options.join_as == "member":
            options = session.options
            member.audio_muted = options.join_audio_muted
            member.video_muted = options.join_video_muted
            if session.role is not None and session.role.gives_meta:
                member.meta = dict(options.meta)
            leg.room.promoted(member, leg.call_id)
        else:
            leg.room.subscribed(member, leg.call_id)
            leg.room.send_layout(session)

    def _show(self, leg: Leg) -> None:
        """A member can be seen while its active leg brings pictures that nobody muted."""
        member = leg.member
        if member is None or leg.peer is None or _active(leg.session, member) is not leg:
            return
        member.has_video = leg.brings_video and leg.peer.state is PeerState.CONNECTED
        leg.room.stage.update(member)
        leg.room.update(member, visible=member.has_video and not member.video_muted)

    def _close(self, peer: Peer) -> None:
        peer.on_state = None
        self._tasks.start(peer.close(), "end of a media connection")


def _check_time(session: Session) -> None:
    """The token's time to join may have ended since its socket was let in.  Raises Refused."""
    until = session.options.join_until
    if until is not None and time.time() >= until.timestamp():
        raise Refused("403", "The token's time to join is over; get a new one")


def _active(session: Session, member: Member) -> Leg | None:
    """The leg that a member's media come from: of those that were answered the newest whose
    connection is up, else the newest."""
    legs = [leg for leg in session.legs.values() if leg.member is member]
    up = [leg for leg in legs if leg.peer is not None and leg.peer.state is PeerState.CONNECTED]
    if up:
        return up[-1]
    return legs[-1] if legs else None


def _bring(leg: Leg, member: Member) -> None:
    """What a member brings with this leg, as far as it may now, whenever the leg was answered."""
    audio, video = leg.session.media if leg.kind == "main" else ("both", "both")
    member.brings_audio = leg.brings_audio and audio == "both"
    member.brings_video = leg.brings_video and video == "both"


def _directions(leg: Leg) -> tuple[Direction, Direction]:
    """What the hub does with sound and with pictures of a leg, as far as its offer goes."""
    if leg.kind != "main":
        return "recvonly", "recvonly"
    words: dict[Allowed, Direction] = {
        "both": "sendrecv",
        "receive": "sendonly",
        "none": "inactive",
    }
    audio, video = leg.session.media
    return words[audio], words[video]


def _brings(sdp: str, kind: str) -> bool:
    """Whether an offer says that it will send this kind."""
    for section in sdp.replace("\r\n", "\n").split("\nm=")[1:]:
        if section.startswith(f"{kind} "):
            return "\na=recvonly" not in section and "\na=inactive" not in section
    return False


def _arrangement(params: Mapping[str, Any]) -> tuple[str | None, dict[str, str]]:
    """The layout and the positions that a shared screen asks for. Raises Refused."""
    layout, positions = params.get("layout"), params.get("positions") or {}
    if layout is not None and (not isinstance(layout, str) or layout not in LAYOUTS):
        raise Refused("404", f"There is no such layout; there are {', '.join(LAYOUTS)}")
    if not isinstance(positions, dict) or not all(
        isinstance(place, str) and is_position(place) for place in positions.values()
    ):
        raise Refused("422", "a position is auto, off-canvas, reserved-N or standard-N")
    return layout, dict(positions)


def _default_name(leg: Leg) -> str:
    return f"Guest {leg.member_id[:4]}"

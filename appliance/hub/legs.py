"""The legs of a client, and which of them its member is seen and heard by.

A leg is one WebRTC connection of a client: its main one, a shared screen, or an extra device.
A member may have several for a while, as when it comes with a new call before it ends the old one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Self

from appliance.hub.errors import Refused
from appliance.hub.members import Member, MemberType
from appliance.hub.roles import Allowed
from appliance.hub.room import Room
from appliance.hub.sessions import Session
from appliance.media.peer import Direction, Peer, PeerState
from appliance.signaling.layouts import LAYOUTS, is_position

__all__ = [
    "INCOMPATIBLE",
    "NORMAL",
    "OUT_OF_ORDER",
    "RECOVERY",
    "REJECTED",
    "Cause",
    "Leg",
    "LegKind",
    "active_leg",
    "kind_of",
]

LegKind = Literal["main", "screen", "device"]

# Hang-up causes (Q.850, as FreeSWITCH names them).
NORMAL: Final = ("NORMAL_CLEARING", "16")
OUT_OF_ORDER: Final = ("DESTINATION_OUT_OF_ORDER", "27")
REJECTED: Final = ("CALL_REJECTED", "21")
INCOMPATIBLE: Final = ("INCOMPATIBLE_DESTINATION", "88")
RECOVERY: Final = ("RECOVERY_ON_TIMER_EXPIRE", "102")

Cause = tuple[str, str]

_DIRECTIONS: Final[Mapping[Allowed, Direction]] = {
    "both": "sendrecv",
    "receive": "sendonly",
    "none": "inactive",
}


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

    @classmethod
    def invited(
        cls,
        call_id: str,
        kind: LegKind,
        session: Session,
        room: Room,
        member_id: str,
        params: Mapping[str, Any],
    ) -> Self:
        """A leg that an invite with these parameters begins, among those of its client and of
        the room from now on. Raises Refused for a layout or positions that cannot be."""
        leg = cls(call_id, kind, session, room, member_id)
        if kind == "screen":
            leg.layout, leg.positions = _arrangement(params)
        session.legs[call_id] = leg
        room.legs.add(leg)
        return leg

    @property
    def is_alive(self) -> bool:
        """Whether it has not ended yet."""
        return self.session.legs.get(self.call_id) is self

    @property
    def directions(self) -> tuple[Direction, Direction]:
        """What the hub does with sound and with pictures, as far as the offer goes."""
        if self.kind != "main":
            return "recvonly", "recvonly"
        audio, video = self.session.media
        return _DIRECTIONS[audio], _DIRECTIONS[video]

    def end(self) -> None:
        """Take it from among those of its client and of the room, and cancel what it waits for."""
        del self.session.legs[self.call_id]
        self.room.legs.discard(self)
        for pending in (self.task, self.timer):
            if pending is not None:
                pending.cancel()

    def offered(self, sdp: str, directions: tuple[Direction, Direction]) -> None:
        """Note what an offer brings that was answered with these directions."""
        audio, video = directions
        self.brings_audio = _brings(sdp, "audio") and audio in ("sendrecv", "recvonly")
        self.brings_video = _brings(sdp, "video") and video in ("sendrecv", "recvonly")

    def new_member(self) -> Member:
        """The member that comes in with this leg."""
        options, owner = self.session.options, self.session.member
        is_main = self.kind == "main"
        kind: MemberType = options.join_as if self.kind == "main" else self.kind
        member = Member(
            id=self.member_id,
            name=options.user_name or f"Guest {self.member_id[:4]}",
            type=kind,
            session=self.session,
            parent_id=owner.id if owner is not None and not is_main else None,
            on_canvas=self.kind != "device" or self.brings_video,
        )
        self._bring(member)
        if is_main:
            member.meta = dict(options.meta)
            member.audio_muted = options.join_audio_muted
            member.video_muted = options.join_video_muted
        return member

    def choose(self) -> None:
        """Take the member's own media from this leg."""
        member = self.member
        if member is None or self.peer is None or self.chosen:
            return
        for other in self.session.legs.values():
            if other.member is member:
                other.chosen = other is self
        self._bring(member)
        self.room.stage.add(member, self.peer)
        self.show()

    def welcome(self) -> None:
        """Tell a client that its new leg is in the room: it lets go of the old one then."""
        member, session = self.member, self.session
        if member is None or self.welcomed:
            return
        self.welcomed = True
        if member.type == "audience" and session.options.join_as == "member":
            options = session.options
            member.audio_muted = options.join_audio_muted
            member.video_muted = options.join_video_muted
            if session.role is not None and session.role.gives_meta:
                member.meta = dict(options.meta)
            self.room.promoted(member, self.call_id)
        else:
            self.room.subscribed(member, self.call_id)
            self.room.send_layout(session)

    def show(self) -> None:
        """A member can be seen while its active leg brings pictures that nobody muted."""
        member = self.member
        if member is None or self.peer is None or active_leg(member) is not self:
            return
        member.has_video = self.brings_video and self.peer.state is PeerState.CONNECTED
        self.room.stage.update(member)
        self.room.update(member, visible=member.has_video and not member.video_muted)

    def _bring(self, member: Member) -> None:
        """What a member brings with this leg, as far as it may now, whenever that was answered."""
        audio, video = self.session.media if self.kind == "main" else ("both", "both")
        member.brings_audio = self.brings_audio and audio == "both"
        member.brings_video = self.brings_video and video == "both"


def active_leg(member: Member) -> Leg | None:
    """The leg that a member's media come from: of those that were answered the newest whose
    connection is up, else the newest."""
    legs = [leg for leg in member.session.legs.values() if leg.member is member]
    up = [leg for leg in legs if leg.peer is not None and leg.peer.state is PeerState.CONNECTED]
    if up:
        return up[-1]
    return legs[-1] if legs else None


def kind_of(dialog: Mapping[str, Any]) -> LegKind:
    """What kind of leg the dialog parameters of an invite ask for."""
    if dialog.get("screenShare") is True:
        return "screen"
    if dialog.get("additionalDevice") is True:
        return "device"
    return "main"


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

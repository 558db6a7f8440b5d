"""A room: the state of a meeting, and the events that tell of its changes.

All of it lives on the loop's thread. A change is made by one call that sets the state, tells the
stage, and sends the events in the order in which clients expect them.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from appliance.hub import room_wire
from appliance.hub.admission import Rules, may_join, no_room
from appliance.hub.audience import AudienceCount
from appliance.hub.chime import Occasion
from appliance.hub.errors import Refused
from appliance.hub.gain import SILENCE_DBFS
from appliance.hub.members import Member
from appliance.hub.observers import RoomObserver
from appliance.hub.records import StoredRoom
from appliance.hub.room_options import RoomOptions
from appliance.hub.room_stage import RoomStage
from appliance.hub.seating import Seats, Showing
from appliance.hub.sessions import Session
from appliance.hub.stays import Stays

if TYPE_CHECKING:
    from appliance.hub.legs import Leg
    from appliance.hub.player import Player
    from appliance.hub.recorder import Recorder
    from appliance.media.peer import Peer

#: Properties that the stage has to know of.
_MEDIA_PROPERTIES: Final = frozenset(
    {
        "audio_muted",
        "video_muted",
        "deaf",
        "on_hold",
        "input_volume",
        "output_volume",
        "input_sensitivity",
    }
)

#: Properties whose change may move somebody on the canvas.
_LAYOUT_PROPERTIES: Final = frozenset({"video_muted", "requested_position", "on_hold"})

#: Properties of the room of which the same is true.
_ROOM_LAYOUT_PROPERTIES: Final = frozenset({"hide_video_muted", "prioritize_handraise"})

#: Properties that are always told of with another one.
_PARTNERS: Final = {"video_muted": "visible", "deaf": "audio_muted"}


class Room:
    """One meeting, from the first member that joins to the last that leaves.

    `stage` makes the media side; it is called with the room. `options` is what the room was made
    with, and `stored` the room that lasts, if it is one.
    """

    def __init__(
        self,
        name: str,
        *,
        project: str,
        display_name: str | None = None,
        layout: str = "grid-responsive",
        meta: Mapping[str, Any] | None = None,
        max_members: int = 50,
        stage: Callable[[Room], RoomStage],
        options: RoomOptions | None = None,
        stored: StoredRoom | None = None,
        observer: RoomObserver | None = None,
    ) -> None:
        self.name: Final = name
        self.options: Final = options or RoomOptions(name=name)
        self.stored_id: Final = None if stored is None else stored.id
        self.stays: Final = Stays(Rules.of(self.options, max_members=max_members))
        #: Who is told first what goes on.
        self.observer: Final = observer or RoomObserver()
        #: Whether the room that lasts was deleted: who is here stays, nobody new comes.
        self.deleted = False
        self.display_name: Final = display_name or name
        self.project: Final = project
        # The same room of the same project has the same id, also after a restart.
        passing_id = str(uuid.uuid5(uuid.NAMESPACE_URL, f"roomlet:{project}:{name}"))
        self.id: Final = self.stored_id or passing_id
        self.session_id: Final = str(uuid.uuid4())
        self.event_channel: Final = f"room.{self.session_id}"
        self.members: dict[str, Member] = {}
        #: The legs into this room, also those that are still being answered.
        self.legs: set[Leg] = set()
        self.layout_name = layout
        self.seats: Final = Seats()
        self.locked = False
        self.hide_video_muted = False
        self.prioritize_handraise = self.options.prioritize_handraise
        self.meta: dict[str, Any] = dict(meta or {})
        #: What goes out of the room, in the words of the wire, by id.
        self.streams: dict[str, dict[str, Any]] = {}
        self.streaming = False
        #: The recordings of this session, and what is played just now, by id.
        self.recordings: dict[str, Recorder] = {}
        self.recording = False
        self.playbacks: dict[str, Player] = {}
        #: Where a picture of the room can be had, if one is made: by the hub's own address, and
        #: below that by which a client has reached the hub.
        self.preview_url: str | None = None
        self.preview_path = ""
        self._audience: Final = AudienceCount(lambda: self.audience_count, self._tell_audience)
        self.stage: Final = stage(self)
        self._loop = asyncio.get_running_loop()
        self._began = False

    # Who is here

    def people(self) -> Iterator[Member]:
        """The members that others see: all but the audience."""
        return (member for member in self.members.values() if member.type != "audience")

    @property
    def audience_count(self) -> int:
        """How many look on."""
        return sum(member.type == "audience" for member in self.members.values())

    def sessions(self) -> list[Session]:
        """Every client in the room, once, in the order of joining."""
        return list(dict.fromkeys(member.session for member in self.members.values()))

    @property
    def is_idle(self) -> bool:
        """Whether nobody is here, and nobody on the way in."""
        return not self.members and not self.legs

    @property
    def taken(self) -> int:
        """How many places of members are taken: also by who is promoted and on the way."""
        return sum(
            member.type == "member"
            or (member.type == "audience" and member.session.options.join_as == "member")
            for member in self.members.values()
        )

    def admit(self, session: Session) -> None:
        """Whether somebody new may come in. Raises Refused."""
        if self.deleted:
            raise Refused("404", no_room(self.name))
        may_join(
            self.stays.rules,
            join_as=session.options.join_as,
            people=self.taken,
            locked=self.locked,
            now=time.time(),
        )

    def join(self, member: Member, call_id: str, peer: Peer) -> None:
        """Let a member in; who it is the main leg of is told of the room first."""
        if not self._began:
            self._began = True
            self.observer.began(self)
        self.observer.joined(self, member)
        self.members[member.id] = member
        self.stage.add(member, peer)
        self.stage.update(member)
        self._arrange()
        self._ring(member, "entry")
        if member.type in ("member", "audience"):
            self.subscribed(member, call_id)
        if member.type == "audience":
            self._audience.changed()
            self.send_layout(member.session)
            return
        # Who owns a screen or a device waits for its event to learn the member's id.
        skip = member.session if member.type == "member" else None
        self.emit("video.member.joined", room_wire.about_member(self, member), skip=skip)
        self.send_layout()

    def subscribed(self, member: Member, call_id: str) -> None:
        """Tell a client that its leg is in the room, and all about the room."""
        session, room = room_wire.snapshot(self, member.session)
        params = {
            "call_id": call_id,
            "member_id": member.id,
            "room_session": session,
            "room": room,
        }
        member.session.send("video.room.subscribed", params, self.event_channel)

    def leave(self, member: Member) -> None:
        """Let a member go and tell the others."""
        if self.members.pop(member.id, None) is None:
            return
        self.stays.end(member.id)
        self.observer.left(self, member)
        self.stage.remove(member.id)
        self.seats.forget(member.id)
        self._arrange()
        self._ring(member, "exit")
        if member.type == "audience":
            self._audience.changed()
            return
        self.emit("video.member.left", room_wire.about_member(self, member))
        self.send_layout()

    def promoted(self, member: Member, call_id: str) -> None:
        """One of the audience has become a member, with the leg of this call."""
        member.type = "member"
        self.stage.update(member)
        self._arrange()
        self.subscribed(member, call_id)
        self.emit("video.member.joined", room_wire.about_member(self, member), skip=member.session)
        self._audience.changed()
        self.send_layout()

    def demoted(self, member: Member) -> None:
        """A member is one of the audience from now on."""
        self._talking(member, member.voice.stop())
        self.emit("video.member.left", room_wire.about_member(self, member), skip=member.session)
        member.type = "audience"
        member.requested_position, member.handraised = "auto", False
        member.visible = False
        self.seats.forget(member.id)
        self._arrange()
        self._audience.changed()
        self.send_layout()

    # Changes

    def update(self, member: Member, **changes: object) -> None:
        """Set properties of a member, and tell everybody of those that are news."""
        self._announce({member: _set(member, changes)})

    def place(self, wishes: Mapping[str, str]) -> None:
        """Set the requested position of members, by member id."""
        self._announce(self._wish(wishes))

    def set_layout(self, name: str, wishes: Mapping[str, str]) -> None:
        """Change the layout, and with it the requested position of members, by member id."""
        changes = self._wish(wishes)
        news = _set(self, {"layout_name": name})
        self._arrange()
        self._announce(changes, layout=False)
        self._announce_room(news)
        self.send_layout()

    def update_room(self, **changes: object) -> None:
        """Set properties of the room, and tell everybody of those that are news."""
        news = _set(self, changes)
        self._announce_room(news)
        if _ROOM_LAYOUT_PROPERTIES.intersection(news):
            self._arrange()
            self.send_layout()

    def show(self, showing: Showing | None) -> None:
        """Give a playback a place on the canvas, or take it away."""
        if showing != self.seats.showing:
            self.seats.showing = showing
            self._arrange()
            self.send_layout()

    def level(self, member_id: str, dbfs: float) -> None:
        """How loud a member is just now."""
        member = self.members.get(member_id)
        if member is None or member.audio_muted or member.on_hold:
            return
        now = self._loop.time()
        self._talking(member, member.voice.level(dbfs, now))
        # Clients are told where the floor moves somebody on the canvas.
        if self.seats.floor.level(member.id, dbfs, member.voice.active, now) and self._arrange():
            self.send_layout()

    def close(self) -> None:
        """Cancel all timers."""
        self.stays.close()
        self._audience.close()

    # Events

    def emit(
        self,
        event_type: str,
        params: Mapping[str, Any],
        *,
        skip: Session | None = None,
        scopes: Collection[str] | None = None,
    ) -> None:
        """Send an event to every client in the room but one, or to those with any of `scopes`."""
        self.observer.emitted(self, event_type, params)
        for session in self.sessions():
            may = scopes is None or not session.scopes.isdisjoint(scopes)
            if may and session is not skip:
                session.send(event_type, params, self.event_channel)

    def send_layout(self, session: Session | None = None) -> None:
        """Send ``video.layout.changed``, to everybody or to one client."""
        params = room_wire.about_layout(self)
        if session is None:
            self.emit("video.layout.changed", params)
        else:
            session.send("video.layout.changed", params, self.event_channel)

    def _wish(self, wishes: Mapping[str, str]) -> dict[Member, list[str]]:
        return {
            (member := self.members[member_id]): _set(member, {"requested_position": position})
            for member_id, position in wishes.items()
        }

    def _announce(self, changes: Mapping[Member, list[str]], *, layout: bool = True) -> None:
        """Act on the properties that have changed, and tell of them."""
        changes = {
            member: _with_partners(news)
            for member, news in changes.items()
            if news and member.id in self.members
        }
        moving = _LAYOUT_PROPERTIES | ({"handraised"} if self.prioritize_handraise else set())
        moved = layout and any(moving.intersection(news) for news in changes.values())
        for member, news in changes.items():
            if "handraised" in news:
                self.seats.hand(member.id, raised=member.handraised)
            if member.audio_muted or member.on_hold:
                self._talking(member, member.voice.stop())
            if _MEDIA_PROPERTIES.intersection(news):
                self.stage.update(member)
        if moved:
            self._arrange()
        for member, news in changes.items():
            if member.type == "audience":
                # Nobody else knows of it.
                about = room_wire.about_member(self, member, news)
                member.session.send("video.member.updated", about, self.event_channel)
            else:
                self.emit("video.member.updated", room_wire.about_member(self, member, news))
        if moved:
            # Also where no place has changed: clients show and hide their own picture by it.
            self.send_layout()

    def _announce_room(self, news: list[str]) -> None:
        if not news:
            return
        values = {name: getattr(self, name) for name in news}
        ids = room_wire.ids(self)
        params = {
            **ids,
            "room": {"updated": news, **ids, **values},
            "room_session": {"id": self.session_id, "updated": news, **ids, **values},
        }
        self.emit("video.room.updated", params)

    def _tell_audience(self, total: int) -> None:
        self.emit("video.room.audience_count", {**room_wire.ids(self), "total": total})

    def _talking(self, member: Member, news: bool | None) -> None:
        if news is None:
            return
        about = {"id": member.id, "talking": news}
        self.emit("video.member.talking", {**room_wire.ids(self), "member": about})
        if not news:
            self.seats.floor.level(member.id, SILENCE_DBFS, False, self._loop.time())

    def _ring(self, member: Member, occasion: Occasion) -> None:
        if self.options.tone_on_entry_and_exit and member.type == "member":
            self.stage.chime(occasion)

    def _arrange(self) -> bool:
        """Show everybody in its place; whether anybody has moved."""
        moved = self.seats.arrange(
            self.layout_name,
            self.members,
            hide_muted=self.hide_video_muted,
            hands_first=self.prioritize_handraise,
        )
        self.stage.arrange(self.seats.layers)
        return moved


def _set(target: Member | Room, changes: Mapping[str, object]) -> list[str]:
    """Set attributes; the names of those that had another value before."""
    news = [name for name, value in changes.items() if getattr(target, name) != value]
    for name in news:
        setattr(target, name, changes[name])
    return news


def _with_partners(news: list[str]) -> list[str]:
    """Clients expect some properties to be told of together."""
    partners = [_PARTNERS[name] for name in news if name in _PARTNERS]
    return list(dict.fromkeys([*news, *partners]))

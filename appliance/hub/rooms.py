"""Rooms: the state of a meeting, and the events that tell of its changes.

All of it lives on the loop's thread. A change is made by one call that sets the state, tells the
stage, and sends the events in the order in which clients expect them.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol

from appliance.hub import admission
from appliance.hub.admission import Rules
from appliance.hub.chime import Occasion
from appliance.hub.errors import Refused
from appliance.hub.floor import Floor
from appliance.hub.gain import SILENCE_DBFS
from appliance.hub.members import Member
from appliance.hub.observers import RoomObserver
from appliance.hub.records import StoredRoom
from appliance.hub.room_options import RoomOptions
from appliance.hub.seating import Showing, seat
from appliance.hub.sessions import Session
from appliance.hub.stays import Stays
from appliance.hub.tap import Tappable
from appliance.hub.tokens import TokenOptions
from appliance.signaling.layouts import Layer, MemberSlot, positions

if TYPE_CHECKING:
    from appliance.hub.calls import Leg
    from appliance.hub.player import Player
    from appliance.hub.preview import Watchable
    from appliance.hub.recorder import Recorder
    from appliance.hub.stage import Clip
    from appliance.media.peer import Peer

log = logging.getLogger(__name__)

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

#: Seconds between two counts of the audience while there is any: a client that missed the last
#: change is right again soon.
AUDIENCE_PERIOD: Final = 15.0

#: Who is told of recordings, playbacks and streams, and gets them in lists.
LIST_SCOPES: Final[Mapping[str, tuple[str, ...]]] = {
    "recordings": ("room.recording",),
    "playbacks": ("room.playback",),
    "streams": ("room.stream", "room.stream.start"),
}

#: Properties that are always told of with another one.
_PARTNERS: Final = {"video_muted": "visible", "deaf": "audio_muted"}


class RoomStage(Tappable, Protocol):
    """The sound and the pictures of one room, as the room sees them."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the canvas in pixels."""

    @property
    def canvas(self) -> Watchable:
        """The picture itself."""

    def add(self, member: Member, peer: Peer) -> None:
        """Take a member's media from this leg on. One that it had before goes on hearing and
        seeing the room until `drop`."""

    def listen(self, member: Member, peer: Peer) -> None:
        """Let another leg of a member hear and see the room too."""

    def drop(self, member_id: str, peer: Peer) -> None:
        """Let go of a leg of a member that has another one; unknown ones are ignored."""

    def remove(self, member_id: str) -> None:
        """Let go of a member."""

    def update(self, member: Member) -> None:
        """A property of the member, or the state of its leg, has changed."""

    def arrange(self, layers: list[Layer]) -> None:
        """Show the members in these places."""

    def play(self, clip: Clip) -> None:
        """Let a clip be heard, and seen where the layers say; again, when it has changed."""

    def stop_playing(self, clip_id: str) -> None:
        """Let go of a clip; unknown ones are ignored."""

    def chime(self, occasion: Occasion) -> None:
        """Let everybody hear the tone of this occasion."""

    async def close(self) -> None:
        """End all media of the room."""


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
        self.layers: list[Layer] = []
        self.locked = False
        self.hide_video_muted = False
        self.prioritize_handraise = self.options.prioritize_handraise
        self.meta: dict[str, Any] = dict(meta or {})
        self.floor: Final = Floor()
        #: What goes out of the room, in the words of the wire, by id.
        self.streams: dict[str, dict[str, Any]] = {}
        self.streaming = False
        #: The recordings of this session, and what is played just now, by id.
        self.recordings: dict[str, Recorder] = {}
        self.recording = False
        self.playbacks: dict[str, Player] = {}
        #: The playback that is seen on the canvas.
        self.showing: Showing | None = None
        #: Where a picture of the room can be had, if one is made: by the hub's own address, and
        #: below that by which a client has reached the hub.
        self.preview_url: str | None = None
        self.preview_path = ""
        self._hands: list[str] = []
        self._audience_timer: asyncio.TimerHandle | None = None
        self.stage: Final = stage(self)
        self._loop = asyncio.get_running_loop()

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
            raise Refused("404", f"There is no room {self.name}")
        admission.may_join(
            self.stays.rules,
            join_as=session.options.join_as,
            people=self.taken,
            locked=self.locked,
            now=time.time(),
        )

    def join(self, member: Member, call_id: str, peer: Peer) -> None:
        """Let a member in; who it is the main leg of is told of the room first."""
        self.observer.joined(self, member)
        self.members[member.id] = member
        self.stage.add(member, peer)
        self.stage.update(member)
        self._arrange()
        self._ring(member, "entry")
        if member.type in ("member", "audience"):
            self.subscribed(member, call_id)
        if member.type == "audience":
            self._audience_changed()
            self.send_layout(member.session)
            return
        # Who owns a screen or a device waits for its event to learn the member's id.
        skip = member.session if member.type == "member" else None
        self.emit("video.member.joined", self._about(member), skip=skip)
        self.send_layout()

    def subscribed(self, member: Member, call_id: str) -> None:
        """Tell a client that its leg is in the room, and all about the room."""
        session, room = self.snapshot(member.session)
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
        self._forget(member)
        self._arrange()
        self._ring(member, "exit")
        if member.type == "audience":
            self._audience_changed()
            return
        self.emit("video.member.left", self._about(member))
        self.send_layout()

    def promoted(self, member: Member, call_id: str) -> None:
        """One of the audience has become a member, with the leg of this call."""
        member.type = "member"
        self.stage.update(member)
        self._arrange()
        self.subscribed(member, call_id)
        self.emit("video.member.joined", self._about(member), skip=member.session)
        self._audience_changed()
        self.send_layout()

    def demoted(self, member: Member) -> None:
        """A member is one of the audience from now on."""
        self._talking(member, member.voice.stop())
        self.emit("video.member.left", self._about(member), skip=member.session)
        member.type = "audience"
        member.requested_position, member.handraised = "auto", False
        member.visible = False
        self._forget(member)
        self._arrange()
        self._audience_changed()
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
        if showing != self.showing:
            self.showing = showing
            self._arrange()
            self.send_layout()

    def level(self, member_id: str, dbfs: float) -> None:
        """How loud a member is just now."""
        member = self.members.get(member_id)
        if member is None or member.audio_muted or member.on_hold:
            return
        now = self._loop.time()
        self._talking(member, member.voice.level(dbfs, now))
        if self.floor.level(member.id, dbfs, member.voice.active, now):
            self._floor_moved()

    def close(self) -> None:
        """Cancel all timers."""
        self.stays.close()
        if self._audience_timer is not None:
            self._audience_timer.cancel()
            self._audience_timer = None

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
        ids = {"room_id": self.id, "room_session_id": self.session_id}
        layers = [layer.to_wire() for layer in self.layers]
        params = {**ids, "layout": {"name": self.layout_name, **ids, "layers": layers}}
        if session is None:
            self.emit("video.layout.changed", params)
        else:
            session.send("video.layout.changed", params, self.event_channel)

    # The room in the words of the wire

    def member_wire(self, member: Member) -> dict[str, Any]:
        """A member with all its fields."""
        return {
            "id": member.id,
            "room_id": self.id,
            "room_session_id": self.session_id,
            "scope_id": member.session.scope_id,
            "name": member.name,
            "type": member.type,
            "parent_id": member.parent_id,
            "requested_position": member.requested_position,
            "current_position": positions(self.layers).get(member.id, "off-canvas"),
            "handraised": member.handraised,
            "visible": member.visible,
            "audio_muted": member.audio_muted,
            "video_muted": member.video_muted,
            "deaf": member.deaf,
            "on_hold": member.on_hold,
            "input_volume": member.input_volume,
            "output_volume": member.output_volume,
            "input_sensitivity": member.input_sensitivity,
            "talking": member.voice.active,
            "meta": member.meta,
        }

    def snapshot(self, client: Session | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
        """The room as ``room_session`` and as ``room`` of ``video.room.subscribed``: for one
        client, or without what needs a permission."""
        scopes = frozenset() if client is None else client.scopes

        def may(name: str) -> bool:
            return any(scope in scopes for scope in LIST_SCOPES[name])

        room: dict[str, Any] = {
            "room_session_id": self.session_id,
            "room_id": self.id,
            "project_id": self.project,
            "event_channel": self.event_channel,
            "name": self.name,
            "display_name": self.display_name,
            "layout_name": self.layout_name,
            "locked": self.locked,
            "recording": self.recording,
            "streaming": self.streaming,
            "hide_video_muted": self.hide_video_muted,
            "prioritize_handraise": self.prioritize_handraise,
            "meta": self.meta,
            "audience_count": self.audience_count,
            "recordings": [one.state.to_wire() for one in self.recordings.values()]
            if may("recordings")
            else [],
            "playbacks": [one.state.to_wire() for one in self.playbacks.values()]
            if may("playbacks")
            else [],
            "streams": list(self.streams.values()) if may("streams") else [],
            "members": [self.member_wire(member) for member in self.people()],
            "logos_visible": True,
            "blind_mode": False,
            "silent_mode": False,
            "meeting_mode": False,
        }
        if self.preview_url is not None:
            near = client is not None and client.origin
            room["preview_url"] = f"{near}{self.preview_path}" if near else self.preview_url
        return {"id": self.session_id, **room}, room

    def _about(self, member: Member, news: list[str] | None = None) -> dict[str, Any]:
        wire = self.member_wire(member)
        if news is not None:
            wire["updated"] = [name for name in news if name in wire]
        return {"room_id": self.id, "room_session_id": self.session_id, "member": wire}

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
                self._hands = [one for one in self._hands if one != member.id]
                self._hands += [member.id] if member.handraised else []
            if member.audio_muted or member.on_hold:
                self._talking(member, member.voice.stop())
            if _MEDIA_PROPERTIES.intersection(news):
                self.stage.update(member)
        if moved:
            self._arrange()
        for member, news in changes.items():
            if member.type == "audience":
                # Nobody else knows of it.
                about = self._about(member, news)
                member.session.send("video.member.updated", about, self.event_channel)
            else:
                self.emit("video.member.updated", self._about(member, news))
        if moved:
            # Also where no place has changed: clients show and hide their own picture by it.
            self.send_layout()

    def _announce_room(self, news: list[str]) -> None:
        if not news:
            return
        values = {name: getattr(self, name) for name in news}
        ids = {"room_id": self.id, "room_session_id": self.session_id}
        params = {
            **ids,
            "room": {"updated": news, **ids, **values},
            "room_session": {"id": self.session_id, "updated": news, **ids, **values},
        }
        self.emit("video.room.updated", params)

    def _audience_changed(self) -> None:
        """Tell how many look on, now and from time to time while anybody does."""
        if self._audience_timer is not None:
            self._audience_timer.cancel()
            self._audience_timer = None
        if self.audience_count:
            self._audience_timer = self._loop.call_later(AUDIENCE_PERIOD, self._audience_changed)
        params = {
            "room_id": self.id,
            "room_session_id": self.session_id,
            "total": self.audience_count,
        }
        self.emit("video.room.audience_count", params)

    def _talking(self, member: Member, news: bool | None) -> None:
        if news is None:
            return
        params = {
            "room_id": self.id,
            "room_session_id": self.session_id,
            "member": {"id": member.id, "talking": news},
        }
        self.emit("video.member.talking", params)
        if not news:
            self.floor.level(member.id, SILENCE_DBFS, False, self._loop.time())

    def _floor_moved(self) -> None:
        before = positions(self.layers)
        self._arrange()
        if positions(self.layers) != before:
            self.send_layout()

    def _floor_holder(self) -> str | None:
        """Who has the floor, or, of a device without a picture, whose device it is."""
        holder = self.members.get(self.floor.holder or "")
        if holder is None:
            return None
        return holder.id if holder.on_canvas else holder.parent_id

    def _forget(self, member: Member) -> None:
        """Somebody has left the canvas and the conversation."""
        self.floor.leave(member.id)
        self._hands = [one for one in self._hands if one != member.id]

    def _ring(self, member: Member, occasion: Occasion) -> None:
        if self.options.tone_on_entry_and_exit and member.type == "member":
            self.stage.chime(occasion)

    def _arrange(self) -> None:
        slots = [
            MemberSlot(member.id, member.requested_position)
            for member in self.people()
            if member.on_canvas and not (self.hide_video_muted and member.video_muted)
        ]
        self.layers = seat(
            self.layout_name,
            slots,
            floor=self._floor_holder(),
            raised=self._hands if self.prioritize_handraise else (),
            showing=self.showing,
            previous=self.layers,
        )
        self.stage.arrange(self.layers)


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


class Rooms:
    """The rooms that are open just now, by name.

    `stored` finds the room that lasts of a name, if there is one.
    """

    def __init__(
        self,
        *,
        project: str,
        stage: Callable[[Room], RoomStage],
        auto_create: bool = True,
        stored: Callable[[str], StoredRoom | None],
        observer: RoomObserver | None = None,
        layout: str = "grid-responsive",
        max_members: int = 50,
    ) -> None:
        self._project = project
        self._stage = stage
        self._auto_create = auto_create
        self._stored = stored
        self._observer = observer
        self._layout = layout
        self._max_members = max_members
        self._rooms: dict[str, Room] = {}

    def __len__(self) -> int:
        return len(self._rooms)

    def __iter__(self) -> Iterator[Room]:
        return iter(self._rooms.values())

    def get(self, name: str) -> Room | None:
        """The room of this name, if it is open."""
        return self._rooms.get(name)

    def open(self, options: TokenOptions) -> Room:
        """The room that a token is for, opened now if need be. Raises Refused."""
        room = self._rooms.get(options.room_name)
        if room is not None:
            return room
        stored = self._stored(options.room_name)
        admission.may_open(options, exists=stored is not None, auto_create=self._auto_create)
        settings = admission.opened(stored.options if stored else None, options)
        room = Room(
            settings.name,
            project=self._project,
            display_name=settings.display_name,
            layout=settings.layout or self._layout,
            meta=settings.meta,
            max_members=self._max_members,
            stage=self._stage,
            options=settings,
            stored=stored,
            observer=self._observer,
        )
        self._rooms[room.name] = room
        log.info("room %s is open", room.name)
        return room

    async def release(self, room: Room) -> None:
        """Close a room that nobody is in, or on the way into."""
        if not room.is_idle or self._rooms.get(room.name) is not room:
            return
        del self._rooms[room.name]
        log.info("room %s is closed", room.name)
        room.close()
        room.observer.closed(room)
        await room.stage.close()

    async def close(self) -> None:
        """Close all rooms."""
        rooms, self._rooms = list(self._rooms.values()), {}
        for room in rooms:
            room.close()
            room.observer.closed(room)
        await asyncio.gather(*(room.stage.close() for room in rooms))

"""The permission matrix: every method, with its permission and with all but it, on oneself and on
others, of those that are there and of those that are not.

What each method needs stands here once more, as the protocol has it, so that no table of the
hub's checks itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, cast

import pytest

from appliance.hub import rpc
from appliance.hub.broadcasts import Broadcasts
from appliance.hub.calls import Calls
from appliance.hub.journal import Journal
from appliance.hub.legs import Leg
from appliance.hub.members import Member, MemberType
from appliance.hub.playbacks import Playbacks
from appliance.hub.recordings import Recordings
from appliance.hub.request import Programme
from appliance.hub.room import Room
from appliance.hub.rooms import Rooms
from appliance.hub.sessions import Session
from appliance.hub.streamer import StreamState
from appliance.hub.tasks import Tasks
from appliance.hub.tokens import TokenOptions
from appliance.media.peer import Peer
from appliance.signaling.permissions import PERMISSIONS
from tests.appliance.hub.hub_client import FakePeer, FakeStage

NOBODY = "00000000-0000-0000-0000-000000000000"

#: On the room: what it needs, or any of several names.
ON_ROOM: dict[str, tuple[str, ...]] = {
    "video.members.get": (),
    "video.get_meta": (),
    "video.list_available_layouts": ("room.list_available_layouts",),
    "video.set_layout": ("room.set_layout",),
    "video.set_position": ("room.set_position",),
    "video.hide_video_muted": ("room.hide_video_muted",),
    "video.show_video_muted": ("room.show_video_muted",),
    "video.lock": ("room.lock",),
    "video.unlock": ("room.unlock",),
    "video.prioritize_handraise": ("room.prioritize_handraise",),
    "video.set_meta": ("room.set_meta",),
    "video.update_meta": ("room.set_meta",),
    "video.delete_meta": ("room.set_meta",),
    "video.recording.list": ("room.recording",),
    "video.recording.start": ("room.recording",),
    "video.recording.pause": ("room.recording",),
    "video.recording.resume": ("room.recording",),
    "video.recording.stop": ("room.recording",),
    "video.playback.list": ("room.playback",),
    "video.playback.start": ("room.playback",),
    "video.playback.pause": ("room.playback",),
    "video.playback.resume": ("room.playback",),
    "video.playback.stop": ("room.playback",),
    "video.playback.set_volume": ("room.playback",),
    "video.playback.seek_absolute": (
        "room.playback",
        "room.playback_seek",
        "room.playback.seek",
    ),
    "video.playback.seek_relative": (
        "room.playback",
        "room.playback_seek",
        "room.playback.seek",
    ),
    "video.stream.list": ("room.stream",),
    "video.stream.start": ("room.stream", "room.stream.start"),
    "video.stream.stop": ("room.stream",),
}

#: On a member: the action in ``room.self.X`` and ``room.member.X``.
ON_MEMBERS: dict[str, str] = {
    "video.member.audio_mute": "audio_mute",
    "video.member.audio_unmute": "audio_unmute",
    "video.member.video_mute": "video_mute",
    "video.member.video_unmute": "video_unmute",
    "video.member.deaf": "deaf",
    "video.member.undeaf": "undeaf",
    "video.member.set_input_volume": "set_input_volume",
    "video.member.set_output_volume": "set_output_volume",
    "video.member.set_input_sensitivity": "set_input_sensitivity",
    "video.member.set_position": "set_position",
    "video.member.set_meta": "set_meta",
    "video.member.update_meta": "set_meta",
    "video.member.delete_meta": "set_meta",
    "video.member.raisehand": "raisehand",
    "video.member.lowerhand": "lowerhand",
}

#: On a member, with one permission whoever it is; None is free.
WHOEVER: dict[str, str | None] = {
    "video.member.get_meta": None,
    "video.member.remove": "room.member.remove",
    "video.member.promote": "room.member.promote",
    "video.member.demote": "room.member.demote",
}

#: The second name that does for others.
EITHER = {"video.member.update_meta": "room.set_meta", "video.member.delete_meta": "room.set_meta"}

#: Good parameters, where a method needs any.
PARAMS: dict[str, dict[str, Any]] = {
    "video.set_layout": {"name": "2x2"},
    "video.set_position": {"positions": {"self": "standard-2"}},
    "video.prioritize_handraise": {"enable": True},
    "video.set_meta": {"meta": {"a": 1}},
    "video.update_meta": {"meta": {"a": 1}},
    "video.delete_meta": {"keys": ["a"]},
    "video.member.set_input_volume": {"volume": 10},
    "video.member.set_output_volume": {"volume": -10},
    "video.member.set_input_sensitivity": {"value": 70},
    "video.member.set_position": {"position": "standard-2"},
    "video.member.set_meta": {"meta": {"a": 1}},
    "video.member.update_meta": {"meta": {"a": 1}},
    "video.member.delete_meta": {"keys": ["a"]},
    "video.playback.start": {"url": "http://127.0.0.1:9/film.mp4"},
    "video.playback.set_volume": {"volume": 5},
    "video.playback.seek_absolute": {"position": 1000},
    "video.playback.seek_relative": {"position": -1000},
    "video.stream.start": {"url": "rtmp://127.0.0.1/live/key"},
}

#: What is named by an id, and the id's parameter.
THINGS = {"recording": "recording_id", "playback": "playback_id", "stream": "stream_id"}

NAMED = sorted(
    method
    for method in ON_ROOM
    if method.split(".")[1] in THINGS and method.split(".")[2] not in ("list", "start")
)


class StillJournal:
    """Keeps nothing."""

    def recording(self, room: Room, recording_id: str, **_: Any) -> None: ...

    def stream(self, room: Room, stream_id: str, **_: Any) -> None: ...


class StillStream:
    """A stream that goes nowhere."""

    def __init__(self, url: str) -> None:
        self.state = StreamState("stream-1", "streaming", 0.0, url=url)

    def start(self) -> None: ...

    async def stop(self) -> StreamState:
        return self.state


class Bench:
    """One room without sockets and media, and what its clients are answered."""

    def __init__(self, folder: Path) -> None:
        journal = cast(Journal, StillJournal())
        self.tasks = Tasks()
        self.programme = Programme(
            Recordings(journal, self.tasks, folder / "recordings"),
            Playbacks(self.tasks, folder / "media"),
            Broadcasts(journal, self.tasks, lambda room, url, on_change: StillStream(url)),
        )
        rooms = Rooms(project="p", stage=FakeStage, auto_create=True, stored=lambda name: None)
        self.calls = Calls(rooms, peer=cast(Any, FakePeer), media_timeout=60, tasks=self.tasks)
        self.room = rooms.open(TokenOptions(room_name="demo"))

    def enter(self, *permissions: str | None, kind: MemberType = "member") -> Session:
        """Somebody with these permissions is in the room."""
        options = TokenOptions(
            room_name="demo",
            permissions=[name for name in permissions if name],
            join_as="audience" if kind == "audience" else "member",
        )
        session = Session(options, project="p", node_id="n")
        number = len(self.room.members)
        member = Member(f"member-{number}", "Oak", kind, session)
        session.room, session.member = self.room, member
        leg = Leg(f"call-{number}", "main", session, self.room, member.id, member)
        leg.peer = cast(Peer, FakePeer())
        leg.chosen = leg.welcomed = True
        session.legs[leg.call_id] = leg
        self.room.legs.add(leg)
        self.room.join(member, leg.call_id, leg.peer)
        return session

    def ask(self, session: Session, method: str, **params: Any) -> str:
        """The code of the answer."""
        answer = rpc.call(session, self.calls, self.programme, method, params)
        assert answer is not None
        result, then = answer
        if result["code"] != "200":
            assert result["message"]
        if then is not None:
            then()
        return str(result["code"])

    def thing(self, kind: str) -> str:
        """The id of something that goes on."""
        programme, room = self.programme, self.room
        if kind == "recording":
            return str(programme.recordings.begin(room)["id"])
        if kind == "playback":
            url = str(PARAMS["video.playback.start"]["url"])
            playback = programme.playbacks.begin(room, url, volume=0, position=0, place="auto")
            return str(playback["id"])
        return programme.broadcasts.begin(room, "rtmp://127.0.0.1/live/key").id

    async def close(self) -> None:
        programme, room = self.programme, self.room
        room.close()
        for observer in (programme.recordings, programme.playbacks, programme.broadcasts):
            observer.closed(room)
        async with asyncio.timeout(30):
            await self.tasks.drain()


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    one = Bench(tmp_path)
    yield one
    await one.close()


def test_the_matrix_has_every_method() -> None:
    assert {*ON_ROOM, *ON_MEMBERS, *WHOEVER} == set(rpc.METHODS)


def all_but(*names: str | None) -> list[str]:
    return sorted(PERMISSIONS - set(names))


@pytest.mark.parametrize("method", sorted(ON_ROOM))
async def test_on_the_room(bench: Bench, method: str) -> None:
    names = ON_ROOM[method]
    params = dict(PARAMS.get(method, {}))
    good, kind = "200", method.split(".")[1]
    if method in NAMED:
        # A film that is not open yet cannot be sought in: past permission and existence.
        good = "409" if "seek" in method else "200"
        params[THINGS[kind]] = bench.thing(kind)
    for name in names:
        assert bench.ask(bench.enter(name), method, **params) == good
        if method in NAMED and method.endswith(".stop"):
            params[THINGS[kind]] = bench.thing(kind)
    without = bench.ask(bench.enter(*all_but(*names)), method, **params)
    assert without == ("403" if names else good)
    assert bench.ask(bench.enter(), method, **params) == ("403" if names else good)


@pytest.mark.parametrize("method", NAMED)
async def test_on_what_is_not_there(bench: Bench, method: str) -> None:
    name = THINGS[method.split(".")[1]]
    holder, other = bench.enter(*ON_ROOM[method]), bench.enter(*all_but(*ON_ROOM[method]))
    wrongs: tuple[object, ...] = (NOBODY, None, 7, [], {})
    for wrong in wrongs:
        params = {**PARAMS.get(method, {}), name: wrong}
        assert bench.ask(holder, method, **params) == "404"
        # The permission is looked at first.
        assert bench.ask(other, method, **params) == "403"


@pytest.mark.parametrize("target", ["self", "default", "other"])
@pytest.mark.parametrize("method", sorted(ON_MEMBERS))
async def test_on_a_member(bench: Bench, method: str, target: str) -> None:
    action, params = ON_MEMBERS[method], PARAMS.get(method, {})
    form, opposite = ("member", "self") if target == "other" else ("self", "member")
    good = {f"room.{form}.{action}"}
    if target == "other" and method in EITHER:
        good.add(EITHER[method])
    other = bench.enter()

    def about(session: Session) -> dict[str, Any]:
        assert session.member is not None
        assert other.member is not None
        ids = {"self": session.member.id, "other": other.member.id}
        return {**params, **({"member_id": ids[target]} if target in ids else {})}

    for name in good:
        holder = bench.enter(name)
        assert bench.ask(holder, method, **about(holder)) == "200"
        if target == "other":
            assert bench.ask(holder, method, **params, member_id=NOBODY) == "404"
    for permissions in (all_but(*good), [f"room.{opposite}.{action}"], []):
        lacking = bench.enter(*permissions)
        assert bench.ask(lacking, method, **about(lacking)) == "403"
        if target == "other":
            # The permission is looked at before the member.
            assert bench.ask(lacking, method, **params, member_id=NOBODY) == "403"


Pick = Callable[[Session, Session], Session]


@pytest.mark.parametrize("target", ["self", "other"])
@pytest.mark.parametrize("method", sorted(WHOEVER))
async def test_on_whoever_it_is(bench: Bench, method: str, target: str) -> None:
    name = WHOEVER[method]
    # Each method has somebody whom it can be done to.
    kind: MemberType = "audience" if method.endswith("promote") else "member"
    holder, lacking = bench.enter(name, kind=kind), bench.enter(*all_but(name), kind=kind)
    other = bench.enter(kind=kind)
    refused = "403" if name else "200"

    def about(session: Session) -> str:
        chosen = session if target == "self" else other
        assert chosen.member is not None
        return chosen.member.id

    assert bench.ask(lacking, method, member_id=about(lacking)) == refused
    missing = bench.ask(lacking, method, member_id=NOBODY)
    assert missing == ("403" if name else "404")
    assert bench.ask(holder, method, member_id=NOBODY) == "404"
    assert bench.ask(holder, method, member_id=about(holder)) == "200"


@pytest.mark.parametrize(
    ("method", "kind", "code"),
    [
        ("promote", "member", "422"),
        ("promote", "audience", "200"),
        ("promote", "screen", "422"),
        ("demote", "member", "200"),
        ("demote", "audience", "422"),
        ("demote", "screen", "422"),
        ("demote", "device", "422"),
    ],
)
async def test_who_can_be_promoted_and_demoted(
    bench: Bench, method: str, kind: MemberType, code: str
) -> None:
    moderator, other = bench.enter(f"room.member.{method}"), bench.enter(kind=kind)
    assert other.member is not None
    assert bench.ask(moderator, f"video.member.{method}", member_id=other.member.id) == code


async def test_the_audience_with_no_permission_can_ask_for_nothing_but_the_free(
    bench: Bench,
) -> None:
    audience = bench.enter(kind="audience")
    free = {method for method, names in ON_ROOM.items() if not names} | {"video.member.get_meta"}
    for method in rpc.METHODS:
        code = bench.ask(audience, method, **PARAMS.get(method, {}))
        assert code == ("200" if method in free else "403"), method


async def test_removing_everybody_needs_the_same_permission(bench: Bench) -> None:
    lacking, holder = bench.enter(*all_but("room.member.remove")), bench.enter("room.member.remove")
    assert bench.ask(lacking, "video.member.remove", member_id="all") == "403"
    # Nobody else can be meant by all.
    everything = bench.enter(*PERMISSIONS)
    assert bench.ask(everything, "video.member.audio_mute", member_id="all") == "404"
    assert bench.ask(holder, "video.member.remove", member_id="all") == "200"
    assert not bench.room.members

"""What a room may ask of its stage: the real one and the tests' stand-in do it alike, or the rooms
of the tests would be no rooms."""

from __future__ import annotations

import asyncio
import inspect
import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from av import VideoFrame

from appliance.hub.members import Member
from appliance.hub.room import Room
from appliance.hub.room_stage import RoomStage
from appliance.hub.sessions import Session
from appliance.hub.stage import Stage
from appliance.hub.tap import Intake
from appliance.hub.tokens import TokenOptions
from appliance.signaling.layouts import MemberSlot, arrange
from tests.appliance.hub.hub_client import DEADLINE, FakePeer, FakeStage

MakeStage = Callable[[Room], RoomStage]


def real(room: Room) -> Stage:
    return Stage(room.name, width=64, height=36, rate=50, on_level=room.level)


@pytest.fixture(params=[real, FakeStage], ids=["real", "stand-in"])
async def room(request: pytest.FixtureRequest) -> AsyncIterator[Room]:
    make: MakeStage = request.param
    room = Room("demo", project="project", stage=make)
    yield room
    room.close()
    async with asyncio.timeout(DEADLINE):
        await room.stage.close()


def new_member(room: Room, name: str = "Oak") -> Member:
    session = Session(TokenOptions(room_name="demo"), project="project", node_id="node")
    member = Member(str(uuid.uuid4()), name, "member", session)
    session.room, session.member = room, member
    return member


def methods() -> list[str]:
    return sorted(
        name
        for base in RoomStage.__mro__
        for name, one in vars(base).items()
        if inspect.isfunction(one) and not name.startswith("_")
    )


@pytest.mark.parametrize("name", methods())
def test_each_method_takes_the_same(name: str) -> None:
    wanted = list(inspect.signature(getattr(RoomStage, name)).parameters)
    for kind in (Stage, FakeStage):
        assert list(inspect.signature(getattr(kind, name)).parameters) == wanted


def test_all_that_a_room_asks_for_is_looked_at() -> None:
    assert {"add", "listen", "drop", "remove", "update", "arrange", "chime", "close"} < {*methods()}


async def test_a_whole_meeting(room: Room) -> None:
    oak, elm = new_member(room), new_member(room, "Elm")
    first, second = FakePeer(), FakePeer()
    room.join(oak, "call", first)
    room.join(elm, "other", FakePeer())
    room.update(oak, audio_muted=True, video_muted=True)
    room.set_layout("2x2", {oak.id: "standard-2"})
    room.stage.chime("entry")
    # Another leg listens, becomes the source, and the first one goes.
    room.stage.listen(oak, second)
    room.stage.listen(oak, second)
    room.stage.add(oak, second)
    room.stage.drop(oak.id, first)
    room.demoted(elm)
    room.leave(oak)
    room.leave(elm)
    assert room.is_idle


async def test_what_it_does_not_know_is_ignored_where_it_says_so(room: Room) -> None:
    oak, peer = new_member(room), FakePeer()
    stage = room.stage
    stage.drop(oak.id, peer)
    stage.stop_playing("nothing")
    stage.untap(Intake())
    room.join(oak, "call", peer)
    stage.drop(oak.id, FakePeer())
    stage.drop(oak.id, peer)
    stage.drop(oak.id, peer)
    room.leave(oak)


async def test_its_canvas_has_the_size_and_shows_pictures_of_it(room: Room) -> None:
    canvas = room.stage.canvas
    seen: asyncio.Queue[tuple[int, int]] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def look(frame: VideoFrame) -> None:
        size = frame.width, frame.height
        loop.call_soon_threadsafe(seen.put_nowait, size)

    canvas.watch(look, 0.01)
    async with asyncio.timeout(DEADLINE):
        assert await seen.get() == (canvas.width, canvas.height) == room.stage.size
    canvas.watch(None)


async def test_it_is_closed_once_however_often(room: Room) -> None:
    tap: Any = Intake()
    room.stage.tap(tap)
    room.stage.arrange(arrange("1x1", [MemberSlot("oak")]))
    async with asyncio.timeout(DEADLINE):
        await asyncio.gather(room.stage.close(), room.stage.close())
        await room.stage.close()
    # Recordings and playbacks end after their room.
    room.stage.untap(tap)
    room.stage.stop_playing("film")

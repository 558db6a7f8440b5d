"""What a client may give as a number, as a position and as positions, and what is refused."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from appliance.hub.archive import Archive
from appliance.hub.calls import Calls
from appliance.hub.errors import Refused
from appliance.hub.members import Member
from appliance.hub.mp4 import finish_interrupted
from appliance.hub.playbacks import Playbacks
from appliance.hub.recordings import Recordings
from appliance.hub.request import (
    Outcome,
    Programme,
    Request,
    invalid,
    number,
    position_of,
    positions_of,
)
from appliance.hub.rooms import Rooms
from appliance.hub.streamer import Streamer
from appliance.hub.tasks import Tasks
from tests.appliance.hub.hub_client import FakePeer, FakeStage
from tests.appliance.hub.quiet_room import come_in, open_room

WORDS = "a position is auto, off-canvas, reserved-N or standard-N"


@pytest.fixture
async def request_of_oak(tmp_path: Path) -> Request:
    """A request of Oak, who is in a room with Elm; it is about Oak."""
    tasks = Tasks()
    archive = Archive(
        tmp_path,
        tasks,
        make_stream=lambda room, url, tell: Streamer(room.stage, url, on_change=tell),
        finish=finish_interrupted,
    )
    programme = Programme(
        Recordings(archive.journal, tasks, tmp_path), Playbacks(tasks, tmp_path), archive.broadcasts
    )
    rooms = Rooms(project="project", stage=FakeStage, stored=lambda _: None)
    calls = Calls(rooms, peer=FakePeer, media_timeout=1.0, tasks=tasks)
    room = open_room()
    oak = come_in(room, "Oak")
    come_in(room, "Elm")
    return Request(oak.session, room, oak, {}, calls, programme)


def elm_in(request: Request) -> Member:
    return list(request.room.members.values())[1]


def refused(code: str, message: str) -> Any:
    """The block is refused with this code and exactly these words."""
    return pytest.raises(Refused, check=lambda one: (one.code, one.message) == (code, message))


@pytest.mark.parametrize(
    ("value", "means"),
    [(-50, -50), (50, 50), (0, 0), (7.0, 7), (7.4, 7), (-7.6, -8), (-0.2, 0), (50.0, 50)],
)
def test_a_number_is_the_nearest_whole_one(value: float, means: int) -> None:
    given = number({"volume": value}, "volume", -50, 50)
    assert given == means
    assert type(given) is int


@pytest.mark.parametrize(
    "value", [-51, 51, 50.1, -50.001, math.inf, -math.inf, math.nan, 10**400, -(10**400)]
)
def test_a_number_out_of_its_range_is_refused(value: float) -> None:
    with refused("422", "volume must be from -50 to 50"):
        number({"volume": value}, "volume", -50, 50)


@pytest.mark.parametrize(
    "params", [{}, *({"volume": one} for one in (None, "7", True, False, [7], {"volume": 7}))]
)
def test_what_is_no_number_is_refused(params: dict[str, Any]) -> None:
    with refused("422", "volume must be a number"):
        number(params, "volume", -50, 50)


@pytest.mark.parametrize(
    "value", ["auto", "off-canvas", "reserved-1", "standard-1", "standard-999"]
)
def test_a_position_is_one_that_some_layout_might_have(value: str) -> None:
    assert position_of(value) == value


@pytest.mark.parametrize(
    "value",
    [None, 7, True, ["auto"], {}, "", "Auto", "auto\n", "standard-0", "standard-1000", "standard",
     "full-screen", "playback", "reserved--1", "standard-٣"],
)  # fmt: skip
def test_what_is_no_position_is_refused(value: object) -> None:
    with refused("422", WORDS):
        position_of(value)


async def test_positions_are_by_member_and_self_is_who_it_is_said_to_be(
    request_of_oak: Request,
) -> None:
    request = request_of_oak
    oak, elm = request.member, elm_in(request)
    assert positions_of(request, {}, oak.id) == {}
    given = {"self": "standard-2", elm.id: "off-canvas"}
    assert positions_of(request, given, oak.id) == {oak.id: "standard-2", elm.id: "off-canvas"}
    # Another one than who asks: an own screen, for one.
    assert positions_of(request, {"self": "auto"}, elm.id) == {elm.id: "auto"}
    # The last word counts where one is named twice.
    assert positions_of(request, {"self": "auto", oak.id: "reserved-1"}, oak.id) == {
        oak.id: "reserved-1"
    }
    # Nobody has moved: it only says what is wished.
    assert {oak.requested_position, elm.requested_position} == {"auto"}


@pytest.mark.parametrize("given", [None, "auto", 7, ["self"], [["self", "auto"]]])
async def test_positions_that_are_no_object_are_refused(
    request_of_oak: Request, given: object
) -> None:
    with refused("422", "positions must be an object"):
        positions_of(request_of_oak, given, request_of_oak.member.id)


async def test_positions_of_who_is_not_there_are_refused(request_of_oak: Request) -> None:
    request = request_of_oak
    own = request.member.id
    with refused("404", "The member nobody is not in the room"):
        positions_of(request, {"self": "auto", "nobody": "auto"}, own)
    # What nobody stands for is nobody, and so is one who has left.
    with refused("404", "The member self is not in the room"):
        positions_of(request, {"self": "auto"}, None)
    request.room.leave(request.member)
    with refused("404", "The member self is not in the room"):
        positions_of(request, {"self": "auto"}, own)
    # A long name does not come back whole.
    with refused("404", f"The member {'x' * 80} is not in the room"):
        positions_of(request, {"x" * 5000: "auto"}, own)


async def test_one_wrong_position_among_good_ones_is_refused(request_of_oak: Request) -> None:
    request = request_of_oak
    with refused("422", WORDS):
        positions_of(request, {"self": "auto", elm_in(request).id: "up"}, request.member.id)


def test_a_refusal_of_a_value_has_its_code() -> None:
    refusal = invalid("x must be y")
    assert (refusal.code, refusal.message, str(refusal)) == ("422", "x must be y", "x must be y")


def test_an_outcome_has_nothing_to_say_unless_it_is_given_something() -> None:
    assert (dict(Outcome().fields), Outcome().then) == ({}, None)
    assert Outcome().fields is not Outcome().fields

"""What goes out of a room has one thread, which is fed, told to stop, and waited for."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from appliance.hub.outgoing import Outgoing, OutgoingState
from appliance.hub.tap import Intake, Item, Mark, Picture, Tap
from appliance.media.packet import Encoded
from tests.appliance.hub.hub_client import DEADLINE

KEYFRAME = Encoded("h264", (bytes(100),), 0, True)


class Room:
    """Gives whatever the test wants to who taps it."""

    rate = 20.0

    def __init__(self) -> None:
        self.taps: list[Tap] = []

    def tap(self, tap: Tap) -> None:
        self.taps.append(tap)

    def untap(self, tap: Tap) -> None:
        if tap in self.taps:
            self.taps.remove(tap)

    def picture(self, at: float) -> None:
        for tap in self.taps:
            tap.picture(KEYFRAME, at)


class Parcel(Outgoing[OutgoingState]):
    """Keeps what it takes, and is completed by its own thread when it is told to stop."""

    KIND = "parcel"

    def __init__(
        self,
        room: Room,
        on_change: Callable[[OutgoingState], None] | None = None,
        intake: Intake | None = None,
    ) -> None:
        state = OutgoingState("id", "going", started_at=1.0)
        super().__init__(room, state, intake or Intake(), on_change)
        self.taken: list[Item] = []
        self.thread: threading.Thread | None = None

    def start(self, *args: object) -> None:
        self._not_started()
        self._begin(self._run, *args)

    async def stop(self) -> OutgoingState:
        await self._finish()
        return self._state

    def change(self, **changes: Any) -> None:
        self._change(**changes)

    def _run(self, before_end: Callable[[], None] | None = None) -> None:
        self.thread = threading.current_thread()
        while not self.taken or not isinstance(self.taken[-1], Mark):
            self.taken.append(self._intake.take())
        if before_end is not None:
            before_end()
        self._loop.call_soon_threadsafe(self._ended)

    def _ended(self) -> None:
        self._change(state="completed", duration=2.5, ended_at=9.0)


def threads() -> list[threading.Thread]:
    return [one for one in threading.enumerate() if one.name == Parcel.KIND]


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Any:
    yield
    assert threads() == []


def test_clients_know_the_state_by_these_words() -> None:
    state = OutgoingState("id", "going", 1.0)
    wire = {"id": "id", "state": "going", "duration": None, "started_at": 1.0, "ended_at": None}
    assert state.to_wire() == wire
    done = replace(state, state="completed", duration=2.5, ended_at=9.0)
    assert done.to_wire() == {**wire, "state": "completed", "duration": 2.5, "ended_at": 9.0}


async def test_from_its_start_on_a_thread_of_its_own_takes_what_the_room_gives() -> None:
    room, changes = Room(), list[OutgoingState]()
    parcel = Parcel(room, changes.append)
    assert (parcel.id, parcel.state.started_at, room.taps) == ("id", 1.0, [])
    before = time.time()
    parcel.start()
    assert before <= parcel.state.started_at <= time.time()
    # The start itself is no news.
    assert changes == []
    (thread,) = threads()
    assert thread.daemon
    for at in (5.0, 6.0):
        room.picture(at)
    began = time.monotonic()
    await parcel.stop()
    *pictures, mark = parcel.taken
    assert [(type(item), item.at) for item in pictures] == [(Picture, 5.0), (Picture, 6.0)]
    assert isinstance(mark, Mark)
    assert mark.kind == "stop"
    assert began <= mark.at <= time.monotonic()
    assert parcel.thread is thread


async def test_nothing_is_fed_after_its_end() -> None:
    room = Room()
    one, other = Parcel(room), Parcel(room)
    one.start()
    other.start()
    await one.stop()
    # Of the others' taps none is taken away.
    assert len(room.taps) == 1
    room.picture(5.0)
    await other.stop()
    assert [item.at for item in other.taken[:-1]] == [5.0]
    assert len(one.taken) == 1
    assert room.taps == []


async def test_what_the_thread_has_told_is_done_when_the_wait_for_it_ends() -> None:
    changes: list[OutgoingState] = []
    parcel = Parcel(Room(), changes.append)
    parcel.start()
    state = await parcel.stop()
    assert (state.state, state.duration, state.ended_at) == ("completed", 2.5, 9.0)
    assert changes == [state]
    assert threads() == []


async def test_the_loop_goes_on_while_the_thread_takes_its_time() -> None:
    loop = asyncio.get_running_loop()
    stopping, go_on = asyncio.Event(), threading.Event()

    def before_end() -> None:
        loop.call_soon_threadsafe(stopping.set)
        assert go_on.wait(DEADLINE)

    parcel = Parcel(Room())
    parcel.start(before_end)
    async with asyncio.timeout(DEADLINE):
        stop = asyncio.create_task(parcel.stop())
        await stopping.wait()
        assert not stop.done()
        assert parcel.state.state == "going"
        go_on.set()
        assert (await stop).state == "completed"


async def test_the_end_can_be_asked_for_again() -> None:
    changes: list[OutgoingState] = []
    parcel = Parcel(Room(), changes.append)
    parcel.start()
    first, second = await asyncio.gather(parcel.stop(), parcel.stop())
    assert first is second
    assert await parcel.stop() is first
    assert len(changes) == 1


async def test_one_that_was_never_started_has_no_end() -> None:
    room = Room()
    parcel = Parcel(room)
    with pytest.raises(RuntimeError, match="the parcel was never started"):
        await parcel.stop()
    assert parcel.state.state == "going"


async def test_it_is_started_once() -> None:
    room = Room()
    parcel = Parcel(room)
    parcel.start()
    started_at = parcel.state.started_at
    with pytest.raises(RuntimeError, match="the parcel was started before"):
        parcel.start()
    assert (len(threads()), len(room.taps)) == (1, 1)
    await parcel.stop()
    with pytest.raises(RuntimeError, match="the parcel was started before"):
        parcel.start()
    assert parcel.state.started_at == started_at


async def test_only_a_change_is_told_and_when_it_is_true_already() -> None:
    told: list[tuple[OutgoingState, OutgoingState]] = []
    parcel = Parcel(Room(), lambda state: told.append((state, parcel.state)))
    parcel.change(state="going")
    assert told == []
    parcel.change(state="paused")
    parcel.change(state="paused")
    parcel.change(duration=1.0)
    assert [(one.state, one.duration) for one, _ in told] == [("paused", None), ("paused", 1.0)]
    assert all(given is seen for given, seen in told)


async def test_nobody_has_to_listen() -> None:
    parcel = Parcel(Room())
    parcel.change(state="paused")
    assert parcel.state == OutgoingState("id", "paused", 1.0)


async def test_pictures_that_find_no_room_are_counted() -> None:
    parcel = Parcel(room := Room(), intake=Intake(span=1.0))
    room.tap(parcel._intake)
    for at in (5.0, 6.0, 6.5, 7.0):
        room.picture(at)
    # A second may wait, and no more.
    assert parcel.dropped == 2

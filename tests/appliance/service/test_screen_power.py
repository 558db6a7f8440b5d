from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import pytest

from appliance.service.screen_power import RETRY, ScreenKeeper, ScreenUse
from appliance.service.state import DeviceState
from hal.controls import Status
from hal.display.cec import ScreenPower
from hal.errors import DeviceUnplugged

IDLE = 900.0
DEADLINE = 30.0


def test_the_screen_goes_off_when_nobody_has_been_for_long() -> None:
    use = ScreenUse(IDLE, 0.0)
    assert use.wanted(899.0, None)
    assert not use.wanted(900.0, None)
    assert not use.wanted(901.0, 0), "alone in the room is nobody"
    use.used(1000.0)
    assert use.wanted(1899.0, 0)
    assert not use.wanted(1900.0, 0)
    assert use.wanted(2000.0, 1), "somebody has come in"
    assert use.wanted(2899.0, 0)
    assert not use.wanted(2900.0, 0)


def test_setting_out_for_the_room_switches_it_on_and_getting_back_does_not() -> None:
    use = ScreenUse(IDLE, 0.0)
    for number, (status, on) in enumerate(
        [
            (Status.JOINING, True),
            (Status.IN_ROOM, False),
            (Status.RECONNECTING, False),
            (Status.IN_ROOM, False),
            (Status.JOINING, False),
            (Status.FAULT, False),
            (Status.JOINING, False),
            (Status.IDLE, False),
            (Status.JOINING, True),
        ],
        1,
    ):
        use.moved(status, number * 10_000.0)
        assert use.wanted(number * 10_000.0, None) is on, (number, status)


def test_it_never_goes_off_by_itself_when_so_configured() -> None:
    assert ScreenUse(0.0, 0.0).wanted(1e9, None)


@dataclass
class FakePower(ScreenPower):
    """Remembers its orders; fails while `broken`."""

    orders: list[str] = field(default_factory=list)
    threads: set[int] = field(default_factory=set)
    broken: bool = False

    def wake(self) -> None:
        self._order("on")

    def standby(self) -> None:
        self._order("off")

    def _order(self, order: str) -> None:
        self.threads.add(threading.get_ident())
        self.orders.append(order)
        if self.broken:
            raise DeviceUnplugged("the screen does not answer; switch its CEC on")


class Room:
    """A keeper on a clock of the test's own."""

    def __init__(self) -> None:
        self.now = 0.0
        self.others: int | None = None
        self.power = FakePower()
        self.state = DeviceState()
        self.remarks: list[str | None] = []
        self.keeper = ScreenKeeper(
            self.power,
            IDLE,
            self.state,
            lambda: self.others,
            remark=self.remarks.append,
            clock=lambda: self.now,
            every=0.01,
        )

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE):
            while not holds():
                await asyncio.sleep(0.01)


@pytest.fixture
async def room() -> AsyncIterator[Room]:
    room = Room()
    room.keeper.start()
    await room.until(lambda: bool(room.power.orders))
    yield room
    await room.keeper.stop()
    await room.keeper.stop()


async def test_the_screen_follows_the_people(room: Room) -> None:
    assert room.power.orders == ["on"]
    room.now = IDLE
    await room.until(lambda: room.power.orders == ["on", "off"])
    room.keeper.used()
    await room.until(lambda: room.power.orders == ["on", "off", "on"])
    room.now = 2 * IDLE
    await room.until(lambda: len(room.power.orders) == 4)
    room.others = 2
    await room.until(lambda: len(room.power.orders) == 5)
    room.now, room.others = 3 * IDLE, 0
    await room.until(lambda: len(room.power.orders) == 6)
    room.state.move(Status.JOINING)
    await room.until(lambda: len(room.power.orders) == 7)
    assert room.power.orders == ["on", "off"] * 3 + ["on"]
    assert threading.get_ident() not in room.power.threads, "the loop does not wait for a screen"


async def test_a_screen_that_does_not_obey_is_told_and_tried_again(room: Room) -> None:
    room.power.broken = True
    room.now = IDLE
    await room.until(lambda: len(room.power.orders) == 2)
    await room.until(lambda: len(room.remarks) == 2)
    assert room.remarks[-1] is not None
    assert "does not answer" in room.remarks[-1]
    room.power.broken = False
    room.now = IDLE + RETRY - 1
    looks = 0

    def nobody() -> int:
        nonlocal looks
        looks += 1
        return 0

    room.keeper._others = nobody
    await room.until(lambda: looks > 5)
    assert len(room.power.orders) == 2, "not before its time"
    room.now = IDLE + RETRY
    await room.until(lambda: len(room.power.orders) == 3)
    await room.until(lambda: room.remarks[-1] is None)

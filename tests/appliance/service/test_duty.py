from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable

import pytest

from appliance.provisioning.config import PolicyConfig
from appliance.service.duty import Duty
from appliance.service.policy import Policy

DEADLINE = 30


class Room:
    """What attends, and what can be seen of it."""

    def __init__(self) -> None:
        self.inside = False
        self.stays = 0
        self.others: int | None = None
        self.reasons: list[str] = []
        self.error: Exception | None = None
        self.wall = dt.datetime(2026, 5, 4, 12, tzinfo=dt.UTC)

    async def attend(self) -> None:
        self.inside, self.stays = True, self.stays + 1
        try:
            if self.error is not None:
                raise self.error
            await asyncio.Event().wait()
        finally:
            # Leaving takes a while.
            await asyncio.sleep(0)
            self.inside = False

    def duty(self, **policy: object) -> Duty:
        config = PolicyConfig.model_validate(policy)
        return Duty(
            Policy(config),
            self.attend,
            lambda: self.others,
            self.reasons.append,
            wall=lambda: self.wall,
            every=0.01,
        )


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE):
        while not holds():
            await asyncio.sleep(0.005)


async def test_it_is_called_in_and_goes_with_the_quiet_hours() -> None:
    room = Room()
    duty = room.duty(auto_join=False, quiet_from="19:00", quiet_until="07:00")
    task = asyncio.create_task(duty.run())
    await until(lambda: room.reasons == ["press the button to join"])
    assert duty.idle
    duty.called()
    await until(lambda: room.inside)
    assert not duty.idle
    room.others = 0
    room.wall = room.wall.replace(hour=19)
    await until(lambda: len(room.reasons) == 2)
    assert not room.inside
    assert room.reasons[1].startswith("quiet hours until 07:00")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert room.stays == 1


async def test_from_one_room_to_the_other_it_is_not_idle() -> None:
    room = Room()
    duty = room.duty()
    idle: list[bool] = []

    async def elsewhere() -> None:
        await asyncio.Event().wait()

    async def watch() -> None:
        while True:
            idle.append(duty.idle)
            await asyncio.sleep(0)

    task = asyncio.create_task(duty.run())
    await until(lambda: room.inside)
    watching = asyncio.create_task(watch())
    duty.visit(elsewhere)
    await until(lambda: not room.inside)
    duty.back()
    await until(lambda: room.stays == 2)
    watching.cancel()
    assert True not in idle
    task.cancel()
    await asyncio.gather(task, watching, return_exceptions=True)


async def test_its_end_is_the_end_of_the_stay() -> None:
    room = Room()
    task = asyncio.create_task(room.duty().run())
    await until(lambda: room.inside)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()
    assert not room.inside
    assert room.reasons == []


async def test_what_attendance_cannot_get_over_is_raised() -> None:
    room = Room()
    room.error = RuntimeError("no way in")
    with pytest.raises(RuntimeError, match="no way in"):
        async with asyncio.timeout(DEADLINE):
            await room.duty().run()


async def test_a_visit_takes_the_place_of_home_and_gives_it_back() -> None:
    home, there, elsewhere = Room(), Room(), Room()
    ends = asyncio.Event()

    async def visit() -> None:
        assert not home.inside, "never in two rooms"
        attending = asyncio.create_task(there.attend())
        try:
            await ends.wait()
        finally:
            attending.cancel()
            await asyncio.gather(attending, return_exceptions=True)

    duty = home.duty()
    task = asyncio.create_task(duty.run())
    await until(lambda: home.inside)
    duty.visit(visit)
    await until(lambda: there.inside)
    # One that ends by itself leads home, one that gives way to another does not.
    duty.visit(elsewhere.attend)
    await until(lambda: elsewhere.inside)
    assert (there.inside, home.inside, home.stays) == (False, False, 1)
    duty.visit(visit)
    await until(lambda: there.inside)
    ends.set()
    await until(lambda: home.inside)
    assert not there.inside
    duty.visit(elsewhere.attend)
    await until(lambda: elsewhere.inside)
    duty.back()
    await until(lambda: home.inside)
    assert not elsewhere.inside
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert not home.inside

"""Joining and joining again, with a session that does as the test says."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any, Self, cast

import pytest

from appliance.room import RECONNECTION_ATTEMPT_TIMEOUT, Payload, RoomSession
from appliance.room.emitter import EventEmitter
from appliance.service import attendance
from appliance.service.attendance import Attendance
from appliance.signaling.errors import AuthError, Disconnected
from hal.controls import Status


class FakeSession(EventEmitter):
    """A session whose join raises what it is given."""

    member_id = "m"

    def __init__(self, failure: Exception | None) -> None:
        super().__init__()
        self.failure = failure
        self.active = False
        self.ended = False
        self.received = 0
        self.flows = True
        self.connection_error: Exception | None = None

    def stats(self) -> dict[str, int | float]:
        self.received += self.flows
        return {"bytes_received": self.received}

    async def join(self) -> Self:
        if self.failure is not None:
            raise self.failure
        self.active = True
        return self

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.active, self.ended = False, True

    def leave(self, reason: str | None) -> None:
        self.emit("room.left", Payload({"reason": reason}))


class Scene:
    """An attendance with its surroundings."""

    def __init__(
        self,
        failures: list[Exception | None],
        *,
        patient: bool = True,
        visitor: bool = False,
    ) -> None:
        self.failures = failures
        self.sessions: list[FakeSession] = []
        self.ends = 0
        self.told: list[tuple[Status, str]] = []
        self.changed = asyncio.Event()
        self.attendance = Attendance(
            self.make,
            self.token,
            on_begin=lambda session: None,
            on_end=self.end,
            on_status=self.status,
            patient=patient,
            visitor=visitor,
        )

    def make(self, token: str) -> RoomSession:
        failure = self.failures.pop(0) if self.failures else None
        self.sessions.append(FakeSession(failure))
        return cast("RoomSession", self.sessions[-1])

    async def token(self) -> str:
        return "token"

    async def end(self) -> None:
        self.ends += 1

    def status(self, status: Status, reason: str) -> None:
        self.told.append((status, reason))
        self.changed.set()

    async def until(self, status: Status, times: int = 1) -> None:
        async with asyncio.timeout(20):
            while [one for one, _ in self.told].count(status) < times:
                self.changed.clear()
                await self.changed.wait()


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waits that were asked for; none is really waited."""
    waits: list[float] = []

    def jittered(seconds: float) -> float:
        waits.append(seconds)
        return 0.0

    monkeypatch.setattr(attendance, "_jittered", jittered)
    monkeypatch.setattr(attendance, "REMOVED_RETRY", 0.0)
    return waits


@pytest.fixture
async def running() -> AsyncIterator[list[asyncio.Task[None]]]:
    tasks: list[asyncio.Task[None]] = []
    yield tasks
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


Tasks = list[asyncio.Task[None]]


async def test_it_joins_and_leaves_when_it_is_cancelled(waits: list[float]) -> None:
    scene = Scene([])
    task = asyncio.create_task(scene.attendance.run())
    await scene.until(Status.IN_ROOM)
    assert scene.attendance.session is not None
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert scene.sessions[0].ended
    assert scene.ends == 1
    assert scene.attendance.session is None


async def test_a_hub_that_is_not_there_is_waited_for_and_told_of_once(
    waits: list[float], running: Tasks, caplog: pytest.LogCaptureFixture
) -> None:
    failures: list[Exception | None] = [Disconnected("no hub at ws://x; start it")] * 12
    scene = Scene(failures)
    with caplog.at_level(logging.INFO):
        running.append(asyncio.create_task(scene.attendance.run()))
        await scene.until(Status.IN_ROOM)
    assert len(waits) == 12
    assert waits == sorted(waits)
    assert (waits[0], waits[-1]) == (1.0, 30.0)
    assert caplog.text.count("no hub at ws://x") == 1
    assert (Status.JOINING, "no hub at ws://x; start it") in scene.told
    assert all(session.ended for session in scene.sessions[:12])


async def test_a_refused_token_is_a_fault_that_is_tried_again_slowly(
    waits: list[float], running: Tasks
) -> None:
    scene = Scene([AuthError(-32002, "expired")])
    running.append(asyncio.create_task(scene.attendance.run()))
    await scene.until(Status.IN_ROOM)
    assert waits == [30.0]
    fault = next(reason for status, reason in scene.told if status is Status.FAULT)
    assert "get a new token" in fault


@pytest.mark.parametrize("reason", [None, RECONNECTION_ATTEMPT_TIMEOUT])
async def test_it_goes_back_when_it_has_left(
    waits: list[float], running: Tasks, reason: str | None
) -> None:
    scene = Scene([])
    running.append(asyncio.create_task(scene.attendance.run()))
    await scene.until(Status.IN_ROOM)
    scene.sessions[0].leave(reason)
    await scene.until(Status.IN_ROOM, times=2)
    assert scene.sessions[0].ended
    assert len(scene.sessions) == 2
    if reason is None:
        assert (Status.IDLE, "the room ended, or removed this device") in scene.told
    else:
        assert (Status.JOINING, "the room was lost") in scene.told


async def test_the_state_follows_the_media(waits: list[float], running: Tasks) -> None:
    scene = Scene([])
    running.append(asyncio.create_task(scene.attendance.run()))
    await scene.until(Status.IN_ROOM)
    scene.sessions[0].emit("media.reconnecting")
    assert scene.told[-1] == (Status.RECONNECTING, "")
    scene.sessions[0].emit("media.connected")
    assert scene.told[-1] == (Status.IN_ROOM, "")


async def test_the_first_failure_ends_an_impatient_one(waits: list[float]) -> None:
    scene = Scene([Disconnected("no hub")], patient=False)
    with pytest.raises(Disconnected):
        await scene.attendance.run()
    assert scene.sessions[0].ended


async def test_once_it_was_in_the_room_it_is_patient(waits: list[float], running: Tasks) -> None:
    scene = Scene([None, Disconnected("no hub")], patient=False)
    running.append(asyncio.create_task(scene.attendance.run()))
    await scene.until(Status.IN_ROOM)
    scene.sessions[0].leave(RECONNECTION_ATTEMPT_TIMEOUT)
    await scene.until(Status.IN_ROOM, times=2)
    assert len(scene.sessions) == 3


async def test_silence_of_the_room_is_said_and_ends(
    waits: list[float], running: Tasks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attendance, "LOOK_EVERY", 0.01)
    monkeypatch.setattr(attendance, "SILENT_AFTER", 0.05)
    scene = Scene([])
    running.append(asyncio.create_task(scene.attendance.run()))
    await scene.until(Status.IN_ROOM)
    scene.sessions[0].flows = False
    await scene.until(Status.RECONNECTING)
    assert scene.told[-1] == (Status.RECONNECTING, "nothing comes from the room server")
    # Once there is a cause, it is told.
    scene.sessions[0].connection_error = Disconnected("cannot reach the hub: connection refused")
    await scene.until(Status.RECONNECTING, times=2)
    assert scene.told[-1] == (Status.RECONNECTING, "cannot reach the hub: connection refused")
    scene.sessions[0].connection_error = None
    scene.sessions[0].flows = True
    await scene.until(Status.IN_ROOM, times=2)
    assert len(scene.sessions) == 1


@pytest.mark.parametrize("ever", [False, True])
async def test_a_room_that_stays_silent_is_joined_anew(
    waits: list[float], running: Tasks, monkeypatch: pytest.MonkeyPatch, ever: bool
) -> None:
    monkeypatch.setattr(attendance, "LOOK_EVERY", 0.01)
    monkeypatch.setattr(attendance, "LOST_AFTER" if ever else "NEVER_AFTER", 0.05)
    scene = Scene([])
    running.append(asyncio.create_task(scene.attendance.run()))
    await scene.until(Status.JOINING)
    async with asyncio.timeout(20):
        while not scene.sessions:
            await asyncio.sleep(0)
        scene.sessions[0].flows = ever
        while ever and scene.sessions[0].received < 3:
            await asyncio.sleep(0.005)
        scene.sessions[0].flows = False
    await scene.until(Status.IN_ROOM, times=2)
    assert scene.sessions[0].ended
    assert (Status.JOINING, "the room was lost") in scene.told


def test_waits_are_spread(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Any] = [attendance._jittered(10.0) for _ in range(200)]
    assert min(drawn) >= 5.0
    assert max(drawn) <= 10.0
    assert max(drawn) - min(drawn) > 2.0


async def test_a_visitor_that_is_removed_does_not_come_back(waits: list[float]) -> None:
    scene = Scene([None], visitor=True)
    task = asyncio.create_task(scene.attendance.run())
    await scene.until(Status.IN_ROOM)
    scene.sessions[0].leave(None)
    await asyncio.wait_for(task, 20)
    assert len(scene.sessions) == 1
    assert Status.IDLE not in [status for status, _ in scene.told]


async def test_a_visitor_that_is_turned_away_later_says_so(waits: list[float]) -> None:
    scene = Scene([None, Disconnected("gone"), AuthError(-32002, "no")], visitor=True)
    task = asyncio.create_task(scene.attendance.run())
    await scene.until(Status.IN_ROOM)
    scene.sessions[0].leave(RECONNECTION_ATTEMPT_TIMEOUT)
    with pytest.raises(AuthError):
        await asyncio.wait_for(task, 20)
    assert len(scene.sessions) == 3, "what may mend itself is waited for"

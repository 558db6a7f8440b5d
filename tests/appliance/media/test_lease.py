"""The lease: what closes when the loop stands still."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from appliance.media.gate import MicGate, Party
from appliance.media.lease import Lease


@pytest.fixture
def gate() -> MicGate:
    gate = MicGate()
    gate.unmute(Party.START)
    return gate


async def test_a_loop_that_lives_keeps_it(gate: MicGate) -> None:
    lease = Lease([gate], limit=10.0)
    lease.start()
    epoch = gate.epoch
    for _ in range(20):
        await asyncio.sleep(0.001)
        lease.check()
    assert gate.is_open
    assert gate.epoch == epoch
    lease.stop()


async def test_whoever_asks_while_the_loop_hangs_closes_the_gate(gate: MicGate) -> None:
    lease = Lease([gate], limit=0.05)
    lease.start()
    states: list[tuple[bool, frozenset[Party]]] = []

    def capture() -> None:
        end = time.monotonic() + 30
        while gate.is_open and time.monotonic() < end:
            lease.check()
            threading.Event().wait(0.002)
        states.append((gate.is_open, gate.closers))

    thread = threading.Thread(target=capture)
    thread.start()
    thread.join()  # the loop stands still here
    assert states == [(False, frozenset({Party.LEASE}))]
    assert gate.last is not None
    assert "stood still" in gate.last.why
    async with asyncio.timeout(30):
        while not gate.is_open:
            await asyncio.sleep(0.005)
    lease.stop()


async def test_what_was_captured_before_is_stale_even_if_nobody_noticed(gate: MicGate) -> None:
    lease = Lease([gate], limit=0.01)
    lease.start()
    epoch = gate.epoch
    threading.Event().wait(0.05)
    lease.check()  # on the loop's own thread: it is back
    assert gate.is_open
    assert gate.epoch > epoch
    lease.stop()


async def test_it_opens_nothing_that_another_holds(gate: MicGate) -> None:
    lease = Lease([gate], limit=0.01)
    lease.start()
    threading.Event().wait(0.05)
    other = threading.Thread(target=lease.check)
    other.start()
    other.join()
    gate.mute(Party.ROOM)
    lease.check()
    assert gate.closers == {Party.ROOM}
    lease.stop()


async def test_a_closed_gate_that_nobody_captures_behind_keeps_its_light_and_its_log(
    gate: MicGate, caplog: pytest.LogCaptureFixture
) -> None:
    lease = Lease([gate], limit=0.01)
    lease.start()
    gate.mute(Party.ROOM)
    changes: list[frozenset[Party]] = []
    gate.subscribe(lambda moved: changes.append(moved.closers))
    threading.Event().wait(0.05)
    lease.check()
    lease.stop()
    assert changes == []
    assert not caplog.records


async def test_it_holds_nothing_before_the_start_and_after_the_stop(gate: MicGate) -> None:
    lease = Lease([gate], limit=0.0)
    lease.check()
    assert gate.is_open
    lease.start()
    lease.stop()
    lease.check()
    assert gate.is_open

"""The lease: what closes when the loop stands still."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from appliance.media.gate import MicGate, Party
from appliance.media.lease import NEWS_EVERY, Lease, Standstills


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


def stand_still(lease: Lease) -> None:
    """The loop's thread stands still until a capture's thread has closed the gates."""
    threading.Event().wait(0.05)
    other = threading.Thread(target=lease.check)
    other.start()
    other.join()
    lease.check()


async def test_the_log_is_told_of_the_first_at_once_and_of_the_rest_together(
    gate: MicGate, caplog: pytest.LogCaptureFixture
) -> None:
    lease = Lease([gate], limit=0.01)
    lease.start()
    states: list[bool] = []
    gate.subscribe(lambda moved: states.append(moved.is_open))
    for _ in range(3):
        stand_still(lease)
        assert len(caplog.records) == 1
    assert states == [False, True] * 3, "what is told less often closes as often"
    lease.stop()
    first, rest = caplog.messages
    assert first.startswith("the loop stood still for ")
    assert "again: 2 x" in rest
    lease.stop()
    assert len(caplog.records) == 2


def test_a_loop_that_goes_on_standing_still_is_one_line_a_minute(
    caplog: pytest.LogCaptureFixture,
) -> None:
    news = Standstills()
    for second in range(1800):
        news.add(0.1 if second % 50 else 0.1 + second / 1000, 7000.0 + second)
    assert 30 <= len(caplog.records) <= 31
    news.tell(8800.0)
    counts = [record.args[0] for record in caplog.records[1:] if isinstance(record.args, tuple)]
    assert 1 + sum(counts) == 1800, "none is lost"
    assert "60 x in the last 60 s, for 150 ms at the longest" in caplog.messages[1]


def test_what_waits_to_be_told_is_told_when_the_loop_is_well_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    news = Standstills()
    news.look(0.0)
    news.add(0.2, 10.0)
    news.add(0.3, 11.0)
    news.look(10.0 + NEWS_EVERY - 0.1)
    assert len(caplog.records) == 1
    news.look(10.0 + NEWS_EVERY)
    news.look(10.0 + 9 * NEWS_EVERY)
    assert caplog.messages[1:] == [
        "the loop stood still again: 1 x in the last 60 s, for 300 ms at the longest; "
        "nothing was let through meanwhile"
    ]
    # After a quiet minute the next one is news.
    news.add(0.4, 10.0 + 9 * NEWS_EVERY)
    assert "for 400 ms;" in caplog.messages[2]

"""The hook that comes before an opening."""

from __future__ import annotations

import logging

import pytest

from appliance.media.gate import Gate, MicGate, Party


def test_it_is_called_while_the_gate_is_still_closed() -> None:
    gate = MicGate()
    seen: list[bool] = []
    gate.before_open = lambda: seen.append(gate.is_open)
    assert gate.unmute(Party.START)
    assert seen == [False]
    gate.mute(Party.ROOM)
    gate.mute(Party.REMOTE)
    gate.unmute(Party.REMOTE)
    assert seen == [False]
    gate.unmute(Party.ROOM)
    assert seen == [False, False]


def test_where_it_raises_the_watchdog_holds_the_gate(caplog: pytest.LogCaptureFixture) -> None:
    gate = MicGate()
    told: list[frozenset[Party]] = []

    def observer(changed: Gate) -> None:
        told.append(changed.closers)

    def fail() -> None:
        raise OSError("no light")

    gate.subscribe(observer)
    gate.before_open = fail
    with caplog.at_level(logging.WARNING):
        assert not gate.unmute(Party.ROOM)
    assert "no light" in caplog.text
    assert told == [{Party.WATCHDOG}]
    assert gate.epoch == 0
    assert not gate.unmute(Party.WATCHDOG)
    assert told == [{Party.WATCHDOG}]
    gate.before_open = None
    assert gate.unmute(Party.WATCHDOG)
    assert gate.epoch == 1

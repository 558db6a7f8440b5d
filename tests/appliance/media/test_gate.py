"""The gate: who closes, who opens, and when it takes effect."""

from __future__ import annotations

import threading
from fractions import Fraction

import numpy as np
import pytest
from av import AudioFrame
from hypothesis import given
from hypothesis import strategies as st

from appliance.media.gate import CameraGate, Gate, MicGate, Party


def period(value: int = 1000) -> AudioFrame:
    frame = AudioFrame.from_ndarray(np.full((1, 480), value, np.int16), format="s16", layout="mono")
    frame.sample_rate = 48_000
    frame.pts = 4800
    frame.time_base = Fraction(1, 48_000)
    return frame


def test_closed_until_the_first_state_is_known() -> None:
    gate = MicGate()
    assert not gate.is_open
    assert not gate.admit(period()).to_ndarray().any()
    assert gate.unmute(Party.START)
    assert (gate.admit(period()).to_ndarray() == 1000).all()


def test_silence_keeps_shape_and_time() -> None:
    silent = MicGate().admit(period())
    assert (silent.samples, silent.sample_rate, silent.pts) == (480, 48_000, 4800)
    assert silent.time_base == Fraction(1, 48_000)
    assert silent.layout.name == "mono"


@pytest.mark.parametrize(
    ("closer", "opener", "opens"),
    [
        (Party.ROOM, Party.ROOM, True),
        (Party.ROOM, Party.SOFTWARE, False),
        (Party.ROOM, Party.REMOTE, False),
        (Party.CONFIG, Party.ROOM, True),
        (Party.CONFIG, Party.SOFTWARE, False),
        (Party.CONFIG, Party.REMOTE, False),
        (Party.CONFIG, Party.START, False),
        (Party.CONFIG, Party.LATCH, False),
        (Party.REMOTE, Party.ROOM, True),
        (Party.REMOTE, Party.SOFTWARE, True),
        (Party.REMOTE, Party.REMOTE, True),
        (Party.SOFTWARE, Party.ROOM, True),
        (Party.SOFTWARE, Party.SOFTWARE, True),
        (Party.SOFTWARE, Party.REMOTE, True),
        (Party.LATCH, Party.ROOM, False),
        (Party.LATCH, Party.SOFTWARE, False),
        (Party.LATCH, Party.REMOTE, False),
        (Party.LATCH, Party.LATCH, True),
        (Party.WATCHDOG, Party.ROOM, False),
        (Party.WATCHDOG, Party.WATCHDOG, True),
    ],
)
def test_who_may_undo_whom(closer: Party, opener: Party, opens: bool) -> None:
    gate = MicGate(allow_remote_unmute=True)
    gate.unmute(Party.START)
    gate.mute(closer)
    assert gate.unmute(opener) is opens
    assert gate.is_open is opens


def test_a_remote_party_cannot_open_unless_allowed() -> None:
    gate = MicGate()
    gate.unmute(Party.START)
    gate.mute(Party.REMOTE)
    assert not gate.unmute(Party.REMOTE)
    assert gate.closers == {Party.REMOTE}


def test_observers_see_the_state_after_the_change_on_the_changing_thread() -> None:
    gate = CameraGate()
    seen: list[tuple[bool, int]] = []
    unsubscribe = gate.subscribe(lambda g: seen.append((g.is_open, threading.get_ident())))
    gate.unmute(Party.START)
    gate.mute(Party.ROOM)
    gate.mute(Party.ROOM)
    unsubscribe()
    gate.unmute(Party.ROOM)
    here = threading.get_ident()
    assert seen == [(True, here), (False, here)]


def test_an_observer_that_fails_stops_neither_the_gate_nor_the_others() -> None:
    gate = MicGate()
    seen: list[bool] = []

    def broken(_: Gate) -> None:
        raise RuntimeError("LED")

    gate.subscribe(broken)
    gate.subscribe(lambda g: seen.append(g.is_open))
    gate.unmute(Party.START)
    assert gate.is_open
    assert seen == [True]


@given(
    st.booleans(),
    st.lists(st.tuples(st.sampled_from(Party), st.booleans()), max_size=40),
)
def test_never_open_while_anybody_holds_it(allow: bool, acts: list[tuple[Party, bool]]) -> None:
    gate = MicGate(allow_remote_unmute=allow)
    changes = 0
    was_open = False
    for party, close in acts:
        before = gate.closers
        if close:
            gate.mute(party)
            assert party in gate.closers
        else:
            gate.unmute(party)
            if party is Party.REMOTE and not allow:
                assert gate.closers == before
            if party is not Party.LATCH:
                assert (Party.LATCH in before) == (Party.LATCH in gate.closers)
            if party is not Party.ROOM:
                assert (Party.ROOM in before) == (Party.ROOM in gate.closers)
        assert gate.is_open is not bool(gate.closers)
        assert bool(gate.admit(period()).to_ndarray().any()) is gate.is_open
        changes += gate.is_open is not was_open
        was_open = gate.is_open
        assert gate.epoch == changes


def test_the_epoch_changes_after_the_closers() -> None:
    """A thread that reads the epoch and then asks the gate must not get a new epoch with the
    old answer: what it admits would pass for fresh."""
    order: list[str] = []

    class Watched(MicGate):
        def __setattr__(self, name: str, value: object) -> None:
            if name in ("_closers", "_epoch"):
                order.append(name)
            super().__setattr__(name, value)

    gate = Watched()
    order.clear()
    gate.unmute(Party.START)
    gate.mute(Party.ROOM)
    assert order == ["_closers", "_epoch"] * 2

"""One gate held closed together with another."""

from __future__ import annotations

import threading

import pytest

from appliance.media.gate import MicGate, Party
from appliance.room.gate_link import GateLink


def open_gate() -> MicGate:
    gate = MicGate()
    gate.unmute(Party.START)
    return gate


@pytest.mark.parametrize("party", [Party.ROOM, Party.CONFIG, Party.LATCH, Party.WATCHDOG])
def test_people_and_safety_hold_both(party: Party) -> None:
    leader, gate = open_gate(), open_gate()
    link = GateLink(leader, gate, whole=False)
    leader.mute(party)
    assert gate.closers == {Party.LATCH}
    leader.unmute(party)
    assert gate.is_open
    link.close()
    leader.mute(party)
    assert gate.is_open


@pytest.mark.parametrize("party", [Party.SOFTWARE, Party.REMOTE, Party.START])
def test_others_hold_both_only_for_the_same_device(party: Party) -> None:
    leader, gate = open_gate(), open_gate()
    link = GateLink(leader, gate, whole=False)
    leader.mute(party)
    assert gate.is_open
    link.whole = True
    assert not gate.is_open
    link.whole = False
    assert gate.is_open


def test_closed_from_the_beginning() -> None:
    leader, gate = open_gate(), open_gate()
    leader.mute(Party.ROOM)
    GateLink(leader, gate, whole=False)
    assert not gate.is_open


def test_what_else_holds_the_gate_stays() -> None:
    leader, gate = open_gate(), open_gate()
    GateLink(leader, gate, whole=False)
    gate.mute(Party.SOFTWARE)
    leader.mute(Party.ROOM)
    leader.unmute(Party.ROOM)
    assert gate.closers == {Party.SOFTWARE}


def test_many_threads_end_on_the_last_state() -> None:
    leader, gate = open_gate(), open_gate()
    GateLink(leader, gate, whole=True)

    def press(party: Party) -> None:
        for _ in range(300):
            leader.mute(party)
            leader.unmute(party)
        leader.mute(party)

    parties = (Party.LATCH, Party.WATCHDOG)
    threads = [threading.Thread(target=press, args=(party,)) for party in parties]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not gate.is_open

"""One light for several microphones."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest

from appliance.media.gate import CameraGate, MicGate, Party
from appliance.room.gate_link import GateLink
from appliance.service.console import Console
from hal.controls import Tally
from hal.controls.virtual import VirtualControls
from hal.errors import DeviceUnplugged


class Witness(VirtualControls):
    """A light that looks at all gates each time it is driven."""

    def __init__(self, *gates: MicGate) -> None:
        super().__init__()
        self.gates = gates
        self.lies = 0
        self.fails = False

    def set_tally(self, tally: Tally) -> None:
        if self.fails:
            raise DeviceUnplugged("the light is broken; mend it")
        super().set_tally(tally)
        self.lies += tally is not Tally.LIVE and any(gate.is_open for gate in self.gates)


class Rig:
    def __init__(self) -> None:
        self.first, self.second = MicGate(), MicGate()
        self.controls = Witness(self.first, self.second)
        self.console = Console(self.controls, self.first, CameraGate(), retry_after=0.01)
        self.end = self.console.watch(self.second)
        self.link = GateLink(self.first, self.second, whole=False)

    @property
    def light(self) -> Tally:
        return self.controls.state.tally


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    rig = Rig()
    await rig.console.start()
    rig.first.unmute(Party.START)
    rig.second.unmute(Party.START)
    yield rig
    rig.second.mute(Party.START)
    await rig.console.stop()
    assert rig.controls.lies == 0


async def test_red_only_while_all_are_closed(rig: Rig) -> None:
    rig.first.mute(Party.SOFTWARE)
    assert rig.second.is_open
    assert rig.light is Tally.LIVE
    rig.second.mute(Party.SOFTWARE)
    assert rig.light is Tally.MUTED
    rig.second.unmute(Party.SOFTWARE)
    assert rig.light is Tally.LIVE


async def test_a_button_closes_both_and_then_it_is_red(rig: Rig) -> None:
    rig.first.mute(Party.ROOM)
    assert not rig.second.is_open
    assert rig.light is Tally.MUTED


async def test_one_that_has_ended_counts_no_more(rig: Rig) -> None:
    rig.first.mute(Party.SOFTWARE)
    rig.second.mute(Party.START)
    rig.end()
    assert rig.light is Tally.MUTED
    rig.second.unmute(Party.START)
    assert rig.light is Tally.MUTED
    rig.second.mute(Party.START)


async def test_a_broken_light_opens_none(rig: Rig) -> None:
    rig.first.mute(Party.SOFTWARE)
    rig.second.mute(Party.SOFTWARE)
    rig.controls.fails = True
    rig.second.unmute(Party.SOFTWARE)
    assert not rig.second.is_open
    async with asyncio.timeout(30):
        while Party.WATCHDOG not in rig.first.closers:
            await asyncio.sleep(0.005)
    assert not rig.second.is_open
    rig.controls.fails = False
    async with asyncio.timeout(30):
        while not rig.second.is_open:
            await asyncio.sleep(0.005)
    assert rig.light is Tally.LIVE


async def test_two_threads_never_make_it_lie(rig: Rig) -> None:
    begin = threading.Barrier(3)

    def move(gate: MicGate) -> None:
        begin.wait()
        for _ in range(500):
            gate.mute(Party.SOFTWARE)
            gate.unmute(Party.SOFTWARE)

    threads = [threading.Thread(target=move, args=(gate,)) for gate in (rig.first, rig.second)]
    for thread in threads:
        thread.start()
    begin.wait()
    for thread in threads:
        await asyncio.to_thread(thread.join, 60)
        assert not thread.is_alive()
    assert rig.light is Tally.LIVE

"""The tally light against the gate: the order of the two is what is tested."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from appliance.media.gate import CameraGate, MicGate, Party
from appliance.service.console import Console
from hal.controls import Button, Status, Tally
from hal.controls.combined import CombinedControls
from hal.controls.virtual import VirtualControls
from hal.errors import DeviceUnplugged, HalError


class WitnessControls(VirtualControls):
    """Virtual controls that look at the gate each time the light is driven."""

    def __init__(self, gate: MicGate, **options: object) -> None:
        super().__init__(**options)  # type: ignore[arg-type]
        self.gate = gate
        self.lies: list[str] = []
        self.fails = False

    def set_tally(self, tally: Tally) -> None:
        if self.fails:
            raise DeviceUnplugged("the light is broken; mend it")
        was_open = self.gate.is_open
        super().set_tally(tally)
        # Red or dark while open would be a lie; so the gate has closed before.  Green comes first.
        if tally is not Tally.LIVE and was_open:
            self.lies.append(f"{tally.value} while open")
        if tally is Tally.LIVE and was_open:
            self.lies.append("green after opening")


class Rig:
    def __init__(
        self, *, cover_microphone: bool = False, long_press: float | None = None, **options: object
    ) -> None:
        self.microphone, self.camera = MicGate(), CameraGate()
        self.controls = WitnessControls(self.microphone, **options)
        self.console = Console(
            self.controls,
            self.microphone,
            self.camera,
            retry_after=0.01,
            cover_microphone=cover_microphone,
            long_press=long_press,
        )
        self.hung_up = 0
        self.console.on_hang_up = self.hang_up

    @property
    def light(self) -> Tally:
        return self.controls.state.tally

    def in_a_call(self) -> None:
        self.microphone.unmute(Party.START)
        self.camera.unmute(Party.START)

    def hang_up(self) -> bool:
        self.hung_up += 1
        return True

    async def tap(self, button: Button) -> None:
        self.controls.tap(button)
        await turn()

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not holds():
                await asyncio.sleep(0.005)


async def turn() -> None:
    """Let what was posted to the loop be done."""
    for _ in range(3):
        await asyncio.sleep(0)


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    rig = Rig(latching=["cover"])
    await rig.console.start()
    yield rig
    await rig.console.stop()
    assert not rig.controls.lies


async def test_the_light_follows_the_call(rig: Rig) -> None:
    assert rig.light is Tally.OFF
    rig.in_a_call()
    assert rig.light is Tally.LIVE
    assert rig.microphone.is_open
    rig.microphone.mute(Party.REMOTE)
    assert rig.light is Tally.MUTED
    rig.microphone.mute(Party.START)
    assert rig.light is Tally.OFF


async def test_the_button_toggles(rig: Rig) -> None:
    rig.in_a_call()
    await rig.tap(Button.MUTE)
    assert rig.light is Tally.MUTED
    assert rig.microphone.closers == {Party.ROOM}
    await rig.tap(Button.MUTE)
    assert rig.light is Tally.LIVE
    assert rig.microphone.is_open


async def test_the_button_opens_what_a_moderator_closed(rig: Rig) -> None:
    rig.in_a_call()
    rig.microphone.mute(Party.REMOTE)
    await rig.tap(Button.MUTE)
    assert rig.microphone.is_open


async def test_the_button_opens_what_the_configuration_closed_at_the_start(rig: Rig) -> None:
    rig.microphone.mute(Party.CONFIG)
    rig.in_a_call()
    assert rig.light is Tally.MUTED
    await rig.tap(Button.MUTE)
    assert rig.microphone.is_open
    assert rig.light is Tally.LIVE


async def test_a_hand_on_the_switch_opens_what_the_configuration_closed_at_the_start() -> None:
    rig = Rig(latching=["mute"])
    rig.microphone.mute(Party.CONFIG)
    await rig.console.start()
    rig.in_a_call()
    assert rig.microphone.closers == {Party.CONFIG}, "no hand has moved it yet"
    await rig.tap(Button.MUTE)
    assert rig.microphone.closers == {Party.CONFIG, Party.LATCH}
    await rig.tap(Button.MUTE)
    assert rig.microphone.is_open
    await rig.console.stop()


async def test_the_button_outside_a_call_opens_nothing(rig: Rig) -> None:
    changes: list[bool] = []
    parties: list[Party | None] = []
    rig.microphone.subscribe(lambda gate: changes.append(gate.is_open))
    rig.microphone.subscribe(lambda gate: parties.append(gate.last and gate.last.by))
    await rig.tap(Button.MUTE)
    assert rig.microphone.closers == {Party.START, Party.ROOM}
    assert rig.light is Tally.OFF
    await rig.tap(Button.MUTE)
    assert rig.microphone.closers == {Party.START}
    assert True not in changes
    assert parties == [Party.ROOM] * 2, "the log of mutes says who it was, once"
    await rig.tap(Button.MUTE)
    rig.in_a_call()
    assert rig.light is Tally.MUTED


async def test_the_camera_button_is_for_the_camera(rig: Rig) -> None:
    rig.in_a_call()
    await rig.tap(Button.CAMERA)
    assert rig.camera.closers == {Party.ROOM}
    assert rig.microphone.is_open
    assert rig.light is Tally.LIVE


async def test_the_volume_buttons_count_steps(rig: Rig) -> None:
    steps: list[int] = []
    rig.console.on_volume = steps.append
    await rig.tap(Button.VOLUME_UP)
    await rig.tap(Button.VOLUME_DOWN)
    assert steps == [5, -5]


async def test_a_switch_holds_what_no_button_opens() -> None:
    rig = Rig(latching=["mute"])
    rig.controls.press(Button.MUTE)  # thrown before the device starts
    await rig.console.start()
    rig.in_a_call()
    assert rig.light is Tally.MUTED
    assert rig.microphone.closers == {Party.LATCH}
    rig.console.pushed(Button.MUTE)  # the panel's button
    assert rig.microphone.closers == {Party.LATCH}
    rig.controls.release(Button.MUTE)
    await turn()
    assert rig.light is Tally.LIVE
    rig.controls.press(Button.MUTE)
    await turn()
    assert rig.light is Tally.MUTED
    await rig.console.stop()


async def test_the_cover_beats_everybody(rig: Rig) -> None:
    rig.in_a_call()
    rig.controls.press(Button.COVER)
    await turn()
    assert rig.camera.closers == {Party.COVER}
    assert rig.camera.last is not None
    assert rig.camera.last.why == "the cover of Virtual controls"
    assert rig.microphone.is_open
    await rig.tap(Button.CAMERA)
    assert rig.camera.closers == {Party.COVER}, "nothing to open, and nothing for later"
    for party in Party:
        if party is not Party.COVER:
            rig.camera.mute(party)
            rig.camera.unmute(party)
            assert Party.COVER in rig.camera.closers
    rig.camera.unmute(Party.ROOM)
    rig.controls.release(Button.COVER)
    await turn()
    assert rig.camera.is_open


async def test_the_camera_button_under_the_cover_keeps_its_word(rig: Rig) -> None:
    rig.in_a_call()
    await rig.tap(Button.CAMERA)
    rig.controls.press(Button.COVER)
    await turn()
    rig.controls.release(Button.COVER)
    await turn()
    assert rig.camera.closers == {Party.ROOM}


async def test_a_cover_for_the_microphone_too() -> None:
    rig = Rig(cover_microphone=True, latching=["cover"])
    rig.controls.press(Button.COVER)  # before the device starts
    await rig.console.start()
    rig.in_a_call()
    assert rig.camera.closers == rig.microphone.closers == {Party.COVER}
    assert rig.light is Tally.MUTED
    await rig.tap(Button.MUTE)
    assert rig.light is Tally.MUTED
    rig.controls.release(Button.COVER)
    await turn()
    assert rig.light is Tally.LIVE
    assert rig.camera.is_open
    await rig.console.stop()
    assert not rig.controls.lies


async def test_a_cover_that_cannot_be_read_counts_as_closed() -> None:
    rig = Rig(latching=["cover"])
    rig.controls.unplug()
    await rig.console.start()
    rig.in_a_call()
    assert rig.camera.closers == {Party.COVER}
    rig.controls.replug()
    await rig.until(lambda: rig.camera.is_open)
    await rig.console.stop()


async def test_who_hangs_up_is_not_heard_any_more(rig: Rig) -> None:
    rig.in_a_call()
    await rig.tap(Button.HANG_UP)
    assert rig.hung_up == 1
    assert rig.microphone.closers == rig.camera.closers == {Party.START}
    assert rig.light is Tally.OFF


@pytest.fixture
async def holding() -> AsyncIterator[Rig]:
    rig = Rig(long_press=0.5)
    await rig.console.start()
    rig.in_a_call()
    yield rig
    await rig.console.stop()
    assert not rig.controls.lies


async def test_a_long_press_hangs_up_and_leaves_the_mute_as_it_was(holding: Rig) -> None:
    holding.controls.press(Button.MUTE)
    await turn()
    assert holding.light is Tally.MUTED, "it closes as the button goes down"
    await holding.until(lambda: holding.hung_up == 1)
    assert holding.microphone.closers == {Party.START}
    holding.controls.release(Button.MUTE)
    await turn()
    holding.in_a_call()
    assert holding.light is Tally.LIVE


async def test_a_long_press_of_a_muted_device_is_never_heard(holding: Rig) -> None:
    opened: list[bool] = []
    await holding.tap(Button.MUTE)
    holding.microphone.subscribe(lambda gate: opened.append(gate.is_open))
    holding.controls.press(Button.MUTE)
    await holding.until(lambda: holding.hung_up == 1)
    holding.controls.release(Button.MUTE)
    await turn()
    assert True not in opened
    assert holding.microphone.closers == {Party.START, Party.ROOM}


async def test_a_short_press_opens_on_its_release(holding: Rig) -> None:
    await holding.tap(Button.MUTE)
    assert holding.light is Tally.MUTED
    holding.controls.press(Button.MUTE)
    await turn()
    assert holding.light is Tally.MUTED
    holding.controls.release(Button.MUTE)
    await turn()
    assert holding.light is Tally.LIVE
    holding.console.pushed(Button.MUTE)  # a panel that knows no release
    assert holding.light is Tally.MUTED
    ended = asyncio.Event()
    asyncio.get_running_loop().call_later(0.7, ended.set)
    await ended.wait()
    assert holding.hung_up == 0


async def test_a_button_that_is_pulled_while_it_is_held_opens_nothing(holding: Rig) -> None:
    await holding.tap(Button.MUTE)
    holding.controls.press(Button.MUTE)
    await turn()
    holding.controls.unplug()
    ended = asyncio.Event()
    asyncio.get_running_loop().call_later(0.7, ended.set)
    await ended.wait()
    assert holding.hung_up == 0
    assert Party.ROOM in holding.microphone.closers


async def test_a_press_that_calls_the_device_in_does_not_hang_up(holding: Rig) -> None:
    holding.console.on_claim = lambda _: True
    holding.controls.press(Button.MUTE)
    ended = asyncio.Event()
    asyncio.get_running_loop().call_later(0.7, ended.set)
    await ended.wait()
    holding.controls.release(Button.MUTE)
    await turn()
    assert holding.hung_up == 0
    assert holding.light is Tally.LIVE


async def test_a_broken_light_keeps_the_gate_closed(rig: Rig) -> None:
    rig.controls.fails = True
    rig.in_a_call()
    assert rig.microphone.closers == {Party.WATCHDOG}
    assert rig.console.tally is Tally.FAULT
    assert "the light is broken" in str(rig.console.error)
    rig.controls.fails = False
    await rig.until(lambda: rig.microphone.is_open)
    assert rig.light is Tally.LIVE
    assert rig.console.error is None


async def test_a_light_that_does_not_turn_red_closes_all_the_same(rig: Rig) -> None:
    rig.in_a_call()
    rig.controls.fails = True
    rig.microphone.mute(Party.REMOTE)
    assert rig.microphone.closers == {Party.REMOTE, Party.WATCHDOG}
    assert rig.console.tally is Tally.FAULT
    rig.controls.fails = False
    await rig.until(lambda: rig.light is Tally.MUTED)
    assert rig.microphone.closers == {Party.REMOTE}


async def test_a_press_while_the_light_is_broken_counts(rig: Rig) -> None:
    rig.in_a_call()
    rig.controls.fails = True
    rig.microphone.mute(Party.REMOTE)
    rig.microphone.unmute(Party.ROOM)
    assert rig.microphone.closers == {Party.WATCHDOG}
    rig.console.pushed(Button.MUTE)
    rig.controls.fails = False
    await rig.until(lambda: rig.light is Tally.MUTED)
    assert rig.microphone.closers == {Party.ROOM}


async def test_controls_that_are_pulled_come_back(rig: Rig) -> None:
    rig.in_a_call()
    rig.controls.unplug()
    rig.microphone.mute(Party.REMOTE)
    await rig.until(lambda: isinstance(rig.console.error, Exception))
    rig.controls.replug()
    await rig.until(lambda: rig.light is Tally.MUTED)
    rig.microphone.unmute(Party.ROOM)
    assert rig.light is Tally.LIVE


async def test_controls_that_cannot_be_taken_keep_the_device_silent() -> None:
    rig = Rig()
    rig.controls.unplug()
    await rig.console.start()
    rig.in_a_call()
    assert rig.microphone.closers == {Party.WATCHDOG}
    rig.controls.replug()
    await rig.until(lambda: rig.microphone.is_open)
    await rig.console.stop()
    assert not rig.microphone.is_open


async def test_nothing_opens_before_the_start_or_after_the_stop() -> None:
    rig = Rig()
    rig.in_a_call()
    assert not rig.microphone.is_open
    await rig.console.start()
    assert rig.microphone.is_open
    await rig.console.stop()
    rig.in_a_call()
    assert not rig.microphone.is_open


@pytest.mark.parametrize("step", ["open", "recover"])
async def test_a_drivers_bug_does_not_end_the_controls_for_good(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    rig.in_a_call()
    proper = getattr(rig.controls, step)
    met = 0

    def buggy(*arguments: object) -> object:
        nonlocal met
        met += 1
        if met == 1:
            raise RuntimeError("bad handle")
        return proper(*arguments)

    monkeypatch.setattr(rig.controls, step, buggy)
    if step == "open":
        rig.controls.unplug()
        rig.controls.replug()
        rig.controls.fails = True
        rig.microphone.mute(Party.ROOM)
        rig.controls.fails = False
    await rig.until(lambda: met >= 1 and rig.console.error is not None)
    await rig.until(lambda: met >= 2 and rig.console.error is None)
    rig.microphone.unmute(Party.ROOM)
    assert rig.light is Tally.LIVE
    assert rig.microphone.is_open


async def test_the_status_light_shows_what_it_was_told_before(rig: Rig) -> None:
    rig.console.show(Status.JOINING)
    assert rig.controls.state.status is Status.JOINING
    rig.controls.fails = True
    rig.microphone.unmute(Party.START)
    rig.controls.fails = False
    await rig.until(lambda: rig.console.error is None)
    assert rig.controls.state.status is Status.JOINING


async def test_the_order_holds_when_many_threads_move_the_gate(rig: Rig) -> None:
    rig.in_a_call()
    begin = threading.Barrier(5)

    def move(party: Party) -> None:
        begin.wait()
        for _ in range(300):
            rig.microphone.mute(party)
            rig.microphone.unmute(party)

    parties = [Party.ROOM, Party.LATCH, Party.SOFTWARE, Party.START]
    threads = [threading.Thread(target=move, args=(party,)) for party in parties]
    for thread in threads:
        thread.start()
    begin.wait()
    for thread in threads:
        await asyncio.to_thread(thread.join)
    rig.microphone.unmute(Party.ROOM)
    assert rig.light is (Tally.LIVE if rig.microphone.is_open else Tally.MUTED)


class LightMachine(RuleBasedStateMachine):
    """Whatever happens in whatever order, the light is right, and never was wrong."""

    @initialize()
    def begin(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.rig = Rig()
        self.loop.run_until_complete(self.rig.console.start())

    @rule(party=st.sampled_from(Party))
    def close(self, party: Party) -> None:
        self.rig.microphone.mute(party)

    @rule(party=st.sampled_from(Party))
    def open(self, party: Party) -> None:
        self.rig.microphone.unmute(party)

    @rule()
    def push(self) -> None:
        self.rig.console.pushed(Button.MUTE)

    @rule(fails=st.booleans())
    def break_or_mend(self, fails: bool) -> None:
        self.rig.controls.fails = fails

    @rule()
    def recover(self) -> None:
        self.loop.run_until_complete(asyncio.sleep(0.02))

    @invariant()
    def the_light_is_right(self) -> None:
        gate, light = self.rig.microphone, self.rig.light
        assert not self.rig.controls.lies
        if gate.is_open:
            assert light is Tally.LIVE
        if light in (Tally.MUTED, Tally.OFF):
            assert not gate.is_open
        if self.rig.console.error is not None:
            assert Party.WATCHDOG in gate.closers
            assert self.rig.console.tally is Tally.FAULT

    def teardown(self) -> None:
        self.rig.controls.fails = False
        self.loop.run_until_complete(self.rig.console.stop())
        self.loop.close()


TestLight = LightMachine.TestCase
TestLight.settings = settings(max_examples=60, stateful_step_count=20)


def adopt(rig: Rig, controls: WitnessControls | None, *, cover_microphone: bool = False) -> None:
    rig.console.adopt(controls, cover_microphone=cover_microphone, long_press=None)


async def test_other_controls_take_over_with_the_microphone_closed(rig: Rig) -> None:
    rig.in_a_call()
    old, new = rig.controls, WitnessControls(rig.microphone)
    opened: list[tuple[bool, Tally]] = []
    rig.microphone.subscribe(lambda gate: opened.append((gate.is_open, new.state.tally)))
    adopt(rig, new)
    assert opened == [(False, Tally.OFF), (True, Tally.LIVE)]
    assert old.state.tally is Tally.OFF
    assert [tally for _, tally in old.history] == [Tally.LIVE, Tally.FAULT, Tally.OFF]
    assert (new.lies, new.state.status) == ([], Status.STARTING)
    new.tap(Button.MUTE)
    old.tap(Button.MUTE)
    await turn()
    assert new.state.tally is Tally.MUTED
    rig.controls = new


async def test_no_microphone_is_open_while_no_light_speaks_for_it(rig: Rig) -> None:
    rig.in_a_call()
    further = MicGate()
    unwatch = rig.console.watch(further)
    further.unmute(Party.START)
    assert further.is_open
    old, new = rig.controls, WitnessControls(rig.microphone)
    moves: list[tuple[bool, Tally, Tally]] = []
    further.subscribe(lambda gate: moves.append((gate.is_open, old.state.tally, new.state.tally)))
    adopt(rig, new)
    # Closed before the old light went out, open once the new one said so.
    assert [(is_open, light) for is_open, _, light in moves] == [
        (False, Tally.OFF),
        (True, Tally.LIVE),
    ]
    assert moves[0][1] is not Tally.OFF
    unwatch()
    rig.controls = new


async def test_controls_that_do_not_open_leave_the_old_ones(rig: Rig) -> None:
    rig.in_a_call()
    new = WitnessControls(rig.microphone)
    new.unplug()
    with pytest.raises(HalError, match="unplugged"):
        adopt(rig, new, cover_microphone=True)
    assert rig.console.controls is rig.controls
    assert (rig.light, rig.microphone.is_open) == (Tally.LIVE, True)
    await rig.tap(Button.COVER)
    assert rig.microphone.is_open
    assert not rig.camera.is_open


async def test_new_controls_whose_light_is_broken_keep_the_microphone_closed(rig: Rig) -> None:
    rig.in_a_call()
    new = WitnessControls(rig.microphone)
    new.fails = True
    adopt(rig, new)
    assert not rig.microphone.is_open
    assert rig.console.tally is Tally.FAULT
    new.fails = False
    await rig.until(lambda: rig.microphone.is_open)
    assert new.state.tally is Tally.LIVE
    rig.controls = new


async def test_who_muted_by_a_switch_stays_muted_without_it() -> None:
    rig = Rig(latching=["mute", "cover"])
    await rig.console.start()
    rig.in_a_call()
    await rig.tap(Button.MUTE)
    await rig.tap(Button.COVER)
    new = WitnessControls(rig.microphone)
    adopt(rig, new)
    assert rig.microphone.closers == {Party.ROOM}
    assert rig.camera.closers == {Party.ROOM}
    assert new.state.tally is Tally.MUTED
    new.tap(Button.MUTE)
    await turn()
    assert rig.microphone.is_open
    await rig.console.stop()


async def test_a_switch_that_was_exchanged_for_an_open_one_opens_nothing() -> None:
    rig = Rig(latching=["mute", "cover"])
    await rig.console.start()
    rig.in_a_call()
    await rig.tap(Button.MUTE)
    await rig.tap(Button.COVER)
    new = WitnessControls(rig.microphone, latching=["mute", "cover"])
    adopt(rig, new)
    assert rig.microphone.closers == rig.camera.closers == {Party.ROOM}
    assert new.state.tally is Tally.MUTED
    # A hand on the new ones counts.
    for button in (Button.MUTE, Button.COVER):
        new.press(button)
        await turn()
        new.release(button)
        await turn()
    assert rig.microphone.is_open
    assert rig.camera.is_open
    assert new.state.tally is Tally.LIVE
    await rig.console.stop()


async def test_a_switch_that_was_exchanged_for_a_closed_one_needs_one_move() -> None:
    rig = Rig(latching=["mute"])
    await rig.console.start()
    rig.in_a_call()
    await rig.tap(Button.MUTE)
    new = WitnessControls(rig.microphone, latching=["mute"])
    new.press(Button.MUTE)
    adopt(rig, new)
    assert rig.microphone.closers == {Party.LATCH}
    new.release(Button.MUTE)
    await turn()
    assert rig.microphone.is_open
    await rig.console.stop()


async def test_a_switch_that_is_pulled_out_of_several_controls_opens_nothing() -> None:
    microphone, camera = MicGate(), CameraGate()
    switch = VirtualControls(device="switch", latching=["mute", "cover"])
    lights = WitnessControls(microphone, device="lights")
    console = Console(CombinedControls([switch, lights]), microphone, camera, retry_after=0.01)
    await console.start()
    for gate in (microphone, camera):
        gate.unmute(Party.START)
    for button in (Button.MUTE, Button.COVER):
        switch.press(button)
    await turn()
    assert microphone.closers == {Party.LATCH}
    switch.unplug()
    console.look()
    assert microphone.closers == camera.closers == {Party.ROOM}
    assert lights.state.tally is Tally.MUTED
    # It comes back as it was, and then a hand moves it.
    switch.replug()
    for button in (Button.MUTE, Button.COVER):
        switch.press(button)
    console.look()
    assert microphone.closers == {Party.ROOM, Party.LATCH}
    for button in (Button.MUTE, Button.COVER):
        switch.release(button)
    await turn()
    assert microphone.is_open
    assert camera.is_open
    await console.stop()
    assert not lights.lies


async def test_with_a_switch_alone_people_speak_again_whom_a_moderator_muted() -> None:
    rig = Rig(latching=["mute"])
    await rig.console.start()
    rig.in_a_call()
    rig.microphone.mute(Party.REMOTE)
    # Only a hand is a wish: that the switch comes back open is none.
    rig.controls.unplug()
    await rig.until(lambda: rig.light is Tally.FAULT or rig.console.error is not None)
    rig.controls.replug()
    await rig.until(lambda: rig.microphone.closers == {Party.REMOTE})
    rig.controls.press(Button.MUTE)
    await turn()
    assert rig.microphone.closers == {Party.REMOTE, Party.LATCH}
    rig.controls.release(Button.MUTE)
    await turn()
    assert rig.microphone.is_open
    # What the panel's button closed, the switch does not open.
    rig.console.pushed(Button.MUTE)
    rig.controls.press(Button.MUTE)
    await turn()
    rig.controls.release(Button.MUTE)
    await turn()
    assert rig.microphone.closers == {Party.ROOM}
    await rig.console.stop()


async def test_a_cover_that_now_closes_the_microphone_closes_it_at_once(rig: Rig) -> None:
    rig.in_a_call()
    await rig.tap(Button.COVER)
    adopt(rig, None, cover_microphone=True)
    assert (rig.light, rig.microphone.is_open) == (Tally.MUTED, False)
    await rig.tap(Button.COVER)
    assert rig.microphone.is_open

"""The light of the camera against its gate: the order of the two is what is tested."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable

import pytest

from appliance.media.gate import CameraGate, MicGate, Party
from appliance.service.console import Console
from hal.controls import Button, CameraLight, Tally
from hal.controls.combined import CombinedControls
from hal.controls.virtual import VirtualControls
from hal.errors import DeviceUnplugged, HalError


class Witness(VirtualControls):
    """Controls that look at the camera's gate each time its light is driven or goes out."""

    def __init__(self, gate: CameraGate, *, camera_light: bool = True, **options: object) -> None:
        super().__init__(camera_light=camera_light, **options)  # type: ignore[arg-type]
        self.gate = gate
        self.lies: list[str] = []
        self.shown: list[CameraLight] = []
        self.fails = self.tally_fails = False

    def set_tally(self, tally: Tally) -> None:
        if self.tally_fails:
            raise DeviceUnplugged("the tally is broken; mend it")
        super().set_tally(tally)

    def set_camera_light(self, light: CameraLight) -> None:
        if self.fails:
            raise DeviceUnplugged("the camera LED does not obey; check its pin")
        if self.gate.is_open:
            # It has closed before it goes dark, and the light was lit before it opened.
            self.lies.append(f"{light.value} while open")
        super().set_camera_light(light)
        self.shown.append(light)

    def close(self) -> None:
        if self.state.camera is not CameraLight.OFF and self.gate.is_open:
            self.lies.append("put out while open")
        super().close()


class Rig:
    def __init__(self, *, retry_after: float = 0.01, **options: object) -> None:
        self.microphone, self.camera = MicGate(), CameraGate()
        self.controls = Witness(self.camera, latching=["cover"], **options)
        self.console = Console(self.controls, self.microphone, self.camera, retry_after=retry_after)

    @property
    def light(self) -> CameraLight:
        return self.controls.state.camera

    def in_a_call(self) -> None:
        self.microphone.unmute(Party.START)
        self.camera.unmute(Party.START)

    def adopt(self, controls: Witness | None) -> None:
        self.console.adopt(controls, cover_microphone=False, long_press=None)

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
    rig = Rig()
    assert not rig.camera.is_open
    await rig.console.start()
    yield rig
    await rig.console.stop()
    assert not rig.camera.is_open
    assert not rig.controls.lies


async def test_it_follows_the_call(rig: Rig) -> None:
    assert rig.light is CameraLight.OFF
    rig.in_a_call()
    assert (rig.light, rig.camera.is_open) == (CameraLight.LIVE, True)
    assert rig.console.camera_light is CameraLight.LIVE
    rig.camera.mute(Party.START)
    assert rig.light is CameraLight.OFF


@pytest.mark.parametrize("party", [Party.REMOTE, Party.SOFTWARE, Party.UNPLUGGED, Party.ROOM])
async def test_whoever_closes_the_camera(rig: Rig, party: Party) -> None:
    rig.in_a_call()
    rig.camera.mute(party)
    assert rig.light is CameraLight.CLOSED
    assert rig.controls.state.tally is Tally.LIVE, "that is the microphone's"
    rig.camera.unmute(party if party is not Party.REMOTE else Party.ROOM)
    assert rig.light is CameraLight.LIVE


async def test_button_and_cover(rig: Rig) -> None:
    rig.in_a_call()
    for button in (Button.CAMERA, Button.COVER):
        rig.controls.tap(button)
        await turn()
        assert rig.light is CameraLight.CLOSED
        rig.controls.tap(button)
        await turn()
        assert rig.light is CameraLight.LIVE


async def test_a_loop_that_hangs_is_a_fault(rig: Rig) -> None:
    rig.in_a_call()
    rig.camera.mute(Party.LEASE)
    assert rig.light is CameraLight.FAULT
    rig.camera.unmute(Party.LEASE)
    assert rig.light is CameraLight.LIVE


async def test_it_is_lit_while_one_of_several_cameras_is_open(rig: Rig) -> None:
    rig.in_a_call()
    further = CameraGate()
    end = rig.console.watch_camera(further)
    further.unmute(Party.START)
    rig.camera.mute(Party.SOFTWARE)
    assert (rig.light, further.is_open) == (CameraLight.LIVE, True)
    further.mute(Party.SOFTWARE)
    assert rig.light is CameraLight.CLOSED
    rig.controls.fails = True
    further.unmute(Party.SOFTWARE)
    assert not further.is_open
    rig.controls.fails = False
    await rig.until(lambda: further.is_open)
    assert rig.light is CameraLight.LIVE
    further.mute(Party.START)
    end()
    assert rig.light is CameraLight.CLOSED


async def test_it_tells_of_a_camera_that_is_open_already(rig: Rig) -> None:
    rig.in_a_call()
    rig.camera.mute(Party.COVER)
    shared = CameraGate()
    shared.unmute(Party.START)
    end = rig.console.watch_camera(shared)
    assert (rig.light, shared.is_open) == (CameraLight.LIVE, True)
    end()
    assert (rig.light, shared.is_open) == (CameraLight.CLOSED, True)


async def test_a_camera_that_is_open_already_closes_without_its_light(rig: Rig) -> None:
    rig.in_a_call()
    rig.controls.fails = True
    rig.camera.mute(Party.ROOM)
    shared = CameraGate()
    shared.unmute(Party.START)
    end = rig.console.watch_camera(shared)
    assert shared.closers == {Party.WATCHDOG}
    end()
    assert shared.is_open, "it is none of the room's any more"
    end = rig.console.watch_camera(shared)
    rig.controls.fails = False
    await rig.until(lambda: shared.is_open)
    assert rig.light is CameraLight.LIVE
    end()


async def test_a_light_that_fails_keeps_the_camera_closed_and_nothing_else(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    rig.in_a_call()
    rig.camera.mute(Party.ROOM)
    rig.controls.fails = True
    for _ in range(3):
        rig.camera.unmute(Party.ROOM)
        assert not rig.camera.is_open
        rig.console.look()
    assert rig.console.camera_light is CameraLight.FAULT
    assert "check its pin" in str(rig.console.camera_error)
    assert (rig.console.error, rig.microphone.is_open) == (None, True)
    told = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert [record.getMessage() for record in told] == [
        "the camera stays closed without its light: the camera LED does not obey; check its pin"
    ]
    rig.controls.fails = False
    await rig.until(lambda: rig.camera.is_open)
    assert rig.console.camera_error is None
    assert rig.light is CameraLight.LIVE
    assert rig.microphone.epoch == 1, "it was never interrupted"


async def test_a_light_that_fails_as_the_camera_closes(rig: Rig) -> None:
    rig.in_a_call()
    rig.controls.fails = True
    rig.camera.mute(Party.REMOTE)
    assert Party.WATCHDOG in rig.camera.closers
    rig.controls.fails = False
    await rig.until(lambda: rig.camera.closers == {Party.REMOTE})
    assert rig.light is CameraLight.CLOSED


async def test_while_the_tally_fails_the_camera_closes_once(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    """Its light goes out each time that the controls are opened again."""
    rig.in_a_call()
    epoch = rig.camera.epoch
    rig.controls.tally_fails = True
    rig.microphone.mute(Party.ROOM)
    await rig.until(lambda: not rig.camera.is_open)
    count, begun = 0, rig.controls.open

    def reopened(*arguments: object) -> None:
        nonlocal count
        count += 1
        begun(*arguments)  # type: ignore[arg-type]

    rig.controls.open = reopened  # type: ignore[method-assign]
    await rig.until(lambda: count > 3)
    assert rig.camera.epoch == epoch + 1
    assert "the tally is broken" in str(rig.console.error)
    assert rig.console.camera_light is CameraLight.FAULT
    assert rig.console.camera_error is None, "it is not to blame"
    told = {record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR}
    closed = "the microphone and the camera stay closed without their controls"
    assert told == {f"{closed}: {rig.console.error}"}
    rig.controls.tally_fails = False
    await rig.until(lambda: rig.camera.is_open)
    assert rig.light is CameraLight.LIVE


@pytest.mark.parametrize(
    ("light", "closed"),
    [
        (True, "the microphone and the camera stay closed without their controls"),
        (False, "the microphone stays closed without its controls"),
    ],
)
async def test_controls_that_do_not_open_are_told_with_all_that_they_close(
    caplog: pytest.LogCaptureFixture, light: bool, closed: str
) -> None:
    rig = Rig(camera_light=light)
    rig.controls.unplug()
    await rig.console.start()
    assert rig.console.fails_camera is light
    told = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert told == [f"{closed}: {rig.console.error}"]
    await rig.console.stop()


async def test_the_camera_closes_at_once_where_the_tally_fails() -> None:
    rig = Rig(retry_after=3600)
    await rig.console.start()
    rig.in_a_call()
    assert not rig.console.fails_camera
    rig.controls.tally_fails = True
    rig.microphone.mute(Party.ROOM)
    await rig.until(lambda: not rig.camera.is_open)
    assert rig.console.fails_camera
    await rig.console.stop()


async def test_both_lights_are_told_of_where_both_fail(rig: Rig) -> None:
    rig.in_a_call()
    rig.controls.fails = rig.controls.tally_fails = True
    rig.microphone.mute(Party.ROOM)
    await rig.until(lambda: not rig.camera.is_open)
    assert rig.console.fails_camera
    assert rig.console.camera_error is None, "that of the controls is told"
    rig.controls.tally_fails = False
    await rig.until(lambda: rig.console.error is None)
    assert "check its pin" in str(rig.console.camera_error)
    assert not rig.camera.is_open
    rig.controls.fails = False
    await rig.until(lambda: rig.camera.is_open)


async def test_controls_that_are_pulled_take_the_camera_with_them(rig: Rig) -> None:
    rig.in_a_call()
    rig.controls.unplug()
    await rig.until(lambda: not rig.camera.is_open)
    assert (rig.console.error is None, rig.console.camera_error) == (False, None), "told once"
    assert rig.console.camera_light is CameraLight.FAULT
    rig.controls.replug()
    await rig.until(lambda: rig.camera.is_open)
    assert rig.light is CameraLight.LIVE


async def test_a_light_that_is_pulled_out_of_several_controls_closes_the_camera() -> None:
    microphone, camera = MicGate(), CameraGate()
    lamp, others = Witness(camera, device="lamp"), VirtualControls(device="others")
    console = Console(CombinedControls([lamp, others]), microphone, camera, retry_after=3600)
    await console.start()
    microphone.unmute(Party.START)
    camera.unmute(Party.START)
    assert lamp.state.camera is CameraLight.LIVE
    lamp.unplug()
    console.look()
    assert not camera.is_open
    assert "plug its controls in again" in str(console.camera_error)
    assert microphone.is_open
    lamp.replug()
    console.look()
    assert camera.is_open
    assert lamp.state.camera is CameraLight.LIVE
    await console.stop()
    assert not lamp.lies


@pytest.mark.parametrize(("before", "after"), [(True, True), (True, False), (False, True)])
async def test_a_reload_carries_it_over(before: bool, after: bool) -> None:
    rig = Rig(camera_light=before)
    await rig.console.start()
    rig.in_a_call()
    old, new = rig.controls, Witness(rig.camera, camera_light=after)
    moves: list[tuple[bool, CameraLight, CameraLight]] = []
    rig.camera.subscribe(
        lambda gate: moves.append((gate.is_open, old.state.camera, new.state.camera))
    )
    rig.adopt(new)
    # Closed before the old one goes out, and open once the new one says so.
    assert moves[0] == (False, CameraLight.FAULT if before else CameraLight.OFF, CameraLight.OFF)
    assert moves[1:] == [(True, CameraLight.OFF, CameraLight.LIVE if after else CameraLight.OFF)]
    assert rig.console.camera_light is (CameraLight.LIVE if after else None)
    await rig.console.stop()
    assert not rig.camera.is_open
    assert (old.lies, new.lies) == ([], [])


async def test_new_controls_that_do_not_open_leave_the_old_ones(rig: Rig) -> None:
    rig.in_a_call()
    new = Witness(rig.camera)
    new.unplug()
    with pytest.raises(HalError, match="unplugged"):
        rig.adopt(new)
    assert (rig.light, rig.camera.is_open) == (CameraLight.LIVE, True)


async def test_new_controls_whose_light_fails_keep_the_camera_closed(rig: Rig) -> None:
    rig.in_a_call()
    new = Witness(rig.camera)
    new.fails = True
    rig.adopt(new)
    assert not rig.camera.is_open
    assert rig.microphone.is_open
    new.fails = False
    await rig.until(lambda: rig.camera.is_open)
    assert new.state.camera is CameraLight.LIVE
    rig.controls = new


async def test_without_a_light_nothing_of_it_closes_the_camera() -> None:
    rig = Rig(camera_light=False)
    rig.controls.unplug()
    await rig.console.start()
    rig.camera.unmute(Party.START)
    assert rig.camera.closers == {Party.COVER}, "a cover that cannot be read is over it"
    rig.controls.replug()
    await rig.until(lambda: rig.camera.is_open)
    rig.controls.fails = rig.controls.tally_fails = True
    epoch = rig.camera.epoch
    rig.microphone.unmute(Party.START)
    await rig.until(lambda: rig.console.error is not None)
    assert not rig.console.fails_camera
    assert (rig.console.camera_error, rig.console.camera_light) == (None, None)
    rig.adopt(None)
    rig.controls.tally_fails = False
    await rig.until(lambda: rig.microphone.is_open)
    assert rig.camera.epoch == epoch
    assert rig.controls.shown == []
    await rig.console.stop()


async def test_many_threads_never_make_it_lie(rig: Rig) -> None:
    rig.in_a_call()
    begin = threading.Barrier(3)

    def move(party: Party) -> None:
        begin.wait()
        for _ in range(500):
            rig.camera.mute(party)
            rig.camera.unmute(party)

    threads = [threading.Thread(target=move, args=(p,)) for p in (Party.ROOM, Party.LEASE)]
    for thread in threads:
        thread.start()
    begin.wait()
    for thread in threads:
        await asyncio.to_thread(thread.join, 60)
        assert not thread.is_alive()
    assert (rig.light, rig.camera.is_open) == (CameraLight.LIVE, True)

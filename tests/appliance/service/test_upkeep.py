"""Updates wait for the device, and the device for updates."""

from __future__ import annotations

import datetime as dt
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from appliance.panel import Refused
from appliance.provisioning.config import UpdatesConfig
from appliance.service import state_file
from appliance.service.state_file import StateFile
from appliance.service.upkeep import RebootRefused, Upkeep, may_begin, wish
from hal.controls import Button
from tests.appliance.service.conftest import DEADLINE, MakeDevice, until

NOON = dt.datetime(2030, 5, 6, 12, 0, tzinfo=dt.UTC)


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    path = tmp_path / "updating"
    path.touch()
    return path


def test_an_update_begins_while_nobody_has_use_of_the_device(lock: Path) -> None:
    upkeep = Upkeep(UpdatesConfig(), lock)
    assert not upkeep.look(NOON, resting=True)
    with wish(lock):
        assert not upkeep.look(NOON, resting=False)
        assert upkeep.look(NOON, resting=True)
        # It takes its time.
        assert upkeep.look(NOON, resting=False)
    assert not upkeep.look(NOON, resting=True)


def test_an_update_begins_in_its_hours_only_and_may_end_after_them(lock: Path) -> None:
    upkeep = Upkeep(UpdatesConfig(window_from="23:00", window_until="04:00"), lock)
    with wish(lock):
        assert not upkeep.look(NOON, resting=True)
        assert upkeep.look(NOON.replace(hour=3), resting=True)
        assert upkeep.look(NOON.replace(hour=5), resting=True)


def test_without_the_file_nobody_updates(tmp_path: Path) -> None:
    assert not Upkeep(UpdatesConfig(), tmp_path / "none").look(NOON, resting=True)


def test_an_updater_that_is_killed_keeps_no_device_from_its_room(lock: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from appliance.service.upkeep import wish\n"
        f"with wish(Path({str(lock)!r})): print('held', flush=True); sys.stdin.read()"
    )
    updater = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert updater.stdout is not None
    assert updater.stdout.readline() == b"held\n"
    upkeep = Upkeep(UpdatesConfig(), lock)
    assert upkeep.look(NOON, resting=True)
    updater.send_signal(signal.SIGKILL)
    updater.communicate(timeout=DEADLINE)
    assert not upkeep.look(NOON, resting=True)


async def test_a_device_updates_between_calls_and_comes_back(
    make_device: MakeDevice, lock: Path, tmp_path: Path
) -> None:
    upkeep = Upkeep(UpdatesConfig(), lock)
    oak = await make_device("Oak", 1, upkeep=upkeep)
    elm = await make_device("Elm", 2)
    await until(oak, lambda state: len(state.members) == 2)
    file = StateFile(tmp_path / state_file.NAME)
    with wish(lock):
        # A turn of the policy is a second: it is asked at least once meanwhile.
        looks: list[bool] = []
        look = upkeep.look
        upkeep.look = lambda wall, *, resting: (
            looks.append(resting)
            or look(  # type: ignore[method-assign, func-returns-value]
                wall, resting=resting
            )
        )
        await until(oak, lambda _: len(looks) >= 2)
        assert looks == [False, False]
        file.write(oak.state())
        assert not may_begin(tmp_path)

        await elm.stop()
        await until(oak, lambda state: len(state.members) == 1)
        # As if a minute had passed.
        oak.presence._used -= 60
        await until(oak, lambda state: state.status == "updating")
        assert oak.presence.session is None
        assert (oak.state().tally, oak.state().mic_open) == ("off", False)
        file.write(oak.state())
        assert may_begin(tmp_path)
        with pytest.raises(Refused, match="is being updated"):
            await oak.visit("other")
        oak.press(Button.MUTE.value)
        oak.release(Button.MUTE.value)
        assert oak.state().status == "updating"
    await until(oak, lambda state: state.status == "in_room")


def test_a_restart_that_is_never_allowed_is_refused(tmp_path: Path) -> None:
    path = tmp_path / state_file.NAME
    path.write_text(f'{{"status": "updating", "reboot": "never", "pid": {os.getpid()}}}')
    assert may_begin(tmp_path)
    with pytest.raises(RebootRefused, match=r"updates\.reboot"):
        may_begin(tmp_path, reboot=True)


def test_a_device_that_does_not_run_lets_anything_begin(tmp_path: Path) -> None:
    assert may_begin(tmp_path)
    ended = subprocess.Popen(["/bin/true"])
    ended.wait()
    (tmp_path / state_file.NAME).write_text(f'{{"status": "in_room", "pid": {ended.pid}}}')
    assert may_begin(tmp_path)


def test_the_command_waits_and_then_runs_the_updater(lock: Path, tmp_path: Path) -> None:
    state = tmp_path / state_file.NAME
    state.write_text(f'{{"status": "in_room", "pid": {os.getpid()}}}')
    done = tmp_path / "done"
    roomlet = subprocess.Popen(
        [
            *(sys.executable, "-m", "appliance", "update"),
            *("--directory", str(tmp_path), "--lock", str(lock)),
            *("--", "/bin/sh", "-c", f"echo updated > {done}; exit 7"),
        ]
    )
    upkeep = Upkeep(UpdatesConfig(), lock)
    try:
        end = time.monotonic() + DEADLINE
        while not upkeep.look(NOON, resting=True):
            assert time.monotonic() < end
            assert roomlet.poll() is None
        assert not done.exists()
        state.write_text(f'{{"status": "updating", "pid": {os.getpid()}}}')
        assert roomlet.wait(DEADLINE) == 7
        assert done.read_text() == "updated\n"
    finally:
        roomlet.kill()
        roomlet.wait()

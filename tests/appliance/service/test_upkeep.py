"""Updates wait for the device, and the device for updates."""

from __future__ import annotations

import datetime as dt
import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from appliance.cli.exit_code import ExitCode
from appliance.panel import Refused
from appliance.provisioning.config import UpdatesConfig
from appliance.service import state_file
from appliance.service.state_file import StateFile
from appliance.service.upkeep import GONE, LONGEST, REST, Leave, NoLock, RebootRefused, Upkeep, wish
from hal.controls import Button
from tests.appliance.service.calendar.calendar_server import calendar, event, served
from tests.appliance.service.conftest import DEADLINE, MakeDevice, until

MINUTE = dt.timedelta(minutes=1)
NOON = dt.datetime(2030, 5, 6, 12, 0, tzinfo=dt.UTC)


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    path = tmp_path / "updating"
    path.touch()
    return path


def observed(upkeep: Upkeep) -> list[bool]:
    """Whether the device was in use, at each look from now on."""
    looks: list[bool] = []
    look = upkeep.look

    def noted(wall: dt.datetime, *, in_use: bool) -> bool:
        looks.append(in_use)
        return look(wall, in_use=in_use)

    upkeep.look = noted  # type: ignore[method-assign]
    return looks


def test_an_update_begins_while_nobody_has_use_of_the_device(lock: Path) -> None:
    seconds = 0.0
    upkeep = Upkeep(UpdatesConfig(), lock, lambda: seconds)
    assert not upkeep.look(NOON, in_use=False)
    with wish(lock):
        assert not upkeep.look(NOON, in_use=True)
        seconds = REST - 1
        assert not upkeep.look(NOON, in_use=False)
        upkeep.use()
        seconds += REST - 1
        assert not upkeep.look(NOON, in_use=False)
        seconds += 1
        assert upkeep.look(NOON, in_use=False)
        # It takes its time.
        assert upkeep.look(NOON, in_use=True)
    assert not upkeep.look(NOON, in_use=False)


@pytest.mark.parametrize(
    ("was", "goes_on"), [("", True), ("updating", True), ("in_room", False), ("fault", False)]
)
def test_who_was_in_a_call_before_a_restart_comes_back_to_it(
    lock: Path, was: str, goes_on: bool
) -> None:
    upkeep = Upkeep(UpdatesConfig(), lock)
    upkeep.resume(was)
    with wish(lock):
        assert upkeep.look(NOON, in_use=False) is goes_on
    assert not upkeep.look(NOON, in_use=False)


def test_an_update_that_restarts_the_service_after_its_hours_goes_on(lock: Path) -> None:
    upkeep = Upkeep(UpdatesConfig(window_from="23:00", window_until="04:00"), lock)
    upkeep.resume("updating")
    with wish(lock):
        assert upkeep.look(NOON, in_use=True)


def test_an_update_begins_in_its_hours_only_and_may_end_after_them(lock: Path) -> None:
    upkeep = Upkeep(UpdatesConfig(window_from="23:00", window_until="04:00"), lock)
    with wish(lock):
        assert not upkeep.look(NOON, in_use=False)
        assert upkeep.look(NOON.replace(hour=3), in_use=False)
        assert upkeep.look(NOON.replace(hour=5), in_use=False)


def test_without_the_file_nobody_updates(tmp_path: Path) -> None:
    assert not Upkeep(UpdatesConfig(), tmp_path / "none").look(NOON, in_use=False)


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
    assert upkeep.look(NOON, in_use=False)
    updater.send_signal(signal.SIGKILL)
    updater.communicate(timeout=DEADLINE)
    assert not upkeep.look(NOON, in_use=False)


def test_an_update_that_does_not_end_gives_the_room_back(
    lock: Path, caplog: pytest.LogCaptureFixture
) -> None:
    seconds, told = 0.0, ["nothing"]
    upkeep = Upkeep(UpdatesConfig(), lock, lambda: seconds)
    upkeep.tell(lambda text: told.append(text or ""))
    with wish(lock):
        # A wish may wait for as long as a call lasts.
        assert not upkeep.look(NOON, in_use=True)
        seconds += LONGEST + REST
        assert upkeep.look(NOON, in_use=False)
        seconds += LONGEST - 1
        assert upkeep.look(NOON, in_use=False)
        assert told == ["nothing", ""]
        seconds += 1
        assert not upkeep.look(NOON, in_use=False)
        seconds += LONGEST
        assert not upkeep.look(NOON, in_use=False)
        errors = [one for one in caplog.records if one.levelname == "ERROR"]
        assert told[2:] == [one.getMessage() for one in errors]
        assert str(lock) in told[-1]
        # A device that takes the place of another one tells it, too.
        upkeep.tell(lambda text: told.append(text or ""))
        assert told[-1] == told[-2]
    assert not upkeep.look(NOON, in_use=False)
    assert told[-1] == ""
    with wish(lock):
        assert upkeep.look(NOON, in_use=False)


async def test_a_device_comes_back_from_an_update_that_hangs(
    make_device: MakeDevice, lock: Path
) -> None:
    upkeep = Upkeep(UpdatesConfig(), lock)
    oak = await make_device("Oak", 1, upkeep=upkeep)
    with wish(lock):
        upkeep._used -= REST
        await until(oak, lambda state: state.status == "updating")
        upkeep._began -= LONGEST
        await until(oak, lambda state: state.status == "in_room")
        assert any("an update has not ended within 2 h" in one for one in oak.state().errors)
        # One that takes its place.
        await oak.stop()
        elm = await make_device("Elm", 2, upkeep=upkeep)
        assert any("an update has not ended within 2 h" in one for one in elm.state().errors)
    await until(elm, lambda state: not state.errors)


def test_a_lock_that_cannot_be_looked_at_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # For root each file can be opened.
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    upkeep = Upkeep(UpdatesConfig(), tmp_path / "updating")
    assert not upkeep.look(NOON, in_use=False)
    assert not upkeep.look(NOON, in_use=False)
    (told,) = caplog.messages
    assert told.endswith("updating: Permission denied; no update can begin")


def command(lock: Path, tmp_path: Path, script: str) -> subprocess.Popen[bytes]:
    """`roomlet update` with a shell as the updater; the device lets it begin."""
    (tmp_path / state_file.NAME).write_text(f'{{"status": "updating", "pid": {os.getpid()}}}')
    arguments = ["--directory", str(tmp_path), "--lock", str(lock), "--", "/bin/sh", "-c", script]
    return subprocess.Popen(
        [sys.executable, "-m", "appliance", "update", *arguments], stdout=subprocess.PIPE
    )


def test_what_an_updater_leaves_running_holds_no_lock(lock: Path, tmp_path: Path) -> None:
    roomlet = command(lock, tmp_path, "sleep 600 >&- & echo $!")
    assert roomlet.stdout is not None
    left = int(roomlet.stdout.readline())
    try:
        assert roomlet.wait(DEADLINE) == 0
        os.kill(left, 0)
        assert not Upkeep(UpdatesConfig(), lock).look(NOON, in_use=False)
    finally:
        os.kill(left, signal.SIGKILL)
        roomlet.communicate()


def test_the_lock_is_held_until_an_updater_that_is_told_to_end_has_ended(
    lock: Path, tmp_path: Path
) -> None:
    go_on = tmp_path / "go-on"
    os.mkfifo(go_on)
    roomlet = command(
        lock,
        tmp_path,
        f"trap 'echo told; read x < {go_on}; exit 9' TERM; echo begun; while :; do sleep 0.1; done",
    )
    assert roomlet.stdout is not None
    upkeep = Upkeep(UpdatesConfig(), lock)
    try:
        assert roomlet.stdout.readline() == b"begun\n"
        roomlet.send_signal(signal.SIGTERM)
        assert roomlet.stdout.readline() == b"told\n"
        assert roomlet.poll() is None
        assert upkeep.look(NOON, in_use=False)
        go_on.write_text("\n")
        assert roomlet.wait(DEADLINE) == 9
        assert not upkeep.look(NOON, in_use=False)
    finally:
        roomlet.kill()
        roomlet.communicate()


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
        looks = observed(upkeep)
        await until(oak, lambda _: len(looks) >= 2)
        assert all(looks)
        file.write(oak.state())
        assert not Leave(tmp_path).given()

        await elm.stop()
        await until(oak, lambda state: len(state.members) == 1)
        # As if a minute had passed.
        upkeep._used -= REST
        await until(oak, lambda state: state.status == "updating")
        assert oak.presence.session is None
        assert (oak.state().tally, oak.state().mic_open) == ("off", False)
        file.write(oak.state())
        assert Leave(tmp_path).given()
        with pytest.raises(Refused, match="is being updated"):
            await oak.visit("other")
        oak.press(Button.MUTE.value)
        oak.release(Button.MUTE.value)
        assert oak.state().status == "updating"
    await until(oak, lambda state: state.status == "in_room")


async def test_a_meeting_that_begins_soon_or_is_on_comes_before_an_update(
    make_device: MakeDevice, lock: Path
) -> None:
    upkeep = Upkeep(UpdatesConfig(), lock)
    now = dt.datetime.now(dt.UTC)
    begins = now + 5 * MINUTE
    async with served() as server:
        server.data = calendar(event("a", begins, begins + 30 * MINUTE))
        with wish(lock):
            oak = await make_device(
                joined=False,
                upkeep=upkeep,
                policy={"auto_join": False},
                calendar={"url": server.url, "auto_join": False},
            )
            looks = observed(upkeep)
            # From the first moment on, when the calendar is not read yet.
            await until(oak, lambda state: bool(state.meeting) and len(looks) >= 2)
            assert all(looks)
            assert oak.state().status == "idle"
            oak.calendar._now = lambda: begins + MINUTE
            await until(oak, lambda state: state.meeting.get("when") == "now")
            seen = len(looks)
            await until(oak, lambda _: len(looks) >= seen + 2)
            assert all(looks)
            oak.calendar._now = lambda: begins + 31 * MINUTE
            await until(oak, lambda state: not state.meeting)
            seen = len(looks)
            await until(oak, lambda _: len(looks) >= seen + 2)
            assert not looks[-1]
            upkeep._used -= REST
            await until(oak, lambda state: state.status == "updating")
        await until(oak, lambda state: state.status == "idle")


@pytest.mark.parametrize("room", ["", "attic"])
async def test_a_meeting_that_begins_during_an_update_is_joined_after_it(
    make_device: MakeDevice, lock: Path, room: str
) -> None:
    upkeep = Upkeep(UpdatesConfig(), lock)
    begins = dt.datetime.now(dt.UTC) + 60 * MINUTE
    place = (f"X-ROOMLET-ROOM:{room}",) if room else ()
    async with served() as server:
        server.data = calendar(event("a", begins, begins + 30 * MINUTE, "Sync", *place))
        with wish(lock):
            oak = await make_device(
                joined=False,
                upkeep=upkeep,
                policy={"auto_join": False},
                calendar={"url": server.url},
            )
            oak.calendar.again = dt.timedelta(0)
            await until(oak, lambda state: bool(state.meeting))
            upkeep._used -= REST
            await until(oak, lambda state: state.status == "updating")
            oak.calendar._now = lambda: begins + MINUTE
            await until(oak, lambda state: state.meeting.get("when") == "now")
            # Nobody hung up, so it has not ended.
            seen = len(looks := observed(upkeep))
            await until(oak, lambda _: len(looks) >= seen + 3)
            assert oak.state().meeting["when"] == "now"
            assert oak.state().status == "updating"
        await until(oak, lambda state: state.status == "in_room" and state.room == (room or "demo"))


def test_a_restart_that_is_never_allowed_is_refused(tmp_path: Path) -> None:
    path = tmp_path / state_file.NAME
    path.write_text(f'{{"status": "updating", "reboot": "never", "pid": {os.getpid()}}}')
    assert Leave(tmp_path).given()
    with pytest.raises(RebootRefused, match=r"updates\.reboot"):
        Leave(tmp_path, reboot=lambda: "when_idle").given()
    # While a device runs, it says what is in force.
    path.write_text(f'{{"status": "updating", "reboot": "when_idle", "pid": {os.getpid()}}}')
    assert Leave(tmp_path, reboot=lambda: "never").given()


@pytest.mark.parametrize(
    "left", [None, '{"status": "in_room", "reboot": "when_idle", "pid": null}']
)
def test_a_restart_is_not_allowed_by_a_device_that_does_not_run(
    tmp_path: Path, left: str | None
) -> None:
    if left is not None:
        (tmp_path / state_file.NAME).write_text(left)
    with pytest.raises(RebootRefused):
        Leave(tmp_path, reboot=lambda: "never").given()


@pytest.mark.parametrize(("word", "code"), [("never", ExitCode.UNWANTED), ("when_idle", 5)])
def test_the_command_to_restart_heeds_the_configuration_of_a_device_that_does_not_run(
    lock: Path, tmp_path: Path, word: str, code: int
) -> None:
    config, told = tmp_path / "device.toml", tmp_path / "told"
    config.write_text(
        f'[room]\nhost = "h"\nname = "demo"\nguest = true\n[updates]\nreboot = "{word}"\n'
    )
    systemctl = tmp_path / "systemctl"
    systemctl.write_text(f'#!/bin/sh\necho "$@" > {told}\nexit 5\n')
    systemctl.chmod(0o755)
    options = ["--directory", str(tmp_path), "--lock", str(lock), "--config", str(config)]
    roomlet = subprocess.run(
        [sys.executable, "-m", "appliance", "reboot", *options],
        env=os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"},
        timeout=2 * DEADLINE,
        capture_output=True,
        check=False,
    )
    assert told.exists() == (word == "when_idle")
    assert roomlet.returncode == code, roomlet.stderr


def test_a_device_that_does_not_run_lets_anything_begin(tmp_path: Path) -> None:
    assert Leave(tmp_path).given()


def test_a_device_that_is_about_to_be_begun_anew_is_waited_for(tmp_path: Path) -> None:
    ended = subprocess.Popen(["/bin/true"])
    ended.wait()
    path = tmp_path / state_file.NAME
    path.write_text(f'{{"status": "in_room", "pid": {ended.pid}}}')
    seconds = 0.0
    leave = Leave(tmp_path, clock=lambda: seconds)
    assert not leave.given()
    seconds = GONE - 1
    assert not leave.given()
    # It is back, and ends again.
    path.write_text(f'{{"status": "in_room", "pid": {os.getpid()}}}')
    assert not leave.given()
    path.write_text(f'{{"status": "in_room", "pid": {ended.pid}}}')
    assert not leave.given()
    seconds += GONE
    assert leave.given()


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
        while not upkeep.look(NOON, in_use=False):
            assert time.monotonic() < end
            assert roomlet.poll() is None
        assert not done.exists()
        state.write_text(f'{{"status": "updating", "pid": {os.getpid()}}}')
        assert roomlet.wait(DEADLINE) == 7
        assert done.read_text() == "updated\n"
    finally:
        roomlet.kill()
        roomlet.wait()


def test_a_machine_that_goes_down_keeps_the_device_out_of_its_room(
    lock: Path, tmp_path: Path
) -> None:
    told, folder = tmp_path / "told", tmp_path / "bin"
    folder.mkdir()
    systemctl = folder / "systemctl"
    systemctl.write_text(f'#!/bin/sh\necho "$@" > {told}\n')
    systemctl.chmod(0o755)
    (tmp_path / state_file.NAME).write_text(f'{{"status": "updating", "pid": {os.getpid()}}}')
    roomlet = subprocess.Popen(
        [
            *(sys.executable, "-m", "appliance", "reboot"),
            *("--directory", str(tmp_path), "--lock", str(lock)),
        ],
        env=os.environ | {"PATH": f"{folder}:{os.environ['PATH']}"},
    )
    upkeep = Upkeep(UpdatesConfig(), lock)
    try:
        end = time.monotonic() + DEADLINE
        while not told.exists() or not told.read_text():
            assert time.monotonic() < end
            assert roomlet.poll() is None
        assert told.read_text() == "reboot\n"
        # The wish lasts until the service manager ends the process.
        assert upkeep.look(NOON, in_use=False)
        assert roomlet.poll() is None
        roomlet.send_signal(signal.SIGTERM)
        # Both are a clean end to systemd; it may come before the process waits for it.
        assert roomlet.wait(DEADLINE) in (0, -signal.SIGTERM)
        assert not upkeep.look(NOON, in_use=False)
    finally:
        roomlet.kill()
        roomlet.wait()


def test_without_the_lock_nothing_is_run_and_how_it_is_made_is_told(tmp_path: Path) -> None:
    with (
        pytest.raises(NoLock, match=r"systemd-tmpfiles --create roomlet\.conf"),
        wish(tmp_path / "x"),
    ):
        pytest.fail("nobody could know of the update")


def test_an_updater_that_is_not_there_is_told_at_once(lock: Path) -> None:
    told = subprocess.run(
        [sys.executable, "-m", "appliance", "update", f"--lock={lock}", "--", "no-such-updater"],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert told.returncode == 2
    assert "there is no program 'no-such-updater' here" in told.stderr

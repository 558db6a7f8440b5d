"""The units as this machine's systemd reads them: no mistake in them, and little to attack."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.cli.exit_code import ExitCode
from appliance.panel import server
from appliance.service.daemon import SETTLED_S
from appliance.service.upkeep import GONE, LOCK

SYSTEMD = Path(__file__).parents[2] / "systemd"
UNITS = SYSTEMD / "system"
SERVICES = sorted(UNITS.glob("*.service"))

EXPOSED = 20
"""Tenths: the most that `systemd-analyze security` may say."""

OPEN = re.compile(
    r"^(?:Private\w+|Protect\w+|Restrict\w+|MemoryDenyWriteExecute|NoNewPrivileges)=no$"
    r"|^ProcSubset=all$|^IPAddressDeny=$|^DeviceAllow=.+$|^RestrictAddressFamilies=.+$"
)
"""Lines that leave a door open."""


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", *arguments], capture_output=True, text=True, timeout=120, check=False
    )


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """The units on a machine where their programs are there, without what older ones ignore."""
    folder = tmp_path / "units"
    shutil.copytree(UNITS, folder, ignore=shutil.ignore_patterns("*.d"))
    for unit in folder.glob("*.service"):
        unit.write_text(unit.read_text().replace("/usr/bin/roomlet", "/bin/true"))
    return folder


def test_nothing_is_to_be_said_against_any_unit(units: Path) -> None:
    # It ends well whatever it finds: only silence is good.
    done = analyze("verify", *map(str, sorted(units.iterdir())))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_mistake_would_be_seen(units: Path) -> None:
    unit = units / "roomlet.service"
    unit.write_text(unit.read_text().replace("WatchdogSec=", "WatchdogSecs="))
    assert "WatchdogSecs" in analyze("verify", str(unit)).stderr


@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.stem)
def test_a_service_is_little_exposed(unit: Path) -> None:
    done = analyze("security", "--offline=true", f"--threshold={EXPOSED}", str(unit))
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.stem)
def test_each_open_door_says_why(unit: Path) -> None:
    lines = unit.read_text().splitlines()
    for number, line in enumerate(lines):
        if not OPEN.match(line):
            continue
        after = [other for other in lines[number + 1 :] if not OPEN.match(other)]
        assert after[0].startswith("# open: "), f"{unit.name}:{number + 1}: {line}"


def test_the_sandboxes_shut_the_same_doors() -> None:
    bodies = {
        unit.stem: set(unit.read_text().splitlines())
        for unit in SERVICES
        if "User=roomlet" in unit.read_text()
    }
    assert set(bodies) == {"roomlet", "roomlet-fault", "roomlet-hub", "roomlet-provision"}
    always = {
        "NoNewPrivileges=yes",
        "CapabilityBoundingSet=",
        "ProtectSystem=strict",
        "ProtectHome=yes",
        "RestrictNamespaces=yes",
        "SystemCallFilter=@system-service",
        "SystemCallArchitectures=native",
    }
    for name, body in bodies.items():
        assert always <= body, name


def test_only_the_device_reaches_cameras_and_sound_cards() -> None:
    for unit in SERVICES:
        allowed = re.findall(r"^DeviceAllow=char-(\w+)", unit.read_text(), re.MULTILINE)
        sees = {"video4linux", "media", "alsa"} & set(allowed)
        assert bool(sees) == (unit.stem == "roomlet"), unit.name


def test_the_device_may_listen_on_the_network() -> None:
    body = (UNITS / "roomlet.service").read_text()
    settings = dict(re.findall(r"^(\w+)=(.*)$", body, re.MULTILINE))
    assert settings["IPAddressDeny"] == ""
    assert {"AF_INET", "AF_INET6"} <= set(settings["RestrictAddressFamilies"].split())
    assert settings["PrivateNetwork"] == "no"
    assert "SocketBindDeny" not in settings


def test_the_device_has_files_for_its_room_beside_all_visitors_of_its_panel() -> None:
    body = (UNITS / "roomlet.service").read_text()
    (files,) = re.findall(r"^LimitNOFILE=(\d+)$", body, re.MULTILINE)
    assert int(files) >= 16 * server._CONNECTIONS


def test_restarts_from_the_panel_never_reach_the_start_limit() -> None:
    body = (UNITS / "roomlet.service").read_text()
    limits = re.findall(r"^StartLimit(?:IntervalSec|Burst)=(\d+)$", body, re.MULTILINE)
    interval, burst = map(int, limits)
    assert burst * SETTLED_S > interval


def test_a_service_that_ended_is_back_while_people_and_updates_wait_for_it() -> None:
    body = (UNITS / "roomlet.service.d/restart.conf").read_text()
    (longest,) = re.findall(r"^RestartMaxDelaySec=(\d+)$", body, re.MULTILINE)
    # systemd never forgets a restart: after some, each takes this long, those from the panel too.
    assert int(longest) <= 15
    assert int(longest) < GONE / 2


def test_a_change_that_is_told_to_a_device_that_begins_does_not_end_it() -> None:
    body = (UNITS / "roomlet.service").read_text()
    (start,) = re.findall(r"^ExecStart=(.+)$", body, re.MULTILINE)
    *before, program, order = shlex.split(start)
    assert (program, order) == ("/usr/bin/roomlet", "run")
    begins = "import os, signal; os.kill(os.getpid(), signal.SIGHUP); print('well')"
    command = [*before, sys.executable, "-c", begins]
    assert subprocess.run(command, stdout=subprocess.PIPE).stdout == b"well\n"


def test_every_unit_that_is_named_is_there() -> None:
    names = {unit.name for unit in UNITS.iterdir()}
    for unit in UNITS.glob("*.*"):
        if unit.is_file():
            for named in re.findall(
                r"roomlet[a-z-]*\.(?:service|timer|path|target)", unit.read_text()
            ):
                assert named in names, f"{unit.name}: {named}"


def test_the_users_of_the_services_are_made() -> None:
    made = re.findall(r"^u (\S+)", (SYSTEMD / "sysusers.d/roomlet.conf").read_text(), re.MULTILINE)
    for unit in SERVICES:
        for user in re.findall(r"^User=(\S+)", unit.read_text(), re.MULTILINE):
            assert user in made


def test_only_root_and_the_device_get_at_the_lock_of_updates() -> None:
    # Opening it for reading is enough to hold it, and so to keep a device from its room.
    conf = (SYSTEMD / "tmpfiles.d/roomlet.conf").read_text()
    (line,) = re.findall(rf"^f {LOCK} (.*)$", conf, re.MULTILINE)
    mode, owner, group, *_ = line.split()
    assert (mode, owner) == ("0640", "root")
    assert f"\nGroup={group}\n" in (UNITS / "roomlet.service").read_text()
    # Who holds it is root, as an owner: without capabilities.
    for unit in SERVICES:
        if "roomlet reboot" in (body := unit.read_text()):
            assert "\nUser=" not in body


def test_a_restart_that_is_never_allowed_is_no_failure() -> None:
    body = (UNITS / "roomlet-reboot.service").read_text()
    assert f"\nSuccessExitStatus={ExitCode.UNWANTED.value}\n" in body

"""What people and updaters do to a device that is a service of a real systemd, in a container.

The tests share one boot and run in the order in which they stand; the last one boots anew.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest

from appliance.cli.exit_code import ExitCode
from appliance.service import daemon, upkeep
from appliance.service.journal import Message
from tests.lab.nspawn import REPO, Machine
from tests.lab.services import (
    CONFIG,
    DEVICE,
    HUB_OPTIONS,
    config,
    entries,
    in_room,
    joins,
    kept,
    state,
)

pytestmark = pytest.mark.lab

HASTE = 10
"""How much shorter than in earnest the waits of the device are, and the unit's start limit."""

REST = upkeep.REST / HASTE
SETTLED_S = daemon.SETTLED_S / HASTE

LAN = "http://192.0.2.1:8081"
"""The panel at the machine's own address."""

PIN = "271828"
GUEST = "guest.service"
REBOOT = "roomlet-reboot.service"
UPGRADE = "apt-daily-upgrade"

PROGRAM = f"""#!/opt/roomlet/bin/python
import sys

from appliance.cli import main

if sys.argv[1:2] == ["run"]:
    from appliance.service import daemon, upkeep

    daemon.SETTLED_S = {SETTLED_S}
    upkeep.REST = {REST}
main()
"""

PANEL = """
import asyncio, contextlib, json, sys

import httpx
import websockets

ORIGIN, PIN = sys.argv[1:3]


async def order(commands, live):
    for command in commands:
        await live.send(command)
    # It answers in order, but for what takes a moment: that has come by the second time.
    for mark in ("first", "second"):
        await live.send(json.dumps({mark: 1}))
        error = ""
        while mark not in error:
            error = json.loads(await live.recv()).get("error", "")
            if error and mark not in error:
                yield error


async def main():
    async with httpx.AsyncClient(base_url=ORIGIN, headers={"Origin": ORIGIN}) as browser:
        told = {"outside": (await browser.get("/api/state")).status_code}
        if PIN:
            told["login"] = (await browser.post("/login", data={"pin": PIN})).status_code
        answer = await browser.get("/api/state")
        told["inside"] = answer.status_code
        told["state"] = answer.json() if answer.is_success else None
        cookies = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
    if sys.argv[3:]:
        url = ORIGIN.replace("http", "ws", 1) + "/api/live"
        told["refused"] = []
        async with websockets.connect(
            url, origin=ORIGIN, additional_headers={"Cookie": cookies}
        ) as live:
            # A device that ends says goodbye.
            with contextlib.suppress(websockets.ConnectionClosedOK):
                async for error in order(sys.argv[3:], live):
                    told["refused"].append(error)
    print(json.dumps(told))


asyncio.run(main())
"""

UPDATER = """#!/bin/sh
echo "$@" > /run/updater
until [ -e /run/unpacked ]; do sleep 0.1; done
# As a package does that brings another program.
systemctl restart roomlet.service
echo restarted > /run/updater
until [ -e /run/updated ]; do sleep 0.1; done
"""

STOP = f"""
systemctl stop {DEVICE} &
until [ "$(systemctl show -P ActiveState {DEVICE})" = deactivating ]; do :; done
# It takes its time to leave the room; this makes sure.
systemctl kill --signal=STOP --kill-whom=main {DEVICE}
systemctl start roomlet-reload.service
systemctl show -P ActiveState {DEVICE}
systemctl kill --signal=CONT --kill-whom=main {DEVICE}
wait $!
echo $?
until [ "$(systemctl show -P ActiveState {DEVICE})" != deactivating ]; do :; done
systemctl show -P ActiveState {DEVICE}
"""

QUICK = {
    f"{UPGRADE}.timer": "OnCalendar=\nPersistent=false\nRandomizedDelaySec=0\nOnActiveSec=1s",
    "roomlet-reboot.timer": "OnBootSec=\nOnBootSec=1s\nOnUnitInactiveSec=3s",
}
"""Timers, and what makes them quick."""


def with_pin(source: str) -> str:
    return config(more=f'[panel]\nlisten = "0.0.0.0:8081"\n{source}\n')


BY_FILE = with_pin('pin_file = "panel.pin"')
BY_CREDENTIAL = with_pin('pin_credential = "panel-pin"')


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    machine = Machine(tmp_path_factory.mktemp("machine"))
    machine.program("usr/bin/roomlet", PROGRAM)
    machine.program("usr/lib/apt/apt.systemd.daily", UPDATER)
    machine.write("opt/panel.py", PANEL)
    machine.write("etc/roomlet/hub.env", f"ROOMLET_HUB_OPTIONS={HUB_OPTIONS}\n")
    machine.write(CONFIG.removeprefix("/"), config())
    machine.write("etc/guest.toml", config(more='[panel]\nlisten = "127.0.0.1:0"\n'))
    machine.write("etc/panel.pin", f"{PIN}\n")
    systemd = "etc/systemd/system"
    unit = (REPO / "systemd/system" / DEVICE).read_text()
    (limit,) = re.findall(r"^StartLimitIntervalSec=(\d+)$", unit, re.MULTILINE)
    machine.write(
        f"{systemd}/{DEVICE}.d/test.conf",
        f"[Unit]\nStartLimitIntervalSec={int(limit) // HASTE}\n"
        "[Service]\nLoadCredential=panel-pin:/etc/panel.pin\n",
    )
    machine.write(f"{systemd}/{UPGRADE}.service.d/override.conf", documented_drop_in())
    try:
        machine.boot()
        # The guest's image has neither.
        machine.run("systemctl", "unmask", "systemd-logind.service", f"{UPGRADE}.timer")
        machine.run("systemctl", "start", "systemd-logind.service")
        machine.run("systemctl", "enable", "--now", "roomlet-hub.service")
        machine.run("systemctl", "enable", "roomlet.target")
        machine.run("systemctl", "start", "--no-block", "roomlet.target")
        machine.wait_for(lambda: in_room(machine))
        yield machine
    finally:
        machine.close()


def documented_drop_in() -> str:
    """What docs/service.md has people put before Debian's unattended upgrades."""
    page = (REPO / "docs/service.md").read_text()
    (found,) = re.findall(
        rf"^# systemctl edit {UPGRADE}\.service\n(.*?)^```", page, re.MULTILINE | re.DOTALL
    )
    return str(found)


def panel(
    machine: Machine, *commands: dict[str, Any], at: str = LAN, pin: str = PIN
) -> dict[str, Any]:
    """Come in to the panel, send it commands, and tell what it said."""
    given = (json.dumps(command) for command in commands)
    told = machine.run("/opt/roomlet/bin/python", "/opt/panel.py", at, pin, *given)
    found: dict[str, Any] = json.loads(told)
    return found


def pressed(button: str) -> tuple[dict[str, Any], dict[str, Any]]:
    return {"press": button}, {"release": button}


def waits(machine: Machine, unit: str) -> None:
    """Look on for longer than a device rests: what the unit does has to wait all the time."""
    running, end = machine.show(unit, "ActiveState"), time.monotonic() + REST + 2
    while time.monotonic() < end:
        told = machine.run("journalctl", "-n", "40", "--no-pager")
        assert state(machine)["status"] != "updating", told
        assert machine.show(unit, "ActiveState") == running, told
        time.sleep(0.5)


def quicken(machine: Machine, timer: str) -> None:
    """Have a timer elapse soon, until the machine is restarted."""
    lines = f"[Timer]\n{QUICK[timer]}\nAccuracySec=0.1\n"
    machine.write(f"run/systemd/system/{timer}.d/test.conf", lines)
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "restart", timer)


def enter_guest(machine: Machine) -> None:
    """Have another device come into the call."""
    # One that was killed takes a while to go.
    machine.wait_for(lambda: len(panel(machine)["state"]["members"]) == 1)
    run = ("/usr/bin/roomlet", "run", "--config", "/etc/guest.toml")
    machine.run("systemd-run", "--collect", f"--unit={GUEST}", "-E", "XDG_STATE_HOME=/tmp", *run)
    machine.wait_for(lambda: len(panel(machine)["state"]["members"]) == 2)


def mutes(machine: Machine) -> list[tuple[str, str, str]]:
    """What the log has people do: what, to close or open it, and why."""
    told = machine.run(
        *("roomlet", "log", "mute", "--state", "/var/lib/roomlet", "--by", "room", "--json")
    )
    lines = [json.loads(line) for line in told.splitlines()]
    return [(line["what"], line["act"], line["why"]) for line in lines]


def updater(machine: Machine) -> str:
    """How far it is; empty while it has not begun."""
    return machine.run("sh", "-c", "cat /run/updater || true")


def is_well(machine: Machine) -> bool:
    """Whether nothing has failed, and no fault is shown."""
    failed = machine.run("systemctl", "list-units", "--failed", "--plain", "--no-legend")
    result = machine.show(DEVICE, "Result")
    fault = machine.show("roomlet-fault.service", "ActiveState")
    return (failed, result, fault) == ("", "success", "inactive")


def test_a_panel_on_the_lan_lets_in_who_has_the_pin_and_mutes(machine: Machine) -> None:
    before = joins(machine)
    machine.run("install", "-o", "roomlet", "-m", "0600", "/etc/panel.pin", "/etc/roomlet")
    machine.write(CONFIG.removeprefix("/"), BY_FILE)
    machine.run("systemctl", "reload", DEVICE)
    taken = f"MESSAGE_ID={Message.CONFIG_TAKEN.value}"
    machine.wait_for(lambda: bool(entries(machine, taken)) and in_room(machine))
    wrong = panel(machine, pin="314159")
    assert (wrong["outside"], wrong["login"], wrong["inside"]) == (401, 401, 401)
    right = panel(machine, *pressed("mute"))
    assert (right["outside"], right["login"], right["inside"]) == (401, 303, 200)
    assert (right["state"]["tally"], right["refused"]) == ("live", [])
    machine.wait_for(lambda: state(machine)["microphone"] == ["room"])
    assert panel(machine)["state"]["tally"] == "muted"
    told = machine.run("journalctl", "-u", DEVICE, "--no-pager")
    assert "a wrong PIN from 192.0.2.1" in told
    assert PIN not in told
    assert joins(machine) == before


def test_a_mute_and_its_log_outlive_a_restart_and_a_kill(machine: Machine) -> None:
    panel(machine, *pressed("camera"))
    machine.wait_for(lambda: state(machine)["camera"] == ["room"])
    before = mutes(machine)
    assert [entry[:2] for entry in before] == [("microphone", "close"), ("camera", "close")]
    machine.write(CONFIG.removeprefix("/"), BY_CREDENTIAL)
    kill = ("systemctl", "kill", "--signal=KILL", "--kill-whom=main", DEVICE)
    for restarts, end in enumerate((("systemctl", "restart", "--no-block", DEVICE), kill)):
        pid = machine.show(DEVICE, "MainPID")
        machine.run(*end)
        machine.wait_for(lambda pid=pid: machine.show(DEVICE, "MainPID") not in (pid, "0"))
        machine.wait_for(lambda: in_room(machine))
        assert machine.show(DEVICE, "NRestarts") == str(restarts)
        found = state(machine)
        assert (found["microphone"], found["camera"]) == (["room"], ["room"])
        present = panel(machine)["state"]
        assert (present["tally"], present["mic_open"], present["camera_open"]) == (
            *("muted", False, False),
        )
    again = [(what, "close", "as before the restart") for what in ("microphone", "camera")]
    assert mutes(machine) == [*before, *again, *again]
    panel(machine, *pressed("mute"), *pressed("camera"))
    machine.wait_for(lambda: state(machine)["microphone"] == state(machine)["camera"] == [])
    assert [entry[:2] for entry in mutes(machine)[-2:]] == [
        ("microphone", "open"),
        ("camera", "open"),
    ]
    # One on trial is given back after a few starts.
    machine.wait_for(lambda: kept(machine))
    assert is_well(machine)


def test_the_panel_restarts_the_device_again_and_again(machine: Machine) -> None:
    panel(machine, *pressed("mute"))
    machine.wait_for(lambda: state(machine)["microphone"] == ["room"])
    restart = {"restart": {"sure": True}}
    count = int(machine.show(DEVICE, "NRestarts"))
    for more in (1, 2):
        pid, before = machine.show(DEVICE, "MainPID"), joins(machine)
        # Impatience is refused, and costs no start.
        machine.wait_for(lambda: panel(machine, restart)["refused"] == [], SETTLED_S + 60)
        machine.wait_for(lambda pid=pid: machine.show(DEVICE, "MainPID") not in (pid, "0"))
        machine.wait_for(lambda before=before: in_room(machine) and joins(machine) > before)
        assert machine.show(DEVICE, "NRestarts") == str(count + more)
        for _ in range(3):
            (refusal,) = panel(machine, restart)["refused"]
            assert refusal.startswith("It was begun less than")
        assert state(machine)["microphone"] == ["room"]
        assert is_well(machine)
    panel(machine, *pressed("mute"))


def test_an_upgrade_by_its_timer_waits_for_the_end_of_the_call(machine: Machine) -> None:
    enter_guest(machine)
    before = joins(machine)
    quicken(machine, f"{UPGRADE}.timer")
    upgrade = f"{UPGRADE}.service"
    machine.wait_for(lambda: machine.show(upgrade, "ActiveState") == "activating")
    waits(machine, upgrade)
    assert updater(machine) == ""
    pid, left = machine.show(DEVICE, "MainPID"), time.monotonic()
    machine.run("systemctl", "stop", GUEST)
    machine.wait_for(lambda: updater(machine) == "install")
    assert time.monotonic() > left + REST - 1
    assert machine.show(DEVICE, "StatusText") == "Updating: the device comes back."
    assert panel(machine)["state"]["status"] == state(machine)["status"] == "updating"
    machine.run("touch", "/run/unpacked")
    machine.wait_for(lambda: updater(machine) == "restarted")
    assert machine.show(DEVICE, "MainPID") != pid
    assert machine.show(DEVICE, "StatusText") == "Updating: the device comes back."
    assert panel(machine)["state"]["status"] == state(machine)["status"] == "updating"
    machine.run("touch", "/run/updated")
    machine.wait_for(lambda: in_room(machine) and joins(machine) > before)
    machine.wait_for(lambda: machine.show(upgrade, "ActiveState") == "inactive")
    assert (machine.show(upgrade, "Result"), joins(machine)) == ("success", before + 1)
    # Of the device alone: the guest, which has no reason to, says nothing of it.
    told = entries(machine, f"MESSAGE_ID={Message.UPDATE.value}", f"_SYSTEMD_UNIT={DEVICE}")
    assert [entry["MESSAGE"] for entry in told] == ["an update begins", "the update is over"]
    assert is_well(machine)


def test_a_configuration_that_lies_ready_does_not_call_off_a_stop(machine: Machine) -> None:
    told = machine.run("sh", "-c", STOP)
    assert told.split() == ["deactivating", "0", "inactive"]
    machine.run("systemctl", "start", DEVICE)
    machine.wait_for(lambda: in_room(machine))
    # One that runs takes it.
    pid, taken = machine.show(DEVICE, "MainPID"), f"MESSAGE_ID={Message.CONFIG_TAKEN.value}"
    machine.write(CONFIG.removeprefix("/"), BY_CREDENTIAL + "[policy]\nleave_empty_minutes = 60\n")
    machine.run("systemctl", "start", "roomlet-reload.service")
    machine.wait_for(lambda: bool(entries(machine, taken, f"_PID={pid}")))
    machine.wait_for(lambda: in_room(machine) and kept(machine))
    assert is_well(machine)


def test_a_machine_is_never_restarted_where_the_configuration_says_so(machine: Machine) -> None:
    machine.write(CONFIG.removeprefix("/"), BY_CREDENTIAL + '[updates]\nreboot = "never"\n')
    machine.run("systemctl", "reload", DEVICE)
    machine.wait_for(lambda: state(machine).get("reboot") == "never")
    quicken(machine, "roomlet-reboot.timer")
    machine.run("touch", "/run/reboot-required")
    # The device says so as long as it runs, then the files do, which are not for others to read.
    for step in ("start", "stop"):
        machine.run("systemctl", step, DEVICE)
        before = machine.show(REBOOT, "InvocationID")
        machine.wait_for(lambda before=before: machine.show(REBOOT, "InvocationID") != before)
        machine.wait_for(lambda: machine.show(REBOOT, "ActiveState") == "inactive")
        assert machine.show(REBOOT, "ExecMainStatus") == str(ExitCode.UNWANTED.value)
        assert machine.show(REBOOT, "Result") == "success"
    machine.run("rm", "/run/reboot-required")
    machine.write(CONFIG.removeprefix("/"), BY_CREDENTIAL)
    machine.run("systemctl", "start", DEVICE)
    machine.wait_for(lambda: in_room(machine) and state(machine)["reboot"] == "when_idle")
    assert is_well(machine)


def test_the_machine_restarts_after_the_call_and_the_device_is_back(machine: Machine) -> None:
    enter_guest(machine)
    machine.run("touch", "/run/reboot-required")
    machine.wait_for(lambda: machine.show(REBOOT, "ActiveState") == "active")
    waits(machine, REBOOT)
    left, before = time.monotonic(), joins(machine)
    machine.run("systemctl", "stop", "--no-block", GUEST)
    machine.wait_for_reboot()
    assert time.monotonic() > left + REST - 1
    machine.wait_for(lambda: in_room(machine))
    assert joins(machine) == before + 1
    told = machine.run("journalctl", "--boot=-1", "--no-pager")
    assert told.index("an update begins") < told.index("System is rebooting")
    assert machine.show(REBOOT, "ActiveState") == "inactive"
    assert is_well(machine)

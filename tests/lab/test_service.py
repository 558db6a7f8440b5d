"""Hub and device as services of a real systemd, in a container: units, sandbox, life and death.

The tests share one boot and run in the order in which they stand.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from appliance.service.journal import Message
from tests.lab import services
from tests.lab.nspawn import Machine
from tests.lab.services import CONFIG, DEVICE, HUB_OPTIONS, entries, in_room, joins, kept, state

pytestmark = pytest.mark.lab

config = partial(services.config, camera="freezing")

FREEZING = '''
import time
from pathlib import Path

from hal.camera.synthetic import SyntheticCamera


class FreezingCamera(SyntheticCamera):
    """A camera whose driver hangs while a file is there."""

    def read(self):
        while Path("/etc/roomlet/freeze").exists():
            time.sleep(0.1)
        return super().read()
'''

PROBE = """
import ctypes, errno, json, os, resource, socket

import alsaaudio


def attempt(work):
    try:
        work()
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))
    return "ok"


def sound():
    speaker = alsaaudio.PCM(alsaaudio.PCM_PLAYBACK, device="null", rate=48000, channels=1,
                            format=alsaaudio.PCM_FORMAT_S16_LE, periodsize=480)
    assert speaker.write(bytes(960)) == 480
    speaker.close()


def swap():
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.swapoff(b"/nowhere") != 0:
        raise OSError(ctypes.get_errno(), "swapoff")


def realtime():
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10))
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


print("probe " + json.dumps({
    "user": os.getuid() != 0,
    "limit": resource.getrlimit(resource.RLIMIT_RTPRIO)[0],
    "sound": attempt(sound),
    "realtime": attempt(realtime),
    "too much realtime": attempt(
        lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(60))),
    "state": attempt(lambda: open("/var/lib/roomlet/probe", "w").close()),
    "etc": attempt(lambda: open("/etc/roomlet/probe", "w").close()),
    "usr": attempt(lambda: open("/usr/probe", "w").close()),
    "kernel": attempt(lambda: open("/proc/sys/kernel/panic", "w").close()),
    "home": attempt(lambda: os.listdir("/root")),
    "mount": attempt(lambda: os.unshare(os.CLONE_NEWNS)),
    "swap": attempt(swap),
    "raw packets": attempt(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close()),
    "network": attempt(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).close()),
}), flush=True)
"""

PRESS = """
import asyncio, json, websockets


async def main():
    origin = "http://127.0.0.1:8081"
    async with websockets.connect("ws://127.0.0.1:8081/api/live", origin=origin) as live:
        await live.recv()
        await live.send(json.dumps({"press": "mute"}))
        await live.send(json.dumps({"release": "mute"}))
        await live.recv()

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    machine = Machine(tmp_path_factory.mktemp("machine"))
    (machine.packages / "freezing.py").write_text(FREEZING)
    entry = machine.packages / "freezing-1.0.dist-info"
    entry.mkdir()
    (entry / "METADATA").write_text("Metadata-Version: 2.1\nName: freezing\nVersion: 1.0\n")
    (entry / "entry_points.txt").write_text(
        "[roomlet.hal.camera]\nfreezing = freezing:FreezingCamera\n"
    )
    machine.write("opt/probe.py", PROBE)
    machine.write("opt/press.py", PRESS)
    machine.write(CONFIG.removeprefix("/"), config())
    machine.write("etc/roomlet/hub.env", f"ROOMLET_HUB_OPTIONS={HUB_OPTIONS}\n")
    machine.write(
        "etc/systemd/system/roomlet.service.d/test.conf",
        "[Service]\nExecStartPre=/opt/roomlet/bin/python /opt/probe.py\nWatchdogSec=6\n"
        # What the filter refuses is told from what the kernel does.
        "SystemCallErrorNumber=EUCLEAN\n",
    )
    try:
        machine.boot()
        machine.run("systemctl", "start", "roomlet-hub.service")
        machine.run("systemctl", "start", "--no-block", "roomlet.target")
        yield machine
    finally:
        machine.close()


def test_every_unit_is_clean(machine: Machine) -> None:
    units = machine.run("sh", "-c", "ls -d /usr/lib/systemd/system/roomlet*.*").split()
    whole = [unit for unit in units if not unit.endswith(".d")]
    assert len(whole) == len(list((Path(__file__).parents[2] / "systemd/system").glob("*.*"))) - 1
    assert machine.run("sh", "-c", f"systemd-analyze verify {' '.join(whole)} 2>&1") == ""


def test_the_device_is_ready_once_it_is_in_its_room(machine: Machine) -> None:
    machine.wait_for(lambda: in_room(machine))
    assert machine.show("roomlet-hub.service", "StatusText").startswith("Serving at http://")
    assert machine.show(DEVICE, "NRestarts") == "0"
    assert state(machine)["status"] == "in_room"
    assert machine.run("sh", "-c", "roomlet state --idle; echo $?") == "1"


def test_the_journal_says_where_and_who(machine: Machine) -> None:
    (entry,) = entries(machine, f"MESSAGE_ID={Message.JOINED.value}")
    assert entry["ROOM"] == "demo"
    assert len(entry["MEMBER_ID"]) == 36
    assert entry["SYSLOG_IDENTIFIER"] == "roomlet"
    assert entry["_SYSTEMD_UNIT"] == DEVICE
    assert entry["PRIORITY"] == "6"
    # The guest's token came from the hub by now, and both sides log at their leisure.
    assert "eyJ" not in machine.run("journalctl", "-o", "export", "--no-pager", "-a")


def test_the_sandbox_lets_the_device_work_and_nothing_else(machine: Machine) -> None:
    (told,) = [
        entry["MESSAGE"].removeprefix("probe ")
        for entry in entries(machine, "-u", DEVICE)
        if str(entry["MESSAGE"]).startswith("probe ")
    ]
    found = json.loads(told)
    # A host that is itself a container may not be allowed to raise the limit for this one.
    if (limit := found.pop("limit")) == 0:
        assert machine.show(DEVICE, "RestrictRealtime") == "no"
        assert machine.show(DEVICE, "LimitRTPRIO") == "20"
        assert found.pop("realtime") == "EPERM", "not the filter's EUCLEAN"
        found["realtime"] = "ok"
    else:
        assert limit == 20
    allowed = {name for name, outcome in found.items() if outcome in ("ok", True)}
    assert allowed == {"user", "sound", "realtime", "state", "network"}, found
    assert found["swap"] == "EUCLEAN"


def test_a_configuration_that_proved_itself_is_kept(machine: Machine) -> None:
    machine.wait_for(lambda: kept(machine))
    assert in_room(machine)


def test_a_reload_does_not_leave_the_room(machine: Machine) -> None:
    pid, before = machine.show(DEVICE, "MainPID"), joins(machine)
    listen = '[metrics]\nlisten = "unix:/run/roomlet/metrics.sock"\n'
    machine.write(CONFIG.removeprefix("/"), config(volume=40, more=listen))
    machine.run("systemctl", "reload", DEVICE)
    taken = f"MESSAGE_ID={Message.CONFIG_TAKEN.value}"
    machine.wait_for(lambda: bool(entries(machine, taken)))
    fetch = (
        "import httpx; print(httpx.Client(transport=httpx.HTTPTransport("
        "uds='/run/roomlet/metrics.sock')).get('http://device/metrics').text)"
    )
    told = machine.run("/opt/roomlet/bin/python", "-c", fetch)
    assert 'roomlet_state{state="in_room"} 1.0' in told
    machine.wait_for(lambda: in_room(machine))
    assert (machine.show(DEVICE, "MainPID"), joins(machine)) == (pid, before)


def test_a_mistake_is_refused_and_all_goes_on(machine: Machine) -> None:
    pid, before = machine.show(DEVICE, "MainPID"), joins(machine)
    machine.write(CONFIG.removeprefix("/"), config().replace("volume = 100", "volume = 101"))
    machine.run("systemctl", "reload", DEVICE)
    refused = f"MESSAGE_ID={Message.CONFIG_REFUSED.value}"
    machine.wait_for(
        lambda: any("device.toml" in entry["MESSAGE"] for entry in entries(machine, refused))
    )
    # The journal hears of it before the service manager hears that it is over.
    machine.wait_for(lambda: in_room(machine))
    assert (machine.show(DEVICE, "MainPID"), joins(machine)) == (pid, before)


def test_a_configuration_that_leads_nowhere_is_taken_back(machine: Machine) -> None:
    before = joins(machine)
    machine.write(CONFIG.removeprefix("/"), config(host="ws://127.0.0.1:9"))
    machine.run("systemctl", "reload", DEVICE)
    machine.wait_for(lambda: machine.show(DEVICE, "StatusText").startswith("Joining demo"))
    machine.wait_for(lambda: in_room(machine) and joins(machine) > before)
    assert "after 10 s: " in machine.run("roomlet", "provision", "status")
    machine.write(CONFIG.removeprefix("/"), config())


def test_a_camera_that_hangs_ends_in_a_restart_and_the_mute_outlives_it(machine: Machine) -> None:
    machine.run("/opt/roomlet/bin/python", "/opt/press.py")
    machine.wait_for(lambda: state(machine)["microphone"] == ["room"])
    pid, before = machine.show(DEVICE, "MainPID"), joins(machine)
    machine.write("etc/roomlet/freeze", "")
    machine.wait_for(lambda: machine.show(DEVICE, "MainPID") not in (pid, "0"))
    machine.run("rm", "/etc/roomlet/freeze")
    machine.wait_for(lambda: in_room(machine) and joins(machine) > before)
    assert entries(machine, f"MESSAGE_ID={Message.STUCK.value}")
    told = machine.run("journalctl", "-u", DEVICE, "--no-pager")
    assert "Watchdog timeout" in told
    # The stacks of all threads, that of the driver among them.
    assert "freezing.py" in told
    assert state(machine)["microphone"] == ["room"]


def test_a_device_that_cannot_start_shows_it_and_tries_again(machine: Machine) -> None:
    machine.run("systemctl", "stop", DEVICE)
    machine.run("sh", "-c", "rm -rf /var/lib/roomlet/provisioning")
    machine.write(CONFIG.removeprefix("/"), "[room]\nnonsense = 1\n")
    machine.run("systemctl", "start", DEVICE, check=False)
    machine.wait_for(lambda: machine.show("roomlet-fault.service", "ActiveState") == "active")
    told = machine.show("roomlet-fault.service", "StatusText")
    assert told.startswith("Out of order: ")
    assert "nonsense" in told
    machine.write(CONFIG.removeprefix("/"), config())
    # As when its time is over.
    machine.run("systemctl", "kill", "--signal=TERM", "roomlet-fault.service")
    machine.wait_for(lambda: in_room(machine))
    assert machine.show("roomlet-fault.service", "ActiveState") == "inactive"

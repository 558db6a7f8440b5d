from __future__ import annotations

import asyncio
import logging
import socket
import sys
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import NamedTuple

import pytest

from hal import hotplug as module
from hal.device import Device, Kind
from hal.errors import BackendUnavailable
from hal.hotplug import Change, DeviceWatcher, udev_monitor

DEADLINE = 10

WEBCAM = Device("/dev/v4l/by-id/usb-ACME", "ACME", "camera", "v4l2")
SYNTHETIC = Device("synthetic:1", "Synthetic camera 1", "camera", "synthetic")
JABRA_IN = Device("plughw:CARD=Jabra,DEV=0", "Jabra", "microphone", "alsa")
JABRA_OUT = Device("plughw:CARD=Jabra,DEV=0", "Jabra", "speaker", "alsa")
JABRA_KEYS = Device("/dev/input/by-id/usb-Jabra", "Jabra", "controls", "hid")


class Event(NamedTuple):
    action: str | None
    subsystem: str | None


class Udev:
    """What `pyudev.Monitor` does, with a real socket to be watched."""

    def __init__(self) -> None:
        self.near, self.far = socket.socketpair()
        self.near.setblocking(False)
        self.subsystems: set[str] = set()
        self.started = False
        self.error: OSError | None = None
        self._events: deque[Event] = deque()

    def tell(self, action: str, subsystem: str) -> None:
        assert self.started
        if subsystem in self.subsystems:
            self._events.append(Event(action, subsystem))
            self.far.send(b"!")

    def fail(self, error: OSError) -> None:
        self.error = error
        self.far.send(b"!")

    def fileno(self) -> int:
        return self.near.fileno()

    def start(self) -> None:
        self.started = True

    def filter_by(self, subsystem: str) -> None:
        self.subsystems.add(subsystem)

    def poll(self, timeout: float | None = None) -> Event | None:
        assert timeout == 0, "it runs on the loop"
        if self.error is not None:
            raise self.error
        if not self._events:
            return None
        self.near.recv(1)
        return self._events.popleft()

    def close(self) -> None:
        self.near.close()
        self.far.close()


class Machine:
    """Devices that come and go, and who looked at them."""

    def __init__(self) -> None:
        self.there: list[Device] = [SYNTHETIC]
        self.looks: list[Kind] = []
        self.threads: set[int] = set()
        self.error: Exception | None = None

    def find(self, kind: Kind) -> list[Device]:
        self.looks.append(kind)
        self.threads.add(threading.get_ident())
        if self.error is not None:
            raise self.error
        return [device for device in self.there if device.kind == kind]


class Bench:
    """A watcher with its surroundings, and a queue of what it told."""

    def __init__(self, monitor: Callable[[], Udev] | None = None, **options: float) -> None:
        self.machine = Machine()
        self.udev = Udev()
        self.changes: asyncio.Queue[Change] = asyncio.Queue()
        self.thread = threading.get_ident()
        self.watcher = DeviceWatcher(
            self.report,
            find=self.machine.find,
            monitor=monitor or (lambda: self.udev),
            **{"settle_s": 0.05, "poll_s": 0.05, **options},
        )

    def report(self, change: Change) -> None:
        assert threading.get_ident() == self.thread, "handlers run on the loop"
        self.changes.put_nowait(change)

    async def next(self) -> Change:
        return await asyncio.wait_for(self.changes.get(), DEADLINE)

    async def looked(self, count: int) -> None:
        """Wait until there were so many looks in all."""
        async with asyncio.timeout(DEADLINE):
            while len(self.machine.looks) < count:
                due = asyncio.Event()
                asyncio.get_running_loop().call_later(0.01, due.set)
                await due.wait()


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    made = Bench()
    yield made
    await made.watcher.close()
    made.udev.close()


async def test_what_is_there_at_the_start_is_no_news(bench: Bench) -> None:
    await bench.watcher.start()
    assert bench.watcher.devices == [SYNTHETIC]
    assert not bench.watcher.polling
    assert bench.udev.subsystems == {"video4linux", "sound", "input"}
    assert bench.changes.empty()
    assert bench.thread not in bench.machine.threads, "a look may take its time"


async def test_plugged_and_unplugged_in_our_own_ids(bench: Bench) -> None:
    await bench.watcher.start()
    bench.machine.there.append(WEBCAM)
    bench.udev.tell("add", "video4linux")
    assert await bench.next() == Change("plugged", WEBCAM)
    assert bench.watcher.devices == [SYNTHETIC, WEBCAM]
    bench.machine.there.remove(WEBCAM)
    bench.udev.tell("remove", "video4linux")
    assert await bench.next() == Change("unplugged", WEBCAM)
    assert bench.watcher.devices == [SYNTHETIC]
    assert bench.changes.empty()


async def test_only_the_classes_that_it_can_be_about_are_looked_at(bench: Bench) -> None:
    await bench.watcher.start()
    before = len(bench.machine.looks)
    bench.udev.tell("change", "sound")
    await bench.looked(before + 4)
    assert set(bench.machine.looks[before:]) == {"microphone", "speaker"}


async def test_a_speakerphone_is_told_of_once_with_all_its_parts(bench: Bench) -> None:
    await bench.watcher.start()
    bench.udev.tell("add", "sound")
    bench.machine.there.append(JABRA_OUT)
    bench.udev.tell("add", "sound")
    bench.machine.there.append(JABRA_IN)
    bench.machine.there.append(JABRA_KEYS)
    for _ in range(5):
        bench.udev.tell("change", "sound")
        bench.udev.tell("add", "input")
    changes = [await bench.next() for _ in range(3)]
    assert {change.device for change in changes} == {JABRA_IN, JABRA_OUT, JABRA_KEYS}
    assert {change.action for change in changes} == {"plugged"}
    assert bench.changes.empty()


async def test_a_device_that_is_complete_a_little_later(bench: Bench) -> None:
    bench.watcher = DeviceWatcher(
        bench.report, find=bench.machine.find, monitor=lambda: bench.udev, settle_s=0.2
    )
    await bench.watcher.start()
    before = len(bench.machine.looks)
    bench.udev.tell("add", "video4linux")
    await bench.looked(before + 1)
    # Nothing to see at the first look; udev says no more.
    bench.machine.there.append(WEBCAM)
    assert await bench.next() == Change("plugged", WEBCAM)


async def test_pulled_and_back_at_once_is_told_of(bench: Bench) -> None:
    bench.machine.there.append(WEBCAM)
    await bench.watcher.start()
    bench.machine.there.remove(WEBCAM)
    bench.udev.tell("remove", "video4linux")
    assert await bench.next() == Change("unplugged", WEBCAM)
    bench.machine.there.append(WEBCAM)
    bench.udev.tell("add", "video4linux")
    assert await bench.next() == Change("plugged", WEBCAM)


async def test_the_same_device_of_another_backend_is_another() -> None:
    bench = Bench()
    other = Device(WEBCAM.id, "ACME by libcamera", "camera", "picamera2")
    bench.machine.there.append(WEBCAM)
    await bench.watcher.start()
    bench.machine.there[1:] = [Device(WEBCAM.id, "renamed", "camera", "v4l2"), other]
    bench.udev.tell("change", "video4linux")
    assert await bench.next() == Change("plugged", other)
    assert bench.changes.empty(), "a new label is no other device"
    await bench.watcher.close()
    bench.udev.close()


async def test_without_udev_it_looks_by_itself(caplog: pytest.LogCaptureFixture) -> None:
    def missing() -> Udev:
        raise BackendUnavailable("udev does not run here; start systemd-udevd")

    bench = Bench(missing)
    await bench.watcher.start()
    assert bench.watcher.polling
    assert "every 0.05 s: udev does not run here" in caplog.text
    bench.machine.there.append(JABRA_IN)
    assert await bench.next() == Change("plugged", JABRA_IN)
    bench.machine.there.remove(JABRA_IN)
    assert await bench.next() == Change("unplugged", JABRA_IN)
    await bench.watcher.close()
    bench.udev.close()


async def test_udev_that_fails_later_is_made_up_for(bench: Bench) -> None:
    await bench.watcher.start()
    bench.udev.fail(OSError(105, "No buffer space available"))
    bench.machine.there.append(WEBCAM)
    assert await bench.next() == Change("plugged", WEBCAM)
    assert bench.watcher.polling
    bench.machine.there.remove(WEBCAM)
    assert await bench.next() == Change("unplugged", WEBCAM)


async def test_a_look_that_fails_changes_nothing(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.machine.there.append(WEBCAM)
    await bench.watcher.start()
    before = len(bench.machine.looks)
    bench.machine.error = RuntimeError("the bus is stuck")
    bench.udev.tell("change", "video4linux")
    await bench.looked(before + 2)
    assert bench.watcher.devices == [SYNTHETIC, WEBCAM]
    assert bench.changes.empty()
    bench.machine.error = None
    bench.machine.there.remove(WEBCAM)
    bench.udev.tell("remove", "video4linux")
    assert await bench.next() == Change("unplugged", WEBCAM)
    assert "could not be listed" in caplog.text


async def test_a_handler_that_fails_does_not_end_it(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench()
    told: list[Change] = []

    def fail(change: Change) -> None:
        told.append(change)
        bench.report(change)
        raise ValueError("no")

    watcher = DeviceWatcher(
        fail, find=bench.machine.find, monitor=lambda: bench.udev, settle_s=0.05
    )
    await watcher.start()
    bench.machine.there += [WEBCAM, JABRA_IN]
    bench.udev.tell("add", "video4linux")
    bench.udev.tell("add", "sound")
    assert {(await bench.next()).device for _ in range(2)} == {WEBCAM, JABRA_IN}
    assert "could not be handled" in caplog.text
    await watcher.close()
    bench.udev.close()


async def test_closed_it_is_silent_and_can_start_again(bench: Bench) -> None:
    await bench.watcher.start()
    await bench.watcher.start()
    await bench.watcher.close()
    await bench.watcher.close()
    looks = len(bench.machine.looks)
    bench.machine.there.append(WEBCAM)
    bench.udev.tell("add", "video4linux")
    due = asyncio.Event()
    asyncio.get_running_loop().call_later(0.1, due.set)
    await due.wait()
    assert bench.changes.empty()
    assert len(bench.machine.looks) == looks
    await bench.watcher.start()
    assert WEBCAM in bench.watcher.devices
    assert {task.get_name() for task in asyncio.all_tasks()} >= {"device watcher"}
    await bench.watcher.close()
    assert "device watcher" not in {task.get_name() for task in asyncio.all_tasks()}


async def test_only_some_classes(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench()
    watcher = DeviceWatcher(
        bench.report, kinds=("camera",), find=bench.machine.find, monitor=lambda: bench.udev
    )
    with caplog.at_level(logging.INFO):
        await watcher.start()
        assert bench.udev.subsystems == {"video4linux"}
        bench.machine.there += [JABRA_IN, WEBCAM]
        bench.udev.tell("add", "video4linux")
        assert await bench.next() == Change("plugged", WEBCAM)
    assert "camera plugged: ACME" in caplog.text
    await watcher.close()
    bench.udev.close()


def test_udev_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """The real library's monitor has what is used of it; where no udev runs, it is told."""
    import pyudev

    context = pyudev.Context()
    monitor = pyudev.Monitor.from_netlink(context)
    for subsystem in module.SUBSYSTEMS:
        monitor.filter_by(subsystem)
    monitor.start()
    assert monitor.fileno() >= 0
    assert monitor.poll(0) is None
    monkeypatch.setattr(pyudev.Context, "run_path", "/nowhere")
    with pytest.raises(BackendUnavailable, match=r"^udev does not run here; start systemd-udevd$"):
        udev_monitor()
    monkeypatch.setitem(sys.modules, "pyudev", None)
    with pytest.raises(BackendUnavailable, match="pyudev"):
        udev_monitor()

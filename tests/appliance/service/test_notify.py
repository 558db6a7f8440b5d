from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.service.notify import Notifier


class Manager:
    """The service manager's end."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.settimeout(10)

    def heard(self, count: int) -> list[str]:
        return [self._socket.recv(1000).decode() for _ in range(count)]

    def silent(self) -> bool:
        self._socket.setblocking(False)
        try:
            self._socket.recv(1000)
        except BlockingIOError:
            return True
        return False

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Manager]:
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    manager = Manager(tmp_path / "notify")
    yield manager
    manager.close()


def test_the_service_manager_hears_everything_once(manager: Manager) -> None:
    notifier = Notifier()
    assert notifier.listens
    notifier.status("Joining demo: no hub there.")
    notifier.status("Joining demo: no hub there.")
    notifier.ready()
    notifier.ready()
    notifier.status("In demo.")
    notifier.stopping()
    assert manager.heard(4) == [
        "STATUS=Joining demo: no hub there.",
        "READY=1",
        "STATUS=In demo.",
        "STOPPING=1",
    ]
    assert manager.silent()


def test_a_status_cannot_say_anything_else(manager: Manager) -> None:
    Notifier().status("Joining: no\nREADY=1")
    assert manager.heard(1) == ["STATUS=Joining: no READY=1"]


def test_a_reload_is_timed_and_does_not_make_it_ready(manager: Manager) -> None:
    notifier = Notifier()
    before = time.monotonic_ns() // 1000
    notifier.reloading()
    (told,) = manager.heard(1)
    first, second = told.split("\n")
    assert first == "RELOADING=1"
    assert before <= int(second.removeprefix("MONOTONIC_USEC=")) <= time.monotonic_ns() // 1000
    notifier.reloaded()
    assert manager.silent()


def test_after_a_reload_it_is_ready_again(manager: Manager) -> None:
    notifier = Notifier()
    notifier.ready()
    notifier.reloading()
    notifier.reloaded()
    assert manager.heard(3)[::2] == ["READY=1", "READY=1"]


def test_signs_of_life(manager: Manager, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "20000000")
    notifier = Notifier()
    assert notifier.watchdog_s == 20.0
    notifier.alive()
    notifier.ready()
    notifier.alive()
    assert manager.heard(3) == ["EXTEND_TIMEOUT_USEC=20000000", "READY=1", "WATCHDOG=1"]


@pytest.mark.parametrize(
    ("values", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "rubbish"}, None),
        ({"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": str(os.getpid())}, 1.0),
    ],
)
def test_whether_signs_of_life_are_wanted(values: dict[str, str], seconds: float | None) -> None:
    assert Notifier(values).watchdog_s == seconds


def test_without_a_service_manager_nothing_happens() -> None:
    notifier = Notifier({})
    assert not notifier.listens
    notifier.ready()
    notifier.status("In demo.")
    notifier.alive()
    assert notifier.is_ready

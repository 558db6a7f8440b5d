from __future__ import annotations

import socket
from pathlib import Path

import pytest

from appliance.service.notify import Notifier


def test_the_service_manager_hears_everything_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(path))
        manager.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", str(path))
        notifier = Notifier()
        notifier.ready()
        notifier.status("joining: no hub there")
        notifier.status("joining: no hub there")
        notifier.status("in room")
        notifier.stopping()
        heard = [manager.recv(1000).decode() for _ in range(4)]
    assert heard == ["READY=1", "STATUS=joining: no hub there", "STATUS=in room", "STOPPING=1"]


def test_without_a_service_manager_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notifier = Notifier()
    notifier.ready()
    notifier.status("in room")

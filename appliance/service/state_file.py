"""The device's state where other programs find it, and the device itself after a restart.

A JSON object in the service's runtime directory, replaced whole on each change::

    {"status": "in_room", "reason": "", "room": "demo",
     "microphone": ["room"], "camera": [], "idle": false, "reboot": "when_idle", "pid": 1234}

`microphone` and `camera` are who holds their gates closed.  The file goes when the service is
stopped and survives its restart: what a person muted stays muted when the device is begun anew.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from appliance.media.gate import Gate, Party
from appliance.panel import PanelState
from appliance.provisioning.files import write_whole
from hal.controls import Status

log = logging.getLogger(__name__)

NAME: Final = "state.json"

VARIABLE: Final = "RUNTIME_DIRECTORY"
"""The variable in which systemd tells a service its runtime directory."""

DEFAULT: Final = Path("/run/roomlet")

_LASTING: Final = frozenset({Party.ROOM, Party.CONFIG, Party.SOFTWARE, Party.REMOTE})
"""Whose closing outlives a restart.  The others find out anew."""


class StateFile:
    """That file; None as `path` for none."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._last: dict[str, Any] = {}

    @classmethod
    def of_service(cls, environ: Mapping[str, str] = os.environ) -> StateFile:
        """That of the service which this process is; none where it is no service."""
        folder = environ.get(VARIABLE, "").split(":")[0]
        return cls(Path(folder) / NAME if folder else None)

    def write(self, state: PanelState, reboot: str = "when_idle") -> None:
        """Keep a state, if it is another one; `reboot` is `updates.reboot`."""
        held = {
            "status": state.status,
            "reason": state.status_reason,
            "room": state.room,
            "microphone": state.closers,
            "camera": state.camera_closers,
            "idle": state.status in (Status.IDLE.value, Status.UPDATING.value),
            "reboot": reboot,
            "pid": os.getpid(),
        }
        if self._path is None or held == self._last:
            return
        self._last = held
        try:
            # In memory: nothing of it outlives the machine.
            write_whole(self._path, json.dumps(held).encode(), 0o644, durable=False)
        except OSError as error:
            log.warning("%s: %s; others do not see the state", self._path, error.strerror)

    def restore(self, microphone: Gate, camera: Gate) -> str:
        """Close again what was closed when the service ended without being stopped.  Returns the
        status that it had then, empty where it was stopped."""
        found = {} if self._path is None else read(self._path)
        for name, gate in (("microphone", microphone), ("camera", camera)):
            closers = found.get(name)
            for party in _LASTING:
                if isinstance(closers, list) and party.value in closers:
                    gate.mute(party, "as before the restart")
        return str(found.get("status", ""))


def carry(before: Gate, after: Gate) -> None:
    """Close a gate that takes another one's place as people had closed that one."""
    for party in before.closers & _LASTING:
        after.mute(party, "as before the change")


def read(path: Path) -> dict[str, Any]:
    """What the file says; nothing where it cannot be read."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}

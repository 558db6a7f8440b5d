"""What the tests of the services under a real systemd have in common."""

from __future__ import annotations

import json
from typing import Any

from appliance.service.journal import Message
from tests.lab.nspawn import Machine

DEVICE = "roomlet.service"
CONFIG = "/etc/roomlet/device.toml"

HUB_OPTIONS = "--listen=127.0.0.1:8080 --open-room=demo --canvas=320x180 --fps=5"


def config(
    *,
    host: str = "ws://127.0.0.1:8080",
    camera: str = "synthetic",
    volume: int = 100,
    more: str = "",
) -> str:
    """A device in the room of the machine's own hub."""
    return f"""
[room]
host = "{host}"
name = "demo"
guest = true

[camera]
backend = "{camera}"
width = 320
height = 180
rate = 5

[microphone]
backend = "synthetic"
options = {{ pattern = "continuous" }}

[speaker]
backend = "synthetic"
volume = {volume}

[controls]
backend = "virtual"

[display]
backend = "memory"
options = {{ width = 320, height = 180 }}

[provisioning]
probation = 10
{more}"""


def entries(machine: Machine, *matches: str) -> list[dict[str, Any]]:
    """Those of the journal."""
    told = machine.run("journalctl", "-o", "json", "--no-pager", *matches)
    return [json.loads(line) for line in told.splitlines()]


def joins(machine: Machine) -> int:
    return len(entries(machine, f"MESSAGE_ID={Message.JOINED.value}"))


def kept(machine: Machine) -> bool:
    """Whether the configuration in force is on trial no more."""
    return "on trial" not in machine.run("roomlet", "provision", "status")


def in_room(machine: Machine) -> bool:
    return (
        machine.show(DEVICE, "ActiveState") == "active"
        and machine.show(DEVICE, "StatusText") == "In demo."
    )


def state(machine: Machine) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(machine.run("roomlet", "state"))
    return told

"""All that helps to find out what is wrong with a device, in one file without secrets."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import platform
import sys
import time
import zipfile
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from appliance import __version__
from appliance.media.gate import Party
from appliance.provisioning import Config
from appliance.provisioning.layers import Layers
from appliance.provisioning.showing import MASK, show
from appliance.service import journal, mute_log
from appliance.service.device import Device
from appliance.service.doctor import Patient, glance
from appliance.service.history import History
from appliance.service.json_lines import Entry
from appliance.service.log_ring import Line, LogRing
from appliance.service.secrecy import maskable

MUTES: Final = 500
"""Entries of the log of mutes, the newest; and beside them as many of the lease, of which a busy
machine has many."""

PACKAGES: Final = (
    "aioice",
    "aiortc",
    "av",
    "numpy",
    "pydantic",
    "starlette",
    "uvicorn",
    "websockets",
)
"""Libraries whose version is told."""

_ABOUT: Final = """\
What a Roomlet device told of itself. Secrets are masked; names of rooms, members and machines
are not.

config.toml    the configuration in force, with the source of each value
state.json     what the device does, as the panel shows it
report.json    measurements since the start
history.json   network, media and machine over the last two minutes
log.txt        the last lines of the program's log
mute.jsonl     who muted what, and when
doctor.json    what can be looked at without touching a device
versions.json  the program, its libraries and the machine
"""


async def bundle(
    device: Device, history: History, ring: LogRing, config: Config | None = None
) -> bytes:
    """A zip file; see its README.txt.  `config` is what is in force, if not the device's own."""
    state, report = asdict(device.state()), dict(device.report())
    samples = {"every": history.every, "samples": list(history.samples)}
    checks = [one.to_json() async for one in glance(Patient(device.config))]
    parts = {
        "state.json": state,
        "report.json": report,
        "history.json": samples,
        "doctor.json": checks,
    }
    # Files, and the packing: not on the loop.
    return await asyncio.to_thread(
        _packed, config or device.config, device.mute_log.directory, ring, parts
    )


def _packed(config: Config, mutes: Path, ring: LogRing, parts: Mapping[str, Any]) -> bytes:
    veil = _Veil(maskable(config))
    texts = {
        "README.txt": _ABOUT,
        "config.toml": veil.over(show(config, config.layers or Layers([]))),
        "log.txt": veil.over("".join(_line(one) for one in ring.since())),
        "mute.jsonl": "".join(
            json.dumps(veil.over(one), ensure_ascii=False) + "\n"
            for one in _newest(mute_log.read(mutes))
        ),
        **{
            # Before it is written as JSON: there a secret may look different, and a number that
            # holds one is none.
            name: json.dumps(veil.over(value), indent=2, ensure_ascii=False)
            for name, value in {**parts, "versions.json": _versions()}.items()
        },
    }
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, text in sorted(texts.items()):
            # The log and the names of files may hold half of a surrogate pair.
            packed.writestr(name, text.encode(errors="backslashreplace"))
    return file.getvalue()


class _Veil:
    """Hides the secrets of a configuration, and whatever the log hides."""

    def __init__(self, secrets: Iterable[str]) -> None:
        found = {secret for secret in secrets if len(secret) >= journal.SHORTEST}
        self._secrets = sorted(found, key=len, reverse=True)

    def over(self, value: Any) -> Any:
        if isinstance(value, str):
            for secret in self._secrets:
                value = value.replace(secret, MASK)
            return journal.SECRETS.blacken(value)
        if isinstance(value, Mapping):
            return {self.over(key): self.over(one) for key, one in value.items()}
        if isinstance(value, list | tuple):
            return [self.over(one) for one in value]
        return value


def _newest(entries: Iterable[Entry]) -> list[Entry]:
    acts, lapses = (deque[tuple[int, Entry]](maxlen=MUTES) for _ in range(2))
    for number, entry in enumerate(entries):
        (lapses if entry.get("who") == Party.LEASE.value else acts).append((number, entry))
    return [entry for _, entry in sorted([*acts, *lapses], key=lambda one: one[0])]


def _line(line: Line) -> str:
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(line.time))
    return f"{moment} {logging.getLevelName(line.level)} {line.logger}: {line.text}\n"


def _versions() -> dict[str, str]:
    found = {
        "roomlet": __version__,
        "python": sys.version.split()[0],
        "system": _system(),
        "kernel": platform.release(),
        "machine": platform.machine(),
        "processors": str(os.cpu_count()),
    }
    board = Path("/proc/device-tree/model")
    if board.exists():
        found["board"] = board.read_text(errors="replace").strip("\0\n")
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "unknown"
    return found


def _system() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    except OSError:
        return platform.system()

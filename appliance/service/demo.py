"""A meeting on this machine: a hub, simulated appliances, and a look at whether all works."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import logging
import os
import socket
import tempfile
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from appliance.hub import keys
from appliance.hub.tokens import TokenOptions, mint
from appliance.service.children import Child
from appliance.service.errors import DemoFailed
from appliance.service.examination import Examination, Subject
from appliance.service.panel_client import PanelClient
from hal.audio.synthetic import tone
from hal.virtual import PREFIX

log = logging.getLogger(__name__)

ROOM: Final = "demo"

READY_TIMEOUT: Final = 30.0
"""Seconds for a process to start, on a machine with other work."""

PERMISSIONS: Final = (
    "room.self.audio_mute",
    "room.self.audio_unmute",
    "room.self.video_mute",
    "room.self.video_unmute",
    "room.self.deaf",
    "room.self.undeaf",
    "room.list_available_layouts",
    "room.set_layout",
)
"""What an appliance in a room needs: its own buttons, and the layout."""


@dataclass(frozen=True, slots=True)
class Simulated:
    """One simulated appliance."""

    name: str
    number: int
    """Of its synthetic camera, microphone and speaker; others can be chosen at its panel."""

    @property
    def tone(self) -> float:
        """What its microphone speaks at first, in Hz."""
        return tone(self.number)


OAK: Final = Simulated("Oak", 1)
ELM: Final = Simulated("Elm", 2)


class Demo:
    """Owns everything that the demo starts; see `running`."""

    def __init__(self, folder: Path, host: str, port: int) -> None:
        self.folder: Final = folder
        """Where it keeps its files."""
        self._host = host
        self._port = port
        self._children: list[Child] = []
        self.hub: Child | None = None
        self.url = ""

    @classmethod
    @contextlib.asynccontextmanager
    async def running(cls, port: int, host: str = "127.0.0.1") -> AsyncIterator[Demo]:
        """A demo in a folder of its own, of which nothing is left at the end.

        Raises DemoFailed when the port is taken.
        """
        _check_port(host, port)
        with tempfile.TemporaryDirectory(prefix="roomlet-demo-") as folder:
            demo = cls(Path(folder), host, port)
            try:
                yield demo
            finally:
                await demo._stop()

    @property
    def page(self) -> str:
        """The page of the room."""
        return f"{self.url}/?room={ROOM}"

    async def start(self, *cast: Simulated) -> list[Subject]:
        """Start the hub, then the appliances; returns when their panels answer.

        Raises DemoFailed.
        """
        panels = {one.name: f"127.0.0.1:{_free_port()}" for one in cast}
        links = [f"--panel={name}=http://{listen}/" for name, listen in panels.items()]
        data = self.folder / "hub"
        listen = f"{self._host}:{self._port}"
        arguments = ["hub", f"--listen={listen}", f"--data={data}", f"--open-room={ROOM}", *links]
        self.hub = self._child("hub", arguments)
        line = await self.hub.start(READY_TIMEOUT)
        self.url = line.rpartition(" ")[2]
        return list(
            await asyncio.gather(*(self._appliance(one, panels[one.name], data) for one in cast))
        )

    async def wait(self) -> None:
        """Wait until a part ends by itself.  Raises DemoFailed then."""
        waiting = [asyncio.create_task(child.wait(), name=child.name) for child in self._children]
        try:
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            done.pop().result()
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

    async def _appliance(self, one: Simulated, listen: str, data: Path) -> Subject:
        path = self.folder / f"{one.name.lower()}.toml"
        token = self.folder / f"{one.name.lower()}.token"
        others = [other.tone for other in (OAK, ELM) if other is not one]
        _write_secret(token, _token(one, data))
        path.write_text(_toml(one, self.url, token, listen, others), encoding="utf-8")
        child = self._child(one.name, ["run", f"--config={path}"])
        line = await child.start(READY_TIMEOUT)
        return Subject(one.name, one.number, one.tone, child.pid, PanelClient(line.split()[-1]))

    def _child(self, name: str, arguments: list[str]) -> Child:
        child = Child(name, arguments, self.folder / f"{name.lower()}.log")
        self._children.append(child)
        return child

    async def _stop(self) -> None:
        # The appliances first: they say goodbye to the hub.
        appliances = [child for child in self._children if child is not self.hub]
        await asyncio.gather(*(child.stop() for child in appliances))
        if self.hub is not None:
            await self.hub.stop()


async def meeting(port: int, say: Callable[[str], None], stop: asyncio.Event) -> None:
    """The demo for people: runs until `stop` is set.  Raises DemoFailed."""
    async with Demo.running(port) as demo:
        say("starting the hub and an appliance")
        oak, *_ = await demo.start(OAK)
        say(f"the room    {demo.page}")
        say(f"the panel   {oak.panel.url}")
        say(f"its files   {demo.folder}: keys and recordings in hub, hub.log, oak.log")
        say(f"a token     roomlet token --room {ROOM} --name Ash --data {demo.folder / 'hub'}")
        say("Ctrl-C stops everything")
        await _until(stop, demo)


async def report(
    port: int, seconds: float, say: Callable[[str], None], stop: asyncio.Event
) -> dict[str, Any]:
    """The demo for machines: two appliances meet for `seconds`, and are looked at.

    Returns the report; its `errors` are empty when every part worked.
    """
    async with Demo.running(port) as demo:
        say("starting the hub and two appliances")
        subjects = await demo.start(OAK, ELM)
        assert demo.hub is not None
        examination = Examination(*subjects, hub_pid=demo.hub.pid, seconds=seconds, say=say)
        examining = asyncio.create_task(examination.run(), name="examination")
        watching = asyncio.create_task(_until(stop, demo), name="watch")
        try:
            await asyncio.wait({examining, watching}, return_when=asyncio.FIRST_COMPLETED)
            if not examining.done():
                watching.result()
                raise DemoFailed("the demo was stopped before its time was over")
            return examining.result()
        finally:
            for task in (examining, watching):
                task.cancel()
            await asyncio.gather(examining, watching, return_exceptions=True)


async def _until(stop: asyncio.Event, demo: Demo) -> None:
    stopped = asyncio.create_task(stop.wait(), name="stop")
    failed = asyncio.create_task(demo.wait(), name="parts")
    try:
        await asyncio.wait({stopped, failed}, return_when=asyncio.FIRST_COMPLETED)
        if failed.done():
            failed.result()
    finally:
        for task in (stopped, failed):
            task.cancel()
        await asyncio.gather(stopped, failed, return_exceptions=True)


def _token(one: Simulated, data: Path) -> str:
    secrets = keys.load(data)
    options = TokenOptions(room_name=ROOM, user_name=one.name, permissions=list(PERMISSIONS))
    return mint(options, secrets.signing_key, project=secrets.project)


def _toml(one: Simulated, url: str, token: Path, listen: str, tones: list[float]) -> str:
    number = one.number
    return f"""\
[room]
host = {_quoted(url)}
user_name = {_quoted(one.name)}
token_file = {_quoted(str(token))}

[camera]
backend = "synthetic"
device = "{PREFIX}{number}"

[microphone]
backend = "synthetic"
device = "{PREFIX}{number}"

[speaker]
backend = "synthetic"
device = "{PREFIX}{number}"

[controls]
backend = "virtual"

[display]
backend = "memory"
options = {{ width = 640, height = 360 }}

[panel]
listen = {_quoted(listen)}
frame_ancestors = [{_quoted(url)}]

[probe]
enabled = true
tones = {json.dumps(tones)}
"""


def _quoted(text: str) -> str:
    # Basic strings of TOML take JSON's escapes.
    return json.dumps(text)


def _write_secret(path: Path, text: str) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:  # noqa: PTH123
        file.write(text + "\n")


def _check_port(host: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            taken = error.errno == errno.EADDRINUSE
            reason = "the port is taken" if taken else (error.strerror or "no reason given").lower()
            remedy = "end the other program, or take a free port" if taken else "take a free port"
            raise PortTaken(
                f"cannot listen on {host}:{port}: {reason}; {remedy}: roomlet demo --port 0, "
                'or make demo ARGS="--port 0"'
            ) from error


class PortTaken(DemoFailed, OSError):
    """The demo's port is not free."""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

"""A hub in a process of its own that tells how it does: what it holds, and what it takes.

    python -m tests.appliance.hub.hub_process DATA CONNECT

DATA is its directory, CONNECT the seconds that it gives a socket. One line of JSON comes out for
each line that goes in.

Its memory and its threads are the hub's alone, whatever the test beside it needs.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
import os
import sys
import threading
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import aioice.ice
import psutil
from aiortc import RTCPeerConnection

from appliance.hub import keys as keyring
from appliance.hub.calls import Leg
from appliance.hub.config import HubConfig
from appliance.hub.gateway import Limits, _Socket
from appliance.hub.members import Member
from appliance.hub.room import Room
from appliance.hub.server import HubServer
from appliance.hub.sessions import Session
from appliance.media.peer import Peer
from tests.appliance.hub.hub_client import DEADLINE

LIMITS = Limits(burst=10**9, rate=1e9, events_burst=10**9, events_rate=1e9, grace=1.0, media=20.0)
"""So many messages as the machine can bear, and an end soon for whoever is gone."""

PATIENT = 10**6
"""Checks of a media connection that may fail in a row. Each has half a second, so that on a starved
machine the usual six end calls that are whole."""

COUNTED = (Leg, Member, Peer, Room, RTCPeerConnection, Session, _Socket)


@dataclass(frozen=True)
class State:
    """What a hub holds."""

    objects: dict[str, int]
    """How many there are of each of `COUNTED`."""
    tasks: int
    threads: int
    files: int
    """Open files, sockets among them."""
    children: int
    rss: int
    """Bytes of memory."""

    @property
    def held(self) -> tuple[object, ...]:
        """What must be as it was once everybody is gone."""
        counts = tuple(self.objects.items())
        return counts, self.tasks, self.threads, self.files, self.children


class HubProcess:
    """The hub, seen from the test."""

    def __init__(self, process: asyncio.subprocess.Process, data: Path, log: Path) -> None:
        self.keys: keyring.Keys
        self.url = ""
        self._process = process
        self._data = data
        self._log = log
        self._asking = asyncio.Lock()

    @classmethod
    @contextlib.asynccontextmanager
    async def running(cls, folder: Path, *, connect: float = 60.0) -> AsyncIterator[Self]:
        """A hub that has its data below `folder`, until the end of the block; it gives each socket
        `connect` seconds for its requests."""
        data, log = folder / "hub", folder / "hub.log"
        with log.open("wb") as errors:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", __name__, str(data), str(connect)),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
                cwd=Path(__file__).parents[3],
            )
        hub = cls(process, data, log)
        try:
            hub.url = (await hub._line())["url"]
            hub.keys = keyring.load(data, {})
            yield hub
            assert process.stdin is not None
            process.stdin.close()
            async with asyncio.timeout(3 * DEADLINE):
                assert await process.wait() == 0, hub.log()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    @property
    def websocket_url(self) -> str:
        return "ws" + self.url.removeprefix("http")

    @property
    def address(self) -> tuple[str, int]:
        host, port = self.url.removeprefix("http://").split(":")
        return host, int(port)

    async def state(self) -> State:
        """What it holds just now."""
        async with self._asking:
            assert self._process.stdin is not None
            self._process.stdin.write(b"state\n")
            return State(**await self._line())

    def log(self) -> str:
        """What it has complained of."""
        return self._log.read_text()

    async def _line(self) -> Any:
        assert self._process.stdout is not None
        async with asyncio.timeout(3 * DEADLINE):
            line = await self._process.stdout.readline()
        assert line, f"the hub has ended:\n{self.log()}"
        return json.loads(line)


def look() -> State:
    """What this process holds. To be called on its loop."""
    gc.collect()
    counts = Counter(type(thing).__name__ for thing in gc.get_objects() if type(thing) in COUNTED)
    process, threads = psutil.Process(), threading.enumerate()
    return State(
        objects={kind.__name__: counts[kind.__name__] for kind in COUNTED},
        tasks=len(asyncio.all_tasks()),
        # The pools of the loop and of the web server grow up to a limit and stay.
        threads=sum(not thread.name.startswith(("asyncio", "AnyIO")) for thread in threads),
        files=process.num_fds(),
        children=len(process.children()),
        rss=process.memory_info().rss,
    )


async def serve(data: Path, connect: float) -> None:
    """Be the hub until the input ends."""
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    config = HubConfig(
        listen="127.0.0.1:0", data=data, auto_create_rooms=True, width=640, height=360, rate=15
    )
    limits = replace(LIMITS, connect=connect)
    server = HubServer(config, limits=limits, environment={})
    await server.start()

    def say(**words: Any) -> None:
        print(json.dumps(words), flush=True)

    def asked() -> None:
        if os.read(sys.stdin.fileno(), 64):
            state = look()
            say(**{name: getattr(state, name) for name in State.__dataclass_fields__})
        else:
            loop.remove_reader(sys.stdin.fileno())
            ended.set()

    loop.add_reader(sys.stdin.fileno(), asked)
    say(url=server.url)
    await ended.wait()
    await server.stop()


if __name__ == "__main__":
    # For its guard: an offer that was made up may name any address.
    import tests.conftest  # noqa: F401

    aioice.ice.CONSENT_FAILURES = PATIENT
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    asyncio.run(serve(Path(sys.argv[1]), float(sys.argv[2])))

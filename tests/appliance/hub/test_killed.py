"""A hub that is killed in the middle of a meeting, as a process of its own."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from appliance.hub import keys as keyring
from appliance.hub.store import FILE
from appliance.media.peer import Peer
from tests.appliance.hub.hub_client import DEADLINE, Client


@dataclass
class Process:
    """A hub, with what clients and scripts ask of it."""

    process: asyncio.subprocess.Process
    url: str
    keys: keyring.Keys

    @property
    def websocket_url(self) -> str:
        return "ws" + self.url.removeprefix("http")

    async def kill(self) -> None:
        self.process.kill()
        await self.process.wait()

    async def get(self, path: str) -> Any:
        auth = (self.keys.project, self.keys.api_token)
        async with httpx.AsyncClient(base_url=self.url, auth=auth) as http:
            answer = await http.get(f"/api/video{path}")
            assert answer.status_code == 200
            return answer.json()


Start = Callable[[], Awaitable[Process]]


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    processes: list[asyncio.subprocess.Process] = []

    async def starting() -> Process:
        command = ["-m", "appliance", "hub", "--listen=127.0.0.1:0", "--open-room=demo"]
        process = await asyncio.create_subprocess_exec(
            sys.executable, *command, f"--data={tmp_path}", stdout=asyncio.subprocess.PIPE
        )
        processes.append(process)
        assert process.stdout is not None
        async with asyncio.timeout(60):
            line = (await process.stdout.readline()).decode()
        return Process(process, line.split()[-1], keyring.load(tmp_path, {}))

    yield starting
    for process in processes:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_what_was_told_is_kept(start: Start, tmp_path: Path) -> None:
    hub = await start()
    client = await Client.join(hub, await offer())  # type: ignore[arg-type]
    await client.rpc("video.set_meta", meta={"x": 1})
    (session,) = (await hub.get("/room_sessions"))["data"]
    assert session["status"] == "in-progress"
    await hub.kill()
    await client.gone()
    again = await start()
    found = await again.get(f"/room_sessions/{session['id']}")
    assert (found["status"], found["end_reason"]) == ("completed", "interrupted")
    (member,) = (await again.get(f"/room_sessions/{session['id']}/members"))["data"]
    assert (member["id"], member["leave_time"]) == (client.member_id, found["end_time"])
    events = (await again.get(f"/room_sessions/{session['id']}/events"))["data"]
    assert events[0]["payload"]["room"]["meta"] == {"x": 1}
    assert [room["name"] for room in (await again.get("/rooms"))["data"]] == ["demo"]
    await again.kill()
    with sqlite3.connect(tmp_path / FILE) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


async def offer() -> str:
    peer = Peer(addresses=("127.0.0.1",))
    try:
        async with asyncio.timeout(DEADLINE):
            return await peer.offer()
    finally:
        await peer.close()


async def test_a_second_hub_is_told_off(start: Start, tmp_path: Path) -> None:
    hub = await start()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *["-m", "appliance", "hub", "--listen=127.0.0.1:0", f"--data={tmp_path}"],
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        said, complained = await process.communicate()
    assert process.returncode != 0
    assert said == b""
    assert b"another hub uses the data directory" in complained
    assert complained.count(b"\n") == 1
    assert json.dumps(await hub.get("/rooms"))

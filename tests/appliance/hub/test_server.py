"""The hub as a server: where it listens, what it serves, how it starts and how it stops."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import socket
from pathlib import Path
from typing import Any

import httpx
import pytest

from appliance.hub import keys as keyring
from appliance.hub.config import HubConfig
from appliance.hub.errors import DataError, HubError
from appliance.hub.gateway import Limits
from appliance.hub.server import HubServer, serve
from tests.appliance.hub.conftest import MakeHub, TestHub
from tests.appliance.hub.hub_client import Client, token


def config(path: Path, **settings: Any) -> HubConfig:
    return HubConfig(**{"listen": "127.0.0.1:0", "data": path / "hub", **settings})


async def test_a_full_disk_is_said_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    server = HubServer(config(tmp_path), environment={})
    with pytest.raises(DataError, match=r"disk of the data directory .* is full; free"):
        await server.start()
    assert list((tmp_path / "hub").iterdir()) == []


async def test_a_data_directory_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "hub").write_text("x")
    server = HubServer(config(tmp_path), environment={})
    with pytest.raises(DataError, match="no directory; choose another with --data"):
        await server.start()


async def test_stop_is_safe_at_any_time(tmp_path: Path) -> None:
    server = HubServer(config(tmp_path), environment={})
    await server.stop()
    server = HubServer(config(tmp_path), environment={})
    await server.start()
    url = httpx.URL(server.url)
    await server.stop()
    await server.stop()
    with socket.create_server(("127.0.0.1", url.port)):
        pass


async def test_stop_leaves_nothing_running(make_hub: MakeHub) -> None:
    before = asyncio.all_tasks()
    hub = await make_hub()
    clients = [await Client.join(hub, room=f"room-{n % 2}") for n in range(4)]
    await hub.stop()
    assert all(peer.state.value == "closed" for peer in hub.peers)
    assert all(stage.closed for stage in hub.stages)
    for client in clients:
        await client.gone()
    assert {task for task in asyncio.all_tasks() if not task.done()} <= before


async def test_serve_until_told_to_stop(tmp_path: Path) -> None:
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    stop = asyncio.Event()
    running = asyncio.create_task(serve(config(tmp_path), ready.set_result, stop))
    async with asyncio.timeout(20), httpx.AsyncClient() as client:
        answer = await client.get(f"{await ready}/health")
        assert answer.status_code == 200
        stop.set()
        await running


async def test_serve_tells_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "hub").write_text("x")
    with pytest.raises(HubError):
        await serve(config(tmp_path), lambda _url: None, asyncio.Event())


async def test_no_secret_in_the_log(make_hub: MakeHub, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    hub = await make_hub()
    jwt = token(hub)
    client = await Client.connect(hub, jwt)
    await client.invite()
    await client.close()
    await hub.stop()
    text = caplog.text
    for secret in (jwt, hub.keys.api_token, client.authorization_state or "?"):
        # Of the test's own client, which logs what it sends, nothing counts.
        lines = [
            record.getMessage()
            for record in caplog.records
            if not record.name.startswith(("websockets.client", "httpx", "httpcore"))
        ]
        assert not any(secret in line for line in lines)
    assert "Oak has connected" in text


# Slow and broken peers on the HTTP side


async def test_who_never_finishes_a_request_holds_up_nobody(hub: TestHub) -> None:
    port = httpx.URL(hub.url).port
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        b"POST /api/video/room_tokens HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{"
    )
    await writer.drain()
    async with await Client.join(hub):
        pass
    await hub.stop()
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    del reader


async def test_a_client_that_does_not_read_is_let_go(make_hub: MakeHub) -> None:
    """Its socket fills up; the others go on, and its session ends with its socket."""
    hub = await make_hub(Limits(send=0.3, ping=60, burst=10**6, rate=10**6))
    async with await Client.join(hub, user_name="Elm") as other:
        stuck = await Client.join(hub)
        stuck.socket.transport.pause_reading()
        stuck.acks = False
        assert hub._gateway is not None
        big = {"x": "y" * 1500}
        async with asyncio.timeout(60):
            number = 0
            while len(hub._gateway) > 1:
                number += 1
                await other.rpc("video.set_meta", meta={**big, "number": number})
        await other.settled()
        stuck.socket.transport.abort()


def test_the_keys_file_is_private(tmp_path: Path) -> None:
    keyring.load(tmp_path, {})
    assert (tmp_path / keyring.FILE).stat().st_mode & 0o777 == 0o600

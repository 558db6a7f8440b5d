from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import pytest

from appliance.provisioning.collecting import Found
from appliance.provisioning.errors import Unreachable
from appliance.provisioning.web import Web, tls_context
from tests.appliance.provisioning.conftest import FleetFolder
from tests.appliance.provisioning.static_server import Authority, StaticServer


class Proxy:
    """Leads CONNECT to this machine's ports, whatever host is asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> str:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                method, target, _ = head.split("\r\n")[0].split()
                self.asked.append(f"{method} {target}")
                port = int(target.rpartition(":")[2])
                there, back = await asyncio.open_connection("127.0.0.1", port)
                writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
                try:
                    await asyncio.gather(self._pipe(reader, back), self._pipe(there, writer))
                finally:
                    back.transport.abort()
        finally:
            writer.transport.abort()

    async def _pipe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
        writer.transport.abort()


async def test_through_a_proxy(
    server: StaticServer, fleet: FleetFolder, authority: Authority
) -> None:
    (fleet.folder / "fleet.toml").write_text("a = 1\n")
    proxy = Proxy()
    async with proxy as address, Web(authority.file, address) as web:
        answer = await web.folder(server.url).get("fleet.toml", 100)
    assert (answer.found, answer.data) == (Found.YES, b"a = 1\n")
    assert proxy.asked == [f"CONNECT 127.0.0.1:{server.port}"]


async def test_a_proxy_that_is_gone(server: StaticServer, authority: Authority) -> None:
    async with Proxy() as address:
        pass
    async with Web(authority.file, address) as web:
        with pytest.raises(Unreachable, match="cannot be asked"):
            await web.folder(server.url).get("fleet.toml", 100)
    assert server.asked.total() == 0


async def test_the_environment_does_not_go_past_the_configuration(
    server: StaticServer, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = Proxy()
    async with proxy as address:
        monkeypatch.setenv("HTTPS_PROXY", address)
        monkeypatch.setenv("ALL_PROXY", address)
        async with Web(authority.file, None) as web:
            assert (await web.folder(server.url).get("gone", 100)).found is Found.NO
    assert proxy.asked == []


async def test_a_server_that_says_nothing_is_not_waited_for_for_ever(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent = asyncio.Event()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # It takes the question and holds the line.
        await silent.wait()
        writer.transport.abort()

    monkeypatch.setattr("appliance.provisioning.web.DEADLINE", 2.0)
    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=authority.context())
    try:
        port = server.sockets[0].getsockname()[1]
        async with Web(authority.file, None) as web:
            with pytest.raises(Unreachable, match=r"took longer than|cannot be asked"):
                await web.folder(f"https://127.0.0.1:{port}/").get("fleet.toml", 100)
    finally:
        silent.set()
        server.close()


def test_certificates_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match=r"ca.pem: no such file.*as PEM"):
        tls_context(tmp_path / "ca.pem")
    (tmp_path / "ca.pem").write_text("rubbish")
    with pytest.raises(Unreachable, match=r"ca.pem: .*as PEM") as caught:
        tls_context(tmp_path / "ca.pem")
    assert "\n" not in str(caught.value)

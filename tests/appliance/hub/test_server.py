"""The hub as a server: where it listens, what it serves, how it starts and how it stops."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import errno
import logging
import os
import socket
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from appliance import __version__
from appliance.hub import keys as keyring
from appliance.hub.config import HubConfig
from appliance.hub.errors import DataError, HubError, ListenError, SettingError
from appliance.hub.gateway import Limits
from appliance.hub.server import PAGE, HubServer, serve
from tests.appliance.hub.conftest import MakeHub, TestHub
from tests.appliance.hub.hub_client import Client, token


def config(path: Path, **settings: Any) -> HubConfig:
    return HubConfig(**{"listen": "127.0.0.1:0", "data": path / "hub", **settings})


async def test_one_port_for_everything(hub: TestHub) -> None:
    async with httpx.AsyncClient(base_url=hub.url) as client:
        health = (await client.get("/health")).json()
        assert health == {"status": "ok", "version": __version__, "rooms": 0, "members": 0}
        async with await Client.join(hub):
            health = (await client.get("/health")).json()
            assert (health["rooms"], health["members"]) == (1, 1)
        page = await client.get("/")
        assert page.status_code == 200
        assert page.text == (PAGE / "index.html").read_text(encoding="utf-8")
        assert page.headers["content-type"].startswith("text/html")
        script = await client.get("/static/roomlet.js")
        assert script.text == (PAGE / "roomlet.js").read_text(encoding="utf-8")
        for path in ("/nothing", "/static/nothing.js", "/static/../server.py", "/guest/demo"):
            assert (await client.get(path)).status_code in (404, 405)


async def test_what_the_page_may_load(make_hub: MakeHub) -> None:
    panels = ({"name": "Demo", "url": "http://127.0.0.1:8081"},)
    hub = await make_hub(panels=panels)
    async with httpx.AsyncClient(base_url=hub.url) as client:
        page = await client.get("/")
        policy = page.headers["content-security-policy"]
        assert "default-src 'self'" in policy
        assert "unsafe" not in policy
        assert "frame-src http://127.0.0.1:8081;" in policy
        assert page.headers["x-content-type-options"] == "nosniff"
        demo = await client.get("/demo.json")
        assert demo.json() == {"panels": list(panels)}


async def test_without_a_demo_there_are_no_panels(hub: TestHub) -> None:
    async with httpx.AsyncClient(base_url=hub.url) as client:
        assert (await client.get("/demo.json")).status_code == 404


async def test_a_taken_port_is_said_in_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        server = HubServer(config(tmp_path, listen=listen), environment={})
        with pytest.raises(ListenError) as caught:
            await server.start()
        await server.stop()
    text = str(caught.value)
    assert listen in text
    assert "taken" in text
    assert "--listen" in text
    assert "\n" not in text


@pytest.mark.parametrize("listen", ["192.0.2.1:0", "no.such.host.example:0"])
async def test_an_address_of_another_machine(tmp_path: Path, listen: str) -> None:
    server = HubServer(config(tmp_path, listen=listen), environment={})
    with pytest.raises(ListenError, match="no address of this machine"):
        await server.start()


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


# TLS


def certificate(path: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    cert_path, key_path = path / "cert.pem", path / "key.pem"
    cert_path.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    key_path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return cert_path, key_path


async def test_with_a_certificate_it_is_https_and_wss(make_hub: MakeHub, tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    hub = await make_hub(cert=cert, key=key)
    assert hub.url.startswith("https://")
    assert hub.websocket_url.startswith("wss://")
    async with httpx.AsyncClient(verify=False) as client:
        assert (await client.get(f"{hub.url}/health")).status_code == 200


@pytest.mark.parametrize("broken", ["cert", "key", "other", "missing"])
async def test_a_certificate_that_cannot_be_used(tmp_path: Path, broken: str) -> None:
    cert, key = certificate(tmp_path)
    if broken == "other":
        (tmp_path / "more").mkdir()
        _, key = certificate(tmp_path / "more")
    elif broken == "missing":
        key = tmp_path / "nothing.pem"
    else:
        {"cert": cert, "key": key}[broken].write_text("nonsense")
    server = HubServer(config(tmp_path, cert=cert, key=key), environment={})
    with pytest.raises(SettingError) as caught:
        await server.start()
    assert "\n" not in str(caught.value)


# Slow and broken peers on the HTTP side


async def test_who_never_finishes_a_request_holds_up_nobody(hub: TestHub) -> None:
    port = httpx.URL(hub.url).port
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST /api/video/room_tokens HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{")
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

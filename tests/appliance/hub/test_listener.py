"""Where the hub listens, with which certificate, and where it receives media."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import httpx
import pytest

from appliance.hub.config import HubConfig
from appliance.hub.errors import ListenError, SettingError
from appliance.hub.listener import listen, url_of
from appliance.hub.server import HubServer
from tests.appliance.hub.conftest import MakeHub
from tests.appliance.hub.rtmp_server import make_certificate


def config(path: Path, **settings: Any) -> HubConfig:
    return HubConfig(**{"listen": "127.0.0.1:0", "data": path / "hub", **settings})


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


async def test_with_a_certificate_it_is_https_and_wss(make_hub: MakeHub, tmp_path: Path) -> None:
    cert, key = make_certificate(tmp_path)
    hub = await make_hub(cert=cert, key=key)
    assert hub.url.startswith("https://")
    assert hub.websocket_url.startswith("wss://")
    async with httpx.AsyncClient(verify=False) as client:
        assert (await client.get(f"{hub.url}/health")).status_code == 200


@pytest.mark.parametrize("broken", ["cert", "key", "other", "missing"])
async def test_a_certificate_that_cannot_be_used(tmp_path: Path, broken: str) -> None:
    cert, key = make_certificate(tmp_path)
    if broken == "other":
        (tmp_path / "more").mkdir()
        _, key = make_certificate(tmp_path / "more")
    elif broken == "missing":
        key = tmp_path / "nothing.pem"
    else:
        {"cert": cert, "key": key}[broken].write_text("nonsense")
    server = HubServer(config(tmp_path, cert=cert, key=key), environment={})
    with pytest.raises(SettingError) as caught:
        await server.start()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("address", ["192.0.2.1", "2001:db8::1"])
async def test_media_at_an_address_of_another_machine(tmp_path: Path, address: str) -> None:
    server = HubServer(config(tmp_path, addresses=("127.0.0.1", address)), environment={})
    with pytest.raises(ListenError, match=rf"{address}.*--media-address"):
        await server.start()


@pytest.mark.parametrize(
    ("address", "url"), [("127.0.0.1:0", "http://127.0.0.1:"), ("0.0.0.0:0", "http://127.0.0.1:")]
)
def test_the_url_is_one_that_a_browser_can_open(address: str, url: str) -> None:
    with listen(address) as listener:
        port = listener.getsockname()[1]
        assert url_of(listener, secure=False) == f"{url}{port}"
        assert url_of(listener, secure=True).startswith("https://")

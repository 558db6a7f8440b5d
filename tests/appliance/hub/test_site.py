"""What the hub serves by HTTP, and to whom."""

from __future__ import annotations

import logging
import socket
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Origin

from appliance import __version__
from appliance.hub.site import PAGE
from tests.appliance.hub.conftest import MakeHub, TestHub
from tests.appliance.hub.hub_client import Client
from tests.appliance.hub.rtmp_server import make_certificate

PATHS = ("/", "/health", "/demo.json", "/static/roomlet.js", "/api/video/rooms", "/previews/a.mp4")


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
        for name in ("base.css", "page.css", "favicon.svg"):
            assert f"static/{name}" in page.text
            assert (await client.get(f"/static/{name}")).status_code == 200
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


@pytest.mark.parametrize("path", PATHS)
async def test_a_foreign_name_for_this_address_is_refused(hub: TestHub, path: str) -> None:
    port = httpx.URL(hub.url).port
    async with httpx.AsyncClient(base_url=hub.url) as client:
        for host in (f"evil.example:{port}", "evil.example", f"127.0.0.1.evil.example:{port}"):
            answer = await client.get(path, headers={"Host": host})
            assert answer.status_code == 403
            assert "--allowed-host" in answer.text
            assert "content-security-policy" in answer.headers
        own = socket.gethostname().removesuffix(".local")
        for host in (f"localhost:{port}", f"[::1]:{port}", "192.0.2.7", f"{own}.local:{port}"):
            answer = await client.get(path, headers={"Host": host})
            assert answer.status_code in (200, 401, 404)


async def test_a_rebound_name_gets_no_guest_token(make_hub: MakeHub) -> None:
    hub = await make_hub(open_rooms=("lobby",))
    async with httpx.AsyncClient(base_url=hub.url) as client:
        port = httpx.URL(hub.url).port

        async def ask(host: str, origin: str) -> httpx.Response:
            headers = {"Host": f"{host}:{port}", "Origin": f"http://{origin}:{port}"}
            return await client.post("/guest/lobby", headers=headers, json={"name": "Fir"})

        # The page of another site whose name means this machine's address by now.
        assert (await ask("evil.example", "evil.example")).status_code == 403
        assert (await ask("127.0.0.1", "evil.example")).status_code == 403
        assert "token" in (await ask("127.0.0.1", "127.0.0.1")).json()
        assert "token" in (await ask("LOCALHOST", "localhost")).json()
        # A program says no origin, and may use any name of the network.
        headers = {"Host": "hub.lan"}
        answer = await client.post("/guest/lobby", headers=headers, json={"name": "Fir"})
        assert "token" in answer.json()


async def test_a_page_under_a_foreign_name_gets_no_socket(hub: TestHub) -> None:
    port = httpx.URL(hub.url).port
    for path in ("/", "/ws"):
        origin, url = f"http://evil.example:{port}", f"ws://evil.example:{port}{path}"
        with pytest.raises(InvalidStatus) as caught:
            await connect(url, host="127.0.0.1", port=port, origin=Origin(origin))
        assert caught.value.response.status_code == 403
        # A device comes by whatever name leads here.
        async with connect(f"ws://hub.lan:{port}{path}", host="127.0.0.1", port=port):
            pass
    async with await Client.join(hub):
        pass


async def test_the_names_that_the_operator_gives_are_answered(make_hub: MakeHub) -> None:
    hub = await make_hub(allowed_hosts=("Hub.Example.",))
    async with httpx.AsyncClient(base_url=hub.url) as client:
        for host, status in (("hub.example", 200), ("HUB.EXAMPLE.:1", 200), ("ub.example", 403)):
            answer = await client.get("/health", headers={"Host": host})
            assert answer.status_code == status, host


async def test_with_a_certificate_the_browser_checks_the_name(
    make_hub: MakeHub, tmp_path: Path
) -> None:
    cert, key = make_certificate(tmp_path)
    hub = await make_hub(cert=cert, key=key)
    async with httpx.AsyncClient(base_url=hub.url, verify=False) as client:
        answer = await client.get("/health", headers={"Host": "hub.example"})
        assert answer.status_code == 200


async def test_the_log_says_once_how_to_allow_a_name(
    hub: TestHub, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "appliance.web")
    async with httpx.AsyncClient(base_url=hub.url) as client:
        for number in range(20):
            await client.get("/", headers={"Host": f"{'x' * 200}{number}.example"})
    (line,) = [one.getMessage() for one in caplog.records if one.name == "appliance.web.hosts"]
    assert "--allowed-host" in line
    assert len(line) < 300

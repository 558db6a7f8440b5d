from __future__ import annotations

import socket
from html.parser import HTMLParser
from pathlib import Path

import httpx
import pytest
from starlette.types import Scope
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from appliance.panel import Panel, guard
from appliance.panel.guard import Guard, ancestors
from tests.appliance.panel.fake_device import FakeDevice

PATHS = ("/", "/favicon.svg", "/api/state", "/api/report", "/screen.jpg")


def authority(panel: Panel) -> str:
    return httpx.URL(panel.url).netloc.decode()


@pytest.mark.parametrize("path", PATHS)
async def test_a_foreign_name_for_this_address_is_refused(panel: Panel, path: str) -> None:
    port = authority(panel).rpartition(":")[2]
    async with httpx.AsyncClient(base_url=panel.url) as client:
        for host in (f"evil.example:{port}", "evil.example", f"127.0.0.1.evil.example:{port}"):
            answer = await client.get(path, headers={"Host": host})
            assert answer.status_code == 403
            assert "use its address" in answer.text
        for host in (f"localhost:{port}", f"[::1]:{port}", f"{socket.gethostname()}.local:{port}"):
            assert (await client.get(path, headers={"Host": host})).status_code == 200


async def test_configured_names_are_answered(device: FakeDevice) -> None:
    async with Panel(device, "127.0.0.1:0", hosts=["Panel.Example"]) as panel:
        async with httpx.AsyncClient(base_url=panel.url) as client:
            answer = await client.get("/", headers={"Host": "panel.example"})
            assert answer.status_code == 200


@pytest.mark.parametrize("path", PATHS)
async def test_pages_of_another_origin_get_nothing(panel: Panel, path: str) -> None:
    async with httpx.AsyncClient(base_url=panel.url) as client:
        for origin in ("http://evil.example", "http://127.0.0.1:1", "null"):
            assert (await client.get(path, headers={"Origin": origin})).status_code == 403
        for site in ("cross-site", "same-site"):
            answer = await client.get(path, headers={"Sec-Fetch-Site": site})
            # The document may be opened from a link or a frame; who may frame it, its policy says.
            assert answer.status_code == (200 if path == "/" else 403)


async def test_the_live_socket_is_for_its_own_page_only(panel: Panel, device: FakeDevice) -> None:
    url = f"ws://{authority(panel)}/api/live"
    for origin in ("http://evil.example", "http://127.0.0.1:1", "null"):
        with pytest.raises(InvalidStatus) as caught:
            await connect(url, origin=origin)  # type: ignore[arg-type]
        assert caught.value.response.status_code == 403
    async with connect(url, origin=f"http://{authority(panel)}") as page:  # type: ignore[arg-type]
        await page.recv()
    assert device.presses == []


async def test_only_listed_pages_may_frame_the_panel(panel: Panel) -> None:
    async with httpx.AsyncClient(base_url=panel.url) as client:
        alone = (await client.get("/")).headers["content-security-policy"]
        panel.embed_origins.append("http://127.0.0.1:8080")
        framed = (await client.get("/")).headers["content-security-policy"]
    assert alone.endswith("frame-ancestors 'self'")
    assert framed.endswith("frame-ancestors 'self' http://127.0.0.1:8080 http://localhost:8080")
    for policy in (alone, framed):
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy


@pytest.mark.parametrize(
    ("origins", "value"),
    [
        ([], "'self'"),
        (["https://hub.example"], "'self' https://hub.example"),
        (["http://[::1]:80"], "'self' http://127.0.0.1:80 http://localhost:80"),
        (
            ["http://localhost:80", "http://127.0.0.1:80"],
            "'self' http://127.0.0.1:80 http://localhost:80",
        ),
    ],
)
def test_ancestors(origins: list[str], value: str) -> None:
    assert ancestors(origins) == value


class _Inline(HTMLParser):
    """What a page would run or paint by words of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = {name for name, _ in attrs}
        if tag == "style" or (tag == "script" and "src" not in names) or "style" in names:
            self.found.append(tag)
        self.found += [name for name in names if name.startswith("on")]
        self.found += [value for _, value in attrs if value and "javascript:" in value.lower()]


def test_no_page_has_a_script_or_style_inline() -> None:
    pages = sorted((Path(guard.__file__).parent / "page").glob("*.html"))
    assert {"index.html", "login.html"} <= {page.name for page in pages}
    for page in pages:
        parser = _Inline()
        parser.feed(page.read_text())
        assert parser.found == []


def test_a_request_without_host_is_refused() -> None:
    async def app(*_: object) -> None:
        raise AssertionError("not to be reached")

    scope: Scope = {"type": "http", "path": "/", "headers": []}
    assert Guard(app, names=[], embedders=[]).objection(scope) is not None

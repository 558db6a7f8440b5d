"""The panel by https: what protects the PIN on its way, and certificates in its place."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidMessage, InvalidStatus

from appliance.panel import Access, Panel, Tls, TlsError, server
from tests.appliance.panel.fake_device import FakeDevice
from tests.appliance.provisioning.static_server import Authority

DEADLINE = 20.0
PIN = "correct horse"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Whom everybody here believes, and who knows the visitors."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority that nobody asked."""
    return Authority(tmp_path_factory.mktemp("stranger"))


@pytest.fixture(scope="module")
def pem(authority: Authority) -> Path:
    return authority.issue("panel")


def visitor(authority: Authority, certificate: Path | None = None) -> ssl.SSLContext:
    """What a browser brings along."""
    context = ssl.create_default_context(cafile=authority.file)
    if certificate is not None:
        context.load_cert_chain(certificate)
    return context


@pytest.fixture
async def with_pin(device: FakeDevice, pem: Path) -> AsyncIterator[Panel]:
    access = Access(lambda: PIN)
    async with Panel(device, "127.0.0.1:0", access=access, tls=Tls(pem, pem)) as panel:
        yield panel


@pytest.fixture
async def with_certificates(
    device: FakeDevice, pem: Path, authority: Authority
) -> AsyncIterator[Panel]:
    async with Panel(device, "127.0.0.1:0", tls=Tls(pem, pem, authority.file)) as panel:
        yield panel


def live(panel: Panel) -> str:
    return panel.url.replace("https", "wss") + "api/live"


async def test_the_cookie_never_leaves_without_tls(with_pin: Panel, authority: Authority) -> None:
    origin = with_pin.url.rstrip("/")
    context = visitor(authority)
    async with httpx.AsyncClient(base_url=with_pin.url, verify=context) as client:
        answer = await client.post("/login", data={"pin": PIN}, headers={"Origin": origin})
        name, *attributes = (part.strip() for part in answer.headers["set-cookie"].split(";"))
        # Browsers take the prefix only with these, and then from nobody but this host.
        assert name.startswith("__Host-")
        assert {"secure", "httponly", "samesite=strict", "path=/"} <= {
            one.lower() for one in attributes
        }
        assert (await client.get("/api/state")).json()["name"] == "Oak"
        cookie = {"Cookie": name, "Origin": origin}
    async with connect(live(with_pin), ssl=context, additional_headers=cookie) as socket:
        assert "state" in json.loads(await socket.recv())


async def test_a_page_of_this_address_without_tls_is_another_one(
    with_pin: Panel, authority: Authority, device: FakeDevice
) -> None:
    """Who sits in the network's middle can serve any page under http and the same name."""
    origin = with_pin.url.rstrip("/").replace("https", "http")
    context = visitor(authority)
    async with httpx.AsyncClient(base_url=with_pin.url, verify=context) as client:
        answer = await client.post("/login", data={"pin": PIN}, headers={"Origin": origin})
        assert answer.status_code == 403
    with pytest.raises(InvalidStatus):
        await connect(live(with_pin), ssl=context, additional_headers={"Origin": origin})
    assert device.presses == []


async def test_a_visitor_with_a_certificate_comes_in(
    with_certificates: Panel, authority: Authority, device: FakeDevice
) -> None:
    context = visitor(authority, authority.issue("visitor"))
    async with httpx.AsyncClient(base_url=with_certificates.url, verify=context) as client:
        assert (await client.get("/")).status_code == 200
        assert (await client.get("/api/session")).json() == {"pin": False}
    origin = {"Origin": with_certificates.url.rstrip("/")}
    async with connect(live(with_certificates), ssl=context, additional_headers=origin) as socket:
        await socket.recv()
        await socket.send('{"press": "mute"}')
        while "muted" not in str(await socket.recv()):
            pass
    assert device.presses[0] == ("press", "mute")


async def test_nobody_comes_in_without_a_good_certificate(
    with_certificates: Panel, authority: Authority, stranger: Authority, device: FakeDevice
) -> None:
    bad = [None, stranger.issue("visitor"), authority.issue("ended", days=-1)]
    for certificate in bad:
        context = visitor(authority, certificate)
        async with httpx.AsyncClient(base_url=with_certificates.url, verify=context) as client:
            for path in ("/", "/login", "/favicon.svg", "/api/state"):
                with pytest.raises(httpx.TransportError):
                    await client.get(path)
        # No answer at all; which error that is depends on who speaks first.
        with pytest.raises((OSError, InvalidMessage)):
            await connect(live(with_certificates), ssl=context)
    assert device.presses == []


async def test_a_foreign_page_gains_nothing_by_a_visitors_certificate(
    with_certificates: Panel, authority: Authority, device: FakeDevice
) -> None:
    """A browser shows it to whatever page asks."""
    context = visitor(authority, authority.issue("visitor"))
    foreign = {"Origin": "https://evil.example"}
    with pytest.raises(InvalidStatus) as caught:
        await connect(live(with_certificates), ssl=context, additional_headers=foreign)
    assert caught.value.response.status_code == 403
    async with httpx.AsyncClient(base_url=with_certificates.url, verify=context) as client:
        for headers in (foreign, {"Sec-Fetch-Site": "cross-site"}, {"Host": "evil.example"}):
            assert (await client.get("/screen.jpg", headers=headers)).status_code == 403
        assert (await client.get("/self.jpg")).headers[
            "cross-origin-resource-policy"
        ] == "same-origin"
    assert device.presses == []


async def test_with_a_pin_as_well_both_are_needed(
    device: FakeDevice, pem: Path, authority: Authority
) -> None:
    tls = Tls(pem, pem, authority.file)
    async with Panel(device, "127.0.0.1:0", access=Access(lambda: PIN), tls=tls) as panel:
        context = visitor(authority, authority.issue("visitor"))
        async with httpx.AsyncClient(base_url=panel.url, verify=context) as client:
            assert (await client.get("/api/state")).status_code == 401
            origin = {"Origin": panel.url.rstrip("/")}
            await client.post("/login", data={"pin": PIN}, headers=origin)
            assert (await client.get("/api/state")).status_code == 200


async def test_nothing_is_served_in_the_clear(with_pin: Panel) -> None:
    async with httpx.AsyncClient() as client:
        with pytest.raises(httpx.TransportError):
            await client.get(with_pin.url.replace("https", "http"))


def test_files_that_cannot_be_used_are_named(
    pem: Path, authority: Authority, stranger: Authority, tmp_path: Path
) -> None:
    nothing, prose = tmp_path / "nothing.pem", tmp_path / "prose.pem"
    prose.write_text("no certificate")
    locked = tmp_path / "locked.pem"
    locked.write_bytes(
        pem.read_bytes().replace(b"BEGIN PRIVATE KEY", b"BEGIN ENCRYPTED PRIVATE KEY")
    )
    cases = [
        (Tls(nothing, pem), "tls_cert", "no such file"),
        (Tls(pem, nothing), "tls_key", "no such file"),
        (Tls(pem, prose), "tls_cert", "give a pair that belongs together"),
        (Tls(authority.file, stranger.issue("other")), "tls_cert", "give a pair"),
        (Tls(pem, locked), "tls_cert", "unencrypted key"),
        (Tls(pem, pem, nothing), "client_ca", "no such file"),
        (Tls(pem, pem, prose), "client_ca", "holds no certificates"),
    ]
    for tls, key, reason in cases:
        with pytest.raises(TlsError, match=reason) as caught:
            tls.options()
        assert caught.value.key == key
        assert "\n" not in str(caught.value)


async def test_it_notices_that_its_certificate_was_renewed(
    device: FakeDevice, authority: Authority, tmp_path: Path
) -> None:
    pem = tmp_path / "panel.pem"
    pem.write_bytes(authority.issue("first").read_bytes())
    panel = Panel(device, "127.0.0.1:0", tls=Tls(pem, pem))
    async with panel:
        assert not panel.outdated()
        pem.write_bytes(authority.issue("second").read_bytes())
        assert panel.outdated()
        pem.write_text("half of a file")
        with pytest.raises(TlsError):
            panel.outdated()
    async with Panel(device, "127.0.0.1:0") as plain:
        assert not plain.outdated()


async def test_who_never_ends_a_handshake_is_counted_and_let_go(
    device: FakeDevice, pem: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "_PATIENCE", 5.0)
    access = Access(lambda: PIN)
    async with Panel(device, "127.0.0.1:0", access=access, tls=Tls(pem, pem)) as panel:
        url = httpx.URL(panel.url)
        begin = asyncio.get_running_loop().time()
        came = [await asyncio.open_connection(url.host, url.port) for _ in range(40)]
        async with asyncio.timeout(DEADLINE):
            for reader, _ in came[server._CONNECTIONS_EACH :]:
                assert await reader.read() == b""
            assert not came[0][0].at_eof()
            for reader, _ in came[: server._CONNECTIONS_EACH]:
                with contextlib.suppress(ConnectionError):
                    assert await reader.read() == b""
        assert asyncio.get_running_loop().time() - begin > 4.0
        async with httpx.AsyncClient(base_url=panel.url, verify=visitor(authority)) as client:
            assert (await client.get("/login")).status_code == 200
        for _, writer in came:
            writer.close()

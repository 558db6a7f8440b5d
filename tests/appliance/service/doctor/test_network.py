from __future__ import annotations

import asyncio
import datetime as dt
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from appliance.provisioning.web import tls_context
from appliance.service.doctor.check import Finding, Verdict
from appliance.service.doctor.network import (
    Server,
    look_at_certificate,
    look_at_name,
    look_at_route,
)
from tests.appliance.provisioning.static_server import Authority


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("ws://hub.example:8080/path?x=1", Server("hub.example", 8080, False)),
        ("wss://hub.example", Server("hub.example", 443, True)),
        ("https://[::1]:7/folder/", Server("::1", 7, True)),
    ],
)
def test_the_server_of_an_address(url: str, server: Server) -> None:
    assert Server.of(url) == server


def test_what_is_no_address() -> None:
    for url in ("ws://", "ftp://hub", "ws://hub:99999"):
        with pytest.raises(ValueError):
            Server.of(url)


async def test_a_name_that_leads_somewhere() -> None:
    finding = await look_at_name(Server("localhost", 80, False))
    assert finding.verdict is Verdict.OK
    assert "localhost is " in finding.text
    assert "127.0.0.1" in finding.text or "::1" in finding.text


async def test_a_name_that_leads_nowhere() -> None:
    for host in ("no-such-hub.invalid", "a" * 70):
        finding = await look_at_name(Server(host, 80, False))
        assert finding.verdict is Verdict.FAIL
        assert "leads nowhere" in finding.text
        assert "[room] host" in finding.remedy
        route = await look_at_route(Server(host, 80, False))
        assert route.verdict is Verdict.SKIPPED


async def test_an_address_needs_no_name() -> None:
    assert (await look_at_name(Server("::1", 80, False))).verdict is Verdict.SKIPPED


async def test_a_route_and_its_interface() -> None:
    finding = await look_at_route(Server("127.0.0.1", 80, False))
    assert finding == Finding(Verdict.OK, "to 127.0.0.1 by lo, from 127.0.0.1")


async def test_no_route() -> None:
    # Other machines cannot be reached from a test: an address for documentation.
    finding = await look_at_route(Server("192.0.2.1", 80, False))
    assert finding.verdict is Verdict.FAIL
    assert "ip route" in finding.remedy


Serve = Callable[[ssl.SSLContext | None], Awaitable[Server]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    servers: list[asyncio.Server] = []

    async def handle(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async def start(context: ssl.SSLContext | None) -> Server:
        server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=context)
        servers.append(server)
        return Server("127.0.0.1", server.sockets[0].getsockname()[1], True)

    yield start
    for server in servers:
        server.close()


def trust(authority: Authority) -> Callable[[], ssl.SSLContext]:
    return lambda: tls_context(authority.file)


@pytest.mark.parametrize(
    ("days", "verdict", "says"),
    [
        (60, Verdict.OK, "good until "),
        (5, Verdict.WARN, "only 4 days"),
        (-3, Verdict.FAIL, "it ended on "),
    ],
)
async def test_the_dates_of_a_certificate(
    tmp_path: Path, serve: Serve, days: int, verdict: Verdict, says: str
) -> None:
    authority = Authority(tmp_path / "ca")
    server = await serve(authority.context(days=days))
    finding = await look_at_certificate(server, trust(authority))
    assert finding.verdict is verdict, finding
    ends = dt.datetime.now(dt.UTC) + dt.timedelta(days=days)
    assert says in finding.text
    assert ends.strftime("%Y-%m") in finding.text


async def test_a_certificate_of_nobody_known(tmp_path: Path, serve: Serve) -> None:
    server = await serve(Authority(tmp_path / "ca").context())
    other = Authority(tmp_path / "other")
    finding = await look_at_certificate(server, trust(other))
    assert finding.verdict is Verdict.FAIL
    assert "not trusted" in finding.text
    # What nobody trusts and has ended besides is renewed first.
    server = await serve(Authority(tmp_path / "third").context(days=-3))
    assert "it ended on" in (await look_at_certificate(server, trust(other))).text


async def test_a_clock_that_is_behind(tmp_path: Path, serve: Serve) -> None:
    authority = Authority(tmp_path / "ca")
    server = await serve(authority.context())
    past = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    finding = await look_at_certificate(server, trust(authority), lambda: past)
    assert finding.verdict is Verdict.FAIL
    assert "it begins only on" in finding.text
    assert "clock" in finding.remedy


async def test_no_tls_there(serve: Serve, unused_tcp_port: int) -> None:
    plain = await serve(None)
    finding = await look_at_certificate(plain)
    assert finding.verdict is Verdict.FAIL
    assert "TLS" in finding.remedy
    nobody = await look_at_certificate(Server("127.0.0.1", unused_tcp_port, True))
    assert nobody.verdict is Verdict.FAIL
    assert "refused" in nobody.text
    insecure = await look_at_certificate(Server("127.0.0.1", unused_tcp_port, False))
    assert insecure.verdict is Verdict.SKIPPED

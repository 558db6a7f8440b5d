from __future__ import annotations

import socket

import pytest
from starlette.types import Message, Receive, Scope, Send

from appliance.web.hosts import HostGuard, HostNames, hostname, same_host


@pytest.mark.parametrize(
    ("authority", "host"),
    [
        ("A.Example:80", "a.example"),
        ("a.example.", "a.example"),
        ("[::1]:8081", "::1"),
        ("", ""),
        ("[::1", ""),
        ("@:", ""),
    ],
)
def test_hostname(authority: str, host: str) -> None:
    assert hostname(authority) == host


@pytest.mark.parametrize(
    ("origin", "authority", "same"),
    [
        ("http://hub.example:80", "Hub.Example:80", True),
        ("http://hub.example:80", "hub.example", False),
        ("http://hub.example.evil:80", "hub.example:80", False),
        ("null", "hub.example", False),
        ("http://[::1", "[::1", False),
        ("http://[::1]:8080", "[::1]:8080", True),
    ],
)
def test_same_host(origin: str, authority: str, same: bool) -> None:
    assert same_host(origin, authority) is same


def test_names_of_the_machine_addresses_and_what_was_given() -> None:
    names = HostNames(["Hub.Example."])
    own = socket.gethostname().removesuffix(".local")
    for authority in ("localhost:80", f"{own}", f"{own}.local:1", "hub.example", "HUB.example.:8"):
        assert names.include(authority), authority
    for address in ("127.0.0.1:80", "192.0.2.7", "[::1]:80", "[fe80::1]"):
        assert names.include(address), address
    for foreign in ("", "evil.example", "x.hub.example", "127.0.0.1.evil.example", "0x7f.1", "[::"):
        assert not names.include(foreign), foreign


ORIGIN = [(b"origin", b"http://evil.example")]


async def ask(scope: Scope) -> tuple[bool, list[Message]]:
    """Whether the guarded application is reached, and what is answered in its place."""
    reached, sent = False, []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal reached
        reached = True

    async def receive() -> Message:
        return {"type": f"{scope['type']}.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    guard = HostGuard(app, names=HostNames(), remedy="use its address")
    await guard({"path": "/", "headers": [], **scope}, receive, send)
    return reached, sent


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
@pytest.mark.parametrize("host", [b"evil.example", b"", None])
async def test_a_page_under_a_foreign_name_is_refused(method: str, host: bytes | None) -> None:
    headers = ORIGIN + ([] if host is None else [(b"host", host)])
    reached, sent = await ask({"type": "http", "method": method, "headers": headers})
    assert not reached
    assert sent[0]["status"] == 403
    assert b"use its address" in sent[1]["body"]


async def test_a_socket_of_a_page_under_a_foreign_name_is_refused() -> None:
    reached, sent = await ask({"type": "websocket", "headers": ORIGIN})
    assert not reached
    assert [one["type"] for one in sent] == ["websocket.close"]


async def test_what_no_page_sends_may_come_by_any_name() -> None:
    headers = [(b"host", b"hub.lan")]
    for scope in (
        {"type": "websocket", "headers": headers},
        {"type": "http", "method": "POST", "headers": headers},
        {"type": "lifespan"},
    ):
        assert await ask(scope) == (True, [])
    # A page that reads from its own origin does not say which that is.
    assert not (await ask({"type": "http", "method": "GET", "headers": headers}))[0]

"""Attacks on a panel that has a PIN, one a test; and that its visitors come in all the same."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import logging
from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Route, WebSocketRoute
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from appliance.panel import Access, Panel, door
from appliance.panel.access import LOCKED
from appliance.panel.door import FORM_BYTES
from appliance.panel.live import UNINVITED
from appliance.provisioning import ConfigError
from tests.appliance.panel.fake_device import FakeDevice, plain_picture
from tests.appliance.panel.fake_maintenance import FakeMaintenance
from tests.appliance.panel.test_lockout import Clock

DEADLINE = 20.0
PIN = "correct horse"
HIDDEN = (
    "/api/state",
    "/api/report",
    "/api/session",
    "/screen.jpg",
    "/self.jpg",
    "/screen.mjpg",
    "/self.mjpg",
)


class Keyring:
    """The PIN as it is in its file now."""

    pin: str | None = PIN

    def __call__(self) -> str | None:
        if self.pin is None:
            raise ConfigError("panel.pin: no such file; put the PIN there")
        return self.pin


@pytest.fixture
def keyring() -> Keyring:
    return Keyring()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def access(keyring: Keyring, clock: Clock) -> Access:
    return Access(keyring, clock=clock)


@pytest.fixture
async def panel(device: FakeDevice, access: Access) -> AsyncIterator[Panel]:
    async with Panel(device, "127.0.0.1:0", access=access) as panel:
        yield panel


@pytest.fixture
async def visitor(panel: Panel) -> AsyncIterator[httpx.AsyncClient]:
    """A browser that has not come in yet."""
    async with httpx.AsyncClient(base_url=panel.url, timeout=DEADLINE) as client:
        yield client


def origin(panel: Panel) -> str:
    return panel.url.rstrip("/")


async def log_in(
    panel: Panel, visitor: httpx.AsyncClient, pin: str = PIN, **headers: str
) -> httpx.Response:
    return await visitor.post(
        "/login", data={"pin": pin}, headers={"Origin": origin(panel), **headers}
    )


def live(panel: Panel) -> str:
    return panel.url.replace("http", "ws") + "api/live"


def cookie_of(visitor: httpx.AsyncClient) -> dict[str, str]:
    return {"Cookie": "; ".join(f"{name}={value}" for name, value in visitor.cookies.items())}


# --- who knows the PIN comes in


async def test_the_pin_opens_the_panel(panel: Panel, visitor: httpx.AsyncClient) -> None:
    first = await visitor.get("/")
    assert (first.status_code, first.headers["location"]) == (303, "/login")
    assert 'name="pin"' in (await visitor.get("/login")).text
    answer = await log_in(panel, visitor)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    attributes = {part.strip().lower() for part in answer.headers["set-cookie"].split(";")[1:]}
    assert {"httponly", "samesite=strict", "path=/"} <= attributes
    assert "secure" not in attributes  # this one came without TLS
    assert (await visitor.get("/")).status_code == 200
    assert (await visitor.get("/api/state")).json()["name"] == "Oak"
    assert (await visitor.get("/screen.jpg")).status_code == 200
    assert (await visitor.get("/login")).status_code == 303
    headers = {**cookie_of(visitor), "Origin": origin(panel)}
    async with connect(live(panel), additional_headers=headers) as socket:
        assert "state" in json.loads(await socket.recv())


async def test_without_a_session_there_is_nothing(
    visitor: httpx.AsyncClient, device: FakeDevice
) -> None:
    for path in HIDDEN:
        answer = await visitor.get(path)
        assert (answer.status_code, answer.text) == (401, "Log in first.\n")
    assert device.presses == []


async def test_whatever_is_served_is_behind_the_door(
    panel: Panel, visitor: httpx.AsyncClient
) -> None:
    """All routes that there are, so that one that is added is no way round."""
    assert panel._server is not None
    app = panel._server.config.app
    assert isinstance(app, Starlette)
    paths = [route.path for route in app.routes if isinstance(route, Route)]
    assert {"/api/state", "/", "/login", "/favicon.svg"} <= set(paths)
    for path in paths:
        answer = await visitor.get(path)
        if path == "/":
            assert answer.status_code == 303
        elif path not in ("/login", "/logout", "/favicon.svg"):
            assert answer.status_code == 401, path
        answer = await visitor.post(path, headers={"Origin": origin(panel)})
        assert answer.status_code in (303, 401, 405, 413), path
    for route in app.routes:
        if isinstance(route, WebSocketRoute):
            with pytest.raises(InvalidStatus):
                await connect(panel.url.replace("http", "ws") + route.path.lstrip("/"))


async def test_the_log_in_page_tells_nothing_of_the_device(visitor: httpx.AsyncClient) -> None:
    text = (await visitor.get("/login")).text
    for secret in ("Oak", "demo", PIN):
        assert secret not in text


async def test_a_wrong_pin_is_said_so_and_never_logged(
    panel: Panel, visitor: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    answer = await log_in(panel, visitor, "wrong-canary<b>")
    assert answer.status_code == 401
    assert "That is not the PIN." in answer.text
    # For who does not see the page: in its title, and with the field that has the focus.
    assert "<title>That is not the PIN. · " in answer.text
    assert 'aria-describedby="message help" aria-invalid="true" autofocus' in answer.text
    assert "set-cookie" not in answer.headers
    await log_in(panel, visitor)
    assert "a wrong PIN from 127.0.0.1" in caplog.text
    for secret in ("wrong-canary", PIN):
        assert secret not in answer.text
        assert secret not in caplog.text


# --- attacks on what a visitor's browser does


@pytest.mark.parametrize("foreign", ["http://evil.example", "http://127.0.0.1:1", "null"])
async def test_a_form_on_a_foreign_page_is_refused(
    panel: Panel, visitor: httpx.AsyncClient, foreign: str
) -> None:
    await log_in(panel, visitor)
    for path in ("/login", "/logout"):
        answer = await visitor.post(path, data={"pin": PIN}, headers={"Origin": foreign})
        assert answer.status_code == 403
    assert (await visitor.get("/api/state")).status_code == 200  # nobody was logged out


async def test_a_form_that_hides_its_origin_is_refused(
    panel: Panel, visitor: httpx.AsyncClient
) -> None:
    await log_in(panel, visitor)
    answer = await visitor.post("/logout")
    assert (answer.status_code, "Origin" in answer.text) == (403, True)
    assert (await visitor.get("/api/state")).status_code == 200


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
async def test_a_form_that_the_browser_calls_cross_site_is_refused(
    panel: Panel, visitor: httpx.AsyncClient, site: str
) -> None:
    answer = await log_in(panel, visitor, **{"Sec-Fetch-Site": site})
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


async def test_a_simple_request_of_another_kind_is_no_log_in(
    panel: Panel, visitor: httpx.AsyncClient
) -> None:
    for kind in ("text/plain", "multipart/form-data; boundary=x", "application/json"):
        answer = await visitor.post(
            "/login",
            content=f"pin={PIN}",
            headers={"Origin": origin(panel), "Content-Type": kind},
        )
        assert answer.status_code == 413
        assert "set-cookie" not in answer.headers


async def test_a_foreign_name_for_this_address_gets_not_even_the_log_in(
    panel: Panel, visitor: httpx.AsyncClient
) -> None:
    foreign = {"Host": "evil.example", "Origin": "http://evil.example"}
    await log_in(panel, visitor)
    for path in ("/", "/login", *HIDDEN):
        assert (await visitor.get(path, headers=foreign)).status_code == 403
    assert (await visitor.post("/login", data={"pin": PIN}, headers=foreign)).status_code == 403


async def test_a_planted_cookie_becomes_no_session(
    panel: Panel, visitor: httpx.AsyncClient, access: Access
) -> None:
    """Session fixation: what the browser shows before the log-in is worth nothing after it."""
    await log_in(panel, visitor)
    name, theirs = next(iter(visitor.cookies.items()))
    async with httpx.AsyncClient(base_url=panel.url) as victim:
        for planted in ("planted", theirs):
            victim.cookies.set(name, planted, domain="127.0.0.1")
            answer = await log_in(panel, victim)
            assert answer.cookies[name] not in ("planted", theirs)
            victim.cookies.clear()
    assert not access.admits("planted")
    assert not access.admits(theirs)  # nor does the one who planted it go on with it


async def test_no_page_frames_the_log_in(visitor: httpx.AsyncClient, panel: Panel) -> None:
    for path in ("/", "/login"):
        policy = (await visitor.get(path)).headers["content-security-policy"]
        assert policy.endswith("frame-ancestors 'self'")
        assert "script-src 'sha256-" in policy
        assert "unsafe" not in policy
    wrong = await log_in(panel, visitor, "wrong")
    assert wrong.headers["content-security-policy"].endswith("frame-ancestors 'self'")


async def test_the_form_keeps_its_origin(visitor: httpx.AsyncClient) -> None:
    """With `no-referrer` browsers send `Origin: null` with a form, which is refused here."""
    assert (await visitor.get("/login")).headers["referrer-policy"] == "same-origin"


@pytest.mark.parametrize("foreign", ["http://evil.example", "null", None])
async def test_a_socket_of_a_foreign_page_is_refused(
    panel: Panel, visitor: httpx.AsyncClient, device: FakeDevice, foreign: str | None
) -> None:
    """With the visitor's cookie, as a browser would send it; without an Origin, as none does."""
    await log_in(panel, visitor)
    headers = cookie_of(visitor) | ({} if foreign is None else {"Origin": foreign})
    with pytest.raises(InvalidStatus) as caught:
        await connect(live(panel), additional_headers=headers)
    assert caught.value.response.status_code == 403
    assert device.presses == []


async def test_a_socket_without_session_is_refused(panel: Panel, device: FakeDevice) -> None:
    for headers in (
        {},
        {"Origin": origin(panel)},
        {"Origin": origin(panel), "Cookie": "roomlet-panel=x"},
    ):
        with pytest.raises(InvalidStatus) as caught:
            await connect(live(panel), additional_headers=headers)
        assert caught.value.response.status_code == 403
    assert device.presses == []


# --- attacks on the PIN


async def test_parallel_guesses_are_counted_one_by_one(
    panel: Panel, visitor: httpx.AsyncClient
) -> None:
    answers = await asyncio.gather(*(log_in(panel, visitor, f"guess{n}") for n in range(15)))
    codes = [answer.status_code for answer in answers]
    assert codes.count(401) == 5
    assert codes.count(429) == 10
    late = await log_in(panel, visitor)  # even the right one has to wait
    assert late.status_code == 429
    assert int(late.headers["retry-after"]) > 0
    assert "Too many wrong PINs." in late.text


async def test_a_lock_is_told_in_the_journal(
    panel: Panel, visitor: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(6):
        await log_in(panel, visitor, f"wrong-canary-{number}")
    told = [record for record in caplog.records if "MESSAGE_ID" in record.__dict__]
    (locked,) = told  # the guess that came too early changed nothing
    assert locked.getMessage() == (
        "the panel: wrong PINs from 127.0.0.1; none from there counts for 5 s"
    )
    assert locked.__dict__["MESSAGE_ID"] == LOCKED
    assert "canary" not in caplog.text


async def test_a_form_that_does_not_come_ends_its_connection(
    panel: Panel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "FORM_SECONDS", 0.1)
    url = httpx.URL(panel.url)
    reader, writer = await asyncio.open_connection(url.host, url.port)
    writer.write(
        f"POST /login HTTP/1.1\r\nHost: {url.netloc.decode()}\r\nOrigin: {origin(panel)}\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 99\r\n\r\npin".encode()
    )
    async with asyncio.timeout(DEADLINE):
        assert (await reader.read()).startswith(b"HTTP/1.1 413")
    writer.close()


async def test_a_lock_is_no_connections_and_no_headers(
    panel: Panel, visitor: httpx.AsyncClient, clock: Clock
) -> None:
    for _ in range(5):
        await log_in(panel, visitor, "wrong!")
    claims = ({}, {"X-Forwarded-For": "192.0.2.9"}, {"Forwarded": "for=192.0.2.9"})
    for headers in claims:
        async with httpx.AsyncClient(base_url=panel.url) as anew:
            assert (await log_in(panel, anew, **headers)).status_code == 429
    clock.now += 6
    assert (await log_in(panel, visitor)).status_code == 303


async def test_who_is_in_stays_in_while_others_guess(
    panel: Panel, visitor: httpx.AsyncClient
) -> None:
    await log_in(panel, visitor)
    async with httpx.AsyncClient(base_url=panel.url) as guesser:
        for _ in range(8):
            await log_in(panel, guesser, "wrong!")
    assert (await visitor.get("/api/state")).status_code == 200


@pytest.mark.parametrize(
    "pin", ["", " ", PIN.upper(), PIN + " ", PIN[:-1], "\0", "\udc80", "é" * 9]
)
async def test_only_the_pin_is_the_pin(access: Access, pin: str) -> None:
    assert access.enter(pin, "192.0.2.1") is None


async def test_without_a_pin_to_be_read_nobody_comes_in(
    panel: Panel, visitor: httpx.AsyncClient, keyring: Keyring, clock: Clock
) -> None:
    await log_in(panel, visitor)
    keyring.pin = None
    clock.now += 2
    assert (await visitor.get("/api/state")).status_code == 401
    for guess in (PIN, ""):
        assert (await log_in(panel, visitor, guess)).status_code == 401


# --- attacks on the server


async def test_an_oversize_form_ends_its_connection(
    panel: Panel, visitor: httpx.AsyncClient
) -> None:
    answer = await log_in(panel, visitor, "x" * FORM_BYTES)
    assert answer.status_code == 413

    url = httpx.URL(panel.url)
    reader, writer = await asyncio.open_connection(url.host, url.port)
    head = (
        f"POST /login HTTP/1.1\r\nHost: {url.netloc.decode()}\r\nOrigin: {origin(panel)}\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    writer.write(head.encode())
    async with asyncio.timeout(DEADLINE):
        with contextlib.suppress(ConnectionError):
            while not reader.at_eof():  # a form without end, and who sends it does not listen
                writer.write(b"400\r\n" + b"x" * 0x400 + b"\r\n")
                await writer.drain()
                await asyncio.sleep(0)
    writer.close()


@pytest.mark.parametrize(
    "path",
    [
        "//api/state",
        "/./api/state",
        "/login/../api/state",
        "/login/api/state",
        "/login%2f..%2fapi/state",
        "/favicon.svg/../api/state",
        "/favicon.svg%00/api/state",
        "/api/state/",
        "/API/STATE",
        "/api/state;/favicon.svg",
        "/api/state?/favicon.svg",
        "/api/state%3f/login",
        "/..%2f..%2fpanel.pin",
        "/page/../access.py",
        "http://127.0.0.1/api/state",
    ],
)
async def test_path_tricks_lead_past_no_door(panel: Panel, path: str) -> None:
    """Sent as they are: a client that is well behaved would tidy them up."""
    url = httpx.URL(panel.url)

    def ask() -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(url.host, url.port, timeout=DEADLINE)
        connection.putrequest("GET", path, skip_host=True)
        connection.putheader("Host", url.netloc.decode())
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, answer.read()

    status, body = await asyncio.to_thread(ask)
    assert status in (303, 400, 401, 404)
    assert b"Oak" not in body


async def test_other_methods_lead_past_no_door(panel: Panel, visitor: httpx.AsyncClient) -> None:
    for method in ("HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
        answer = await visitor.request(method, "/api/state", headers={"Origin": origin(panel)})
        assert answer.status_code == 401


# --- the end of a session


async def test_log_out_ends_the_session_and_its_socket(
    panel: Panel, visitor: httpx.AsyncClient, device: FakeDevice
) -> None:
    await log_in(panel, visitor)
    name, token = next(iter(visitor.cookies.items()))
    headers = {**cookie_of(visitor), "Origin": origin(panel)}
    async with connect(live(panel), additional_headers=headers) as socket:
        await socket.recv()
        answer = await visitor.post("/logout", headers={"Origin": origin(panel)})
        assert (answer.status_code, answer.headers["location"]) == (303, "/login")
        assert name not in visitor.cookies
        await ended(socket)
    stolen = await visitor.get("/api/state", headers={"Cookie": f"{name}={token}"})
    assert stolen.status_code == 401
    assert device.presses == []


async def test_another_pin_ends_every_session(
    panel: Panel, visitor: httpx.AsyncClient, keyring: Keyring, clock: Clock, device: FakeDevice
) -> None:
    await log_in(panel, visitor)
    headers = {**cookie_of(visitor), "Origin": origin(panel)}
    async with connect(live(panel), additional_headers=headers) as socket:
        await socket.recv()
        keyring.pin = "another one"
        clock.now += 2
        await socket.send('{"press": "mute"}')
        await ended(socket)
    assert device.presses == []
    assert (await visitor.get("/api/state")).status_code == 401
    assert (await log_in(panel, visitor)).status_code == 401
    assert (await log_in(panel, visitor, "another one")).status_code == 303


async def ended(socket: ClientConnection) -> None:
    async with asyncio.timeout(DEADLINE):
        with contextlib.suppress(ConnectionClosed):
            async for _ in socket:
                pass
    assert socket.close_code == UNINVITED


async def test_pictures_end_with_the_session(
    panel: Panel, visitor: httpx.AsyncClient, device: FakeDevice
) -> None:
    await log_in(panel, visitor)
    async with asyncio.timeout(DEADLINE):
        async with visitor.stream("GET", "/screen.mjpg") as answer:
            parts = answer.aiter_bytes()
            await anext(parts)
            await visitor.post("/logout", headers={"Origin": origin(panel)})
            device.picture = plain_picture(60)
            async for _ in parts:
                device.picture = plain_picture(100)


async def test_cards_end_with_the_session(
    device: FakeDevice, keyring: Keyring, access: Access, clock: Clock
) -> None:
    maintenance = FakeMaintenance()
    async with (
        Panel(device, "127.0.0.1:0", access=access, maintenance=maintenance) as panel,
        httpx.AsyncClient(base_url=panel.url, timeout=DEADLINE) as visitor,
    ):
        assert (await visitor.get("/api/bundle")).status_code == 401
        await log_in(panel, visitor)
        assert (await visitor.get("/api/bundle")).status_code == 200
        headers = {**cookie_of(visitor), "Origin": origin(panel)}
        maintenance.pieces["log"] = [{"n": 1}]
        async with connect(live(panel), additional_headers=headers) as socket:
            await socket.send('{"show": "log"}')
            async with asyncio.timeout(DEADLINE):
                while "log" not in json.loads(await socket.recv()):
                    pass
            # The PIN is another one, which is found out by the news itself.
            keyring.pin = "another one"
            clock.now += 2
            maintenance.tell("log", {"n": 2})
            async with asyncio.timeout(DEADLINE):
                with contextlib.suppress(ConnectionClosed):
                    async for message in socket:
                        assert "log" not in json.loads(message)
            assert socket.close_code == UNINVITED
        assert maintenance.watching == []


async def test_an_unused_session_ends(access: Access, clock: Clock) -> None:
    token = access.enter(PIN, "192.0.2.1")
    assert token is not None
    clock.now += 11 * 3600
    assert access.admits(token)
    clock.now += 11 * 3600
    assert access.admits(token)
    clock.now += 13 * 3600
    assert not access.admits(token)


async def test_sessions_are_bounded_and_the_oldest_gives_way(access: Access, clock: Clock) -> None:
    tokens = []
    for _ in range(70):
        clock.now += 1
        tokens.append(access.enter(PIN, "192.0.2.1") or "")
    alive = [access.admits(token) for token in tokens]
    assert alive == [False] * 6 + [True] * 64


async def test_no_token_is_kept(access: Access) -> None:
    token = access.enter(PIN, "192.0.2.1")
    assert token is not None
    assert token not in repr(vars(access))
    assert PIN not in repr(vars(access))


async def test_a_new_panel_of_the_same_process_keeps_its_visitors(
    device: FakeDevice, access: Access
) -> None:
    async with Panel(device, "127.0.0.1:0", access=access) as panel:
        port = httpx.URL(panel.url).port
        async with httpx.AsyncClient(base_url=panel.url) as visitor:
            await log_in(panel, visitor)
            cookies = visitor.cookies
    async with Panel(device, f"127.0.0.1:{port}", access=access) as panel:
        async with httpx.AsyncClient(base_url=panel.url, cookies=cookies) as visitor:
            assert (await visitor.get("/api/state")).status_code == 200

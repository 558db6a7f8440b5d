from __future__ import annotations

import asyncio
import contextlib
import io
import socket
import sys
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from appliance.media.gate import Party
from appliance.panel import Access, ListenError, Panel, server
from tests.appliance.panel.fake_device import FakeDevice, plain_picture

DEADLINE = 20.0


def grey(jpeg: bytes) -> float:
    return float(np.asarray(Image.open(io.BytesIO(jpeg)).convert("L")).mean())


HEAD = b"--picture\r\nContent-Type: image/jpeg\r\n\r\n"


async def next_picture(parts: asyncio.StreamReader) -> bytes:
    """The next JPEG, once the head of the part behind it is there: browsers show it only then."""
    async with asyncio.timeout(DEADLINE):
        return (await parts.readuntil(b"\r\n" + HEAD)).removesuffix(b"\r\n" + HEAD)


async def watch(panel: Panel) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Open /screen.mjpg over a bare socket, so that parts are seen as they come.

    HTTP/1.0 has no chunks: what is read is what was sent.
    """
    url = httpx.URL(panel.url)
    reader, writer = await asyncio.open_connection(url.host, url.port)
    writer.write(f"GET /screen.mjpg HTTP/1.0\r\nHost: {url.netloc.decode()}\r\n\r\n".encode())
    async with asyncio.timeout(DEADLINE):
        head = await reader.readuntil(b"\r\n\r\n")
        assert b" 200 " in head.splitlines()[0]
        assert b"multipart/x-mixed-replace; boundary=picture" in head
        assert await reader.readexactly(len(HEAD)) == HEAD
    return reader, writer


async def test_serves_the_page_and_its_icon(panel: Panel) -> None:
    async with httpx.AsyncClient(base_url=panel.url) as client:
        page = await client.get("/")
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert "favicon.svg" in page.text
        icon = await client.get("/favicon.svg")
        assert (icon.status_code, icon.headers["content-type"]) == (200, "image/svg+xml")
        assert icon.text.startswith("<svg")
        assert (await client.get("/server.py")).status_code == 404
        assert (await client.get("/..%2fserver.py")).status_code == 404


async def test_state_follows_the_gate(panel: Panel, device: FakeDevice) -> None:
    async with httpx.AsyncClient(base_url=panel.url) as client:
        before = (await client.get("/api/state")).json()
        device.gate.mute(Party.REMOTE)
        after = (await client.get("/api/state")).json()
    assert (before["tally"], before["closers"]) == ("live", [])
    assert (after["tally"], after["closers"]) == ("muted", ["remote"])
    assert after["members"][0]["audio_muted"] is True


async def test_report_is_the_devices(panel: Panel, device: FakeDevice) -> None:
    device.errors.append("no camera: plug one in")
    async with httpx.AsyncClient(base_url=panel.url) as client:
        answer = await client.get("/api/report")
    assert answer.json() == {
        "joined_ms": 812.5,
        "canvas_fps": 29.9,
        "errors": ["no camera: plug one in"],
    }
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(("luma", "shown"), [(60, 51), (200, 214)])
async def test_still_is_what_the_screen_shows(
    panel: Panel, device: FakeDevice, luma: int, shown: int
) -> None:
    device.picture = plain_picture(luma)
    async with httpx.AsyncClient(base_url=panel.url) as client:
        answer = await client.get("/screen.jpg")
    assert answer.headers["content-type"] == "image/jpeg"
    assert grey(answer.content) == pytest.approx(shown, abs=4)  # studio swing to full swing


async def test_dark_screen_is_black(panel: Panel, device: FakeDevice) -> None:
    device.picture = None
    async with httpx.AsyncClient(base_url=panel.url) as client:
        for path in ("/screen.jpg", "/self.jpg"):
            assert grey((await client.get(path)).content) < 4


async def test_moving_pictures_follow_the_screen(panel: Panel, device: FakeDevice) -> None:
    device.picture = plain_picture(60)
    reader, writer = await watch(panel)
    try:
        assert grey(await next_picture(reader)) == pytest.approx(51, abs=4)
        device.picture = plain_picture(200)
        assert grey(await next_picture(reader)) == pytest.approx(214, abs=4)
    finally:
        writer.close()


async def test_nothing_is_encoded_while_nobody_watches(panel: Panel, device: FakeDevice) -> None:
    reader, writer = await watch(panel)
    await next_picture(reader)
    writer.close()
    await writer.wait_closed()
    # What looks at the screen and encodes goes, and is not merely idle.
    async with asyncio.timeout(DEADLINE):
        while "panel-pictures" in {task.get_name() for task in asyncio.all_tasks()}:
            device.picture = plain_picture(100)  # something to send, so that the loss is noticed
            await asyncio.sleep(0.02)
    assert panel._feeds["screen"].watchers == 0


async def test_stop_ends_an_endless_answer(device: FakeDevice) -> None:
    panel = Panel(device, "127.0.0.1:0")
    await panel.start()
    reader, writer = await watch(panel)
    await next_picture(reader)
    async with asyncio.timeout(DEADLINE):
        await panel.stop()
        await reader.read()  # to the end of the answer
    writer.close()
    assert device.listeners == []
    await panel.stop()
    with pytest.raises(httpx.ConnectError):
        async with httpx.AsyncClient(base_url=panel.url) as client:
            await client.get("/")


async def test_restarts_on_the_same_port(device: FakeDevice) -> None:
    panel = Panel(device, "127.0.0.1:0")
    await panel.start()
    url = panel.url
    await panel.stop()
    await panel.start()
    try:
        assert panel.url == url
        async with httpx.AsyncClient(base_url=url) as client:
            assert (await client.get("/api/state")).json()["name"] == "Oak"
    finally:
        await panel.stop()


async def test_taken_port_is_one_line_with_a_remedy(device: FakeDevice) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        panel = Panel(device, f"127.0.0.1:{port}")
        with pytest.raises(ListenError, match="choose another port") as caught:
            await panel.start()
    assert str(port) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("listen", ["8081", "127.0.0.1", "127.0.0.1:http", "127.0.0.1:70000", ":1"])
async def test_wrong_address_is_refused_at_once(device: FakeDevice, listen: str) -> None:
    with pytest.raises(ListenError, match=r"as in 127\.0\.0\.1:8081"):
        Panel(device, listen)


@pytest.mark.parametrize("listen", ["192.0.2.256:0", "[2001:db8::x]:0", "[fe80::1%none]:0"])
async def test_an_address_that_is_none_is_refused(device: FakeDevice, listen: str) -> None:
    with pytest.raises(ListenError, match="choose an address of this machine"):
        await Panel(device, listen, access=Access(lambda: "123456")).start()


LATE_ADDRESS = """
import asyncio, logging, subprocess, sys
import httpx
from appliance.panel import Access, ListenError, Panel
from tests.appliance.panel.fake_device import FakeDevice

async def main(listen, address):
    logging.basicConfig(stream=sys.stdout, format="%(message)s")
    device, access = FakeDevice(), Access(lambda: "123456")
    async with Panel(device, listen, access=access) as panel:
        subprocess.run(["ip", "addr", "add", address, "dev", "lo"], check=True)
        async with httpx.AsyncClient() as client:
            print((await client.get(panel.url + "login")).status_code)
        host_and_port = panel.url.removeprefix("http://").rstrip("/")
        subprocess.run(["ip", "addr", "del", address, "dev", "lo"], check=True)
        try:
            await Panel(device, host_and_port, access=access).start()
        except ListenError as error:
            print(error)

asyncio.run(main(*sys.argv[1:]))
"""
"""A panel in a network of its own, which gets its address after the panel, and loses it again."""


@pytest.mark.parametrize(
    ("listen", "address"),
    [("192.0.2.5:0", "192.0.2.5/32"), ("[2001:db8::5]:0", "2001:db8::5/128")],
)
async def test_it_is_there_as_soon_as_its_address_is(listen: str, address: str) -> None:
    alone = ("unshare", "--user", "--map-root-user", "--net", "sh", "-c")
    process = await asyncio.create_subprocess_exec(
        *(*alone, 'ip link set lo up && exec "$@"', "sh"),
        *(sys.executable, "-c", LATE_ADDRESS, listen, address),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[3],
    )
    async with asyncio.timeout(3 * DEADLINE):
        out, err = await process.communicate()
    if b"unshare" in err:
        pytest.skip("needs user namespaces")
    assert process.returncode == 0, err.decode()
    waiting, answer, taken = out.decode().splitlines()
    assert f"this machine has no {address.partition('/')[0]} now" in waiting
    assert answer == "200"
    assert "the port is taken" in taken


async def test_who_stops_in_the_middle_of_a_request_is_let_go(
    device: FakeDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "_PATIENCE", 0.2)
    async with Panel(device, "127.0.0.1:0") as panel:
        url = httpx.URL(panel.url)
        reader, writer = await asyncio.open_connection(url.host, url.port)
        writer.write(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Half-of-a")
        async with asyncio.timeout(DEADLINE):
            with contextlib.suppress(ConnectionError):
                assert await reader.read() == b""
        writer.close()


async def idle(panel: Panel, count: int) -> list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """So many connections from one address, on which nothing is asked."""
    url = httpx.URL(panel.url)
    return [await asyncio.open_connection(url.host, url.port) for _ in range(count)]


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def closed(reader: asyncio.StreamReader) -> None:
    async with asyncio.timeout(DEADLINE):
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""


async def test_idle_connections_take_few_of_the_rooms_files(panel: Panel) -> None:
    before = open_files()
    came = await idle(panel, 200)
    try:
        # In the order in which they came: those beyond are closed when the last is.
        await closed(came[-1][0])
        for reader, _ in came[server._CONNECTIONS_EACH :]:
            await closed(reader)
        # The visitors have files of their own here.
        assert open_files() - before - len(came) <= server._CONNECTIONS_EACH
        assert not any(reader.at_eof() for reader, _ in came[: server._CONNECTIONS_EACH])
        # Another address has its own.
        other = httpx.AsyncHTTPTransport(local_address="127.0.0.2")
        async with httpx.AsyncClient(base_url=panel.url, transport=other) as client:
            assert (await client.get("/api/state")).status_code == 200
    finally:
        for _, writer in came:
            writer.close()


async def test_visitors_that_are_too_many_leave_the_log_to_others(
    panel: Panel, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.clear()
    came = await idle(panel, 100)
    for reader, _ in came[server._CONNECTIONS_EACH :]:
        await closed(reader)
    for _, writer in came:
        writer.close()
    told = [record for record in caplog.records if record.levelname == "WARNING"]
    assert ["127.0.0.1" in record.getMessage() for record in told] == [True]


async def test_beyond_this_machine_it_listens_to_nobody_without_a_way_in(
    device: FakeDevice,
) -> None:
    for listen in ("0.0.0.0:0", "192.0.2.1:0", "[::]:0", "panel.example:0"):
        with pytest.raises(ListenError, match="without a PIN or client certificates"):
            Panel(device, listen)

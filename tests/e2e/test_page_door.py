"""The door of a panel with a PIN in a real browser: in by keyboard, out, past it by no trick."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from browser import DEADLINE
from playwright.async_api import Browser, ConsoleMessage, Error, Page, expect

from appliance.panel import Access, Panel, Tls
from tests.appliance.panel.fake_device import FakeDevice
from tests.appliance.panel.test_lockout import Clock
from tests.appliance.provisioning.static_server import Authority

PIN = "correct horse"


@pytest.fixture
async def device() -> FakeDevice:
    return FakeDevice()


@pytest.fixture
def clock() -> Clock:
    return Clock()


class Keyring:
    pin = PIN

    def __call__(self) -> str:
        return self.pin


@pytest.fixture
def keyring() -> Keyring:
    return Keyring()


@pytest.fixture
async def panel(device: FakeDevice, keyring: Keyring, clock: Clock) -> AsyncIterator[Panel]:
    async with Panel(device, "127.0.0.1:0", access=Access(keyring, clock=clock)) as panel:
        yield panel


@asynccontextmanager
async def opened(chromium: Browser, **options: Any) -> AsyncIterator[Page]:
    """A page that may log nothing but that it was not let in yet."""
    context = await chromium.new_context(viewport={"width": 380, "height": 700}, **options)
    page = await context.new_page()
    page.set_default_timeout(DEADLINE)
    faults: list[str] = []

    def note(line: ConsoleMessage) -> None:
        # A browser asks for the favicon of a refusal, which has none.
        if line.type == "error" and not line.location["url"].endswith("/favicon.ico"):
            faults.append(line.text)

    page.on("console", note)
    page.on("pageerror", lambda error: faults.append(str(error)))
    yield page
    await context.close()
    allowed = ("status of 401", "status of 403", "status of 429", "Unexpected response code: 403")
    assert [fault for fault in faults if not any(one in fault for one in allowed)] == []


@pytest.fixture
async def page(chromium: Browser, panel: Panel) -> AsyncIterator[Page]:
    async with opened(chromium) as page:
        await page.goto(panel.url)
        yield page


async def type_pin(page: Page, pin: str = PIN) -> None:
    """By keyboard alone: the field has the focus."""
    await expect(page.get_by_label("PIN")).to_be_focused()
    await page.keyboard.type(pin)
    async with page.expect_event("framenavigated"):
        await page.keyboard.press("Enter")


async def test_in_and_out_by_keyboard(page: Page, panel: Panel, device: FakeDevice) -> None:
    await expect(page).to_have_url(f"{panel.url}login")
    field = page.get_by_label("PIN")
    await expect(field).to_have_accessible_description(
        "Enter its PIN. Whoever looks after the room knows it."
    )
    await type_pin(page, "wrong one")
    await expect(page.get_by_role("alert")).to_have_text("That is not the PIN.")
    await expect(page).to_have_title("That is not the PIN. · Roomlet panel")
    await expect(field).to_have_accessible_description(
        "That is not the PIN. Enter its PIN. Whoever looks after the room knows it."
    )
    await type_pin(page)
    await expect(page.locator("#led-text")).to_have_text("LIVE")
    assert "wrong" not in page.url
    assert PIN not in await page.content()
    out = page.get_by_role("button", name="Log out")
    await out.focus()
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(f"{panel.url}login")
    await page.goto(panel.url)
    await expect(page).to_have_url(f"{panel.url}login")
    assert device.presses == []


async def test_the_way_out_is_asked_for_again(chromium: Browser, panel: Panel) -> None:
    """Where the panel refused the connection by which the page would have learnt of it."""
    page = await chromium.new_page()
    await page.goto(panel.url)
    await type_pin(page)
    out = page.get_by_role("button", name="Log out")
    await expect(out).to_be_visible(timeout=DEADLINE)
    await page.route("**/api/session", lambda route: route.abort(), times=1)
    # A reload also breaks off what the page was still asking for, as its icon.
    async with page.expect_event("requestfailed", lambda one: one.url.endswith("/api/session")):
        await page.reload()
    await expect(out).to_be_visible(timeout=DEADLINE)
    await page.close()


async def test_a_lock_is_told_and_ends(page: Page, clock: Clock) -> None:
    alert = page.get_by_role("alert")
    for _ in range(4):
        await type_pin(page, "wrong one")
        await expect(alert).to_have_text("That is not the PIN.")
    await type_pin(page, "wrong one")
    await expect(alert).to_have_text("That is not the PIN. Try again in 5 seconds.")
    await type_pin(page)
    await expect(alert).to_have_text("Too many wrong PINs. Try again in 5 seconds.")
    clock.now += 5
    await type_pin(page)
    await expect(page.locator("#led-text")).to_have_text("LIVE")


async def test_another_pin_leads_back_to_the_door(
    page: Page, panel: Panel, keyring: Keyring, clock: Clock
) -> None:
    await type_pin(page)
    await expect(page.locator("#led-text")).to_have_text("LIVE")
    keyring.pin = "another one"
    clock.now += 2
    await expect(page).to_have_url(f"{panel.url}login")
    await type_pin(page, "another one")
    await expect(page.locator("#led-text")).to_have_text("LIVE")


async def test_a_panel_without_pin_has_no_way_out(chromium: Browser, device: FakeDevice) -> None:
    async with Panel(device, "127.0.0.1:0") as plain, opened(chromium) as page:
        async with page.expect_response("**/api/session"):
            await page.goto(plain.url)
        await expect(page.locator("#led-text")).to_have_text("LIVE")
        await expect(page.get_by_role("button", name="Log out")).to_be_hidden()


async def test_a_browser_takes_the_cookie_that_never_leaves_without_tls(
    chromium: Browser, device: FakeDevice, tmp_path: Path
) -> None:
    pem = Authority(tmp_path).issue("panel")
    access = Access(lambda: PIN)
    async with (
        Panel(device, "127.0.0.1:0", access=access, tls=Tls(pem, pem)) as panel,
        opened(chromium, ignore_https_errors=True) as page,
    ):
        await page.goto(panel.url)
        await type_pin(page)
        await expect(page.locator("#led-text")).to_have_text("LIVE")
        (cookie,) = await page.context.cookies()
        assert cookie["name"].startswith("__Host-")
        assert (cookie["secure"], cookie["httpOnly"], cookie["sameSite"]) == (True, True, "Strict")
        assert await page.evaluate("document.cookie") == ""


async def test_who_has_a_certificate_is_in_and_nobody_else(
    chromium: Browser, device: FakeDevice, tmp_path: Path
) -> None:
    """Playwright shows the certificate, for the page's requests and for its live connection."""
    authority = Authority(tmp_path)
    pem, desk = authority.issue("panel"), authority.issue("desk")
    async with Panel(device, "127.0.0.1:0", tls=Tls(pem, pem, authority.file)) as panel:
        shown = {"origin": panel.url.rstrip("/"), "certPath": desk, "keyPath": desk}
        async with opened(chromium, ignore_https_errors=True, client_certificates=[shown]) as page:
            await page.goto(panel.url)
            await expect(page.locator("#led-text")).to_have_text("LIVE")
            await page.get_by_role("button", name="Microphone").click()
            await expect(page.locator("#led-text")).to_have_text("MUTED")
        async with opened(chromium, ignore_https_errors=True) as page:
            with pytest.raises(Error, match="net::ERR_"):
                await page.goto(panel.url)
    assert device.presses == [("press", "mute"), ("release", "mute")]


@asynccontextmanager
async def foreign_page(body: str) -> AsyncIterator[str]:
    """A page of another site: `localhost` and `127.0.0.1` are two to a browser."""
    data = f"<!doctype html><title>foreign</title>{body}".encode()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {len(data)}"
        writer.write(f"{head}\r\nConnection: close\r\n\r\n".encode() + data)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://localhost:{server.sockets[0].getsockname()[1]}/"


async def test_a_link_from_another_site_leads_who_is_in_to_the_panel(
    page: Page, panel: Panel
) -> None:
    await type_pin(page)
    await expect(page.locator("#led-text")).to_have_text("LIVE")
    async with foreign_page(f'<a href="{panel.url}">panel</a>') as url:
        await page.goto(url)
        await page.get_by_role("link").click()
        # The cookie does not come with the first request, so that goes by way of the door.
        await expect(page).to_have_url(panel.url)
        await expect(page.locator("#led-text")).to_have_text("LIVE")


@pytest.mark.parametrize("path", ["logout", "login"])
async def test_a_form_of_another_site_changes_nothing(page: Page, panel: Panel, path: str) -> None:
    await type_pin(page)
    await expect(page.locator("#led-text")).to_have_text("LIVE")
    form = f'<form method="post" action="{panel.url}{path}"><button>Win a prize</button></form>'
    async with foreign_page(form) as url:
        await page.goto(url)
        async with page.expect_response(f"**/{path}") as answered:
            await page.get_by_role("button").click()
        assert (await answered.value).status == 403
    await page.goto(panel.url)
    await expect(page.locator("#led-text")).to_have_text("LIVE")


CONTRAST = """node => {
  const paint = (colour) => {
    const canvas = new OffscreenCanvas(1, 1).getContext("2d");
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    const line = (c) => (c / 255 <= .04045 ? c / 255 / 12.92 : ((c / 255 + .055) / 1.055) ** 2.4);
    return a && { light: .2126 * line(r) + .7152 * line(g) + .0722 * line(b) };
  };
  const ink = paint(getComputedStyle(node).color).light;
  let under = node;
  while (!paint(getComputedStyle(under).backgroundColor)) under = under.parentElement;
  const ground = paint(getComputedStyle(under).backgroundColor).light;
  return (Math.max(ink, ground) + .05) / (Math.min(ink, ground) + .05);
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_each_word_can_be_read(page: Page, scheme: str) -> None:
    await page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    await type_pin(page, "wrong one")
    for selector in ("h1", "#help", "label", "#pin", "#message", "button"):
        assert await page.locator(selector).evaluate(CONTRAST) >= 4.5, selector
    assert await page.evaluate("document.documentElement.scrollWidth") <= 380

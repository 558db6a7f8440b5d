"""The device's panel in a real browser: the LED on the page follows the device, not the click."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest
from browser import DEADLINE
from panel_page import opened
from playwright.async_api import Browser, Page, expect

from appliance.media.gate import Party
from appliance.panel import Panel, PanelState, server
from appliance.panel.device import TallyName
from hal.controls import Status
from tests.appliance.panel.fake_device import FakeDevice, plain_picture


class Device(FakeDevice):
    """A device whose tally can be told, to show what the gate alone cannot."""

    tally: TallyName | None = None
    status = Status.IN_ROOM
    camera_closers: tuple[Party, ...] = ()
    press_joins = False
    reason = ""

    def state(self) -> PanelState:
        state = dataclasses.replace(
            super().state(),
            status=self.status.value,
            status_reason=self.reason,
            press_joins=self.press_joins,
            camera_open=not self.camera_closers,
            camera_closers=[party.value for party in self.camera_closers],
        )
        return state if self.tally is None else dataclasses.replace(state, tally=self.tally)


@pytest.fixture
async def device() -> Device:
    return Device()


@pytest.fixture
async def panel(device: Device) -> AsyncIterator[Panel]:
    async with Panel(device, "127.0.0.1:0") as panel:
        yield panel


@pytest.fixture
async def page(chromium: Browser, panel: Panel) -> AsyncIterator[Page]:
    """The panel, as wide as it is beside the hub's page; it may log no error."""
    async with opened(chromium, panel.url, 380, 800) as page:
        yield page


async def moved(device: FakeDevice, presses: list[tuple[str, str]]) -> None:
    async with asyncio.timeout(DEADLINE / 1000):
        while device.presses != presses:
            device.moved.clear()
            await device.moved.wait()


async def picture_is_seen(page: Page) -> None:
    """The first of an endless answer is: one that does not come has no size."""
    picture = page.locator("#picture")
    await expect(picture).not_to_have_js_property("naturalWidth", 0, timeout=DEADLINE)


async def led_says(page: Page, text: str, tally: str) -> None:
    await expect(page.locator("#led-text")).to_have_text(text, timeout=DEADLINE)
    await expect(page.locator("#led")).to_have_attribute("data-tally", tally, timeout=DEADLINE)


async def test_button_on_the_page_is_the_button_of_the_device(page: Page, device: Device) -> None:
    await led_says(page, "LIVE", "live")
    await page.click("#mute")
    await led_says(page, "MUTED", "muted")
    await expect(page.locator("#led-why")).to_contain_text("a person in this room")
    assert device.gate.closers == {Party.ROOM}
    await moved(device, [("press", "mute"), ("release", "mute")])
    await page.click("#mute")
    await led_says(page, "LIVE", "live")
    assert device.gate.is_open


@pytest.mark.parametrize("key", ["Space", "Enter"])
async def test_keys_press_and_release(page: Page, device: Device, key: str) -> None:
    await expect(page.locator("#mute")).to_be_enabled()
    await page.focus("#mute")
    await page.keyboard.down(key)
    await page.keyboard.down(key)  # a held key repeats
    await led_says(page, "MUTED", "muted")
    assert device.presses == [("press", "mute")]
    await page.keyboard.up(key)
    await moved(device, [("press", "mute"), ("release", "mute")])


async def test_click_without_a_finger_presses_once(page: Page, device: Device) -> None:
    await expect(page.locator("#mute")).to_be_enabled()
    await page.evaluate("document.getElementById('mute').click()")  # as a screen reader does
    await moved(device, [("press", "mute"), ("release", "mute")])
    await led_says(page, "MUTED", "muted")


async def test_button_held_while_the_page_goes_away_comes_up(page: Page, device: Device) -> None:
    await expect(page.locator("#camera")).to_be_enabled()
    box = await page.locator("#camera").bounding_box()
    assert box is not None
    await page.mouse.move(box["x"] + 20, box["y"] + 20)
    await page.mouse.down()
    await moved(device, [("press", "camera")])
    await page.goto("about:blank")
    await moved(device, [("press", "camera"), ("release", "camera")])


async def test_led_follows_what_others_do_to_the_device(page: Page, device: Device) -> None:
    await led_says(page, "LIVE", "live")
    await asyncio.to_thread(device.gate.mute, Party.REMOTE)
    await led_says(page, "MUTED", "muted")
    await expect(page.locator("#led-why")).to_contain_text("a moderator")
    await expect(page.locator("#members li")).to_contain_text("microphone muted")


async def test_led_says_who_closed_it_at_the_start(page: Page, device: Device) -> None:
    await led_says(page, "LIVE", "live")
    device.gate.mute(Party.CONFIG)
    await led_says(page, "MUTED", "muted")
    why = "No sound leaves this room. Closed by the device at its start, as configured."
    await expect(page.locator("#led-why")).to_have_text(why)


@pytest.mark.parametrize(("tally", "text"), [("off", "NOT IN A CALL"), ("fault", "FAULT")])
async def test_led_has_a_word_for_each_tally(
    page: Page, device: Device, tally: TallyName, text: str
) -> None:
    device.tally = tally
    device.tell()
    await led_says(page, text, tally)


async def test_an_open_microphone_without_a_room_is_not_said_to_be_heard(
    page: Page, device: Device
) -> None:
    why = page.locator("#led-why")
    await expect(why).to_have_text("Sound leaves this room.")
    device.status = Status.RECONNECTING
    device.tell()
    await expect(why).to_have_text("The microphone is open, but the room is not connected.")
    await led_says(page, "LIVE", "live")
    device.gate.mute(Party.ROOM)
    await expect(why).to_have_text("No sound leaves this room. Closed by a person in this room.")


async def test_each_state_of_the_device_has_words_of_its_own(page: Page, device: Device) -> None:
    words = {
        Status.STARTING: "Starting",
        Status.IDLE: "Not in a room",
        Status.JOINING: "Joining room demo",
        Status.IN_ROOM: "In room demo",
        Status.RECONNECTING: "Reconnecting to room demo",
        Status.UPDATING: "Updating, no call until that is over",
        Status.FAULT: "Fault",
    }
    for status in Status:
        device.status = status
        device.tell()
        await expect(page.locator("#status")).to_have_text(f"{words[status]}.")


async def test_a_reason_stands_behind_a_colon_and_only_once(page: Page, device: Device) -> None:
    status = page.locator("#status")
    device.status, device.reason = Status.IDLE, "somebody here hung up; press the button to join"
    device.tell()
    await expect(status).to_have_text(f"Not in a room: {device.reason}.")
    device.status, device.reason = Status.RECONNECTING, "is the server running there?"
    device.tell()
    await expect(status).to_have_text(f"Reconnecting to room demo: {device.reason}")
    device.status, device.reason = Status.FAULT, "the server refused the token"
    device.errors = [device.reason]
    device.tell()
    await expect(page.locator("#errors")).to_have_text(device.reason)
    await expect(status).to_have_text("Fault.")


async def test_before_a_call_a_key_tells_what_opens_with_it(page: Page, device: Device) -> None:
    device.tally, device.status = "off", Status.JOINING
    await asyncio.to_thread(device.gate.mute, Party.START)
    for party, words in ((Party.START, "Turn camera off"), (Party.ROOM, "Turn camera on")):
        device.camera_closers = (party,)
        device.tell()
        await expect(page.locator("#camera")).to_have_text(words)
    await expect(page.locator("#mute")).to_have_text("Mute")
    await asyncio.to_thread(device.gate.mute, Party.ROOM)
    await expect(page.locator("#mute")).to_have_text("Unmute")
    await expect(page.locator("#led-text")).to_have_text("NOT IN A CALL")


async def test_the_key_that_joins_is_named_so(page: Page, device: Device) -> None:
    await asyncio.to_thread(device.gate.mute, Party.START)
    for joins, name, words in (
        (False, "Mute microphone", "Mute"),
        (True, "Join the call", "Join"),
        (False, "Mute microphone", "Mute"),
    ):
        device.press_joins = joins
        device.tell()
        key = page.get_by_role("button", name=name, exact=True)
        await expect(key).to_have_text(words)
        await expect(key).to_have_attribute("id", "mute")


async def test_the_key_of_the_camera_offers_only_what_a_press_does(
    page: Page, device: Device
) -> None:
    for closers, words in (
        ((), "Turn camera off"),
        ((Party.ROOM,), "Turn camera on"),
        ((Party.ROOM, Party.WATCHDOG), "Camera held closed"),
        ((Party.WATCHDOG, Party.COVER), "Camera covered"),
    ):
        device.camera_closers = closers
        device.tell()
        await expect(page.get_by_role("button", name=words, exact=True)).to_be_visible()


async def test_outside_a_call_there_is_nothing_to_hang_up(page: Page, device: Device) -> None:
    for status in (Status.UPDATING, Status.IN_ROOM, Status.IDLE):
        device.status = status
        device.tell()
        inside = status is Status.IN_ROOM
        await expect(page.locator("#hang-up")).to_be_enabled(enabled=inside)
        await expect(page.locator("#home")).to_be_enabled(enabled=not inside)


async def test_patterns_differ_where_colours_cannot_be_told_apart(
    page: Page, device: Device
) -> None:
    patterns = set()
    tallies: tuple[TallyName, ...] = ("off", "live", "muted", "fault")
    for tally in tallies:
        device.tally = tally
        device.tell()
        await expect(page.locator("#led")).to_have_attribute("data-tally", tally)
        patterns.add(
            await page.evaluate(
                "(s => s.borderTopStyle + s.backgroundImage.replace(/rgba?\\([^)]*\\)/g, ''))"
                "(getComputedStyle(document.getElementById('led')))"
            )
        )
    assert len(patterns) == len(tallies)


async def test_a_device_that_is_gone_is_neither_live_nor_muted(
    page: Page, panel: Panel, device: Device
) -> None:
    device.gate.mute(Party.ROOM)
    await led_says(page, "MUTED", "muted")
    await panel.stop()
    await led_says(page, "NO CONTACT", "unknown")
    await expect(page.locator("#mute")).to_be_disabled()
    device.gate.unmute(Party.ROOM)
    await panel.start()
    await led_says(page, "LIVE", "live")
    await expect(page.locator("#mute")).to_be_enabled()


async def test_all_of_a_page_comes_with_it(chromium: Browser, panel: Panel) -> None:
    """No part of it can be refused by itself; the rest is asked for by its own script."""
    page = await chromium.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(urlsplit(request.url).path))
    page.on("websocket", lambda socket: asked.append(urlsplit(socket.url).path))
    await page.goto(panel.url)
    await led_says(page, "LIVE", "live")
    await expect(page.locator("#led")).to_have_css("display", "flex")
    await picture_is_seen(page)
    assert sorted({*asked} - {"/favicon.svg"}) == ["/", "/api/live", "/api/session", "/screen.mjpg"]
    await page.close()


async def test_a_page_that_gets_few_connections_is_whole(chromium: Browser, panel: Panel) -> None:
    """Of the connections that one address may have, others behind it hold all but three: they look
    at the picture."""
    url = urlsplit(panel.url)
    async with contextlib.AsyncExitStack() as others:
        for _ in range(server._CONNECTIONS_EACH - 3):
            _, writer = await asyncio.open_connection(url.hostname, url.port)
            others.callback(writer.close)
            writer.write(f"GET /screen.mjpg HTTP/1.0\r\nHost: {url.netloc}\r\n\r\n".encode())
        page = await chromium.new_page()
        await page.goto(panel.url)
        await led_says(page, "LIVE", "live")
        await expect(page.locator("#led")).to_have_css("display", "flex")
    await picture_is_seen(page)
    await page.close()


async def test_a_picture_that_was_refused_is_asked_for_again(
    chromium: Browser, panel: Panel
) -> None:
    page = await chromium.new_page()
    await page.route("**/screen.mjpg*", lambda route: route.abort(), times=1)
    async with page.expect_event("requestfailed", lambda one: "screen.mjpg" in one.url):
        await page.goto(panel.url)
    await picture_is_seen(page)
    await page.close()


async def test_a_silent_device_loses_the_pages_trust(page: Page, panel: Panel) -> None:
    """The connection stands, yet nothing is said any more: as with a frozen device."""
    await led_says(page, "LIVE", "live")
    live = panel._live
    assert live is not None
    live._heartbeat = 3600.0
    await led_says(page, "NO CONTACT", "unknown")
    live._heartbeat = 0.5
    await led_says(page, "LIVE", "live")


async def test_the_screen_is_seen(page: Page, device: Device) -> None:
    async def brightness() -> float:
        value = await page.evaluate(
            """() => {
              const image = document.getElementById("picture");
              if (!image.naturalWidth) return -1;
              const canvas = new OffscreenCanvas(1, 1).getContext("2d");
              canvas.drawImage(image, 0, 0, 1, 1);
              return canvas.getImageData(0, 0, 1, 1).data[1];
            }"""
        )
        return float(value)

    async def becomes(low: float, high: float) -> None:
        async with asyncio.timeout(DEADLINE / 1000):
            while not low <= await brightness() <= high:
                await asyncio.sleep(0.05)

    await becomes(185, 197)  # luma 180 of 16..235
    device.picture = plain_picture(60)
    await becomes(45, 57)
    await page.click("#show-self")
    await becomes(0, 4)  # the camera sends nothing


async def test_volume_and_layout(page: Page, device: Device) -> None:
    await page.locator("#volume").fill("25")
    await expect(page.locator("#volume-value")).to_have_text("25")
    await page.select_option("#layout", "2x2")
    async with asyncio.timeout(DEADLINE / 1000):
        while (device.volume, device.layout) != (25, "2x2"):
            await asyncio.sleep(0.02)


async def test_another_room_and_back(page: Page, device: Device) -> None:
    await led_says(page, "LIVE", "live")
    home = page.get_by_role("button", name="our room")
    await expect(home).to_be_disabled()
    await page.get_by_label("Another room").fill(" attic ")
    await page.keyboard.press("Enter")
    await expect(page.locator("#where")).to_contain_text("room attic")
    assert device.visits == ["attic"]
    await expect(home).to_have_text("Back to our room")
    await page.get_by_label("Another room").fill("nowhere")
    await page.get_by_role("button", name="Join", exact=True).click()
    await expect(page.locator("#refusal")).to_have_text("There is no room nowhere.")
    await home.click()
    await expect(page.locator("#where")).to_contain_text("room demo")
    await page.get_by_role("button", name="Hang up").click()
    await moved(device, [("press", "hang_up"), ("release", "hang_up")])


async def test_a_refusal_goes_with_the_next_act(page: Page, device: Device) -> None:
    await led_says(page, "LIVE", "live")
    # Time alone would take it away, too.
    await page.evaluate("window.setTimeout = () => 0")
    refusal = page.locator("#refusal")
    invitation = page.get_by_label("Another room")
    await invitation.fill("nowhere")
    await page.keyboard.press("Enter")
    await expect(refusal).to_have_text("There is no room nowhere.")
    device.answered.clear()
    await invitation.fill("attic")
    await page.keyboard.press("Enter")
    await expect(refusal).to_be_hidden()
    device.answered.set()
    await expect(page.locator("#where")).to_contain_text("room attic")
    await invitation.fill("nowhere")
    await page.keyboard.press("Enter")
    await expect(refusal).to_be_visible()
    await page.click("#mute")
    await expect(refusal).to_be_hidden()


async def test_fits_a_narrow_frame(page: Page) -> None:
    await led_says(page, "LIVE", "live")
    assert await page.evaluate("document.documentElement.scrollWidth") <= 380
    await page.set_viewport_size({"width": 300, "height": 700})
    assert await page.evaluate("document.documentElement.scrollWidth") <= 300


@asynccontextmanager
async def page_with_frame(url: str) -> AsyncIterator[str]:
    """A page on another port that shows `url` in a frame; gives its own origin."""
    body = f'<!doctype html><title>outer</title><iframe src="{url}"></iframe>'.encode()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {len(body)}"
        writer.write(f"{head}\r\nConnection: close\r\n\r\n".encode() + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_only_a_listed_page_may_frame_it(
    chromium: Browser, panel: Panel, device: Device
) -> None:
    async with page_with_frame(panel.url) as origin:
        page = await chromium.new_page()
        refused = asyncio.ensure_future(
            page.wait_for_event("console", lambda line: "frame-ancestors" in line.text)
        )
        await page.goto(origin)
        await refused
        led = page.frame_locator("iframe").locator("#led-text")
        assert await led.count() == 0
        panel.embed_origins.append(origin)
        await page.reload()
        await expect(led).to_have_text("LIVE", timeout=DEADLINE)
        await page.frame_locator("iframe").locator("#mute").click()
        await expect(led).to_have_text("MUTED", timeout=DEADLINE)
        assert device.gate.closers == {Party.ROOM}

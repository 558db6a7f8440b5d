"""The hub's page in a real browser, with the real hub and members made for the test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import but_of_the_gone
from playwright.async_api import Browser, ConsoleMessage, Page, async_playwright, expect
from room_member import RoomMember, until
from sdk_client import tone_levels

from appliance.hub.config import HubConfig, PanelLink
from appliance.hub.server import HubServer
from appliance.media.gate import Party
from appliance.panel import Panel
from tests.appliance.panel.fake_device import FakeDevice

DEADLINE = 60.0
RATE = 48_000
UNDER_WAY = 2.0
"""Seconds of sound that may be on its way to an ear when a mute is acknowledged: far more than
the jitter buffers of hub and listener hold."""

MakeHub = Callable[..., Awaitable[HubServer]]
OpenPage = Callable[..., Awaitable[Page]]

COUNT_QUESTIONS = """
  window.questions = 0;
  const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  navigator.mediaDevices.getUserMedia = (wanted) => { window.questions += 1; return ask(wanted); };
"""
KEEP_TRACKS = """
  window.tracks = [];
  const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  navigator.mediaDevices.getUserMedia = async (wanted) => {
    const stream = await ask(wanted);
    window.tracks.push(...stream.getTracks());
    return stream;
  };
  // What the browser still takes from its devices.
  window.taken = () => window.tracks.filter((t) => t.enabled && t.readyState === "live")
    .map((t) => t.kind).sort();
"""
KEEP_SOCKETS = """
  const Real = WebSocket;
  window.sockets = [];
  // While it is so, no socket comes about.
  window.away = false;
  window.WebSocket = class extends Real {
    constructor(url) {
      if (window.away) throw Object.assign(new Error("away"), { code: "lost" });
      super(url);
      window.sockets.push(this);
    }
  };
"""
REFUSE_CAMERA = """
  const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  navigator.mediaDevices.getUserMedia = async (wanted) => {
    if (wanted.video) throw new DOMException("refused", "NotAllowedError");
    return ask(wanted);
  };
"""
NO_CODECS = "RTCRtpReceiver.getCapabilities = () => ({ codecs: [], headerExtensions: [] });"

HEAR = """async (count) => {
  const context = new AudioContext({ sampleRate: 48000 });
  await context.resume();
  const analyser = new AnalyserNode(context, { fftSize: count });
  const mediaStream = document.getElementById("canvas").srcObject;
  new MediaStreamAudioSourceNode(context, { mediaStream }).connect(analyser);
  const heard = new Float32Array(count);
  const end = context.currentTime + count / 48000 + 0.2;
  while (context.currentTime < end) await new Promise((resolve) => setTimeout(resolve, 20));
  analyser.getFloatTimeDomainData(heard);
  await context.close();
  return [...heard];
}"""
LOOK = """() => {
  const video = document.getElementById("canvas");
  const canvas = new OffscreenCanvas(16, 9).getContext("2d");
  canvas.drawImage(video, 0, 0, 16, 9);
  return [...canvas.getImageData(0, 0, 16, 9).data].filter((_, at) => at % 4 === 1);
}"""


@pytest.fixture
async def make_hub(tmp_path: Path) -> AsyncIterator[MakeHub]:
    hubs: list[HubServer] = []

    async def make(**settings: Any) -> HubServer:
        config = HubConfig(
            **{
                "listen": "127.0.0.1:0",
                "data": tmp_path / "hub",
                "open_rooms": ("demo",),
                "width": 640,
                "height": 360,
                "rate": 15,
                **settings,
            }
        )
        hubs.append(HubServer(config, environment={}))
        await hubs[-1].start()
        return hubs[-1]

    yield make
    for hub in hubs:
        await hub.stop()


@pytest.fixture
async def hub(make_hub: MakeHub) -> HubServer:
    return await make_hub()


@pytest.fixture
async def open_page(chromium: Browser) -> AsyncIterator[OpenPage]:
    """Open the page of a hub; it may throw nothing, and break no policy of its own."""
    faults: list[str] = []
    pages: list[Page] = []

    def note(message: ConsoleMessage) -> None:
        # A missing file is logged as an error too: the panels' list is missing without a demo.
        if message.type == "error" and "Failed to load resource" not in message.text:
            faults.append(message.text)

    async def open_page(
        hub: HubServer, path: str = "/?room=demo", *, script: str = "", browser: Browser = chromium
    ) -> Page:
        page = await browser.new_page(viewport={"width": 1280, "height": 900})
        pages.append(page)
        page.set_default_timeout(DEADLINE * 1000)
        page.on("console", note)
        page.on("pageerror", lambda error: faults.append(str(error)))
        if script:
            await page.add_init_script(script)
        await page.goto(hub.url + path)
        return page

    yield open_page
    for page in pages:
        await page.close()
    # Some tests are about a hub that goes.
    assert but_of_the_gone(faults) == []


async def says(page: Page, text: str, state: str = "live") -> None:
    await expect(page.locator("#state-text")).to_contain_text(text)
    await expect(page.locator("#state")).to_have_attribute("data-state", state)


async def shows(page: Page, condition: Callable[[np.ndarray], Any]) -> None:
    """Wait until the picture, as green levels of the shape (9, 16), is as it should be."""
    async with asyncio.timeout(DEADLINE):
        while not condition(np.array(await page.evaluate(LOOK)).reshape(9, 16)):
            await asyncio.sleep(0.1)


async def hears(page: Page, tone: float) -> None:
    """Wait until a tone stands out of what can be heard."""
    other = tone * 1.37
    async with asyncio.timeout(DEADLINE):
        while True:
            samples = np.array(await page.evaluate(HEAR, 16384), np.float32)
            levels = tone_levels(samples, RATE, (tone, other))
            if levels[tone] > -30 and levels[tone] - levels[other] > 30:
                return


async def join(page: Page, name: str, *, camera: bool = True) -> None:
    await says(page, "watching")
    await page.fill("#guest-name", name)
    await page.set_checked("#with-video", camera)
    await page.click("#join-button")
    await says(page, f"in the room as {name}")


async def test_opening_the_page_is_watching_and_hearing(
    hub: HubServer, open_page: OpenPage
) -> None:
    async with RoomMember(hub, "Oak", luma=200, tone=1000) as oak:
        page = await open_page(hub, script=COUNT_QUESTIONS)
        await says(page, "watching")
        # Oak fills the canvas: 200 of 16..235 is 214 of 0..255.
        await shows(page, lambda green: abs(np.median(green) - 214) < 12)
        await hears(page, 1000)
        await expect(page.locator("#members li")).to_have_count(1)
        await expect(page.locator("#members .who")).to_have_text("Oak")
        assert await page.evaluate("window.questions") == 0
        assert [member["name"] for member in oak.members.values()] == ["Oak"]
        assert await page.evaluate("document.getElementById('canvas').muted") is True
        # The icon is what is now, the words are what a press does.
        icon = page.locator("#sound use")
        await expect(icon).to_have_attribute("href", "#i-sound-off")
        await page.get_by_role("button", name="Turn sound on").click()
        assert await page.evaluate("document.getElementById('canvas').muted") is False
        await expect(icon).to_have_attribute("href", "#i-sound")
        await page.get_by_role("button", name="Turn sound off").click()
        assert await page.evaluate("document.getElementById('canvas').muted") is True
        await expect(icon).to_have_attribute("href", "#i-sound-off")


async def test_a_browser_that_hides_its_addresses_can_watch(
    hub: HubServer, open_page: OpenPage, chromium_path: str
) -> None:
    """As every browser does on a page that has no camera permission."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=chromium_path,
            args=["--no-sandbox", "--disable-gpu", "--allow-loopback-in-peer-connection"],
        )
        async with RoomMember(hub, "Oak", luma=200):
            page = await open_page(hub, "/#demo", browser=browser)
            await says(page, "watching")
            await shows(page, lambda green: abs(np.median(green) - 214) < 12)
            await page.close()
        await browser.close()


async def test_the_member_list_is_live(hub: HubServer, open_page: OpenPage) -> None:
    page = await open_page(hub)
    await expect(page.locator("#members li")).to_have_text("Nobody is here yet.")
    async with RoomMember(hub, "Oak") as oak:
        row = page.locator("#members li").filter(has_text="Oak")
        await expect(row.locator(".talking")).to_be_visible()
        await oak.ask("video.member.audio_mute", member_id=oak.member_id)
        await expect(row).to_contain_text("microphone muted")
        await expect(row.locator(".talking")).to_be_hidden()
        await oak.ask("video.member.video_mute", member_id=oak.member_id)
        await expect(row.get_by_text("camera off")).to_be_visible()
        await oak.ask("video.member.audio_unmute", member_id=oak.member_id)
        await expect(row.get_by_text("microphone muted")).to_be_hidden()
        await oak.leave()
        await expect(page.locator("#members li")).to_have_text("Nobody is here yet.")


async def test_a_guest_is_seen_heard_muted_and_gone(hub: HubServer, open_page: OpenPage) -> None:
    async with RoomMember(hub, "Oak") as oak:
        page = await open_page(hub, script=KEEP_TRACKS)
        await join(page, "Maple")
        await until(lambda: (oak.named("Maple") or {}).get("visible"))
        await until(lambda: (oak.named("Maple") or {}).get("talking"))  # the fake microphone beeps
        await expect(page.locator("#members li")).to_have_count(2)
        await expect(page.locator("#members")).to_contain_text("Maple (you)")
        await hears(page, 1000)
        await oak.hears_something()

        await page.get_by_role("button", name="Mute", exact=True).click()
        await until(lambda: (oak.named("Maple") or {}).get("audio_muted"))
        await expect(page.get_by_role("button", name="Unmute")).to_be_enabled()
        await oak.hears_nothing_after(UNDER_WAY)
        assert await page.evaluate("window.taken()") == ["video"]
        await page.get_by_role("button", name="Unmute").click()
        await until(lambda: (oak.named("Maple") or {}).get("talking"))

        await page.get_by_role("button", name="Turn camera off").click()
        await until(lambda: (oak.named("Maple") or {}).get("video_muted"))
        assert await page.evaluate("window.taken()") == ["audio"]
        await page.get_by_role("button", name="Turn camera on").click()
        await until(lambda: not (oak.named("Maple") or {}).get("video_muted"))
        await until(lambda: (oak.named("Maple") or {}).get("visible"))

        await page.get_by_role("button", name="Leave").click()
        await until(lambda: oak.named("Maple") is None)
        assert await page.evaluate("window.taken()") == []
        await says(page, "watching")
        await expect(page.locator("#join")).to_be_visible()


async def test_a_guest_chooses_the_layout(hub: HubServer, open_page: OpenPage) -> None:
    async with RoomMember(hub, "Oak") as oak:
        page = await open_page(hub)
        await join(page, "Maple")
        await expect(page.locator("#layout")).to_have_value("grid-responsive")
        await page.select_option("#layout", "5x5")
        await until(
            lambda: oak.told("video.layout.changed", lambda e: e["layout"]["name"] == "5x5")
        )
        await oak.ask("video.set_layout", name="2x2")
        await expect(page.locator("#layout")).to_have_value("2x2")


async def test_a_guest_mutes_another(hub: HubServer, open_page: OpenPage) -> None:
    async with RoomMember(hub, "Oak") as oak:
        page = await open_page(hub)
        await join(page, "Maple")
        await page.get_by_role("button", name="Mute Oak").click()
        await until(lambda: (oak.named("Oak") or {}).get("audio_muted"))
        await expect(page.get_by_role("button", name="Mute Oak")).to_be_hidden()


async def test_others_close_a_guests_microphone_but_do_not_open_it(
    hub: HubServer, open_page: OpenPage
) -> None:
    async with RoomMember(hub, "Oak") as oak:
        page = await open_page(hub)
        await join(page, "Maple")
        await until(lambda: oak.named("Maple"))
        await oak.hears_something()
        maple = (oak.named("Maple") or {})["id"]
        await oak.ask("video.member.audio_mute", member_id=maple)
        await expect(page.get_by_role("button", name="Unmute")).to_be_visible()
        before = len(oak.events)
        await oak.ask("video.member.audio_unmute", member_id=maple)

        def muted_again() -> bool:
            states = [
                params["member"]["audio_muted"]
                for kind, params in oak.events[before:]
                if kind == "video.member.updated" and "audio_muted" in params["member"]["updated"]
            ]
            return states == [False, True]

        await until(muted_again)
        await oak.hears_nothing_after(UNDER_WAY)


async def test_a_guest_without_camera_permission_is_in_without_camera(
    hub: HubServer, open_page: OpenPage
) -> None:
    async with RoomMember(hub, "Oak") as oak:
        page = await open_page(hub, script=REFUSE_CAMERA)
        await join(page, "Maple")
        await expect(page.locator("#notice")).to_contain_text("may not use your camera")
        await until(lambda: (oak.named("Maple") or {}).get("video_muted"))
        await until(lambda: (oak.named("Maple") or {}).get("talking"))
        await page.get_by_role("button", name="Turn camera on").click()
        await expect(page.locator("#notice")).to_contain_text("may not use your camera")
        await expect(page.get_by_role("button", name="Turn camera on")).to_be_enabled()
        assert (oak.named("Maple") or {})["video_muted"] is True


async def test_a_guest_may_come_with_the_camera_off(hub: HubServer, open_page: OpenPage) -> None:
    async with RoomMember(hub, "Oak") as oak:
        page = await open_page(hub)
        await join(page, "Maple", camera=False)
        await until(lambda: (oak.named("Maple") or {}).get("video_muted"))
        await page.get_by_role("button", name="Turn camera on").click()
        await until(lambda: not (oak.named("Maple") or {}).get("video_muted"))


async def test_a_removed_guest_is_told_and_may_come_back(
    hub: HubServer, open_page: OpenPage
) -> None:
    async with RoomMember(hub, "Oak") as oak:
        page = await open_page(hub)
        await join(page, "Maple")
        await until(lambda: oak.named("Maple"))
        await oak.ask("video.member.remove", member_id=(oak.named("Maple") or {})["id"])
        await says(page, "no longer in the room", "closed")
        await expect(page.locator("#cover")).to_contain_text("Someone removed you")
        await page.get_by_role("button", name="Try again").click()
        await says(page, "watching")


async def test_a_page_outlives_its_hub(make_hub: MakeHub, open_page: OpenPage) -> None:
    hub = await make_hub()
    page = await open_page(hub)
    await join(page, "Maple")
    await hub.stop()
    await says(page, "Reconnecting", "reconnecting")
    again = await make_hub(listen=hub.url.removeprefix("http://"))
    await says(page, "in the room as Maple")
    async with RoomMember(again, "Oak", tone=700) as oak:
        assert oak.named("Maple")
        await hears(page, 700)


async def test_a_lost_socket_keeps_the_member(hub: HubServer, open_page: OpenPage) -> None:
    async with RoomMember(hub, "Oak") as oak:
        page = await open_page(hub, script=KEEP_SOCKETS)
        await join(page, "Maple")
        await until(lambda: oak.named("Maple"))
        member = (oak.named("Maple") or {})["id"]
        await page.evaluate("window.away = true; window.sockets.at(-1).close()")
        await says(page, "Reconnecting", "reconnecting")
        await oak.ask("video.set_layout", name="3x3")  # missed, and told of after the return
        await page.evaluate("window.away = false")
        await says(page, "in the room as Maple")
        await expect(page.locator("#layout")).to_have_value("3x3")
        await page.get_by_role("button", name="Mute", exact=True).click()
        await until(lambda: oak.members[member]["audio_muted"])
        assert not oak.told("video.member.left", lambda _: True)


async def test_a_closed_room_is_told_in_words(hub: HubServer, open_page: OpenPage) -> None:
    page = await open_page(hub, "/?room=boardroom")
    await expect(page.locator("#cover")).to_contain_text("Ask its host")
    await expect(page.get_by_text("not open to guests")).to_have_count(1)
    await says(page, "Not in a room", "closed")
    await expect(page.get_by_role("button", name="Try again")).to_be_visible()
    # There is nothing to join, but another room.
    await expect(page.locator("#join")).to_be_hidden()
    await page.fill("#pick-room", "demo")
    await page.press("#pick-room", "Enter")
    await says(page, "watching")
    await expect(page.locator("#join")).to_be_visible()


async def test_a_browser_without_codecs_is_told_in_words(
    hub: HubServer, open_page: OpenPage
) -> None:
    page = await open_page(hub, script=NO_CODECS)
    await says(page, "neither H.264 nor VP8", "closed")


async def test_a_page_without_a_room_asks_for_one(hub: HubServer, open_page: OpenPage) -> None:
    page = await open_page(hub, "/")
    await says(page, "No room is chosen", "none")
    await expect(page.locator("#join")).to_be_hidden()
    await page.fill("#pick-room", "demo")
    await page.press("#pick-room", "Enter")
    await says(page, "watching")
    await expect(page).to_have_title("demo · Roomlet")


async def test_the_demo_shows_the_panel_beside_the_room(
    make_hub: MakeHub, open_page: OpenPage
) -> None:
    device = FakeDevice()
    async with Panel(device, "127.0.0.1:0") as panel:
        hub = await make_hub(panels=(PanelLink(name="Oak", url=panel.url),))
        panel.embed_origins.append(hub.url)
        page = await open_page(hub)
        inner = page.frame_locator("iframe[title='Panel of Oak']")
        await expect(inner.locator("#led-text")).to_have_text("LIVE")
        await inner.locator("#mute").click()
        await expect(inner.locator("#led-text")).to_have_text("MUTED")
        assert device.gate.closers == {Party.ROOM}
        # It stands in a room that may be entered, not beside one that may not.
        await page.goto(hub.url + "/?room=boardroom")
        await expect(page.locator("#cover")).to_contain_text("not open to guests")
        await expect(page.locator("#panels section")).to_have_count(1)
        await expect(page.locator("#panels")).to_be_hidden()


async def test_the_page_fits_a_phone(hub: HubServer, open_page: OpenPage) -> None:
    page = await open_page(hub)
    await page.set_viewport_size({"width": 360, "height": 740})
    await join(page, "Maple")
    assert await page.evaluate("document.documentElement.scrollWidth") <= 360


async def test_everything_is_reached_by_keyboard_and_has_a_name(
    hub: HubServer, open_page: OpenPage
) -> None:
    async with RoomMember(hub, "Oak"):
        page = await open_page(hub)
        await says(page, "watching")
        await page.focus("#guest-name")
        await page.keyboard.type("Maple")
        for _ in range(3):
            await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")
        await says(page, "in the room as Maple")
        await expect(page.locator("#mute-audio")).to_be_focused()
        await expect(page.get_by_role("button", name="Mute Oak")).to_be_visible()
        for button in await page.get_by_role("button").all():
            assert (await button.get_attribute("aria-label")) or (await button.inner_text()).strip()

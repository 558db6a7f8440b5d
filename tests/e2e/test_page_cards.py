"""The panel's cards for who looks after the device, in a real browser."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, ConsoleMessage, Page, expect

from appliance.panel import Panel
from tests.appliance.panel.fake_device import FakeDevice
from tests.appliance.panel.fake_upkeep import FakeUpkeep

DEADLINE = 30_000.0  # ms


@pytest.fixture
async def upkeep() -> FakeUpkeep:
    return FakeUpkeep()


@pytest.fixture
async def panel(upkeep: FakeUpkeep) -> AsyncIterator[Panel]:
    async with Panel(FakeDevice(), "127.0.0.1:0", upkeep=upkeep) as panel:
        yield panel


@pytest.fixture
async def page(chromium: Browser, panel: Panel) -> AsyncIterator[Page]:
    """The panel on a telephone; it may log no error."""
    context = await chromium.new_context(viewport={"width": 390, "height": 844})
    page = await context.new_page()
    page.set_default_timeout(DEADLINE)
    expect.set_options(timeout=DEADLINE)
    faults: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.type == "error":
            faults.append(message.text)

    page.on("console", note)
    page.on("pageerror", lambda error: faults.append(str(error)))
    await page.goto(panel.url)
    yield page
    await context.close()
    assert [fault for fault in faults if "ERR_CONNECTION_REFUSED" not in fault] == []


async def watching(upkeep: FakeUpkeep, cards: list[str]) -> None:
    async with asyncio.timeout(DEADLINE / 1000):
        while sorted(upkeep.watching) != sorted(cards):
            upkeep.moved.clear()
            await upkeep.moved.wait()


async def no_wider_than_the_page(page: Page) -> None:
    assert await page.evaluate("document.documentElement.scrollWidth") <= 390


def line(number: int, level: str, text: str) -> dict[str, object]:
    return {
        "number": number,
        "time": 1_700_000_000.0 + number,
        "level": level,
        "logger": "appliance.media.worker",
        "text": text,
    }


async def test_log_is_live_and_can_be_sifted(page: Page, panel: Panel, upkeep: FakeUpkeep) -> None:
    upkeep.pieces["log"] = [
        {"lines": [line(1, "debug", "a detail"), line(2, "info", "<b>hello</b>")], "missed": 0}
    ]
    await expect(page.locator("#log-card")).to_be_visible()
    assert upkeep.watching == []
    await page.get_by_text("Log", exact=True).focus()
    await page.keyboard.press("Enter")
    log = page.get_by_role("log", name="The device's log")
    await expect(log).to_contain_text("<b>hello</b>")
    await expect(page.get_by_text("a detail")).to_be_hidden()
    upkeep.tell("log", {"lines": [line(9, "error", "x" * 300)], "missed": 6})
    await expect(log).to_contain_text("6 lines are missing here")
    await expect(log).to_have_attribute("aria-live", "polite")
    await page.get_by_label("Show").select_option("Errors")
    await expect(page.get_by_text("hello")).to_be_hidden()
    await expect(page.get_by_text("xxx")).to_be_visible()
    await page.get_by_label("Show").select_option("Everything")
    await expect(page.get_by_text("a detail")).to_be_visible()
    await no_wider_than_the_page(page)
    await page.get_by_text("Log", exact=True).click()
    await watching(upkeep, [])


def sample(**values: float | None) -> dict[str, float | None]:
    return {"round_trip_ms": 12.0, "up_kbps": 900.0, "down_kbps": 1500.0, **values}


async def test_figures_are_plotted_and_told_in_words(page: Page, upkeep: FakeUpkeep) -> None:
    now = {"received": "1280 x 720", "sent": None, "microphone_xruns": 3, "speaker_xruns": 0}
    about = {"every": 2.0, "kept": 60, "now": now}
    upkeep.pieces["stats"] = [{**about, "anew": True, "samples": [sample() for _ in range(59)]}]
    await page.get_by_text("Network and media").click()
    plot = page.locator(".plot", has=page.get_by_text("Round trip", exact=True))
    await expect(plot).to_contain_text("12 ms")
    upkeep.tell("stats", {**about, "anew": False, "samples": [sample(round_trip_ms=180.0)]})
    await expect(plot).to_contain_text("180 ms")
    await expect(plot).to_contain_text("from 12 ms to 180 ms lately")
    await expect(plot.locator(".scale")).to_have_text("200")
    # The curve reaches from the left edge to the right one, where it rises.
    d = await plot.locator("path").get_attribute("d")
    assert d is not None
    points = [tuple(map(float, point.split())) for point in d[1:].split("L")]
    assert (points[0][0], points[-1][0], len(points)) == (0.0, 240.0, 60)
    assert points[-1][1] < 10 < points[-2][1]
    await expect(page.locator("#facts")).to_contain_text("1280 x 720")
    await expect(page.get_by_text("Temperature", exact=True)).to_be_hidden()
    await no_wider_than_the_page(page)


async def test_a_card_goes_on_after_the_device_was_away(
    page: Page, panel: Panel, upkeep: FakeUpkeep
) -> None:
    upkeep.pieces["log"] = [{"lines": [line(7, "info", "before")], "missed": 0}]
    await page.get_by_text("Log", exact=True).click()
    await expect(page.get_by_role("log")).to_contain_text("before")
    await panel.stop()
    upkeep.pieces["log"] = [{"lines": [line(1, "info", "begun anew")], "missed": 0}]
    await panel.start()
    await expect(page.get_by_role("log")).to_contain_text("begun anew")
    await expect(page.get_by_role("log")).not_to_contain_text("before")


async def test_a_device_without_cards_shows_none(chromium: Browser) -> None:
    async with Panel(FakeDevice(), "127.0.0.1:0") as panel:
        page = await chromium.new_page()
        await page.goto(panel.url)
        await expect(page.locator("#led-text")).to_have_text("LIVE", timeout=DEADLINE)
        assert await page.locator("[data-card]:visible").count() == 0

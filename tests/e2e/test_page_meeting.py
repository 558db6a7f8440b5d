"""The booked meeting on the panel, in a real browser."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect
from room import eventually

from appliance.panel import Panel, PanelState
from tests.appliance.panel.fake_device import FakeDevice

MEETING = {"title": "Weekly sync", "at": "10:00", "until": "10:30", "when": "soon", "room": ""}


class Booked(FakeDevice):
    """A device that has a meeting, and is not in a call."""

    meeting: dict[str, str]
    calls: list[Any]

    def state(self) -> PanelState:
        return dataclasses.replace(super().state(), status="idle", meeting=self.meeting)

    def go_home(self) -> None:
        self.calls.append("home")

    async def visit(self, invitation: str) -> None:
        self.calls.append(invitation)


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("more", "said", "called"),
    [
        ({"join": "home"}, "10:00 to 10:30: Weekly sync", "home"),
        ({"join": "visit", "room": "elm"}, "10:00 to 10:30: Weekly sync, in elm", "elm"),
        ({"join": "", "room": "evil.example"}, "Weekly sync, in evil.example", None),
        ({"join": "home", "when": "next"}, "10:00 to 10:30: Weekly sync", None),
    ],
)
async def test_the_key_joins_the_meeting(
    chromium: Browser, more: dict[str, str], said: str, called: str | None
) -> None:
    device = Booked()
    device.meeting, device.calls = MEETING | more, []
    async with Panel(device, "127.0.0.1:0") as panel:
        page: Page = await chromium.new_page()
        await page.goto(panel.url)
        await expect(page.locator("#meeting-text")).to_contain_text(said)
        key = page.locator("#meeting-join")
        if called is None:
            await expect(key).to_be_hidden()
        else:
            await key.click()
            await eventually("the device is told", lambda: device.calls)
            assert device.calls == [called]
        await page.close()

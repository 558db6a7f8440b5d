from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator

import httpx
import pytest
from websockets.asyncio.client import connect

from appliance.panel import Panel
from tests.appliance.panel.fake_device import FakeDevice
from tests.appliance.panel.fake_maintenance import FakeMaintenance
from tests.appliance.panel.test_live import DEADLINE, live_url, news


@pytest.fixture
async def maintenance() -> FakeMaintenance:
    return FakeMaintenance()


@pytest.fixture
async def kept(device: FakeDevice, maintenance: FakeMaintenance) -> AsyncIterator[Panel]:
    """A panel with cards."""
    async with Panel(device, "127.0.0.1:0", maintenance=maintenance) as panel:
        yield panel


async def watching(maintenance: FakeMaintenance, cards: list[str]) -> None:
    async with asyncio.timeout(DEADLINE):
        while maintenance.watching != cards:
            maintenance.moved.clear()
            await maintenance.moved.wait()


async def test_only_a_page_that_shows_a_card_has_its_news(
    kept: Panel, maintenance: FakeMaintenance
) -> None:
    maintenance.pieces["log"] = [{"n": 1}]
    async with connect(live_url(kept)) as one, connect(live_url(kept)) as other:
        assert "log" in await news(one, "cards")
        assert maintenance.watching == []
        await one.send('{"show": "log"}')
        await one.send('{"show": "log"}')  # which changes nothing
        assert await news(one, "log") == {"n": 1}
        maintenance.tell("log", {"n": 2})
        assert await news(one, "log") == {"n": 2}
        assert maintenance.watching == ["log"]
        await other.send('{"no": 1}')
        async with asyncio.timeout(DEADLINE):
            while "error" not in (heard := json.loads(await other.recv())):
                assert "log" not in heard


async def test_a_hidden_card_costs_nothing(kept: Panel, maintenance: FakeMaintenance) -> None:
    async with connect(live_url(kept)) as page:
        await page.send('{"show": "log"}')
        await watching(maintenance, ["log"])
        await page.send('{"hide": "log"}')
        await watching(maintenance, [])
        maintenance.pieces["log"] = [{"n": 3}]
        await page.send('{"show": "log"}')
        assert await news(page, "log") == {"n": 3}
    await watching(maintenance, [])  # nor does one whose page has gone


async def test_stop_ends_open_cards(device: FakeDevice, maintenance: FakeMaintenance) -> None:
    panel = Panel(device, "127.0.0.1:0", maintenance=maintenance)
    await panel.start()
    async with connect(live_url(panel)) as page:
        await page.send('{"show": "log"}')
        await watching(maintenance, ["log"])
        async with asyncio.timeout(DEADLINE):
            await panel.stop()
            await page.wait_closed()
    assert page.close_code == 1001
    assert maintenance.watching == []


async def test_there_are_no_other_cards(panel: Panel, kept: Panel) -> None:
    async with connect(live_url(kept)) as page:
        await page.send('{"show": "attic"}')
        assert await news(page, "error") == "This device has no card 'attic'."
    async with connect(live_url(panel)) as page:
        assert await news(page, "cards") == []
        await page.send('{"show": "log"}')
        assert "no card" in await news(page, "error")


async def test_a_card_that_fails_leaves_the_rest_of_the_page(
    kept: Panel, maintenance: FakeMaintenance, caplog: pytest.LogCaptureFixture
) -> None:
    maintenance.broken = True
    async with connect(live_url(kept)) as page:
        await page.send('{"show": "log"}')
        await page.send('{"press": "mute"}')
        async with asyncio.timeout(DEADLINE):
            while (await news(page, "state"))["tally"] != "muted":
                pass
        maintenance.broken = False
        maintenance.pieces["log"] = [{"n": 1}]
        await page.send('{"show": "log"}')
        assert await news(page, "log") == {"n": 1}
    assert "the card log has failed" in caplog.text


async def asked(maintenance: FakeMaintenance, what: list[tuple[str, ...]]) -> None:
    async with asyncio.timeout(DEADLINE):
        while maintenance.asked != what:
            maintenance.moved.clear()
            await maintenance.moved.wait()


async def test_a_choice_of_devices_reaches_the_device(
    kept: Panel, maintenance: FakeMaintenance
) -> None:
    async with connect(live_url(kept)) as page:
        choice = {"kind": "microphone", "backend": "alsa", "device": "hw:Loopback"}
        await page.send(json.dumps({"choose": choice}))
        await page.send('{"choose": {"kind": "camera", "device": null}}')
        await asked(
            maintenance,
            [("choose", "microphone", "alsa", "hw:Loopback"), ("withdraw_choice", "camera")],
        )
        maintenance.refusal = "it is in use; close the other program"
        await page.send('{"choose": {"kind": "camera", "device": null}}')
        assert await news(page, "error") == "it is in use; close the other program"
        await page.send('{"choose": {"kind": 3}}')
        assert "does not know" in await news(page, "error")


async def test_a_panel_without_cards_takes_no_choice(panel: Panel) -> None:
    async with connect(live_url(panel)) as page:
        await page.send('{"choose": {"kind": "camera", "device": null}}')
        assert "does not know" in await news(page, "error")


async def test_who_looks_after_the_device_is_heard(
    kept: Panel, maintenance: FakeMaintenance
) -> None:
    async with connect(live_url(kept)) as page:
        await page.send('{"withdraw": "speaker.volume"}')
        await page.send('{"restart": {"sure": true}}')
        await asked(maintenance, [("withdraw", "speaker.volume"), ("restart", "sure")])
        maintenance.refusal = "Somebody else is in the call"
        await page.send('{"restart": {"sure": false}}')
        assert await news(page, "error") == "Somebody else is in the call"
        await page.send('{"restart": true}')
        assert "does not know" in await news(page, "error")


async def test_a_bundle_is_a_file_for_its_own_page_only(kept: Panel, panel: Panel) -> None:
    async with httpx.AsyncClient(base_url=kept.url) as client:
        answer = await client.get("/api/bundle")
        foreign = await client.get("/api/bundle", headers={"Sec-Fetch-Site": "cross-site"})
    assert (answer.status_code, answer.content) == (200, b"PK of a test")
    assert answer.headers["content-type"] == "application/zip"
    assert answer.headers["cache-control"] == "no-store"
    name = answer.headers["content-disposition"].partition("filename=")[2]
    assert re.fullmatch(r'"roomlet-Oak-\d{8}-\d{4}\.zip"', name)
    assert foreign.status_code == 403
    async with httpx.AsyncClient(base_url=panel.url) as client:
        assert (await client.get("/api/bundle")).status_code == 404

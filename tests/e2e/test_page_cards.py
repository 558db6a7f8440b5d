"""The panel's cards for who looks after the device, in a real browser."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from browser import DEADLINE
from panel_page import opened
from playwright.async_api import Browser, Page, expect

from appliance.hub.config import HubConfig
from appliance.hub.server import HubServer
from appliance.panel import Panel
from appliance.service.children import Child
from appliance.service.device import Device
from appliance.service.hardware import build
from tests.appliance.panel.fake_device import FakeDevice
from tests.appliance.panel.fake_maintenance import FakeMaintenance
from tests.appliance.service.conftest import settings
from tests.appliance.service.provisioned import Provisioned


@pytest.fixture
async def maintenance() -> FakeMaintenance:
    return FakeMaintenance()


@pytest.fixture
async def device() -> FakeDevice:
    return FakeDevice()


@pytest.fixture
async def panel(device: FakeDevice, maintenance: FakeMaintenance) -> AsyncIterator[Panel]:
    async with Panel(device, "127.0.0.1:0", maintenance=maintenance) as panel:
        yield panel


@pytest.fixture
async def page(chromium: Browser, panel: Panel) -> AsyncIterator[Page]:
    """The panel on a telephone; it may log no error."""
    async with opened(chromium, panel.url, 390, 844) as page:
        yield page


async def watching(maintenance: FakeMaintenance, cards: list[str]) -> None:
    async with asyncio.timeout(DEADLINE / 1000):
        while sorted(maintenance.watching) != sorted(cards):
            maintenance.moved.clear()
            await maintenance.moved.wait()


async def asked(maintenance: FakeMaintenance, wanted: list[tuple[str, ...]]) -> None:
    """Wait until just this has been asked for: a click is over before its message has come."""
    async with asyncio.timeout(DEADLINE / 1000):
        while maintenance.asked != wanted:
            maintenance.moved.clear()
            await maintenance.moved.wait()


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


async def test_log_is_live_and_can_be_sifted(
    page: Page, panel: Panel, maintenance: FakeMaintenance
) -> None:
    maintenance.pieces["log"] = [
        {"lines": [line(1, "debug", "a detail"), line(2, "info", "<b>hello</b>")], "missed": 0}
    ]
    await expect(page.locator("#log-card")).to_be_visible()
    assert maintenance.watching == []
    await page.get_by_text("Log", exact=True).focus()
    await page.keyboard.press("Enter")
    log = page.get_by_role("log", name="The device's log")
    await expect(log).to_contain_text("<b>hello</b>")
    await expect(page.get_by_text("a detail")).to_be_hidden()
    maintenance.tell("log", {"lines": [line(9, "error", "x" * 300)], "missed": 6})
    await expect(log).to_contain_text("6 lines are missing here")
    await expect(log).to_have_attribute("aria-live", "polite")
    await page.get_by_label("Show").select_option("Errors")
    await expect(page.get_by_text("hello")).to_be_hidden()
    await expect(page.get_by_text("xxx")).to_be_visible()
    await page.get_by_label("Show").select_option("Everything")
    await expect(page.get_by_text("a detail")).to_be_visible()
    await no_wider_than_the_page(page)
    await page.get_by_text("Log", exact=True).click()
    await watching(maintenance, [])


async def test_figures_have_words_and_units(page: Page, device: FakeDevice) -> None:
    figures = page.locator("#figures")

    async def reads(name: str, words: str, value: str) -> None:
        term = figures.locator(f"dt[title={name}]")
        await expect(term).to_have_text(words)
        await expect(term.locator("+ dd")).to_have_text(value)

    device.stats = {
        "audio_jitter_ms": 2.06,
        "bytes_sent": 1_234_567,
        "audio_packets_received": 12345,
        "calendar_next_seconds": 5400,
        "brand_new_thing": 7,
    }
    device.tell()
    await page.get_by_text("Figures", exact=True).click()
    await reads("audio_jitter_ms", "Jitter: how unevenly packets come", "2.1 ms")
    await reads("bytes_sent", "Sent", "1.2 MB")
    await reads("audio_packets_received", "Packets received", "12,345")
    await reads("calendar_next_seconds", "Next meeting in", "90 min")
    await reads("brand_new_thing", "brand new thing", "7")
    groups = ["Call", "Sound", "Picture", "Calendar", "Others"]
    await expect(figures.locator("h3")).to_have_text(groups)
    device.stats = {"bytes_sent": 999}
    device.tell()
    await reads("bytes_sent", "Sent", "999 B")
    await expect(figures.locator("h3")).to_have_text(["Call", "Picture"])
    await no_wider_than_the_page(page)


async def test_a_finger_finds_everything(
    chromium: Browser, panel: Panel, maintenance: FakeMaintenance
) -> None:
    maintenance.pieces["devices"] = [devices(changed=True)]
    maintenance.pieces["config"] = [configured()]
    async with opened(chromium, panel.url, 360, 740, touch=True) as page:
        await expect(page.locator("#mute")).to_be_enabled()
        await expect(page.locator("#log-card")).to_be_visible()
        for summary in await page.locator("summary").all():
            # Beside the words: all of a closed card opens it.
            await summary.click(position={"x": 250, "y": 40})
        await expect(page.get_by_role("button", name="Take back: camera.width")).to_be_visible()
        await expect(page.get_by_role("button", name="Microphone: use what")).to_be_visible()
        controls = page.locator("button, select, input, summary, a")
        sizes = await controls.evaluate_all(
            """nodes => nodes.filter(node => node.checkVisibility()).map(node => {
              const { width, height } = node.getBoundingClientRect();
              return [node.id || node.textContent, width, height];
            })"""
        )
        assert len(sizes) > 20
        assert [one for one in sizes if min(one[1:]) < 44] == []
        assert await page.evaluate("document.documentElement.scrollWidth") <= 360


def sample(**values: float | None) -> dict[str, float | None]:
    return {"round_trip_ms": 12.0, "up_kbps": 900.0, "down_kbps": 1500.0, **values}


async def test_figures_are_plotted_and_told_in_words(
    page: Page, maintenance: FakeMaintenance
) -> None:
    now = {"received": "1280 x 720", "sent": None, "microphone_xruns": 3, "speaker_xruns": 0}
    about = {"every": 2.0, "kept": 60, "now": now}
    maintenance.pieces["stats"] = [
        {**about, "anew": True, "samples": [sample() for _ in range(59)]}
    ]
    await page.get_by_text("Network and media").click()
    plot = page.locator(".plot", has=page.get_by_text("Round trip", exact=True))
    await expect(plot).to_contain_text("12 ms")
    maintenance.tell("stats", {**about, "anew": False, "samples": [sample(round_trip_ms=180.0)]})
    await expect(plot).to_contain_text("180 ms")
    await expect(plot).to_contain_text("from 12 ms to 180 ms lately")
    await expect(plot.locator(".scale")).to_have_text("0–200 ms")
    await expect(plot.locator("dt")).to_have_attribute("title", "round_trip_ms")
    # The curve reaches from the left edge to the right one, where it rises.
    await expect(page.locator("#plots > h3")).to_have_text(
        ["Network", "Sound and picture", "Machine"]
    )
    d = await plot.locator("path").get_attribute("d")
    assert d is not None
    points = [tuple(map(float, point.split())) for point in d[1:].split("L")]
    assert (points[0][0], points[-1][0], len(points)) == (0.0, 240.0, 60)
    assert points[-1][1] < 10 < points[-2][1]
    await expect(page.locator("#facts")).to_contain_text("1280 x 720")
    await expect(page.get_by_text("Temperature", exact=True)).to_be_hidden()
    await no_wider_than_the_page(page)


def devices(**changes: object) -> dict[str, object]:
    one = {
        "kind": "microphone",
        "devices": [
            {"backend": "alsa", "id": "hw:1", "label": "Speakerphone"},
            {"backend": "alsa", "id": "hw:2", "label": "Speakerphone"},
        ],
        "used": {"backend": "alsa", "id": "hw:1"},
        "wanted": {"backend": "alsa", "id": "hw:1", "label": "Speakerphone"},
        "changed": False,
        "error": "",
        **changes,
    }
    others = [{**one, "kind": kind, "changed": False} for kind in ("camera", "speaker")]
    return {"lasting": True, "fixed": False, "kinds": [*others, one]}


async def test_a_device_is_chosen_refused_and_given_back(
    page: Page, maintenance: FakeMaintenance
) -> None:
    maintenance.pieces["devices"] = [devices()]
    await page.get_by_text("Devices", exact=True).click()
    choice = page.get_by_label("Microphone", exact=True)
    # Two of one name are told apart.
    await expect(choice.locator("option")).to_have_text(
        ["Speakerphone (hw:1)", "Speakerphone (hw:2)"]
    )
    maintenance.refusal = "it is in use; close the other program"
    await choice.select_option("Speakerphone (hw:2)")
    await expect(page.locator("#refusal")).to_have_text(maintenance.refusal)
    await expect(choice).to_be_enabled()
    await expect(choice.locator("option:checked")).to_have_text("Speakerphone (hw:1)")
    maintenance.refusal = ""
    await choice.select_option("Speakerphone (hw:2)")
    await expect(choice).to_be_disabled()
    used = {"backend": "alsa", "id": "hw:2"}
    maintenance.tell("devices", devices(used=used, wanted=used, changed=True))
    await expect(choice).to_be_enabled()
    await expect(choice.locator("option:checked")).to_have_text("Speakerphone (hw:2)")
    await expect(choice).to_have_accessible_description(
        "Chosen here, above what the configuration says."
    )
    await page.get_by_role("button", name="Microphone: use what the configuration says").click()
    chosen = ("choose", "microphone", "alsa", "hw:2")
    await asked(maintenance, [chosen, chosen, ("withdraw_choice", "microphone")])
    maintenance.tell("devices", devices())
    await expect(choice).to_be_focused()
    maintenance.tell("devices", devices(used=used))
    await expect(choice).to_have_accessible_description(
        "Speakerphone is not there; this one stands in."
    )
    # Where the configuration leaves it to the backend, and that has found none yet.
    whichever = {"backend": "alsa", "id": "", "label": "first microphone"}
    maintenance.tell("devices", devices(used=used, wanted=whichever))
    await expect(choice).to_have_accessible_description(
        "first microphone is not there; this one stands in."
    )
    await no_wider_than_the_page(page)


async def test_meters_say_what_is_sent(page: Page, maintenance: FakeMaintenance) -> None:
    await page.get_by_text("Devices", exact=True).click()
    meter = page.get_by_label("At the microphone")
    await watching(maintenance, ["devices", "levels"])
    for state, level, words in (
        ("sent", -15.2, "sent to the room"),
        ("held", -14.8, "nothing of it is sent"),
        ("closed", None, "closed while it is muted"),
    ):
        maintenance.tell(
            "levels", {"microphone": level, "speaker": -60.5, "microphone_state": state}
        )
        await expect(page.locator("#level-microphone-note")).to_contain_text(words)
        spoken = "no sound" if level is None else "-15 dBFS"
        await expect(meter).to_have_attribute("aria-valuetext", spoken)
    assert await meter.evaluate("meter => meter.value") == -60
    await expect(page.get_by_label("At the loudspeaker")).to_have_attribute(
        "aria-valuetext", "silent"
    )
    await page.get_by_text("Devices", exact=True).click()
    await watching(maintenance, [])


def configured(**changes: object) -> dict[str, object]:
    def value(key: str, text: str, source: str, here: bool = False) -> dict[str, object]:
        return {"section": "camera", "key": key, "value": text, "source": source, "here": here}

    long = "device: /etc/roomlet/" + "very-long-name-" * 8 + ".toml, line 12"
    return {
        "values": [
            value("backend", '"auto"', "built-in"),
            value("rate", "15.0", long),
            value("width", "640", "the panel", True),
        ],
        "changes": ["camera.width"],
        "hindrance": "",
        **changes,
    }


async def test_values_have_their_sources_and_changes_are_taken_back(
    page: Page, maintenance: FakeMaintenance
) -> None:
    maintenance.pieces["config"] = [configured()]
    await page.get_by_text("Configuration", exact=True).click()
    values = page.locator("#config .values > div")
    await expect(values).to_have_count(2)
    await expect(values.first).to_contain_text("line 12")
    await page.get_by_label("Values").select_option("Everything")
    await expect(values).to_have_count(3)
    await page.get_by_label("Values").select_option("What was changed here")
    await expect(values).to_have_count(1)
    await expect(values).to_contain_text("640")
    await no_wider_than_the_page(page)
    back = page.get_by_role("button", name="Take back: camera.width")
    maintenance.refusal = "the camera does not open so"
    await back.click()
    await expect(page.locator("#refusal")).to_have_text(maintenance.refusal)
    await expect(back).to_be_enabled()
    maintenance.refusal = ""
    await back.click()
    await asked(maintenance, [("withdraw", "camera.width")] * 2)
    maintenance.tell("config", configured(changes=[]))
    await expect(back).to_have_count(0)


async def test_a_restart_is_asked_once(page: Page, maintenance: FakeMaintenance) -> None:
    maintenance.pieces["config"] = [configured(hindrance="No service manager runs this program.")]
    await page.get_by_text("Help and restart").click()
    restart = page.get_by_role("button", name="Restart the program")
    await expect(restart).to_be_disabled()
    await expect(restart).to_have_accessible_description("No service manager runs this program.")
    maintenance.tell("config", configured())
    await expect(restart).to_be_enabled()
    await restart.click()
    await expect(page.get_by_text("away for some seconds")).to_be_visible()
    await expect(page.get_by_role("button", name="Leave it running")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(restart).to_be_focused()
    assert maintenance.asked == []
    await restart.click()
    await page.get_by_role("button", name="Restart now").click()
    await expect(restart).to_be_visible()
    await asked(maintenance, [("restart", "not sure")])


async def test_two_parts_of_the_page_share_a_card(page: Page, maintenance: FakeMaintenance) -> None:
    await page.get_by_text("Configuration", exact=True).click()
    await page.get_by_text("Help and restart").click()
    await watching(maintenance, ["config"])
    await page.get_by_text("Configuration", exact=True).click()
    maintenance.tell("config", configured())
    await expect(page.get_by_role("button", name="Restart the program")).to_be_enabled()
    await page.get_by_text("Help and restart").click()
    await watching(maintenance, [])


async def test_diagnostics_are_downloaded(page: Page) -> None:
    await page.get_by_text("Help and restart").click()
    async with page.expect_download() as coming:
        await page.get_by_role("link", name="Download diagnostics").click()
    download = await coming.value
    assert download.suggested_filename.startswith("roomlet-Oak-")
    assert Path(await download.path()).read_bytes() == b"PK of a test"


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[HubServer]:
    config = HubConfig(listen="127.0.0.1:0", data=tmp_path / "hub", open_rooms=("demo",))
    hub = HubServer(config, environment={})
    await hub.start()
    yield hub
    await hub.stop()


async def test_another_microphone_chosen_on_the_page_is_heard_in_the_room(
    chromium: Browser, hub: HubServer, tmp_path: Path
) -> None:
    files = Provisioned(hub, tmp_path / "oak", 3)  # which speaks at 2000 Hz
    oak = Child("oak", ["run", f"--root={files.folder}"], tmp_path / "oak.log")
    listening = settings(hub, "Elm", 2, probe={"enabled": True, "tones": [1000.0, 2000.0]})
    elm = Device(listening, build(listening), find=lambda _: [], lease=DEADLINE)

    async def hears(heard: str, other: str) -> None:
        def levels() -> tuple[float, float]:
            tones = elm.report()["tones"]
            return tones[heard]["level_dbfs"], tones[other]["level_dbfs"]

        # Gaps, as a busy machine has, are noise at each frequency: so one is held to the other.
        async with asyncio.timeout(3 * DEADLINE / 1000):
            while not (levels()[0] > -40 and levels()[1] < levels()[0] - 20):
                await asyncio.sleep(0.05)

    await elm.start()
    try:
        url = (await oak.start(DEADLINE / 1000)).split()[-1]
        await hears("2000", "1000")
        page = await chromium.new_page()
        await page.goto(url)
        await page.get_by_text("Devices", exact=True).click()
        choice = page.get_by_label("Microphone", exact=True)
        await expect(choice.locator("option:checked")).to_have_text(
            "Synthetic microphone 3", timeout=DEADLINE
        )
        await choice.select_option("Synthetic microphone 1")
        await hears("1000", "2000")
        note = page.locator("#device-microphone-note")
        await expect(note).to_contain_text("Chosen here, above", timeout=DEADLINE)
        level = page.locator("#level-microphone-value")
        await expect(level).to_have_text("-15 dBFS", timeout=DEADLINE)
        assert 'device = "synthetic:1"  # the panel' in files.shown()
        await page.get_by_role("button", name="Microphone: use what").click()
        await hears("2000", "1000")
        assert "the panel" not in files.shown()
    finally:
        await oak.stop()
        await elm.stop()


async def test_a_card_goes_on_after_the_device_was_away(
    page: Page, panel: Panel, maintenance: FakeMaintenance
) -> None:
    maintenance.pieces["log"] = [{"lines": [line(7, "info", "before")], "missed": 0}]
    await page.get_by_text("Log", exact=True).click()
    await expect(page.get_by_role("log")).to_contain_text("before")
    await panel.stop()
    maintenance.pieces["log"] = [{"lines": [line(1, "info", "begun anew")], "missed": 0}]
    await panel.start()
    await expect(page.get_by_role("log")).to_contain_text("begun anew")
    await expect(page.get_by_role("log")).not_to_contain_text("before")


async def test_a_device_without_cards_shows_none(chromium: Browser) -> None:
    async with Panel(FakeDevice(), "127.0.0.1:0") as panel:
        page = await chromium.new_page()
        await page.goto(panel.url)
        await expect(page.locator("#led-text")).to_have_text("LIVE", timeout=DEADLINE)
        assert await page.locator("[data-card]:visible").count() == 0

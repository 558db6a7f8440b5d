#!/usr/bin/env python3
"""Take the pictures of the pages in docs/images: of a meeting as `make demo` shows it."""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from fractions import Fraction
from pathlib import Path
from typing import Final, Literal

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests/e2e")]

import av  # noqa: E402
import av.filter  # noqa: E402
from browser import launched  # noqa: E402
from playwright.async_api import Browser, FrameLocator, Locator, Page, expect  # noqa: E402

from appliance.panel import Access, Panel  # noqa: E402
from appliance.service.demo import ELM, OAK, Demo  # noqa: E402
from tests.appliance.panel.fake_device import FakeDevice  # noqa: E402

DEADLINE: Final = 60_000.0
"""Milliseconds for whatever a picture is to show."""

FULL: Final = 150_000.0
"""Milliseconds for two minutes of plots."""

MANY: Final = 40 * 1024
"""Bytes above which a picture gets by with 256 colours: a moving picture has many more, and nobody
sees them."""


class Album:
    def __init__(self, browser: Browser, folder: Path) -> None:
        self._browser = browser
        self._folder = folder

    @asynccontextmanager
    async def page(
        self, url: str, width: int, height: int, scheme: Literal["dark", "light"] = "light"
    ) -> AsyncIterator[Page]:
        context = await self._browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme=scheme,
            reduced_motion="reduce",
        )
        page = await context.new_page()
        page.set_default_timeout(DEADLINE)
        await page.goto(url)
        yield page
        await context.close()

    async def take(
        self, name: str, page: Page, *, of: Locator | None = None, height: int | None = None
    ) -> None:
        """All that the page shows, or one part of it with some of what is round it; of that no
        more than so many pixels."""
        path = self._folder / f"{name}.png"
        await page.mouse.move(0, 0)
        if of is None:
            await page.screenshot(path=path, full_page=height is None)
        else:
            box = await of.evaluate(
                """part => {
                  const { x, y, width, height } = part.getBoundingClientRect();
                  return { x: x + scrollX, y: y + scrollY, width, height };
                }"""
            )
            await page.screenshot(
                path=path,
                full_page=True,
                clip={
                    "x": box["x"] - 12,
                    "y": box["y"] - 12,
                    "width": box["width"] + 24,
                    "height": min(box["height"] + 24, height or box["height"] + 24),
                },
            )
        if path.stat().st_size > MANY:
            await asyncio.to_thread(reduce, path)
        print(f"{path.name}: {path.stat().st_size // 1024} KiB")


def reduce(path: Path) -> None:
    """Write a picture anew with 256 colours."""
    with av.open(path) as source:
        picture = next(source.decode(video=0))
    graph = av.filter.Graph()
    begin = graph.add_buffer(
        width=picture.width,
        height=picture.height,
        format=picture.format,
        time_base=Fraction(1, 25),
    )
    split = graph.add("split")
    colours = graph.add("palettegen", "reserve_transparent=0")
    use = graph.add("paletteuse", "dither=none")
    end = graph.add("buffersink")
    begin.link_to(split)
    split.link_to(use, 0, 0)
    split.link_to(colours, 1, 0)
    colours.link_to(use, 0, 1)
    use.link_to(end)
    graph.configure()
    picture.pts = 0
    begin.push(picture)
    begin.push(None)
    few = end.pull()
    assert isinstance(picture, av.VideoFrame)
    assert isinstance(few, av.VideoFrame)
    encoder = av.CodecContext.create("png", "w")
    encoder.width, encoder.height, encoder.pix_fmt = few.width, few.height, "pal8"
    encoder.time_base = Fraction(1, 25)
    encoder.options = {"compression_level": "9", "pred": "none"}
    path.write_bytes(
        b"".join(bytes(packet) for packet in [*encoder.encode(few), *encoder.encode()])
    )


async def says(page: Page | FrameLocator, word: str) -> None:
    await expect(page.locator("#led-text")).to_have_text(word)


async def shows(page: Page | FrameLocator) -> None:
    """Wait for the picture of the device's screen."""
    await expect(page.locator("#picture")).not_to_have_js_property("naturalWidth", 0)


async def hears(page: Page) -> None:
    """Wait for a burst of tone at the microphone and at the loudspeaker."""
    await page.wait_for_function(
        """() => ["microphone", "speaker"].every(
             (end) => document.getElementById(`level-${end}-value`).textContent.startsWith("-1"))"""
    )


async def of_the_meeting(album: Album, url: str) -> None:
    async with album.page(url, 1400, 910) as page:
        panel = page.frame_locator("iframe[title='Panel of Oak']")
        await says(panel, "LIVE")
        await expect(page.locator("#members .talking:visible")).to_have_count(2)
        await expect(panel.locator("#members .talking")).to_have_count(2)
        await shows(panel)
        await album.take("demo", page, height=910)
        await panel.locator("#mute").click()
        await says(panel, "MUTED")
        await expect(page.locator("#members .talking:visible")).to_have_count(1)
        await album.take("hub", page, height=910)
        await panel.locator("#mute").click()
        await says(panel, "LIVE")


async def of_the_panel(album: Album, url: str) -> None:
    async with album.page(url, 420, 760) as page:
        await says(page, "LIVE")
        await expect(page.locator("#members .talking:visible")).to_have_count(2)
        await shows(page)
        await album.take("panel-live", page, height=760)
        await page.locator("#mute").click()
        await says(page, "MUTED")
        # What the screen says of it.
        await expect(page.locator("#members .talking:visible")).to_have_count(1)
        await album.take("panel-muted", page, height=760)
        await page.locator("#mute").click()
        await says(page, "LIVE")


async def of_the_cards(album: Album, url: str, folder: Path) -> None:
    async with album.page(url, 386, 900) as narrow:
        await narrow.get_by_text("Devices", exact=True).click()
        await narrow.get_by_label("Microphone", exact=True).select_option("Synthetic microphone 2")
        await expect(narrow.get_by_text("Chosen here")).to_be_visible()
        await hears(narrow)
        await album.take("panel-devices", narrow, of=narrow.locator("#devices-card"))

        await narrow.get_by_text("Configuration", exact=True).click()
        await expect(narrow.locator("#changes li")).to_have_count(2)
        # Where a real device has it.
        await narrow.locator("#config-card").evaluate(
            """(card, folder) => {
              const walker = document.createTreeWalker(card, NodeFilter.SHOW_TEXT);
              while (walker.nextNode()) {
                walker.currentNode.data = walker.currentNode.data
                  .replace(`${folder}/oak.toml`, "/etc/roomlet/device.toml")
                  .replace(`${folder}/`, "/etc/roomlet/");
              }
            }""",
            str(folder),
        )
        await album.take("panel-config", narrow, of=narrow.locator("#config-card"), height=780)

    async with (
        album.page(url, 1280, 900) as wide,
        album.page(url, 386, 900, "dark") as dark,
    ):
        await dark.get_by_text("Network and media").click()
        for card in ("Devices", "Network and media", "Help and restart"):
            await wide.get_by_text(card, exact=True).click()
        print("two minutes for the plots")
        await expect(wide.locator("#stats-note")).to_contain_text("118 s", timeout=FULL)
        await hears(wide)
        await album.take("panel-wide", wide)
        await expect(dark.locator("#stats-note")).to_contain_text("118 s")
        await album.take("panel-stats", dark, of=dark.locator("#stats-card"))


async def of_the_door(album: Album) -> None:
    async with (
        Panel(FakeDevice(), "127.0.0.1:0", access=Access(lambda: "a pin of nobody")) as panel,
        album.page(panel.url, 380, 380) as page,
    ):
        await expect(page.get_by_label("PIN")).to_be_focused()
        await album.take("panel-login", page, height=380)


async def take_all(chromium: str, folder: Path) -> None:
    expect.set_options(timeout=DEADLINE)
    async with launched(chromium) as browser, Demo.running(0) as demo:
        album = Album(browser, folder)
        await of_the_door(album)
        oak, *_ = await demo.start(OAK, ELM)
        await of_the_meeting(album, demo.page)
        await of_the_panel(album, oak.panel.url)
        await of_the_cards(album, oak.panel.url, demo.folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chromium", help="path of the browser")
    parser.add_argument("--folder", type=Path, default=ROOT / "docs/images", help="where they go")
    options = parser.parse_args()
    chromium = (
        options.chromium or os.environ.get("ROOMLET_CHROMIUM") or shutil.which("chromium") or ""
    )
    if not chromium:
        sys.exit("there is no Chromium: run 'make setup-test', or give its path by --chromium")
    asyncio.run(take_all(chromium, options.folder))


if __name__ == "__main__":
    main()

"""The panel's page in a browser."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from browser import DEADLINE, but_of_the_gone
from playwright.async_api import Browser, ConsoleMessage, Page


@asynccontextmanager
async def opened(
    chromium: Browser, url: str, width: int, height: int, *, touch: bool = False
) -> AsyncIterator[Page]:
    """The page at that size, with `touch` for fingers; it may log no error but that its panel has
    gone, which is what some tests are about."""
    context = await chromium.new_context(
        viewport={"width": width, "height": height}, has_touch=touch, is_mobile=touch
    )
    page = await context.new_page()
    page.set_default_timeout(DEADLINE)
    faults: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if message.type == "error":
            faults.append(message.text)

    page.on("console", note)
    page.on("pageerror", lambda error: faults.append(str(error)))
    await page.goto(url)
    yield page
    await context.close()
    assert but_of_the_gone(faults) == []

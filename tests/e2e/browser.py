"""Debian's Chromium, headless, driven by Playwright."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterable
from typing import Final

from playwright.async_api import Browser, async_playwright, expect

DEADLINE: Final = 60_000.0
"""Milliseconds for whatever a page is to show, on a machine with much other work."""

GONE: Final = (
    "ERR_CONNECTION_CLOSED",
    "ERR_CONNECTION_REFUSED",
    "ERR_CONNECTION_RESET",
    "ERR_EMPTY_RESPONSE",
    # So a server answers who wants a WebSocket while it goes.
    "Unexpected response code: 403",
)
"""What Chromium logs of a server that goes, or has gone."""

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--no-proxy-server",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-domain-reliability",
    "--disable-sync",
    "--metrics-recording-only",
    # Media without hardware, without questions, without a click first.
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
    # Candidates with real addresses, loopback's too: a machine may have no other interface, and the
    # SDK strips those with mDNS names, as it gets only the drawn camera and no permission.
    "--allow-loopback-in-peer-connection",
    "--disable-features=WebRtcHideLocalIpsWithMdns,OptimizationHints,MediaRouter,Translate",
)


@contextlib.asynccontextmanager
async def launched(path: str) -> AsyncIterator[Browser]:
    """A browser until the block ends; `path` is where Chromium is."""
    expect.set_options(timeout=DEADLINE)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, headless=True, args=FLAGS)
        try:
            yield browser
        finally:
            await browser.close()


def but_of_the_gone(faults: Iterable[str]) -> list[str]:
    """What a page has logged, without what it logs of a server that goes."""
    return [fault for fault in faults if not any(one in fault for one in GONE)]

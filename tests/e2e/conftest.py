"""Real browsers for the tests."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from browser import launched
from playwright.async_api import Browser
from room import House, Room
from sdk_client import PageServer, SdkClient


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever stands in this folder is end to end."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.e2e)


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """Where Chromium is: ROOMLET_CHROMIUM, or else what the system has."""
    names = [os.environ.get("ROOMLET_CHROMIUM"), "chromium", "chromium-browser", "google-chrome"]
    for name in filter(None, names):
        if path := shutil.which(name):
            return path
    pytest.fail("there is no Chromium: run 'make setup-test', or set ROOMLET_CHROMIUM to its path")


@pytest.fixture(scope="session")
def page_server() -> Iterator[PageServer]:
    """The guest's page and the SDK, over HTTP on loopback."""
    with PageServer.running() as server:
        yield server


@pytest.fixture
async def chromium(chromium_path: str) -> AsyncIterator[Browser]:
    """A browser of the test's own: nothing that one test leaves behind meets the next one."""
    async with launched(chromium_path) as browser:
        yield browser


@pytest.fixture
async def new_guest(
    chromium: Browser, page_server: PageServer
) -> AsyncIterator[Callable[[], Awaitable[SdkClient]]]:
    """Give as many guests as a test asks for, each in a browser profile of its own."""
    async with AsyncExitStack() as stack:
        guests: list[SdkClient] = []

        async def new_guest() -> SdkClient:
            context = await chromium.new_context(viewport={"width": 1280, "height": 800})
            stack.push_async_callback(context.close)
            guest = SdkClient(await context.new_page())
            guests.append(guest)
            await guest.open(page_server.url)
            return guest

        yield new_guest
        # Shown beside the test's own words when it fails.
        for number, guest in enumerate(guests):
            for line in guest.console[-100:]:
                print(f"guest {number}: {line}")


@pytest.fixture
async def guest(new_guest: Callable[[], Awaitable[SdkClient]]) -> SdkClient:
    """One guest with the SDK loaded, in no room yet."""
    return await new_guest()


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A hub and two appliances, in processes of their own, for all tests that want them."""
    with House.open(tmp_path_factory.mktemp("house")) as house:
        yield house


@pytest.fixture
async def room(house: House) -> AsyncIterator[Room]:
    """The house's room as every test finds it: the appliances, and a host."""
    async with house.room() as room:
        yield room

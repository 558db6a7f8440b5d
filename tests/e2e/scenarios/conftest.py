"""Scenarios: each is written once and runs with both clients."""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from browser import launched
from playwright.async_api import Browser
from room import Hub
from scenarios.client import Client
from scenarios.coverage_table import Results
from scenarios.covering import CLIENTS, Covered
from scenarios.meeting import Meeting, Meetings, NewClient
from scenarios.official_client import OfficialClient
from scenarios.roomlet_client import RoomletClient, keep_loudspeakers
from sdk_client import PageServer

from hal import registry

TABLE_TEST = "test_coverage_table.py"
RESULTS = pytest.StashKey[Results]()
FAILED = pytest.StashKey[bool]()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a scenario once with each client that can."""
    if "kind" in metafunc.fixturenames:
        covered = Covered.by(metafunc.definition)
        kinds = [kind for kind in CLIENTS if covered.only in (None, kind)]
        metafunc.parametrize("kind", kinds, scope="module")


@pytest.fixture(scope="session")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """A hub in a process of its own, for all scenarios."""
    hub = Hub(tmp_path_factory.mktemp("scenarios"))
    try:
        yield hub
    finally:
        hub.end()


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def browser(chromium_path: str) -> AsyncIterator[Browser]:
    """One browser for all scenarios; each client has a profile of its own in it."""
    async with launched(chromium_path) as browser:
        yield browser


@pytest.fixture(scope="module")
def synthetic_devices() -> Iterator[None]:
    """The machine's devices are the synthetic ones, and its microphones speak."""
    with pytest.MonkeyPatch.context() as patch:
        auto = {
            **registry.AUTO,
            "camera": (("synthetic", {}),),
            "microphone": (("synthetic", {"pattern": "continuous"}),),
            "speaker": (("synthetic", {}),),
        }
        patch.setattr(registry, "AUTO", auto)
        keep_loudspeakers(patch)
        patch.delenv("DISPLAY", raising=False)
        yield


@pytest.fixture(scope="module")
def new_client(kind: str, synthetic_devices: None, request: pytest.FixtureRequest) -> NewClient:
    """How to make a client under test."""
    if kind == "roomlet":

        async def roomlet(name: str, device: int) -> Client:
            return RoomletClient(name, device)

        return roomlet
    chromium: Browser = request.getfixturevalue("browser")
    server: PageServer = request.getfixturevalue("page_server")

    async def official(name: str, device: int) -> Client:
        context = await chromium.new_context(viewport={"width": 960, "height": 600})
        return OfficialClient(name, device, context, server.url)

    return official


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def meetings(hub: Hub, new_client: NewClient) -> AsyncIterator[Meetings]:
    """One meeting after the other, with clients of one kind."""
    async with Meetings(hub, new_client) as meetings:
        yield meetings


@pytest_asyncio.fixture(loop_scope="session")
async def lobby(meetings: Meetings, request: pytest.FixtureRequest) -> AsyncIterator[Meeting]:
    """A meeting with the witness in it; a scenario brings clients by `guest` or `joined`."""
    meeting = await meetings.current()
    yield meeting
    await meeting.end_scenario()
    if request.node.stash.get(FAILED, False):
        await meetings.end_current()


@pytest_asyncio.fixture(loop_scope="session")
async def meeting(lobby: Meeting) -> Meeting:
    """A meeting with the witness and the client under test in it."""
    await lobby.begin_scenario()
    return lobby


# --- the table


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--write-coverage-table", action="store_true", help="write docs/coverage.md anew"
    )


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> Iterator[None]:
    """Compare the table at the end of a run of all scenarios, and of no other."""
    here = Path(__file__).parent
    collected = [item for item in items if item.path.parent == here]
    files = {item.path for item in collected}
    yield
    tables = [item for item in items if item.path == here / TABLE_TEST]
    selected = [item for item in items if item.path.parent == here]
    whole = files == set(here.glob("test_*.py")) and len(selected) == len(collected)
    for table in tables:
        items.remove(table)
    if whole:
        last = max(items.index(item) for item in selected if item not in tables)
        items[last + 1 : last + 1] = tables
    else:
        config.hook.pytest_deselected(items=tables)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keep how each scenario ended."""
    report = yield
    if isinstance(item, pytest.Function) and "kind" in item.fixturenames:
        results = item.config.stash.setdefault(RESULTS, Results())
        if report.when == "call" or not report.passed:
            results.add(item, report.passed)
        item.stash[FAILED] = item.stash.get(FAILED, False) or report.failed
    return report


@pytest.fixture
def results(request: pytest.FixtureRequest) -> Results:
    """What the scenarios of this run have shown."""
    return request.config.stash.setdefault(RESULTS, Results())

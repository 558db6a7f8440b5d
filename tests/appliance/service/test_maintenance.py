from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import threading
from collections.abc import Iterator
from typing import Any, cast

import pytest

from appliance.panel import Refused
from appliance.provisioning import Config
from appliance.provisioning.overrides import Changes
from appliance.service import journal
from appliance.service.device import Device
from appliance.service.journal import MASK, Secrets
from appliance.service.log_ring import LogRing
from appliance.service.maintenance import LOG_PIECE, DeviceMaintenance
from tests.appliance.service.conftest import DEADLINE, MakeDevice, until

CANARY = "canary-4711-never-to-be-seen"


@pytest.fixture
def ring(monkeypatch: pytest.MonkeyPatch) -> LogRing:
    monkeypatch.setattr(journal, "SECRETS", Secrets())
    journal.SECRETS.add(CANARY)
    return LogRing(kept=2 * LOG_PIECE)


@pytest.fixture
def log(ring: LogRing) -> Iterator[logging.Logger]:
    logger = logging.getLogger("appliance.of.this.test")
    logger.addHandler(ring)
    logger.setLevel(logging.DEBUG)
    yield logger
    logger.removeHandler(ring)


async def test_the_log_is_told_from_what_is_kept_to_what_another_thread_says(
    ring: LogRing, log: logging.Logger
) -> None:
    log.info("before, %s", CANARY)
    async with (
        asyncio.timeout(DEADLINE),
        contextlib.aclosing(DeviceMaintenance(cast(Device, None), ring=ring).watch("log")) as news,
    ):
        first = await anext(news)
        thread = threading.Thread(target=log.warning, args=("after, %s", CANARY))
        thread.start()
        second = await anext(news)
        thread.join()
    assert CANARY not in json.dumps([first, second])
    (line,) = first["lines"]
    assert (line["text"], line["level"], first["missed"]) == (f"before, {MASK}", "info", 0)
    (line,) = second["lines"]
    assert (line["number"], line["text"], line["level"]) == (2, f"after, {MASK}", "warning")
    assert ring._observers == ()


async def test_who_is_slow_is_told_how_many_lines_are_missing(
    ring: LogRing, log: logging.Logger
) -> None:
    log.info("first")
    async with (
        asyncio.timeout(DEADLINE),
        contextlib.aclosing(DeviceMaintenance(cast(Device, None), ring=ring).watch("log")) as news,
    ):
        await anext(news)
        for number in range(3 * LOG_PIECE):
            log.info("%d", number)
        piece = await anext(news)
    assert piece["missed"] == LOG_PIECE
    assert len(piece["lines"]) == LOG_PIECE
    assert piece["lines"][0]["text"] == str(LOG_PIECE)


async def test_stats_tell_of_a_real_call(make_device: MakeDevice, ring: LogRing) -> None:
    oak = await make_device("Oak", 1)
    maintenance = DeviceMaintenance(oak, ring=ring)
    maintenance.start()
    try:
        async with (
            asyncio.timeout(2 * DEADLINE),
            contextlib.aclosing(maintenance.watch("stats")) as news,
        ):
            first = await anext(news)
            assert (first["samples"], first["every"]) == ([], 2.0)
            sample: dict[str, float | None] = {}
            while any(
                sample.get(name) is None for name in ("round_trip_ms", "up_kbps", "camera_fps")
            ):
                piece = await anext(news)
                (sample,) = piece["samples"]
        async with contextlib.aclosing(maintenance.watch("stats")) as news:
            assert len((await anext(news))["samples"]) == len(maintenance.history.samples) >= 2
    finally:
        await maintenance.stop()
    told = {name: value or 0.0 for name, value in sample.items()}
    assert 0 < told["round_trip_ms"] < 1000
    assert told["up_kbps"] > 10
    assert told["down_kbps"] > 10
    assert 3 < told["camera_fps"] < 30
    assert told["cpu_percent"] > 0
    assert piece["now"]["sent"] == "320 x 180"
    assert " x " in piece["now"]["received"]


async def test_a_restart_asks_while_others_are_in_the_call(
    make_device: MakeDevice, ring: LogRing
) -> None:
    desk = FakeDesk()
    oak = await make_device("Oak", 1)
    maintenance = DeviceMaintenance(oak, desk, ring=ring)
    maintenance.restart(False)
    assert desk.restarts == 1
    elm = await make_device("Elm", 2)
    await until(oak, lambda state: len(state.members) == 2)
    with pytest.raises(Refused, match="Somebody else is in the call"):
        maintenance.restart(False)
    maintenance.restart(True)
    assert desk.restarts == 2
    await elm.stop()
    with pytest.raises(Refused, match="begun for one call"):
        DeviceMaintenance(oak, ring=ring).restart(True)


class FakeDesk:
    """Counts what is asked for."""

    lasting = True
    hindrance = ""

    def __init__(self) -> None:
        self.restarts = 0

    def config(self) -> Config:
        raise AssertionError("not in these tests")

    def changes(self) -> dict[str, Any]:
        return {}

    async def change(self, changes: Changes) -> None:
        raise AssertionError("not in these tests")

    def restart(self) -> None:
        self.restarts += 1

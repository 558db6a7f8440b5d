"""`roomlet devices`."""

from __future__ import annotations

import asyncio
import json

from tests.appliance.cli.command import roomlet


async def test_devices_for_people_and_for_programs() -> None:
    people, programs = await asyncio.gather(roomlet("devices"), roomlet("devices", "--json"))
    found = json.loads(programs.out)
    assert {"id", "label", "kind", "backend"} == set(found[0])
    assert {device["kind"] for device in found} >= {"camera", "microphone", "speaker", "display"}
    for device in found:
        assert device["id"] in people.out
    assert people.code == programs.code == 0

"""What a page sees of how loud it is."""

from __future__ import annotations

import asyncio
from typing import Any

from appliance.service.device import Device
from appliance.service.levels import Levels
from tests.appliance.service.conftest import DEADLINE, MakeDevice, told, until


def tap_mute(device: Device) -> None:
    device.press("mute")
    device.release("mute")


async def test_the_microphone_is_heard_here_while_it_is_muted(make_device: MakeDevice) -> None:
    oak = await make_device("Oak", 1, mute={"stop_microphone_while_muted": False})
    levels = Levels(oak)

    def loud(piece: dict[str, Any]) -> bool:
        # A tone of -12 dBFS at its peak.
        return piece["microphone"] is not None and abs(piece["microphone"] + 15) < 1

    assert (await told(levels.watch(), loud))["microphone_state"] == "sent"
    tap_mute(oak)
    await told(levels.watch(), lambda piece: loud(piece) and piece["microphone_state"] == "held")
    # And nothing of it got past the gate.
    await until(oak, lambda _: oak.microphone.level_dbfs < -90)


async def test_a_closed_microphone_has_no_level(make_device: MakeDevice) -> None:
    oak = await make_device("Oak", 1, mute={"stop_microphone_while_muted": True})
    tap_mute(oak)
    piece = await told(Levels(oak).watch(), lambda piece: piece["microphone_state"] == "closed")
    assert piece["microphone"] is None


async def test_the_loudspeaker_has_the_level_that_it_plays(make_device: MakeDevice) -> None:
    oak = await make_device("Oak", 1)
    await make_device("Elm", 2)
    levels = Levels(oak)
    # A tone of -12 dBFS at its peak. A piece in which it begins, or has a hole, is softer.
    await told(levels.watch(), lambda piece: abs((piece["speaker"] or -96) + 15) < 2)
    oak.set_volume(10)  # a hundredth of the swing: 40 dB
    await told(levels.watch(), lambda piece: abs((piece["speaker"] or -96) + 55) < 2)


async def test_it_is_measured_once_for_all_and_only_while_somebody_looks(
    make_device: MakeDevice,
) -> None:
    oak = await make_device("Oak", 1, joined=False)
    levels = Levels(oak)
    async with asyncio.timeout(DEADLINE):
        one, other = levels.watch(), levels.watch()
        await asyncio.gather(anext(one), anext(other))
        assert [task.get_name() for task in asyncio.all_tasks()].count("levels") == 1
        await one.aclose()
        await anext(other)
        await other.aclose()
    assert "levels" not in [task.get_name() for task in asyncio.all_tasks()]
    assert (oak.microphone.meter, oak.speaker.meter) == (None, None)

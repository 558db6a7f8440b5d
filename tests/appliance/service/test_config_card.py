"""The configuration as the panel shows it, and changes that are taken back there."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from appliance.panel import Refused
from appliance.provisioning.showing import MASK
from appliance.service.config_card import ConfigCard
from appliance.service.settings import FileSettings, ProvisionedSettings
from tests.appliance.service.conftest import MakeDevice, told
from tests.appliance.service.provisioned import Provisioned


def value(piece: dict[str, Any], section: str, key: str) -> tuple[str, str, bool]:
    (found,) = [one for one in piece["values"] if (one["section"], one["key"]) == (section, key)]
    return found["value"], found["source"], found["here"]


async def test_each_value_has_its_source_and_no_secret_is_shown(oak: Provisioned) -> None:
    await oak.start(ProvisionedSettings(oak.provisioner))
    card = ConfigCard(oak.device, oak.daemon)
    piece = await told(card.watch())
    rate = next(
        number
        for number, line in enumerate(oak.file.read_text().splitlines(), 1)
        if line.startswith("rate")
    )
    assert value(piece, "camera", "rate") == ("15.0", f"device: {oak.file}, line {rate}", False)
    assert value(piece, "camera", "bitrate") == ("2000000", "built-in", False)
    assert value(piece, "room", "token")[0] == f'"{MASK}"'
    token = oak.device.config.room.token
    assert token is not None
    assert token.get_secret_value() not in json.dumps(piece)
    assert piece["changes"] == []
    assert "No service manager" in piece["hindrance"]


async def test_a_change_is_shown_and_taken_back(oak: Provisioned) -> None:
    await oak.start(ProvisionedSettings(oak.provisioner))
    card = ConfigCard(oak.device, oak.daemon)
    await oak.daemon.change({("speaker", "volume"): 35, ("camera", "device"): "synthetic:3"})
    piece = await told(card.watch(), lambda piece: bool(piece["changes"]))
    assert piece["changes"] == ["speaker.volume", "camera.device"]
    volume, source, here = value(piece, "speaker", "volume")
    assert (volume, here) == ("35", True)
    assert source == "the panel"
    assert oak.device.state().volume == 35

    def back(piece: dict[str, Any]) -> bool:
        return value(piece, "speaker", "volume") == ("100", "built-in", False)

    watching = asyncio.create_task(told(card.watch(), back))
    await card.withdraw("speaker.volume")
    assert (await watching)["changes"] == ["camera.device"]
    assert oak.device.state().volume == 100
    with pytest.raises(Refused, match="not changed here any more"):
        await card.withdraw("speaker.volume")
    await card.withdraw("camera.device")
    assert oak.device.camera.device.id == "synthetic:1"
    assert oak.provisioner.status().overrides == []


async def test_a_volume_that_was_turned_is_taken_back(
    oak: Provisioned,
) -> None:
    await oak.start(ProvisionedSettings(oak.provisioner))
    oak.device.set_volume(40)
    card = ConfigCard(oak.device, oak.daemon)
    piece = await told(card.watch(), lambda piece: bool(piece["changes"]))
    assert piece["changes"] == ["speaker.volume"]
    volume, _, here = value(piece, "speaker", "volume")
    assert (volume, here) == ("40", True)
    await card.withdraw("speaker.volume")
    assert oak.device.state().volume == 100
    await oak.end()
    # Nor is it kept again at the end.
    assert oak.provisioner.status().overrides == []


async def test_taking_back_may_begin_the_device_anew(oak: Provisioned) -> None:
    await oak.start(FileSettings(oak.file))
    before = oak.device
    await oak.daemon.change({("room", "user_name"): "Ash"})
    assert oak.device is not before
    await ConfigCard(oak.device, oak.daemon).withdraw("room.user_name")
    assert oak.device.config.room.user_name == "Oak"


async def test_who_may_configure_the_device_is_not_for_a_visitor(oak: Provisioned) -> None:
    await oak.start(ProvisionedSettings(oak.provisioner))
    with pytest.raises(Refused, match="cannot be changed at the device"):
        await oak.daemon.change({("provisioning", "public_key"): "RW"})
    with pytest.raises(Refused, match="100"):
        await oak.daemon.change({("speaker", "volume"): 101})
    assert oak.provisioner.status().overrides == []


async def test_without_a_desk_values_are_shown_all_the_same(make_device: MakeDevice) -> None:
    elm = await make_device("Elm", 2, joined=False)
    card = ConfigCard(elm, None)
    piece = await told(card.watch())
    assert value(piece, "camera", "rate") == ("15.0", "", False)
    with pytest.raises(Refused, match="begun for one call"):
        await card.withdraw("camera.rate")

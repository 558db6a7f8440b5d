"""Devices that are chosen at the panel while a call goes on, and what the room hears of it."""

from __future__ import annotations

import contextlib
import tomllib
from collections.abc import Callable
from typing import Any

import pytest
import tomli_w

from appliance.panel import Refused
from appliance.service.choice import Choice
from appliance.service.settings import FileSettings, ProvisionedSettings
from hal.device import Device as HalDevice
from hal.device import Kind
from tests.appliance.service.conftest import MakeDevice, gone, told, until
from tests.appliance.service.provisioned import Provisioned
from tests.appliance.service.test_adopt import PROBE, level

MADE = {
    ("camera", 1): "Synthetic camera 1",
    ("camera", 3): "Synthetic camera 3",
    ("microphone", 1): "Synthetic microphone 1",
    ("microphone", 3): "Synthetic microphone 3",
    ("speaker", 1): "Synthetic speaker 1",
}


def find(kind: Kind) -> list[HalDevice]:
    return [
        HalDevice(f"synthetic:{number}", label, kind, "synthetic")
        for (one, number), label in MADE.items()
        if one == kind
    ]


def choice_of(oak: Provisioned) -> Choice:
    return Choice(oak.device, oak.daemon, find=find)


async def kinds(choice: Choice, holds: Callable[[dict[str, Any]], bool] = bool) -> dict[str, Any]:
    """What the card says of each class, once it says so."""

    def by_name(piece: dict[str, Any]) -> dict[str, Any]:
        return {one["kind"]: one for one in piece["kinds"]}

    return by_name(await told(choice.watch(), lambda piece: holds(by_name(piece))))


def synthetic(number: int) -> dict[str, str]:
    return {"backend": "synthetic", "id": f"synthetic:{number}"}


async def test_another_microphone_is_heard_kept_and_given_back(
    oak: Provisioned, make_device: MakeDevice
) -> None:
    await oak.start(ProvisionedSettings(oak.provisioner))
    elm = await make_device("Elm", 2, probe=PROBE)
    await until(elm, lambda _: level(elm, "1000") > -40)
    member = oak.device.state().member_id
    before = await kinds(choice_of(oak))
    assert [one["label"] for one in before["microphone"]["devices"]] == [
        "Synthetic microphone 1",
        "Synthetic microphone 3",
    ]
    assert (before["microphone"]["used"], before["microphone"]["changed"]) == (synthetic(1), False)

    await choice_of(oak).choose("microphone", "synthetic", "synthetic:3")
    await until(elm, lambda _: level(elm, "2000") > -40 and gone(elm, 1000))
    assert oak.device.state().member_id == member
    after = await kinds(choice_of(oak), lambda found: bool(found["microphone"]["changed"]))
    assert (after["microphone"]["used"], after["camera"]["changed"]) == (synthetic(3), False)
    assert 'device = "synthetic:3"  # the panel\n' in oak.shown()

    # It survives a restart.
    await oak.end()
    await oak.start(ProvisionedSettings(oak.provisioner))
    await until(elm, lambda _: level(elm, "2000") > -40)
    assert oak.device.microphone.device.id == "synthetic:3"

    await choice_of(oak).withdraw("microphone")
    await until(elm, lambda _: level(elm, "1000") > -40 and gone(elm, 2000))
    assert "the panel" not in oak.shown()
    assert oak.provisioner.status().overrides == []


async def test_what_does_not_open_is_refused_and_not_kept(
    oak: Provisioned, monkeypatch: pytest.MonkeyPatch
) -> None:
    await oak.start(ProvisionedSettings(oak.provisioner))
    broken = HalDevice("/nowhere/at/all.mp4", "Broken", "camera", "file")
    choice = Choice(oak.device, oak.daemon, find=lambda kind: [*find(kind), broken])
    with pytest.raises(Refused, match="nowhere"):
        await choice.choose("camera", "file", "/nowhere/at/all.mp4")
    assert oak.device.camera.device.id == "synthetic:1"
    assert oak.device.failures == []
    assert oak.provisioner.status().overrides == []
    # Nor does it take back a configuration that is on trial.
    assert oak.provisioner.status().refusals == []
    await choice.choose("camera", "synthetic", "synthetic:3")
    assert oak.device.camera.device.id == "synthetic:3"
    with pytest.raises(Refused, match="nowhere"):
        await choice.choose("camera", "file", "/nowhere/at/all.mp4")
    assert oak.device.camera.device.id == "synthetic:3"
    assert oak.provisioner.status().overrides == ["camera.backend", "camera.device"]


async def test_only_what_is_listed_can_be_chosen(oak: Provisioned) -> None:
    await oak.start(ProvisionedSettings(oak.provisioner))
    for kind, backend, device in (
        ("camera", "file", "/etc/passwd"),
        ("microphone", "synthetic", "synthetic:9"),
        ("controls", "virtual", "virtual"),
    ):
        with pytest.raises(Refused):
            await choice_of(oak).choose(kind, backend, device)
    assert oak.provisioner.status().overrides == []


async def test_a_device_of_one_file_keeps_a_choice_until_it_ends(oak: Provisioned) -> None:
    await oak.start(FileSettings(oak.file))
    assert not oak.daemon.lasting
    await choice_of(oak).choose("speaker", "synthetic", "synthetic:1")
    await choice_of(oak).choose("microphone", "synthetic", "synthetic:3")
    assert oak.device.microphone.device.id == "synthetic:3"
    text = oak.file.read_text()
    oak.file.write_text(text.replace("rate = 15", "rate = 20"))
    oak.reload.set()
    await until(oak.device, lambda _: oak.device.config.camera.rate == 20)
    assert oak.device.microphone.device.id == "synthetic:3"
    await oak.end()
    await oak.start(FileSettings(oak.file))
    assert oak.device.microphone.device.id == "synthetic:1"


async def test_a_device_without_a_desk_says_so(make_device: MakeDevice) -> None:
    elm = await make_device("Elm", 2, joined=False)
    choice = Choice(elm, None, find=find)
    async with contextlib.aclosing(choice.watch()) as news:
        assert (await anext(news))["fixed"] is True
    with pytest.raises(Refused, match="begun for one call"):
        await choice.choose("microphone", "synthetic", "synthetic:3")


async def test_a_choice_goes_on_with_the_options_of_the_files_below(oak: Provisioned) -> None:
    def fleet(options: dict[str, Any]) -> None:
        values = tomllib.loads(oak.file.read_text())
        values["microphone"] = {"backend": "auto", "options": options}
        oak.file.write_text(tomli_w.dumps(values))

    def options() -> dict[str, Any]:
        return oak.daemon.appliance.config.microphone.options

    fleet({"pattern": "silence", "buffer_ms": 40})
    await oak.start(ProvisionedSettings(oak.provisioner))
    # As an older program kept it.
    oak.provisioner.change({("microphone", "options"): {"pattern": "beeps"}})
    await choice_of(oak).choose("microphone", "synthetic", "synthetic:3")
    assert oak.device.microphone.device.id == "synthetic:3"
    # Of the options of `auto` those that the new one knows.
    assert options() == {"pattern": "silence"}
    assert oak.provisioner.status().overrides == ["microphone.backend", "microphone.device"]
    for wanted in ({"pattern": "continuous"}, {}):
        fleet(wanted)
        oak.reload.set()
        await until(oak.device, lambda _, wanted=wanted: options() == wanted)
        assert oak.device.microphone.device.id == "synthetic:3"


async def test_what_the_files_name_stays_in_the_list(oak: Provisioned) -> None:
    """However the look at the devices goes: nothing lists a number seven, nor a sound file."""
    values = tomllib.loads(oak.file.read_text())
    values["camera"] |= {"device": "synthetic:7"}
    sound = oak.folder / "room.wav"
    values["speaker"] = {"backend": "wav", "device": str(sound)}
    oak.file.write_text(tomli_w.dumps(values))

    def listed(found: dict[str, Any], kind: str) -> list[str]:
        return [one["id"] for one in found[kind]["devices"]]

    def chosen(found: dict[str, Any]) -> bool:
        return bool(found["camera"]["changed"] and found["speaker"]["changed"])

    await oak.start(ProvisionedSettings(oak.provisioner))
    choice = Choice(oak.device, oak.daemon, find=find)
    await choice.choose("camera", "synthetic", "synthetic:1")
    await choice.choose("speaker", "synthetic", "synthetic:1")
    for _ in range(2):
        found = await kinds(Choice(oak.device, oak.daemon, find=find), chosen)
        assert listed(found, "camera") == ["synthetic:1", "synthetic:3", "synthetic:7"]
        assert listed(found, "speaker") == ["synthetic:1", str(sound)]
        # Nor does a restart forget it.
        await oak.end()
        await oak.start(ProvisionedSettings(oak.provisioner))
    choice = Choice(oak.device, oak.daemon, find=find)
    await choice.choose("camera", "synthetic", "synthetic:7")
    assert oak.device.camera.device.id == "synthetic:7"
    await choice.choose("speaker", "wav", str(sound))
    assert oak.device.speaker.device.id == str(sound)


async def test_whatever_is_found_first_is_no_device_of_the_list(oak: Provisioned) -> None:
    await oak.start(ProvisionedSettings(oak.provisioner))
    choice = choice_of(oak)
    await choice.choose("camera", "synthetic", "synthetic:3")
    # The files name a backend and leave the rest to it.
    values = tomllib.loads(oak.file.read_text())
    values["camera"] = {"backend": "v4l2", "rate": 20}
    oak.file.write_text(tomli_w.dumps(values))
    oak.reload.set()
    await until(oak.device, lambda _: oak.device.config.camera.rate == 20)
    camera = (await kinds(choice))["camera"]
    assert [one["id"] for one in camera["devices"]] == ["synthetic:1", "synthetic:3"]
    with pytest.raises(Refused, match="no such camera"):
        await choice.choose("camera", "v4l2", "")
    assert oak.device.camera.device.id == "synthetic:3"


async def test_what_was_never_found_is_named_and_not_listed(
    make_device: MakeDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hal.camera.v4l2.find", list)
    camera = {"backend": "v4l2", "fallback": ["synthetic:3"]}
    elm = await make_device("Elm", 2, find=find, camera=camera)
    await until(elm, lambda _: elm.camera.device.id == "synthetic:3")
    told = (await kinds(Choice(elm, None, find=find)))["camera"]
    assert told["used"] == synthetic(3)
    assert told["wanted"] == {"backend": "v4l2", "id": "", "label": "first USB camera"}
    assert [one["id"] for one in told["devices"]] == ["synthetic:1", "synthetic:3"]


async def test_simulated_devices_are_listed_where_a_file_names_them(oak: Provisioned) -> None:
    await oak.start(ProvisionedSettings(oak.provisioner))
    found = await kinds(Choice(oak.device, oak.daemon))
    made_up = [one["id"] for one in found["camera"]["devices"] if one["backend"] == "synthetic"]
    assert made_up == ["synthetic:1", "synthetic:2"]

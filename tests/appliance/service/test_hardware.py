from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from appliance.provisioning import Config, ConfigError, load
from appliance.service.hardware import build, other_microphone
from hal.audio.synthetic import SyntheticMicrophone
from hal.camera.synthetic import SyntheticCamera
from hal.controls import Button
from hal.controls.combined import CombinedControls
from hal.device import Device
from hal.errors import DeviceNotFound

ROOM = {"host": "ws://127.0.0.1:1", "name": "demo", "guest": True}
VIRTUAL = {
    "camera": {"backend": "synthetic"},
    "microphone": {"backend": "synthetic"},
    "speaker": {"backend": "synthetic"},
    "controls": {"backend": "virtual"},
    "display": {"backend": "memory"},
}


def config(**sections: Any) -> Config:
    return Config.model_validate({"room": ROOM, **VIRTUAL, **sections})


def test_devices_are_made_as_they_are_described() -> None:
    hardware = build(
        config(
            camera={"backend": "synthetic", "device": "synthetic:7"},
            microphone={"backend": "synthetic", "options": {"frequency": 700.0}},
        )
    )
    assert isinstance(hardware.camera, SyntheticCamera)
    assert hardware.camera.device.id == "synthetic:7"
    assert isinstance(hardware.microphone, SyntheticMicrophone)
    assert hardware.microphone.frequency == 700.0
    assert hardware.notes == []


def test_each_fallback_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hal.camera.v4l2.V4l2Camera.devices", classmethod(lambda cls: []))
    hardware = build(config(camera={"backend": "auto"}))
    assert hardware.camera.device.backend == "synthetic"
    assert len(hardware.notes) == 1
    assert "falling back to synthetic" in hardware.notes[0]


def test_what_cannot_be_is_blamed_on_its_key(tmp_path: Path) -> None:
    path = tmp_path / "device.toml"
    head = '[room]\nhost = "ws://h"\nname = "demo"\nguest = true\n[camera]\n'
    path.write_text(head + 'backend = "sinthetic"\n')
    with pytest.raises(
        ConfigError, match=r"line 6, column 1: camera.backend: .* did you mean synthetic\?"
    ):
        build(load(path))
    path.write_text(head + 'backend = "synthetic"\n[camera.options]\nsead = 3\n')
    with pytest.raises(ConfigError, match=r"line 8, column 1: camera.options.sead: .*seed"):
        build(load(path))
    path.write_text(head + 'backend = "synthetic"\noptions = { device_id = 999 }\n')
    with pytest.raises(ConfigError, match=r"line 7, column 13: camera.options.device_id: .*999"):
        build(load(path))


def test_a_device_that_is_not_there_is_no_mistake_in_the_file() -> None:
    with pytest.raises(DeviceNotFound):
        build(config(camera={"backend": "auto", "device": "no such"}))


def test_several_sets_of_controls_are_one() -> None:
    hardware = build(
        config(
            controls={
                "backend": "gpio",
                "also": ["virtual"],
                "options": {"mute_pin": 17, "tally_red": 5, "latching": ["camera"]},
            }
        )
    )
    assert isinstance(hardware.controls, CombinedControls)
    pins, virtual = hardware.controls.parts
    assert (pins.device.id, pins.latching) == ("gpio", frozenset())
    assert virtual.latching == {Button.CAMERA}


@pytest.mark.parametrize(
    ("controls", "key"),
    [
        ({"also": ["hidd"]}, "controls.also"),
        ({"also": ["gpio"], "options": {"mute_pn": 17}}, "controls.options.mute_pn"),
        (
            {"also": ["gpio"], "options": {"mute_pin": 17, "pull": "sideways"}},
            "controls.options.pull",
        ),
        (
            {"backend": "gpio", "options": {"mute_pin": 17, "debounce_ms": 5000}},
            "controls.options.debounce_ms",
        ),
    ],
)
def test_what_no_set_of_controls_can_be_is_blamed(controls: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigError) as refused:
        build(config(controls={"backend": "virtual", **controls}))
    assert refused.value.key == key


def test_another_device_gets_the_options_that_it_knows() -> None:
    microphone = {"backend": "synthetic", "options": {"frequency": 700.0, "device_id": 3}}
    other = Device("synthetic:9", "Ninth", "microphone", "synthetic")
    made = other_microphone(config(microphone=microphone), other)
    assert isinstance(made, SyntheticMicrophone)
    assert (made.device.id, made.frequency) == ("synthetic:9", 700.0)

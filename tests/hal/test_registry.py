from __future__ import annotations

import logging
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from hal import registry
from hal.audio.synthetic import SyntheticMicrophone, SyntheticSpeaker
from hal.camera import Camera
from hal.camera.synthetic import SyntheticCamera
from hal.controls.virtual import VirtualControls
from hal.device import Device
from hal.display.memory import MemoryDisplay
from hal.errors import BackendUnavailable, DeviceNotFound, OptionInvalid

THIRD_PARTY = '''
from hal.camera.synthetic import SyntheticCamera

class Telescope(SyntheticCamera):
    """A camera of another package."""

class NoCamera:
    pass
'''


@pytest.fixture
def third_party(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A package of somebody else, installed as far as importlib.metadata can tell."""
    (tmp_path / "starlight.py").write_text(THIRD_PARTY)
    info = tmp_path / "starlight-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: starlight\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[roomlet.hal.camera]\n"
        "telescope = starlight:Telescope\n"
        "synthetic = starlight:Telescope\n"
        "nocamera = starlight:NoCamera\n"
        "broken = starlight:Missing\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop("starlight", None)


@pytest.mark.parametrize("kind", registry.KINDS)
def test_every_own_backend_loads_and_is_of_its_class(kind: registry.Kind) -> None:
    for name in registry.BUILTIN[kind]:
        assert issubclass(registry.load(kind, name), registry.BASES[kind])


def test_the_table_agrees_with_the_declared_entry_points() -> None:
    project = Path(__file__).parents[2] / "pyproject.toml"
    declared = tomllib.loads(project.read_text())["project"]["entry-points"]
    for kind in registry.KINDS:
        assert declared[f"roomlet.hal.{kind}"] == dict(registry.BUILTIN[kind])


def test_create_gives_the_named_backend_with_its_options() -> None:
    camera = registry.create("camera", "synthetic", device_id=9, label="Nine")
    assert isinstance(camera, SyntheticCamera)
    assert (camera.device.id, camera.device.label) == ("synthetic:9", "Nine")
    assert isinstance(registry.create("speaker", "synthetic"), SyntheticSpeaker)
    assert isinstance(registry.create("controls", "virtual"), VirtualControls)
    assert isinstance(registry.create("display", "memory", width=640), MemoryDisplay)


def test_unknown_name_names_the_nearest() -> None:
    with pytest.raises(DeviceNotFound, match=r"'v4l'; did you mean v4l2\?"):
        registry.create("camera", "v4l")
    with pytest.raises(DeviceNotFound, match="choose one of synthetic, file, picamera2, v4l2"):
        registry.create("camera", "zzz")
    with pytest.raises(DeviceNotFound, match="did you mean camera"):
        registry.list_devices("camra")  # type: ignore[arg-type]


def test_unknown_option_names_the_nearest() -> None:
    with pytest.raises(OptionInvalid, match=r"no option 'sed'; did you mean seed\?"):
        registry.create("camera", "synthetic", sed=3)
    with pytest.raises(OptionInvalid, match="no option 'sed'"):
        registry.create("camera", "auto", sed=3)


def test_a_missing_option_is_told() -> None:
    with pytest.raises(OptionInvalid, match="device"):
        registry.create("camera", "file")


def test_auto_falls_back_and_says_why(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hal.camera.v4l2.find", list)
    with caplog.at_level(logging.WARNING):
        camera = registry.create("camera")
    assert isinstance(camera, SyntheticCamera)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    message = caplog.records[0].getMessage()
    assert message == (
        "camera: falling back to synthetic (v4l2: it finds no camera on this machine)"
    )


def test_auto_names_a_missing_library(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "alsaaudio", None)
    with caplog.at_level(logging.WARNING):
        microphone = registry.create("microphone", frequency=700)
    assert isinstance(microphone, SyntheticMicrophone)
    assert microphone.frequency == 700
    assert "alsaaudio cannot be loaded" in caplog.text


def test_auto_passes_over_pins_without_numbers_and_screens_without_a_screen(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    pins = registry.Device("gpio", "GPIO pins", "controls", "gpio")
    monkeypatch.setattr("hal.controls.gpio.GpioControls.devices", lambda: [pins])
    monkeypatch.setattr("hal.controls.hid.find", list)
    monkeypatch.setattr("hal.display.sdl.find", list)
    assert isinstance(registry.create("controls"), VirtualControls)
    assert isinstance(registry.create("display"), MemoryDisplay)
    messages = [record.getMessage() for record in caplog.records]
    # One line for each class, however many were passed over.
    assert len(messages) == 2
    assert messages[0].startswith("controls: falling back to virtual (gpio: ")
    assert "set mute_pin" in messages[0]
    assert "; hid: it finds no controls" in messages[0]
    assert "finds no display" in messages[1]


def test_auto_says_nothing_of_an_extra_that_is_not_installed(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "picamera2", None)
    monkeypatch.setitem(sys.modules, "evdev", None)
    camera = registry.Device("/dev/v4l/by-id/x", "X", "camera", "v4l2")
    monkeypatch.setattr("hal.camera.v4l2.find", lambda: [camera])
    monkeypatch.setattr("hal.controls.gpio.GpioControls.devices", list)
    assert registry.create("camera").device.backend == "v4l2"
    assert isinstance(registry.create("controls"), VirtualControls)
    assert [record.getMessage() for record in caplog.records] == [
        "controls: falling back to virtual (gpio: it finds no controls on this machine)"
    ]
    # Asked for by name, it is an error that tells what to install.
    with pytest.raises(BackendUnavailable, match="python3-evdev"):
        registry.load("controls", "hid").devices()


def test_auto_microphone_made_up_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hal.audio.alsa.find", lambda kind: [])
    microphone = registry.create("microphone")
    assert isinstance(microphone, SyntheticMicrophone)
    assert not microphone.sound(0, 100).any()


def test_auto_takes_the_best_without_a_word(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    camera = registry.Device("/dev/v4l/by-id/x", "X", "camera", "v4l2")
    monkeypatch.setattr("hal.camera.v4l2.find", lambda: [camera])
    made = registry.create("camera", "auto", device="/dev/v4l/by-id/x")
    assert made.device == camera
    assert not caplog.records


def test_auto_with_a_device_that_nobody_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hal.camera.v4l2.find", list)
    with pytest.raises(DeviceNotFound, match="'webcam'"):
        registry.create("camera", "auto", device="webcam")


@pytest.mark.usefixtures("third_party")
def test_third_party_backend_by_entry_point() -> None:
    assert registry.backends("camera")[-3:] == ["broken", "nocamera", "telescope"]
    camera = registry.create("camera", "telescope", device_id=4)
    assert type(camera).__name__ == "Telescope"
    assert isinstance(camera, Camera)


@pytest.mark.usefixtures("third_party")
def test_third_party_cannot_take_our_name(caplog: pytest.LogCaptureFixture) -> None:
    assert type(registry.create("camera", "synthetic")) is SyntheticCamera
    assert registry.backends("camera").count("synthetic") == 1
    assert "starlight:Telescope is ignored" in caplog.text


@pytest.mark.usefixtures("third_party")
def test_third_party_that_is_broken_is_told() -> None:
    with pytest.raises(BackendUnavailable, match="is no Camera"):
        registry.create("camera", "nocamera")
    with pytest.raises(BackendUnavailable, match="Missing"):
        registry.create("camera", "broken")


@pytest.mark.usefixtures("third_party")
def test_list_devices_spans_classes_and_survives_broken_backends(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.DEBUG, "hal.registry"):
        everything = registry.list_devices()
    told = [record for record in caplog.records if "broken lists no devices" in record.getMessage()]
    assert [record.levelname for record in told] == ["DEBUG"]
    assert {"synthetic:1", "virtual", "memory"} <= {device.id for device in everything}
    assert {device.kind for device in everything} == set(registry.KINDS)
    cameras = registry.list_devices("camera")
    assert cameras
    assert {device.kind for device in cameras} == {"camera"}


def test_our_own_installed_entry_points_are_no_conflict(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def installed(group: str) -> list[EntryPoint]:
        kind = group.rpartition(".")[2]
        table = registry.BUILTIN[kind]  # type: ignore[index]
        return [EntryPoint(name, value, group) for name, value in table.items()]

    monkeypatch.setattr(registry, "entry_points", installed)
    assert registry.backends("camera") == list(registry.BUILTIN["camera"])
    assert not caplog.records


def test_who_asks_for_our_own_backends_reads_no_other_packages(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def read(group: str) -> list[EntryPoint]:
        raise AssertionError(f"{group} was read")

    monkeypatch.setattr(registry, "entry_points", read)
    found = registry.list_devices("microphone", {"synthetic", "auto"})
    assert "synthetic:1" in {device.id for device in found}


def test_only_the_backends_that_are_named_are_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def devices(name: str) -> list[Device]:
        asked.append(name)
        return [Device(name, name, "microphone", name)]

    class Backend:
        def __init__(self, name: str) -> None:
            self.devices = lambda: devices(name)

    monkeypatch.setattr(registry, "load", lambda kind, name: Backend(name))
    found = registry.list_devices("microphone", {"synthetic"})
    assert [device.id for device in found] == asked == ["synthetic"]
    asked.clear()
    registry.list_devices("microphone", {"auto"})
    assert set(asked) == {name for name, _ in registry.AUTO["microphone"]}

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from hal.display.cec import CecPower, find
from hal.errors import (
    BackendUnavailable,
    DeviceForbidden,
    DeviceNotFound,
    DeviceStalled,
    DeviceUnplugged,
    OptionInvalid,
)

FAKE = """#!{python}
import pathlib, sys, time
here = pathlib.Path(__file__).parent
with (here / "said").open("a") as file:
    file.write(" ".join(sys.argv[1:]) + "\\n")
node = pathlib.Path(sys.argv[2])
kind = node.read_text().strip()
if kind == "forbidden":
    sys.exit(f"Failed to open {{node}}: Permission denied")
if kind == "broken":
    sys.exit("ioctl CEC_ADAP_S_LOG_ADDRS: Machine is not on the network")
if kind == "hangs":
    time.sleep(600)
if "--skip-info" not in sys.argv:
    print("Driver Info:\\n\\tDriver Name                : vc4_hdmi")
    print("\\tPhysical Address           : " + ("f.f.f.f" if kind == "empty" else "2.1.0.0"))
    late = kind == "late" and len((here / "said").read_text().splitlines()) < 3
    print("\\tLogical Address Mask       : " + ("0x0000" if late else "0x0010"))
if "--to" in sys.argv:
    print("\\nTransmit from Playback Device 1 to TV (4 to 0):")
    if kind == "deaf":
        print("\\tTx, Not Acknowledged (4), Max Retries")
"""
"""Speaks as cec-ctl 1.22 does; the node's content says what is at it."""


class Lab:
    """A folder with a cec-ctl and adapters in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        program = folder / "cec-ctl"
        program.write_text(FAKE.format(python=sys.executable))
        program.chmod(0o755)

    def adapter(self, kind: str) -> Path:
        node = self.folder / f"cec{len(find(self.folder))}"
        node.write_text(kind)
        return node

    def power(self) -> CecPower:
        return CecPower(adapters=find(self.folder))

    @property
    def said(self) -> list[str]:
        """What the program was called with, without the adapter's folder."""
        return (self.folder / "said").read_text().replace(f"{self.folder}/", "").splitlines()


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lab:
    monkeypatch.setenv("PATH", str(tmp_path))
    return Lab(tmp_path)


def test_an_order_waits_until_the_screen_would_listen(lab: Lab) -> None:
    lab.adapter("late")
    lab.power().standby()
    assert lab.said == [
        "--device cec0 --playback --osd-name Roomlet",
        "--device cec0",
        "--device cec0",
        "--device cec0 --skip-info --to 0 --standby",
    ]


def test_wakes_the_screen_and_turns_it_to_this_source(lab: Lab) -> None:
    lab.adapter("screen")
    lab.power().wake()
    assert lab.said == [
        "--device cec0 --playback --osd-name Roomlet",
        "--device cec0 --skip-info --to 0 --image-view-on",
        "--device cec0 --skip-info --active-source phys-addr=2.1.0.0",
    ]


def test_sends_it_to_standby_where_there_is_one(lab: Lab) -> None:
    lab.adapter("empty")
    lab.adapter("screen")
    lab.power().standby()
    assert lab.said == [
        "--device cec0 --playback --osd-name Roomlet",
        "--device cec1 --playback --osd-name Roomlet",
        "--device cec1 --skip-info --to 0 --standby",
    ]


def test_an_adapter_that_fails_does_not_hide_the_other(lab: Lab) -> None:
    lab.adapter("broken")
    lab.adapter("screen")
    lab.power().standby()
    assert lab.said[-1] == "--device cec1 --skip-info --to 0 --standby"


@pytest.mark.parametrize(
    ("kind", "error", "text"),
    [
        ("empty", DeviceNotFound, "no screen answers"),
        ("deaf", DeviceUnplugged, "does not answer"),
        ("broken", DeviceUnplugged, "Machine is not on the network"),
        ("forbidden", DeviceForbidden, "group video"),
    ],
)
def test_what_cannot_be_done_is_told(
    lab: Lab, kind: str, error: type[Exception], text: str
) -> None:
    lab.adapter(kind)
    with pytest.raises(error, match=text):
        lab.power().wake()


def test_a_program_that_hangs_is_ended(lab: Lab) -> None:
    with pytest.raises(DeviceStalled, match="does not end"):
        CecPower(adapters=[lab.adapter("hangs")], timeout=0.5).wake()


def test_without_adapter_or_program(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not CecPower.available(lab.folder)
    with pytest.raises(DeviceNotFound, match="no HDMI-CEC adapter"):
        lab.power().wake()
    lab.adapter("screen")
    assert CecPower.available(lab.folder)
    (lab.folder / "cec-ctl").unlink()
    assert not CecPower.available(lab.folder)
    with pytest.raises(BackendUnavailable, match="v4l-utils"):
        lab.power().wake()


@pytest.mark.parametrize("name", ["", "a name that is too long", "Kreuzstraße", "a\nb"])
def test_a_name_that_cannot_be(name: str) -> None:
    with pytest.raises(OptionInvalid, match="14 ASCII"):
        CecPower(name=name)

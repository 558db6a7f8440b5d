"""HDMI-CEC over the wire of the kernel's test driver vivid, judged at the television's end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hal.display.cec import CecPower, find
from hal.errors import DeviceNotFound, DeviceUnplugged
from tests.lab.kernel_devices import wait_for
from tests.lab.television import ITS_OWN, OURS, Television

pytestmark = [pytest.mark.lab, pytest.mark.kernel]


@pytest.fixture
def television() -> Iterator[Television]:
    with Television() as made:
        yield made


@pytest.fixture
def power() -> CecPower:
    return CecPower(adapters=[Path(OURS)], name="Oak")


def test_the_television_goes_off_and_on(television: Television, power: CecPower) -> None:
    power.standby()
    wait_for("the television to be off", lambda: television.power() == "standby")
    power.wake()
    wait_for("the television to be on", lambda: television.power() == "on")


def test_it_turns_to_this_devices_picture(television: Television, power: CecPower) -> None:
    power.wake()
    television.await_message("IMAGE_VIEW_ON")
    television.await_message("ACTIVE_SOURCE", "1.0.0.0")


def test_a_cable_that_is_pulled_is_no_screen(television: Television, power: CecPower) -> None:
    television.pull()
    with pytest.raises(DeviceNotFound, match="no screen answers"):
        power.standby()
    television.plug()
    power.standby()
    wait_for("the television to be off", lambda: television.power() == "standby")


def test_a_screen_without_cec_is_told(television: Television, power: CecPower) -> None:
    television.deaf()
    for order in (power.wake, power.standby):
        with pytest.raises(DeviceUnplugged, match="does not answer"):
            order()


def test_adapters_are_found(television: Television) -> None:
    assert CecPower.available()
    assert find() == [Path(ITS_OWN), Path(OURS)]

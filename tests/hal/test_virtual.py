from __future__ import annotations

import threading
import time

import pytest

from hal.errors import DeviceNotFound, DeviceStalled, DeviceUnplugged, OptionInvalid
from hal.virtual import STALL_S, Faults, number_of


@pytest.fixture
def faults() -> Faults:
    made = Faults("thing")
    made.attach()
    return made


def test_waits_for_the_deadline(faults: Faults) -> None:
    deadline = time.monotonic() + 0.05
    faults.wait_until(deadline)
    assert time.monotonic() >= deadline


def test_unplug_cuts_a_wait_short(faults: Faults) -> None:
    threading.Timer(0.05, faults.unplug).start()
    with pytest.raises(DeviceUnplugged):
        faults.wait_until(time.monotonic() + 60)


def test_an_unplugged_device_cannot_be_opened_until_replugged(faults: Faults) -> None:
    faults.unplug()
    assert not faults.plugged
    with pytest.raises(DeviceNotFound):
        faults.attach()
    faults.replug()
    faults.attach()
    faults.wait_until(0.0)


def test_what_was_open_stays_lost_after_replug(faults: Faults) -> None:
    faults.unplug()
    faults.replug()
    with pytest.raises(DeviceUnplugged):
        faults.wait_until(0.0)


def test_stall_is_told_after_its_time_and_ends_with_resume(faults: Faults) -> None:
    faults.stall()
    begin = time.monotonic()
    with pytest.raises(DeviceStalled):
        faults.wait_until(0.0)
    assert time.monotonic() - begin >= STALL_S
    threading.Timer(0.05, faults.resume).start()
    faults.wait_until(0.0)


def test_closed_is_not_open(faults: Faults) -> None:
    faults.detach()
    with pytest.raises(DeviceUnplugged, match="not open"):
        faults.wait_until(0.0)


def test_numbers() -> None:
    assert number_of(None, 3) == 3
    assert number_of("synthetic:7", 3) == 7
    assert number_of("7", 3) == 7
    for device, number in (("usb:7", 1), ("synthetic:", 1), ("synthetic:256", 1), (None, -1)):
        with pytest.raises(OptionInvalid):
            number_of(device, number)

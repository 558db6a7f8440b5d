from __future__ import annotations

import datetime as dt
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from appliance.service.doctor.check import Finding, Verdict
from appliance.service.doctor.machine import (
    FEW_INODES,
    LEAST,
    KernelClock,
    kernel_clock,
    look_at_clock,
    look_at_disk,
    look_at_temperature,
    look_at_throttling,
)


def kept() -> KernelClock:
    return KernelClock(True, 0.0123)


async def test_a_clock_that_is_kept() -> None:
    finding = await look_at_clock(kept)
    assert finding.verdict is Verdict.OK
    assert finding.text.endswith("kept by a time server within 12 ms")
    assert dt.datetime.now(dt.UTC).strftime("%Y-%m-%d") in finding.text


async def test_a_clock_that_nobody_keeps() -> None:
    finding = await look_at_clock(lambda: KernelClock(False, 16.0))
    assert finding.verdict is Verdict.WARN
    assert "timedatectl" in finding.remedy


async def test_a_clock_that_was_never_set() -> None:
    finding = await look_at_clock(kept, lambda: 86_400.0)
    assert finding.verdict is Verdict.FAIL
    assert finding.text.startswith("1970-01-02")


async def test_a_kernel_that_does_not_tell() -> None:
    def refuse() -> KernelClock:
        raise PermissionError(1, "Operation not permitted")

    finding = await look_at_clock(refuse)
    assert finding.verdict is Verdict.WARN
    assert "does not tell" in finding.text


def test_this_kernel_tells_something_that_can_be() -> None:
    clock = kernel_clock()
    # The kernel's own limit is 16 s; it says so of a clock that nobody keeps.
    assert 0 <= clock.error <= 16
    assert not (clock.synchronized and clock.error == 16)


def disk(free: int, **fields: int) -> Callable[[Path], os.statvfs_result]:
    """A file system with so many bytes free."""
    values = {"f_favail": 10_000, "f_flag": 0, **fields}

    def statvfs(path: Path) -> Any:
        real = os.statvfs(path)
        names = [name for name in dir(real) if name.startswith("f_") and name != "f_fsid"]
        figures = {name: getattr(real, name) for name in names}
        figures |= {"f_frsize": 4096, "f_bavail": free // 4096, "f_files": 20_000, **values}
        return type("Disk", (), figures)()

    return statvfs


@pytest.mark.parametrize(
    ("statvfs", "verdict", "says"),
    [
        (disk(2**30), Verdict.OK, "1.0 GiB of"),
        (disk(100 * 2**20), Verdict.WARN, "100 MiB of"),
        (disk(10 * 2**20), Verdict.FAIL, "10 MiB of"),
        (disk(2**30, f_favail=12), Verdict.FAIL, "12 files only"),
        (disk(2**30, f_flag=os.ST_RDONLY), Verdict.FAIL, "is read-only"),
    ],
)
async def test_the_disk(
    tmp_path: Path, statvfs: Callable[[Path], os.statvfs_result], verdict: Verdict, says: str
) -> None:
    (tmp_path / "var/lib/roomlet").mkdir(parents=True)
    finding = await look_at_disk(tmp_path, statvfs)
    assert finding.verdict is verdict, finding
    assert says in finding.text


async def test_this_disk(tmp_path: Path) -> None:
    disk = os.statvfs(tmp_path)
    full = disk.f_bavail * disk.f_frsize < LEAST or (
        disk.f_files > 0 and disk.f_favail < FEW_INODES
    )
    finding = await look_at_disk(tmp_path)
    assert (finding.verdict is Verdict.FAIL) == full, finding


def sensor(root: Path, number: int, text: str, kind: str = "cpu-thermal") -> None:
    zone = root / f"sys/class/thermal/thermal_zone{number}"
    zone.mkdir(parents=True)
    (zone / "temp").write_text(text)
    (zone / "type").write_text(f"{kind}\n")


@pytest.mark.parametrize(
    ("degrees", "verdict"),
    [(48.3, Verdict.OK), (80.1, Verdict.WARN), (85.5, Verdict.FAIL)],
)
async def test_the_warmest_sensor_counts(tmp_path: Path, degrees: float, verdict: Verdict) -> None:
    sensor(tmp_path, 0, "40000\n", "gpu")
    sensor(tmp_path, 1, f"{degrees * 1000:.0f}\n")
    # Off, and broken.
    sensor(tmp_path, 2, "-274000\n")
    sensor(tmp_path, 3, "")
    finding = await look_at_temperature(tmp_path)
    assert finding.verdict is verdict
    assert finding.text.startswith(f"{degrees:.0f} °C at cpu-thermal")


async def test_a_machine_without_a_sensor(tmp_path: Path) -> None:
    assert (await look_at_temperature(tmp_path)).verdict is Verdict.SKIPPED


def cooler(root: Path, number: int, kind: str, state: int) -> None:
    device = root / f"sys/class/thermal/cooling_device{number}"
    device.mkdir(parents=True)
    for name, text in (("type", kind), ("cur_state", state), ("max_state", 4)):
        (device / name).write_text(f"{text}\n")


async def test_a_fan_that_turns_is_no_throttling(tmp_path: Path) -> None:
    cooler(tmp_path, 0, "pwm-fan", 3)
    cooler(tmp_path, 1, "cpufreq-cpu0", 0)
    assert (await look_at_throttling(tmp_path)).verdict is Verdict.OK


async def test_a_processor_that_the_kernel_slows_down(tmp_path: Path) -> None:
    cooler(tmp_path, 0, "cpufreq-cpu0", 2)
    finding = await look_at_throttling(tmp_path)
    assert finding.verdict is Verdict.WARN
    assert "cpufreq-cpu0 at 2 of 4" in finding.text


async def firmware(root: Path, script: str) -> Finding:
    tool = root / "usr/bin/vcgencmd"
    tool.parent.mkdir(parents=True)
    tool.write_text(f"#!/bin/sh\n{script}\n")
    tool.chmod(0o755)
    return await look_at_throttling(root)


@pytest.mark.parametrize(
    ("bits", "verdict", "says"),
    [
        ("0x0", Verdict.OK, "neither"),
        ("0x50005", Verdict.FAIL, "its voltage is too low now"),
        ("0x4", Verdict.FAIL, "it is throttled now"),
        ("0x80000", Verdict.WARN, "since the start at some time it is at its soft limit"),
        ("0x10000", Verdict.WARN, "since the start at some time its voltage is too low"),
    ],
)
async def test_what_the_firmware_says(
    tmp_path: Path, bits: str, verdict: Verdict, says: str
) -> None:
    ask = f'[ "$1" = get_throttled ] && echo throttled={bits}'
    finding = await firmware(tmp_path, ask)
    assert finding.verdict is verdict
    assert says in finding.text


async def test_a_firmware_that_may_not_be_asked(tmp_path: Path) -> None:
    finding = await firmware(tmp_path, "echo VCHI initialization failed >&2; exit 1")
    assert finding.verdict is Verdict.SKIPPED
    assert "VCHI initialization failed" in finding.text


async def test_a_tool_that_does_not_run(tmp_path: Path) -> None:
    tool = tmp_path / "usr/bin/vcgencmd"
    tool.parent.mkdir(parents=True)
    tool.write_text("")
    finding = await look_at_throttling(tmp_path)
    assert finding.verdict is Verdict.SKIPPED
    assert "does not run" in finding.text

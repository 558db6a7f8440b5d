"""The machine below: its clock, its disk, its heat, its power.

All of it is read from files below a root, and from two calls of the kernel that can be replaced.
"""

from __future__ import annotations

import asyncio
import ctypes
import datetime as dt
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from appliance.provisioning.web import CLOCK_FLOOR
from appliance.service.doctor.check import Finding, fail, ok, skipped, warn
from appliance.service.heat import warmest
from appliance.signaling.errors import one_line

_TIME_ERROR: Final = 5
"""What adjtimex(2) returns of a clock that nothing keeps."""

_STA_UNSYNC: Final = 0x40

LEAST: Final = 50 * 2**20
"""Bytes free below which a configuration or a log may find no place."""

LITTLE: Final = 500 * 2**20
FEW_INODES: Final = 1000

WARM: Final = 80.0
"""Degrees Celsius from which a Raspberry Pi begins to slow its processor down."""

HOT: Final = 85.0
"""And from which it slows it down to the least."""

VCGENCMD: Final = ("usr/bin/vcgencmd", "opt/vc/bin/vcgencmd")

_POWER: Final = "a power supply and cable made for this board"
_COOLING: Final = "cool it: a heat sink, a fan, less sun"

_BITS: Final = (
    (0, "its voltage is too low", _POWER),
    (1, "its frequency is capped", _COOLING),
    (2, "it is throttled", _COOLING),
    (3, "it is at its soft limit of temperature", _COOLING),
)
"""Bits of `vcgencmd get_throttled`: so now, and 16 bits further so at some time since the start."""


@dataclass(frozen=True, slots=True)
class KernelClock:
    """What the kernel says of its clock."""

    synchronized: bool
    error: float
    """Seconds that it may be off at most."""


class _Timex(ctypes.Structure):
    """`struct timex` of adjtimex(2)."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        # What follows is of no matter here, but the kernel writes it.
        ("rest", ctypes.c_long * 32),
    )


def kernel_clock() -> KernelClock:
    """Ask the kernel.  Raises OSError where it does not tell."""
    timex = _Timex()
    state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(timex))
    if state < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    synchronized = state != _TIME_ERROR and not timex.status & _STA_UNSYNC
    return KernelClock(synchronized, timex.maxerror / 1e6)


async def look_at_clock(
    ask: Callable[[], KernelClock] = kernel_clock, now: Callable[[], float] = time.time
) -> Finding:
    """Whether the clock tells a time that can be, and whether a time server keeps it."""
    moment = now()
    text = f"{dt.datetime.fromtimestamp(moment, dt.UTC):%Y-%m-%d %H:%M:%S} UTC"
    remedy = "timedatectl set-ntp true, and let UDP port 123 pass to a time server"
    if moment < CLOCK_FLOOR:
        return fail(f"{text}: it was never set, so no certificate and no token fits", remedy)
    try:
        clock = ask()
    except OSError as error:
        why = (error.strerror or "no answer").lower()
        return warn(f"{text}; the kernel does not tell whether it is kept ({why})", remedy)
    if not clock.synchronized:
        return warn(f"{text}, kept by no time server", remedy)
    return ok(f"{text}, kept by a time server within {1000 * clock.error:.0f} ms")


async def look_at_disk(
    root: Path, statvfs: Callable[[Path], os.statvfs_result] = os.statvfs
) -> Finding:
    """Whether there is room where the device writes."""
    texts, worst = [], None
    for path in _disks(root):
        disk = statvfs(path)
        free, size = disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize
        text = f"{path}: {_size(free)} of {_size(size)} free"
        texts.append(text)
        if path != root and disk.f_flag & os.ST_RDONLY:
            found = fail(f"{path} is read-only", "look at the kernel's log (dmesg) and at fstab")
        elif disk.f_files and disk.f_favail < FEW_INODES:
            found = fail(f"{path} has room for {disk.f_favail} files only", "delete files there")
        elif free < LEAST:
            found = fail(text, "delete recordings or logs: journalctl --vacuum-size=50M")
        elif free < LITTLE:
            found = warn(text, "delete recordings or logs: journalctl --vacuum-size=50M")
        else:
            continue
        if worst is None or found.verdict.value == "fail":
            worst = found
    return worst or ok("; ".join(texts))


def _disks(root: Path) -> Iterator[Path]:
    """Where the device keeps its state, and the system; one path a file system."""
    seen = set()
    state = root / "var/lib/roomlet"
    while not state.exists():
        state = state.parent
    for path in (state, root):
        device = path.stat().st_dev
        if device not in seen:
            seen.add(device)
            yield path


async def look_at_temperature(root: Path) -> Finding:
    """The warmest sensor."""
    found = warmest(root)
    if found is None:
        return skipped("this machine has no sensor")
    degrees, name = found
    text = f"{degrees:.0f} °C at {name}"
    if degrees >= HOT:
        return fail(f"{text}: the processor is slowed down", _COOLING)
    if degrees >= WARM:
        return warn(text, _COOLING)
    return ok(text)


async def look_at_throttling(root: Path) -> Finding:
    """Whether heat or a weak power supply slows the processor down."""
    held = [
        f"{_line(device / 'type')} at {state} of {_line(device / 'max_state')}"
        for device in sorted((root / "sys/class/thermal").glob("cooling_device*"))
        if re.match(r"(thermal-)?(cpufreq|Processor|CPU)", _line(device / "type"), re.IGNORECASE)
        and (state := _line(device / "cur_state")) not in ("", "0")
    ]
    if held:
        return warn(f"the kernel slows the processor down ({', '.join(held)})", _COOLING)
    for tool in (root / name for name in VCGENCMD):
        if tool.exists():
            return await _ask_firmware(tool)
    return ok("the kernel lets the processor run as fast as it can")


async def _ask_firmware(tool: Path) -> Finding:
    try:
        process = await asyncio.create_subprocess_exec(
            tool,
            "get_throttled",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
    except OSError as error:
        why = (error.strerror or "").lower()
        return skipped(f"{tool} does not run ({why})", "install it anew: raspi-utils")
    try:
        answer = (await process.communicate())[0].decode(errors="replace")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    found = re.search(r"throttled=(0x[0-9a-fA-F]+)", answer)
    if found is None:
        why = one_line(answer) or "no word"
        return skipped(f"the firmware does not tell ({why})", "run it as a member of group video")
    bits = int(found[1], 16)
    for bit, text, remedy in _BITS:
        if bits >> bit & 1:
            return fail(f"the firmware says that {text} now", remedy)
    for bit, text, remedy in _BITS:
        if bits >> bit + 16 & 1:
            return warn(f"the firmware says that since the start at some time {text}", remedy)
    return ok("neither heat nor a weak power supply since the start")


def _line(path: Path) -> str:
    try:
        return one_line(path.read_text(errors="replace"))
    except OSError:
        return ""


def _size(count: int) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"

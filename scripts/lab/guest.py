"""The lab's guest: built once, then booted for each run, on qemu without KVM."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
LAB = REPO / ".lab"
RECIPE = REPO / "tests" / "lab" / "guest"
STAGED = ("appliance", "hal", "systemd", "tests/lab", "tests/hal", "tests/appliance")
SINGLE = ("pyproject.toml", "tests/conftest.py")

BUILD_S = 1800
"""The longest that a guest may take to build."""

SLOWNESS = float(os.environ.get("ROOMLET_LAB_SLOWNESS", "4"))
"""How many seconds one of the guest's takes; more is of use where the machine has other work.

Emulated code is 20 times slower than the machine's own, and sound cards wait for nobody: in slowed
time the guest is about as fast as a small computer, and what it measures means something."""

RUN_S = 3600
"""The longest that a guest may run: the limits of its parts, and its start and end."""

MEMORY_MIB = 2048

NICE = 5

PARTS = ("drivers", "picamera2", "call", "screen")
"""What the guest runs one after the other; see its script "run"."""


class GuestError(Exception):
    """The guest could not be built, or did not come to its end."""


def folder() -> Path:
    """Where the guest of the present recipe and locks lies; not there before `build`."""
    digest = hashlib.sha256()
    recipe = ("build", "customize", "init", "roomlet-lab.service")
    locks = ("requirements.lock", "requirements-build.lock", "requirements-dev.lock")
    for path in (*(RECIPE / name for name in recipe), *(REPO / name for name in locks)):
        digest.update(path.read_bytes())
    return LAB / digest.hexdigest()[:16]


def build() -> Path:
    """The guest's folder, built where it is not there.  Raises GuestError."""
    place = folder()
    if (place / "versions").exists():
        return place
    for name in ("mmdebstrap", "mke2fs", "qemu-system-x86_64"):
        if shutil.which(name) is None and not Path("/usr/sbin", name).exists():
            raise GuestError(f"{name} is missing; run scripts/setup --lab")
    as_root = [] if os.geteuid() == 0 else ["sudo", "-n"]
    if as_root and subprocess.run([*as_root, "true"], check=False).returncode:
        raise GuestError("a guest's file system is built by root; run: sudo true && make lab")
    LAB.mkdir(exist_ok=True)
    for old in LAB.iterdir():
        if old.is_dir() and (old / "root.ext4").exists():
            shutil.rmtree(old)
    log = LAB / "build.log"
    print(f"lab: building the guest, some minutes (log: {log.relative_to(REPO)})", flush=True)
    fresh = LAB / "building"
    command = [*as_root, str(RECIPE / "build"), str(fresh)]
    with log.open("wb") as sink:
        code = _run(command, sink.fileno(), BUILD_S)
    if code != 0:
        raise GuestError(f"the guest could not be built ({_reason(code)}); see {log}")
    fresh.rename(place)
    return place


def run(place: Path, arguments: list[str]) -> Path:
    """Boot the guest, run its tests, and return the folder of results: for each of PARTS a JUnit
    file, a log and pytest's exit status.  Raises GuestError when it does not come to its end."""
    share = LAB / "share"
    results = share / "results"
    shutil.rmtree(results, ignore_errors=True)
    results.mkdir(parents=True)
    (share / "pycache").mkdir(exist_ok=True)
    (share / "arguments").write_text(" ".join(arguments))
    _stage(share / "repo")
    serial = LAB / "serial.log"
    serial.unlink(missing_ok=True)
    (share / "monitor").unlink(missing_ok=True)
    kernel = "console=ttyS0 root=/dev/vda rw panic=-1 mitigations=off systemd.show_status=0 quiet"
    # The guest may ask qemu's monitor for what its screen shows: the two ends of one socket.
    port = "path=monitor"
    screen = [
        *("-device", "bochs-display,xres=640,yres=480"),
        *("-chardev", f"socket,id=monitor,{port},server=on,wait=off"),
        *("-mon", "chardev=monitor,mode=control"),
        *("-chardev", f"socket,id=port,{port}", "-device", "virtio-serial"),
        *("-device", "virtserialport,chardev=port,name=monitor"),
    ]
    # A processor without AVX: libraries choose code for what they find, and qemu 7's emulation of
    # AVX is young.
    command = [
        *("env", f"LD_PRELOAD={_slow_clock()}", f"FAKETIME=+0 x{1 / SLOWNESS}", "NO_FAKE_STAT=1"),
        *("qemu-system-x86_64", "-M", "q35", "-cpu", "Nehalem", "-accel", "tcg,thread=multi"),
        *("-smp", "2", "-m", str(MEMORY_MIB), "-nodefaults", "-nic", "none", "-display", "none"),
        *("-no-reboot", "-monitor", "none", "-serial", f"file:{serial}"),
        *("-kernel", str(place / "vmlinuz"), "-initrd", str(place / "initrd"), "-append", kernel),
        *("-drive", f"file={place / 'root.ext4'},if=virtio,format=raw,snapshot=on"),
        *("-virtfs", f"local,path={share},mount_tag=host,security_model=none"),
        *screen,
    ]
    begin = time.monotonic()
    with (LAB / "qemu.log").open("wb") as sink:
        code = _run(command, sink.fileno(), RUN_S, folder=share)
    print(f"lab: the guest ran {time.monotonic() - begin:.0f} s", flush=True)
    if code != 0 or not (results / "done").exists():
        raise GuestError(f"the guest did not come to its end ({_reason(code)}); see {serial}")
    return results


def _slow_clock() -> Path:
    """libfaketime, which qemu takes all its time from."""
    for found in Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"):
        return found
    raise GuestError("libfaketime is missing; run scripts/setup --lab")


def _stage(target: Path) -> None:
    """Lay out what the guest needs of the repository; times stay, for its cache of bytecode."""
    shutil.rmtree(target, ignore_errors=True)
    ignore = shutil.ignore_patterns("__pycache__", "node_modules")
    for name in STAGED:
        if (REPO / name).exists():
            shutil.copytree(REPO / name, target / name, ignore=ignore)
    for name in SINGLE:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(REPO / name, target / name)


def _run(command: list[str], output: int, limit: float, *, folder: Path = REPO) -> int:
    """The exit status of a command in `folder`, in a process group of its own, which ends with us,
    however we end, or after `limit` seconds, whichever is first; -9 then."""
    process = subprocess.Popen(
        ["setpriv", "--pdeathsig", "KILL", "nice", "-n", str(NICE), *command],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        start_new_session=True,
    )
    try:
        return process.wait(limit)
    except subprocess.TimeoutExpired:
        print(f"lab: the guest was ended after {limit:.0f} s", file=sys.stderr)
        return -signal.SIGKILL
    finally:
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _reason(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"status {code}"

"""A Debian with a real systemd, booted in a container from the file system of the lab's guest.

Nothing of it is kept: what it writes goes to a layer in memory that ends with it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

REPO = Path(__file__).parents[2]
VENV = Path("opt/roomlet")

LIMIT_S = 900
"""The longest that a container may run, whatever becomes of the tests."""

AS_ROOT = () if os.geteuid() == 0 else ("sudo", "-n")

REBOOT = 133
"""The exit code of systemd-nspawn whose machine wants to be booted again."""

IMAGE = "ROOMLET_LAB_IMAGE"
"""The variable that names another image than the guest's own."""

_APART = (
    *("setpriv", "--pdeathsig", "KILL"),
    *("unshare", "--mount", "--propagation", "private"),
    *("--pid", "--fork", "--kill-child", "--mount-proc"),
)
"""A namespace that ends with the test run, however that ends, and takes all in it along."""

_BOOT = """
set -eu
mount -t tmpfs tmpfs {work}
mkdir {work}/base {work}/upper {work}/temporary {work}/root
mount -o loop,ro {image} {work}/base
cd {work}
mount -t overlay overlay \
    -o lowerdir={stage}:base,upperdir=upper,workdir=temporary root
exec timeout --kill-after=10 {limit} sh -c '
    while systemd-nspawn -q -D {work}/root --boot --register=no \
        --keep-unit --console=pipe --private-network -M roomlet-{pid}
        [ $? = {again} ]
    do :; done
'
"""


def image() -> Path | None:
    """The file system of the lab's guest, if it was built."""
    if named := os.environ.get(IMAGE):
        return Path(named)
    found = sorted((REPO / ".lab").glob("*/root.ext4"), key=lambda path: path.stat().st_mtime)
    return found[-1] if found else None


class Machine:
    """One container, with Roomlet installed in it as from a package.

    `stage` is a folder whose files lie over those of the image; to be filled before `boot`.
    """

    def __init__(self, folder: Path) -> None:
        self.stage = folder / "stage"
        self._work = folder / "work"
        self._log = folder / "console.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._leader = 0
        self._work.mkdir(parents=True)
        self._install(folder / "wheel")

    def _install(self, folder: Path) -> None:
        subprocess.run(
            [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
            cwd=REPO,
            check=True,
            capture_output=True,
            timeout=120,
        )
        (wheel,) = folder.glob("*.whl")
        self.packages = self.stage / VENV / "lib/python3.13/site-packages"
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(self.packages)
        self.program(
            "usr/bin/roomlet", f"#!/{VENV}/bin/python\nfrom appliance.cli import main\nmain()\n"
        )
        for source, target in (
            ("system", "systemd/system"),
            ("sysusers.d", "sysusers.d"),
            ("tmpfiles.d", "tmpfiles.d"),
            ("udev", "udev/rules.d"),
        ):
            shutil.copytree(REPO / "systemd" / source, self.stage / "usr/lib" / target)
        # The guest's own tests stay out of this.
        masked = self.stage / "etc/systemd/system/roomlet-lab.service"
        masked.parent.mkdir(parents=True, exist_ok=True)
        masked.symlink_to("/dev/null")

    def write(self, path: str, text: str) -> None:
        """Put a file into the root, before or after `boot`."""
        if self._leader:
            self.run("mkdir", "-p", str(Path("/", path).parent))
            self.run("tee", f"/{path}", stdin=text)
            return
        target = self.stage / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def program(self, path: str, text: str) -> None:
        """Put a program into the root, before `boot`."""
        self.write(path, text)
        (self.stage / path).chmod(0o755)

    def boot(self) -> None:
        """Start it, and wait until its service manager has done so."""
        source = image()
        assert source is not None, "make lab builds the image"
        script = _BOOT.format(
            work=self._work,
            image=source,
            stage=self.stage,
            limit=LIMIT_S,
            pid=os.getpid(),
            again=REBOOT,
        )
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [*AS_ROOT, *_APART, "sh", "-c", script],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._wait_until_booted()
        # What a package does after it was unpacked.
        self.run("systemd-sysusers")
        self.run("systemd-tmpfiles", "--create", "roomlet.conf")

    def wait_for_reboot(self, seconds: float = 120) -> None:
        """Wait until it has gone down by itself and is up again; what it wrote is still there."""
        before = Path("/proc", str(self._leader))
        self.wait_for(lambda: not before.exists(), seconds)
        self._leader = 0
        self._wait_until_booted()

    def _wait_until_booted(self) -> None:
        self.wait_for(self._find_leader, 60)
        self._connect()
        self.wait_for(
            lambda: self.run("systemctl", "is-system-running", check=False) == "running", 120
        )

    def _connect(self) -> None:
        """Give it an interface with an address, which leads nowhere."""
        inside = [*AS_ROOT, "nsenter", "-t", str(self._leader), "-n", "ip"]
        for step in (
            "link add eth0 type veth peer name far0",
            "address add 192.0.2.1/24 dev eth0",
            "link set eth0 up",
            "link set far0 up",
        ):
            subprocess.run([*inside, *step.split()], check=True, timeout=30)

    def close(self) -> None:
        """End it, and all that is in it."""
        if self._process is None:
            return
        kill = [*AS_ROOT, "kill", "-KILL", str(self._process.pid)]
        subprocess.run(kill, check=False, timeout=30)
        self._process.wait(30)

    def run(self, *command: str, check: bool = True, stdin: str = "", limit: float = 120) -> str:
        """What a command in it writes to its standard output."""
        done = subprocess.run(
            [
                *(*AS_ROOT, "nsenter", "-t", str(self._leader), "-m", "-u", "-i", "-n", "-p", "--"),
                *("env", "-i", "PATH=/usr/sbin:/usr/bin", "LANG=C.UTF-8", "SYSTEMD_COLORS=0"),
                *command,
            ],
            input=stdin,
            text=True,
            capture_output=True,
            timeout=limit,
            check=False,
        )
        if check and done.returncode:
            raise AssertionError(f"{command}: {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout.strip()

    def show(self, unit: str, name: str) -> str:
        """A property of a unit."""
        return self.run("systemctl", "show", "-P", name, unit)

    def wait_for(self, holds: Any, seconds: float = 120) -> None:
        """Wait until `holds()`; on the way out says what the units did."""
        end = time.monotonic() + seconds
        while not holds():
            assert self._process is not None
            if time.monotonic() > end or self._process.poll() is not None:
                told = self._log.read_text(errors="replace")[-2000:]
                if self._leader and self._process.poll() is None:
                    told += self.run("journalctl", "-n", "80", "--no-pager", check=False)
                    told += self.run("systemctl", "status", "-n0", "roomlet*", check=False)
                    told += self.run("roomlet", "state", check=False)
                raise AssertionError(f"not within {seconds:.0f} s\n{told}")
            time.sleep(0.25)

    def _find_leader(self) -> bool:
        """The process that is the first inside."""
        assert self._process is not None
        top = self._process.pid
        for status in Path("/proc").glob("[0-9]*/status"):
            with contextlib.suppress(OSError, ValueError, IndexError):
                lines = dict(
                    line.split(":", 1) for line in status.read_text().splitlines() if ":" in line
                )
                # Here, in the namespace of _APART, and in its own.
                numbers = lines["NSpid"].split()
                if len(numbers) == 3 and numbers[-1] == "1" and _is_below(int(lines["Pid"]), top):
                    self._leader = int(lines["Pid"])
                    return True
        return False


def _is_below(pid: int, ancestor: int) -> bool:
    while pid > 1:
        if pid == ancestor:
            return True
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return False

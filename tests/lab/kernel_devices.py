"""Virtual devices of the kernel that can be pulled out and put back."""

from __future__ import annotations

import subprocess
import threading
import time
from pathlib import Path

DEADLINE = 60.0


class PlatformDevice:
    """A device whose driver lets go of it (the plug is pulled) and takes it again.

    The kernel waits with the end of a removal until nobody has the device open any more, so
    it is written by another process, which is waited for by `put_back`.
    """

    def __init__(self, driver: str, name: str) -> None:
        self._driver = Path("/sys/bus/platform/drivers") / driver
        self._name = name
        self._removal: subprocess.Popen[bytes] | None = None
        if not self.present:
            raise LookupError(f"driver {driver} has no device {name}: modprobe it")

    @property
    def present(self) -> bool:
        """Whether the driver has the device."""
        return (self._driver / self._name).exists()

    def pull(self) -> None:
        """Pull the plug; returns at once."""
        unbind = self._driver / "unbind"
        self._removal = subprocess.Popen(
            ["/bin/sh", "-c", f"echo {self._name} > {unbind}"], start_new_session=True
        )

    def put_back(self) -> None:
        """Plug it in again, once the removal has ended, and wait until udev has given it its
        names.  Does nothing to one that is in."""
        if self._removal is not None:
            assert self._removal.wait(DEADLINE) == 0, f"{self._name} could not be pulled"
            self._removal = None
        if not self.present:
            (self._driver / "bind").write_text(self._name)
            subprocess.run(["udevadm", "settle", f"--timeout={DEADLINE:.0f}"], check=True)

    def __enter__(self) -> PlatformDevice:
        return self

    def __exit__(self, *exc: object) -> None:
        self.put_back()


def wait_for(what: str, holds: object, *, within: float = DEADLINE) -> None:
    """Wait on this thread until `holds()` is true.  Fails with `what` after `within` seconds."""
    assert callable(holds)
    end = time.monotonic() + within
    tick = threading.Event()
    while not holds():
        assert time.monotonic() < end, f"not within {within} s: {what}"
        tick.wait(0.02)

"""A television that the kernel makes (vivid): an HDMI input whose CEC adapter stands at the other
end of the wire, and the cable to this machine's HDMI output."""

from __future__ import annotations

import queue
import re
import subprocess
import threading

from tests.lab.kernel_devices import DEADLINE, wait_for

ITS_OWN, OURS = "/dev/cec0", "/dev/cec1"
"""The two CEC adapters: the television's, and that of our output."""

_INPUT, _CABLE = "/dev/video0", "hdmi_000_0_is_connected_to"
_NOTHING, _OUR_OUTPUT = 1, 2
"""What vivid's input can be connected to."""

_POWER = re.compile(r"pwr-state: (\S+)")
_NOWHERE = re.compile(r"Physical Address\s*:\s*f\.f\.f\.f")
_TV = re.compile(r"Logical Address Mask\s*:\s*0x0001\b")


class Television:
    """It is plugged in, and on, within the block."""

    def __init__(self) -> None:
        self._program: subprocess.Popen[str] | None = None
        self._said: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._reader: threading.Thread | None = None

    def plug(self) -> None:
        """Connect the cable, and wait until our end has noticed."""
        wait_for("our end of the cable", self._is_plugged)

    def pull(self) -> None:
        """Take the cable away."""
        self._connect(_NOTHING)

    def power(self) -> str:
        """What it answers when it is asked whether it is on: "on", "standby", "to-standby"...
        Empty where it does not answer now, as while the wire is busy."""
        answer = _run(
            "cec-ctl", "-d", OURS, "--skip-info", "--to", "0", "--give-device-power-status"
        )
        found = _POWER.search(answer)
        return "" if found is None else found[1]

    def await_message(self, *parts: str) -> None:
        """Wait until it has received a message with all of `parts` in it."""
        seen: list[str] = []
        while not all(part in " ".join(seen[-3:]) for part in parts):
            try:
                seen.append(self._said.get(timeout=DEADLINE))
            except queue.Empty:
                raise AssertionError(f"the television has only seen {seen}") from None

    def deaf(self) -> None:
        """Switch off what listens to CEC in it."""
        self._end()
        _run("cec-ctl", "-d", ITS_OWN, "--clear")

    def __enter__(self) -> Television:
        # Of two that claim an address at once one may go without, so ours comes to the wire with
        # none: it claims its own when it has something to say.
        _run("cec-ctl", "-d", OURS, "--clear")
        self.plug()
        _run("cec-ctl", "-d", ITS_OWN, "--tv", "--osd-name", "Lab TV")
        wait_for("the television's address", lambda: _TV.search(_run("cec-ctl", "-d", ITS_OWN)))
        self._program = subprocess.Popen(
            ["stdbuf", "-oL", "cec-follower", "-d", ITS_OWN, "--show-msgs"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._listen, args=(self._program,))
        self._reader.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.deaf()
        self.pull()

    def _listen(self, program: subprocess.Popen[str]) -> None:
        assert program.stdout is not None
        for line in program.stdout:
            self._said.put(line.strip())

    def _end(self) -> None:
        if self._program is None or self._reader is None:
            return
        self._program.terminate()
        self._program.wait(DEADLINE)
        self._reader.join(DEADLINE)
        self._program = self._reader = None

    def _is_plugged(self) -> bool:
        # The driver takes a connection back now and then: work that it queues while it makes one
        # may begin before that is noted, and then finds the choice of an output that is taken.
        if f": {_OUR_OUTPUT} " not in _run("v4l2-ctl", "-d", _INPUT, "-C", _CABLE):
            self._connect(_OUR_OUTPUT)
        return not _NOWHERE.search(_run("cec-ctl", "-d", OURS))

    def _connect(self, to: int) -> None:
        _run("v4l2-ctl", "-d", _INPUT, "-c", f"{_CABLE}={to}")


def _run(*command: str) -> str:
    done = subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    return done.stdout

"""A writer that is killed at each step of its writing in turn.

Run as a program: `crash.py FOLDER`.  For the n-th system call that changes a file a child is forked
which does `prepare`, then `act`, and dies by SIGKILL just before that call, or with half of the
bytes of a write; the folders that they leave behind are printed as a JSON array.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from appliance.provisioning.layers import Layers, Part
from appliance.provisioning.mirror import Held, Holding, Mirror
from appliance.provisioning.source import Source
from appliance.provisioning.store import Store

CALLS = ("open", "write", "fsync", "fchmod", "close", "replace", "unlink")


def layers(value: int) -> Layers:
    """A configuration that can be told from others, larger than a page."""
    text = f"[speaker]\nvolume = {value}\n" + f"# {value}\n" * 1_500
    source = Source(Path("/etc/roomlet/device.toml"), text)
    return Layers([Part("device", source, source.parse())])


def holding(value: int) -> Holding:
    """A set of the fleet's files that belong together."""
    made = Holding(key=str(value))
    for name in ("fleet.toml", "abc.toml"):
        made.web.files[name] = Held(text=f"x = {value}\n" * 500, signature="s")
        made.web.serials[name] = value
    return made


def prepare(folder: Path) -> None:
    """Two configurations that were good, one after the other."""
    store = Store(folder)
    for value in (1, 2):
        store.keep(store.apply(layers(value)))
    Mirror(folder / "fleet.json").write(holding(2))


def act(folder: Path) -> None:
    """A new set of files, a new configuration, and what follows it."""
    Mirror(folder / "fleet.json").write(holding(3))
    store = Store(folder)
    generation = store.apply(layers(3))
    store.count_start()
    store.roll_back(generation, "it does not work")
    store.keep(store.apply(layers(4)))


def _dies(at: int, half: bool) -> None:
    """Die at the `at`-th call from now on."""
    count = 0
    real: dict[str, Callable[..., Any]] = {name: getattr(os, name) for name in CALLS}

    def counting(name: str) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            nonlocal count
            count += 1
            if count == at:
                if half and name == "write":
                    data = bytes(arguments[1])
                    real["write"](arguments[0], data[: len(data) // 2])
                os.kill(os.getpid(), signal.SIGKILL)
            return real[name](*arguments, **named)

        return call

    for name in CALLS:
        setattr(os, name, counting(name))


def main(root: Path) -> None:
    """Kill a child at each call until one comes to its end."""
    # A step like the others; but what a process has written outlives it unsynced.
    os.fsync = lambda fd: None
    left = []
    for half in (False, True):
        step = 0
        while True:
            step += 1
            folder = root / f"{'half' if half else 'before'}-{step}"
            prepare(folder)
            child = os.fork()
            if child == 0:
                _dies(step, half)
                act(folder)
                os._exit(0)
            _, status = os.waitpid(child, 0)
            left.append(str(folder))
            if os.WIFEXITED(status):
                assert os.WEXITSTATUS(status) == 0, "the writer failed by itself"
                break
            assert os.WTERMSIG(status) == signal.SIGKILL
    print(json.dumps(left))


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""The frames that the official browser SDK really sent, and how to compare with them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PATH = Path(__file__).parents[2] / "golden" / "sdk-frames.jsonl"

#: What may differ between two clients that say the same: where it stands in a frame.
VOLATILE = frozenset({"id", "params.agent", "params.message.id", "params.message.params.sdp"})


@dataclass(frozen=True)
class Frame:
    """One frame of the recording, and its line there."""

    line: int
    message: dict[str, Any]

    @property
    def kind(self) -> str:
        """The method; for Verto the inner one; for answers ``ack`` or ``pong``."""
        if "result" in self.message:
            return "pong" if self.message["result"] else "ack"
        method: str = self.message["method"]
        if method == "video.message":
            inner = self.message["params"]["message"]
            method = inner.get("method", "verto.reply")
        return method


def frames() -> list[Frame]:
    """All frames, without the recording's notes about connections."""
    with PATH.open(encoding="utf-8") as lines:
        entries = [(number, json.loads(line)) for number, line in enumerate(lines, 1)]
    return [Frame(number, entry["msg"]) for number, entry in entries if "msg" in entry]


def difference(actual: Any, expected: Any, volatile: frozenset[str] = VOLATILE) -> str | None:
    """The first difference as ``key.path: found, but expected``; None where there is none.

    Volatile values must be there and be of the same type; objects must have the same keys.
    """
    return next(_differences(actual, expected, volatile, ""), None)


def _differences(actual: Any, expected: Any, volatile: frozenset[str], path: str) -> Iterator[str]:
    where = path or "(the frame)"
    if type(actual) is not type(expected):
        yield f"{where}: {actual!r}, but expected {expected!r}"
    elif isinstance(expected, dict):
        for key in sorted(actual.keys() | expected.keys()):
            inner = f"{path}.{key}" if path else key
            if key not in actual:
                yield f"{inner}: missing, but expected {expected[key]!r}"
            elif key not in expected:
                yield f"{inner}: {actual[key]!r}, but expected nothing"
            else:
                yield from _differences(actual[key], expected[key], volatile, inner)
    elif isinstance(expected, list):
        if len(actual) != len(expected):
            yield f"{where}: {len(actual)} items, but expected {len(expected)}"
        for index, pair in enumerate(zip(actual, expected, strict=False)):
            yield from _differences(*pair, volatile, f"{path}[{index}]")
    elif path not in volatile and actual != expected:
        yield f"{where}: {actual!r}, but expected {expected!r}"

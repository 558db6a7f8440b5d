"""What people change at the device itself: kept there, above all files, and sent nowhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import tomli_w

from appliance.provisioning.config import Config
from appliance.provisioning.errors import ConfigError, StoreError
from appliance.provisioning.files import write_whole
from appliance.provisioning.layers import Layers, Part
from appliance.provisioning.source import Key, Source, dotted

LOCKED: Final = ("provisioning",)
"""Sections that no panel changes: who may configure the device is not for a visitor."""


class Overrides:
    """The file of them."""

    def __init__(self, path: Path) -> None:
        self.path: Final = path

    def values(self) -> dict[str, Any]:
        """What is changed.  Raises ConfigError for a file that cannot be read."""
        return Source.read(self.path).parse() if self.path.exists() else {}

    def keys(self) -> list[str]:
        """The keys that are changed, as people write them.  Raises ConfigError."""
        return [dotted(key) for key in _leaves(self.values(), ())]

    def set(self, key: Key, value: Any, layers: Layers) -> None:
        """Change a value above those of `layers`; None takes the change back.

        Raises ConfigError if the whole cannot be then, and StoreError.
        """
        names = [str(part) for part in key]
        if len(names) < 2 or names[0] in LOCKED:
            raise ConfigError("cannot be changed at the device", key=dotted(key))
        try:
            values = self.values()
        except ConfigError:
            # A file that nobody could use: the new one takes its place.
            values = {}
        table = values
        for name in names[:-1]:
            table = table.setdefault(name, {})
        if value is None:
            table.pop(names[-1], None)
        else:
            table[names[-1]] = value
        source = Source(self.path, tomli_w.dumps(_without_empty(values)))
        below = [part for part in layers.parts if part.layer not in ("panel", "environment")]
        Config.from_layers(Layers([*below, Part("panel", source, source.parse())]))
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self.path, source.text.encode())
        except OSError as error:
            raise StoreError(f"{self.path}: {error.strerror}; check the disk") from error


def _leaves(values: Mapping[str, Any], above: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, (*above, key))
        else:
            yield (*above, key)


def _without_empty(values: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in values.items() if not (isinstance(v, Mapping) and not v)}

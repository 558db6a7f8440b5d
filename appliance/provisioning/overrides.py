"""What people change at the device itself: kept there, above all files, and sent nowhere."""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import tomli_w

from appliance.provisioning.config import Config
from appliance.provisioning.errors import ConfigError, StoreError
from appliance.provisioning.files import write_whole
from appliance.provisioning.layers import ENVIRONMENT, PANEL, Layers, Part
from appliance.provisioning.source import Key, Source, dotted

Changes = Mapping[tuple[str | int, ...], Any]
"""Values by their keys; None takes one back."""

LOCKED: Final = ("provisioning",)
"""Sections that no panel changes: who may configure the device is not for a visitor."""

_CHANGING: Final = threading.Lock()


class Overrides:
    """The file of them."""

    def __init__(self, path: Path) -> None:
        self.path: Final = path

    def values(self) -> dict[str, Any]:
        """What is changed.  Raises ConfigError for a file that cannot be read."""
        return Source.read(self.path).parse() if self.path.exists() else {}

    def keys(self) -> list[str]:
        """The keys that are changed, as people write them.  Raises ConfigError."""
        return [dotted(key) for key in leaves(self.values())]

    def set(self, key: Key, value: Any, layers: Layers) -> None:
        """Change one value; see `change`."""
        self.change({tuple(key): value}, layers)

    def change(self, changes: Changes, layers: Layers) -> None:
        """Change values above those of `layers`, all or none; None takes a change back.

        Raises ConfigError if the whole cannot be then, and StoreError.  Safe from any thread of
        the one process that makes changes.
        """
        with _CHANGING:
            self._change(changes, layers)

    def _change(self, changes: Changes, layers: Layers) -> None:
        try:
            values = self.values()
        except ConfigError:
            # A file that nobody could use: the new one takes its place.
            values = {}
        part = panel_part(self.path, changed(values, changes))
        Config.from_layers(above(layers, part))
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self.path, part.source.text.encode())
        except OSError as error:
            raise StoreError(f"{self.path}: {error.strerror}; check the disk") from error


def changed(values: Mapping[str, Any], changes: Changes) -> dict[str, Any]:
    """Values with changes made to them.  Raises ConfigError for what no panel changes."""
    result: dict[str, Any] = copy.deepcopy(dict(values))
    for key, value in changes.items():
        names = [str(part) for part in key]
        if len(names) < 2 or names[0] in LOCKED:
            raise ConfigError("cannot be changed at the device", key=dotted(key))
        table = result
        for name in names[:-1]:
            table = table.setdefault(name, {})
        if value is None:
            table.pop(names[-1], None)
        else:
            table[names[-1]] = value
    return _without_empty(result)


def panel_part(path: Path, values: Mapping[str, Any]) -> Part:
    """The layer of changes made at the device."""
    source = Source(path, tomli_w.dumps(values))
    return Part(PANEL, source, source.parse())


def above(layers: Layers, part: Part) -> Layers:
    """Layers with another one of changes made at the device."""
    below = [one for one in layers.parts if one.layer not in (PANEL, ENVIRONMENT)]
    return Layers([*below, part])


def beneath(layers: Layers) -> Layers:
    """Layers without the changes made at the device."""
    return Layers([one for one in layers.parts if one.layer != PANEL])


def leaves(values: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The keys of all values in tables; an empty table counts as one."""
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from leaves(value, (*above, key))
        else:
            yield (*above, key)


def _without_empty(values: Mapping[str, Any]) -> dict[str, Any]:
    pruned = {k: _without_empty(v) if isinstance(v, Mapping) else v for k, v in values.items()}
    return {k: v for k, v in pruned.items() if v != {}}

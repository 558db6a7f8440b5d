"""All that is wrong with a configuration, for who wrote it.

A device needs to know of one mistake to refuse a configuration; who mends it wants to know of all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from appliance.provisioning.config import Config, DeviceConfig, anchored
from appliance.provisioning.errors import ConfigError
from appliance.provisioning.identity import Identity
from appliance.provisioning.layers import Layers
from appliance.provisioning.mirror import Mirror
from appliance.provisioning.mistakes import MOST, RULE, Mistake, mistakes, without
from appliance.provisioning.options import KIND_OF, option_mistakes
from appliance.provisioning.places import (
    Places,
    fleet_key,
    lasting_layers,
    panel_parts,
    unconfigured,
)


@dataclass(frozen=True, slots=True)
class Checked:
    """What became of a look at merged files."""

    mistakes: list[ConfigError]
    """In the order of the files and of the lines in them; without what is only a consequence."""
    config: Config | None
    """What there is without the mistakes, to be looked at further; None where that is no device."""


def check(layers: Layers, gaps: Sequence[ConfigError] = (), *, whole: bool = True) -> Checked:
    """Look at all of it; of more than `MOST` mistakes one more tells that there are others.

    `gaps` are the mistakes for which files were left out (see `read_parts`).  They are told with
    the others, and what these files may well say is not called missing; nor is it where the files
    are not the `whole` of a device.
    """
    whole = whole and not gaps
    values = anchored(layers)
    seen = mistakes(Config, values)
    found = [one for one in seen if whole or one.rank < RULE]
    wrong = [one.key for one in seen]
    sound = without(values, wrong)
    for name in KIND_OF:
        options = list(_of_options(name, sound.get(name, {}), whole=whole))
        found += options
        wrong += [one.key for one in options]
    errors = [*gaps, *(layers.error(one.key, one.reason, one.kind) for one in found[:MOST])]
    if len(found) > MOST:
        reason = f"has more mistakes than the {MOST} that are told; mend these first"
        errors.append(ConfigError(reason, path=layers.parts[-1].source.path))
    errors += filter(None, (fleet_key(part) for part in layers.parts if part.is_signed))
    errors.sort(key=lambda error: in_order(layers, error))
    return Checked(errors, Config.left_of(layers, wrong))


def check_device(places: Places, identity: Identity) -> tuple[Layers, Checked]:
    """Look at all files of a device as they are now, those that it fetched and what was changed at
    the panel too: what its next reload would go by."""
    gaps: list[ConfigError] = []
    below = lasting_layers(places, identity, Mirror(places.mirror).read(), gaps)
    layers = Layers([*below.parts, *panel_parts(places, gaps)])
    checked = check(layers, gaps)
    if "room" in layers.values:
        return layers, checked
    told = [
        unconfigured(places, identity, below) if error.key == "room" else error
        for error in checked.mistakes
    ]
    return layers, Checked(told, checked.config)


def in_order(layers: Layers, error: ConfigError) -> tuple[int, int, int]:
    """To sort mistakes by: the place of the file, line and column."""
    paths = [part.source.path for part in layers.parts]
    file = paths.index(error.path) if error.path in paths else len(paths)
    return file, error.line or 0, error.column or 0


def _of_options(name: str, values: Any, *, whole: bool) -> Iterator[Mistake]:
    model: type[DeviceConfig] = type(Config.model_fields[name].default)
    try:
        section = model.model_validate(values)
    except ValidationError:
        # There were more mistakes than are told.
        return
    if whole or "backend" in section.model_fields_set:
        yield from option_mistakes(name, section, whole=whole)

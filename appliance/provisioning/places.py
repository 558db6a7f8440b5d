"""Where the files of a device's configuration lie, and in which order they count."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final

from appliance.provisioning.collecting import FLEET
from appliance.provisioning.config import Config, provisioning_of
from appliance.provisioning.errors import ConfigError
from appliance.provisioning.identity import Identity
from appliance.provisioning.layers import ENVIRONMENT, PANEL, Layers, Part, read_parts
from appliance.provisioning.mirror import Holding, Shelf
from appliance.provisioning.source import Source, held

DEVICE: Final = "device.toml"
"""The file of a device on its own, beside those of a fleet."""

DEVELOPMENT: Final = "ROOMLET_DEVELOPMENT"
VARIABLE: Final = "ROOMLET_CONFIG_"
"""With the first set to 1, variables as ROOMLET_CONFIG_CAMERA_RATE count."""


@dataclass(frozen=True, slots=True)
class Places:
    """Files and folders of one device."""

    image: Path = Path("/usr/lib/roomlet/config.toml")
    """What the image's maker set."""
    local: Path = Path("/etc/roomlet")
    """`fleet.toml`, `device.toml`, `<serial>.toml`, `<mac>.toml`."""
    boot: Path = Path("/boot/firmware/roomlet.toml")
    """On the partition that any computer can write."""
    usb: Path = Path("/run/roomlet/usb")
    """Where a stick is mounted, with the same names as on a web server."""
    state: Path = Path("/var/lib/roomlet/provisioning")
    """What the device itself writes."""

    @classmethod
    def under(cls, root: Path) -> Places:
        """The same places below another root: a mounted image, a test."""
        places = cls()
        moved = {
            field.name: root / str(getattr(places, field.name)).lstrip("/") for field in fields(cls)
        }
        return cls(**moved)

    @property
    def overrides(self) -> Path:
        """What people changed at the panel."""
        return self.state / "overrides.toml"

    @property
    def mirror(self) -> Path:
        """The fleet's signed files."""
        return self.state / "fleet.json"

    @property
    def schedule(self) -> Path:
        """When to look for new ones."""
        return self.state / "schedule.json"


def lasting_layers(
    places: Places, identity: Identity, holding: Holding, gaps: list[ConfigError] | None = None
) -> Layers:
    """The files that a configuration is put together from, as they are now, the lowest first.

    Image < fleet < device < boot partition < USB stick.  Raises ConfigError, or with `gaps` leaves
    out what cannot be read, as `read_parts`.
    """
    parts: list[Part] = []
    parts += _if_there("image", places.image, gaps)
    parts += _if_there("fleet", places.local / FLEET, gaps)
    parts += _signed("fleet", holding.web, "web", FLEET, places, gaps)
    parts += _if_there("device", places.local / DEVICE, gaps)
    for name in identity.names:
        parts += _if_there("device", places.local / name, gaps)
    for name in identity.names:
        parts += _signed("device", holding.web, "web", name, places, gaps)
    parts += _if_there("boot", places.boot, gaps)
    if holding.usb.files and _takes_sticks(Layers(parts), gaps):
        for name in (FLEET, *identity.names):
            parts += _signed("usb", holding.usb, "usb", name, places, gaps)
    return Layers(parts)


def _takes_sticks(layers: Layers, gaps: list[ConfigError] | None) -> bool:
    try:
        return provisioning_of(layers).usb
    except ConfigError:
        if gaps is None:
            raise
        # Who looks for all mistakes finds it in the merged files.
        return False


def unconfigured(places: Places, identity: Identity, layers: Layers) -> ConfigError:
    """The error of a device that was never told its room: what to do, and where that was looked
    for.  What counts stands first: a screen shows no more."""
    remedy = (
        f"write {places.local / DEVICE} ('roomlet config example' shows one), or name another file"
        " on the command line"
    )
    found = ", ".join(str(part.source.path) for part in layers.parts)
    if found:
        return ConfigError(f"no [room] is configured; {remedy}: there is none in {found}")
    names = ", ".join((FLEET, DEVICE, *identity.names))
    return ConfigError(
        f"no configuration was found; {remedy}: looked for {places.image}, {places.boot},"
        f" and in {places.local} for {names}"
    )


def panel_parts(places: Places, gaps: list[ConfigError] | None = None) -> list[Part]:
    """What people changed at the panel.  Raises ConfigError, or fills `gaps`."""
    return list(_if_there(PANEL, places.overrides, gaps))


def fleet_key(part: Part) -> ConfigError | None:
    """The mistake of a fleet's file that says whom to believe; None where it does not."""
    key = ("provisioning", "public_key")
    if not held(part.values, key):
        return None
    reason = "a fleet's key does not come with the fleet's files; see roomlet provision rotate"
    return part.source.error(key, reason)


def environment_parts(environ: Mapping[str, str] = os.environ) -> list[Part]:
    """What a developer set for one run.  Raises ConfigError."""
    if environ.get(DEVELOPMENT) != "1":
        return []
    lines = []
    for variable, value in sorted(environ.items()):
        name = variable.removeprefix(VARIABLE).lower()
        section, _, key = name.partition("_")
        if name == variable.lower() or section not in Config.model_fields or not key:
            continue
        lines.append(f"{section}.{key} = {_toml(value)}")
    source = Source(Path(f"{VARIABLE}*"), "\n".join(lines))
    return [Part(ENVIRONMENT, source, source.parse(), Path.cwd())] if lines else []


def _if_there(layer: str, path: Path, gaps: list[ConfigError] | None) -> Iterator[Part]:
    if path.exists():
        yield from read_parts(layer, path, gaps=gaps)


def _signed(
    layer: str,
    shelf: Shelf,
    source: str,
    name: str,
    places: Places,
    gaps: list[ConfigError] | None,
) -> Iterator[Part]:
    if name not in shelf.files:
        return

    def read(path: Path) -> Source:
        entry = shelf.files.get(path.name)
        if entry is None:
            raise ConfigError("is included, but not there; sign and upload it", path=path)
        return Source(path, entry.text)

    for part in read_parts(layer, Path(source) / name, read, folder=places.local, gaps=gaps):
        # Who looks for all mistakes looks for that as well.
        if gaps is None and (error := fleet_key(part)) is not None:
            raise error
        yield part


def _toml(value: str) -> str:
    """A value as it stands in TOML: as it is if that means something, else as a text."""
    try:
        tomllib.loads(f"x = {value}")
    except ValueError:
        escaped = "".join(
            c if c.isprintable() and c not in '"\\' else f"\\U{ord(c):08X}" for c in value
        )
        return f'"{escaped}"'
    return value

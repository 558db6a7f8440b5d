"""A merged configuration as people read it: each value, and the file that it comes from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

import tomli_w
from pydantic import SecretStr

from appliance.provisioning.config import Config
from appliance.provisioning.layers import Layers, Origin
from appliance.provisioning.mistakes import SECRET

Secrets = Literal["masked", "shown"]

MASK: Final = "********"

BUILT_IN: Final = "built-in"


def show(
    config: Config, layers: Layers, *, changed: bool = False, secrets: Secrets = "masked"
) -> str:
    """The text of a TOML file with the source of each value as a comment behind it.

    With `changed` only what differs from the built-in values.
    """
    sections: dict[str, list[str]] = {}
    for entry in entries(config, layers, changed=changed, secrets=secrets):
        origin = BUILT_IN if entry.origin is None else entry.origin
        lines = sections.setdefault(entry.section, [f"[{entry.section}]"])
        lines.append(f"{_name(entry.key)} = {entry.value}  # {origin}")
    return "\n".join("\n".join(lines) + "\n" for lines in sections.values())


@dataclass(frozen=True, slots=True)
class Entry:
    """One value of a configuration."""

    section: str
    key: str
    value: str
    """As it stands in TOML, on one line."""
    origin: Origin | None
    """None for what is built in."""


def entries(
    config: Config, layers: Layers, *, changed: bool = False, secrets: Secrets = "masked"
) -> Iterator[Entry]:
    """The values of a configuration in their order; see `show`."""
    for section in Config.model_fields:
        table = getattr(config, section)
        for key, field in type(table).model_fields.items():
            value = getattr(table, key)
            default = field.get_default(call_default_factory=True, validated_data={})
            if value is None or (changed and value == default):
                continue
            text = _toml("x", _plain(key, value, secrets)).partition(" = ")[2]
            yield Entry(section, key, text, layers.origin((section, key)))


def _plain(key: str, value: Any, secrets: Secrets) -> Any:
    """A value that TOML knows; a secret by its mask."""
    if isinstance(value, SecretStr):
        return value.get_secret_value() if secrets == "shown" else MASK
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, dict):
        return {k: _plain(k, v, secrets) for k, v in value.items()}
    if isinstance(value, list):
        return [_plain(key, one, secrets) for one in value]
    if isinstance(value, str) and secrets == "masked":
        if (password := password_in(value)) is not None:
            return value.replace(f":{password}@", f":{MASK}@")
        if is_secret(key):
            return MASK
    return value


def is_secret(key: str) -> bool:
    """Whether the values of a key of this name never stand in what people read."""
    # Others say where a secret is.
    is_open = key == "public_key" or key.endswith(("_file", "_credential", "_url"))
    return SECRET.search(key) is not None and not is_open


def password_in(text: str) -> str | None:
    """The password of an address, also of one without a scheme, as a room's host; None without one,
    and for what is no address."""
    if "@" not in text or any(c.isspace() for c in text):
        return None
    try:
        return urlsplit(text if "://" in text else f"//{text}").password
    except ValueError:
        return None


def _toml(key: str, value: Any) -> str:
    """On one line, tables too."""
    if isinstance(value, dict):
        inner = ", ".join(_toml(str(k), v) for k, v in value.items())
        return f"{_name(key)} = {{ {inner} }}" if inner else f"{_name(key)} = {{}}"
    if isinstance(value, list):
        return f"{_name(key)} = [{', '.join(_toml('x', one)[4:] for one in value)}]"
    return tomli_w.dumps({key: value}).strip()


def _name(key: str) -> str:
    return tomli_w.dumps({key: 0}).rpartition(" = ")[0]

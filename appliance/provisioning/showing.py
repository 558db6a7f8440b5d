"""A merged configuration as people read it: each value, and the file that it comes from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

import tomli_w
from pydantic import SecretStr

from appliance.provisioning.config import Config
from appliance.provisioning.layers import Layers
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
    sections = []
    for section in Config.model_fields:
        lines = list(_lines(config, layers, section, changed=changed, secrets=secrets))
        if lines:
            sections.append("\n".join([f"[{section}]", *lines]) + "\n")
    return "\n".join(sections)


def _lines(
    config: Config, layers: Layers, section: str, *, changed: bool, secrets: Secrets
) -> Iterator[str]:
    table = getattr(config, section)
    for key, field in type(table).model_fields.items():
        value = getattr(table, key)
        default = field.get_default(call_default_factory=True, validated_data={})
        if value is None or (changed and value == default):
            continue
        origin = layers.origin((section, key))
        text = _toml(key, _plain(key, value, secrets))
        yield f"{text}  # {BUILT_IN if origin is None else origin}"


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
        if (password := _password(value)) is not None:
            return value.replace(f":{password}@", f":{MASK}@")
        if SECRET.search(key) and key not in ("public_key", "token_credential"):
            return MASK
    return value


def _password(text: str) -> str | None:
    """The password of an address."""
    try:
        return urlsplit(text).password if "://" in text else None
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

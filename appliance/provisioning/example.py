"""A configuration with every key, its default and what it means, made from the model."""

from __future__ import annotations

import textwrap
from typing import Any, Final

import tomli_w
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from appliance.provisioning.config import Config
from appliance.provisioning.section import Section

SAMPLES: Final[dict[tuple[str, str], Any]] = {
    ("room", "host"): "ws://hub.local:8080",
    ("room", "name"): "lobby",
    ("room", "token"): "...",
    ("room", "token_file"): "room.token",
    ("room", "token_credential"): "room.token",
    ("room", "token_url"): "https://rooms.example/token",
    ("room", "token_secret_file"): "room.secret",
    ("room", "token_secret_credential"): "room.secret",
    ("room", "token_ca_file"): "rooms-ca.pem",
    ("panel", "pin_file"): "panel.pin",
    ("panel", "pin_credential"): "panel.pin",
    ("panel", "tls_cert"): "panel.crt",
    ("panel", "tls_key"): "panel.key",
    ("panel", "client_ca"): "visitors-ca.pem",
    ("provisioning", "public_key"): "RW...",
    ("provisioning", "ca_file"): "fleet-ca.pem",
    ("provisioning", "proxy"): "http://proxy.local:3128",
}
"""What stands for keys that have no default."""

CHOSEN: Final = {("room", "host"), ("room", "token_file")}
"""Those that are given: the example is a whole device."""

WIDTH: Final = 100


def example() -> str:
    """The text of a TOML file; what is commented out has no default."""
    sections = [
        _section(name, field.annotation)
        for name, field in Config.model_fields.items()
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section)
    ]
    return "\n".join(sections)


def _section(name: str, model: type[Section]) -> str:
    lines = _comment(model.__doc__ or "")
    lines.append(f"[{name}]")
    for key, field in model.model_fields.items():
        lines += _comment(field.description or "")
        lines.append(_line(name, key, field))
    return "\n".join(lines) + "\n"


def _line(section: str, key: str, field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True, validated_data={})
    if (section, key) in CHOSEN:
        return _assigned(key, SAMPLES[section, key])
    if value is None or value is PydanticUndefined:
        return f"# {_assigned(key, SAMPLES.get((section, key), '...'))}"
    return _assigned(key, value)


def _assigned(key: str, value: Any) -> str:
    if value == {}:
        # tomli_w would write a table of its own.
        return f"{key} = {{}}"
    return tomli_w.dumps({key: value}).strip()


def _comment(text: str) -> list[str]:
    paragraphs = [" ".join(part.split()) for part in text.split("\n\n")]
    return [
        line
        for part in paragraphs
        for line in textwrap.wrap(part, WIDTH, initial_indent="# ", subsequent_indent="# ")
    ]

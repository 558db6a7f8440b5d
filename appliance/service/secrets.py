"""The secrets of a configuration, so that they can be kept out of what people read."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from pydantic import BaseModel, SecretStr

from appliance.provisioning import Config, ConfigError
from appliance.provisioning.mistakes import SECRET

SHORTEST: Final = 4
"""Characters of a secret that is worth hiding: a shorter one stands in every other word."""

_WHERE: Final = ("public_key", "_credential", "_url", "_file")
"""Ends of keys that sound like a secret and tell only where it is."""


def secrets_of(config: Config) -> list[str]:
    """All that a configuration holds or points to, the longest first.  Reads a few files."""
    found = {secret for secret in _secrets(config) if len(secret) >= SHORTEST}
    return sorted(found, key=len, reverse=True)


def _secrets(config: Config) -> Iterator[str]:
    """What must not be told.  An error in what a library says may hold it."""
    with contextlib.suppress(ConfigError):
        yield config.read_token() or ""
    with contextlib.suppress(ConfigError):
        yield config.read_pin() or ""
    with contextlib.suppress(ConfigError):
        yield config.read_calendar_password() or ""
    with contextlib.suppress(ConfigError):
        yield config.read_turn_password() or ""
    with contextlib.suppress(ConfigError):
        # Without the kind of it that stands before.
        yield (config.read_token_secret() or "").rpartition(" ")[2]
    yield from _within("", config)


def _within(key: str, value: Any) -> Iterator[str]:
    if isinstance(value, BaseModel):
        value = dict(value)
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _within(str(name), inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _within(key, inner)
    elif isinstance(value, SecretStr):
        yield value.get_secret_value()
    elif isinstance(value, str) and value:
        if "://" in value and (password := urlsplit(value).password):
            yield password
        elif SECRET.search(key) and not key.endswith(_WHERE):
            yield value

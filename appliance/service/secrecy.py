"""What of a configuration must not be told."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any, Final

from pydantic import BaseModel, SecretStr

from appliance.provisioning import Config, ConfigError
from appliance.provisioning.showing import is_secret, password_in
from appliance.service.journal import SECRETS

LONG: Final = 8
"""Digits that no number in a log holds by chance."""


def conceal(config: Config) -> None:
    """Let no line of the log hold a secret of this configuration from now on, whoever writes it."""
    for secret in maskable(config):
        SECRETS.add(secret)


def maskable(config: Config) -> Iterator[str]:
    """Those that can be masked wherever they stand: a PIN that is masked in each number that
    happens to hold it is a PIN told."""
    for secret in secrets_of(config):
        if len(secret) >= LONG or not secret.isdecimal():
            yield secret


def secrets_of(config: Config) -> Iterator[str]:
    """Tokens, passwords and the like, those in files and credentials too; empty ones among them."""
    for read in (
        config.read_token,
        config.read_pin,
        config.read_calendar_password,
        config.read_turn_password,
    ):
        with contextlib.suppress(ConfigError):
            yield read() or ""
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
        if password := password_in(value):
            yield password
        elif is_secret(key):
            yield value

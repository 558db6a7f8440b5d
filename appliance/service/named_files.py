"""The files that a configuration names, looked at by what uses them when the device runs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from appliance.panel import Tls, TlsError
from appliance.provisioning import Config, ConfigError, ProvisioningError
from appliance.provisioning.config import CREDENTIALS
from appliance.provisioning.web import tls_context

_AUTHORITIES: Final = (
    ("room", "token_ca_file"),
    ("calendar", "ca_file"),
    ("provisioning", "ca_file"),
)
"""What names the certificates by which a server is believed."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """A file that cannot be used."""

    error: ConfigError
    """As a run tells it, with the place of the key that names it."""
    remark: ConfigError | None = None
    """What is to be said instead where a configuration is only written, of a file that is not here,
    or not for this user to read: where the device is it may be fine.  None for other files."""


def look_at_secrets(config: Config) -> None:
    """Read each token, PIN and password once.  Raises ConfigError for the first that cannot be."""
    for read in _readers(config):
        read()


def troubles(config: Config) -> Iterator[Trouble]:
    """What is wrong with the files.

    Who else may read a secret is told in the log, as in a run.  Credentials are for the service
    alone to see: they are looked at only where systemd gives this process any.
    """
    for error in (*_secrets(config), *_door(config), *_authorities(config)):
        section, _, name = (error.key or "").partition(".")
        value = getattr(getattr(config, section), name)
        if isinstance(value, Path):
            unseen = f"{value} cannot be looked at here; the device needs it"
            remark = config.error((section, name), unseen) if _is_unseen(value) else None
            yield Trouble(error, remark)
        elif os.environ.get(CREDENTIALS):
            yield Trouble(error)


def _readers(config: Config) -> tuple[Callable[[], object], ...]:
    return (
        config.read_token,
        config.read_pin,
        config.read_calendar_password,
        config.read_turn_password,
    )


def _secrets(config: Config) -> Iterator[ConfigError]:
    for read in _readers(config):
        try:
            read()
        except ConfigError as error:
            yield error


def _door(config: Config) -> Iterator[ConfigError]:
    panel = config.panel
    if not panel.enabled or panel.tls_cert is None or panel.tls_key is None:
        return
    tls = Tls(panel.tls_cert, panel.tls_key, panel.client_ca)
    found = list(tls.unreadable())
    if not found:
        try:
            tls.options()
        except TlsError as error:
            found.append(error)
    for trouble in found:
        yield config.error(("panel", trouble.key), str(trouble))


def _authorities(config: Config) -> Iterator[ConfigError]:
    for section, name in _AUTHORITIES:
        path: Path | None = getattr(getattr(config, section), name)
        if path is None:
            continue
        try:
            tls_context(path)
        except ProvisioningError as error:
            yield config.error((section, name), str(error))


def _is_unseen(path: Path) -> bool:
    try:
        path.open("rb").close()
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return True
    except OSError:
        pass
    return False

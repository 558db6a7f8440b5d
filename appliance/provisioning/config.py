"""The configuration of one device, whole and checked."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar, get_args

from pydantic import BaseModel, PrivateAttr, ValidationError, ValidationInfo, field_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from appliance.provisioning.devices import (
    CameraConfig,
    ControlsConfig,
    DeviceConfig,
    DisplayConfig,
    MicrophoneConfig,
    ScreenShareConfig,
    SpeakerConfig,
)
from appliance.provisioning.errors import ConfigError
from appliance.provisioning.layers import Layers, Part
from appliance.provisioning.mistakes import AND_MORE, Mistake, mistakes, without, worst
from appliance.provisioning.section import Section
from appliance.provisioning.sections import (
    CalendarConfig,
    LogConfig,
    MetricsConfig,
    MuteConfig,
    NetworkConfig,
    PanelConfig,
    PolicyConfig,
    ProbeConfig,
    ProvisioningConfig,
    RoomConfig,
    UpdatesConfig,
)
from appliance.provisioning.source import Key, dotted, held
from appliance.provisioning.values import FilePath, begins_at_home, overlap

__all__ = [
    "CalendarConfig",
    "CameraConfig",
    "Config",
    "ControlsConfig",
    "DeviceConfig",
    "DisplayConfig",
    "LogConfig",
    "MetricsConfig",
    "MicrophoneConfig",
    "MuteConfig",
    "NetworkConfig",
    "PanelConfig",
    "PolicyConfig",
    "ProbeConfig",
    "ProvisioningConfig",
    "RoomConfig",
    "ScreenShareConfig",
    "SpeakerConfig",
    "UpdatesConfig",
    "load",
]

log = logging.getLogger(__name__)

_S = TypeVar("_S", bound=Section)

TOKEN_MAX: Final = 16_384
"""Bytes of a token file that are read at most."""

PIN_LEAST: Final = 6
"""Characters of the shortest PIN: a million, which a guesser has to try a minute each."""

CREDENTIALS: Final = "CREDENTIALS_DIRECTORY"
"""The variable in which systemd tells a service where its credentials are."""

_OTHERS: Final = 0o077
"""The bits of a mode that let anybody but the owner at a secret."""

_warned: Final[set[Path]] = set()
"""Files that were warned of: they are read again at each try, and once is enough."""


class Config(Section):
    """A whole device."""

    room: RoomConfig
    camera: CameraConfig = CameraConfig()
    microphone: MicrophoneConfig = MicrophoneConfig()
    speaker: SpeakerConfig = SpeakerConfig()
    controls: ControlsConfig = ControlsConfig()
    display: DisplayConfig = DisplayConfig()
    screen_share: ScreenShareConfig = ScreenShareConfig()
    mute: MuteConfig = MuteConfig()
    policy: PolicyConfig = PolicyConfig()
    updates: UpdatesConfig = UpdatesConfig()
    calendar: CalendarConfig = CalendarConfig()
    network: NetworkConfig = NetworkConfig()
    panel: PanelConfig = PanelConfig()
    log: LogConfig = LogConfig()
    metrics: MetricsConfig = MetricsConfig()
    probe: ProbeConfig = ProbeConfig()
    provisioning: ProvisioningConfig = ProvisioningConfig()

    _layers: Layers | None = PrivateAttr(default=None)

    @field_validator("metrics")
    @classmethod
    def _beside_the_panel(cls, metrics: MetricsConfig, info: ValidationInfo) -> MetricsConfig:
        panel, listen = info.data.get("panel"), metrics.listen
        # A panel that is wrong is missing here, and told by itself.
        if panel is None or not panel.enabled or listen is None or listen.startswith("unix:"):
            return metrics
        if overlap(panel.listen, listen):
            clash = PydanticCustomError(
                "clash",
                "is where the panel listens (panel.listen = {panel}); give one of the two another"
                " port",
                {"panel": repr(panel.listen)},
            )
            detail = InitErrorDetails(type=clash, loc=("listen",), input=listen)
            # The key of the section is to blame, not the section.
            raise ValidationError.from_exception_data("metrics", [detail])
        return metrics

    @classmethod
    def from_layers(cls, layers: Layers) -> Config:
        """Check merged files.  Raises ConfigError for the first value that cannot be."""
        values, strict = anchored(layers), _strict(layers)
        try:
            config = cls.model_validate(values, strict=strict)
        except ValidationError:
            raise _error(layers, mistakes(cls, values, strict=strict)) from None
        return cls._of(config, layers)

    @classmethod
    def left_of(cls, layers: Layers, wrong: Iterable[Key]) -> Config | None:
        """What merged files say without the keys that are wrong; None where that is no device."""
        try:
            values = without(anchored(layers), wrong)
            config = cls.model_validate(values, strict=_strict(layers))
        except ValidationError:
            return None
        return cls._of(config, layers)

    @classmethod
    def _of(cls, config: Config, layers: Layers) -> Config:
        config._layers = layers
        if config.room.token is not None and (part := layers.part(("room", "token"))) is not None:
            _warn_of_config(part)
        return config

    @property
    def layers(self) -> Layers | None:
        """The files that it was put together from; None where it was in none."""
        return self._layers

    def error(self, key: Key, reason: str) -> ConfigError:
        """The error that blames a key of this configuration, with its place if it has one."""
        if self._layers is None:
            return ConfigError(reason, key=dotted(key))
        return self._layers.error(key, reason)

    def read_token(self) -> str | None:
        """The room token, None where the guest entrance or `token_url` gives it; the secret that
        opens that is looked at all the same.  Raises ConfigError.

        The file is read anew each time: a token may be renewed while the device runs.
        """
        room = self.room
        if room.token is not None:
            return room.token.get_secret_value().strip()
        if room.token_url is not None:
            self.read_token_secret()
        text = self._secret("room", "token", "room token")
        if text is not None and any(c.isspace() for c in text):
            key = "token_file" if room.token_credential is None else "token_credential"
            raise self.error(("room", key), "holds no room token; put one there, and nothing else")
        return text

    def read_token_secret(self) -> str | None:
        """What `token_url` wants as `Authorization`, None if nothing.  Raises ConfigError."""
        text = self._secret("room", "token_secret", "secret")
        return f"Bearer {text}" if text is not None and " " not in text else text

    def read_calendar_password(self) -> str | None:
        """The password of the calendar's user, None without one.  Raises ConfigError."""
        return self._secret("calendar", "password", "password")

    def read_turn_password(self) -> str | None:
        """The password of the relay's user, None without one.  Raises ConfigError."""
        return self._secret("network", "turn_password", "password")

    def read_pin(self) -> str | None:
        """What visitors of the panel give, None if nothing.  Raises ConfigError.

        Read anew each time, as the token is.
        """
        text = self._secret("panel", "pin", "PIN")
        if text is not None and len(text) < PIN_LEAST:
            key = "pin_file" if self.panel.pin_credential is None else "pin_credential"
            raise self.error(("panel", key), f"holds a PIN of less than {PIN_LEAST} characters")
        return text

    def _secret(self, section: str, stem: str, what: str) -> str | None:
        """The line in the file, or else in the credential, that a section's keys `STEM_file` and
        `STEM_credential` name."""
        values = getattr(self, section)
        path: Path | None = getattr(values, f"{stem}_file")
        name: str | None = getattr(values, f"{stem}_credential")
        key: Key = (section, f"{stem}_file")
        if name is not None:
            key, folder = (section, f"{stem}_credential"), os.environ.get(CREDENTIALS)
            if not folder:
                raise self.error(
                    key,
                    "systemd gives this process no credentials;"
                    f" add LoadCredential={name}:FILE to its unit",
                )
            path = Path(folder) / name
        if path is None:
            return None
        try:
            with path.open("rb") as file:
                data = file.read(TOKEN_MAX + 1)
                mode = os.fstat(file.fileno()).st_mode
        except (OSError, ValueError) as error:
            reason = (getattr(error, "strerror", None) or "cannot be read").lower()
            raise self.error(key, f"{path}: {reason}; put the {what} there") from None
        if name is None:
            # systemd guards the folder of credentials itself.
            _warn_of_others(path, mode, "can be read by others")
        text = data.decode("ascii", errors="replace").strip()
        if not text or len(data) > TOKEN_MAX or not (text.isascii() and text.isprintable()):
            raise self.error(key, f"{path} holds no {what}; put one there, and nothing else")
        return text


def load(path: Path) -> Config:
    """The configuration in a file.  Raises ConfigError: one line with file, line, column and
    key where they are known, what is wrong, and for a misspelt key the nearest valid one."""
    return Config.from_layers(Layers.of_file(path))


def provisioning_of(layers: Layers) -> ProvisioningConfig:
    """What merged files say of their own sources, even if they are no whole device yet.

    Raises ConfigError.
    """
    return _section(layers, "provisioning", ProvisioningConfig)


def updates_of(layers: Layers) -> UpdatesConfig:
    """What merged files say of updates, as `provisioning_of`."""
    return _section(layers, "updates", UpdatesConfig)


def _section(layers: Layers, name: str, model: type[_S]) -> _S:
    values, strict = anchored(layers).get(name, {}), _strict(layers)
    try:
        return model.model_validate(values, strict=strict)
    except ValidationError:
        raise _error(layers, mistakes(model, values, strict=strict), name) from None


def _error(layers: Layers, found: Sequence[Mistake], *table: str) -> ConfigError:
    """The error of the first of mistakes in a table, which tells how to see the others where
    somebody can."""
    key, reason = worst(found, lambda key: layers.place((*table, *key)))
    part = layers.part((*table, *key))
    if len(found) > 1 and (part is None or part.is_beside):
        reason += AND_MORE
    return layers.error((*table, *key), reason)


def _strict(layers: Layers) -> bool | None:
    """For pydantic: what a device goes by already may have numbers in quotes, for older versions
    took them; in all else the model decides."""
    return False if layers.accepted else None


def anchored(layers: Layers) -> dict[str, Any]:
    """The values, relative paths made to begin at the folder of the file that says them."""
    values = dict(layers.values)
    for key in _PATHS:
        section, name = key
        part = layers.part(key)
        if part is None or not held(values, key) or not isinstance(values[section][name], str):
            continue
        path = values[section][name]
        if not begins_at_home(Path(path)):
            # One that does is refused as it is, not looked for in a folder that is called ~.
            values[section] = values[section] | {name: str(part.base / path)}
    return values


def _paths() -> list[tuple[str, str]]:
    """The keys whose values are paths."""
    return [
        (section, name)
        for section, field in Config.model_fields.items()
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
        for name, inner in field.annotation.model_fields.items()
        if FilePath in get_args(inner.annotation)
    ]


_PATHS: Final = _paths()


def _warn_of_config(part: Part) -> None:
    path = part.source.path
    try:
        mode = path.stat().st_mode
    except OSError:
        return
    if part.is_signed:
        # It lies where a fleet's files are made, and is for a server that anybody may ask.
        remedy = "put the token on the device instead, and its place here (token_file)"
        _warn_of_others(path, mode, "holds a token, which a fleet's files tell everybody", remedy)
    else:
        _warn_of_others(path, mode, "holds a token and can be read by others")


def _warn_of_others(path: Path, mode: int, what: str, remedy: str | None = None) -> None:
    """Say once for each file that its mode lets others at it; mended and spoilt again, anew."""
    if not mode & _OTHERS:
        _warned.discard(path)
    elif path not in _warned:
        _warned.add(path)
        log.warning("%s %s; %s", path, what, remedy or f"run: chmod 600 {path}")

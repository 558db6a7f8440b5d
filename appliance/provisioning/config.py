"""The configuration of one device: a TOML file and what it may say."""

from __future__ import annotations

import difflib
import logging
import os
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from appliance.provisioning.errors import ConfigError
from appliance.provisioning.source import Key, Source, dotted

__all__ = [
    "CameraConfig",
    "Config",
    "ControlsConfig",
    "DeviceConfig",
    "DisplayConfig",
    "LogConfig",
    "MicrophoneConfig",
    "MuteConfig",
    "PanelConfig",
    "ProbeConfig",
    "RoomConfig",
    "SpeakerConfig",
    "load",
]

log = logging.getLogger(__name__)

TOKEN_MAX: Final = 16_384
"""Bytes of a token file that are read at most."""

_OTHERS: Final = 0o077
"""The bits of a mode that let anybody but the owner at a secret."""

_warned: Final[set[Path]] = set()
"""Files that were warned of: they are read again at each try, and once is enough."""


def _even(value: int) -> int:
    if value % 2:
        raise PydanticCustomError("odd", "must be even")
    return value


def _address(value: str) -> str:
    host, colon, port = value.rpartition(":")
    if not colon or not host or not port.isdecimal() or int(port) > 65535:
        raise PydanticCustomError("address", "must be an address and a port, as in 127.0.0.1:8081")
    return value


def _origin(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.path not in ("", "/"):
        raise PydanticCustomError("origin", "must be an origin, as in http://127.0.0.1:8080")
    return f"{parts.scheme}://{parts.netloc}"


def _host(value: str) -> str:
    scheme, separator, rest = value.partition("://")
    if separator and scheme.lower() not in ("ws", "wss", "http", "https"):
        raise PydanticCustomError("host", "must be HOST, ws://HOST:PORT or wss://HOST:PORT")
    if not (rest if separator else value) or any(c.isspace() for c in value):
        raise PydanticCustomError("host", "must be HOST, ws://HOST:PORT or wss://HOST:PORT")
    # A page's address is what people have at hand.
    return f"ws{scheme[4:]}://{rest}" if scheme.lower() in ("http", "https") else value


_Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]
_RoomName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]+$", max_length=100)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=False)


class RoomConfig(_Section):
    """`[room]`: which room, and what opens it.

    The token is in `token`, in `token_file` (a path, from the config file's own folder), or
    asked of the hub's guest entrance with `guest = true`.
    """

    host: Annotated[str, AfterValidator(_host)] | None = None
    """The room server; None where the token names one."""
    name: _RoomName | None = None
    """The room; needed with `guest`, else the token tells it."""
    token: SecretStr | None = None
    token_file: Path | None = None
    guest: bool = False
    user_name: _Name = "Roomlet"
    """What the other members see, where the token does not tell."""

    @field_validator("token_file")
    @classmethod
    def _from_folder(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        folder = (info.context or {}).get("folder")
        return folder / value if value is not None and folder is not None else value

    @model_validator(mode="after")
    def _one_way_in(self) -> RoomConfig:
        ways = [self.token is not None, self.token_file is not None, self.guest]
        if sum(ways) != 1:
            raise PydanticCustomError("way_in", "needs one of token, token_file and guest = true")
        if self.guest and (self.host is None or self.name is None):
            raise PydanticCustomError("way_in", "with guest = true needs host and name")
        return self


class DeviceConfig(_Section):
    """What every device class has: a backend, one device of it, the backend's own options."""

    backend: str = "auto"
    device: str | None = None
    options: dict[str, Any] = Field(default_factory=dict)

    @property
    def arguments(self) -> dict[str, Any]:
        """What the backend's constructor gets."""
        return self.options | ({} if self.device is None else {"device": self.device})


class CameraConfig(DeviceConfig):
    """`[camera]`: sizes in pixels, `rate` in pictures a second, `bitrate` in bit/s."""

    width: Annotated[int, Field(ge=64, le=3840), AfterValidator(_even)] = 1280
    height: Annotated[int, Field(ge=36, le=2160), AfterValidator(_even)] = 720
    rate: Annotated[float, Field(ge=1, le=60)] = 30.0
    bitrate: Annotated[int, Field(ge=150_000, le=20_000_000)] = 2_000_000


class MicrophoneConfig(DeviceConfig):
    """`[microphone]`: `bitrate` of Opus in bit/s."""

    bitrate: Annotated[int, Field(ge=8_000, le=128_000)] = 32_000


class SpeakerConfig(DeviceConfig):
    """`[speaker]`: `volume` from 0 to 100."""

    volume: Annotated[int, Field(ge=0, le=100)] = 100


class ControlsConfig(DeviceConfig):
    """`[controls]`: buttons and lights; pins stand in the backend's `options`."""


class DisplayConfig(DeviceConfig):
    """`[display]`: the screen."""


class MuteConfig(_Section):
    """`[mute]`: how the device begins, and who may open what."""

    start_muted: bool = False
    allow_remote_unmute: bool = False
    """Whether the server or a moderator may open what it closed; never what the room closed."""
    stop_microphone_while_muted: bool = True
    stop_camera_while_muted: bool = True


class PanelConfig(_Section):
    """`[panel]`: the device's local page."""

    enabled: bool = True
    listen: Annotated[str, AfterValidator(_address)] = "127.0.0.1:8081"
    frame_ancestors: list[Annotated[str, AfterValidator(_origin)]] = Field(default_factory=list)
    """Origins of the pages that may show the panel in a frame."""
    hosts: list[str] = Field(default_factory=list)
    """Further names under which the panel may be asked for."""


class LogConfig(_Section):
    """`[log]`: how much is told."""

    level: Literal["debug", "info", "warning", "error"] = "info"


class ProbeConfig(_Section):
    """`[probe]`: measurements on the running device."""

    enabled: bool = False
    tones: list[Annotated[float, Field(ge=50, le=20_000)]] = Field(default_factory=list)
    """Frequencies in Hz of the tones of other devices, to be listened for."""


class Config(_Section):
    """A whole device."""

    room: RoomConfig
    camera: CameraConfig = CameraConfig()
    microphone: MicrophoneConfig = MicrophoneConfig()
    speaker: SpeakerConfig = SpeakerConfig()
    controls: ControlsConfig = ControlsConfig()
    display: DisplayConfig = DisplayConfig()
    mute: MuteConfig = MuteConfig()
    panel: PanelConfig = PanelConfig()
    log: LogConfig = LogConfig()
    probe: ProbeConfig = ProbeConfig()

    _source: Source | None = PrivateAttr(default=None)

    @classmethod
    def from_source(cls, source: Source) -> Config:
        """Check a file's values.  Raises ConfigError for the first that cannot be."""
        values = source.parse()
        context = {"folder": source.path.absolute().parent}
        try:
            config = cls.model_validate(values, context=context)
        except ValidationError as error:
            raise _blame(source, error) from None
        config._source = source
        if config.room.token is not None:
            _warn_of_config(source.path)
        return config

    def error(self, key: Key, reason: str) -> ConfigError:
        """The error that blames a key of this configuration, with its place if it has one."""
        if self._source is None:
            return ConfigError(reason, key=dotted(key))
        return self._source.error(key, reason)

    def read_token(self) -> str | None:
        """The room token, None where the guest entrance gives it.  Raises ConfigError.

        The file is read anew each time: a token may be renewed while the device runs.
        """
        if self.room.token is not None:
            return self.room.token.get_secret_value().strip()
        path = self.room.token_file
        if path is None:
            return None
        key = ("room", "token_file")
        try:
            with path.open("rb") as file:
                text = file.read(TOKEN_MAX + 1)
                mode = os.fstat(file.fileno()).st_mode
        except OSError as error:
            reason = (error.strerror or "cannot be read").lower()
            raise self.error(key, f"{path}: {reason}; put the room token there") from None
        _warn_of_others(path, mode, "can be read by others")
        token = text.decode("ascii", errors="replace").strip()
        if not token or len(text) > TOKEN_MAX or any(c.isspace() for c in token):
            raise self.error(key, f"{path} holds no room token; put one there, and nothing else")
        return token


def load(path: Path) -> Config:
    """The configuration in a file.  Raises ConfigError: one line with file, line, column and
    key where they are known, what is wrong, and for a misspelt key the nearest valid one."""
    return Config.from_source(Source.read(path))


def _warn_of_config(path: Path) -> None:
    try:
        mode = path.stat().st_mode
    except OSError:
        return
    _warn_of_others(path, mode, "holds a token and can be read by others")


def _warn_of_others(path: Path, mode: int, what: str) -> None:
    """Say once for each file that its mode lets others at it; mended and spoilt again, anew."""
    if not mode & _OTHERS:
        _warned.discard(path)
    elif path not in _warned:
        _warned.add(path)
        log.warning("%s %s; run: chmod 600 %s", path, what, path)


def _blame(source: Source, error: ValidationError) -> ConfigError:
    # An unknown key goes first: misspelt, it is why another one is missing.
    details = error.errors(include_url=False)
    first = min(
        details,
        key=lambda detail: (
            detail["type"] != "extra_forbidden",
            source.locate(detail["loc"]) or (0, 0),
        ),
    )
    reason = _reason(first)
    if len(details) > 1 and first["type"] != "extra_forbidden":
        reason += f" (and {len(details) - 1} more)"
    return source.error(first["loc"], reason)


def _reason(detail: ErrorDetails) -> str:
    kind, key = detail["type"], detail["loc"]
    if kind == "extra_forbidden":
        name, known = str(key[-1]), _known(key[:-1])
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        if near:
            return f"unknown key, did you mean {near[0]}?"
        return f"unknown key, choose one of {', '.join(known)}"
    if kind == "missing":
        return "is missing; add it"
    text = detail["msg"]
    text = " ".join(text.split())
    text = text[:1].lower() + text[1:]
    if "token" in key or kind in ("way_in", "model_type"):
        return text
    value = repr(detail["input"])
    return f"{text}, not {value if len(value) <= 60 else value[:57] + '...'}"


def _known(key: Key) -> list[str]:
    """The keys of the table that `key` names."""
    model: Any = Config
    for part in key:
        field = model.model_fields[part]
        model = next(
            (
                t
                for t in (field.annotation, *get_args(field.annotation))
                if hasattr(t, "model_fields")
            ),
            Config,
        )
    return sorted(model.model_fields)

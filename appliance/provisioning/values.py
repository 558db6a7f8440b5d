"""The kinds of values that a configuration holds, and what is said of one that is none."""

from __future__ import annotations

import datetime as dt
import ipaddress
import re
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, Field, SecretStr, StringConstraints
from pydantic_core import PydanticCustomError

from appliance.provisioning import minisign


def even(value: int) -> int:
    """Raises PydanticCustomError for a number that is not."""
    if value % 2:
        raise PydanticCustomError("odd", "must be even")
    return value


def _address(value: str) -> str:
    host, colon, port = value.rpartition(":")
    if not colon or not host or not port.isdecimal() or int(port) > 65535:
        raise PydanticCustomError("address", "must be an address and a port, as in 127.0.0.1:8081")
    return value


def begins_at_home(path: Path) -> bool:
    """Whether a path begins with the home of somebody, as shells have it."""
    first = path.parts[0] if path.parts else ""
    return first == "~" or (first.startswith("~") and len(path.parts) > 1)


def _file_path(value: Path) -> Path:
    if begins_at_home(value):
        # The service's user has no home, and whose else it would be nobody can tell.
        raise PydanticCustomError(
            "file_path", "must be a whole path, or one from the folder of this file, without ~"
        )
    return value


def is_loopback(listen: str) -> bool:
    """Whether an address with a port can be reached from this machine alone."""
    host = listen.rpartition(":")[0].removeprefix("[").removesuffix("]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def overlap(one: str, other: str) -> bool:
    """Whether two addresses with ports cannot both be listened at on one machine."""
    (host, _, port), (beside, _, its_port) = one.rpartition(":"), other.rpartition(":")
    if int(port) != int(its_port) or int(port) == 0:
        return False
    a, b = _listened_at(host), _listened_at(beside)
    return a == b or _covers(a, b) or _covers(b, a)


def _listened_at(host: str) -> str:
    """A host to listen at in its one spelling, as far as nobody has to be asked for it."""
    name = host.removeprefix("[").removesuffix("]").lower()
    try:
        return "127.0.0.1" if name == "localhost" else str(ipaddress.ip_address(name))
    except ValueError:
        return name


def _covers(wide: str, narrow: str) -> bool:
    """Whether all of IPv4, or of both, is listened at, and the other is of that."""
    return wide == "::" or (wide == "0.0.0.0" and ":" not in narrow)


def _metrics_address(value: str) -> str:
    kind, colon, path = value.partition(":")
    if colon and kind == "unix":
        # What the kernel takes as the address of a socket.
        if not path.startswith("/") or len(path.encode()) > 107:
            raise PydanticCustomError("address", "must be unix:, and a path of at most 107 bytes")
        return value
    return _address(value)


def _clock(value: str) -> str:
    try:
        fine = len(value) == 5 and dt.time.fromisoformat(value) is not None
    except ValueError:
        fine = False
    if not fine:
        raise PydanticCustomError("clock", "must be a time of day, as in 07:30")
    return value


def _origin(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.path not in ("", "/"):
        raise PydanticCustomError("origin", "must be an origin, as in http://127.0.0.1:8080")
    return f"{parts.scheme}://{parts.netloc}"


def _url(value: str, *schemes: str) -> SplitResult | None:
    """The parts of an address of one of these schemes; None for what is none."""
    try:
        parts = urlsplit(value)
        # A port that is no number, or too large a one, is found only when it is asked for.
        fine = parts.scheme in schemes and parts.hostname and parts.port != 0
    except ValueError:
        return None
    return parts if fine and not any(c.isspace() for c in value) else None


def _is_request(value: str) -> bool:
    """Whether an address can stand in a request as it is."""
    return value.isascii() and value.isprintable() and " " not in value and "#" not in value


def _host(value: str) -> str:
    scheme, separator, rest = value.partition("://")
    whole = value if separator else f"wss://{value}"
    # A fragment is a page's: no WebSocket address has one.
    if _url(whole, "ws", "wss", "http", "https") is None or "#" in value:
        raise PydanticCustomError("host", "must be HOST, ws://HOST:PORT or wss://HOST:PORT")
    # A page's address is what people have at hand.
    return f"ws{scheme[4:]}://{rest}" if scheme.lower() in ("http", "https") else value


def is_bare(host: str) -> bool:
    """Whether a room server is named without a path or a query."""
    rest = host.partition("://")[2] or host
    return "?" not in rest and "/" not in rest.removesuffix("/")


def _folder_url(value: str) -> str:
    if _url(value, "https") is None or "?" in value or "#" in value:
        raise PydanticCustomError("folder_url", "must be the https address of a folder")
    return value.rstrip("/") + "/"


def _proxy(value: str) -> str:
    if _url(value, "http", "https") is None:
        raise PydanticCustomError("proxy", "must be a proxy's address, as in http://proxy:3128")
    return value


def _public_key(value: str) -> str:
    try:
        return str(minisign.PublicKey.parse(value))
    except minisign.MinisignError as error:
        raise PydanticCustomError("public_key", "{reason}", {"reason": str(error)}) from None


def _token_url(value: str) -> str:
    if _url(value, "https") is None or not _is_request(value):
        raise PydanticCustomError("token_url", "must be an https address")
    return value


def _calendar_url(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    parts = _url(text, "https", "http")
    if (
        parts is None
        or parts.username is not None
        or not _is_request(text)
        # Who can change the answer on its way decides when the camera is live; so plain http is
        # for what runs on this very machine.
        or (parts.scheme == "http" and parts.hostname not in ("127.0.0.1", "::1", "localhost"))
    ):
        raise PydanticCustomError(
            "calendar_url", "must be an https address without a password; user says who asks"
        )
    return value


def _stun_url(value: str) -> str:
    if re.fullmatch(rf"stun:{_ICE_HOST}", value) is None:
        raise PydanticCustomError("stun_url", "must be stun:HOST or stun:HOST:PORT")
    return value


def _turn_url(value: str) -> str:
    # What aiortc speaks: TLS goes over TCP alone.
    plain = re.fullmatch(rf"turn:{_ICE_HOST}(\?transport=(udp|tcp))?", value)
    if plain is None and re.fullmatch(rf"turns:{_ICE_HOST}(\?transport=tcp)?", value) is None:
        raise PydanticCustomError(
            "turn_url", "must be turn:HOST:PORT?transport=udp, with tcp, or turns:HOST:PORT"
        )
    return value


_ICE_HOST: Final = r"[A-Za-z0-9.-]{1,253}(:\d{1,5})?"


def _header_value(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    if not (text.isascii() and text.isprintable()) or text != text.strip():
        raise PydanticCustomError("header", "must be printable ASCII, as a header's value is")
    return value


def _mail_address(text: str) -> str:
    if re.fullmatch(r"[^\s@:]+@[^\s@:]+", text) is None:
        raise PydanticCustomError("mail", "must be a mail address, as in room@example.com")
    return text


FilePath = Annotated[Path, Field(strict=False), AfterValidator(_file_path)]
"""TOML has no paths: a text is one."""
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]
RoomName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]+$", max_length=100)]
HeaderName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]+$", max_length=100)]
HeaderValue = Annotated[SecretStr, AfterValidator(_header_value)]
Interface = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.:-]{1,64}$")]
HostPort = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9.:\[\]-]{1,260}$")]
MailAddress = Annotated[str, StringConstraints(max_length=254), AfterValidator(_mail_address)]
CredentialName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,200}$")]
Address = Annotated[str, AfterValidator(_address)]
MetricsAddress = Annotated[str, AfterValidator(_metrics_address)]
Clock = Annotated[str, AfterValidator(_clock)]
Origin = Annotated[str, AfterValidator(_origin)]
Host = Annotated[str, AfterValidator(_host)]
FolderUrl = Annotated[str, AfterValidator(_folder_url)]
ProxyUrl = Annotated[str, AfterValidator(_proxy)]
PublicKeyText = Annotated[str, AfterValidator(_public_key)]
TokenUrl = Annotated[str, AfterValidator(_token_url)]
CalendarUrl = Annotated[SecretStr, AfterValidator(_calendar_url)]
StunUrl = Annotated[str, AfterValidator(_stun_url)]
TurnUrl = Annotated[str, AfterValidator(_turn_url)]

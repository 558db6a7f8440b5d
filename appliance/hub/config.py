"""What can be set about the room server."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from appliance.hub.tokens import RoomName
from appliance.signaling.layouts import LAYOUTS

__all__ = ["HubConfig", "PanelLink", "parse_address"]

LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")


def parse_address(text: str) -> tuple[str, int]:
    """Host and port of ``HOST:PORT`` or ``[IPV6]:PORT``. Raises ValueError."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ValueError(f"{text!r} is no address; give HOST:PORT, for example 127.0.0.1:8080")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError(f"{text!r} is no address; an IPv6 address stands in brackets: [::1]:8080")
    return host, int(port)


def _address(text: str) -> str:
    parse_address(text)
    return text


def _ip_address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise ValueError(f"{text!r} is no IP address; give one of this machine's") from None


def _host_name(text: str) -> str:
    name = text.lower().removesuffix(".")
    if not re.fullmatch(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?", name):
        raise ValueError(f"{text!r} is no host name; give one without a port, such as hub.example")
    return name


def _layout(name: str) -> str:
    if name not in LAYOUTS:
        raise ValueError(f"there is no layout {name!r}; there are {', '.join(LAYOUTS)}")
    return name


def _panel_url(text: str) -> str:
    if not re.fullmatch(r"https?://[^\s\"';,]+", text):
        raise ValueError(f"{text!r} is no address of a panel; give one as http://HOST:PORT")
    return text


class PanelLink(BaseModel):
    """The panel of a device, shown beside a room's page."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    url: Annotated[str, AfterValidator(_panel_url)]


class HubConfig(BaseModel):
    """The settings of a hub. Wrong ones raise pydantic's ValidationError."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    #: Where the hub listens, for HTTP and WebSocket alike. Port 0 picks a free one.
    listen: Annotated[str, AfterValidator(_address)] = "127.0.0.1:8080"
    #: The directory of keys and of all that the hub keeps.
    data: Path
    #: Rooms that visitors of the page may enter without a token; made at the start.
    open_rooms: tuple[RoomName, ...] = ()
    #: Whether a token that does not tell may open a room that does not exist.
    auto_create_rooms: bool = False
    #: The canvas of each room, in pixels, and its pictures a second.
    width: Annotated[int, Field(ge=160, le=3840, multiple_of=2)] = 1280
    height: Annotated[int, Field(ge=90, le=2160, multiple_of=2)] = 720
    rate: Annotated[int, Field(ge=1, le=60)] = 30
    #: The layout that a room begins with.
    layout: Annotated[str, AfterValidator(_layout)] = "grid-responsive"
    #: Members of one room; the audience does not count.
    max_members: Annotated[int, Field(ge=1, le=300)] = 50
    #: Certificate chain and private key (PEM), for https and wss.
    cert: Path | None = None
    key: Path | None = None
    #: Local IP addresses that media are received at. Without any: the loopback where the hub
    #: listens there, else every address of the machine.
    addresses: tuple[Annotated[str, AfterValidator(_ip_address)], ...] | None = None
    #: Further names that the hub answers to; see `host_names`.
    allowed_hosts: tuple[Annotated[str, AfterValidator(_host_name)], ...] = ()
    #: Panels to show beside a room's page.
    panels: tuple[PanelLink, ...] = ()

    @model_validator(mode="after")
    def _both_or_none(self) -> HubConfig:
        if (self.cert is None) != (self.key is None):
            raise ValueError("cert and key go together; give both, or none for plain HTTP")
        return self

    @property
    def host_names(self) -> tuple[str, ...]:
        """The names that the hub answers to, beside those of its machine and all IP addresses."""
        host, _ = parse_address(self.listen)
        return (*self.allowed_hosts, host) if host else self.allowed_hosts

    @property
    def media_addresses(self) -> tuple[str, ...] | None:
        """The addresses that media connections offer; None for all of the machine."""
        if self.addresses:
            return self.addresses
        host, _ = parse_address(self.listen)
        if host in LOOPBACK or host.startswith("127."):
            return ("::1",) if host == "::1" else ("127.0.0.1",)
        return None

from __future__ import annotations

from typing import Any

import pytest
from pydantic import SecretStr, TypeAdapter, ValidationError

from appliance.provisioning.values import CalendarUrl, FolderUrl, Host, ProxyUrl, TokenUrl


def taken(kind: Any, text: str) -> str:
    value = TypeAdapter(kind).validate_python(text)
    return value.get_secret_value() if isinstance(value, SecretStr) else value


@pytest.mark.parametrize(
    ("kind", "text", "as_"),
    [
        (Host, "hub", None),
        (Host, "hub.local:8080", None),
        (Host, "ws://[fd00::7]:8443", None),
        (Host, "https://hub.example", "wss://hub.example"),
        (Host, "HTTP://hub:8080", "ws://hub:8080"),
        (Host, "oak:secret@hub.local/ws?room=1", None),
        (FolderUrl, "https://a", "https://a/"),
        (FolderUrl, "https://a:8443/x//", "https://a:8443/x/"),
        (ProxyUrl, "http://proxy:3128", None),
        (ProxyUrl, "https://me:secret@proxy", None),
        (TokenUrl, "https://rooms.example/token?site=3", None),
        (CalendarUrl, "https://calendar.example/oak.ics?k=1", None),
        (CalendarUrl, "http://127.0.0.1:5232/oak/", None),
        (CalendarUrl, "http://[::1]/oak.ics", None),
    ],
)
def test_an_address_that_can_be(kind: Any, text: str, as_: str | None) -> None:
    assert taken(kind, text) == (as_ or text)


NOWHERE = ["", "https://", "https://:8443", "https://a:99999/", "https://a:0/", "https://a:b/"]
BROKEN = ["https://[fd00::7", "https://a b/", "https://a/\n", "ftp://a"]


@pytest.mark.parametrize("kind", [Host, FolderUrl, ProxyUrl, TokenUrl, CalendarUrl])
@pytest.mark.parametrize("text", [*NOWHERE, *BROKEN])
def test_an_address_of_nothing_is_refused_wherever_it_stands(kind: Any, text: str) -> None:
    with pytest.raises(ValidationError, match="must be"):
        taken(kind, text)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (Host, "ws://hub/#oak"),
        (Host, "hub#"),
        (FolderUrl, "http://a/"),
        (FolderUrl, "https://a/?b=c"),
        (FolderUrl, "https://a/#b"),
        (ProxyUrl, "socks5://proxy"),
        (TokenUrl, "http://rooms.example/token"),
        (TokenUrl, "https://rooms.example/#b"),
        (TokenUrl, "https://rooms.example/ü"),
        (CalendarUrl, "http://calendar.example/oak.ics"),
        (CalendarUrl, "http://127.0.0.1.calendar.example/oak.ics"),
        (CalendarUrl, "https://oak:c4n4ry@calendar.example/"),
        (CalendarUrl, "https://calendar.example/#b"),
    ],
)
def test_an_address_that_is_for_something_else(kind: Any, text: str) -> None:
    with pytest.raises(ValidationError, match="must be"):
        taken(kind, text)

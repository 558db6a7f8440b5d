"""What can be set about the hub, and what cannot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from appliance.hub.config import HubConfig, parse_address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:8080", ("127.0.0.1", 8080)),
        ("localhost:0", ("localhost", 0)),
        ("[::1]:8080", ("::1", 8080)),
        (":8080", ("", 8080)),
    ],
)
def test_addresses(text: str, address: tuple[str, int]) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize(
    "text", ["", "8080", "host", "host:", "host:x", "h:99999", "::1:80", "h:-1"]
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ValueError, match="is no address"):
        parse_address(text)


@pytest.mark.parametrize(
    ("settings", "addresses"),
    [
        ({"listen": "127.0.0.1:0"}, ("127.0.0.1",)),
        ({"listen": "localhost:0"}, ("127.0.0.1",)),
        ({"listen": "[::1]:0"}, ("::1",)),
        ({"listen": "0.0.0.0:0"}, None),
        ({"listen": "10.1.2.3:0"}, None),
        ({"listen": "127.0.0.1:0", "addresses": ("10.1.2.3",)}, ("10.1.2.3",)),
    ],
)
def test_media_are_where_the_hub_is(
    settings: dict[str, Any], addresses: tuple[str, ...] | None
) -> None:
    assert HubConfig(data=Path("x"), **settings).media_addresses == addresses


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({}, ("127.0.0.1",)),
        ({"listen": "hub.lan:80"}, ("hub.lan",)),
        ({"listen": ":80"}, ()),
        (
            {"listen": "[::]:80", "allowed_hosts": ["Hub.Example.", "meet"]},
            ("hub.example", "meet", "::"),
        ),
    ],
)
def test_the_hub_answers_to_where_it_listens_and_to_what_it_is_told(
    settings: dict[str, Any], names: tuple[str, ...]
) -> None:
    assert HubConfig(data=Path("x"), **settings).host_names == names


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"allowed_hosts": ["http://hub.example"]}, "allowed_hosts"),
        ({"allowed_hosts": ["hub.example:8080"]}, "allowed_hosts"),
        ({"allowed_hosts": ["hub example"]}, "allowed_hosts"),
        ({"allowed_hosts": ["*"]}, "allowed_hosts"),
        ({"allowed_hosts": [""]}, "allowed_hosts"),
        ({"addresses": ["hub.example"]}, "addresses"),
        ({"addresses": ["127.0.0.1:80"]}, "addresses"),
        ({"listen": "x"}, "listen"),
        ({"open_rooms": ("de mo",)}, "open_rooms"),
        ({"width": 1281}, "width"),
        ({"height": 10}, "height"),
        ({"rate": 0}, "rate"),
        ({"layout": "11x11"}, "layout"),
        ({"max_members": 0}, "max_members"),
        ({"cert": Path("x")}, "cert"),
        ({"panels": [{"name": "x", "url": "javascript:alert(1)"}]}, "panels"),
        ({"panels": [{"name": "x", "url": "http://x; script-src *"}]}, "panels"),
        ({"lsiten": "x"}, "lsiten"),
    ],
)
def test_wrong_settings_are_named(settings: dict[str, Any], name: str) -> None:
    with pytest.raises(ValidationError) as caught:
        HubConfig(data=Path("x"), **settings)
    assert name in str(caught.value)

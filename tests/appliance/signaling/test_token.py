from __future__ import annotations

import base64
import json

import jwt
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from appliance.signaling.errors import ProtocolError
from appliance.signaling.token import DEFAULT_URL, TokenInfo, inspect, websocket_url

KEY = "a key of no worth, and long enough to sign with"


def token(**header: object) -> str:
    return jwt.encode({"r": "spike", "ja": "member"}, KEY, headers={"typ": "VRT", **header})


def test_a_room_token_is_read():
    assert inspect(token(ch="ws://hub.local:8080")) == TokenInfo(
        "VRT", "ws://hub.local:8080", "spike"
    )


def test_another_type_is_told():
    assert inspect(token(typ="SAT")).type == "SAT"


def test_a_token_without_header_fields_is_a_room_token():
    plain = jwt.encode({"r": "spike"}, KEY, headers={"typ": None})
    assert inspect(plain) == TokenInfo("VRT", None, "spike")


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "opaque",
    [
        "",
        ".",
        "..",
        "opaque",
        "Käthe",
        "a.b.c",
        f"{part([])}.{part(3)}.x",
        f"{part({'ch': 5, 'typ': []})}.{part({'r': {}})}",
        part({"x": 1})[:-1],
        base64.b64encode(b"[" * 100_000).decode(),
    ],
)
def test_an_opaque_token_tells_nothing(opaque: str):
    assert inspect(opaque) == TokenInfo("VRT", None, None)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("demo\nREADY=1\x1b[31m", "demo READY=1 [31m"),
        ("\ud800 oak\u202e", "oak"),
        ("\n", None),
        ("x" * 5000, "x" * 299 + "…"),
    ],
)
def test_a_room_is_told_on_one_line(name: str, told: str | None):
    assert inspect(f"{part({})}.{part({'r': name})}.x").room == told


@given(st.text())
@example("\ud800")
def test_no_token_is_too_odd(text: str):
    assert isinstance(inspect(text), TokenInfo)


@pytest.mark.parametrize(
    ("host", "url"),
    [
        (None, DEFAULT_URL),
        ("", DEFAULT_URL),
        ("ws://127.0.0.1:8093/ws/api?room=1", "ws://127.0.0.1:8093/ws/api?room=1"),
        ("wss://hub.local", "wss://hub.local"),
        ("127.0.0.1:8093", "wss://127.0.0.1:8093"),
        ("hub.local/ws", "wss://hub.local/ws"),
        (" ws://hub.local\n", "ws://hub.local"),
    ],
)
def test_where_a_token_without_host_leads(host: str | None, url: str):
    assert websocket_url(host, token()) == url
    assert websocket_url(host, "opaque") == url


def test_the_tokens_host_wins():
    assert websocket_url("ws://other", token(ch="ws://hub:1")) == "ws://hub:1"
    assert websocket_url(None, token(ch="hub:1")) == "wss://hub:1"


@pytest.mark.parametrize("host", ["http://hub:8080", "ftp://x", "ws://a b"])
def test_other_addresses_are_refused_with_the_remedy(host: str):
    with pytest.raises(ProtocolError, match="give ws://HOST:PORT"):
        websocket_url(host, "opaque")

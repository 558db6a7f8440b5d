"""What a client might send that no client should: hypothesis' strategies round real messages.

The seeds are the frames that the official SDK really sent, and every method that the hub knows.
Names in them that only a running meeting knows stand as ``@session``, ``@member``, ``@call``
(the client's own), ``@other`` (another member), ``@token`` and ``@url``; `fill` puts them in, after
all faults: no made-up address is ever spoken to.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from hypothesis import strategies as st

from appliance.hub.rpc import METHODS
from appliance.signaling import jsonrpc, verto
from tests.appliance.signaling.golden import frames

Kind = Literal["text", "binary", "broken text", "fragments"]


@dataclass(frozen=True)
class Message:
    """One WebSocket message: `data` as text, as binary, as text that need not be UTF-8, or as
    text in several frames."""

    kind: Kind
    data: str | bytes


def _harmless(sdp: str) -> str:
    """The offer with one candidate, at a port where nobody listens."""
    lines = [line for line in sdp.split("\r\n") if not line.startswith("a=candidate:")]
    candidate = "a=candidate:1 1 udp 2122194688 127.0.0.1 9 typ host generation 0"
    at = next(i for i, line in enumerate(lines) if line.startswith("a=ice-ufrag:"))
    return "\r\n".join([*lines[:at], candidate, *lines[at:]])


OFFERS = [
    _harmless(frame.message["params"]["message"]["params"]["sdp"])
    for frame in frames()
    if frame.kind == "verto.invite"
]
"""What browsers offered: sound and pictures, a screen, an extra device, an onlooker."""

_PARAMS = {
    "room_session_id": "@session",
    "member_id": "@member",
    "volume": 10,
    "value": 30,
    "position": "standard-1",
    "positions": {"self": "reserved-0", "@other": "auto"},
    "name": "2x2",
    "meta": {"a": 1},
    "keys": ["a"],
    "enable": True,
    "url": "@url",
    "recording_id": "r",
    "playback_id": "p",
    "stream_id": "s",
}


def _seeds() -> list[dict[str, Any]]:
    found = [jsonrpc.request(method, _PARAMS, "seed") for method in METHODS]
    for frame in frames():
        message = copy.deepcopy(frame.message)
        params = message.get("params", {})
        for name, value in _PARAMS.items():
            if name in params and name.endswith("id"):
                params[name] = value
        if "url" in params:
            params["url"] = _PARAMS["url"]
        if "authentication" in params:
            params["authentication"]["jwt_token"] = "@token"
        inner = params.get("message", {}).get("params", {})
        if "sdp" in inner:
            inner["sdp"] = _harmless(inner["sdp"])
        if "dialogParams" in inner:
            inner["dialogParams"]["callID"] = params["callID"] = "@call"
            variables = inner["dialogParams"].get("userVariables", {})
            if "memberId" in variables:
                variables["memberId"] = "@member"
        found.append(message)
    call = verto.invite("@call", OFFERS[0])
    for method in ("verto.bye", "verto.modify", "verto.info", "verto.pong", "verto.x", ""):
        message = {**call, "method": method}
        params = verto.envelope(message, call_id="@call")
        found.append(jsonrpc.request("video.message", params, "seed"))
    return found


SEEDS = _seeds()

_DEEP = '{"a":' * 3000 + "1" + "}" * 3000
_DEEP_LIST = "[" * 100_000

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=20)
    | st.sampled_from(
        [2**53, -(2**63), 10**400, 5e-324, 1e308, "", "\0", "\ud800", "\u202e\r\n", "x" * 5000]
    )
    | st.sampled_from(["@session", "@member", "@call", "@other", "all", "self", "200", "403"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from([*_PARAMS, "id", "a", "__class__"]), inner, max_size=4)
    ),
    max_leaves=10,
)
"""Any JSON, with a liking for what is at the edge."""

_TOKENS = [
    "NaN",
    "Infinity",
    "-Infinity",
    "1e999",
    "9" * 5000,
    "-",
    "\\ud800",
    '"\\u0000"',
    "1.",
    "",
]


def _paths(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where every value inside stands, the outermost too."""
    found = [at]
    if isinstance(value, dict):
        for key, inner in value.items():
            found += _paths(inner, (*at, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            found += _paths(inner, (*at, index))
    return found


def _mangled_sdp(draw: Callable[[st.SearchStrategy[Any]], Any], sdp: str) -> str:
    """An offer with lines gone, doubled, swapped, cut or written over. It names no address that
    was not in it."""
    lines = sdp.split("\r\n")
    for _ in range(draw(st.integers(1, 4))):
        at, other = (draw(st.integers(0, len(lines) - 1)) for _ in range(2))
        line = lines[at]
        match draw(st.sampled_from(["drop", "double", "swap", "cut", "number", "junk", "end"])):
            case "drop":
                del lines[at]
            case "double":
                lines.insert(other, line)
            case "swap":
                lines[at], lines[other] = lines[other], line
            case "cut":
                lines[at] = line[: draw(st.integers(0, len(line)))]
            case "number" if not line.startswith(("c=", "a=candidate", "a=rtcp:")):
                new = draw(st.sampled_from(["-1", "0", "99999999999", "1e9", "x", ""]))
                lines[at] = re.sub(r"\d+", new, line, count=1)
            case "junk":
                lines[at] = line[:2] + draw(st.text(alphabet="abc:=/ *\t\0é", max_size=30))
            case _:
                lines = lines[: at + 1]
        if not lines:
            break
    return draw(st.sampled_from(["\r\n", "\n"])).join(lines)


@st.composite
def _mutated(draw: Callable[[st.SearchStrategy[Any]], Any]) -> str:
    """The text of a real message with some faults in it."""
    message = copy.deepcopy(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(0, 3))):
        *way, last = draw(st.sampled_from(_paths(message)[1:] or [("id",)]))
        holder = message
        for step in way:
            holder = holder[step]
        value = holder[last] if isinstance(holder, list) else holder.get(last)
        match draw(st.sampled_from(["drop", "replace", "text", "wrap", "copy", "case"])):
            case _ if last == "sdp" and isinstance(value, str) and len(value) > 100:
                holder[last] = _mangled_sdp(draw, value)
            case "drop":
                del holder[last]
            case "replace":
                holder[last] = draw(json_values)
            case "text":
                holder[last] = json.dumps(value)
            case "wrap":
                holder[last] = draw(st.sampled_from([[value], {"x": value}]))
            case "copy" if isinstance(holder, dict):
                holder[draw(st.sampled_from([*_PARAMS, "id", "method", "result"]))] = value
            case _ if isinstance(holder, dict):
                holder[str(last).upper()] = holder.pop(last)
        if not message:
            break
    text = json.dumps(message)
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
        at = draw(st.integers(0, len(text)))
        match draw(st.sampled_from(["cut", "insert", "double", "number", "deep"])):
            case "cut":
                text = text[:at]
            case "insert":
                text = text[:at] + draw(st.text(max_size=3)) + text[at:]
            case "double":
                # The same keys twice, or two objects in one message.
                text = draw(
                    st.sampled_from([text + text, text.replace("{", "{" + text[1:-1] + ",", 1)])
                )
            case "number":
                new = draw(st.sampled_from(_TOKENS))
                before, found, after = text.partition(
                    draw(st.sampled_from(['"seed"', "true", "1"]))
                )
                text = before + new + after if found else text
            case _:
                deep = draw(st.sampled_from([_DEEP, _DEEP_LIST]))
                text = text.replace("{}", deep, 1) if "{}" in text else deep
    return text


@st.composite
def _broken(draw: Callable[[st.SearchStrategy[Any]], Any]) -> bytes:
    """A real message that is no UTF-8 any more."""
    data = json.dumps(draw(st.sampled_from(SEEDS))).encode()
    at = draw(st.integers(0, len(data)))
    return (
        data[:at]
        + draw(st.sampled_from([b"\xff", b"\xc3\x28", b"\xed\xa0\x80", b"\xf8"]))
        + data[at:]
    )


def messages() -> st.SearchStrategy[Message]:
    """What a client that got over the handshake might send."""
    text = _mutated() | json_values.map(json.dumps) | st.text(max_size=60)
    huge = st.sampled_from([262_144, 262_145, 2_000_000]).map(lambda size: '{"id":"' + "x" * size)
    return st.one_of(
        *[_mutated().map(lambda data: Message("text", data))] * 12,
        text.map(lambda data: Message("text", data)),
        text.map(lambda data: Message("fragments", data)),
        huge.map(lambda data: Message("text", data)),
        st.binary(max_size=200).map(lambda data: Message("binary", data)),
        _broken().map(lambda data: Message("broken text", data)),
    )


def fill(data: str, names: Mapping[str, str]) -> str:
    """Put the names of the running meeting in."""
    for name, value in names.items():
        data = data.replace(name, value)
    return data


_UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: [::1]\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
)
UPGRADED = _UPGRADE + b"\r\n"
"""A whole request for a WebSocket."""

_HEADERS = [
    b"Sec-WebSocket-Extensions: permessage-deflate\r\n",
    b'Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=99, x; y="\r\n',
    b"Sec-WebSocket-Key: short\r\n",
    b"Sec-WebSocket-Version: 8\r\n",
    b"Sec-WebSocket-Protocol: \r\n",
    b"Upgrade: h2c\r\n",
    b"Content-Length: 5\r\n",
    b"Content-Length: -1\r\n",
    b"Content-Length: 99999999999999999999\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Expect: 100-continue\r\n",
    b"Authorization: Basic //8=\r\n",
    b"Cookie: \xff\xfe=\x80\r\n",
    b"X: " + b"y" * 20_000 + b"\r\n",
    b"".join(b"X%d: y\r\n" % number for number in range(300)),
    b" folded\r\n",
    b"No colon\r\n",
    b"Host: two\r\n",
]
_PATHS = [
    b"/",
    b"/ws",
    b"/health",
    b"/static/../keys",
    b"/%ff%00",
    b"//x",
    b"*",
    b"http://x/",
    b"/" + b"x" * 70_000,
    b"/\xff",
    b"/api/video/rooms",
    b"/api/video/rooms?page_size=\xc3",
]


@st.composite
def _requests(draw: Callable[[st.SearchStrategy[Any]], Any]) -> bytes:
    method = draw(st.sampled_from([b"GET", b"POST", b"CONNECT", b"G\0T", b"", b"PRI"]))
    version = draw(st.sampled_from([b"HTTP/1.1", b"HTTP/1.0", b"HTTP/9.9", b"ICY", b""]))
    head = b" ".join([method, draw(st.sampled_from(_PATHS)), version]) + b"\r\n"
    head = draw(st.sampled_from([head, _UPGRADE, _UPGRADE]))
    for header in draw(st.lists(st.sampled_from(_HEADERS), max_size=3)):
        head += header
    whole = head + b"\r\n" + draw(st.binary(max_size=50))
    return whole[: draw(st.integers(1, len(whole)))] if draw(st.booleans()) else whole


@st.composite
def _wire_frames(draw: Callable[[st.SearchStrategy[Any]], Any]) -> bytes:
    """WebSocket frames, right and wrong: bits, opcodes, lengths, masks, order."""
    data = b""
    for _ in range(draw(st.integers(1, 5))):
        first = draw(
            st.sampled_from([0x81, 0x01, 0x00, 0x80, 0x82, 0x88, 0x89, 0x8A, 0x83, 0xC1, 0xF1])
        )
        payload = draw(
            st.sampled_from([b"", b"{}", b"\xff\xfe", b"\x03\xe8bye", b"\x00\x01", b"{" * 70_000])
            | st.binary(max_size=130)
        )
        size = len(payload)
        masked = draw(st.sampled_from([0x80, 0x80, 0x80, 0x00]))
        match draw(st.sampled_from(["right", "right", "right", "too long", "negative", "padded"])):
            case "too long":
                length = bytes([masked | 127]) + (1 << 40).to_bytes(8, "big")
            case "negative":
                length = bytes([masked | 127]) + b"\xff" * 8
            case "padded":
                length = bytes([masked | 127]) + size.to_bytes(8, "big")
            case _ if size < 126:
                length = bytes([masked | size])
            case _ if size < 65_536:
                length = bytes([masked | 126]) + size.to_bytes(2, "big")
            case _:
                length = bytes([masked | 127]) + size.to_bytes(8, "big")
        data += bytes([first]) + length + (bytes(4) if masked else b"") + payload
    return data


def raw() -> st.SearchStrategy[list[bytes]]:
    """What may come over a bare TCP connection, in pieces: no HTTP, half of a request, and
    frames after a handshake that is right."""
    upgraded = st.builds(lambda data: [UPGRADED, data], _wire_frames())
    compressed = UPGRADED[:-2] + _HEADERS[0] + b"\r\n"
    deflated = st.builds(lambda data: [compressed, data], _wire_frames())
    rubbish = st.binary(min_size=1, max_size=300).map(lambda data: [data])
    request = _requests()
    pieces = st.builds(lambda data, at: [data[:at], data[at:]], request, st.integers(1, 200))
    return st.one_of(upgraded, deflated, rubbish, request.map(lambda data: [data]), pieces)

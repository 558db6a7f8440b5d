"""A client's protocol, and what a server would say to it."""

from __future__ import annotations

import json
from typing import Any

from appliance.signaling import jsonrpc
from appliance.signaling.client import ClientProtocol
from appliance.signaling.client_events import (
    Ready,
)

TOKEN = "secret-token"
PROTOCOL = "signalwire_sig_4c1b_proj"
SESSION: dict[str, Any] = {
    "identity": "i@n",
    "protocol": PROTOCOL,
    "authorization": {"type": "video", "signature": "sig", "project_id": "proj"},
    "ice_servers": [{"urls": "stun:h:1"}],
}


def client(**options: Any) -> ClientProtocol:
    return ClientProtocol(TOKEN, agent="test/1", **options)


def sent(protocol: ClientProtocol) -> list[dict[str, Any]]:
    return [json.loads(frame.text) for frame in protocol.frames_to_send()]


def feed(protocol: ClientProtocol, frame: dict[str, Any]) -> None:
    protocol.receive(jsonrpc.dumps(frame))


def answer(protocol: ClientProtocol, identifier: Any, result: Any) -> None:
    feed(protocol, jsonrpc.result(identifier, result))


def event(protocol: ClientProtocol, kind: Any, params: Any, **extra: Any) -> None:
    body = {"event_type": kind, "params": params, **extra}
    feed(protocol, jsonrpc.request("signalwire.event", body, "e"))


def connect(protocol: ClientProtocol, session: dict[str, Any] = SESSION) -> dict[str, Any]:
    """Connect and be let in; returns the connect frame."""
    protocol.connected()
    (frame,) = sent(protocol)
    answer(protocol, frame["id"], session)
    return frame


def ready(**options: Any) -> ClientProtocol:
    protocol = client(**options)
    connect(protocol)
    assert protocol.events() == [Ready(SESSION, resumed=False)]
    return protocol

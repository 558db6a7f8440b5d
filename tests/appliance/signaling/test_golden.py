"""What we build against what the browser SDK really sent, frame by frame."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from appliance.signaling import jsonrpc, verto
from appliance.signaling.client import ClientProtocol, Phase
from tests.appliance.signaling.golden import Frame, difference, frames

FRAMES = frames()
BY_LINE = [pytest.param(frame, id=f"line{frame.line}-{frame.kind}") for frame in FRAMES]

PROJECT = "00000000-0000-0000-0000-000000000000"
SESSION = {
    "protocol": f"signalwire_sig_1_{PROJECT}",
    "authorization": {"type": "video", "signature": "sig", "project_id": PROJECT},
    "ice_servers": [],
}


def client(token: str = "opaque") -> ClientProtocol:
    return ClientProtocol(token, agent="@signalwire/js/browser/3.30.0")


def sent(protocol: ClientProtocol) -> list[dict[str, Any]]:
    return [json.loads(frame.text) for frame in protocol.frames_to_send()]


def ready(token: str = "opaque") -> ClientProtocol:
    protocol = client(token)
    protocol.connected()
    (connect,) = sent(protocol)
    protocol.receive(jsonrpc.dumps(jsonrpc.result(connect["id"], SESSION)))
    assert protocol.phase is Phase.READY
    return protocol


def leg(dialog: dict[str, Any]) -> dict[str, Any]:
    return {
        "screen_share": dialog["screenShare"],
        "additional_device": dialog["additionalDevice"],
        "user_variables": dialog["userVariables"],
    }


def verto_message(inner: dict[str, Any]) -> dict[str, Any]:
    """Our message for the SDK's, from nothing but what a caller would know."""
    params = inner.get("params", {})
    dialog = params.get("dialogParams", {})
    match inner.get("method"):
        case "verto.invite":
            extra = {key: params[key] for key in ("layout", "positions") if key in params}
            return verto.invite(dialog["callID"], "v=0\r\n", **leg(dialog), **extra)
        case "verto.bye":
            return verto.bye(dialog["callID"], **leg(dialog))
        case "verto.modify":
            return verto.modify(dialog["callID"], params["action"])
        case "verto.info":
            return verto.info(dialog["callID"], params["dtmf"])
        case "verto.pong":
            ping = {**params, "nodeId": "gone"}
            return verto.pong(verto.VertoMessage("verto.ping", 5, ping))
        case None:
            return verto.reply(inner["id"], inner["result"]["method"])
        case other:
            raise AssertionError(f"the recording holds a {other} that nothing builds")


def ours(frame: Frame) -> dict[str, Any]:
    """What our client sends where the SDK sent ``frame``."""
    message = frame.message
    params = message.get("params", {})
    match frame.kind:
        case "signalwire.connect":
            protocol = client(params["authentication"]["jwt_token"])
            protocol.connected()
        case "signalwire.reauthenticate":
            protocol = ready()
            protocol.reauthenticate(params["authentication"]["jwt_token"])
        case "ack":
            protocol = ready()
            event = {"event_type": "video.member.updated", "params": {"member": {"id": "m"}}}
            protocol.receive(
                jsonrpc.dumps(jsonrpc.request("signalwire.event", event, message["id"]))
            )
        case "pong":
            protocol = ready()
            ping = {"timestamp": message["result"]["timestamp"]}
            protocol.receive(jsonrpc.dumps(jsonrpc.request("signalwire.ping", ping, message["id"])))
        case kind if kind.startswith("verto."):
            protocol = ready()
            envelope = verto.envelope(
                verto_message(params["message"]),
                call_id=params.get("callID"),
                node_id=params.get("node_id"),
                subscribe=params.get("subscribe"),
            )
            protocol.call(verto.RPC_METHOD, envelope)
        case kind:
            protocol = ready()
            protocol.call(kind, params)
    (built,) = sent(protocol)
    return built


@pytest.mark.parametrize("frame", BY_LINE)
def test_we_send_what_the_sdk_sends(frame: Frame):
    assert difference(ours(frame), frame.message) is None


@pytest.mark.parametrize("frame", [p for p in BY_LINE if p.values[0].kind in ("ack", "pong")])
def test_answers_repeat_the_servers_id(frame: Frame):
    assert ours(frame) == frame.message


@pytest.mark.parametrize(
    "kind", ["verto.invite", "verto.bye", "verto.reply", "verto.modify", "verto.info", "verto.pong"]
)
def test_the_recording_holds_every_verto_message(kind: str):
    assert any(frame.kind == kind for frame in FRAMES)


def test_replies_repeat_the_servers_verto_id():
    replies = [frame for frame in FRAMES if frame.kind == "verto.reply"]
    for frame in replies:
        assert ours(frame)["params"] == frame.message["params"]


def test_a_disconnect_is_answered_like_an_event():
    protocol = ready()
    ack = next(frame for frame in FRAMES if frame.kind == "ack")
    protocol.receive(
        jsonrpc.dumps(
            {"jsonrpc": "2.0", "id": ack.message["id"], "method": "signalwire.disconnect"}
        )
    )
    assert sent(protocol) == [ack.message]


def test_a_resume_is_the_recorded_connect_and_two_keys_more():
    recorded = next(frame for frame in FRAMES if frame.kind == "signalwire.connect")
    protocol = ready(recorded.message["params"]["authentication"]["jwt_token"])
    state = {
        "event_type": "signalwire.authorization.state",
        "params": {"authorization_state": "opaque:state"},
    }
    protocol.receive(jsonrpc.dumps(jsonrpc.request("signalwire.event", state)))
    protocol.frames_to_send()
    protocol.disconnected()
    protocol.connected()
    (built,) = sent(protocol)
    expected = copy.deepcopy(recorded.message)
    expected["params"]["protocol"] = SESSION["protocol"]
    expected["params"]["authorization_state"] = "opaque:state"
    assert difference(built, expected) is None


@pytest.mark.parametrize(
    ("change", "path"),
    [
        (lambda f: f["params"].update(callID="other"), "params.callID"),
        (lambda f: f["params"]["message"]["params"].pop("sdp"), "params.message.params.sdp"),
        (lambda f: f["params"]["message"].update(id=7), "params.message.id"),
        (lambda f: f["params"]["subscribe"].pop(), "params.subscribe"),
        (
            lambda f: f["params"]["message"]["params"]["dialogParams"].update(version="1000"),
            "params.message.params.dialogParams.version",
        ),
        (lambda f: f.update(extra=None), "extra"),
    ],
)
def test_a_difference_is_named_by_its_path(change: Any, path: str):
    invite = next(frame for frame in FRAMES if frame.kind == "verto.invite").message
    changed = copy.deepcopy(invite)
    change(changed)
    found = difference(changed, invite)
    assert found is not None
    assert found.startswith(f"{path}: ")

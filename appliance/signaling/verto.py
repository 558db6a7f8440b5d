"""Verto, the call protocol inside ``video.message``: one message sets up or ends a call's leg.

Towards the server a Verto message is a JSON-RPC request or answer inside the params of the RPC
``video.message`` (:func:`envelope`). From the server it comes inside the event ``webrtc.message``
(:func:`parse`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from . import jsonrpc
from .errors import ProtocolError

__all__ = [
    "ADMISSION",
    "EVENT_TYPE",
    "RPC_METHOD",
    "VertoMessage",
    "bye",
    "dialog_params",
    "envelope",
    "info",
    "invite",
    "modify",
    "parse",
    "pong",
    "reply",
]

#: The RPC that carries Verto towards the server.
RPC_METHOD = "video.message"

#: Asks whether an invite would be taken now. Only the hub of Roomlet knows it; its answer has a
#: ``refusal`` (``code``, ``message``) where it would not.
ADMISSION = "roomlet.admission"
#: The event that carries Verto from the server.
EVENT_TYPE = "webrtc.message"


@dataclass(frozen=True, slots=True)
class VertoMessage:
    """A Verto request from the server, for example ``verto.answer``."""

    method: str
    #: The server's own id, often a small number; None when the message wants no reply.
    id: jsonrpc.Id | None
    params: dict[str, Any] = field(default_factory=dict)
    #: The media node that speaks; later messages of the call are addressed to it.
    node_id: str | None = None

    @property
    def call_id(self) -> str | None:
        """The leg that this is about."""
        value = self.params.get("callID")
        return value if isinstance(value, str) else None

    @property
    def sdp(self) -> str | None:
        """The session description, where the message brings one."""
        value = self.params.get("sdp")
        return value if isinstance(value, str) and value else None


def parse(event: Mapping[str, Any]) -> VertoMessage:
    """Read a ``webrtc.message``.

    ``event`` is either the whole event (``event_type``, ``node_id`` and, in ``params``, the Verto
    request), or the Verto request itself with ``node_id`` beside ``method``.

    Raises:
        ProtocolError: it is no Verto request.
    """
    node = event.get("node_id")
    message = event.get("params") if "event_type" in event else event
    if not isinstance(message, Mapping):
        raise ProtocolError("a webrtc.message holds no Verto message")
    method = message.get("method")
    if not isinstance(method, str):
        raise ProtocolError("a Verto message has no method")
    params = message.get("params")
    if params is None:
        params = {}
    if not isinstance(params, dict):
        raise ProtocolError(f"the params of {method[:80]} must be an object")
    identifier = message.get("id")
    if isinstance(identifier, bool) or not isinstance(identifier, str | int | None):
        raise ProtocolError(f"the id of {method[:80]} must be a string or an integer")
    if node is None:
        node = message.get("node_id")
    return VertoMessage(method, identifier, params, node if isinstance(node, str) else None)


def dialog_params(
    call_id: str,
    *,
    screen_share: bool = False,
    additional_device: bool = False,
    user_variables: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """What every message of a leg says about the leg.

    ``user_variables`` of an extra leg name its parent: ``memberCallId`` and ``memberId``.
    """
    return {
        "attach": False,
        "reattaching": False,
        "userVariables": dict(user_variables or {}),
        "screenShare": screen_share,
        "additionalDevice": additional_device,
        "pingSupported": True,
        "version": 1000,
        "callID": call_id,
        "remote_caller_id_name": "Outbound Call",
        "remote_caller_id_number": "",
        "caller_id_name": "",
        "caller_id_number": "",
    }


def invite(
    call_id: str,
    sdp: str,
    *,
    screen_share: bool = False,
    additional_device: bool = False,
    user_variables: Mapping[str, Any] | None = None,
    layout: str | None = None,
    positions: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Ask the room in with a complete SDP offer. The same ``call_id`` again re-negotiates.

    ``layout`` and ``positions`` go with a screen share only.
    """
    params: dict[str, Any] = {
        "dialogParams": dialog_params(
            call_id,
            screen_share=screen_share,
            additional_device=additional_device,
            user_variables=user_variables,
        ),
        "sdp": sdp,
    }
    if layout is not None:
        params["layout"] = layout
    if positions is not None:
        params["positions"] = dict(positions)
    return jsonrpc.request("verto.invite", params)


def bye(
    call_id: str,
    *,
    cause: str | None = None,
    cause_code: str | None = None,
    screen_share: bool = False,
    additional_device: bool = False,
    user_variables: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """End a leg. Without a cause the server takes it as a normal clearing."""
    params: dict[str, Any] = {
        "dialogParams": dialog_params(
            call_id,
            screen_share=screen_share,
            additional_device=additional_device,
            user_variables=user_variables,
        )
    }
    if cause is not None:
        params["cause"] = cause
    if cause_code is not None:
        params["causeCode"] = cause_code
    return jsonrpc.request("verto.bye", params)


def modify(
    call_id: str,
    action: Literal["updateMedia", "hold", "unhold"] = "updateMedia",
    sdp: str | None = None,
    *,
    screen_share: bool = False,
    additional_device: bool = False,
    user_variables: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Re-negotiate a leg (``updateMedia`` with an SDP offer), or hold it."""
    params: dict[str, Any] = {
        "dialogParams": dialog_params(
            call_id,
            screen_share=screen_share,
            additional_device=additional_device,
            user_variables=user_variables,
        ),
        "action": action,
    }
    if sdp is not None:
        params["sdp"] = sdp
    return jsonrpc.request("verto.modify", params)


def info(call_id: str, dtmf: str) -> dict[str, Any]:
    """Send dialled digits."""
    return jsonrpc.request("verto.info", {"dialogParams": dialog_params(call_id), "dtmf": dtmf})


def pong(ping: VertoMessage) -> dict[str, Any]:
    """The answer to a ``verto.ping``: a request with the ping's own params."""
    params = {key: value for key, value in ping.params.items() if key != "nodeId"}
    return jsonrpc.request("verto.pong", params)


def reply(id: jsonrpc.Id | None, method: str) -> dict[str, Any]:  # noqa: A002
    """Acknowledge the server's Verto request ``id``, which was a ``method``."""
    return jsonrpc.result(id, {"method": method})


def envelope(
    message: Mapping[str, Any],
    *,
    call_id: str | None = None,
    node_id: str | None = None,
    subscribe: Iterable[str] | None = None,
) -> dict[str, Any]:
    """The params of ``video.message`` round one Verto message.

    ``call_id`` goes with requests (invite, modify, bye, info), not with replies and pongs.
    ``node_id`` is unknown at the first invite. ``subscribe`` goes with invites: event types that
    the server shall send, with their ``video.`` prefix.
    """
    params: dict[str, Any] = {"message": dict(message)}
    if call_id is not None:
        params["callID"] = call_id
    if node_id is not None:
        params["node_id"] = node_id
    if subscribe is not None:
        params["subscribe"] = list(subscribe)
    return params

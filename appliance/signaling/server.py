"""The server's side of one WebSocket as a state machine without I/O.

It takes the text of frames and gives what the client asked for, and the texts of frames to send.
It knows no socket, no clock, no room: the shell round it decides who may connect and what the
requests do, and calls back with the answers. Whatever comes in, the worst that happens is
an error answered to that client, or `closing` set.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, TypeAlias

from . import jsonrpc, verto
from .errors import ProtocolError

__all__ = [
    "Closing",
    "Connect",
    "Incoming",
    "Reauthenticate",
    "Rpc",
    "ServerProtocol",
    "VertoCall",
]

#: Frames that are no JSON-RPC, in a row, until the socket is closed.
MAX_BAD_FRAMES: Final = 10

#: Events that a client may leave unacknowledged. One that is behind by more does not read.
MAX_UNACKED: Final = 2000

#: Pings that may stay unanswered.
MAX_WAITING: Final = 8 * 1024 * 1024
"""Characters that may wait to be sent.  All events that a client may have missed fit in."""

MAX_PINGS: Final = 2

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
NOT_CONNECTED: Final = -32000
AUTH_FAILED: Final = -32002


class Closing(Enum):
    """Why the shell shall close the socket; the value is the WebSocket close code."""

    POLICY = 1008
    """The client broke a rule again and again."""
    AUTH = 3000
    """It was not accepted."""
    STALLED = 1001
    """It does not answer."""


@dataclass(frozen=True, slots=True)
class Connect:
    """``signalwire.connect``: to be answered by `accept` or `refuse`."""

    id: jsonrpc.Id
    token: str
    #: The session that the client wants to resume, with the proof that it is its own.
    protocol: str | None
    authorization_state: str | None
    agent: str
    #: Whether the client said that it acknowledges events.
    event_acks: bool


@dataclass(frozen=True, slots=True)
class Reauthenticate:
    """``signalwire.reauthenticate``: a new token for the session; `reply` or `fail`."""

    id: jsonrpc.Id
    token: str


@dataclass(frozen=True, slots=True)
class Rpc:
    """Any other request with an id; `reply` or `fail`."""

    id: jsonrpc.Id
    method: str
    params: dict[str, Any]


@dataclass(frozen=True, slots=True)
class VertoCall:
    """A Verto request inside ``video.message``; `verto_reply`, `verto_error` or `reply`."""

    id: jsonrpc.Id
    message_id: jsonrpc.Id
    method: str
    params: dict[str, Any]
    call_id: str
    node_id: str | None


Incoming: TypeAlias = Connect | Reauthenticate | Rpc | VertoCall


class ServerProtocol:
    """One socket of one client.

    Feed every text to `receive`, do what it returns, and send all of `frames_to_send()`.
    When `closing` is set, send what is left and close the socket.
    """

    def __init__(self, node_id: str) -> None:
        #: The name of this server's media node, sent with every Verto message.
        self.node_id: Final = node_id
        #: Whether `accept` was called.
        self.connected = False
        #: Set once the socket is to be closed.
        self.closing: Closing | None = None
        #: How many answers to our own requests have come. Whatever else the client sends, it sends
        #: of its own accord.
        self.answered = 0
        self._outgoing: deque[str] = deque()
        self._waiting = 0
        self._bad_frames = 0
        self._connect_pending = False
        self._acks = False
        self._events: dict[jsonrpc.Id, Mapping[str, Any]] = {}
        self._pings: set[jsonrpc.Id] = set()

    def unacked_events(self) -> list[Mapping[str, Any]]:
        """The params of events that the client may not have got, in order."""
        return list(self._events.values())

    def next_frame(self) -> str | None:
        """Take the frame that is to be sent next, None when none waits."""
        if not self._outgoing:
            return None
        frame = self._outgoing.popleft()
        self._waiting -= len(frame)
        return frame

    def frames_to_send(self) -> list[str]:
        """Take all frames that wait to be sent, in order."""
        frames = []
        while (frame := self.next_frame()) is not None:
            frames.append(frame)
        return frames

    def receive(self, text: str) -> Incoming | None:
        """Take one frame. Returns what the shell has to act on, or None. Never raises."""
        if self.closing is not None:
            return None
        try:
            frame = jsonrpc.parse(text)
        except ProtocolError as e:
            self._bad_frame(PARSE_ERROR, str(e))
            return None
        if isinstance(frame, jsonrpc.Response):
            self._response(frame)
            return None
        if frame.id is None:
            self._bad_frame(INVALID_REQUEST, "a request needs an id")
            return None
        self._bad_frames = 0
        return self._request(frame.id, frame)

    def accept(self, connect: Connect, result: Mapping[str, Any]) -> None:
        """The client may come in; `result` as in section a.3 of the protocol."""
        self.connected = True
        self._connect_pending = False
        self._acks = connect.event_acks
        self._send(jsonrpc.result(connect.id, dict(result)))

    def refuse(self, connect: Connect, code: int, message: str) -> None:
        """The client may not come in; the socket closes after the answer."""
        self._connect_pending = False
        self._send(jsonrpc.error(connect.id, code, message))
        self.closing = Closing.AUTH

    def reply(self, id: jsonrpc.Id, result: Mapping[str, Any]) -> None:  # noqa: A002
        """Answer a request."""
        self._send(jsonrpc.result(id, dict(result)))

    def fail(self, id: jsonrpc.Id, code: int, message: str) -> None:  # noqa: A002
        """Answer a request with a JSON-RPC error."""
        self._send(jsonrpc.error(id, code, message))

    def verto_reply(self, call: VertoCall, result: Mapping[str, Any]) -> None:
        """Answer a Verto request, in its double envelope."""
        self._verto(call, jsonrpc.result(call.message_id, dict(result)))

    def verto_error(self, call: VertoCall, code: int, message: str) -> None:
        """Answer a Verto request with an error of its own level."""
        self._verto(call, jsonrpc.error(call.message_id, code, message))

    def event(self, params: Mapping[str, Any]) -> None:
        """Send a ``signalwire.event``; a client that said so acknowledges it.

        `params` hold ``event_type`` and what goes beside and below it.
        """
        identifier = jsonrpc.new_id()
        if self._acks:
            self._events[identifier] = params
        self._send(jsonrpc.request("signalwire.event", params, identifier))
        if len(self._events) > MAX_UNACKED:
            self.closing = Closing.STALLED

    def ping(self, timestamp: float) -> None:
        """Ask for a sign of life. Sets `closing` when too many had no answer."""
        if len(self._pings) >= MAX_PINGS:
            self.closing = Closing.STALLED
            return
        identifier = jsonrpc.new_id()
        self._pings.add(identifier)
        self._send(jsonrpc.request("signalwire.ping", {"timestamp": timestamp}, identifier))

    def disconnect(self) -> None:
        """Tell the client that the socket is about to close, and that it may come back."""
        self._send(jsonrpc.request("signalwire.disconnect", {}))

    def _request(self, id: jsonrpc.Id, frame: jsonrpc.Request) -> Incoming | None:  # noqa: A002
        if frame.method == "signalwire.connect":
            return self._connect(id, frame.params)
        if not self.connected:
            self.fail(id, NOT_CONNECTED, "connect first: send signalwire.connect with a token")
            return None
        if frame.method == "signalwire.reauthenticate":
            token = _token(frame.params)
            if token is None:
                self.fail(id, INVALID_PARAMS, "authentication.jwt_token must be a string")
                return None
            return Reauthenticate(id, token)
        if frame.method == verto.RPC_METHOD:
            return self._video_message(id, frame.params)
        return Rpc(id, frame.method, frame.params)

    def _connect(self, id: jsonrpc.Id, params: dict[str, Any]) -> Incoming | None:  # noqa: A002
        if self.connected or self._connect_pending:
            self.fail(id, INVALID_REQUEST, "this socket is connected already")
            return None
        self._connect_pending = True
        protocol, state = params.get("protocol"), params.get("authorization_state")
        agent = params.get("agent")
        return Connect(
            id,
            # Without a token there is nobody to accept; the shell says so in its own words.
            _token(params) or "",
            protocol if isinstance(protocol, str) and protocol else None,
            state if isinstance(state, str) and state else None,
            agent[:200] if isinstance(agent, str) else "",
            params.get("event_acks") is True,
        )

    def _video_message(
        self,
        id: jsonrpc.Id,  # noqa: A002
        params: dict[str, Any],
    ) -> VertoCall | None:
        message = params.get("message")
        if not isinstance(message, dict):
            self.fail(id, INVALID_PARAMS, "video.message needs a message object")
            return None
        if "method" not in message:
            # The acknowledgement of one of our own Verto requests.
            self.reply(id, {"code": "200", "node_id": self.node_id, "result": {}})
            return None
        method, message_id = message["method"], message.get("id")
        inner = message.get("params")
        inner = {} if inner is None else inner
        if (
            not isinstance(method, str)
            or isinstance(message_id, bool)
            or not isinstance(message_id, str | int)
            or not isinstance(inner, dict)
        ):
            self.fail(id, INVALID_PARAMS, "the Verto message needs a method, an id and params")
            return None
        call_id = _call_id(params, inner)
        if call_id is None:
            self.fail(id, INVALID_PARAMS, f"{method[:80]} needs dialogParams.callID")
            return None
        node = params.get("node_id")
        node = node if isinstance(node, str) else None
        return VertoCall(id, message_id, method, inner, call_id, node)

    def _response(self, frame: jsonrpc.Response) -> None:
        # Any answer will do as an acknowledgement; one that fits no question is dropped.
        if frame.id is None:
            self._bad_frame(INVALID_REQUEST, "a frame needs a method or the id of a request")
            return
        if self._events.pop(frame.id, None) is not None:
            self._bad_frames = 0
            self.answered += 1
        elif frame.id in self._pings:
            # One answer proves life, whichever ping it belongs to.
            self._bad_frames = 0
            self.answered += 1
            self._pings.clear()

    def _bad_frame(self, code: int, message: str) -> None:
        self._bad_frames += 1
        self._send(jsonrpc.error(None, code, message))
        if self._bad_frames >= MAX_BAD_FRAMES:
            self.closing = Closing.POLICY

    def _verto(self, call: VertoCall, message: Mapping[str, Any]) -> None:
        result = {"code": "200", "node_id": self.node_id, "result": dict(message)}
        self._send(jsonrpc.result(call.id, result))

    def _send(self, frame: Mapping[str, Any]) -> None:
        if self.closing is Closing.STALLED:
            return
        text = jsonrpc.dumps(frame)
        if self._waiting + len(text) > MAX_WAITING:
            # Who does not read gets no more memory of the hub.
            self._outgoing.clear()
            self._waiting = 0
            self.closing = Closing.STALLED
            return
        self._waiting += len(text)
        self._outgoing.append(text)


def _token(params: Mapping[str, Any]) -> str | None:
    authentication = params.get("authentication")
    token = authentication.get("jwt_token") if isinstance(authentication, dict) else None
    return token if isinstance(token, str) else None


def _call_id(params: Mapping[str, Any], inner: Mapping[str, Any]) -> str | None:
    dialog = inner.get("dialogParams")
    candidates = (
        dialog.get("callID") if isinstance(dialog, dict) else None,
        inner.get("callID"),
        params.get("callID"),
    )
    for value in candidates:
        if isinstance(value, str) and 0 < len(value) <= 200:
            return value
    return None

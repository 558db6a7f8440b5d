"""The client's side of one room session, as a state machine without sockets, clocks or tasks.

The owner tells what happened (:meth:`ClientProtocol.connected`, :meth:`~ClientProtocol.receive`,
:meth:`~ClientProtocol.disconnected`, :meth:`~ClientProtocol.call`) and afterwards takes what is to
be sent (:meth:`~ClientProtocol.frames_to_send`) and what is to be known
(:meth:`~ClientProtocol.events`). One protocol outlives its sockets: it is what makes the next
socket resume the same session.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, Final, TypeAlias

from . import jsonrpc, verto
from .client_events import (
    Answered,
    ClientEvent,
    Draining,
    Ignored,
    Outgoing,
    Pinged,
    Ready,
    Received,
    Refused,
)
from .client_session import ClientSession, Resume
from .errors import (
    AuthError,
    Disconnected,
    ProtocolError,
    RpcError,
    SignalingError,
    one_line,
    rpc_error,
)

__all__ = ["ClientProtocol", "Phase"]

#: The one refusal that is worth a second try: the session to resume is gone.
_SESSION_GONE: Final = "Requester validation failed"

#: What a timestamp can be. Nothing nested is echoed: depth that was read may not be writable.
Scalar: TypeAlias = int | float | str


class Phase(Enum):
    """Where the session stands on its current socket."""

    OFFLINE = "offline"
    AUTHENTICATING = "authenticating"
    READY = "ready"
    #: The server is about to close the socket; nothing new is sent on it.
    DRAINING = "draining"


class ClientProtocol:
    """One client session.

    ``new_id`` makes request ids. ``resume`` continues a session of an earlier process.
    """

    def __init__(
        self,
        token: str,
        *,
        agent: str,
        resume: Resume | None = None,
        new_id: Callable[[], str] = jsonrpc.new_id,
    ) -> None:
        self.agent = agent
        self.phase = Phase.OFFLINE
        #: What is known of the session.
        self.session = ClientSession(token, resume)
        self._new_id = new_id
        self._connect_id: str | None = None
        self._offered: str | None = None  # the protocol string in the connect on its way
        self._retried = False  # a second connect went out on this socket
        self._pending: dict[str, str] = {}  # sent and unanswered: id -> method
        self._waiting: dict[str, tuple[str, str]] = {}  # not sent yet: id -> (method, text)
        self._new_tokens: dict[str, str] = {}  # reauthenticate on its way: id -> token
        self._outbox: list[Outgoing] = []
        self._events: list[ClientEvent] = []

    # What is known.

    @property
    def pending(self) -> frozenset[str]:
        """Ids of requests that are sent and not answered."""
        return frozenset(self._pending)

    @property
    def waiting(self) -> frozenset[str]:
        """Ids of requests that wait for a connection."""
        return frozenset(self._waiting)

    # What happens.

    def connected(self) -> None:
        """A socket is open: ask to be let in."""
        self._retried = False
        self._connect()

    def disconnected(self, reason: str = "the connection was lost") -> None:
        """The socket is gone. Requests on their way fail; those not sent wait for the next one."""
        self.phase = Phase.OFFLINE
        self._connect_id = None
        self._outbox.clear()
        self._new_tokens.clear()
        pending, self._pending = self._pending, {}
        for identifier, method in pending.items():
            error = Disconnected(f"{method}: {reason} before the answer came; try again")
            self._events.append(Answered(identifier, error=error))

    def close(self) -> None:
        """The session is over: every request fails, and nothing remains to resume."""
        self.disconnected("the session was closed")
        waiting, self._waiting = self._waiting, {}
        for identifier, (method, _) in waiting.items():
            error = Disconnected(f"{method}: the session was closed before it was sent")
            self._events.append(Answered(identifier, error=error))
        self.session.drop()

    def call(self, method: str, params: Mapping[str, Any]) -> str:
        """Send a request, now or as soon as there is a session. Returns its id.

        Its end comes as :class:`Answered`.

        Raises:
            TypeError, ValueError: the params cannot be said in JSON.
        """
        identifier = self._new_id()
        text = jsonrpc.dumps(jsonrpc.request(method, params, identifier))
        if self.phase is Phase.READY:
            self._pending[identifier] = method
            self._outbox.append(Outgoing(text, identifier))
        else:
            self._waiting[identifier] = (method, text)
        return identifier

    def reauthenticate(self, token: str) -> str | None:
        """Go on with a new token.

        Returns the id of the request, or None when there is no session to renew: then the next
        connection uses the token.
        """
        if self.phase is not Phase.READY:
            self.session.token = token
            return None
        project = self.session.authorization.get("project_id")
        identifier = self.call(
            "signalwire.reauthenticate",
            {"authentication": {"project": project, "jwt_token": token}},
        )
        self._new_tokens[identifier] = token
        return identifier

    def forget(self, identifier: str) -> None:
        """Nobody waits for this request any more. Unsent it stays unsent; an answer is ignored."""
        self._waiting.pop(identifier, None)
        self._pending.pop(identifier, None)
        self._new_tokens.pop(identifier, None)
        self._outbox = [frame for frame in self._outbox if frame.request_id != identifier]

    def receive(self, text: str) -> None:
        """Take one text frame from the socket.

        Raises:
            ProtocolError: it is none of the protocol's. The session stands as before.
        """
        frame = jsonrpc.parse(text)
        if isinstance(frame, jsonrpc.Request):
            self._on_request(frame)
        else:
            self._on_response(frame)

    # What is to be done.

    def frames_to_send(self) -> list[Outgoing]:
        """Take the frames for the socket, in order."""
        frames, self._outbox = self._outbox, []
        return frames

    def events(self) -> list[ClientEvent]:
        """Take what happened, in order."""
        events, self._events = self._events, []
        return events

    # Inside.

    def _connect(self) -> None:
        params = self.session.connect_params(self.agent)
        self._offered = params.get("protocol")
        self._connect_id = self._new_id()
        self.phase = Phase.AUTHENTICATING
        text = jsonrpc.dumps(jsonrpc.request("signalwire.connect", params, self._connect_id))
        self._outbox.append(Outgoing(text, self._connect_id))

    def _on_request(self, frame: jsonrpc.Request) -> None:
        match frame.method:
            case "signalwire.event":
                self._reply(frame, {})
                self._on_event(frame.params)
            case "signalwire.ping":
                stamp = frame.params.get("timestamp")
                self._reply(frame, {"timestamp": stamp} if isinstance(stamp, Scalar) else {})
                self._events.append(Pinged())
            case "signalwire.disconnect":
                self._reply(frame, {})
                # Before the session stands there is nothing to drain; the close will tell.
                if self.phase is Phase.READY:
                    self.phase = Phase.DRAINING
                self._events.append(Draining())
            case method:
                self._events.append(Ignored(f"a request for {one_line(method)[:80]!r}"))

    def _reply(self, frame: jsonrpc.Request, result: dict[str, Any]) -> None:
        if frame.id is not None:
            self._outbox.append(Outgoing(jsonrpc.dumps(jsonrpc.result(frame.id, result))))

    def _on_event(self, event: dict[str, Any]) -> None:
        kind, params = event.get("event_type"), event.get("params")
        if params is None:
            params = {}
        if not isinstance(kind, str) or not isinstance(params, dict):
            self._events.append(Ignored("an event without a type, or with params of a wrong one"))
        elif kind == "signalwire.authorization.state":
            state = params.get("authorization_state")
            if isinstance(state, str):
                self.session.authorization_state = state
        else:
            node = event.get("node_id")
            if kind == verto.EVENT_TYPE and node is not None:
                params = {**params, "node_id": node}
            self._events.append(Received(kind, params))

    def _on_response(self, frame: jsonrpc.Response) -> None:
        identifier = frame.id
        if not isinstance(identifier, str):
            self._events.append(Ignored("an answer to no request"))
        elif identifier == self._connect_id:
            self._connect_id = None
            self._on_connect_answer(frame)
        elif identifier in self._pending:
            method = self._pending.pop(identifier)
            self._events.append(self._answer(identifier, method, frame))
        else:
            self._events.append(Ignored("an answer to no request, or one that came too late"))

    def _on_connect_answer(self, frame: jsonrpc.Response) -> None:
        if frame.error is not None:
            message = frame.error.get("message")
            if message == _SESSION_GONE and not self._retried:
                self._retried = True
                self.session.drop()
                self._connect()
                return
            self._refuse(self._auth_error(frame.error))
        elif not isinstance(frame.result, dict):
            self._refuse(ProtocolError("the server's answer to signalwire.connect is no object"))
        else:
            self.phase = Phase.READY
            self.session.adopt(frame.result)
            resumed = self._offered is not None and self._offered == self.session.protocol
            if not resumed and self._offered is not None:
                self.session.authorization_state = None  # it belonged to the session that is gone
            self._events.append(Ready(frame.result, resumed))
            waiting, self._waiting = self._waiting, {}
            for identifier, (method, text) in waiting.items():
                self._pending[identifier] = method
                self._outbox.append(Outgoing(text, identifier))

    def _refuse(self, error: SignalingError) -> None:
        self.phase = Phase.OFFLINE
        self._events.append(Refused(error))

    def _answer(self, identifier: str, method: str, frame: jsonrpc.Response) -> Answered:
        token = self._new_tokens.pop(identifier, None)
        try:
            if frame.error is not None:
                raise rpc_error(frame.error)
            if not isinstance(frame.result, dict | None):
                raise ProtocolError(f"{method}: the server's answer is no object")
            result = jsonrpc.unwrap(frame.result or {})
        except RpcError as e:
            if token is not None:
                return Answered(identifier, error=self._auth_error(e.details, token))
            return Answered(identifier, error=rpc_error(e.details, method))
        except ProtocolError as e:
            return Answered(identifier, error=e)
        if token is not None:
            self.session.token = token
            # The result replaces the connect's, and has its shape; what a sparing server leaves
            # out stands as before.
            self.session.adopt({**self.session.result, **result})
        return Answered(identifier, result)

    def _auth_error(self, details: Mapping[str, Any], token: str | None = None) -> AuthError:
        code, message = details.get("code"), details.get("message")
        if isinstance(message, str):
            # Some servers quote what they refuse.
            message = message.replace(token or self.session.token or "[token]", "[token]")
        text = "no reason given" if message is None else one_line(message)
        if not isinstance(code, int) or isinstance(code, bool):
            code = one_line(code or "?")
        return AuthError(code, text)

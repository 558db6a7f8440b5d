"""Who is connected: a session is one client, whichever socket carries it just now.

A session outlives its socket for some time, so that a client that comes back with the session's
`protocol` goes on where it was: same member, same legs, and the events that it missed.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import secrets
import time
import uuid
from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, Protocol

from appliance.hub.roles import Allowed, Role, media_of
from appliance.hub.tokens import TokenOptions
from appliance.signaling.errors import one_line

if TYPE_CHECKING:
    from appliance.hub.legs import Leg
    from appliance.hub.members import Member
    from appliance.hub.room import Room

log = logging.getLogger(__name__)

#: Events kept for a client that is away; of more the oldest are lost.
OUTBOX: Final = 500


class Link(Protocol):
    """The socket of a session, as the session sees it."""

    def event(self, params: Mapping[str, Any]) -> None:
        """Send one event."""

    def unacked_events(self) -> list[Mapping[str, Any]]:
        """The events that the client may not have got."""

    def close(self, reason: str) -> None:
        """Close the socket soon."""


class Session:
    """One client: what it may do, where it is, and how to reach it."""

    def __init__(self, options: TokenOptions, *, project: str, node_id: str) -> None:
        # The client compares the second part of `protocol` with `signature`, so that must hold no
        # underscore.
        self.signature: Final = secrets.token_hex(16)
        self.protocol: Final = f"signalwire_{self.signature}_{uuid.uuid4()}_{project}"
        self.authorization_state: Final = secrets.token_urlsafe(32)
        self.project: Final = project
        self.node_id: Final = node_id
        self.identity: Final = f"{uuid.uuid4()}@{node_id}"
        self.scope_id: Final = str(uuid.uuid4())
        #: What the client's token says.
        self.token = options
        #: What it is in the room, if it was promoted or demoted there.
        self.role: Role | None = None
        self.link: Link | None = None
        #: The address that it reaches the hub's web server by, such as ``http://hub.local:8080``.
        self.origin = ""
        #: The address that it has connected from, for the log.
        self.address = ""
        self.room: Room | None = None
        #: The member that this client is; its screens and extra devices are members of their own.
        self.member: Member | None = None
        self.legs: dict[str, Leg] = {}
        #: Answers are made one after the other, so that members join in the order of their invites.
        self.answering: Final = asyncio.Lock()
        self._outbox: deque[Mapping[str, Any]] = deque(maxlen=OUTBOX)
        self._verto_ids = 0

    @property
    def who(self) -> str:
        """What the log calls the client, on one line: its name is a stranger's word."""
        name = self.token.user_name if self.member is None else self.member.name
        return one_line(name or "") or "somebody"

    @property
    def options(self) -> TokenOptions:
        """What holds for the client: its token, with what it became in the room."""
        return self.token if self.role is None else self.role.over(self.token)

    @property
    def media(self) -> tuple[Allowed, Allowed]:
        """What the client may do with sound, and with pictures."""
        return media_of(self.options, promoted=self.role is not None)

    @property
    def scopes(self) -> frozenset[str]:
        """The permissions of the client's token."""
        return frozenset(self.options.permissions)

    def send(self, event_type: str, params: Mapping[str, Any], channel: str | None = None) -> None:
        """Send an event now, or when the client is back."""
        event: dict[str, Any] = {
            "event_type": event_type,
            "timestamp": round(time.time(), 3),
            "params": params,
        }
        if channel is not None:
            event["event_channel"] = channel
        self._send(event)

    def send_verto(self, method: str, params: Mapping[str, Any]) -> None:
        """Send a Verto request about one of the client's legs."""
        self._verto_ids += 1
        message = {
            "jsonrpc": "2.0",
            "id": self._verto_ids,
            "method": method,
            "params": dict(params),
        }
        self._send(
            {
                "event_type": "webrtc.message",
                "event_channel": self.protocol,
                "timestamp": round(time.time(), 3),
                "project_id": self.project,
                "node_id": self.node_id,
                "params": message,
            }
        )

    def send_authorization_state(self) -> None:
        """Give the client what proves, at a later resume, that the session is its own."""
        state = {"authorization_state": self.authorization_state}
        self.send("signalwire.authorization.state", state)

    def recall(self, events: list[Mapping[str, Any]]) -> None:
        """Keep, for the client's return, what went into a socket that is lost.

        All but answers to invites: a client that has taken one cannot take it again.
        """
        lost = [event for event in events if _verto_method(event) != "verto.answer"]
        self._outbox = deque([*lost, *self._outbox], maxlen=OUTBOX)

    def flush(self) -> None:
        """Send what was kept while the client was away."""
        waiting, self._outbox = self._outbox, deque(maxlen=OUTBOX)
        for event in waiting:
            self._send(event)

    def connect_result(self) -> dict[str, Any]:
        """The result of ``signalwire.connect`` and of ``signalwire.reauthenticate``."""
        return {
            "identity": self.identity,
            "protocol": self.protocol,
            "authorization": self.authorization(),
            # Host candidates are enough where a hub stands; with any server listed, clients would
            # insist on candidates from it.
            "ice_servers": [],
        }

    def authorization(self) -> dict[str, Any]:
        """What the client may do, in the words of the wire.

        There must be no ``jti`` in it: clients take that for another kind of session.
        """
        options = self.options
        audio, video = self.media
        authorization: dict[str, Any] = {
            "type": "video",
            "project": self.project,
            "project_id": self.project,
            "scopes": ["video"],
            "scope_id": self.scope_id,
            "resource": self.scope_id,
            "join_as": options.join_as,
            "user_name": options.user_name or "",
            "room": {
                "name": options.room_name,
                "display_name": options.room_display_name or options.room_name,
                "scopes": options.permissions,
                "meta": options.room_meta,
            },
            "signature": self.signature,
            "media_allowed": options.media_allowed,
            "audio_allowed": audio,
            "video_allowed": video,
            "meta": options.meta,
        }
        if options.remove_at is not None:
            authorization["expires_at"] = int(options.remove_at.timestamp())
        return authorization

    def _send(self, event: Mapping[str, Any]) -> None:
        if self.link is None:
            self._outbox.append(event)
        else:
            self.link.event(event)


class Sessions:
    """All sessions of the hub.

    `on_end` is called once for each that ends: its socket is gone and so is its time to return.
    """

    def __init__(
        self, *, project: str, node_id: str, grace: float, on_end: Callable[[Session], None]
    ) -> None:
        self._project = project
        self._node_id = node_id
        self._grace = grace
        self._on_end = on_end
        self._sessions: dict[str, Session] = {}
        self._leaving: dict[str, asyncio.TimerHandle] = {}
        #: Whether the hub ends.
        self.closed = False

    def __len__(self) -> int:
        return len(self._sessions)

    def create(self, options: TokenOptions) -> Session:
        """A new client."""
        session = Session(options, project=self._project, node_id=self._node_id)
        self._sessions[session.protocol] = session
        return session

    def find(self, protocol: str | None, authorization_state: str | None) -> Session | None:
        """The session that a client wants to resume, if it proves that it is its own."""
        session = self._sessions.get(protocol or "")
        if session is None or authorization_state is None:
            return None
        given = authorization_state.encode("utf-8", "replace")
        if not hmac.compare_digest(given, session.authorization_state.encode()):
            return None
        return session

    def attach(self, session: Session, link: Link) -> None:
        """The client is there on a socket; one that it had before closes."""
        if (timer := self._leaving.pop(session.protocol, None)) is not None:
            timer.cancel()
        old, session.link = session.link, link
        if old is not None:
            session.recall(old.unacked_events())
            old.close("the client has connected anew")

    def detach(self, session: Session, link: Link) -> None:
        """A socket is gone. The session stays for its grace, if it has anything to come back to."""
        if session.link is not link:
            return
        session.link = None
        session.recall(link.unacked_events())
        if not session.legs:
            self.end(session)
            return
        timer = asyncio.get_running_loop().call_later(self._grace, self.end, session)
        self._leaving[session.protocol] = timer

    def settle(self, session: Session) -> None:
        """End a session that has neither a socket nor a leg left."""
        if session.link is None and not session.legs:
            self.end(session)

    def end(self, session: Session) -> None:
        """Forget a session."""
        if (timer := self._leaving.pop(session.protocol, None)) is not None:
            timer.cancel()
        if self._sessions.pop(session.protocol, None) is not None:
            self._on_end(session)

    def close(self) -> None:
        """End all sessions."""
        self.closed = True
        for session in list(self._sessions.values()):
            self.end(session)


def _verto_method(event: Mapping[str, Any]) -> str | None:
    if event["event_type"] != "webrtc.message":
        return None
    method: str = event["params"]["method"]
    return method

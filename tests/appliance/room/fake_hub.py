"""A tiny room server on a real socket, which does what a test tells it.

It speaks the wire by the protocol's letter for one room, and knows no media: its answers
carry whatever `answer_sdp` gives.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Self

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

ROOM_SESSION = "room-session-1"
ROOM = "room-1"
NODE = "node-1"

SCOPES = ["room.self.audio_mute", "room.self.audio_unmute", "room.set_layout"]


def member(member_id: str, name: str = "", **fields: Any) -> dict[str, Any]:
    """A whole member, as in the wire's lists."""
    return {
        "id": member_id,
        "room_id": ROOM,
        "room_session_id": ROOM_SESSION,
        "name": name or member_id,
        "type": "member",
        "audio_muted": False,
        "video_muted": False,
        "deaf": False,
        "visible": True,
        "meta": {},
    } | fields


class FakeHub:
    """One room; every client that is invited becomes its own member.

    `authorization` and `members` may be changed before a join.  `refusals` answers a method with
    (code, message), `silent` methods get no answer at all, `results` adds to an answer,
    and `events_after_reply` tells of a change only after the request was answered.
    """

    def __init__(self) -> None:
        self.authorization: dict[str, Any] = {
            "type": "video",
            "project_id": "project-1",
            "join_as": "member",
            "audio_allowed": "both",
            "video_allowed": "both",
            "room": {"name": "demo", "display_name": "demo", "scopes": list(SCOPES), "meta": {}},
            "signature": "signature-1",
        }
        self.ice_servers: list[dict[str, Any]] = []
        self.members: dict[str, dict[str, Any]] = {"oak": member("oak", "Oak")}
        self.calls: dict[str, str] = {}
        self.legs: dict[str, str] = {}
        self.dialogs: dict[str, dict[str, Any]] = {}
        self.works: dict[str, dict[str, dict[str, Any]]] = {
            "recording": {},
            "playback": {},
            "stream": {},
        }
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self.verto: list[dict[str, Any]] = []
        self.offers: list[str] = []
        self.refusals: dict[str, tuple[str, str]] = {}
        self.auth_error: dict[str, Any] | None = None
        self.silent: set[str] = set()
        self.results: dict[str, dict[str, Any]] = {}
        self.events_after_reply = False
        self.knows_sessions = True
        self.invite: Callable[[str, str], Awaitable[None]] = self.admit
        self.answer_sdp: Callable[[str], Awaitable[str]] = _no_media
        self.joined_with: dict[str, Any] = {}
        self.connections = 0
        self._sockets: set[ServerConnection] = set()
        self._server: Server | None = None
        self._changed = asyncio.Condition()
        self._ids = itertools.count(1)
        self._protocols = itertools.count(1)
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await serve(self._serve, "127.0.0.1", 0)
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._server is not None
        for task in self._tasks:
            task.cancel()
        self._server.close()
        await self._server.wait_closed()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"ws://127.0.0.1:{self._port}/"

    # What a test tells it to do.

    async def drop(self) -> None:
        """Cut every socket without a word."""
        for socket in list(self._sockets):
            socket.transport.abort()
        async with asyncio.timeout(10):
            while self._sockets:
                await asyncio.sleep(0.005)

    async def event(self, event_type: str, params: dict[str, Any], **beside: Any) -> None:
        """Send an event to every client."""
        await self._send(
            {
                "jsonrpc": "2.0",
                "id": f"event-{next(self._ids)}",
                "method": "signalwire.event",
                "params": {
                    "event_type": event_type,
                    "event_channel": "room",
                    "timestamp": 1,
                    "params": params,
                    **beside,
                },
            }
        )

    async def room_event(self, name: str, **params: Any) -> None:
        """Send `video.<name>` about the room."""
        await self.event(
            f"video.{name}", {"room_id": ROOM, "room_session_id": ROOM_SESSION, **params}
        )

    async def update(self, member_id: str, **changes: Any) -> None:
        """Change a member, as a moderator does, and tell everybody."""
        self.members[member_id].update(changes)
        await self.room_event(
            "member.updated", member={**self.members[member_id], "updated": list(changes)}
        )

    async def call_message(self, method: str, call_id: str, **params: Any) -> None:
        """Send a Verto request about a call."""
        request = {
            "jsonrpc": "2.0",
            "id": next(self._ids),
            "method": method,
            "params": {"callID": call_id, **params},
        }
        await self.event("webrtc.message", request, project_id="project-1", node_id=NODE)

    async def admit(self, call_id: str, offer: str) -> None:
        """Answer an invite and let the member in."""
        await self.call_message("verto.answer", call_id, sdp=await self.answer_sdp(offer))
        dialog = self.dialogs[call_id]
        if dialog["screenShare"] or dialog["additionalDevice"]:
            await self.join_leg(call_id)
        else:
            await self.subscribe(call_id)

    async def join_leg(self, call_id: str) -> None:
        """Tell that the member of an extra leg is there; only once."""
        if call_id in self.legs:
            return
        dialog = self.dialogs[call_id]
        member_id = self.legs[call_id] = f"leg-{len(self.legs) + 1}"
        self.members[member_id] = member(
            member_id,
            type="screen" if dialog["screenShare"] else "device",
            parent_id=dialog["userVariables"]["memberId"],
            **self.joined_with,
        )
        await self.room_event("member.joined", member=self.members[member_id])

    async def remove(self, member_id: str) -> None:
        """Take a member out and tell everybody."""
        gone = self.members.pop(member_id)
        await self.room_event("member.left", member=gone)

    async def subscribe(self, call_id: str) -> None:
        """Tell a call which member it is."""
        member_id = self.calls.setdefault(call_id, f"self-{len(self.calls) + 1}")
        self.members.setdefault(member_id, member(member_id, "Self", **self.joined_with))
        room = {
            "room_session_id": ROOM_SESSION,
            "room_id": ROOM,
            "name": "demo",
            "members": list(self.members.values()),
            "recordings": [],
            "playbacks": [],
            "streams": [],
            "layout_name": "grid-responsive",
            "preview_url": "https://hub.local/preview",
        }
        await self.event(
            "video.room.subscribed",
            {
                "call_id": call_id,
                "member_id": member_id,
                "room_session": {"id": ROOM_SESSION, **room},
                "room": room,
            },
        )

    async def until(self, condition: Callable[[], Any], deadline: float = 20.0) -> None:
        """Wait until requests have made something true."""
        async with asyncio.timeout(deadline), self._changed:
            await self._changed.wait_for(lambda: bool(condition()))

    def sent(self, method: str) -> list[dict[str, Any]]:
        """The params of every request of that method, in order."""
        return [params for name, params in self.requests if name == method]

    def said(self, method: str) -> list[dict[str, Any]]:
        """The Verto messages of that method, in order."""
        return [message for message in self.verto if message.get("method") == method]

    @property
    def own_id(self) -> str:
        """The member that joined last."""
        return list(self.calls.values())[-1]

    @property
    def call_id(self) -> str:
        """The call that was admitted last."""
        return list(self.calls)[-1]

    # Inside.

    async def _serve(self, socket: ServerConnection) -> None:
        self._sockets.add(socket)
        try:
            async for text in socket:
                await self._frame(socket, json.loads(text))
        except ConnectionClosed:
            pass
        finally:
            self._sockets.discard(socket)

    async def _frame(self, socket: ServerConnection, frame: dict[str, Any]) -> None:
        method = frame.get("method")
        if method is None:
            return
        params = frame["params"]
        name = method
        if method == "video.message":
            name = params["message"].get("method", "verto.reply")
            self.verto.append(params["message"])
        self.requests.append((name, params))
        async with self._changed:
            self._changed.notify_all()
        if name in self.silent:
            return
        if method == "signalwire.connect":
            await self._connect(socket, frame["id"], params)
        elif name in self.refusals:
            code, message = self.refusals[name]
            await self._reply(socket, frame["id"], {"code": code, "message": message})
        elif method == "video.message":
            await self._verto(socket, frame["id"], params)
        else:
            await self._rpc(socket, frame["id"], method, params)

    async def _connect(self, socket: ServerConnection, id_: str, params: dict[str, Any]) -> None:
        self.connections += 1
        if self.auth_error is not None:
            await _put(socket, {"jsonrpc": "2.0", "id": id_, "error": self.auth_error})
            return
        protocol = params.get("protocol") if self.knows_sessions else None
        if protocol is None:
            protocol = f"signalwire_signature-1_{next(self._protocols)}_project-1"
        await self._reply(
            socket,
            id_,
            {
                "identity": f"client@{NODE}",
                "protocol": protocol,
                "authorization": self.authorization,
                "ice_servers": self.ice_servers,
            },
        )

    async def _verto(self, socket: ServerConnection, id_: str, params: dict[str, Any]) -> None:
        message = params["message"]
        inner: dict[str, Any] = {}
        if message.get("method") == "verto.invite":
            inner = {"message": "CALL CREATED", "callID": params["callID"]}
            self.dialogs[params["callID"]] = message["params"]["dialogParams"]
            self.offers.append(message["params"]["sdp"])
        await self._reply(
            socket,
            id_,
            {
                "code": "200",
                "node_id": NODE,
                "result": {"jsonrpc": "2.0", "id": message.get("id"), "result": inner},
            },
        )
        if message.get("method") == "verto.invite":
            task = asyncio.create_task(
                self.invite(params["callID"], message["params"]["sdp"])  # type: ignore[arg-type]
            )
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def work_event(self, kind: str, verb: str, **fields: Any) -> None:
        """Send `video.<kind>.<verb>` about a recording, playback or stream."""
        await self.room_event(f"{kind}.{verb}", **{kind: fields})

    async def _work(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """Do what a request wants of a recording, playback or stream, and tell of it."""
        _, kind, verb = method.split(".")
        works = self.works[kind]
        if verb == "list":
            return {f"{kind}s": list(works.values())}
        if verb == "start":
            wishes = {k: v for k, v in params.items() if k in ("url", "volume")}
            state = {"recording": "recording", "playback": "playing", "stream": "streaming"}[kind]
            made = {"id": f"{kind}-{len(works) + 1}", "state": state, "started_at": 1700000000.5}
            works[made["id"]] = made | wishes | {"ended_at": None}  # type: ignore[index]
            await self.work_event(kind, "started", **works[made["id"]])  # type: ignore[index]
            return {kind: works[made["id"]]}  # type: ignore[index]
        work = works.get(params[f"{kind}_id"])
        if work is None:
            return {"code": "404", "message": f"no such {kind}"}
        if verb == "stop":
            work |= {"state": "completed", "ended_at": 1700000060.5}
        elif verb in ("pause", "resume"):
            work["state"] = "paused" if verb == "pause" else "on"
        elif verb == "set_volume":
            work["volume"] = params["volume"]
        elif verb.startswith("seek"):
            work["position"] = params["position"]
        await self.work_event(kind, "ended" if verb == "stop" else "updated", **work)
        return {}

    async def _rpc(
        self, socket: ServerConnection, id_: str, method: str, params: dict[str, Any]
    ) -> None:
        answer: dict[str, Any] = {"code": "200", "message": "OK"}
        if method == "video.members.get":
            answer["members"] = list(self.members.values())
        if method.split(".")[1] in self.works:
            answer |= await self._work(method, params)
        changes = self._changes(method)
        target = params.get("member_id")
        if changes and target not in self.members:
            answer = {"code": "404", "message": "Member not found"}
            changes = {}
        answer |= self.results.get(method, {})
        told = self.update(target, **changes) if changes else None
        if told is not None and not self.events_after_reply:
            await told
        await self._reply(socket, id_, answer)
        if told is not None and self.events_after_reply:
            await told

    def _changes(self, method: str) -> dict[str, Any]:
        return {
            "video.member.audio_mute": {"audio_muted": True},
            "video.member.audio_unmute": {"audio_muted": False},
            "video.member.video_mute": {"video_muted": True, "visible": False},
            "video.member.video_unmute": {"video_muted": False, "visible": True},
            "video.member.deaf": {"deaf": True, "audio_muted": True},
            "video.member.undeaf": {"deaf": False, "audio_muted": False},
        }.get(method, {})

    async def _reply(self, socket: ServerConnection, id_: str, result: dict[str, Any]) -> None:
        await _put(socket, {"jsonrpc": "2.0", "id": id_, "result": result})

    async def _send(self, frame: dict[str, Any]) -> None:
        for socket in list(self._sockets):
            await _put(socket, frame)


async def _put(socket: ServerConnection, frame: dict[str, Any]) -> None:
    with contextlib.suppress(ConnectionClosed):
        await socket.send(json.dumps(frame))


async def _no_media(offer: str) -> str:
    return f"answer to {offer}"

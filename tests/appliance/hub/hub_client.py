"""A client for the hub's tests: bare frames over a real WebSocket, and stand-ins for the media."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import httpx
import websockets
from av import VideoFrame
from websockets.asyncio.client import ClientConnection

from appliance.hub.canvas import Watcher
from appliance.hub.members import Member
from appliance.hub.room import Room
from appliance.hub.server import HubServer
from appliance.hub.stage import Clip
from appliance.hub.tap import Tap
from appliance.hub.tokens import TokenOptions, mint
from appliance.media.errors import NegotiationError
from appliance.media.peer import Peer, PeerState
from appliance.signaling import verto
from appliance.signaling.layouts import Layer
from appliance.signaling.permissions import PERMISSIONS

DEADLINE = 20.0

BOTH = "v=0\r\nm=audio 9 x 111\r\na=sendrecv\r\nm=video 9 x 96\r\na=sendrecv\r\n"
RECEIVE = BOTH.replace("sendrecv", "recvonly")
PICTURES = "v=0\r\nm=video 9 x 96\r\na=sendonly\r\nm=audio 9 x 111\r\na=sendonly\r\n"
UNUSABLE = "v=0\r\nunusable\r\n"
TRIPPING = "v=0\r\ntripping\r\n"
ENDLESS = "v=0\r\nendless\r\n"


async def until(condition: Callable[[], Any], deadline: float = DEADLINE) -> None:
    """Wait until a condition holds; the poll is the test's clock, not its verdict."""
    async with asyncio.timeout(deadline):
        while not condition():
            await asyncio.sleep(0.002)


class FakePeer(Peer):
    """A leg without media. What it does with an offer stands in the offer."""

    def __init__(self) -> None:
        self.audio_in = self.video_in = self.audio_out = self.video_out = None
        self.on_state = None
        self.current = PeerState.NEW
        self.directions: tuple[str, str] | None = None
        self.offer_seen: str | None = None

    @property
    def state(self) -> PeerState:
        return self.current

    async def answer(self, offer: str, *, audio: str = "", video: str = "") -> str:  # type: ignore[override]
        self.offer_seen = offer
        self.directions = (audio, video)
        if offer == UNUSABLE:
            raise NegotiationError("the other side's offer cannot be used")
        if offer == TRIPPING:
            raise ZeroDivisionError
        if offer == ENDLESS:
            await asyncio.Event().wait()
        return f"answer-{uuid.uuid4()}"

    def become(self, state: PeerState) -> None:
        """Change the state as the network would."""
        self.current = state
        if self.on_state is not None:
            self.on_state(state)

    async def close(self) -> None:
        self.current = PeerState.CLOSED


class FakeCanvas:
    """A canvas that shows one grey picture to whoever begins to watch."""

    width, height = 64, 36

    def __init__(self) -> None:
        self.watcher: Watcher | None = None

    def watch(self, watcher: Watcher | None, interval: float = 1.0) -> None:
        self.watcher = watcher
        if watcher is not None:
            watcher(VideoFrame(self.width, self.height, "yuv420p"))


class FakeStage:
    """A stage that remembers what it was told."""

    def __init__(self, room: Room) -> None:
        self.room = room
        self.peers: dict[str, Peer] = {}
        self.brings: dict[str, tuple[bool, bool]] = {}
        self.members: dict[str, dict[str, Any]] = {}
        self.layers: list[Layer] = []
        self.listening: dict[str, list[Peer]] = {}
        self.taps: list[Tap] = []
        self.clips: dict[str, Clip] = {}
        self.chimes: list[str] = []
        self.canvas = FakeCanvas()
        self.size = (self.canvas.width, self.canvas.height)
        self.rate = 30.0
        self.closed = False

    def add(self, member: Member, peer: Peer) -> None:
        self.peers[member.id] = peer
        self.brings[member.id] = (member.brings_audio, member.brings_video)
        self.listening.setdefault(member.id, [])
        self.listen(member, peer)

    def listen(self, member: Member, peer: Peer) -> None:
        if peer not in self.listening[member.id]:
            self.listening[member.id].append(peer)
        self.update(member)

    def drop(self, member_id: str, peer: Peer) -> None:
        if peer in self.listening.get(member_id, []):
            self.listening[member_id].remove(peer)

    def remove(self, member_id: str) -> None:
        del self.peers[member_id], self.listening[member_id]

    def play(self, clip: Clip) -> None:
        self.clips[clip.id] = clip

    def stop_playing(self, clip_id: str) -> None:
        self.clips.pop(clip_id, None)

    def chime(self, occasion: str) -> None:
        self.chimes.append(occasion)

    def tap(self, tap: Tap) -> None:
        self.taps.append(tap)

    def untap(self, tap: Tap) -> None:
        if tap in self.taps:
            self.taps.remove(tap)

    def update(self, member: Member) -> None:
        self.members[member.id] = {
            name: getattr(member, name) for name in ("audio_muted", "video_muted", "deaf")
        }

    def arrange(self, layers: list[Layer]) -> None:
        self.layers = layers

    async def close(self) -> None:
        self.closed = True


def token(hub: HubServer, room: str = "demo", **options: Any) -> str:
    """A token with every permission, unless other options are given."""
    options.setdefault("user_name", "Oak")
    options.setdefault("permissions", sorted(PERMISSIONS))
    wanted = TokenOptions(room_name=room, **options)
    return mint(wanted, hub.keys.signing_key, project=hub.keys.project)


async def make_room(hub: HubServer, **options: Any) -> None:
    """A room that lasts, called demo, with these options."""
    auth = (hub.keys.project, hub.keys.api_token)
    async with httpx.AsyncClient(base_url=hub.url, auth=auth, trust_env=False) as api:
        answer = await api.post("/api/video/rooms", json={"name": "demo", **options})
    assert answer.is_success, answer.text


def room_of(hub: HubServer, name: str = "demo") -> Room:
    """The room of this name, which is open."""
    room = hub.rooms.get(name)
    assert room is not None
    return room


def places(layout: dict[str, Any]) -> dict[str, str]:
    """The position of each member, from the params of a ``video.layout.changed``."""
    layers = layout["layout"]["layers"]
    return {one["member_id"]: one["position"] for one in layers if one["member_id"]}


class Client:
    """One WebSocket: acknowledges events, answers pings, and keeps all that came."""

    def __init__(self, socket: ClientConnection, *, acks: bool = True) -> None:
        self.socket = socket
        self.acks = acks
        self.frames: list[dict[str, Any]] = []
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.pings = 0
        self.connected: dict[str, Any] = {}
        self.authorization_state: str | None = None
        self.call_id = str(uuid.uuid4())
        self.member_id = ""
        self.room_session_id = ""
        self._answers: dict[Any, asyncio.Future[dict[str, Any]]] = {}
        self._reader = asyncio.create_task(self._read())

    @classmethod
    async def open(cls, hub: HubServer, *, acks: bool = True, path: str = "/") -> Self:
        socket = await websockets.connect(hub.websocket_url + path, max_size=None)
        return cls(socket, acks=acks)

    @classmethod
    async def connect(cls, hub: HubServer, jwt: str | None = None, **params: Any) -> Self:
        """A client that the hub has accepted."""
        client = await cls.open(hub)
        frame = await client.send_connect(token(hub) if jwt is None else jwt, **params)
        client.connected = frame["result"]
        return client

    @classmethod
    async def join(cls, hub: HubServer, sdp: str = BOTH, **options: Any) -> Self:
        """A client that is in the room."""
        client = await cls.connect(hub, token(hub, **options))
        await client.invite(sdp)
        return client

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self.socket.close()
        await self.gone()

    async def cut(self) -> None:
        """Lose the connection as a dead network does: without a word."""
        self.socket.transport.abort()
        await self.gone()

    async def gone(self) -> int | None:
        """Wait until the socket is closed; its close code."""
        async with asyncio.timeout(DEADLINE):
            await asyncio.wait({self._reader})
        return self.socket.close_code

    async def send_connect(self, jwt: Any, **params: Any) -> dict[str, Any]:
        return await self.request(
            "signalwire.connect",
            {
                "version": {"major": 3, "minor": 0, "revision": 0},
                "event_acks": self.acks,
                "agent": "test",
                "authentication": {"jwt_token": jwt},
                **params,
            },
        )

    async def request(self, method: str, params: Any) -> dict[str, Any]:
        """Send a request; its whole answer."""
        identifier = str(uuid.uuid4())
        answer = self._answers[identifier] = asyncio.get_running_loop().create_future()
        await self.send({"jsonrpc": "2.0", "id": identifier, "method": method, "params": params})
        async with asyncio.timeout(DEADLINE):
            return await answer

    async def send(self, frame: Any) -> None:
        text = frame if isinstance(frame, str | bytes) else json.dumps(frame)
        await self.socket.send(text)

    async def rpc(self, method: str, **params: Any) -> dict[str, Any]:
        """Call a room's method; the result."""
        params.setdefault("room_session_id", self.room_session_id)
        frame = await self.request(method, params)
        result: dict[str, Any] = frame["result"]
        return result

    async def verto(self, message: dict[str, Any], call_id: str | None = None) -> dict[str, Any]:
        """Send a Verto request; the result of the RPC that carried it."""
        call_id = call_id or self.call_id
        frame = await self.request("video.message", verto.envelope(message, call_id=call_id))
        result: dict[str, Any] = frame["result"]
        return result

    async def invite(self, sdp: str = BOTH, call_id: str | None = None) -> dict[str, Any]:
        """Invite the hub to the main leg and wait until it is in the room."""
        call_id = call_id or self.call_id
        seen = len(self.events)
        result = await self.verto(verto.invite(call_id, sdp), call_id)
        assert result["code"] == "200", result
        about = await self.event("video.room.subscribed", since=seen)
        assert about["call_id"] == call_id
        self.member_id = about["member_id"]
        self.room_session_id = about["room_session"]["id"]
        await self.event("video.layout.changed", since=seen)
        return about

    async def linger(self) -> None:
        """Invite the hub with an offer that it is never done with: on the way in, and not in."""
        invite = verto.invite(self.call_id, ENDLESS)
        answer = await self.verto(invite)
        assert answer["code"] == "200", answer

    async def leave(self) -> None:
        """End the main leg and wait until the hub has done it."""
        await self.verto(verto.bye(self.call_id))
        await self.settled()

    async def event(
        self,
        event_type: str,
        accept: Callable[[dict[str, Any]], Any] = lambda _: True,
        *,
        since: int = 0,
    ) -> dict[str, Any]:
        """The params of the first such event from number `since` on; waits for it."""
        found: list[dict[str, Any]] = []

        def there() -> bool:
            found[:] = [
                params
                for name, params in self.events[since:]
                if name == event_type and accept(params)
            ]
            return bool(found)

        await until(there)
        return found[0]

    async def verto_event(self, method: str, *, since: int = 0) -> dict[str, Any]:
        """The params of the first such Verto message from event number `since` on."""
        message = await self.event(
            "webrtc.message", lambda params: params["method"] == method, since=since
        )
        params: dict[str, Any] = message["params"]
        return params

    def names(self, since: int = 0) -> list[str]:
        """The types of the events that came, Verto messages by their methods."""
        return [
            params["method"] if name == "webrtc.message" else name
            for name, params in self.events[since:]
        ]

    async def settled(self) -> None:
        """Wait until the hub has sent all that went before."""
        await self.request("video.get_meta", {"room_session_id": self.room_session_id})

    async def mark(self) -> int:
        """How many events have come, once all that are on their way are counted."""
        await self.settled()
        return len(self.events)

    async def _read(self) -> None:
        try:
            async for text in self.socket:
                await self._take(json.loads(text))
        except websockets.ConnectionClosed:
            pass

    async def _take(self, frame: dict[str, Any]) -> None:
        self.frames.append(frame)
        method = frame.get("method")
        if method is None:
            waiting = self._answers.pop(frame.get("id"), None)
            if waiting is not None and not waiting.done():
                waiting.set_result(frame)
        elif method == "signalwire.event":
            params = frame["params"]
            if params["event_type"] == "signalwire.authorization.state":
                self.authorization_state = params["params"]["authorization_state"]
            self.events.append((params["event_type"], params["params"]))
            if self.acks:
                await self.send({"jsonrpc": "2.0", "id": frame["id"], "result": {}})
        elif method == "signalwire.ping":
            self.pings += 1
            result = {"timestamp": frame["params"]["timestamp"]}
            if self.acks:
                await self.send({"jsonrpc": "2.0", "id": frame["id"], "result": result})

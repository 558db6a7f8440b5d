"""Plays sessions with one client against a hub, and keeps its frames call by call."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from callers import Caller, Rejected
from room import eventually
from same_calls import GUEST, Call, Session
from wire_names import OWN, WireNames
from wire_tape import Frame, Message, WireTape

from appliance.hub.server import HubServer
from appliance.hub.tokens import TokenOptions, mint
from appliance.room import RoomSession
from appliance.signaling.permissions import PERMISSIONS

FULFILLED: Final = "fulfilled"
CALLER: Final = "Caller"
"""The client's name in the room."""


@dataclass
class CallRecord:
    """What one client did in one call.

    `frames` are its requests, in their order, ready to be compared.  Its answers to events and
    pings are not among them: how many of those come, and when, is the hub's affair.
    """

    outcome: str = FULFILLED
    frames: list[Message] = field(default_factory=list)


@dataclass
class Recording:
    """All that one client did: by session and number of the call, and every frame as it was."""

    calls: dict[tuple[str, int], CallRecord] = field(default_factory=dict)
    frames: dict[str, list[Frame]] = field(default_factory=dict)


@dataclass
class Stage:
    """One session while it goes on, played by the client of that name."""

    client: str
    tape: WireTape
    host: RoomSession | None = None
    guest: RoomSession | None = None
    #: Ids of the audience, which the room does not tell to others.
    known: dict[str, str] = field(default_factory=dict)

    def names(self) -> WireNames:
        """What the client can know by now."""
        if self.guest is not None and self.guest.member_id is not None:
            self.known[self.guest.member_id] = GUEST
        names = WireNames(CALLER, self.known)
        for frame in self.tape.frames:
            if frame.sender == "hub":
                names.learn(frame)
        return names


class CallRecorder:
    """`stream` is where a stream of the room may go."""

    def __init__(self, hub: HubServer, caller: Caller, stream: str) -> None:
        self._hub = hub
        self._caller = caller
        self._stream = stream
        self._recording = Recording()

    async def record(self, sessions: Iterable[Session]) -> Recording:
        """Play them all, each in a room of its own."""
        for session in sessions:
            await self._play(session)
        return self._recording

    async def _play(self, session: Session) -> None:
        room = f"{self._caller.name}-{session.name}".replace(" ", "-")
        async with contextlib.AsyncExitStack() as stack:
            tape = await stack.enter_async_context(WireTape.before(self._hub.websocket_url))
            stage = Stage(self._caller.name, tape)
            if session.with_host:
                stage.host = await stack.enter_async_context(self._other(room, "Host"))
            if session.with_guest:
                stage.guest = await stack.enter_async_context(
                    self._other(room, "Guest", join_as="audience")
                )
            token = self._token(room, CALLER, **session.token)
            await self._caller.create(tape.url, token, session)
            stack.push_async_callback(self._caller.close)
            for number, call in enumerate(session.calls):
                await self._make(stage, session, number, call)
        # The last call takes in what its client still says on its way out.
        self._recording.frames[session.name] = tape.frames
        self._describe(session, stage)

    async def _make(self, stage: Stage, session: Session, number: int, call: Call) -> None:
        tape = stage.tape
        tape.call = number
        record = self._recording.calls[session.name, number] = CallRecord()
        try:
            record.outcome = await self._outcome(stage, call)
            if record.outcome == FULFILLED:
                await eventually(f"{call.name} is over", lambda: call.until(stage))
            await eventually("no frame is due", lambda: tape.due == [])
        except TimeoutError as error:
            last = [frame.message for frame in tape.frames[-5:]]
            error.add_note(
                f"{self._caller.name}, {session.name}, {call.name}: due {tape.due}, last {last}"
            )
            raise

    async def _outcome(self, stage: Stage, call: Call) -> str:
        ids = stage.names().ids()
        if call.method == "cut":
            await stage.tape.cut()
        elif call.by == "Host":
            assert stage.host is not None
            await getattr(stage.host, call.method)(ids[OWN])
        elif call.by == "client":
            things = {**ids, **self._caller.things, "<stream>": self._stream}
            try:
                await self._caller.do(call, _filled(call.args, things))
            except Rejected as error:
                return f"rejected: {error.code}"
        return FULFILLED

    def _describe(self, session: Session, stage: Stage) -> None:
        names = WireNames(CALLER, stage.known)
        for frame in stage.tape.frames:
            if frame.sender == "hub":
                names.learn(frame)
            elif frame.is_request:
                self._recording.calls[session.name, frame.call].frames.append(names.plain(frame))
        for number, call in enumerate(session.calls):
            if call.unordered:
                self._recording.calls[session.name, number].frames.sort(key=json.dumps)

    def _token(self, room: str, name: str, *, forged: bool = False, **wishes: Any) -> str:
        rights = {"permissions": sorted(PERMISSIONS), "auto_create_room": True}
        options = TokenOptions(room_name=room, user_name=name, **{**rights, **wishes})
        keys = self._hub.keys
        key = bytes(len(keys.signing_key)) if forged else keys.signing_key
        return mint(options, key, project=keys.project)

    @contextlib.asynccontextmanager
    async def _other(self, room: str, name: str, **wishes: Any) -> AsyncIterator[RoomSession]:
        token = self._token(room, name, **wishes)
        async with RoomSession(token, host=self._hub.websocket_url) as session:
            await session.join(audio=True, video=False)
            yield session


def _filled(value: Any, ids: dict[str, str]) -> Any:
    """The arguments with ids in place of their names."""
    if isinstance(value, dict):
        return {_filled(key, ids): _filled(one, ids) for key, one in value.items()}
    if isinstance(value, tuple):
        return tuple(_filled(one, ids) for one in value)
    return ids.get(value, value) if isinstance(value, str) else value

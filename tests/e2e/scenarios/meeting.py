"""The room of a scenario: the client under test, and a witness who sees, hears and is told.

What a client does is judged at the witness, not by the client's own word.  The witness is a
`RoomSession` with every permission, in the test's process.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any, Self

from room import EVERYTHING, Hub, eventually
from scenarios.client import Client
from scenarios.roomlet_client import RoomletClient

MAPLE, WITNESS = 1, 2
"""The devices of the client under test and of the witness."""

STATE = (
    "audio_muted",
    "video_muted",
    "deaf",
    "handraised",
    "input_sensitivity",
    "input_volume",
    "meta",
    "name",
    "output_volume",
    "requested_position",
)
"""What of a member has to be as it was at the beginning."""

ROOM_STATE = ("locked", "hide_video_muted", "prioritize_handraise", "meta")
"""And what of the room."""

_numbers = itertools.count(1)

NewClient = Callable[[str, int], Awaitable[Client]]
"""Makes a client under test, from its name and its device."""


class Meeting:
    """One room, with the witness in it from the beginning."""

    def __init__(self, hub: Hub, new_client: NewClient, witness: RoomletClient) -> None:
        self.hub = hub
        self.room = f"scenario-{next(_numbers)}"
        self.witness = witness
        self._new_client = new_client
        self._client: Client | None = None
        self._guests = contextlib.AsyncExitStack()
        self._beginning: Any = None

    @classmethod
    @contextlib.asynccontextmanager
    async def held(cls, hub: Hub, new_client: NewClient) -> AsyncIterator[Meeting]:
        """With the witness in it until the block ends."""
        witness = RoomletClient("Witness", WITNESS)
        meeting = cls(hub, new_client, witness)
        await witness.create(hub.websocket, meeting.token("Witness"))
        try:
            await witness.join()
            yield meeting
        finally:
            await meeting.end_scenario()
            if meeting._client is not None:
                await meeting._client.close()
            await witness.close()

    @property
    def client(self) -> Client:
        """The client under test, in the room with every permission."""
        assert self._client is not None
        return self._client

    def token(self, name: str, permissions: Iterable[str] = EVERYTHING, **options: Any) -> str:
        """A token for this room, or another `room`; `options` are fields of `TokenOptions`."""
        return self.hub.token(name, permissions, **{"room": self.room, **options})

    async def guest(
        self,
        name: str = "Guest",
        device: int = 3,
        *,
        permissions: Iterable[str] = EVERYTHING,
        token: dict[str, Any] | None = None,
        forged: bool = False,
        host: str | None = None,
        **options: Any,
    ) -> Client:
        """One more client of the kind under test, made and not joined; it ends with the scenario.

        `token` is what `Meeting.token` takes more, `options` are those of the constructor.
        A `forged` token has a signature that is not the hub's. `host` is where it connects, by
        default the hub's own address.
        """
        client = await self._new_client(name, device)
        signed = self.token(name, permissions, **(token or {}))
        await client.create(
            host or self.hub.websocket,
            signed[:-12] + "A" * 12 if forged else signed,
            **options,
        )
        self._guests.push_async_callback(client.close)
        return client

    async def joined(
        self,
        name: str = "Guest",
        device: int = 3,
        *,
        join: dict[str, Any] | None = None,
        **how: Any,
    ) -> Client:
        """One more client of the kind under test, in the room; `how` as for `guest`."""
        client = await self.guest(name, device, **how)
        await client.join(**(join or {}))
        await self.knows(client)
        return client

    async def knows(self, client: Client) -> str:
        """Wait until the witness knows a member and its place; gives the member's id."""
        member_id = await client.member_id()
        await eventually(
            f"the place of {client.name} is known", lambda: member_id in self.witness.layers()
        )
        return member_id

    # --- from one scenario to the next

    async def begin_scenario(self) -> None:
        """Let the client under test in, where it is not yet."""
        if self._client is None:
            client = await self._new_client("Maple", MAPLE)
            await client.create(self.hub.websocket, self.token("Maple"))
            self._client = client
            await client.join()
            await self.knows(client)
            self._beginning = await self._state()

    async def end_scenario(self) -> None:
        """Let all guests go."""
        await self._guests.aclose()

    async def is_as_at_the_beginning(self) -> bool:
        """Whether another scenario may go on with what this one left behind."""
        clients = [self.witness] if self._client is None else [self.witness, self._client]
        if not all([await client.get("active") for client in clients]):
            return False
        return self._client is None or bool(self._beginning == await self._state())

    async def _state(self) -> Any:
        session = self.witness.session
        members = (await session.get_members()).to_dict()["members"]
        layout = self.witness.layout()
        return (
            sorted([[member[key] for key in STATE] for member in members], key=str),
            layout and layout["name"],
            self._room(),
        )

    def _room(self) -> dict[str, Any]:
        """What the witness has been told of the room as a whole."""
        (joined,) = [e.payload for e in self.witness.events if e.name == "room.joined"]
        room = dict(joined["room_session"])
        for event in self.witness.events:
            if event.name == "room.updated":
                room |= event.payload["room"]
        return {key: room[key] for key in ROOM_STATE}


class Meetings:
    """One meeting after the other, each as long as scenarios leave it as it was."""

    def __init__(self, hub: Hub, new_client: NewClient) -> None:
        self._hub = hub
        self._new_client = new_client
        self._stack = contextlib.AsyncExitStack()
        self._meeting: Meeting | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._stack.aclose()

    async def current(self) -> Meeting:
        """The present meeting, or a new one where that has changed."""
        if self._meeting is None or not await self._meeting.is_as_at_the_beginning():
            await self.end_current()
            self._meeting = await self._stack.enter_async_context(
                Meeting.held(self._hub, self._new_client)
            )
        return self._meeting

    async def end_current(self) -> None:
        """End the present meeting; the next scenario gets another one."""
        self._meeting = None
        await self._stack.aclose()

"""A hub in a process of its own that is spoken to rudely, while witnesses sit in its rooms.

By default there are a few hundred examples; hypothesis' profile ``fuzz`` takes ten thousand.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Literal
from unittest import mock

import websockets
from hypothesis import HealthCheck, settings

from appliance.signaling import verto
from appliance.signaling.permissions import PERMISSIONS
from tests.appliance.hub import wild
from tests.appliance.hub.hub_client import Client, token
from tests.appliance.hub.hub_process import PATIENT, HubProcess, State
from tests.appliance.hub.wild import OFFERS, Message
from tests.appliance.hub.witnesses import Witnesses

DEADLINE = 60.0

EXAMPLES = max(300, settings().max_examples)
MEETINGS = EXAMPLES // 6
"""Of up to thirty steps each."""

ROOMY = 64 * 2**20
"""Bytes by which the memory may be larger at the end than it was after the first examples: what
allocators keep.  It does not depend on the number of examples."""

GUEST = sorted(
    one for one in PERMISSIONS if one.startswith("room.self.") and one != "room.self.screenshare"
)
"""All that concerns nobody else: a shared screen may come with a layout."""

Who = Literal["stranger", "guest", "moderator"]


class Fuzzing:
    """A hub, its witnesses, and the rude clients of one test."""

    def __init__(self, hub: HubProcess, witnesses: Witnesses, before: State) -> None:
        self.hub = hub
        self.witnesses = witnesses
        self.before = before
        self.memory: list[int] = []
        self.examples = 0
        self._loop = asyncio.get_running_loop()
        self._clients: dict[Who, Client] = {}
        self._rooms = 0

    @classmethod
    @contextlib.asynccontextmanager
    async def running(cls, folder: Path) -> AsyncIterator[Fuzzing]:
        """Everything is ready, and at the end everything is as it was."""
        with mock.patch("aioice.ice.CONSENT_FAILURES", PATIENT):
            async with cls._running(folder) as fuzzing:
                yield fuzzing

    @classmethod
    @contextlib.asynccontextmanager
    async def _running(cls, folder: Path) -> AsyncIterator[Fuzzing]:
        async with HubProcess.running(folder) as hub:
            async with Witnesses.of(hub) as witnesses:  # type: ignore[arg-type]
                before = await settled(hub)
                fuzzing = cls(hub, witnesses, before)
                began = time.monotonic()
                try:
                    yield fuzzing
                finally:
                    for client in fuzzing._clients.values():
                        await client.close()
                await fuzzing.check()
                after = await fuzzing.empty()
                print(
                    f"{fuzzing.examples} examples in {time.monotonic() - began:.0f} s; memory in"
                    f" MiB: {[size >> 20 for size in (before.rss, *fuzzing.memory, after.rss)]}"
                )
                warm = fuzzing.memory[min(2, len(fuzzing.memory) - 1)]
                assert after.rss < warm + ROOMY
        said = hub.log()
        assert "Traceback" not in said, said
        assert not [line for line in said.splitlines() if line.startswith(("ERROR", "CRITICAL"))]

    def each(self, example: Callable[..., Any], *arguments: Any) -> None:
        """Run one example on the loop; for hypothesis' thread."""
        self.do(example(*arguments))
        self.count(EXAMPLES // 10)

    def count(self, every: int) -> None:
        """One example is over; the witnesses are asked after every so many."""
        self.examples += 1
        if self.examples % every == 0:
            self.do(self.check())

    def do(self, work: Any) -> Any:
        """Run something on the loop, and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(3 * DEADLINE)

    async def check(self) -> None:
        """The witnesses are content; note the memory."""
        await self.witnesses.check()
        self.memory.append((await self.hub.state()).rss)

    async def empty(self) -> State:
        """Wait until the hub holds as much as before."""
        began, seen = time.monotonic(), {}
        while (state := await self.hub.state()).held != self.before.held:
            seen.setdefault(state.held, round(time.monotonic() - began, 1))
            assert time.monotonic() < began + DEADLINE, (
                f"left over: {state}, before: {self.before}, at seconds: {seen}"
            )
            await asyncio.sleep(0.2)
        return state

    async def client(self, who: Who) -> Client:
        """The present client of this sort; in the room, unless it is a stranger."""
        client = self._clients.get(who)
        if client is None or client.socket.close_code is not None:
            if client is not None:
                await client.close()
            # A moderator who locks its room and is thrown out would not get in again.
            self._rooms += who == "moderator"
            client = self._clients[who] = await Client.open(self.hub)  # type: ignore[arg-type]
            if who != "stranger":
                client.connected = (await client.send_connect(self.token(who)))["result"]
        if who != "stranger" and not await in_room(client):
            await self._join(client)
        return client

    async def _join(self, client: Client) -> None:
        """Bring a client into the room. Calls that its messages asked for may still be on the way
        in, and come before the one that is awaited."""
        call_id = client.call_id = str(uuid.uuid4())
        seen = len(client.events)
        result = await client.verto(verto.invite(call_id, OFFERS[0]))
        assert result["code"] == "200", result

        def mine(about: dict[str, Any]) -> bool:
            return bool(about["call_id"] == call_id)

        about = await client.event("video.room.subscribed", mine, since=seen)
        client.member_id = about["member_id"]
        client.room_session_id = about["room_session"]["id"]

    def token(self, who: Who) -> str:
        """A guest may do nothing to others, and meets the witnesses; a moderator may do
        everything, in a room of its own."""
        if who == "guest":
            return token(self.hub, "demo", user_name="Guest", permissions=GUEST)  # type: ignore[arg-type]
        return token(self.hub, f"wild-{self._rooms}", user_name="Moderator")  # type: ignore[arg-type]

    async def send(self, client: Client, who: Who, messages: list[Message]) -> None:
        """Send the messages; then the hub must answer, or have closed the socket."""
        names = {
            "@session": client.room_session_id or "nowhere",
            "@member": client.member_id or "nobody",
            "@call": client.call_id,
            "@other": (
                self.witnesses.pair[0] if who == "guest" else self.witnesses.alone
            ).member_id,
            "@token": self.token(who),
            # Nobody listens there.
            "@url": "rtmp://127.0.0.1:9/x",
        }
        with contextlib.suppress(websockets.ConnectionClosed):
            for message in messages:
                await self._send(client, message, names)
        answered = asyncio.ensure_future(client.request("video.get_meta", {}))
        async with asyncio.timeout(DEADLINE):
            await asyncio.wait({answered, client._reader}, return_when=asyncio.FIRST_COMPLETED)
        answered.cancel()
        with contextlib.suppress(websockets.ConnectionClosed, asyncio.CancelledError):
            await answered
        if client._reader.done():
            # The reader understood all that came.
            client._reader.result()
        del client.frames[:], client.events[:]

    @staticmethod
    async def _send(client: Client, message: Message, names: dict[str, str]) -> None:
        data = message.data
        if isinstance(data, bytes):
            await client.socket.send(data, text=message.kind == "broken text")
            return
        # As a client would that is no Python: what cannot be text goes as the hub may take it.
        text = wild.fill(data, names).encode("utf-8", "replace")
        if message.kind == "text":
            await client.socket.send(text, text=True)
        else:
            step = max(1, len(text) // 7)
            pieces = [text[at : at + step] for at in range(0, len(text), step)]
            await client.socket.send(pieces or [b""], text=True)


async def in_room(client: Client) -> bool:
    answer = await client.request("video.members.get", {})
    return "result" in answer and answer["result"]["code"] == "200"


async def settled(hub: HubProcess) -> State:
    """What the hub holds once two looks in a row find the same."""
    state = await hub.state()
    async with asyncio.timeout(DEADLINE):
        while True:
            await asyncio.sleep(0.3)
            last, state = state, await hub.state()
            if last.held == state.held:
                return state


def examples(count: int) -> settings:
    return settings(max_examples=count, suppress_health_check=list(HealthCheck))

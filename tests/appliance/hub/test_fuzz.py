"""Whatever clients send: the hub answers with an error or closes that socket, the others in the
room notice nothing, and nothing of it stays."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import pytest
import websockets
from hypothesis import given
from hypothesis import strategies as st

from tests.appliance.hub import wild
from tests.appliance.hub.fuzzing import DEADLINE, EXAMPLES, Fuzzing, Who, examples, settled
from tests.appliance.hub.hub_client import Client
from tests.appliance.hub.hub_process import HubProcess
from tests.appliance.hub.wild import Message

# Hypothesis draws on a thread of its own, while the loop's uses chance for what it is for.
pytestmark = pytest.mark.filterwarnings("ignore:Do not use the `random` module")


async def test_messages(tmp_path: Path) -> None:
    async with Fuzzing.running(tmp_path) as fuzzing:

        @examples(EXAMPLES)
        @given(
            st.sampled_from(["stranger", "guest", "guest", "moderator", "moderator"]),
            st.lists(wild.messages(), min_size=1, max_size=4),
        )
        def run(who: Who, messages: list[Message]) -> None:
            async def example() -> None:
                await fuzzing.send(await fuzzing.client(who), who, messages)

            fuzzing.each(example)

        # Hypothesis is synchronous: it runs beside the loop, each example on it.
        await asyncio.to_thread(run)


async def test_bytes_below_the_protocol(tmp_path: Path) -> None:
    async with Fuzzing.running(tmp_path) as fuzzing:

        @examples(EXAMPLES // 3)
        @given(wild.raw(), st.sampled_from(["close", "abort", "wait"]))
        def run(pieces: list[bytes], ending: str) -> None:
            fuzzing.each(talk, fuzzing.hub, pieces, ending)

        await asyncio.to_thread(run)


async def talk(hub: HubProcess, pieces: list[bytes], ending: str) -> None:
    """Send pieces over a connection of its own, and end it, or read what the hub says."""
    reader, writer = await asyncio.open_connection(*hub.address)
    with contextlib.suppress(ConnectionError):
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            if piece is not pieces[-1]:
                # The rest comes after an answer, or after a while without one.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.01):
                        await reader.read(65_536)
        if ending == "abort":
            writer.transport.abort()
        elif ending == "wait":
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.05):
                    await reader.read(65_536)
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


UNFINISHED = {
    "nothing": b"",
    "half of a head": b"GET /ws HTTP/1.1\r\nHost: [::1]\r\nUpgr",
    "a head without an end": wild.UPGRADED[:-2],
    "what HTTP takes and WebSocket does not": wild.UPGRADED[:-2]
    + b"".join(b"X%d: y\r\n" % number for number in range(300))
    + b"\r\n",
    "half of a second request": b"GET /health HTTP/1.1\r\nHost: [::1]\r\n\r\nGET /health HTTP",
    "half of a body": b"POST /api/video/rooms HTTP/1.1\r\nHost: [::1]\r\nContent-Length: 9\r\n\r\n",
    "no message": wild.UPGRADED,
    "half of a frame": wild.UPGRADED + b"\x81\xfe\x01\x00",
}


async def test_who_stops_in_the_middle_is_let_go(tmp_path: Path) -> None:
    async with HubProcess.running(tmp_path, connect=1.0) as hub:
        before = await settled(hub)

        async def wait_for_the_end(data: bytes) -> None:
            reader, writer = await asyncio.open_connection(*hub.address)
            writer.write(data)
            with contextlib.suppress(ConnectionError):
                while await reader.read(65_536):
                    pass
            writer.close()

        waiting = {
            asyncio.create_task(wait_for_the_end(data), name=name)
            for name, data in UNFINISHED.items()
        }
        ended, kept = await asyncio.wait(waiting, timeout=DEADLINE)
        for task in kept:
            task.cancel()
        assert not [task.get_name() for task in kept]
        for task in ended:
            task.result()
        async with asyncio.timeout(DEADLINE):
            while (await hub.state()).held != before.held:
                await asyncio.sleep(0.1)
        assert "Traceback" not in hub.log()


async def test_a_compressed_bomb_costs_the_hub_nothing(tmp_path: Path) -> None:
    async with HubProcess.running(tmp_path) as hub:
        small = await Client.open(hub)  # type: ignore[arg-type]
        await small.send("x" * 200_000)
        await small.close()
        before = await settled(hub)
        for _ in range(5):
            client = await Client.open(hub)  # type: ignore[arg-type]
            # Some hundred kilobytes on the wire.
            with contextlib.suppress(websockets.ConnectionClosed):
                await client.send("x" * 100_000_000)
            assert await client.gone() == 1009
            assert (await hub.state()).rss < before.rss + 16 * 2**20

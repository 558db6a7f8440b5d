"""Options of the constructor."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterator
from typing import cast

import pytest
from aioice import stun
from room import DEADLINE, eventually
from scenarios.client import Client, updated
from scenarios.covering import covers
from scenarios.meeting import Meeting
from scenarios.official_client import OfficialClient
from scenarios.test_local_overlay import shows
from sdk_client import Pixels

from hal.camera import scene


@covers("option rootElement")
async def test_shows_the_room_on_its_screen(lobby: Meeting) -> None:
    witness = lobby.witness
    other = await witness.member_id()
    client = await lobby.joined(rootElement=True)
    await eventually("the layout is known", lambda: other in client.layers())

    async def shown() -> bool:
        picture = await client.screen()
        return picture is not None and client.layers()[other].camera(picture) == witness.device

    await eventually("the other is on the screen", shown)


@covers("option rootElement")
async def test_has_no_screen(lobby: Meeting) -> None:
    client = await lobby.joined(rootElement=False)
    await client.hears_tone(lobby.witness.tone)
    await client.told("media.connected")
    assert await client.receives("video")
    assert await client.screen() is None


@covers("option applyLocalVideoOverlay")
@pytest.mark.parametrize("wanted", [True, False])
async def test_lays_its_own_picture_over_the_rooms(lobby: Meeting, wanted: bool) -> None:
    client = await lobby.joined(rootElement=True, applyLocalVideoOverlay=wanted)
    me = await client.member_id()
    await client.sees_camera(me, client.device)
    if wanted:

        async def overlaid() -> bool:
            return await _overlaid(client, me)

        await eventually("the own picture is over the room's", overlaid)
    else:
        assert not await _overlaid(client, me)


async def _overlaid(client: Client, me: str) -> bool:
    """Whether the own picture on the screen comes another way than that of the room."""
    if isinstance(client, OfficialClient):
        shown = client.sdk.page.locator("#root .mcuLayers video")
        await eventually("the canvas is shown", client.screen)
        return await shown.count() > 0 and await shown.first.is_visible()

    # Flipped, it can be told from what comes from the room.
    client.session.local_overlay.set_mirrored(True)  # type: ignore[attr-defined]

    def frame(picture: Pixels | None) -> int:
        code = None if picture is None else scene.decode(picture.luma, *client.layers()[me])
        return -1 if code is None else code.frame

    last = 0

    async def later() -> int:
        now = frame(await client.picture())
        return now if now > last else 0

    for _ in range(20):
        last = await eventually("pictures move on", later)
        if shows(client, client.layers()[me], await client.screen(), mirrored=True):
            return True
    return False


class StunServer(asyncio.DatagramProtocol):
    """Answers binding requests, and keeps who sent them.

    The address that it tells is another than the client's, so that it is a candidate of its own.
    """

    def __init__(self) -> None:
        #: From where; who has asked goes on asking, to keep its way open.
        self.askers: set[tuple[str, int]] = set()
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        try:
            request = stun.parse_message(data)
        except ValueError:
            return
        self.askers.add(address)
        answer = stun.Message(
            stun.Method.BINDING,
            stun.Class.RESPONSE,
            request.transaction_id,
            {"XOR-MAPPED-ADDRESS": (address[0], address[1] ^ 1)},
        )
        assert self._transport is not None
        self._transport.sendto(bytes(answer), address)

    @classmethod
    @contextlib.asynccontextmanager
    async def running(cls) -> AsyncIterator[tuple[StunServer, str]]:
        """The server and its URL, until the block ends."""
        loop = asyncio.get_running_loop()
        transport, server = await loop.create_datagram_endpoint(cls, ("127.0.0.1", 0))
        try:
            yield server, f"stun:127.0.0.1:{transport.get_extra_info('sockname')[1]}"
        finally:
            transport.close()


@covers("option iceServers")
async def test_asks_the_ice_servers_that_it_is_given(lobby: Meeting) -> None:
    async with StunServer.running() as (server, url):
        client = await lobby.joined(iceServers=[{"urls": url}])
        assert server.askers
        await lobby.witness.hears_tone(client.tone)
        await client.sees_camera(await lobby.witness.member_id(), lobby.witness.device)
        asked = set(server.askers)
        await lobby.joined("Birch", 4)
        assert server.askers == asked


@pytest.fixture
def own_level() -> Iterator[None]:
    """The logger's level is as before when the scenario ends."""
    logger = logging.getLogger("appliance")
    level = logger.level
    yield
    logger.setLevel(level)


@covers("option logLevel")
async def test_says_as_much_as_it_is_told_to(
    lobby: Meeting, own_level: None, caplog: pytest.LogCaptureFixture
) -> None:
    said = {}
    for level in ("silent", "debug"):
        client = await lobby.guest(level, logLevel=level)
        before = len(caplog.records)
        await client.join()
        member_id = await lobby.knows(client)
        # Both have a word to say on that.
        await lobby.witness.call("removeMember", {"memberId": member_id})
        await client.told("room.left")
        if isinstance(client, OfficialClient):
            said[level] = len(client.sdk.console)
        else:
            records = caplog.records[before:]
            said[level] = sum(record.name.startswith("appliance") for record in records)
    assert said["silent"] == 0
    assert said["debug"] > 0


@covers("option speakerId")
async def test_plays_on_the_loudspeaker_that_it_is_told(lobby: Meeting) -> None:
    witness = lobby.witness
    client = await lobby.guest(speakerId="synthetic:2")
    await client.join()
    # The ear of ours is at that loudspeaker, that of the SDK before it.
    await client.hears_tone(witness.tone)

    async def there() -> bool:
        return await client.speaker() == "synthetic:2"

    await eventually("it plays there", there)


@covers("option stopMicrophoneWhileMuted", "audioMute", "audioUnmute")
@pytest.mark.parametrize("stop", [True, False])
async def test_closes_its_microphone_while_it_is_muted(lobby: Meeting, stop: bool) -> None:
    witness = lobby.witness
    client = await lobby.joined(stopMicrophoneWhileMuted=stop)
    me = await client.member_id()
    await witness.hears_tone(client.tone)
    await client.call("audioMute")
    await client.told("member.updated", updated(me, audio_muted=True))
    await witness.hears_tone(client.tone, False)
    await _becomes(client, "audio", not stop)
    await client.call("audioUnmute")
    await witness.hears_tone(client.tone)
    await _becomes(client, "audio", True)


@covers("option stopCameraWhileMuted", "videoMute", "videoUnmute")
@pytest.mark.parametrize("stop", [True, False])
async def test_closes_its_camera_while_it_is_muted(lobby: Meeting, stop: bool) -> None:
    witness = lobby.witness
    client = await lobby.joined(stopCameraWhileMuted=stop)
    me = await client.member_id()
    await witness.sees_camera(me, client.device)
    await client.call("videoMute")
    await client.told("member.updated", updated(me, video_muted=True))
    await witness.sees_mute_image(me)
    await _becomes(client, "video", not stop)
    await client.call("videoUnmute")
    await witness.sees_camera(me, client.device)
    await _becomes(client, "video", True)


async def _becomes(client: Client, kind: str, captures: bool) -> None:
    async def so() -> bool:
        return await client.captures(kind) is captures

    await eventually(f"the device for {kind} is {'open' if captures else 'closed'}", so, DEADLINE)

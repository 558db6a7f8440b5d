"""The harness itself: it sees and hears what was sent, and the SDK in it is the real one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest
from sdk_client import DEADLINE, Local, SdkClient, SdkError, tone_levels
from websockets.asyncio.server import ServerConnection, serve

from hal.camera import scene

REFUSAL = {
    "code": -32002,
    "message": "Authentication service failed with status ProtocolError, 401 Unauthorized: {}",
}


AUTHORIZATION = {
    "type": "video",
    "project_id": "p",
    "join_as": "member",
    "audio_allowed": "both",
    "video_allowed": "both",
    "signature": "s",
    "room": {"name": "demo", "scopes": ["room.self.audio_mute"]},
}
CONNECTED = {
    "identity": "i",
    "protocol": "signalwire_s_i_p",
    "authorization": AUTHORIZATION,
    "ice_servers": [],
}


class ScriptedHub:
    """A server that gives each method one answer, and hangs up at a method that has none."""

    def __init__(self, answers: dict[str, dict[str, Any]]) -> None:
        self._answers = answers
        self._more = asyncio.Condition()
        self.url = ""
        #: The requests of all connections.
        self.requests: list[dict[str, Any]] = []

    @classmethod
    @asynccontextmanager
    async def running(cls, **answers: dict[str, Any]) -> AsyncIterator[ScriptedHub]:
        """Serve on loopback until the block ends; `answers` go by a method's last word."""
        hub = cls(answers)
        async with serve(hub._handle, "127.0.0.1", 0) as server:
            hub.url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            yield hub

    async def _handle(self, connection: ServerConnection) -> None:
        async for text in connection:
            request = json.loads(text)
            async with self._more:
                self.requests.append(request)
                self._more.notify_all()
            answer = self._answers.get(request["method"].rpartition(".")[2])
            if answer is None:
                return
            await connection.send(json.dumps({"jsonrpc": "2.0", "id": request["id"], **answer}))

    async def wait_requests(self, count: int) -> None:
        async with self._more:
            await self._more.wait_for(lambda: len(self.requests) >= count)


def test_tone_levels_of_known_tones():
    turns = np.arange(24000) / 48000
    sound = 0.5 * np.sin(2 * np.pi * 1000 * turns) + 0.005 * np.sin(2 * np.pi * 1500 * turns)
    levels = tone_levels(sound.astype(np.float32), 48000, [1000, 1500, 2200])
    assert levels[1000] == pytest.approx(-6.02, abs=0.1)
    assert levels[1500] == pytest.approx(-46.02, abs=0.1)
    assert levels[2200] < -80


async def test_loopback_shows_the_picture_that_was_sent(guest: SdkClient):
    await guest.loopback(Local(color="#2060c0"))
    first = await guest.wait_pixels(lambda picture: (picture.width, picture.height) == (640, 360))
    assert first.rgba.shape == (360, 640, 4)
    corner = first.rgba[10:50, 10:50, :3].reshape(-1, 3).mean(axis=0)
    assert corner == pytest.approx([0x20, 0x60, 0xC0], abs=12)

    def bar(luma: np.ndarray) -> float:
        columns = np.flatnonzero(luma[180] > 200)
        return float(columns.mean()) if columns.size else -1.0

    start = bar(first.luma)
    # Between its end and its beginning the bar is out of sight.
    moved = await guest.wait_pixels(
        lambda picture: bar(picture.luma) >= 0 and abs(bar(picture.luma) - start) > 50
    )
    assert moved.luma[180].max() > 200
    assert moved.luma[20].max() < 150


async def test_the_strip_tells_number_and_age_of_a_frame(guest: SdkClient):
    await guest.loopback(Local(camera=42, width=1280, height=720))
    first = await guest.wait_pixels(lambda picture: scene.decode(picture.luma) is not None)
    code = scene.decode(first.luma)
    assert code.camera == 42
    # Drawn less than this test's deadline ago, and not in the future (which wraps to hours).
    assert code.age_ms() < DEADLINE * 1000
    later = await guest.wait_pixels(
        lambda picture: (c := scene.decode(picture.luma)) is not None and c.frame > code.frame + 10
    )
    elapsed = scene.decode(later.luma).clock_ms - code.clock_ms
    assert elapsed >= 10 * 1000 / 30 * 0.8


async def hears_only(guest: SdkClient, tone: float, others: Collection[float]) -> None:
    """Wait for a stretch of this tone at -12 dBFS, which `Local` sends, and none of the others.

    The first stretches may begin before the sound does, or hold packets that came late.
    """
    levels: dict[float, float] = {}
    try:
        async with asyncio.timeout(DEADLINE):
            while True:
                levels = await guest.spectrum([tone, *others])
                if abs(levels[tone] + 12) < 3 and all(levels[other] < -60 for other in others):
                    return
    except TimeoutError:
        raise TimeoutError(f"never {tone} Hz alone at -12 dBFS; the last: {levels}") from None


async def test_loopback_sounds_as_what_was_sent(guest: SdkClient):
    await guest.loopback(Local(tone=660, level=-12))
    await hears_only(guest, 660, (1000, 1500))
    assert len(await guest.samples(200)) == 9600


async def test_two_guests_do_not_share_a_page(new_guest: Callable[[], Awaitable[SdkClient]]):
    red, green = await new_guest(), await new_guest()
    await red.loopback(Local(color="#c00000", tone=500))
    await green.loopback(Local(color="#00a000", tone=900))
    for guest, channel, own, other in ((red, 0, 500, 900), (green, 1, 900, 500)):
        picture = await guest.wait_pixels(lambda picture: picture.rgba[20, 20, :3].max() > 100)
        assert picture.rgba[20, 20, :3].argmax() == channel
        await hears_only(guest, own, (other,))


async def test_the_sdk_is_the_real_one_and_rejects_a_refused_token(guest: SdkClient):
    async with ScriptedHub.running(connect={"error": REFUSAL}) as hub:
        with pytest.raises(SdkError) as caught:
            await guest.join(hub.url, "no-token")
    assert (caught.value.name, caught.value.code) == ("AuthError", -32002)
    assert caught.value.message == REFUSAL["message"]
    (connect,) = hub.requests
    assert connect["method"] == "signalwire.connect"
    assert connect["params"]["agent"] == "@signalwire/js/browser/3.30.0"
    assert connect["params"]["authentication"] == {"jwt_token": "no-token"}
    assert connect["params"]["version"] == {"major": 3, "minor": 0, "revision": 0}


async def test_a_new_room_session_knows_of_no_room(guest: SdkClient):
    await guest.create("ws://127.0.0.1:9", "no-token")
    assert await guest.get("roomId") is None
    assert await guest.get("permissions") == []
    with pytest.raises(SdkError, match="before the room was connected"):
        await guest.call("audioMute")
    with pytest.raises(SdkError, match="there is no method audioShout"):
        await guest.call("audioShout")


async def test_a_host_that_hangs_up_is_tried_again_while_join_stays_pending(guest: SdkClient):
    async with ScriptedHub.running() as hub:
        joining = asyncio.create_task(guest.join(hub.url, "no-token", timeout=2 * DEADLINE))
        try:
            async with asyncio.timeout(DEADLINE):
                await hub.wait_requests(3)
            assert not joining.done()
        finally:
            joining.cancel()
            await asyncio.gather(joining, return_exceptions=True)


async def test_the_invite_offers_the_drawn_camera_at_addresses_that_can_be_reached(
    guest: SdkClient,
):
    refused = {"code": "403", "message": "Unauthorized"}
    async with ScriptedHub.running(
        connect={"result": CONNECTED}, message={"result": refused}
    ) as hub:
        with pytest.raises(SdkError, match="403: Unauthorized"):
            await guest.join(hub.url, "no-token")
    invite = next(r for r in hub.requests if r["method"] == "video.message")["params"]["message"]
    assert invite["method"] == "verto.invite"
    sdp = invite["params"]["sdp"].splitlines()
    assert [line.split()[0] for line in sdp if line.startswith("m=")] == ["m=audio", "m=video"]
    assert sdp.count("a=sendrecv") == 2
    addresses = {line.split()[4] for line in sdp if line.startswith("a=candidate:")}
    assert addresses
    assert not [address for address in addresses if address.endswith(".local")]


async def test_wait_event_tells_what_came_instead(guest: SdkClient):
    await guest.page.evaluate("reportEvent('member.joined', {member: {name: 'Oak'}})")
    payload = await guest.wait_event("member.joined", lambda e: e["member"]["name"] == "Oak")
    assert payload == {"member": {"name": "Oak"}}
    with pytest.raises(TimeoutError, match=r"no such 'member.left' .*'member.joined'"):
        await guest.wait_event("member.left", timeout=0.1)
    with pytest.raises(TimeoutError):
        await guest.wait_event("member.joined", after=len(guest.events), timeout=0.1)

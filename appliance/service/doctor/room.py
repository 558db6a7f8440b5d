"""The room server: does it let the device in, and do media pass?"""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from collections.abc import Mapping
from typing import Any, Final

import jwt

from appliance.media.leg import MediaLeg
from appliance.media.peer import PeerState
from appliance.media.playout import SpeakerPlayout
from appliance.provisioning import Config, ConfigError
from appliance.room import AuthError, Disconnected, NothingToJoin, RoomSession
from appliance.service.doctor.check import Finding, fail, ok, skipped, warn
from appliance.service.entry import Entry
from appliance.service.errors import EntranceClosed
from appliance.service.network import MediaNetwork
from appliance.signaling.address import shown
from appliance.signaling.connection import Connection
from appliance.signaling.errors import SignalingError, one_line
from appliance.signaling.token import websocket_url
from hal.audio.synthetic import SyntheticSpeaker

SOON: Final = 7 * 86_400
"""Seconds of a token's time below which it should be renewed."""

PATH_TIMEOUT: Final = 12.0
"""Seconds for ICE and DTLS; a path that works takes less than one."""

LISTEN_S: Final = 1.0
"""How long packets are counted: a room's sound is 50 a second, speech or not."""

LOSS: Final = 0.05
"""Part of the packets that may be lost before it is heard."""

_LOOK_EVERY: Final = 0.05

_UDP: Final = "let UDP pass between device and server, all ports above 1023"


async def look_at_hub(config: Config) -> Finding:
    """Open a session with the device's token, and end it.  Raises SignalingError and the like."""
    token = await Entry(config).token()
    url = websocket_url(config.room.host, token)
    began = time.monotonic()
    async with Connection(url, token, on_event=lambda *_: None) as connection:
        took = 1000 * (time.monotonic() - began)
        room = connection.authorization.get("room")
    name = one_line(room.get("name")) if isinstance(room, Mapping) else "its room"
    text = f"{shown(url)} took the token for {name} in {took:.0f} ms"
    ends = _claims(token).get("exp")
    # The token of a guest, or of a web service, is made anew each time.
    lasting = config.read_token() is not None
    if isinstance(ends, int | float) and lasting and ends - time.time() < SOON:
        until = dt.datetime.fromtimestamp(ends, dt.UTC)
        return warn(f"{text}; it ends on {until:%Y-%m-%d %H:%M} UTC", "put a new token in time")
    return ok(text)


async def look_at_media(config: Config, state: Mapping[str, Any]) -> Finding:
    """Call the room to listen for a moment; `state` is what a running service says of itself.

    The others see a member come and go.  Raises RoomError, and MediaError.
    """
    if state.get("status") == "in_room":
        return ok("the running service is in its room")
    network = MediaNetwork(config)
    try:
        token, servers = await Entry(config).token(), network.ice_servers()
    except (EntranceClosed, SignalingError, ConfigError):
        return skipped("the room does not let in: see configuration and hub")
    if _claims(token).get("end_room_session_on_leave"):
        return skipped("the token ends the room when its owner leaves", "try it with another one")
    legs: list[MediaLeg] = []

    def make_leg(**arguments: Any) -> MediaLeg:
        legs.append(MediaLeg(**network.placed(arguments)))
        return legs[-1]

    ear = SpeakerPlayout(SyntheticSpeaker())
    session = RoomSession(
        token,
        host=config.room.host,
        speaker=ear,
        ice_servers=servers,
        leg_factory=make_leg,
    )
    try:
        async with session:
            await session.join(audio=False, video=False, receive_audio=True, receive_video=False)
            return await _hear(legs[-1])
    except NothingToJoin:
        return skipped("the token allows no sound")
    except (AuthError, Disconnected):
        return skipped("the server does not let in: see hub")
    finally:
        await ear.stop()


async def _hear(leg: MediaLeg) -> Finding:
    """Whether packets come, and how many of them are lost."""
    began = time.monotonic()
    try:
        async with asyncio.timeout(PATH_TIMEOUT):
            await leg.peer.wait_connected()
    except TimeoutError:
        return fail(f"no path for media within {PATH_TIMEOUT:.0f} s", _UDP)
    if leg.peer.state is not PeerState.CONNECTED:
        return fail("no path for media: every pair of addresses failed", _UDP)
    took = 1000 * (time.monotonic() - began)
    deadline = time.monotonic() + PATH_TIMEOUT
    while time.monotonic() < deadline:
        if leg.stats()["audio_packets_received"]:
            break
        await asyncio.sleep(_LOOK_EVERY)
    else:
        return fail("a path for media opened, and nothing came over it", _UDP)
    before = leg.stats()
    await asyncio.sleep(LISTEN_S)
    after = leg.stats()
    came, lost = (
        max(0, int(after[f"audio_packets_{what}"] - before[f"audio_packets_{what}"]))
        for what in ("received", "lost")
    )
    text = f"UDP passes (open in {took:.0f} ms); {came} packets came, {lost} were lost"
    if not came or lost > LOSS * (came + lost):
        remedy = "a cable in place of Wi-Fi, or priority for the device in the network"
        return warn(text, remedy)
    return ok(text)


def _claims(token: str) -> dict[str, Any]:
    """What a token says, unverified; nothing where it is no JWT."""
    try:
        claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    except jwt.InvalidTokenError:
        return {}
    return claims

"""Sessions in a room of Roomlet's own hub: real signaling, real media, virtual hardware."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import pytest

from appliance.hub import tokens
from appliance.hub.config import HubConfig
from appliance.hub.server import HubServer
from appliance.media.capture import CameraCapture, MicCapture
from appliance.media.gate import CameraGate, MicGate, Party
from appliance.media.playout import SpeakerPlayout
from appliance.room import GateHeld, LocalStream, PermissionDenied, RoomSession
from appliance.signaling.permissions import PERMISSIONS
from hal.audio.spectrum import level_dbfs
from hal.audio.synthetic import SyntheticMicrophone, SyntheticSpeaker
from hal.camera import VideoFormat
from hal.camera.synthetic import SyntheticCamera
from tests.appliance.room.conftest import until

OAK, FIR = 1000.0, 1500.0
"""The tones in Hz that the two members speak."""


class Relay:
    """A wire to the hub that can be cut."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> str:
        """Where it leads from."""
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        return f"ws://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def cut(self) -> None:
        """Break every connection without a goodbye; new ones work."""
        for writer in self._writers:
            writer.transport.abort()

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        await self._server.wait_closed()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._target)
        ends = {writer, back}
        self._writers |= ends
        try:
            await asyncio.gather(_copy(reader, back), _copy(there, writer))
        finally:
            self._writers -= ends
            for end in ends:
                end.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.transport.abort()


class Attendee:
    """A member with virtual hardware."""

    def __init__(self, url: str, token: str, frequency: float) -> None:
        self.microphone = MicCapture(
            SyntheticMicrophone(frequency=frequency, pattern="continuous"), MicGate()
        )
        self.camera = CameraCapture(
            SyntheticCamera(), CameraGate(), VideoFormat(320, 180, 10), bitrate=200_000
        )
        self.ear = SyntheticSpeaker()
        self.speaker = SpeakerPlayout(self.ear)
        self.heard: list[str] = []
        self.room = RoomSession(
            token,
            host=url,
            local_stream=LocalStream(self.microphone, self.camera),
            speaker=self.speaker,
        )
        emit = self.room.emit

        def note(event: str, *args: Any) -> bool:
            self.heard.append(event)
            return emit(event, *args)

        self.room.emit = note  # type: ignore[method-assign]

    def hears(self, frequency: float) -> float:
        return level_dbfs(self.ear.samples(0.2), frequency)

    def knows(self, member_id: str | None) -> Any:
        """The member as this one's list has it."""
        return next((m for m in self.room.members if m.id == member_id), None)

    def pictures(self) -> int:
        remote = self.room.remote_stream
        return 0 if remote is None or remote.video is None else remote.video.frames

    async def close(self) -> None:
        if self.room.active:
            await self.room.leave()
        self.room.destroy()
        await self.room.wait_closed()
        for one in (self.microphone, self.camera, self.speaker):
            await one.stop()


class Venue:
    """A hub and those who attend."""

    def __init__(self, hub: HubServer) -> None:
        self.hub = hub
        self.attendees: list[Attendee] = []
        self.url = "ws" + hub.url.removeprefix("http")

    def attendee(
        self, name: str, frequency: float, permissions: Iterable[str] = PERMISSIONS, **options: Any
    ) -> Attendee:
        wishes = tokens.TokenOptions(
            room_name="demo",
            user_name=name,
            permissions=sorted(permissions),
            **{"auto_create_room": True, **options},
        )
        keys = self.hub.keys
        token = tokens.mint(wishes, keys.signing_key, project=keys.project)
        made = Attendee(self.url, token, frequency)
        self.attendees.append(made)
        return made

    async def joined(self, *args: Any, **options: Any) -> Attendee:
        made = self.attendee(*args, **options)
        await made.room.join()
        return made


@pytest.fixture
async def venue(tmp_path: Path) -> AsyncIterator[Venue]:
    config = HubConfig(listen="127.0.0.1:0", data=tmp_path / "hub", width=320, height=180, rate=10)
    hub = HubServer(config, environment={})
    await hub.start()
    made = Venue(hub)
    try:
        yield made
    finally:
        for attendee in made.attendees:
            await attendee.close()
        await hub.stop()


async def test_two_in_a_room(venue: Venue) -> None:
    oak = await venue.joined("Oak", OAK)
    fir = await venue.joined("Fir", FIR)
    assert [m.name for m in fir.room.members] == ["Oak", "Fir"]
    await until(lambda: [m.name for m in oak.room.members] == ["Oak", "Fir"])
    await until(lambda: "member.joined" in oak.heard)
    await until(lambda: oak.hears(FIR) > -25 and fir.hears(OAK) > -25)
    # Not itself; the beginning of a tone is wide, so once that has passed.
    await until(lambda: oak.hears(FIR) > -25 and oak.hears(OAK) < oak.hears(FIR) - 40)
    await until(lambda: oak.pictures() > 3 and fir.pictures() > 3)

    # Each sees the other's mute, and hears it.
    await oak.room.audio_mute()
    await until(lambda: fir.knows(oak.room.member_id).audio_muted)
    await until(lambda: fir.hears(OAK) < -70)
    await oak.room.audio_unmute()
    await until(lambda: fir.hears(OAK) > -25)

    # A moderator closes, and cannot open.
    await fir.room.audio_mute(member_id=oak.room.member_id)
    await until(lambda: oak.microphone.gate.closers == {Party.REMOTE})
    await fir.room.audio_unmute(member_id=oak.room.member_id)
    await until(lambda: "member.updated.audio_muted" in fir.heard)
    await until(lambda: fir.knows(oak.room.member_id).audio_muted)
    assert not oak.microphone.gate.is_open

    # The person in the room opens; the server follows.
    oak.microphone.gate.unmute(Party.ROOM)
    await until(lambda: not fir.knows(oak.room.member_id).audio_muted)
    await until(lambda: fir.hears(OAK) > -25)

    # And closes, which no script undoes.
    oak.microphone.gate.mute(Party.ROOM)
    await until(lambda: fir.knows(oak.room.member_id).audio_muted)
    with pytest.raises(GateHeld):
        await oak.room.audio_unmute()
    assert not oak.microphone.gate.is_open


async def test_layouts_and_camera(venue: Venue) -> None:
    oak = await venue.joined("Oak", OAK)
    layouts = (await oak.room.get_layouts()).layouts
    assert {"grid-responsive", "2x2"} <= set(layouts)
    names: list[str] = []
    oak.room.on("layout.changed", lambda e: names.append(e.layout.name))
    await oak.room.set_layout("2x2")
    await until(lambda: "2x2" in names)
    await oak.room.video_mute()
    assert not oak.camera.gate.is_open
    members = (await oak.room.get_members()).members
    assert [m.video_muted for m in members] == [True]
    await until(lambda: oak.camera.suspended)
    await oak.room.video_unmute()
    await until(lambda: oak.camera.gate.is_open and not oak.camera.suspended)


async def test_deaf(venue: Venue) -> None:
    oak = await venue.joined("Oak", OAK)
    fir = await venue.joined("Fir", FIR)
    await until(lambda: oak.hears(FIR) > -25)
    await oak.room.deaf()
    assert not oak.microphone.gate.is_open
    await until(lambda: oak.hears(FIR) < -70)
    await until(lambda: fir.knows(oak.room.member_id).audio_muted)
    await oak.room.undeaf()
    await until(lambda: oak.hears(FIR) > -25)
    assert oak.microphone.gate.is_open
    await until(lambda: fir.hears(OAK) > -25)


async def test_removed(venue: Venue) -> None:
    oak = await venue.joined("Oak", OAK)
    fir = await venue.joined("Fir", FIR)
    member = oak.room.member_id
    await fir.room.remove_member(member)
    await until(lambda: "room.left" in oak.heard)
    assert not oak.room.active
    assert Party.START in oak.microphone.gate.closers
    await until(lambda: fir.knows(member) is None)
    # It does not call again by itself.
    await until(lambda: "member.left" in fir.heard)
    assert "media.reconnecting" not in oak.heard


async def test_permissions(venue: Venue) -> None:
    oak = await venue.joined("Oak", OAK, ["room.self.audio_mute"])
    assert oak.room.permissions == ["room.self.audio_mute"]
    with pytest.raises(PermissionDenied):
        await oak.room.set_layout("2x2")
    await oak.room.audio_mute()
    with pytest.raises(PermissionDenied):
        await oak.room.audio_unmute()
    assert not oak.microphone.gate.is_open


async def test_joined_muted(venue: Venue) -> None:
    oak = await venue.joined("Oak", OAK, join_audio_muted=True)
    assert oak.microphone.gate.closers == {Party.REMOTE}
    assert oak.camera.gate.is_open
    await oak.room.audio_unmute()
    assert oak.microphone.gate.is_open


async def test_audience(venue: Venue) -> None:
    oak = await venue.joined("Oak", OAK)
    guest = await venue.joined("Guest", FIR, [], join_as="audience")
    assert guest.room.interactivity_mode == "audience"
    await until(lambda: guest.hears(OAK) > -25)
    assert guest.microphone.gate.closers == {Party.START}
    assert oak.hears(FIR) < -60


async def test_socket_lost(venue: Venue) -> None:
    fir = await venue.joined("Fir", FIR)
    relay = Relay(int(venue.url.rpartition(":")[2]))
    venue.url = await relay.start()
    try:
        oak = await venue.joined("Oak", OAK)
        await _lives_through(relay, oak, fir)
    finally:
        await oak.close()
        await relay.stop()


async def _lives_through(relay: Relay, oak: Attendee, fir: Attendee) -> None:
    member = oak.room.member_id
    await until(lambda: fir.hears(OAK) > -25)
    lists = oak.heard.count("memberList.updated")
    relay.cut()
    # Pressed while nobody can be told.
    oak.microphone.gate.mute(Party.ROOM)
    await until(lambda: oak.heard.count("memberList.updated") > lists)
    assert oak.room.member_id == member
    await until(lambda: fir.knows(member).audio_muted)
    assert "media.disconnected" not in oak.heard
    await oak.room.set_layout("2x2")

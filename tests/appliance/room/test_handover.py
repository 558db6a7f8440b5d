"""Promotion and demotion: one call takes over from another, and the room is heard throughout."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest

from appliance.media.gate import Party
from appliance.media.peer import PeerState
from appliance.room import PermissionDenied, RoomSession, SessionEnded
from hal.audio.spectrum import level_dbfs
from tests.appliance.room.conftest import Stage, until
from tests.appliance.room.fake_hub import FakeHub
from tests.appliance.room.test_loopback import THEIRS, Device, FarEnd

MEMBER = {"join_as": "member", "audio_allowed": "both", "video_allowed": "both"}
AUDIENCE = {"join_as": "audience", "audio_allowed": "receive", "video_allowed": "receive"}
MORE = ["room.self.audio_mute", "room.self.audio_unmute", "room.lock"]


def authorization(hub: FakeHub, role: dict[str, Any], scopes: list[str]) -> dict[str, Any]:
    return {**hub.authorization, **role, "room": {"name": "demo", "scopes": scopes}}


async def promote(hub: FakeHub, member_id: str | None) -> None:
    await hub.room_event(
        "member.promoted", member_id=member_id, authorization=authorization(hub, MEMBER, MORE)
    )


async def demote(hub: FakeHub, member_id: str | None) -> None:
    await hub.room_event(
        "member.demoted", member_id=member_id, authorization=authorization(hub, AUDIENCE, [])
    )


@pytest.fixture
async def listener(stage: Stage) -> RoomSession:
    stage.hub.authorization |= AUDIENCE
    return await stage.joined()


class TestPromotion:
    async def test_a_new_call_that_sends(self, stage: Stage, listener: RoomSession) -> None:
        before = listener.member_id
        assert listener.interactivity_mode == "audience"
        await promote(stage.hub, before)
        await stage.hub.until(lambda: stage.hub.said("verto.bye"))
        old, new = stage.hub.sent("verto.invite")
        assert old["callID"] != new["callID"]
        (bye,) = stage.hub.sent("verto.bye")
        assert bye["callID"] == old["callID"]
        wanted = stage.legs.made[1].wanted
        assert wanted["microphone"] is stage.stream.microphone
        assert wanted["camera"] is stage.stream.camera
        assert (wanted["receive_audio"], wanted["receive_video"]) == (True, True)
        assert listener.active
        assert listener.interactivity_mode == "member"
        assert listener.permissions == MORE
        # The server may make another member of it.
        assert listener.member_id == stage.hub.own_id != before
        assert stage.mic.is_open
        assert stage.cam.is_open
        assert stage.names().count("room.joined") == 2
        assert stage.names().index("member.promoted") < stage.names().index(
            "room.joined", stage.names().index("member.promoted")
        )
        assert "room.left" not in stage.names()
        assert "destroy" not in stage.names()
        await until(lambda: stage.legs.made[0].closed)
        assert not stage.legs.made[1].closed
        # The new call is the member's: it is muted there, and its end is the end.
        await listener.audio_mute()
        assert stage.hub.sent("video.member.audio_mute")[0]["member_id"] == listener.member_id
        await stage.hub.call_message("verto.bye", new["callID"])
        await stage.until_heard("room.left")

    async def test_the_old_call_goes_on_until_the_new_one_is_heard(
        self, stage: Stage, listener: RoomSession
    ) -> None:
        stage.legs.connects = False
        await promote(stage.hub, listener.member_id)
        await stage.until_heard("room.joined", 2)
        assert listener.active
        assert not stage.legs.made[0].closed
        assert stage.hub.said("verto.bye") == []
        stage.legs.made[1].change(PeerState.CONNECTED)
        await stage.hub.until(lambda: stage.hub.said("verto.bye"))
        await until(lambda: stage.legs.made[0].closed)
        assert stage.names().count("media.connected") == 2
        assert "media.disconnected" not in stage.names()

    async def test_joins_muted_where_the_server_says_so(
        self, stage: Stage, listener: RoomSession
    ) -> None:
        stage.hub.joined_with = {"audio_muted": True}
        await promote(stage.hub, listener.member_id)
        await stage.until_heard("room.joined", 2)
        assert stage.mic.closers == {Party.REMOTE}
        assert stage.cam.is_open

    async def test_a_button_pressed_before_counts(
        self, stage: Stage, listener: RoomSession
    ) -> None:
        stage.mic.mute(Party.ROOM)
        await promote(stage.hub, listener.member_id)
        await stage.until_heard("room.joined", 2)
        assert not stage.mic.is_open
        await stage.hub.until(lambda: stage.hub.members[stage.hub.own_id]["audio_muted"])

    async def test_what_join_did_not_want_is_not_sent(self, stage: Stage) -> None:
        stage.hub.authorization |= AUDIENCE
        room = stage.session()
        await room.join(send_video=False)
        await promote(stage.hub, room.member_id)
        await stage.until_heard("room.joined", 2)
        assert stage.legs.made[1].wanted["camera"] is None
        assert stage.legs.made[1].wanted["microphone"] is stage.stream.microphone
        assert not stage.cam.is_open

    async def test_of_somebody_else(self, stage: Stage, listener: RoomSession) -> None:
        await promote(stage.hub, "oak")
        await stage.until_heard("member.promoted")
        await stage.hub.room_event("the.end")
        await stage.until_heard("the.end")
        assert len(stage.hub.offers) == 1
        assert listener.interactivity_mode == "audience"

    async def test_the_server_ends_the_old_call_itself(
        self, stage: Stage, listener: RoomSession
    ) -> None:
        async def admit(call_id: str, offer: str) -> None:
            await stage.hub.call_message("verto.bye", old)
            stage.legs.made[0].change(PeerState.CLOSED)
            await stage.hub.admit(call_id, offer)

        old = stage.hub.call_id
        stage.hub.invite = admit
        await promote(stage.hub, listener.member_id)
        await stage.until_heard("room.joined", 2)
        await until(lambda: stage.legs.made[0].closed)
        assert listener.active
        assert "room.left" not in stage.names()
        assert "media.disconnected" not in stage.names()

    async def test_refused(self, stage: Stage, listener: RoomSession) -> None:
        stage.hub.refusals["verto.invite"] = ("403", "Unauthorized")
        await promote(stage.hub, listener.member_id)
        await until(lambda: len(stage.legs.made) == 2 and stage.legs.made[1].closed)
        # Still there, and still silent.
        assert listener.active
        assert not stage.legs.made[0].closed
        assert not stage.mic.is_open
        await listener.set_layout("2x2")
        # The call that is left works as before, also when it is lost.
        stage.hub.refusals.clear()
        await stage.hub.call_message("verto.bye", stage.hub.call_id)
        await stage.until_heard("room.left")

    async def test_refused_and_thrown_out(self, stage: Stage, listener: RoomSession) -> None:
        async def refuse(call_id: str, offer: str) -> None:
            await stage.hub.call_message("verto.bye", old)
            await stage.hub.call_message("verto.bye", call_id, cause="CALL_REJECTED")

        old = stage.hub.call_id
        stage.hub.invite = refuse
        await promote(stage.hub, listener.member_id)
        await stage.until_heard("room.left")
        assert not listener.active

    async def test_left_meanwhile(self, stage: Stage, listener: RoomSession) -> None:
        async def silence(call_id: str, offer: str) -> None:
            pass

        stage.hub.invite = silence
        await promote(stage.hub, listener.member_id)
        await stage.hub.until(lambda: len(stage.hub.offers) == 2)
        await listener.leave()
        assert [leg.closed for leg in stage.legs.made] == [True, True]
        assert {b["callID"] for b in stage.hub.sent("verto.bye")} == {
            i["callID"] for i in stage.hub.sent("verto.invite")
        }
        with pytest.raises(SessionEnded):
            await listener.lock()

    async def test_messages_about_the_new_call(self, stage: Stage, listener: RoomSession) -> None:
        await promote(stage.hub, listener.member_id)
        await stage.until_heard("room.joined", 2)
        call_id = stage.hub.sent("verto.invite")[1]["callID"]
        await stage.hub.call_message("verto.ping", call_id)
        await stage.hub.until(lambda: stage.hub.said("verto.pong"))

    async def test_news_between_admission_and_takeover_is_not_lost(
        self, stage: Stage, listener: RoomSession
    ) -> None:
        async def admit(call_id: str, offer: str) -> None:
            await stage.hub.admit(call_id, offer)
            await stage.hub.update(stage.hub.own_id, audio_muted=True)

        stage.hub.invite = admit
        await promote(stage.hub, listener.member_id)
        await until(lambda: stage.mic.closers == {Party.REMOTE})
        assert next(m for m in listener.members if m.id == listener.member_id).audio_muted


class TestDemotion:
    async def test_a_new_call_that_only_receives(self, stage: Stage) -> None:
        room = await stage.joined()
        await demote(stage.hub, room.member_id)
        await stage.hub.until(lambda: stage.hub.said("verto.bye"))
        wanted = stage.legs.made[1].wanted
        assert (wanted["microphone"], wanted["camera"]) == (None, None)
        assert (wanted["receive_audio"], wanted["receive_video"]) == (True, True)
        assert room.interactivity_mode == "audience"
        assert room.permissions == []
        assert Party.START in stage.mic.closers
        assert Party.START in stage.cam.closers
        await until(lambda: stage.legs.made[0].closed)

    async def test_nothing_is_sent_from_the_first_word_on(self, stage: Stage) -> None:
        room = await stage.joined()
        stage.hub.silent.add("verto.invite")
        seen: list[bool] = []
        room.on("member.demoted", lambda _: seen.append(stage.mic.is_open))
        await demote(stage.hub, room.member_id)
        await stage.hub.until(lambda: len(stage.hub.said("verto.invite")) == 2)
        assert seen == [False]
        assert not stage.mic.is_open
        assert not stage.cam.is_open

    async def test_there_and_back(self, stage: Stage) -> None:
        room = await stage.joined()
        await demote(stage.hub, room.member_id)
        await stage.until_heard("room.joined", 2)
        await promote(stage.hub, room.member_id)
        await stage.until_heard("room.joined", 3)
        await stage.hub.until(lambda: len(stage.hub.said("verto.bye")) == 2)
        await until(lambda: [leg.closed for leg in stage.legs.made] == [True, True, False])
        assert stage.mic.is_open
        assert room.interactivity_mode == "member"

    @pytest.mark.usefixtures("only_virtual")
    async def test_own_devices_rest(self, stage: Stage) -> None:
        room = await stage.joined(local_stream=None)
        microphone, camera = room.local_audio_track, room.local_video_track
        assert microphone is not None
        assert camera is not None
        await demote(stage.hub, room.member_id)
        await stage.until_heard("room.joined", 2)
        assert microphone.suspended
        assert camera.suspended
        await promote(stage.hub, room.member_id)
        await stage.until_heard("room.joined", 3)
        assert room.local_audio_track is microphone
        assert not microphone.suspended
        assert microphone.gate.is_open

    async def test_the_overlay_goes_with_the_picture(self, stage: Stage) -> None:
        room = await stage.joined()
        await demote(stage.hub, room.member_id)
        await stage.until_heard("room.joined", 2)
        assert room.local_overlay._source is None

    async def test_asked_for(self, stage: Stage) -> None:
        room = await stage.joined()
        await room.demote()
        assert stage.hub.sent("video.member.demote")[0]["member_id"] == room.member_id
        stage.hub.refusals["video.member.promote"] = ("403", "Unauthorized")
        with pytest.raises(PermissionDenied):
            await room.promote("oak")


async def test_heard_throughout(hub: FakeHub) -> None:
    """With real media: no hole in what the loudspeaker plays while the calls change."""
    far = FarEnd()
    hub.answer_sdp = far.answer
    hub.authorization |= AUDIENCE
    device = Device(hub)
    try:
        await device.room.join()
        await until(lambda: device.hears(THEIRS) > -20)
        begin = len(device.speaker_device.samples())
        packets: list[float] = []

        async def watch() -> None:
            await hub.until(lambda: hub.said("verto.bye"))
            packets.append(device.room.stats()["audio_packets_received"])

        watching = asyncio.create_task(watch())
        await promote(hub, device.room.member_id)
        await until(lambda: len(hub.said("verto.bye")) == 1)
        await watching
        # At the goodbye to the old call the new one was heard already.
        assert packets[0] > 0
        await until(lambda: far.level() > -20)
        played = device.speaker_device.samples()[begin:]
        pieces = played[: len(played) // 9600 * 9600].reshape(-1, 9600)
        assert len(pieces) > 0
        assert min(level_dbfs(piece.astype(np.int16), THEIRS) for piece in pieces) > -40
        await until(lambda: device.hears(THEIRS) > -20)
    finally:
        await device.close()
        await far.close()

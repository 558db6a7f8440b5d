"""Extra cameras, microphones and screens: members of their own, with gates of their own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from appliance.media.gate import Party
from appliance.media.peer import PeerState
from appliance.room import (
    AlreadyJoined,
    GateHeld,
    JoinTimeout,
    LocalStream,
    NotJoined,
    Overconstrained,
    PermissionDenied,
    RoomSession,
    RoomSessionDevice,
    RoomSessionScreenShare,
    SessionEnded,
    admission,
)
from hal.camera.synthetic import SyntheticCamera
from hal.errors import DeviceNotFound
from tests.appliance.room.conftest import Stage, until
from tests.appliance.room.fake_hub import ROOM, ROOM_SESSION
from tests.appliance.signaling.golden import difference, frames

pytestmark = pytest.mark.usefixtures("only_virtual")

SMALL: dict[str, Any] = {"width": 320, "frame_rate": 10}


@pytest.fixture
async def room(stage: Stage) -> AsyncIterator[RoomSession]:
    joined = await stage.joined()
    yield joined
    if joined.active:
        await joined.leave()


def recorded_invite(mark: str, **wishes: Any) -> dict[str, Any]:
    """The params of the SDK's invite for such a leg."""
    for frame in frames():
        if frame.kind == "verto.invite":
            params: dict[str, Any] = frame.message["params"]
            inner = params["message"]["params"]
            same = {"layout", "positions"} & inner.keys() == set(wishes)
            if inner["dialogParams"][mark] and same:
                return params
    raise AssertionError(f"nothing recorded for {mark}")


class TestIn:
    async def test_camera(self, stage: Stage, room: RoomSession) -> None:
        leg = await room.add_camera(SMALL)
        assert isinstance(leg, RoomSessionDevice)
        assert leg.active
        assert (leg.member_id, leg.room_id, leg.room_session_id) == ("leg-1", ROOM, ROOM_SESSION)
        assert room.device_list == [leg]
        assert room.screen_share_list == []
        assert leg.camera_id == "synthetic:1"
        assert (leg.microphone_id, leg.local_audio_track) == (None, None)
        capture = leg.local_video_track
        assert capture is not None
        assert capture.gate.is_open
        assert (capture.format.width, capture.format.height) == (320, 180)
        wanted = stage.legs.made[1].wanted
        assert (wanted["camera"], wanted["microphone"]) == (capture, None)
        assert (wanted["receive_audio"], wanted["receive_video"]) == (False, False)
        assert wanted["speaker"] is None
        # The member itself did not change.
        assert room.member_id == "self-1"
        assert room.camera_id == "camera-1"

    @pytest.mark.parametrize(
        ("mark", "wishes"),
        [
            ("additionalDevice", {}),
            ("screenShare", {}),
            ("screenShare", {"layout": "1x1", "positions": {"self": "reserved-1"}}),
        ],
    )
    async def test_invites_as_the_sdk(
        self, stage: Stage, room: RoomSession, mark: str, wishes: Any
    ) -> None:
        if mark == "screenShare":
            await room.start_screen_share(video=SMALL, **wishes)
        else:
            await room.add_device(video=SMALL)
        sent = stage.hub.sent("verto.invite")[1]
        expected = recorded_invite(mark, **wishes)
        volatile = frozenset(
            {
                "callID",
                "node_id",
                "message.id",
                "message.params.sdp",
                "message.params.dialogParams.callID",
                "message.params.dialogParams.userVariables.memberCallId",
                "message.params.dialogParams.userVariables.memberId",
            }
        )
        # The SDK names the node that it knows from the first call; to us it is another call.
        expected = {key: value for key, value in expected.items() if key != "node_id"}
        assert difference(sent, expected, volatile) is None
        variables = sent["message"]["params"]["dialogParams"]["userVariables"]
        main = stage.hub.sent("verto.invite")[0]["callID"]
        assert variables == {"memberCallId": main, "memberId": room.member_id}

    async def test_microphone(self, stage: Stage, room: RoomSession) -> None:
        leg = await room.add_microphone(device_id="synthetic:7")
        assert leg.microphone_id == "synthetic:7"
        assert leg.camera_id is None
        assert leg.local_audio_track is not None
        assert leg.local_audio_track.gate.is_open
        assert stage.legs.made[1].wanted["microphone"] is leg.local_audio_track

    async def test_both_in_one(self, room: RoomSession) -> None:
        leg = await room.add_device(audio=True, video=SMALL)
        assert leg.local_stream is not None
        assert leg.local_stream.microphone is leg.local_audio_track is not None
        assert leg.local_stream.camera is leg.local_video_track is not None
        with pytest.raises(TypeError):
            await room.add_device()

    async def test_joined_by_hand(self, stage: Stage, room: RoomSession) -> None:
        leg = await room.add_camera(SMALL, auto_join=False)
        assert (leg.active, leg.member_id, leg.id) == (False, None, None)
        assert room.device_list == []
        assert len(stage.legs.made) == 1
        for early in (leg.audio_mute(), leg.update_camera(), leg.leave()):
            with pytest.raises(NotJoined):
                await early
        assert await leg.join() is leg
        assert room.device_list == [leg]
        with pytest.raises(AlreadyJoined):
            await leg.join()

    async def test_screen(self, room: RoomSession, caplog: pytest.LogCaptureFixture) -> None:
        share = await room.start_screen_share()
        assert isinstance(share, RoomSessionScreenShare)
        assert room.screen_share_list == [share]
        assert room.device_list == []
        # Not some camera of the room, and it is said so.
        assert share.camera_id == "synthetic:200"
        assert "no screen" in caplog.text
        assert share.microphone_id is None

    async def test_screen_from_a_source(self, room: RoomSession) -> None:
        by_name = await room.start_screen_share(
            source="synthetic", video={"device_id": "synthetic:9", **SMALL}
        )
        assert by_name.camera_id == "synthetic:9"
        camera = SyntheticCamera(device_id=8)
        given = await room.start_screen_share(source=camera, video=SMALL)
        assert given.camera_id == "synthetic:8"
        assert room.screen_share_list == [by_name, given]

    async def test_deprecated_screen(self, room: RoomSession) -> None:
        with pytest.warns(DeprecationWarning, match="start_screen_share") as warned:
            share = await room.create_screen_share_object(auto_join=False)
        assert warned[0].filename == __file__
        assert isinstance(share, RoomSessionScreenShare)
        assert not share.active

    async def test_simulated_devices_differ(self, room: RoomSession) -> None:
        first = await room.add_camera(SMALL)
        assert room.local_stream is not None
        room.local_stream.camera = first.local_video_track
        second = await room.add_camera(SMALL)
        assert (first.camera_id, second.camera_id) == ("synthetic:1", "synthetic:2")

    async def test_two_at_once_do_not_mix(self, stage: Stage, room: RoomSession) -> None:
        answered: list[str] = []

        async def slowly(call_id: str, offer: str) -> None:
            answered.append(call_id)
            await stage.hub.call_message("verto.answer", call_id, sdp="answer")
            await stage.hub.update("oak", name="in between")
            await stage.hub.join_leg(call_id)

        stage.hub.invite = slowly
        legs = await asyncio.gather(room.add_camera(SMALL), room.start_screen_share(video=SMALL))
        for leg in legs:
            assert stage.hub.legs[str(leg.id)] == leg.member_id
        assert len({leg.member_id for leg in legs}) == 2

    async def test_media_params_go_to_its_camera(self, stage: Stage, room: RoomSession) -> None:
        leg = await room.add_camera(width={"ideal": 640, "max": 1000})
        capture = leg.local_video_track
        assert capture is not None
        wishes = {"video": {"width": {"ideal": 320}, "height": 240, "frameRate": {"max": 5}}}
        await stage.hub.call_message("verto.mediaParams", str(leg.id), mediaParams=wishes)
        await until(lambda: (capture.format.width, capture.format.height) == (320, 240))
        assert capture.format.rate == 5
        assert capture.gate.is_open
        too_much = {"video": {"width": {"exact": 1280}}}
        await stage.hub.call_message("verto.mediaParams", str(leg.id), mediaParams=too_much)
        await stage.hub.call_message("verto.ping", str(leg.id))
        await stage.hub.until(lambda: stage.hub.said("verto.pong"))
        assert capture.format.width == 320


class TestNotIn:
    async def test_refused(self, stage: Stage, room: RoomSession) -> None:
        stage.hub.refusals["verto.invite"] = ("403", "Unauthorized")
        leg = await room.add_camera(SMALL, auto_join=False)
        with pytest.raises(PermissionDenied):
            await leg.join()
        assert room.device_list == []
        assert leg.local_video_track is None
        assert stage.hub.said("verto.bye") == [], "there is no call to end"
        assert stage.legs.made[1].closed
        with pytest.raises(PermissionDenied):
            await room.start_screen_share(video=SMALL)
        # Once it is allowed, the same object may try again.
        stage.hub.refusals.clear()
        await leg.join()
        assert room.device_list == [leg]

    async def test_never_let_in(
        self, stage: Stage, room: RoomSession, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(admission, "ADMISSION_TIMEOUT", 0.2)

        async def answer(call_id: str, offer: str) -> None:
            await stage.hub.call_message("verto.answer", call_id, sdp="answer")

        stage.hub.invite = answer
        with pytest.raises(JoinTimeout):
            await room.add_camera(SMALL)
        (bye,) = stage.hub.said("verto.bye")
        assert bye["params"]["dialogParams"]["additionalDevice"] is True
        assert room.device_list == []
        assert room.active

    async def test_no_such_device(self, stage: Stage, room: RoomSession) -> None:
        with pytest.raises(Overconstrained) as error:
            await room.add_camera(device_id="no such camera")
        assert error.value.constraint == "deviceId"
        with pytest.raises(Overconstrained):
            await room.add_microphone(echo_cancellation={"exact": True})
        camera = SyntheticCamera()
        camera.unplug()
        with pytest.raises(DeviceNotFound):
            await room.start_screen_share(source=camera)
        assert len(stage.legs.made) == 1
        assert len(stage.hub.said("verto.invite")) == 1

    async def test_not_without_a_room(self, stage: Stage, room: RoomSession) -> None:
        leg = await room.add_camera(SMALL, auto_join=False)
        await room.leave()
        with pytest.raises(SessionEnded):
            await leg.join()
        with pytest.raises(SessionEnded):
            await room.add_camera()

    async def test_room_ends_while_it_joins(self, stage: Stage, room: RoomSession) -> None:
        async def silence(call_id: str, offer: str) -> None:
            pass

        stage.hub.invite = silence
        joining = asyncio.create_task(room.add_camera(SMALL))
        await stage.hub.until(lambda: len(stage.hub.offers) == 2)
        await room.leave()
        with pytest.raises(SessionEnded):
            await joining
        assert stage.legs.made[1].closed


class TestMute:
    async def test_own_microphone(self, stage: Stage, room: RoomSession) -> None:
        leg = await room.add_microphone(device_id="synthetic:7")
        assert leg.local_audio_track is not None
        gate = leg.local_audio_track.gate
        await leg.audio_mute()
        assert gate.closers == {Party.SOFTWARE}
        assert stage.mic.is_open
        assert stage.hub.sent("video.member.audio_mute") == [
            {"room_session_id": ROOM_SESSION, "member_id": "leg-1"}
        ]
        await leg.audio_unmute()
        assert gate.is_open
        await leg.set_input_volume(-10)
        await leg.set_microphone_volume(5)
        await leg.set_input_sensitivity(80)
        volumes = stage.hub.sent("video.member.set_input_volume")
        assert [v["volume"] for v in volumes] == [-10, 5]
        assert {v["member_id"] for v in volumes} == {"leg-1"}
        assert stage.hub.sent("video.member.set_input_sensitivity")[0]["member_id"] == "leg-1"

    async def test_by_a_moderator(self, stage: Stage, room: RoomSession) -> None:
        leg = await room.add_camera(SMALL)
        capture = leg.local_video_track
        assert capture is not None
        await stage.hub.update("leg-1", video_muted=True)
        await until(lambda: capture.gate.closers == {Party.REMOTE})
        # Off, not only unseen.
        await until(lambda: capture.suspended)
        assert stage.cam.is_open
        await leg.video_unmute()
        assert capture.gate.is_open
        await until(lambda: not capture.suspended)

    async def test_muted_from_the_start(self, stage: Stage, room: RoomSession) -> None:
        stage.hub.joined_with = {"video_muted": True}
        leg = await room.add_camera(SMALL)
        assert leg.local_video_track is not None
        assert leg.local_video_track.gate.closers == {Party.REMOTE}

    async def test_a_button_holds_every_microphone(self, stage: Stage, room: RoomSession) -> None:
        leg = await room.add_device(audio={"device_id": "synthetic:7"}, video=SMALL)
        assert leg.local_audio_track is not None
        assert leg.local_video_track is not None
        gate = leg.local_audio_track.gate
        await room.audio_mute()
        assert gate.is_open  # a script mutes one device
        stage.mic.mute(Party.ROOM)
        assert not gate.is_open
        assert leg.local_video_track.gate.is_open
        await stage.hub.until(lambda: stage.hub.members["leg-1"]["audio_muted"])
        with pytest.raises(GateHeld):
            await leg.audio_unmute()
        stage.mic.unmute(Party.ROOM)
        await until(lambda: gate.is_open)

    async def test_a_cover_does_not_hold_a_screen(self, stage: Stage, room: RoomSession) -> None:
        share = await room.start_screen_share(audio=True, video=SMALL)
        leg = await room.add_camera(SMALL)
        assert share.local_video_track is not None
        assert share.local_audio_track is not None
        assert leg.local_video_track is not None
        stage.cam.mute(Party.LATCH)
        assert share.local_video_track.gate.is_open
        assert not leg.local_video_track.gate.is_open
        stage.mic.mute(Party.ROOM)
        assert not share.local_audio_track.gate.is_open

    async def test_the_same_device_is_not_heard_past_the_gate(
        self, stage: Stage, room: RoomSession
    ) -> None:
        leg = await room.add_microphone(device_id="synthetic:7")
        assert leg.local_audio_track is not None
        gate = leg.local_audio_track.gate
        await room.audio_mute()
        assert gate.is_open
        # From now on the leg's microphone is the one that the member muted.
        assert stage.stream.microphone is not None
        stage.stream.microphone.device = leg.local_audio_track.device  # type: ignore[misc]
        await leg.update_microphone(device_id="synthetic:7")
        assert not gate.is_open
        await room.audio_unmute()
        await until(lambda: gate.is_open)


class TestOut:
    async def test_leaves(self, stage: Stage, room: RoomSession) -> None:
        leg = await room.add_camera(SMALL)
        capture, told = leg.local_video_track, list[str]()
        assert capture is not None
        for event in ("hangup", "room.left", "destroy"):
            leg.on(event, lambda *_, event=event: told.append(f"{event} {room.device_list}"))
        call_id = leg.id
        await leg.leave()
        assert told == ["hangup []", "room.left []", "destroy []"]
        assert not leg.active
        assert capture.suspended
        assert stage.legs.made[1].closed
        (bye,) = stage.hub.sent("verto.bye")
        assert bye["callID"] == call_id
        assert bye["message"]["params"]["dialogParams"]["additionalDevice"] is True
        assert room.active
        for late in (leg.leave(), leg.join(), leg.audio_mute()):
            with pytest.raises(SessionEnded):
                await late

    async def test_by_itself_when_its_source_ends(self, stage: Stage, room: RoomSession) -> None:
        camera = SyntheticCamera(device_id=8)
        share = await room.start_screen_share(source=camera, video=SMALL, audio=True)
        told: list[Any] = []
        share.on("camera.disconnected", lambda e: told.append(e.deviceId))
        share.on("room.left", told.append)
        camera.unplug()
        await until(lambda: len(told) == 2)
        assert told[0] == "synthetic:8"
        assert room.screen_share_list == []
        assert stage.hub.said("verto.bye")[0]["params"]["dialogParams"]["screenShare"] is True

    async def test_a_device_goes_with_its_last_source(
        self, room: RoomSession, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        leg = await room.add_device(audio={"device_id": "synthetic:7"}, video=SMALL)
        assert leg.local_audio_track is not None
        assert leg.local_video_track is not None
        microphone: Any = leg.local_audio_track._microphone
        camera: Any = leg.local_video_track._camera
        disconnected = asyncio.Event()
        leg.on("camera.disconnected", lambda _: disconnected.set())
        camera.unplug()
        await asyncio.wait_for(disconnected.wait(), 20)
        assert room.device_list == [leg]
        microphone.unplug()
        await until(lambda: room.device_list == [])

    @pytest.mark.parametrize("by", ["bye", "left"])
    async def test_taken_out_by_the_server(self, stage: Stage, room: RoomSession, by: str) -> None:
        leg = await room.add_camera(SMALL)
        left = asyncio.Event()
        leg.on("room.left", lambda _: left.set())
        if by == "bye":
            await stage.hub.call_message("verto.bye", str(leg.id))
        else:
            await stage.hub.remove("leg-1")
        await asyncio.wait_for(left.wait(), 20)
        assert room.device_list == []
        assert stage.hub.said("verto.bye") == []
        assert room.active

    async def test_the_room_says_goodbye_last(self, stage: Stage, room: RoomSession) -> None:
        legs = [await room.add_camera(SMALL), await room.start_screen_share(video=SMALL)]
        own = stage.hub.sent("verto.invite")[0]["callID"]
        left: list[str] = []
        for leg in legs:
            leg.on("room.left", lambda _: left.append("leg"))
        room.on("room.left", lambda _: left.append("room"))
        ids = {leg.id for leg in legs}
        await room.leave()
        byes = [bye["callID"] for bye in stage.hub.sent("verto.bye")]
        assert len(byes) == 3
        assert set(byes[:2]) == ids
        assert byes[2] == own
        assert left == ["leg", "leg", "room"]
        assert room.device_list == room.screen_share_list == []
        assert all(leg.closed for leg in stage.legs.made)

    async def test_destroyed(self, stage: Stage, room: RoomSession) -> None:
        leg = await room.add_camera(SMALL)
        capture = leg.local_video_track
        assert capture is not None
        leg.destroy()
        assert room.device_list == []
        assert not capture.gate.is_open
        await until(lambda: capture.suspended and stage.legs.made[1].closed)
        assert stage.hub.said("verto.bye") == []

    async def test_destroyed_with_the_room(self, stage: Stage, room: RoomSession) -> None:
        leg = await room.add_camera(SMALL)
        capture = leg.local_video_track
        assert capture is not None
        room.destroy()
        await room.wait_closed()
        assert capture.suspended
        assert stage.legs.made[1].closed
        assert not leg.active
        assert stage.hub.said("verto.bye") == []


class TestLost:
    async def test_socket_loss_leaves_it_alone(self, stage: Stage, room: RoomSession) -> None:
        leg = await room.add_camera(SMALL)
        other = await room.add_camera(SMALL)
        # While nobody could be told, one was muted, and the other thrown out.
        stage.hub.members["leg-1"]["video_muted"] = True
        del stage.hub.members["leg-2"]
        await stage.hub.drop()
        assert leg.local_video_track is not None
        gate = leg.local_video_track.gate
        await until(lambda: gate.closers == {Party.REMOTE})
        await until(lambda: not other.active)
        assert room.device_list == [leg]
        assert not stage.legs.made[1].closed

    async def test_media_failure_dials_the_same_call(self, stage: Stage, room: RoomSession) -> None:
        leg = await room.add_camera(SMALL)
        media: list[str] = []
        for event in ("media.connected", "media.disconnected", "media.reconnecting"):
            leg.on(event, lambda event=event: media.append(event))
        await until(lambda: media)
        assert media.pop() == "media.connected"
        stage.legs.made[1].change(PeerState.FAILED)
        await until(lambda: "media.connected" in media)
        assert media == ["media.disconnected", "media.reconnecting", "media.connected"]
        _, first, second = stage.hub.sent("verto.invite")
        assert first["callID"] == second["callID"] == leg.id
        assert stage.hub.connections == 1
        assert room.device_list == [leg]

    async def test_follows_the_member_into_a_new_session(
        self, stage: Stage, room: RoomSession
    ) -> None:
        leg = await room.add_camera(SMALL)
        await leg.video_mute()
        stage.hub.knows_sessions = False
        stage.hub.members.clear()
        stage.hub.calls = {"another call": "somebody"}
        stage.hub.legs = {"another leg": "something"}
        await stage.hub.drop()
        await until(lambda: leg.member_id == "leg-2")
        assert room.member_id == "self-2"
        assert stage.hub.members["leg-2"]["parent_id"] == "self-2"
        assert room.device_list == [leg]
        # The new member learns that it is muted.
        await stage.hub.until(lambda: stage.hub.members["leg-2"]["video_muted"])


class TestSwap:
    async def test_another_camera(self, stage: Stage, room: RoomSession) -> None:
        leg = await room.add_camera(SMALL)
        told: list[Any] = []
        leg.on("camera.updated", told.append)
        gate = leg.local_video_track.gate if leg.local_video_track else None
        await leg.update_camera(device_id="synthetic:5")
        assert leg.camera_id == "synthetic:5"
        assert [(e.previous.deviceId, e.current.deviceId) for e in told] == [
            ("synthetic:1", "synthetic:5")
        ]
        assert leg.local_video_track is not None
        assert leg.local_video_track.gate is gate
        assert stage.payloads("camera.updated") == []

    async def test_leaves_with_the_new_source(self, stage: Stage, room: RoomSession) -> None:
        leg = await room.add_camera(SMALL)
        other = await room.add_camera(SMALL, auto_join=False)
        await other._devices.open(other._plan, *other._constraints)
        await leg.set_local_stream(LocalStream(camera=other.local_video_track))
        camera: Any = other.local_video_track._camera  # type: ignore[union-attr]
        assert stage.legs.made[1].wanted["camera"] is other.local_video_track
        camera.unplug()
        await until(lambda: not leg.active)
        await other._devices.close()

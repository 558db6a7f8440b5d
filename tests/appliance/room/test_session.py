"""Joining, living in and leaving a room, against a server on a real socket."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from av import VideoFrame

from appliance.media.gate import Party
from appliance.media.peer import PeerState
from appliance.room import (
    AlreadyJoined,
    AuthError,
    Disconnected,
    JoinRefused,
    JoinTimeout,
    LocalStream,
    NegotiationError,
    NothingToJoin,
    NotJoined,
    PermissionDenied,
    RoomSession,
    RpcError,
    SessionEnded,
    admission,
    call,
)
from appliance.room.events import SUBSCRIBE
from tests.appliance.room.conftest import Stage, until
from tests.appliance.room.fake_hub import NODE, ROOM, ROOM_SESSION, SCOPES, member
from tests.appliance.room.fake_media import FakeScreen


class TestJoin:
    async def test_is_in_the_room(self, stage: Stage) -> None:
        room = stage.session()
        assert (room.active, room.member_id, room.permissions) == (False, None, [])
        assert (room.interactivity_mode, room.remote_stream) == ("", None)
        assert await room.join() is room
        assert room.active
        assert room.member_id == stage.hub.own_id
        assert (room.room_id, room.room_session_id) == (ROOM, ROOM_SESSION)
        assert room.preview_url == "https://hub.local/preview"
        assert room.permissions == SCOPES
        assert room.interactivity_mode == "member"
        assert [m.name for m in room.members] == ["Oak", "Self"]
        assert room.stats() == {"bytes_sent": 1}

    async def test_invites_as_the_wire_wants_it(self, stage: Stage) -> None:
        await stage.joined()
        (params,) = stage.hub.sent("verto.invite")
        assert params["message"]["params"]["sdp"] == "offer 1"
        assert params["callID"] == params["message"]["params"]["dialogParams"]["callID"]
        assert params["subscribe"] == list(SUBSCRIBE)
        assert "node_id" not in params
        await stage.hub.until(lambda: stage.hub.sent("verto.reply"))
        (acknowledged,) = stage.hub.sent("verto.reply")
        assert acknowledged["message"]["result"] == {"method": "verto.answer"}
        assert acknowledged["node_id"] == NODE

    async def test_tells_in_order(self, stage: Stage) -> None:
        async def admit(call_id: str, offer: str) -> None:
            # In one go, so that the later events arrive before join() goes on.
            await stage.hub.admit(call_id, offer)
            await stage.hub.room_event("member.joined", member=member("fir", "Fir"))

        stage.hub.invite = admit
        room = await stage.joined()
        await stage.until_heard("member.joined")
        told = [n for n in stage.names() if n.startswith(("room.", "member"))]
        assert told == [
            "room.subscribed",
            "room.joined",
            "memberList.updated",
            "member.joined",
            "memberList.updated",
        ]
        assert [m.name for m in room.members] == ["Oak", "Self", "Fir"]
        states = [n for n in stage.names() if n in {s.value for s in call.CallState}]
        # An answer that comes with the reply to the invite leaves no time for "trying".
        assert [state for state in states if state != "trying"] == ["requesting", "active"]
        await stage.until_heard("media.connected")

    async def test_early_media_then_answer(self, stage: Stage) -> None:
        async def admit(call_id: str, offer: str) -> None:
            await stage.hub.call_message("verto.media", call_id, sdp="early answer")
            await stage.hub.call_message("verto.answer", call_id)
            await stage.hub.subscribe(call_id)

        stage.hub.invite = admit
        room = await stage.joined()
        assert room.active
        assert stage.legs.made[0].answer == "early answer"
        assert "early" in stage.names()

    async def test_subscribed_before_the_answer(self, stage: Stage) -> None:
        async def admit(call_id: str, offer: str) -> None:
            await stage.hub.subscribe(call_id)
            await stage.hub.call_message("verto.answer", call_id, sdp="answer")

        stage.hub.invite = admit
        assert (await stage.joined()).active

    async def test_audience_receives_only(self, stage: Stage) -> None:
        stage.hub.authorization["join_as"] = "audience"
        room = await stage.joined()
        wanted = stage.legs.made[0].wanted
        assert (wanted["microphone"], wanted["camera"]) == (None, None)
        assert (wanted["receive_audio"], wanted["receive_video"]) == (True, True)
        assert room.interactivity_mode == "audience"
        assert stage.mic.closers == {Party.START}

    async def test_directions_and_ice_servers(self, stage: Stage) -> None:
        stage.hub.ice_servers = [{"urls": "stun:127.0.0.1:3478"}]
        room = stage.session()
        await room.join(video=False)
        wanted = stage.legs.made[0].wanted
        assert (wanted["camera"], wanted["receive_video"]) == (None, False)
        assert wanted["microphone"] is stage.stream.microphone
        assert wanted["ice_servers"] == stage.hub.ice_servers
        assert wanted["addresses"] == ["127.0.0.1"]

    async def test_own_ice_servers_win(self, stage: Stage) -> None:
        stage.hub.ice_servers = [{"urls": "stun:127.0.0.1:3478"}]
        await stage.joined(ice_servers=[{"urls": "turn:127.0.0.1"}])
        assert stage.legs.made[0].wanted["ice_servers"] == [{"urls": "turn:127.0.0.1"}]

    async def test_speaker_follows_deaf(self, stage: Stage) -> None:
        stage.hub.joined_with = {"deaf": True}
        await stage.joined()
        assert stage.speaker.running
        assert stage.speaker.deaf
        await stage.hub.update(stage.hub.own_id, deaf=False)
        await until(lambda: not stage.speaker.deaf)


class TestJoinFails:
    async def failed(self, stage: Stage, error: type[Exception]) -> Exception:
        room = stage.session()
        with pytest.raises(error) as caught:
            await room.join()
        assert "\n" not in str(caught.value)
        assert not room.active
        assert stage.mic.closers == {Party.START}
        assert "room.joined" not in stage.names()
        assert all(leg.closed for leg in stage.legs.made)
        await until(lambda: not stage.hub._sockets)
        return caught.value

    async def test_bad_token(self, stage: Stage) -> None:
        stage.hub.auth_error = {"code": -32002, "message": "Authentication service failed"}
        await self.failed(stage, AuthError)

    async def test_nobody_there(self, stage: Stage) -> None:
        room = stage.session(host="ws://127.0.0.1:9")
        with pytest.raises(Disconnected):
            await room.join()

    @pytest.mark.parametrize(
        ("code", "error"), [("403", PermissionDenied), ("409", RpcError), ("404", RpcError)]
    )
    async def test_refused(self, stage: Stage, code: str, error: type[Exception]) -> None:
        stage.hub.refusals["verto.invite"] = (code, "Unauthorized")
        refused = await self.failed(stage, error)
        assert isinstance(refused, RpcError)
        assert refused.code == code
        assert not stage.hub.said("verto.bye")

    async def test_bye_instead_of_an_answer(self, stage: Stage) -> None:
        async def refuse(call_id: str, offer: str) -> None:
            await stage.hub.call_message(
                "verto.bye", call_id, cause="DESTINATION_OUT_OF_ORDER", causeCode="27"
            )

        stage.hub.invite = refuse
        refused = await self.failed(stage, JoinRefused)
        assert isinstance(refused, JoinRefused)
        assert (refused.code, refused.cause) == ("27", "DESTINATION_OUT_OF_ORDER")

    async def test_bye_instead_of_admission(self, stage: Stage) -> None:
        async def refuse(call_id: str, offer: str) -> None:
            await stage.hub.call_message("verto.answer", call_id, sdp="answer")
            await stage.hub.call_message("verto.bye", call_id, cause="ROOM_FULL")

        stage.hub.invite = refuse
        await self.failed(stage, JoinRefused)

    async def test_no_answer(self, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        async def ignore(call_id: str, offer: str) -> None:
            pass

        monkeypatch.setattr(call, "ANSWER_TIMEOUT", 0.2)
        stage.hub.invite = ignore
        await self.failed(stage, JoinTimeout)
        assert len(stage.hub.said("verto.bye")) == 1

    async def test_never_admitted(self, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        async def answer(call_id: str, offer: str) -> None:
            await stage.hub.call_message("verto.answer", call_id, sdp="answer")

        monkeypatch.setattr(admission, "ADMISSION_TIMEOUT", 0.2)
        stage.hub.invite = answer
        await self.failed(stage, JoinTimeout)

    async def test_bad_answer(self, stage: Stage) -> None:
        stage.legs.bad_answers = True
        await self.failed(stage, NegotiationError)

    async def test_nothing_allowed(self, stage: Stage) -> None:
        stage.hub.authorization |= {"audio_allowed": "none", "video_allowed": "none"}
        await self.failed(stage, NothingToJoin)
        assert not stage.legs.made

    async def test_may_be_tried_again(self, stage: Stage) -> None:
        stage.hub.refusals["verto.invite"] = ("409", "Room locked")
        room = stage.session()
        with pytest.raises(RpcError):
            await room.join()
        stage.hub.refusals.clear()
        await room.join()
        assert room.active
        assert stage.mic.is_open

    async def test_twice(self, stage: Stage) -> None:
        room = await stage.joined()
        with pytest.raises(AlreadyJoined):
            await room.join()
        assert room.active

    async def test_cancelled(self, stage: Stage) -> None:
        async def ignore(call_id: str, offer: str) -> None:
            pass

        stage.hub.invite = ignore
        room = stage.session()
        joining = asyncio.create_task(room.join())
        await stage.hub.until(lambda: stage.hub.offers)
        joining.cancel()
        with pytest.raises(asyncio.CancelledError):
            await joining
        assert stage.legs.made[0].closed
        assert len(stage.hub.said("verto.bye")) == 1

    async def test_destroyed_meanwhile(self, stage: Stage) -> None:
        async def ignore(call_id: str, offer: str) -> None:
            pass

        stage.hub.invite = ignore
        room = stage.session()
        joining = asyncio.create_task(room.join())
        await stage.hub.until(lambda: stage.hub.offers)
        room.destroy()
        with pytest.raises((SessionEnded, Disconnected)):
            await joining
        await room.wait_closed()
        assert stage.legs.made[0].closed

    async def test_socket_lost_before_the_answer_calls_again(self, stage: Stage) -> None:
        admit = stage.hub.admit

        async def lose(call_id: str, offer: str) -> None:
            stage.hub.invite = admit

        stage.hub.invite = lose
        stage.hub.silent.add("verto.invite")
        room = stage.session()
        joining = asyncio.create_task(room.join())
        await stage.hub.until(lambda: stage.hub.said("verto.invite"))
        stage.hub.silent.clear()
        stage.hub.invite = admit
        await stage.hub.drop()
        await joining
        assert room.active
        invites = stage.hub.sent("verto.invite")
        assert len({i["callID"] for i in invites}) == 1
        assert len(stage.legs.made) == 2
        assert stage.legs.made[0].closed


class TestBeforeAndAfter:
    @pytest.mark.parametrize(
        "method", ["audio_mute", "video_unmute", "deaf", "get_members", "get_layouts", "leave"]
    )
    async def test_needs_a_room(self, stage: Stage, method: str) -> None:
        room = stage.session()
        with pytest.raises(NotJoined, match="call join"):
            await getattr(room, method)()
        await room.join()
        await room.leave()
        if method != "leave":
            with pytest.raises(SessionEnded, match="new RoomSession"):
                await getattr(room, method)()

    async def test_no_second_life(self, stage: Stage) -> None:
        room = await stage.joined()
        await room.leave()
        await room.leave()
        with pytest.raises(SessionEnded):
            await room.join()

    async def test_not_joined_is_a_runtime_error(self) -> None:
        room = RoomSession("token", host="ws://127.0.0.1:9")
        with pytest.raises(RuntimeError):
            await room.get_members()

    def test_deprecated_options_still_count(self) -> None:
        with pytest.warns(DeprecationWarning, match=r"join\(video=...\)"):
            RoomSession("token", video=False)

    async def test_deprecated_video_false(self, stage: Stage) -> None:
        with pytest.warns(DeprecationWarning, match="deprecated"):
            room = stage.session(video=False)
        await room.join()
        assert stage.legs.made[0].wanted["receive_video"] is False

    def test_log_level(self) -> None:
        logger = logging.getLogger("appliance")
        before = logger.level
        try:
            RoomSession("token", log_level="silent")
            assert not logger.isEnabledFor(logging.CRITICAL)
            RoomSession("token", log_level="debug")
            assert logger.isEnabledFor(logging.DEBUG)
            with pytest.raises(ValueError, match="log_level"):
                RoomSession("token", log_level="loud")  # type: ignore[arg-type]
        finally:
            logger.setLevel(before)


class TestEvents:
    async def test_reach_handlers_as_payloads(self, stage: Stage) -> None:
        room = await stage.joined()
        names: list[str] = []
        room.on("member.joined", lambda e: names.append(e.member.name))
        await stage.hub.room_event("member.joined", member=member("fir", "Fir"))
        await until(lambda: names)
        assert names == ["Fir"]

    async def test_audience_count_by_both_names(self, stage: Stage) -> None:
        await stage.joined()
        await stage.hub.room_event("room.audience_count", total=7)
        await stage.until_heard("room.audienceCount")
        assert stage.payloads("room.audience_count")[0].total == 7

    async def test_unknown_ones_come_through(self, stage: Stage) -> None:
        await stage.joined()
        await stage.hub.room_event("brand.new", field={"deep": 1})
        await stage.until_heard("brand.new")
        assert stage.payloads("brand.new")[0].field.deep == 1

    async def test_promotion_changes_the_rights(self, stage: Stage) -> None:
        room = await stage.joined()
        authorization = {"join_as": "audience", "room": {"scopes": ["room.lock"]}}
        await stage.hub.room_event(
            "member.demoted", member_id="oak", authorization={"join_as": "none"}
        )
        await stage.hub.room_event(
            "member.demoted", member_id=room.member_id, authorization=authorization
        )
        await stage.until_heard("member.demoted", 2)
        assert (room.interactivity_mode, room.permissions) == ("audience", ["room.lock"])

    async def test_remove_all_listeners_keeps_the_session_working(self, stage: Stage) -> None:
        room = await stage.joined()
        room.remove_all_listeners()
        await stage.hub.update(stage.hub.own_id, audio_muted=True)
        await until(lambda: not stage.mic.is_open)
        await stage.hub.room_event("member.joined", member=member("fir", "Fir"))
        await until(lambda: len(room.members) == 3)

    @pytest.mark.parametrize(
        "params",
        [
            {},
            {"member": None},
            {"member": {"id": 7}},
            {"member": {"id": "oak", "updated": "audio_muted"}},
            {"member": {"id": "oak", "updated": [1, None]}},
            {"layout": {"layers": [None, {"member_id": []}, {"member_id": "oak", "x": "a"}]}},
        ],
    )
    async def test_odd_payloads_do_no_harm(self, stage: Stage, params: dict[str, Any]) -> None:
        room = await stage.joined()
        for name in ("member.updated", "member.joined", "member.left", "layout.changed"):
            await stage.hub.room_event(name, **params)
        await stage.hub.event("webrtc.message", {"method": 5})
        await stage.hub.room_event("the.end")
        await stage.until_heard("the.end")
        assert room.active


class TestCallMessages:
    async def test_ping_is_answered(self, stage: Stage) -> None:
        await stage.joined()
        call_id = stage.hub.call_id
        await stage.hub.call_message("verto.ping", call_id, dialogParams={"callID": call_id})
        await stage.hub.until(lambda: stage.hub.said("verto.pong"))
        (pong,) = stage.hub.said("verto.pong")
        assert pong["params"] == {"callID": call_id, "dialogParams": {"callID": call_id}}

    async def test_media_params_are_kept(self, stage: Stage) -> None:
        room = await stage.joined()
        wishes = {"video": {"frameRate": {"max": 20}}, "audio": {"autoGainControl": True}}
        await stage.hub.call_message("verto.mediaParams", stage.hub.call_id, mediaParams=wishes)
        assert room._call is not None
        await until(lambda: room._call is not None and room._call.media_params)
        assert room._call.media_params == wishes

    async def test_redirect_invites_at_the_other_node(self, stage: Stage) -> None:
        admit = stage.hub.admit

        async def redirect(call_id: str, offer: str) -> None:
            stage.hub.invite = admit
            await stage.hub.call_message("verto.bye", call_id, redirectDestination="node-2")

        stage.hub.invite = redirect
        room = await stage.joined()
        assert room.active
        first, second = stage.hub.sent("verto.invite")
        assert second["node_id"] == "node-2"
        assert first["message"]["params"]["sdp"] == second["message"]["params"]["sdp"]


class TestLeave:
    async def test_says_goodbye_and_frees_everything(self, stage: Stage) -> None:
        room = await stage.joined()
        await room.leave()
        assert not room.active
        assert len(stage.hub.said("verto.bye")) == 1
        assert stage.legs.made[0].closed
        assert Party.START in stage.mic.closers
        assert Party.START in stage.cam.closers
        assert stage.payloads("room.left")[0].reason is None
        tail = [n for n in stage.names() if n in ("hangup", "room.left", "destroy")]
        assert tail == ["hangup", "room.left", "destroy"]
        await until(lambda: not stage.hub._sockets)

    async def test_gates_close_before_the_goodbye(self, stage: Stage) -> None:
        room = await stage.joined()
        stage.hub.silent.add("verto.bye")
        leaving = asyncio.create_task(room.leave())
        await stage.hub.until(lambda: stage.hub.said("verto.bye"))
        assert not stage.mic.is_open
        assert not stage.cam.is_open
        await stage.hub.drop()
        await leaving
        assert "room.left" in stage.names()

    async def test_a_goodbye_without_an_answer_is_told_with_its_cause(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr("appliance.room.session.BYE_TIMEOUT", 0.1)
        room = await stage.joined()
        stage.hub.silent.add("verto.bye")
        with caplog.at_level(logging.INFO, "appliance.room"):
            await room.leave()
        assert [one for one in caplog.messages if "goodbye" in one] == [
            "the server did not take the goodbye: no answer within 0.1 s"
        ]

    async def test_given_devices_go_on(self, stage: Stage) -> None:
        room = await stage.joined()
        await room.leave()
        assert stage.stream.microphone is not None
        assert not stage.stream.microphone.suspended
        assert stage.speaker.running

    async def test_from_an_async_handler(self, stage: Stage) -> None:
        room = await stage.joined()
        done = asyncio.Event()

        async def go(event: Any) -> None:
            await room.leave()
            done.set()

        room.on("room.updated", go)
        await stage.hub.room_event("room.updated", room={"updated": ["locked"], "locked": True})
        await asyncio.wait_for(done.wait(), 20)
        assert not room.active

    async def test_server_ends_the_call(self, stage: Stage) -> None:
        room = await stage.joined()
        await stage.hub.call_message("verto.bye", stage.hub.call_id, cause="NORMAL_CLEARING")
        await stage.until_heard("room.left")
        assert stage.payloads("room.left")[0].reason is None
        assert not room.active
        assert not stage.mic.is_open
        assert stage.hub.said("verto.bye") == []
        await stage.hub.until(lambda: len(stage.hub.sent("verto.reply")) == 2)

    async def test_context_manager(self, stage: Stage) -> None:
        left: list[str] = []

        async def slowly(event: Any) -> None:
            await asyncio.sleep(0.01)
            left.append("room.left")

        async with stage.session() as room:
            room.on("room.left", slowly)
            await room.join()
        assert left == ["room.left"]
        assert len(stage.hub.said("verto.bye")) == 1

    async def test_context_manager_without_a_join(self, stage: Stage) -> None:
        async with stage.session():
            pass
        assert stage.hub.connections == 0

    async def test_destroy_is_local(self, stage: Stage) -> None:
        room = await stage.joined()
        room.on("room.left", lambda e: pytest.fail("a forgotten listener was called"))
        room.destroy()
        assert not stage.mic.is_open
        await room.wait_closed()
        assert stage.hub.said("verto.bye") == []
        assert stage.legs.made[0].closed
        room.destroy()
        await room.wait_closed()

    async def test_destroy_cancels_handlers(self, stage: Stage) -> None:
        room = await stage.joined()
        started, ended = asyncio.Event(), asyncio.Event()

        async def long(event: Any) -> None:
            started.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()

        room.on("room.updated", long)
        await stage.hub.room_event("room.updated", room={"updated": []})
        await asyncio.wait_for(started.wait(), 20)
        room.destroy()
        await room.wait_closed()
        assert ended.is_set()


class TestDevices:
    async def test_names(self, stage: Stage) -> None:
        room = await stage.joined()
        assert (room.microphone_id, room.microphone_label) == ("microphone-1", "The microphone")
        assert (room.camera_id, room.camera_label) == ("camera-1", "The camera")
        assert room.local_stream is stage.stream
        assert room.local_audio_track is stage.stream.microphone
        assert room.local_video_track is stage.stream.camera

    async def test_without_a_camera(self, stage: Stage) -> None:
        stage.stream = LocalStream(stage.stream.microphone)
        room = await stage.joined()
        assert stage.legs.made[0].wanted["camera"] is None
        assert stage.legs.made[0].wanted["receive_video"] is True
        assert room.camera_id is None

    async def test_suspended_while_muted(self, stage: Stage) -> None:
        await stage.joined()
        capture = stage.stream.microphone
        assert capture is not None
        assert not capture.suspended
        stage.mic.mute(Party.ROOM)
        await until(lambda: capture.suspended)
        stage.mic.unmute(Party.ROOM)
        await until(lambda: not capture.suspended)

    async def test_not_suspended_when_told_so(self, stage: Stage) -> None:
        room = await stage.joined(stop_microphone_while_muted=False)
        await room.audio_mute()
        await room.video_mute()
        assert stage.stream.camera is not None
        await until(lambda: stage.stream.camera.suspended)  # type: ignore[union-attr]
        assert stage.stream.microphone is not None
        assert not stage.stream.microphone.suspended


class TestOverlay:
    async def test_follows_the_layout(self, stage: Stage) -> None:
        screen = FakeScreen()
        room = await stage.joined(root_element=screen)
        assert screen.running
        assert stage.legs.made[0].wanted["display"] is screen
        assert stage.stream.camera is not None
        stage.stream.camera.preview = VideoFrame(16, 16, "yuv420p")
        layer = {"member_id": room.member_id, "x": 25, "y": 0, "width": 50, "height": 50}
        layout = {"name": "2x2", "layers": [{**layer, "visible": True, "position": "standard-1"}]}
        await stage.hub.room_event("layout.changed", layout=layout)
        await until(lambda: screen.overlay)
        assert screen.overlay is not None
        assert (screen.overlay.x, screen.overlay.width) == (25, 50)
        # The picture of the own camera is gone: so is the overlay, with the next canvas frame.
        stage.stream.camera.preview = None
        assert stage.legs.made[0].on_frame is not None
        stage.legs.made[0].on_frame(VideoFrame(16, 16, "yuv420p"))
        assert screen.overlay is None
        stage.stream.camera.preview = VideoFrame(16, 16, "yuv420p")
        stage.legs.made[0].on_frame(VideoFrame(16, 16, "yuv420p"))
        assert room.local_overlay.visible
        await room.leave()
        assert screen.overlay is None


class TestReconnection:
    async def test_socket_loss_keeps_media_and_member(self, stage: Stage) -> None:
        room = await stage.joined()
        before = room.member_id
        await stage.hub.drop()
        assert room.active
        await stage.hub.until(lambda: stage.hub.sent("video.members.get"))
        resumed = stage.hub.sent("signalwire.connect")[1]
        assert resumed["protocol"].startswith("signalwire_signature-1_")
        assert room.member_id == before
        assert len(stage.legs.made) == 1
        assert not stage.legs.made[0].closed
        assert "media.disconnected" not in stage.names()
        await room.set_layout("2x2")
        assert stage.hub.sent("video.set_layout")[0]["name"] == "2x2"

    async def test_learns_what_was_missed(self, stage: Stage) -> None:
        room = await stage.joined()
        stage.hub.members["fir"] = member("fir", "Fir")
        stage.hub.members[stage.hub.own_id]["audio_muted"] = True
        await stage.hub.drop()
        await until(lambda: Party.REMOTE in stage.mic.closers)
        assert [m.name for m in room.members] == ["Oak", "Self", "Fir"]

    async def test_server_forgot_everything(self, stage: Stage) -> None:
        room = await stage.joined()
        await room.audio_mute()
        stage.hub.knows_sessions = False
        stage.hub.members.clear()
        stage.hub.calls.clear()
        stage.hub.calls["another call"] = "somebody"
        await stage.hub.drop()
        await stage.until_heard("room.joined", 2)
        first, second = stage.hub.sent("verto.invite")
        assert first["callID"] == second["callID"]
        assert room.member_id == "self-2"
        assert [leg.closed for leg in stage.legs.made] == [True, False]
        # The new member learns that this device is muted.
        own = stage.hub.members["self-2"]
        await stage.hub.until(lambda: own["audio_muted"])
        assert not stage.mic.is_open
        assert stage.cam.is_open

    async def test_server_forgot_the_member_only(self, stage: Stage) -> None:
        room = await stage.joined()
        del stage.hub.members[stage.hub.own_id]
        await stage.hub.drop()
        await stage.hub.until(lambda: len(stage.hub.offers) == 2)
        await stage.until_heard("media.connected", 2)
        assert room.active

    async def test_the_audience_is_in_no_list_and_not_lost(self, stage: Stage) -> None:
        stage.hub.authorization["join_as"] = "audience"
        room = await stage.joined()
        del stage.hub.members[stage.hub.own_id]
        stage.hub.members["fir"] = member("fir", "Fir")
        await stage.hub.drop()
        await until(lambda: [m.name for m in room.members] == ["Oak", "Fir"])
        assert len(stage.hub.offers) == 1
        assert "media.disconnected" not in stage.names()

    async def test_media_failure_dials_the_same_call(self, stage: Stage) -> None:
        room = await stage.joined()
        stage.legs.made[0].change(PeerState.FAILED)
        await stage.until_heard("media.connected", 2)
        media = [n for n in stage.names() if n.startswith("media.")]
        assert media == [
            "media.connected",
            "media.disconnected",
            "media.reconnecting",
            "media.connected",
        ]
        first, second = stage.hub.sent("verto.invite")
        assert first["callID"] == second["callID"]
        assert second["node_id"] == NODE
        assert stage.legs.made[0].closed
        # The way to the server was in doubt too: a fresh socket, and the same session on it.
        assert stage.hub.connections == 2
        resumed = stage.hub.sent("signalwire.connect")[1]
        assert resumed["protocol"].startswith("signalwire_signature-1_")
        assert room.active
        assert stage.names().count("room.joined") == 1

    async def test_media_gone_for_good(self, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        room = await stage.joined()
        assert room._recovery is not None
        room._recovery._limit = 0.3
        stage.legs.connects = False
        stage.legs.made[0].change(PeerState.FAILED)
        await stage.until_heard("room.left")
        assert stage.payloads("room.left")[0].reason == "RECONNECTION_ATTEMPT_TIMEOUT"
        media = [n for n in stage.names() if n.startswith("media.")]
        assert media[-3:] == ["media.disconnected", "media.reconnecting", "media.disconnected"]
        assert not stage.mic.is_open
        assert len(stage.hub.said("verto.bye")) == 1

    async def test_media_come_back_though_the_socket_does_not_at_once(self, stage: Stage) -> None:
        room = await stage.joined()
        stage.hub.silent.add("signalwire.connect")
        stage.legs.made[0].change(PeerState.FAILED)
        await stage.hub.until(lambda: stage.hub.sent("signalwire.connect")[1:])
        stage.hub.silent.clear()
        await stage.hub.drop()
        await stage.until_heard("media.connected", 2)
        assert room.active
        assert "room.left" not in stage.names()

    async def test_removed_member_does_not_call_again(self, stage: Stage) -> None:
        await stage.joined()
        # A hub may cut the media a moment before its goodbye arrives.
        stage.legs.made[0].change(PeerState.CLOSED)
        await stage.hub.call_message("verto.bye", stage.hub.call_id)
        await stage.until_heard("room.left")
        assert len(stage.hub.offers) == 1

    async def test_media_that_go_with_the_goodbye_are_not_won_back(self, stage: Stage) -> None:
        room = await stage.joined()
        stage.hub.silent.add("verto.bye")
        leaving = asyncio.create_task(room.leave())
        await stage.hub.until(lambda: stage.hub.said("verto.bye"))
        stage.legs.made[0].change(PeerState.FAILED)
        await stage.hub.drop()
        await leaving
        assert "media.disconnected" not in stage.names()

    async def test_media_that_go_with_the_end_are_not_won_back(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        room = await stage.joined()
        stop = room._muting.stop

        async def stop_late() -> None:
            stage.legs.made[0].change(PeerState.FAILED)
            await asyncio.sleep(0)
            await stop()

        monkeypatch.setattr(room._muting, "stop", stop_late)
        await stage.hub.call_message("verto.bye", stage.hub.call_id)
        await stage.until_heard("destroy")
        assert len(room._tasks) == 0
        assert "media.disconnected" not in stage.names()

    async def test_refused_again(self, stage: Stage) -> None:
        await stage.joined()
        stage.hub.refusals["verto.invite"] = ("403", "Room locked")
        stage.legs.made[0].change(PeerState.FAILED)
        await stage.until_heard("room.left")
        assert stage.payloads("room.left")[0].reason == "RECONNECTION_ATTEMPT_TIMEOUT"

    async def test_token_refused_at_the_reconnection(self, stage: Stage) -> None:
        room = await stage.joined()
        stage.hub.auth_error = {"code": -32002, "message": "expired"}
        await stage.hub.drop()
        await stage.until_heard("room.left")
        assert not room.active
        assert not stage.mic.is_open

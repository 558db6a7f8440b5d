"""The gates of the own devices and the room's server, through a whole session."""

from __future__ import annotations

import asyncio
import threading

import pytest

from appliance.media.gate import Party
from appliance.room import Disconnected, GateHeld, PermissionDenied, RpcError
from tests.appliance.room.conftest import Stage, until
from tests.appliance.room.fake_hub import FakeHub
from tests.appliance.room.fake_media import local_stream

MUTE, UNMUTE = "video.member.audio_mute", "video.member.audio_unmute"


def own(hub: FakeHub) -> dict[str, object]:
    """The own member as the server knows it."""
    return hub.members[hub.own_id]


class TestJoining:
    async def test_opens_with_the_first_state(self, stage: Stage) -> None:
        seen: list[bool] = []
        answer = stage.hub.answer_sdp

        async def look(offer: str) -> str:
            seen.append(stage.mic.is_open)
            return await answer(offer)

        stage.hub.answer_sdp = look
        await stage.joined()
        assert seen == [False]
        assert stage.mic.is_open
        assert stage.cam.is_open

    async def test_one_opened_too_early_is_closed_until_then(self, stage: Stage) -> None:
        stage.mic.unmute(Party.ROOM)
        assert stage.mic.is_open
        seen: list[bool] = []
        answer = stage.hub.answer_sdp

        async def look(offer: str) -> str:
            seen.append(stage.mic.is_open)
            return await answer(offer)

        stage.hub.answer_sdp = look
        await stage.joined()
        assert seen == [False]
        assert stage.mic.is_open

    async def test_joined_muted(self, stage: Stage) -> None:
        stage.hub.joined_with = {"audio_muted": True}
        await stage.joined()
        assert stage.mic.closers == {Party.REMOTE}
        assert stage.cam.is_open
        assert stage.hub.sent(UNMUTE) == []
        assert stage.hub.sent(MUTE) == []

    async def test_server_follows_a_gate_closed_before(self, stage: Stage) -> None:
        stage.mic.mute(Party.ROOM)
        stage.cam.mute(Party.LATCH)
        await stage.joined()
        await stage.hub.until(lambda: own(stage.hub)["audio_muted"])
        await stage.hub.until(lambda: own(stage.hub)["video_muted"])
        assert Party.ROOM in stage.mic.closers
        assert Party.LATCH in stage.cam.closers

    async def test_stays_closed_while_the_state_is_unknown(self, stage: Stage) -> None:
        async def admit(call_id: str, offer: str) -> None:
            stage.hub.calls[call_id] = "me"
            stage.hub.members["me"] = {"id": "me"}
            await stage.hub.call_message("verto.answer", call_id, sdp="answer")
            hidden, stage.hub.members = stage.hub.members, {"oak": stage.hub.members["oak"]}
            stage.hub.members["me"] = {"id": None}
            await stage.hub.subscribe(call_id)
            del stage.hub.members["me"]
            await stage.hub.until(lambda: stage.hub.sent("video.members.get"))
            stage.hub.members = hidden

        stage.hub.invite = admit
        await stage.joined()
        await stage.hub.until(lambda: stage.hub.sent("video.members.get"))
        assert stage.mic.closers == {Party.START}
        await stage.hub.room_event(
            "member.updated", member={"id": "me", "updated": ["audio_muted"], "audio_muted": False}
        )
        await until(lambda: stage.mic.is_open)
        assert stage.cam.closers == {Party.START}


class TestOwnMute:
    async def test_closes_before_the_request(self, stage: Stage) -> None:
        room = await stage.joined()
        stage.hub.silent.add(MUTE)
        muting = asyncio.create_task(room.audio_mute())
        await stage.hub.until(lambda: stage.hub.sent(MUTE))
        assert stage.mic.closers == {Party.SOFTWARE}
        muting.cancel()

    async def test_closes_without_waiting_for_anything(self, stage: Stage) -> None:
        room = await stage.joined()
        coroutine = room.audio_mute()
        coroutine.send(None)  # up to its first wait, without the loop
        try:
            assert not stage.mic.is_open
        finally:
            coroutine.close()

    @pytest.mark.parametrize("kind", ["audio", "video"])
    async def test_and_unmute(self, stage: Stage, kind: str) -> None:
        room = await stage.joined()
        gate = stage.mic if kind == "audio" else stage.cam
        await getattr(room, f"{kind}_mute")()
        assert not gate.is_open
        assert own(stage.hub)[f"{kind}_muted"]
        await getattr(room, f"{kind}_unmute")()
        assert gate.is_open
        assert not own(stage.hub)[f"{kind}_muted"]
        assert len(stage.hub.sent(f"video.member.{kind}_mute")) == 1
        assert len(stage.hub.sent(f"video.member.{kind}_unmute")) == 1

    @pytest.mark.parametrize("late", [False, True])
    async def test_own_events_are_no_orders(self, stage: Stage, late: bool) -> None:
        # A stale "muted" of our own must not close what was opened since.
        stage.hub.events_after_reply = late
        room = await stage.joined()
        for _ in range(5):
            await room.audio_mute()
            await room.audio_unmute()
        await stage.hub.room_event("the.end")
        await stage.until_heard("the.end")
        assert stage.mic.is_open
        assert len(stage.hub.sent(MUTE)) == len(stage.hub.sent(UNMUTE)) == 5

    async def test_refused_mute_stays_muted(self, stage: Stage) -> None:
        room = await stage.joined()
        stage.hub.refusals[MUTE] = ("403", "Permission denied")
        with pytest.raises(PermissionDenied):
            await room.audio_mute()
        assert stage.mic.closers == {Party.SOFTWARE}
        await room.get_members()
        assert len(stage.hub.sent(MUTE)) == 1

    async def test_failed_mute_is_told_again(self, stage: Stage) -> None:
        room = await stage.joined()
        stage.hub.refusals[MUTE] = ("500", "Out of order")
        with pytest.raises(RpcError):
            await room.audio_mute()
        assert stage.mic.closers == {Party.SOFTWARE}
        stage.hub.refusals.clear()
        await stage.hub.until(lambda: own(stage.hub)["audio_muted"])

    async def test_mute_while_the_socket_breaks(self, stage: Stage) -> None:
        room = await stage.joined()
        stage.hub.silent.add(MUTE)
        muting = asyncio.create_task(room.audio_mute())
        await stage.hub.until(lambda: stage.hub.sent(MUTE))
        stage.hub.silent.clear()
        await stage.hub.drop()
        with pytest.raises(Disconnected):
            await muting
        assert not stage.mic.is_open
        await stage.hub.until(lambda: own(stage.hub)["audio_muted"])
        assert not stage.mic.is_open

    async def test_refused_unmute_stays_muted(self, stage: Stage) -> None:
        room = await stage.joined()
        await room.audio_mute()
        stage.hub.refusals[UNMUTE] = ("403", "Permission denied")
        with pytest.raises(PermissionDenied):
            await room.audio_unmute()
        assert not stage.mic.is_open

    async def test_unmute_waits_for_the_answer(self, stage: Stage) -> None:
        room = await stage.joined()
        await room.audio_mute()
        stage.hub.silent.add(UNMUTE)
        unmuting = asyncio.create_task(room.audio_unmute())
        await stage.hub.until(lambda: stage.hub.sent(UNMUTE))
        assert not stage.mic.is_open
        unmuting.cancel()

    async def test_a_later_mute_wins(self, stage: Stage) -> None:
        room = await stage.joined()
        await room.audio_mute()
        unmuting = asyncio.create_task(room.audio_unmute())
        await asyncio.sleep(0)
        await room.audio_mute()
        with pytest.raises(GateHeld):
            await unmuting
        assert not stage.mic.is_open
        await stage.hub.until(lambda: own(stage.hub)["audio_muted"])

    async def test_by_its_own_id(self, stage: Stage) -> None:
        room = await stage.joined()
        await room.audio_mute(member_id=room.member_id)
        assert stage.mic.closers == {Party.SOFTWARE}

    async def test_of_others_leaves_the_own_gate_alone(self, stage: Stage) -> None:
        room = await stage.joined()
        await room.audio_mute("oak")
        await room.video_mute(member_id="oak")
        await room.deaf("oak")
        assert stage.hub.members["oak"]["audio_muted"]
        assert stage.hub.members["oak"]["video_muted"]
        assert stage.mic.is_open
        assert stage.cam.is_open


class TestRoom:
    async def test_button_is_told(self, stage: Stage) -> None:
        await stage.joined()
        stage.mic.mute(Party.ROOM)
        await stage.hub.until(lambda: own(stage.hub)["audio_muted"])
        stage.mic.unmute(Party.ROOM)
        await stage.hub.until(lambda: not own(stage.hub)["audio_muted"])
        assert stage.mic.is_open

    async def test_from_another_thread(self, stage: Stage) -> None:
        await stage.joined()
        thread = threading.Thread(target=stage.mic.mute, args=(Party.LATCH,))
        thread.start()
        await stage.hub.until(lambda: own(stage.hub)["audio_muted"])
        thread.join()

    async def test_beats_a_script(self, stage: Stage) -> None:
        room = await stage.joined()
        stage.mic.mute(Party.ROOM)
        await stage.hub.until(lambda: own(stage.hub)["audio_muted"])
        with pytest.raises(GateHeld, match="held by room") as held:
            await room.audio_unmute()
        assert held.value.closers == ("room",)
        assert stage.hub.sent(UNMUTE) == []
        assert own(stage.hub)["audio_muted"]

    async def test_pressed_during_a_scripts_unmute(self, stage: Stage) -> None:
        room = await stage.joined()
        await room.audio_mute()
        stage.hub.silent.add(UNMUTE)
        answer = asyncio.create_task(room.audio_unmute())
        await stage.hub.until(lambda: stage.hub.sent(UNMUTE))
        stage.hub.silent.clear()
        stage.mic.mute(Party.ROOM)
        await stage.hub.drop()
        with pytest.raises((GateHeld, Disconnected)):
            await answer
        assert not stage.mic.is_open
        await stage.hub.until(lambda: len(stage.hub.sent("signalwire.connect")) == 2)
        await stage.hub.until(lambda: own(stage.hub)["audio_muted"])

    async def test_server_is_told_until_it_listens(self, stage: Stage) -> None:
        await stage.joined()
        stage.hub.refusals[MUTE] = ("500", "Out of order")
        stage.mic.mute(Party.ROOM)
        await stage.hub.until(lambda: len(stage.hub.sent(MUTE)) >= 3)
        stage.hub.refusals.clear()
        await stage.hub.until(lambda: own(stage.hub)["audio_muted"])

    async def test_unmute_that_the_server_refuses_is_not_shown(self, stage: Stage) -> None:
        # Nobody would hear them: a green light would lie to the people in the room.
        await stage.joined()
        stage.mic.mute(Party.ROOM)
        await stage.hub.until(lambda: own(stage.hub)["audio_muted"])
        stage.hub.refusals[UNMUTE] = ("403", "Permission denied")
        stage.mic.unmute(Party.ROOM)
        await until(lambda: stage.mic.closers == {Party.REMOTE})
        assert len(stage.hub.sent(UNMUTE)) == 1

    async def test_mute_that_the_server_refuses_is_told_once(self, stage: Stage) -> None:
        await stage.joined()
        stage.hub.refusals[MUTE] = ("403", "Permission denied")
        stage.mic.mute(Party.ROOM)
        await stage.hub.until(lambda: stage.hub.sent(MUTE))
        stage.cam.mute(Party.ROOM)
        await stage.hub.until(lambda: own(stage.hub)["video_muted"])
        assert len(stage.hub.sent(MUTE)) == 1
        assert not stage.mic.is_open

    async def test_pressed_while_the_server_is_away(self, stage: Stage) -> None:
        await stage.joined()
        await stage.hub.drop()
        stage.mic.mute(Party.ROOM)
        assert not stage.mic.is_open
        await stage.hub.until(lambda: own(stage.hub)["audio_muted"])
        assert Party.ROOM in stage.mic.closers


class TestRemote:
    async def test_moderator_closes(self, stage: Stage) -> None:
        await stage.joined()
        await stage.hub.update(stage.hub.own_id, audio_muted=True)
        await until(lambda: stage.mic.closers == {Party.REMOTE})
        assert stage.cam.is_open
        await stage.hub.update(stage.hub.own_id, video_muted=True, visible=False)
        await until(lambda: stage.cam.closers == {Party.REMOTE})

    async def test_moderator_may_not_open(self, stage: Stage) -> None:
        await stage.joined()
        await stage.hub.update(stage.hub.own_id, audio_muted=True)
        await until(lambda: stage.mic.closers == {Party.REMOTE})
        await stage.hub.update(stage.hub.own_id, audio_muted=False)
        # The server learns that the device did not follow.
        await stage.hub.until(lambda: stage.hub.sent(MUTE))
        await stage.hub.until(lambda: own(stage.hub)["audio_muted"])
        assert not stage.mic.is_open

    async def test_moderator_may_open_where_allowed(self, stage: Stage) -> None:
        stage.stream = local_stream(allow_remote_unmute=True)
        room = await stage.joined()
        await room.audio_mute()
        await stage.hub.update(stage.hub.own_id, audio_muted=False)
        await until(lambda: stage.mic.is_open)
        assert stage.hub.sent(UNMUTE) == []

    async def test_moderator_never_beats_the_button(self, stage: Stage) -> None:
        stage.stream = local_stream(allow_remote_unmute=True)
        await stage.joined()
        stage.mic.mute(Party.ROOM)
        await stage.hub.until(lambda: own(stage.hub)["audio_muted"])
        await stage.hub.update(stage.hub.own_id, audio_muted=False)
        await stage.hub.until(lambda: own(stage.hub)["audio_muted"])
        assert Party.ROOM in stage.mic.closers

    async def test_an_argument_slows_down(self, stage: Stage) -> None:
        await stage.joined()
        stage.mic.mute(Party.ROOM)
        await stage.hub.until(lambda: own(stage.hub)["audio_muted"])
        loop = asyncio.get_running_loop()
        gaps: list[float] = []
        for _ in range(5):
            told = len(stage.hub.sent(MUTE))
            began = loop.time()
            await stage.hub.update(stage.hub.own_id, audio_muted=False)
            await stage.hub.until(lambda told=told: len(stage.hub.sent(MUTE)) > told)
            await stage.hub.until(lambda: own(stage.hub)["audio_muted"])
            gaps.append(loop.time() - began)
        # The delays are ours, so they are a lower bound on any machine.
        assert gaps[-1] > 0.9
        assert gaps[-2] > 0.4

    async def test_other_changes_do_not_matter(self, stage: Stage) -> None:
        room = await stage.joined()
        stage.mic.mute(Party.ROOM)
        await stage.hub.until(lambda: own(stage.hub)["audio_muted"])
        stage.mic.unmute(Party.ROOM)
        # An event that was on its way when the button was pressed: a whole member, but only
        # its name has changed.
        await stage.hub.room_event(
            "member.updated",
            member={**own(stage.hub), "audio_muted": True, "updated": ["meta"]},
        )
        await stage.hub.room_event("the.end")
        await stage.until_heard("the.end")
        assert stage.mic.is_open
        assert room.active


class TestDeaf:
    async def test_mutes_and_unmutes(self, stage: Stage) -> None:
        room = await stage.joined()
        await room.deaf()
        assert not stage.mic.is_open
        await until(lambda: stage.speaker.deaf)
        await room.undeaf()
        assert stage.mic.is_open
        await until(lambda: not stage.speaker.deaf)
        await stage.hub.room_event("the.end")
        await stage.until_heard("the.end")
        assert stage.mic.is_open
        assert not own(stage.hub)["audio_muted"]

    async def test_undeaf_leaves_the_button(self, stage: Stage) -> None:
        room = await stage.joined()
        await room.deaf()
        stage.mic.mute(Party.ROOM)
        await room.undeaf()
        assert Party.ROOM in stage.mic.closers
        await stage.hub.until(lambda: own(stage.hub)["audio_muted"])

    async def test_refused(self, stage: Stage) -> None:
        room = await stage.joined()
        stage.hub.refusals["video.member.deaf"] = ("403", "Permission denied")
        with pytest.raises(PermissionDenied):
            await room.deaf()
        assert stage.mic.is_open

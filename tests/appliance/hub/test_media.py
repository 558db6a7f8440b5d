"""What members really hear and see: real connections through a real hub on the loopback.

Each member sends a tone of its own and a picture of its own tint. What the others get is judged at
their ends: sound by its spectrum, pictures by their pixels.
"""

from __future__ import annotations

import asyncio
import uuid

from appliance.hub.server import HubServer
from appliance.media.packet import Encoded, packetize
from appliance.media.peer import Peer, PeerState
from appliance.media.video_encoder import VideoEncoder
from appliance.signaling import verto
from tests.appliance.hub.caller import BLUE, DEADLINE, GREEN, RED, Caller, Join, flat
from tests.appliance.hub.hub_client import Client, token, until
from tests.appliance.media.conftest import LOOPBACK


async def test_everybody_hears_the_others_and_not_itself(join: Join) -> None:
    tones = {"A": 1000.0, "B": 1500.0, "Guest": 2200.0}
    callers = [await join(name, frequency=f) for name, f in tones.items()]
    watcher = await join("Watcher", join_as="audience", permissions=[])
    for caller in (*callers, watcher):
        for frequency in tones.values():
            if frequency != caller.frequency:
                await caller.hears(frequency)

    async def clear(caller: Caller) -> None:
        """The others as they were sent, at -12 dBFS, and its own not.

        A hole in a tone, as a machine under load makes them, sounds at every frequency: it is a
        whole stretch that counts.
        """
        others = [f for f in tones.values() if f != caller.frequency]
        own = [caller.frequency] if caller.frequency else []

        def whole(levels: list[float]) -> bool:
            heard, not_heard = levels[: len(others)], levels[len(others) :]
            return min(heard) > -15 and all(one < min(heard) - 40 for one in not_heard)

        await caller.window(*others, *own, test=whole)

    await asyncio.gather(*(clear(one) for one in (*callers, watcher)))


async def test_everybody_sees_everybody_in_its_place(join: Join) -> None:
    tints = {"A": RED, "B": GREEN, "C": BLUE}
    callers = [await join(name, tint=tint) for name, tint in tints.items()]
    watcher = await join("Watcher", join_as="audience", permissions=[])
    for viewer in (*callers, watcher):
        for caller in callers:
            await viewer.sees(caller.member_id, caller.tint or RED)
    # Each has been seen to have become visible.
    members = (await watcher.rpc("video.members.get"))["members"]
    assert [one["visible"] for one in members] == [True] * 3


async def test_h264_and_vp8_share_one_room(join: Join) -> None:
    one = await join("A", tint=RED, frequency=1000.0)
    other = await join("B", tint=GREEN, codec="vp8")
    assert one.peer.video_in
    assert other.peer.video_in
    assert (one.peer.video_in.codec, other.peer.video_in.codec) == ("h264", "vp8")
    for viewer in (one, other):
        await viewer.sees(one.member_id, RED)
        await viewer.sees(other.member_id, GREEN)
    await other.hears(1000.0)


async def test_a_video_mute_takes_the_picture_from_the_canvas(join: Join) -> None:
    one, other = await join("A", tint=RED), await join("B", tint=GREEN)
    await other.sees(one.member_id, RED)
    await other.rpc("video.member.video_mute", member_id=one.member_id)
    await other.sees(one.member_id, RED, near=False)
    # Only that one's.
    await other.sees(other.member_id, GREEN)
    await other.rpc("video.member.video_unmute", member_id=one.member_id)
    await other.sees(one.member_id, RED)


async def test_an_audio_mute_takes_the_sound_from_the_mix(join: Join) -> None:
    one, other = await join("A", frequency=1000.0), await join("B", frequency=1500.0)
    await other.hears(1000.0)
    await one.hears(1500.0)
    await other.rpc("video.member.audio_mute", member_id=one.member_id)
    await other.windows(1000.0, count=2)  # what was on its way before
    assert await other.level(1000.0) < -70
    assert await one.level(1500.0) > -20
    await other.rpc("video.member.audio_unmute", member_id=one.member_id)
    await other.hears(1000.0)
    await one.rpc("video.member.deaf")
    await one.windows(1500.0, count=2)  # what was on its way before
    assert await one.level(1500.0) < -70


async def test_a_volume_changes_what_the_others_hear(join: Join) -> None:
    one, other = await join("A", frequency=1000.0), await join("B", frequency=1500.0)
    await other.hears(1000.0)
    (before,) = await other.window(1000.0, test=lambda levels: levels[0] > -15)
    await other.rpc("video.member.set_input_volume", member_id=one.member_id, volume=-20)
    await other.windows(1000.0, count=2)  # what was on its way before
    await other.window(1000.0, test=lambda levels: abs(levels[0] - (before - 10)) < 2)
    assert await other.level(1000.0) < before - 8


async def test_who_talks_is_told(join: Join) -> None:
    other = await join("B")
    one = await join("A", frequency=1000.0)
    about = await other.event("video.member.talking")
    assert about["member"] == {"id": one.member_id, "talking": True}
    one.frequency = None
    await other.event("video.member.talking", lambda p: not p["member"]["talking"])


async def test_a_layout_moves_the_pictures(join: Join) -> None:
    one, other = await join("A", tint=RED), await join("B", tint=GREEN)
    await other.sees(one.member_id, RED)
    positions = {"self": "standard-4", one.member_id: "standard-3"}
    seen = len(other.events)
    await other.rpc("video.set_layout", name="2x2", positions=positions)
    layout = await other.event("video.layout.changed", since=seen)
    places = {layer["member_id"]: layer["position"] for layer in layout["layout"]["layers"]}
    assert (places[one.member_id], places[other.member_id]) == ("standard-3", "standard-4")
    await other.sees(one.member_id, RED)
    await other.sees(other.member_id, GREEN)


async def test_a_call_invited_again_has_media_again(join: Join) -> None:
    one, other = await join("A", tint=RED, frequency=1000.0), await join("B", tint=GREEN)
    await other.sees(one.member_id, RED)
    await other.hears(1000.0)
    seen, member_id = await other.mark(), one.member_id
    old, old_video = one.peer, one.video
    one.tint = BLUE
    await one.dial()
    assert one.member_id == member_id
    await other.sees(member_id, BLUE)
    await other.hears(1000.0)
    await one.sees(other.member_id, GREEN)
    assert "video.member.left" not in other.names(seen)
    old_video.close()
    await old.close()


async def test_media_go_on_while_the_socket_is_gone(live_hub: HubServer, join: Join) -> None:
    one, other = await join("A", tint=RED, frequency=1000.0), await join("B", frequency=1500.0)
    await other.hears(1000.0)
    await one.hears(1500.0)
    await one.cut()
    assert await other.level(1000.0) > -20
    assert await one.level(1500.0) > -20
    again = await Client.connect(
        live_hub,
        token(live_hub, user_name="A"),
        protocol=one.connected["protocol"],
        authorization_state=one.authorization_state,
    )
    again.room_session_id = one.room_session_id
    await again.rpc("video.member.audio_mute", member_id=one.member_id)
    await other.windows(1000.0, count=2)  # what was on its way before
    assert await other.level(1000.0) < -70
    await again.verto(verto.bye(one.call_id), one.call_id)
    await other.event("video.member.left")
    await again.close()


async def test_a_shared_screen_is_seen_by_all_and_by_its_owner(join: Join) -> None:
    one, other = await join("A", tint=RED), await join("B")
    screen, leg = Peer(addresses=LOOPBACK), str(uuid.uuid4())
    offer = await screen.offer(audio=None, video="sendonly")
    seen = len(one.events)
    message = verto.invite(
        leg,
        offer,
        screen_share=True,
        user_variables={"memberCallId": one.call_id, "memberId": one.member_id},
    )
    assert (await one.verto(message, leg))["code"] == "200"
    answer = await one.verto_event("verto.answer", since=seen)
    await screen.accept(answer["sdp"])
    joined = (await one.event("video.member.joined", since=seen))["member"]
    encoder = VideoEncoder("h264", 320, 180, rate=10, bitrate=300_000)

    async def share() -> None:
        index = 0
        while True:
            await asyncio.sleep(0.1)
            frame: Encoded = packetize(
                encoder.encode(flat(BLUE, index), keyframe=index % 10 == 0), "h264"
            )
            assert screen.video_out
            screen.video_out.send(frame)
            index += 1

    sharing = asyncio.create_task(share())
    await other.sees(joined["id"], BLUE)
    await one.sees(joined["id"], BLUE)
    sharing.cancel()
    await asyncio.gather(sharing, return_exceptions=True)
    encoder.close()
    await one.verto(verto.bye(leg), leg)
    await other.event("video.member.left", lambda p: p["member"]["id"] == joined["id"])
    await screen.close()


async def test_a_removed_member_s_connection_ends(join: Join) -> None:
    one, other = await join("A", tint=RED), await join("B")
    await other.sees(one.member_id, RED)
    await other.rpc("video.member.remove", member_id=one.member_id)
    await one.verto_event("verto.bye")
    await until(lambda: one.peer.state in (PeerState.CLOSED, PeerState.FAILED), DEADLINE)


async def test_nothing_is_encoded_while_nobody_looks(live_hub: HubServer, join: Join) -> None:
    one = await join("A", tint=RED)
    await one.sees(one.member_id, RED)
    room = live_hub.rooms.get("demo")
    assert room is not None
    canvas = room.stage.canvas  # type: ignore[attr-defined]
    await one.peer.close()
    leg = next(iter(room.legs))
    await until(lambda: leg.peer is not None and leg.peer.state is not PeerState.CONNECTED, 60)
    # The tick that was under way may still end.
    await asyncio.sleep(0.2)
    frames = canvas.stats.frames
    await asyncio.sleep(0.5)
    assert canvas.stats.frames == frames

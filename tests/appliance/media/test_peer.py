"""The seam to aiortc: two peers on the loopback, looked at from the wire."""

from __future__ import annotations

import asyncio
import itertools
import re

import aiortc
import numpy as np
import pytest
from aiortc.rtp import RtpPacket, is_rtcp
from av import CodecContext, Packet

from appliance.media.errors import NegotiationError
from appliance.media.opus import OpusDecoder, OpusEncoder
from appliance.media.packet import Encoded, MediaPacket, packetize
from appliance.media.peer import _SEAM, Peer, PeerState
from appliance.media.video_encoder import VideoEncoder
from tests.appliance.media.conftest import LOOPBACK, level_at, picture, tone, until


async def test_aiortc_still_has_every_name_that_we_touch() -> None:
    connection = aiortc.RTCPeerConnection(aiortc.RTCConfiguration(iceServers=[]))
    transceiver = connection.addTransceiver("video")
    objects = {
        "RTCPeerConnection": connection,
        "RTCRtpTransceiver": transceiver,
        "RTCRtpSender": transceiver.sender,
        "RTCRtpReceiver": transceiver.receiver,
        "RTCDtlsTransport": transceiver.sender.transport,
        "RTCIceGatherer": transceiver.sender.transport.transport.iceGatherer,
    }
    assert objects.keys() == _SEAM.keys()
    missing = [
        f"{name}.{attribute}"
        for name, attributes in _SEAM.items()
        for attribute in attributes
        if not hasattr(objects[name], attribute)
    ]
    await connection.close()
    assert missing == []


async def test_an_offer_is_complete_and_lists_audio_first() -> None:
    peer = Peer(addresses=LOOPBACK)
    offer = await peer.offer()
    await peer.close()
    sections = re.split(r"^(?=m=)", offer, flags=re.MULTILINE)[1:]
    assert [s.split()[0] for s in sections] == ["m=audio", "m=video"]
    for section in sections:
        assert re.search(r"(?m)^a=candidate:\S+ 1 udp \d+ 127\.0\.0\.1 \d+ typ host", section)
        assert "a=end-of-candidates" in section
        assert re.search(r"^a=msid:", section, re.MULTILINE)
    codecs = re.findall(r"^a=rtpmap:\d+ (\w+)/", sections[1], re.MULTILINE)
    assert codecs[0] == "H264"
    assert "VP8" in codecs
    assert offer.endswith("\r\n")


async def test_an_answer_lists_audio_first_whatever_the_offer() -> None:
    caller, callee = Peer(addresses=LOOPBACK), Peer(addresses=LOOPBACK)
    offer = await caller.offer()
    head, audio, video = re.split(r"^(?=m=)", offer, flags=re.MULTILINE)
    answer = await callee.answer(head + video + audio)
    await caller.close()
    await callee.close()
    assert re.findall(r"^m=(\w+)", answer, re.MULTILINE) == ["audio", "video"]
    streams = re.findall(r"^a=msid:(\S+)", answer, re.MULTILINE)
    assert len(set(streams)) == 1


async def test_vp8_is_taken_where_there_is_no_h264() -> None:
    caller, callee = Peer(addresses=LOOPBACK), Peer(addresses=LOOPBACK)
    offer = await caller.offer(audio=None)
    offer = offer.replace("H264/90000", "H265/90000")
    await caller.accept(await callee.answer(offer))
    codecs = caller.video_out and caller.video_out.codec, callee.video_in and callee.video_in.codec
    await caller.close()
    await callee.close()
    assert codecs == ("vp8", "vp8")


@pytest.mark.parametrize(
    "offer",
    [
        "",
        "rubbish",
        "v=0\r\nm=audio nonsense\r\n",
        "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\n",
    ],
)
async def test_a_bad_offer_is_one_clear_error(offer: str) -> None:
    peer = Peer(addresses=LOOPBACK)
    with pytest.raises(NegotiationError) as caught:
        await peer.answer(offer)
    await peer.close()
    assert "\n" not in str(caught.value)


async def test_nothing_in_common_says_which_codecs_we_have() -> None:
    caller, callee = Peer(addresses=LOOPBACK), Peer(addresses=LOOPBACK)
    offer = (await caller.offer(video=None)).replace("opus/48000/2", "speex/16000/1")
    with pytest.raises(NegotiationError, match="Opus"):
        await callee.answer(offer)
    await caller.close()
    await callee.close()


async def test_asking_for_nothing_is_refused() -> None:
    peer = Peer(addresses=LOOPBACK)
    with pytest.raises(NegotiationError, match="nothing to offer"):
        await peer.offer(None, None)
    await peer.close()


async def test_sound_arrives_as_it_was_sent(pair: tuple[Peer, Peer]) -> None:
    caller, callee = pair
    assert caller.audio_out
    assert callee.audio_in
    arrived: list[MediaPacket] = []
    callee.audio_in.on_packet = arrived.append
    encoder = OpusEncoder()
    for index in range(50):
        caller.audio_out.send(packetize(encoder.encode(tone(1000, start=index * 960)), "opus"))
        count = index + 1
        await until(lambda count=count: len(arrived) >= count)  # type: ignore[misc]
    decoder = OpusDecoder()
    heard = np.concatenate([decoder.decode(p.data) for p in arrived])
    assert level_at(heard[9600:], 1000) == pytest.approx(-12, abs=1)
    steps = {b.timestamp - a.timestamp for a, b in itertools.pairwise(arrived)}
    assert steps == {960}


async def test_one_encoded_picture_serves_two_receivers(pair: tuple[Peer, Peer]) -> None:
    caller, callee = pair
    other, far = Peer(addresses=LOOPBACK), Peer(addresses=LOOPBACK)
    await other.accept(await far.answer(await other.offer()))
    await other.wait_connected()
    await far.wait_connected()
    got: list[list[bytes]] = [[], []]
    for index, peer in enumerate((callee, far)):
        assert peer.video_in
        peer.video_in.on_packet = lambda p, index=index: got[index].append(p.data)  # type: ignore[misc]
    frame = packetize(VideoEncoder("h264", 320, 180).encode(picture(0), keyframe=True), "h264")
    for peer in (caller, other):
        assert peer.video_out
        peer.video_out.send(frame)
    await until(lambda: len(got[0]) == len(got[1]) == len(frame.payloads))
    await other.close()
    await far.close()
    assert got[0] == got[1]


async def test_video_begins_with_a_keyframe_and_asks_for_it(pair: tuple[Peer, Peer]) -> None:
    caller, callee = pair
    assert caller.video_out
    assert callee.video_in
    asked: list[bool] = []
    arrived: list[MediaPacket] = []
    caller.video_out.on_keyframe_request = lambda: asked.append(True)
    callee.video_in.on_packet = arrived.append
    encoder = VideoEncoder("h264", 320, 180)
    frames = [packetize(encoder.encode(picture(i), i == 2), "h264") for i in range(3)]
    caller.video_out.send(frames[1])
    assert asked == [True]
    caller.video_out.send(frames[2])
    await until(lambda: any(p.marker for p in arrived))
    assert {p.timestamp for p in arrived} == {arrived[0].timestamp}
    (whole,) = CodecContext.create("h264", "r").decode(Packet(b"".join(p.data for p in arrived)))
    assert (whole.width, whole.height) == (320, 180)


async def test_a_picture_loss_report_reaches_the_encoder(pair: tuple[Peer, Peer]) -> None:
    caller, callee = pair
    assert caller.video_out
    assert callee.video_in
    asked: list[bool] = []
    arrived: list[MediaPacket] = []
    caller.video_out.on_keyframe_request = lambda: asked.append(True)
    callee.video_in.on_packet = arrived.append
    encoder = VideoEncoder("h264", 320, 180)
    caller.video_out.send(packetize(encoder.encode(picture(0), True), "h264"))
    await until(lambda: arrived)
    assert asked == []
    callee.video_in.request_keyframe()
    await until(lambda: asked)


async def test_a_full_queue_drops_to_a_keyframe_never_delays(pair: tuple[Peer, Peer]) -> None:
    caller, _ = pair
    outlet = caller.video_out
    assert outlet
    asked: list[bool] = []
    outlet.on_keyframe_request = lambda: asked.append(True)
    encoder = VideoEncoder("h264", 320, 180)
    # Without an await in between the transport takes none of them.
    for index in range(6):
        outlet.send(packetize(encoder.encode(picture(index), index == 0), "h264"))
    assert outlet.frames_dropped >= 1
    assert asked


async def test_a_frame_of_an_older_epoch_never_leaves(pair: tuple[Peer, Peer]) -> None:
    caller, callee = pair
    assert caller.audio_out
    assert callee.audio_in
    sent: list[bytes] = []
    epoch = 1
    caller.tap = lambda data: sent.append(data) if not is_rtcp(data) else None
    caller.audio_out.epoch = lambda: epoch
    caller.audio_out.send(Encoded("opus", (b"old",), 0))
    epoch = 2
    caller.audio_out.send(Encoded("opus", (b"new",), 960))
    await until(lambda: sent)
    await asyncio.sleep(0)
    assert [RtpPacket.parse(data).payload for data in sent] == [b"new"]


async def test_flush_forgets_what_could_be_sent_again(pair: tuple[Peer, Peer]) -> None:
    caller, callee = pair
    assert caller.video_out
    assert callee.video_in
    arrived: list[MediaPacket] = []
    callee.video_in.on_packet = arrived.append
    encoder = VideoEncoder("h264", 320, 180)
    caller.video_out.send(packetize(encoder.encode(picture(0), True), "h264"))
    await until(lambda: arrived)
    sent: list[bytes] = []
    caller.tap = lambda data: sent.append(data) if not is_rtcp(data) else None
    await caller.video_out._sender._retransmit(arrived[0].sequence)
    assert len(sent) == 1
    caller.video_out.flush()
    await caller.video_out._sender._retransmit(arrived[0].sequence)
    assert len(sent) == 1


async def test_states_are_told_in_order_and_closing_leaves_nothing() -> None:
    before = asyncio.all_tasks()
    caller, callee = Peer(addresses=LOOPBACK), Peer(addresses=LOOPBACK)
    seen: list[PeerState] = []
    caller.on_state = seen.append
    await caller.accept(await callee.answer(await caller.offer()))
    await caller.wait_connected()
    await callee.wait_connected()
    await callee.close()
    await until(lambda: caller.state is PeerState.CLOSED)
    await caller.close()
    await caller.close()
    assert seen == [PeerState.CONNECTING, PeerState.CONNECTED, PeerState.CLOSED]
    await until(lambda: asyncio.all_tasks() <= before)


async def test_only_the_chosen_addresses_are_offered() -> None:
    peer = Peer(addresses=("127.0.0.1",))
    offer = await peer.offer(video=None)
    await peer.close()
    found = re.findall(r"^a=candidate:\S+ \d \w+ \d+ (\S+)", offer, re.MULTILINE)
    assert set(found) == {"127.0.0.1"}


@pytest.mark.parametrize("addresses", [LOOPBACK, None])
async def test_a_machine_without_a_network_is_reached_at_its_loopback(
    addresses: tuple[str, ...] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aioice.ice.ifaddr.get_adapters", list)
    peer = Peer(addresses=addresses)
    offer = await peer.offer(video=None)
    await peer.close()
    found = re.findall(r"^a=candidate:\S+ \d \w+ \d+ (\S+)", offer, re.MULTILINE)
    assert set(found) == {"127.0.0.1"}


async def test_time_goes_on_when_the_source_counts_anew(pair: tuple[Peer, Peer]) -> None:
    caller, callee = pair
    assert caller.video_out
    assert callee.video_in
    stamps: list[int] = []
    callee.video_in.on_packet = lambda packet: stamps.append(packet.timestamp)

    async def send(*times: int) -> None:
        assert caller.video_out
        for time in times:
            before = len(stamps)
            caller.video_out.send(Encoded("h264", (b"\x65" + bytes(20),), time, keyframe=True))
            await until(lambda before=before: len(stamps) > before)  # type: ignore[misc]

    origin = 3_000_000
    await send(origin, origin + 3000)
    # Opened again: from zero.  Another device: from the day it was switched on.
    await send(0, 3000)
    await send(90_000 * 100_000, 90_000 * 100_000 + 3000)
    steps = [(b - a) & 0xFFFFFFFF for a, b in itertools.pairwise(stamps)]
    assert steps[0] == steps[2] == steps[4] == 3000
    # What passed between is a matter of milliseconds here, and minutes at most.
    assert all(0 < step < 90_000 * 60 for step in steps)

"""What a stage makes of the legs of its members: who is heard and seen by whom, from when on, and
that nothing of it is left."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from av import VideoFrame

from appliance.hub import bandwidth
from appliance.hub.in_step import InStepPictures, InStepSound
from appliance.hub.members import Member, MemberType
from appliance.hub.seating import Showing, seat
from appliance.hub.stage import Stage
from appliance.media.packet import Encoded
from appliance.media.peer import Peer, PeerState
from appliance.media.sender_clock import SenderClock
from appliance.signaling.layouts import MemberSlot, arrange
from hal.audio.spectrum import level_dbfs
from tests.appliance.hub.conftest import new_threads
from tests.appliance.hub.hub_client import DEADLINE, until
from tests.appliance.hub.live_room import Tone


class Outlet:
    """What a leg takes: it keeps the frames."""

    def __init__(self, codec: str, *, active: bool = True) -> None:
        self.codec = codec
        self.active = active
        self.on_keyframe_request: Any = None
        self.on_bitrate: Any = None
        self.sent: list[Encoded] = []

    def send(self, frame: Encoded) -> None:
        self.sent.append(frame)

    @property
    def keyframes(self) -> int:
        return sum(frame.keyframe for frame in self.sent)


def inlet(rate: int) -> Any:
    return SimpleNamespace(on_packet=None, clock=SenderClock(rate), request_keyframe=lambda: None)


class Leg:
    """A leg without a network, whose far end may send, hear and see."""

    def __init__(self, *, sends: bool, hears: bool, sees: str | None, up: bool) -> None:
        self.audio_in = inlet(48_000) if sends else None
        self.video_in = inlet(90_000) if sends else None
        self.audio_out = Outlet("opus") if hears else None
        self.video_out = None if sees is None else Outlet(sees)
        self.state = PeerState.CONNECTED if up else PeerState.CONNECTING


def leg(
    *, sends: bool = False, hears: bool = True, sees: str | None = "h264", up: bool = True
) -> Any:
    return Leg(sends=sends, hears=hears, sees=sees, up=up)


def member(name: str = "Oak", kind: MemberType = "member", **more: Any) -> Member:
    return Member(name.lower(), name, kind, cast(Any, None), **more)


def stage_of(size: tuple[int, int] = (64, 36)) -> Stage:
    width, height = size
    return Stage("Oak room", width=width, height=height, rate=50, on_level=lambda *_: None)


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    before = set(threading.enumerate())
    stage = stage_of()
    yield stage
    await stage.close()
    # A decoder ends by itself.
    await until(lambda: not new_threads(before))


async def heard(outlet: Outlet, more: int = 3) -> None:
    """Wait until so many more frames have come."""
    seen = len(outlet.sent)
    await until(lambda: len(outlet.sent) >= seen + more)


class Clip:
    """A film that plays, of which the test says what there is."""

    def __init__(self, name: str, *, has_picture: bool = True, tone: float = 0) -> None:
        self.id = name
        self.volume = 0
        self.has_picture = has_picture
        self.latest = VideoFrame(64, 36, "yuv420p") if has_picture else None
        self._tone = Tone(tone)

    def pull(self) -> Any:
        return self._tone.pull()


class Ear:
    """A tap that keeps the newest piece of the whole mix."""

    def __init__(self) -> None:
        self.pieces: list[Any] = []
        self.pictures: list[Encoded] = []

    def picture(self, frame: Encoded, at: float) -> None:
        self.pictures.append(frame)

    def sound(self, samples: Any, at: float) -> None:
        self.pieces.append(samples)

    def hears(self, frequency: float) -> bool:
        recent = self.pieces[-5:]
        return bool(recent) and level_dbfs(np.concatenate(recent), frequency) > -40


# Who gets what


async def test_each_leg_gets_its_codec_and_nobody_s_is_made(stage: Stage) -> None:
    oak, elm = leg(), leg(sees="vp8")
    blind = leg(hears=False, sees=None)
    stage.add(member("Ash"), blind)
    await asyncio.sleep(0)
    assert stage.canvas._wanted == frozenset()
    stage.add(member("Oak"), oak)
    assert stage.canvas._wanted == {"h264"}
    stage.add(member("Elm"), elm)
    assert stage.canvas._wanted == {"h264", "vp8"}
    await heard(oak.video_out)
    await heard(elm.video_out)
    assert {frame.codec for frame in oak.video_out.sent} == {"h264"}
    assert {frame.codec for frame in elm.video_out.sent} == {"vp8"}
    assert oak.video_out.sent[0].keyframe
    stage.remove("elm")
    assert stage.canvas._wanted == {"h264"}


async def test_a_leg_that_is_not_up_or_does_not_take_it_is_not_painted_for(stage: Stage) -> None:
    oak, peer = member(), leg(up=False)
    stage.add(oak, peer)
    assert stage.canvas._wanted == frozenset()
    peer.state = PeerState.CONNECTED
    stage.update(oak)
    assert stage.canvas._wanted == {"h264"}
    peer.video_out.active = False
    stage.update(oak)
    assert stage.canvas._wanted == frozenset()


@pytest.mark.parametrize(
    ("kind", "hears"),
    [("member", True), ("audience", True), ("screen", False), ("device", False)],
)
async def test_who_takes_part_hears_and_what_only_shows_does_not(
    stage: Stage, kind: MemberType, hears: bool
) -> None:
    one, other = leg(sees=None), leg(sees=None)
    stage.add(member("Oak", kind), one)
    stage.add(member("Elm"), other)
    await heard(other.audio_out)
    assert bool(one.audio_out.sent) is hears
    assert {frame.codec for frame in other.audio_out.sent} == {"opus"}


async def test_a_keyframe_that_one_leg_asks_for_comes_to_all_of_its_codec(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(stage.canvas, "request_keyframe", asked.append)
    oak, elm = leg(), leg(sees="vp8")
    stage.add(member("Oak"), oak)
    stage.add(member("Elm"), elm)
    elm.video_out.on_keyframe_request()
    oak.video_out.on_keyframe_request()
    assert asked == ["vp8", "h264"]
    # What was negotiated meanwhile counts.
    oak.video_out.codec = None
    oak.video_out.on_keyframe_request()
    assert asked == ["vp8", "h264"]


async def test_the_rate_follows_who_can_take_least_while_it_is_there(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates: list[tuple[str, int]] = []
    monkeypatch.setattr(
        stage.canvas, "set_bitrate", lambda codec, rate: rates.append((codec, rate))
    )
    slow, fast, other = leg(), leg(), leg(sees="vp8")
    for name, peer in (("Slow", slow), ("Fast", fast), ("Other", other)):
        stage.add(member(name), peer)
    # As if a megabit had gone out within a second.
    big = Encoded("h264", (bytes(125_000),), 0)
    stage.canvas.on_packet(big)
    slow.video_out.on_bitrate(300_000)
    assert rates == [("h264", 300_000)]
    fast.video_out.on_bitrate(5_000_000)
    other.video_out.on_bitrate(5_000_000)
    assert len(rates) == 1
    # One that is down says nothing that counts.
    fast.state = PeerState.CLOSED
    fast.video_out.on_bitrate(1)
    assert len(rates) == 1
    stage.remove("slow")
    monkeypatch.setattr(bandwidth, "REVIEW", 0.0)
    stage.canvas.on_packet(big)
    assert rates[1:] == [("h264", stage._bandwidths["h264"].ceiling)]


@pytest.mark.parametrize(
    ("size", "bitrate"),
    [((64, 36), 2_000_000), ((1280, 720), 2_000_000), ((1920, 1080), 4_500_000)],
)
async def test_a_larger_canvas_gets_more(size: tuple[int, int], bitrate: int) -> None:
    stage = stage_of(size)
    assert (stage.size, stage.rate) == (size, 50)
    assert stage._bandwidths["h264"].target == bitrate
    assert stage.canvas._encoders["h264"].bitrate == bitrate
    await stage.close()


# What a member brings


async def test_what_a_leg_brings_is_taken_as_far_as_the_member_may(stage: Stage) -> None:
    both, sound, nothing = leg(sends=True), leg(sends=True), leg(sends=True)
    stage.add(member("Oak"), both)
    stage.add(member("Elm", brings_video=False), sound)
    stage.add(member("Ash", brings_audio=False, brings_video=False), nothing)
    assert isinstance(stage.canvas._sitter("oak").source, InStepPictures)
    assert isinstance(stage.mixer._voices["oak"].source, InStepSound)
    assert stage.canvas._sitter("elm").source is None
    assert isinstance(stage.mixer._voices["elm"].source, InStepSound)
    assert (stage.canvas._sitter("ash").source, stage.mixer._voices["ash"].source) == (None, None)
    taken = [
        (one.audio_in.on_packet is not None, one.video_in.on_packet is not None)
        for one in (both, sound, nothing)
    ]
    assert taken == [(True, True), (True, False), (False, False)]


async def test_a_new_leg_is_the_source_and_the_old_one_goes_on_receiving_until_it_is_dropped(
    stage: Stage,
) -> None:
    oak, old, new = member(), leg(sends=True), leg(sends=True, sees="vp8")
    stage.add(oak, old)
    stage.add(oak, new)
    assert (old.audio_in.on_packet, old.video_in.on_packet) == (None, None)
    assert new.audio_in.on_packet is not None
    assert stage.canvas._wanted == {"h264", "vp8"}
    await heard(old.video_out)
    await heard(new.video_out)
    await heard(old.audio_out)
    await heard(new.audio_out)
    stage.drop("oak", old)
    assert (old.video_out.on_keyframe_request, old.video_out.on_bitrate) == (None, None)
    assert stage.canvas._wanted == {"vp8"}
    sent = len(old.audio_out.sent), len(old.video_out.sent)
    await heard(new.video_out)
    await heard(new.audio_out)
    assert (len(old.audio_out.sent), len(old.video_out.sent)) == sent
    # Its own media go on.
    assert new.video_in.on_packet is not None
    stage.drop("oak", old)
    assert new.video_out.on_keyframe_request is not None


async def test_the_leg_that_is_the_source_brings_nothing_once_it_is_dropped(stage: Stage) -> None:
    oak, first, second = member(), leg(sends=True), leg(sends=True)
    stage.add(oak, first)
    stage.listen(oak, second)
    assert second.audio_in.on_packet is None
    stage.listen(oak, second)
    stage.drop("oak", first)
    assert (first.audio_in.on_packet, first.video_in.on_packet) == (None, None)
    await heard(second.audio_out)
    # It listened twice and hears once.
    numbers = [frame.timestamp for frame in second.audio_out.sent]
    assert len(set(numbers)) == len(numbers)


async def test_nothing_is_left_of_one_who_is_removed(stage: Stage) -> None:
    oak, peers = member(), [leg(sends=True), leg(sends=True)]
    stage.add(oak, peers[0])
    stage.listen(oak, peers[1])
    stage.remove("oak")
    for peer in peers:
        assert (peer.audio_in.on_packet, peer.video_in.on_packet) == (None, None)
        assert (peer.video_out.on_keyframe_request, peer.video_out.on_bitrate) == (None, None)
    assert "oak" not in stage.mixer._voices
    assert "oak" not in stage.canvas._scene.sitters
    assert stage.canvas._wanted == frozenset()
    # Late news of it change nothing.
    stage.update(oak)
    stage.listen(oak, peers[0])
    stage.drop("oak", peers[0])
    stage.remove("oak")
    assert "oak" not in stage.mixer._voices
    assert peers[0].video_out.on_bitrate is None


async def test_how_a_member_is_set_holds_for_mix_and_canvas(stage: Stage) -> None:
    oak = member(input_volume=5, output_volume=-5, input_sensitivity=70)
    stage.add(oak, leg(sends=True))
    voice = stage.mixer._voices["oak"]
    assert (voice.muted, voice.deaf) == (False, False)
    assert (voice.input_volume, voice.output_volume, voice.input_sensitivity) == (5, -5, 70)
    for name, muted, deaf, hidden in (
        ("audio_muted", True, False, False),
        ("video_muted", False, False, True),
        ("deaf", False, True, False),
        ("on_hold", True, True, True),
    ):
        setattr(oak, name, True)
        stage.update(oak)
        voice, sitter = stage.mixer._voices["oak"], stage.canvas._sitter("oak")
        assert (voice.muted, voice.deaf, sitter.video_muted) == (muted, deaf, hidden), name
        setattr(oak, name, False)
    stage.update(oak)
    assert not stage.mixer._voices["oak"].muted
    assert stage.canvas._sitter("oak").fit == "cover"
    # Of a screen nothing is cut, and what its owner brings is not played back to it.
    stage.add(member("Screen", "screen", parent_id="oak"), leg(sends=True))
    assert stage.canvas._sitter("screen").fit == "contain"
    assert stage.mixer._voices["screen"].parent_id == "oak"


# What is played


async def test_a_clip_is_heard_and_seen_where_the_layers_say(stage: Stage) -> None:
    ear, layers = Ear(), arrange("1x1", [MemberSlot("oak")])
    stage.tap(ear)
    stage.arrange(layers)
    film = Clip("film", tone=1000)
    stage.play(film)
    assert list(stage.canvas._scene.layers) == layers
    await until(lambda: ear.hears(1000))
    stage.arrange(seat("1x1", [MemberSlot("oak")], showing=Showing("film")))
    assert shown(stage) == ["film"]
    # Of two the last one that has a picture.
    song = Clip("song", has_picture=False)
    stage.play(song)
    assert shown(stage) == ["film"]
    song.has_picture, song.volume = True, -20
    stage.play(song)
    assert shown(stage) == ["song"]
    assert stage.mixer._voices["song"].input_volume == -20
    stage.stop_playing("song")
    assert shown(stage) == ["film"]
    stage.stop_playing("film")
    stage.stop_playing("film")
    assert shown(stage) == [None]
    assert not {"film", "song"} & (stage.mixer._voices.keys() | stage.canvas._scene.sitters.keys())
    await until(lambda: not ear.hears(1000))
    stage.untap(ear)


def shown(stage: Stage) -> list[str | None]:
    return [layer.member_id for layer in stage.canvas._scene.layers if layer.playing_file]


# Taps


async def test_a_tap_is_painted_for_alone_and_until_it_is_gone(stage: Stage) -> None:
    ear, other = Ear(), Ear()
    stage.untap(other)
    stage.tap(ear)
    assert stage.canvas._wanted == {"h264"}
    await until(lambda: len(ear.pictures) > 2 and len(ear.pieces) > 2)
    assert ear.pictures[0].keyframe
    stage.tap(other)
    stage.untap(ear)
    assert stage.canvas._wanted == {"h264"}
    await until(lambda: len(other.pieces) > 2 and len(other.pictures) > 2)
    had = len(ear.pictures)
    await until(lambda: len(other.pictures) > 6)
    assert len(ear.pictures) == had
    stage.untap(other)
    stage.untap(other)
    assert stage.canvas._wanted == frozenset()


async def test_a_tap_that_goes_while_it_is_fed_takes_no_picture_from_another(
    stage: Stage,
) -> None:
    class Once(Ear):
        def picture(self, frame: Encoded, at: float) -> None:
            super().picture(frame, at)
            stage.untap(self)

    once, other = Once(), Ear()
    stage.tap(once)
    stage.tap(other)
    await until(lambda: len(other.pictures) > 2)
    assert len(once.pictures) == 1
    assert other.pictures[0] is once.pictures[0]
    stage.untap(other)


# The end


async def test_at_the_end_the_legs_are_let_go_of_and_no_thread_is_left() -> None:
    before = set(threading.enumerate())
    stage = stage_of()
    peer, ear = leg(sends=True), Ear()
    stage.add(member(), peer)
    stage.tap(ear)
    stage.play(Clip("film"))
    stage.chime("entry")
    await heard(peer.video_out)
    async with asyncio.timeout(DEADLINE):
        await asyncio.gather(stage.close(), stage.close())
        await stage.close()
    assert (peer.audio_in.on_packet, peer.video_in.on_packet) == (None, None)
    assert (peer.video_out.on_keyframe_request, peer.video_out.on_bitrate) == (None, None)
    await until(lambda: not new_threads(before))
    sent = len(peer.video_out.sent), len(peer.audio_out.sent), len(ear.pictures), len(ear.pieces)
    # What ends after the room, as recordings and playbacks do, finds nothing amiss.
    stage.stop_playing("film")
    stage.untap(ear)
    stage.remove("oak")
    stage.drop("oak", cast(Peer, peer))
    await asyncio.sleep(0)
    assert sent == (
        len(peer.video_out.sent),
        len(peer.audio_out.sent),
        len(ear.pictures),
        len(ear.pieces),
    )


@pytest.mark.parametrize("half", ["canvas", "mixer"])
async def test_an_end_that_is_cut_short_ends_the_other_half_all_the_same(
    half: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck = asyncio.Event()

    async def never() -> None:
        stuck.set()
        await asyncio.Event().wait()

    before = set(threading.enumerate())
    stage = stage_of()
    with monkeypatch.context() as patch:
        patch.setattr(getattr(stage, half), "stop", never)
        closing = asyncio.create_task(stage.close())
        async with asyncio.timeout(DEADLINE):
            await stuck.wait()
        closing.cancel()
        await asyncio.wait({closing})
        await until(lambda: new_threads(before) == {half})
    # Whoever cut it short may end it later.
    await stage.close()
    assert not new_threads(before)

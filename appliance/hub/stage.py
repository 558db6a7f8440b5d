"""The media of one room: its members' legs, its canvas and its mix, wired together.

The room says who is there, where they stand and what they may be heard and seen with; nobody
else touches the canvas and the mixer. Everything runs on the loop's thread.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, Protocol

from av import VideoFrame

from appliance.hub.bandwidth import Bandwidth
from appliance.hub.canvas import CODECS, Canvas
from appliance.hub.chime import Chime, Occasion
from appliance.hub.compositor import Fit
from appliance.hub.in_step import InStepPictures, InStepSound
from appliance.hub.members import Member
from appliance.hub.mixbus import Samples
from appliance.hub.mixer import Mixer
from appliance.hub.tap import Tap
from appliance.media.packet import Encoded
from appliance.media.peer import Peer, PeerState
from appliance.media.video_encoder import VideoCodec
from appliance.signaling.layouts import Layer

log = logging.getLogger(__name__)

_KEYFRAME_EVERY: Final = 1.7
"""Seconds after which a keyframe is asked for while somebody records.  One comes within 0.3 s
then, also of a still picture: two seconds at most lie between two of them."""


_BITRATE: Final = 2_000_000
"""Bits a second of a canvas of 1280x720 at its best; a larger one gets more by its area."""

_CHIME: Final = "chime"
"""In the mix; no member's id, which are UUIDs."""


class Clip(Protocol):
    """A film or a sound that plays in the room: a `Player`."""

    @property
    def id(self) -> str:
        """Unlike that of every member."""

    @property
    def volume(self) -> int:
        """-50 to 50, as a member's input volume."""

    @property
    def has_picture(self) -> bool:
        """Whether there is something to see."""

    @property
    def latest(self) -> VideoFrame | None:
        """The picture of this moment, replaced and never changed."""

    def pull(self) -> Samples:
        """The next 20 ms of its sound."""


@dataclass(eq=False, slots=True)
class _Seat:
    """One member's legs, and what is made of what one of them sends."""

    #: All that hear and see the room: most of the time one.
    peers: list[Peer]
    #: The one that the member's own media come from.
    source: Peer
    audio: InStepSound | None = None
    video: InStepPictures | None = None
    hidden: bool = False

    def silence(self) -> None:
        """Take nothing more from the source."""
        if self.audio is not None:
            self.audio.close()
        if self.video is not None:
            self.video.close()
        self.audio = self.video = None


def _video_codec(peer: Peer) -> VideoCodec | None:
    """What the canvas has to be encoded in for this leg; None if it takes none."""
    outlet = peer.video_out
    if outlet is None or peer.state is not PeerState.CONNECTED or not outlet.active:
        return None
    return outlet.codec if outlet.codec != "opus" else None


class Stage:
    """The sound and the pictures of one room. Must be made on the loop.

    `on_level` is called every 20 ms with each member's level, in dB below full scale.
    """

    def __init__(
        self,
        title: str,
        *,
        width: int,
        height: int,
        rate: float,
        on_level: Callable[[str, float], None],
    ) -> None:
        bitrate = max(_BITRATE, _BITRATE * width * height // (1280 * 720))
        self.canvas: Final = Canvas(
            width, height, rate, on_packet=self._send_picture, title=title, bitrate=bitrate
        )
        self.mixer: Final = Mixer(on_packet=self._send_sound, on_level=on_level)
        self._seats: dict[str, _Seat] = {}
        self._bandwidths: Final = {codec: Bandwidth(bitrate) for codec in CODECS}
        self._chime: Chime | None = None
        self._wanted: frozenset[VideoCodec] = frozenset()
        self._layers: list[Layer] = []
        self._clips: dict[str, Clip] = {}
        self._taps: list[Tap] = []
        self._keyframe_at = float("-inf")
        self.canvas.start()
        self.mixer.start()

    def add(self, member: Member, peer: Peer) -> None:
        """Take a member's media from this leg on. One that it had before goes on hearing and
        seeing the room until `drop`."""
        seat = self._seats.get(member.id)
        if seat is None:
            seat = self._seats[member.id] = _Seat([], peer)
        seat.silence()
        seat.source = peer
        if member.brings_audio and peer.audio_in is not None:
            seat.audio = InStepSound(peer.audio_in)
        if member.brings_video and peer.video_in is not None:
            seat.video = InStepPictures(peer.video_in, seat.audio)
        ears = [one for one in (*seat.peers, peer) if one.audio_out is not None]
        hears = bool(ears) and member.type in ("member", "audience")
        self.mixer.add(member.id, seat.audio, hears=hears, parent_id=member.parent_id)
        self.canvas.set_source(member.id, seat.video)
        self.listen(member, peer)

    def listen(self, member: Member, peer: Peer) -> None:
        """Let another leg of a member hear and see the room too."""
        seat = self._seats.get(member.id)
        if seat is None:
            return
        if peer not in seat.peers:
            seat.peers.append(peer)
        if peer.video_out is not None:
            peer.video_out.on_keyframe_request = partial(self._keyframe_requested, peer)
            peer.video_out.on_bitrate = partial(self._can_take, peer)
        self.update(member)

    def drop(self, member_id: str, peer: Peer) -> None:
        """Let go of a leg of a member that has another one; unknown ones are ignored."""
        seat = self._seats.get(member_id)
        if seat is None or peer not in seat.peers:
            return
        seat.peers.remove(peer)
        if peer is seat.source:
            seat.silence()
        self._let_go(peer)
        self._want()

    def remove(self, member_id: str) -> None:
        """Let go of a member and its legs; closing those is their owner's part."""
        seat = self._seats.pop(member_id, None)
        if seat is None:
            return
        seat.silence()
        for peer in seat.peers:
            self._let_go(peer)
        self.mixer.remove(member_id)
        self.canvas.remove_member(member_id)
        self._want()

    def update(self, member: Member) -> None:
        """A property of the member, or the state of its leg, has changed."""
        seat = self._seats.get(member.id)
        if seat is None:
            return
        self.mixer.set(
            member.id,
            muted=member.audio_muted or member.on_hold,
            deaf=member.deaf or member.on_hold,
            input_volume=member.input_volume,
            output_volume=member.output_volume,
            input_sensitivity=member.input_sensitivity,
        )
        hidden = member.video_muted or member.on_hold
        if seat.video is not None and hidden != seat.hidden:
            seat.video.forget()
        seat.hidden = hidden
        fit: Fit = "contain" if member.type == "screen" else "cover"
        self.canvas.set_member(member.id, member.name, hidden, fit=fit)
        self._want()

    def arrange(self, layers: list[Layer]) -> None:
        """Show the members in these places, and in a layer that is `playing_file` the clip
        with a picture that came last."""
        self._layers = layers
        self._set_layers()

    def play(self, clip: Clip) -> None:
        """Let a clip be heard, and seen where the layers say, until `stop_playing`.

        Call it again when its volume, or whether it has a picture, has changed.
        """
        if clip.id not in self._clips:
            self._clips[clip.id] = clip
            self.mixer.add(clip.id, clip, hears=False)
            self.canvas.set_source(clip.id, clip)
            self.canvas.set_member(clip.id, "", False, fit="contain")
        self.mixer.set(clip.id, input_volume=clip.volume, input_sensitivity=100)
        self._set_layers()

    def stop_playing(self, clip_id: str) -> None:
        """Let go of a clip; unknown ones are ignored."""
        if self._clips.pop(clip_id, None) is not None:
            self._set_layers()
            self.mixer.remove(clip_id)
            self.canvas.remove_member(clip_id)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the canvas in pixels."""
        return self.canvas.width, self.canvas.height

    @property
    def rate(self) -> float:
        """Pictures a second of the canvas."""
        return self.canvas.rate

    def tap(self, tap: Tap) -> None:
        """Feed `tap` too: see `Tappable`."""
        self._taps.append(tap)
        self.mixer.tap(tap.sound)
        self._want()
        self.canvas.request_keyframe("h264")

    def untap(self, tap: Tap) -> None:
        """Feed `tap` no more; unknown ones are ignored."""
        if tap in self._taps:
            self._taps.remove(tap)
            self.mixer.untap(tap.sound)
            self._want()

    def chime(self, occasion: Occasion) -> None:
        """Let everybody hear the tone of this occasion."""
        if self._chime is None:
            self._chime = Chime()
            self.mixer.add(_CHIME, self._chime, hears=False)
        self._chime.ring(occasion)

    async def close(self) -> None:
        """End all media of the room. The legs stay open: their owner closes them.

        Safe to call twice, also while it ends.
        """
        for seat in self._seats.values():
            seat.silence()
            for peer in seat.peers:
                self._let_go(peer)
        self._seats.clear()
        try:
            await self.canvas.stop()
        finally:
            await self.mixer.stop()

    def _want(self) -> None:
        """Encode for whoever receives just now, and for nobody else."""
        codecs = {_video_codec(peer) for seat in self._seats.values() for peer in seat.peers}
        if self._taps:
            codecs.add("h264")
        wanted = frozenset(codec for codec in codecs if codec is not None)
        if wanted != self._wanted:
            self._wanted = wanted
            self.canvas.want(wanted)

    def _keyframe_requested(self, peer: Peer) -> None:
        codec = peer.video_out.codec if peer.video_out is not None else None
        if codec is not None and codec != "opus":
            self.canvas.request_keyframe(codec)

    def _let_go(self, peer: Peer) -> None:
        """Forget a leg as a receiver."""
        if peer.video_out is not None:
            peer.video_out.on_keyframe_request = peer.video_out.on_bitrate = None
        for bandwidth in self._bandwidths.values():
            bandwidth.leave(peer)

    def _can_take(self, peer: Peer, bitrate: int) -> None:
        """A leg says how many bits a second of the picture it can receive."""
        codec = _video_codec(peer)
        if codec is None:
            return
        bandwidth = self._bandwidths[codec]
        if bandwidth.report(peer, bitrate, time.monotonic()):
            self.canvas.set_bitrate(codec, bandwidth.target)

    def _send_picture(self, frame: Encoded) -> None:
        for seat in self._seats.values():
            for peer in seat.peers:
                outlet = peer.video_out
                if outlet is not None and outlet.codec == frame.codec:
                    outlet.send(frame)
        if frame.codec != "opus":
            bandwidth, now = self._bandwidths[frame.codec], time.monotonic()
            bandwidth.sent(frame.size, now)
            if bandwidth.review(now):
                self.canvas.set_bitrate(frame.codec, bandwidth.target)
        if self._taps and frame.codec == "h264":
            self._feed(frame, self.canvas.moment(frame.timestamp))

    def _feed(self, frame: Encoded, at: float) -> None:
        if frame.keyframe:
            self._keyframe_at = at
        elif at - self._keyframe_at >= _KEYFRAME_EVERY:
            self.canvas.request_keyframe("h264")
        for tap in tuple(self._taps):
            tap.picture(frame, at)

    def _set_layers(self) -> None:
        seen = next((one.id for one in reversed(self._clips.values()) if one.has_picture), None)
        self.canvas.set_layers(
            replace(layer, member_id=seen, visible=True) if seen and layer.playing_file else layer
            for layer in self._layers
        )

    def _send_sound(self, member_id: str, packet: Encoded) -> None:
        seat = self._seats.get(member_id)
        for peer in seat.peers if seat is not None else ():
            if peer.audio_out is not None:
                peer.audio_out.send(packet)

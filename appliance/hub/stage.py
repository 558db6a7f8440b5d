"""The media of one room: its members' legs, its canvas and its mix, wired together.

The room says who is there, where they stand and what they may be heard and seen with; nobody
else touches the canvas and the mixer. Everything runs on the loop's thread.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, Protocol

from av import VideoFrame

from appliance.hub.canvas import Canvas
from appliance.hub.compositor import Fit
from appliance.hub.members import Member
from appliance.hub.mixbus import Samples
from appliance.hub.mixer import Mixer
from appliance.hub.tap import Tap
from appliance.media.audio_receiver import AudioReceiver
from appliance.media.packet import Encoded
from appliance.media.peer import Peer, PeerState
from appliance.media.video_encoder import VideoCodec
from appliance.media.video_receiver import VideoReceiver
from appliance.signaling.layouts import Layer

log = logging.getLogger(__name__)

_KEYFRAME_EVERY: Final = 1.7
"""Seconds after which a keyframe is asked for while somebody records.  One comes within 0.3 s
then, also of a still picture: two seconds at most lie between two of them."""


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
    """One member's leg, and what is made of what it sends."""

    peer: Peer
    audio: AudioReceiver | None = None
    video: VideoReceiver | None = None

    def video_codec(self) -> VideoCodec | None:
        """What the canvas has to be encoded in for this member; None if it takes none."""
        outlet = self.peer.video_out
        if outlet is None or self.peer.state is not PeerState.CONNECTED or not outlet.active:
            return None
        return outlet.codec if outlet.codec != "opus" else None

    def leave(self) -> None:
        """Let go of the leg; closing it is its owner's part."""
        if self.peer.video_out is not None:
            self.peer.video_out.on_keyframe_request = None
        if self.audio is not None:
            self.audio.close()
        if self.video is not None:
            self.video.close()


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
        self.canvas: Final = Canvas(width, height, rate, on_packet=self._send_picture, title=title)
        self.mixer: Final = Mixer(on_packet=self._send_sound, on_level=on_level)
        self._seats: dict[str, _Seat] = {}
        self._wanted: frozenset[VideoCodec] = frozenset()
        self._layers: list[Layer] = []
        self._clips: dict[str, Clip] = {}
        self._taps: list[Tap] = []
        self._keyframe_at = float("-inf")
        self.canvas.start()
        self.mixer.start()

    def add(self, member: Member, peer: Peer) -> None:
        """Take a member's media from this leg on, in place of one that it had."""
        old = self._seats.pop(member.id, None)
        if old is not None:
            old.leave()
        seat = self._seats[member.id] = _Seat(peer)
        if member.brings_audio and peer.audio_in is not None:
            seat.audio = AudioReceiver(peer.audio_in)
        if member.brings_video and peer.video_in is not None:
            seat.video = VideoReceiver(peer.video_in)
        hears = peer.audio_out is not None and member.type in ("member", "audience")
        self.mixer.add(member.id, seat.audio, hears=hears, parent_id=member.parent_id)
        self.canvas.set_source(member.id, seat.video)
        if peer.video_out is not None:
            peer.video_out.on_keyframe_request = partial(self._keyframe_requested, peer)
        self.update(member)

    def remove(self, member_id: str) -> None:
        """Let go of a member."""
        seat = self._seats.pop(member_id, None)
        if seat is None:
            return
        seat.leave()
        self.mixer.remove(member_id)
        self.canvas.remove_member(member_id)
        self._want()

    def update(self, member: Member) -> None:
        """A property of the member, or the state of its leg, has changed."""
        if member.id not in self._seats:
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

    async def close(self) -> None:
        """End all media of the room. The legs stay open: their owner closes them."""
        for seat in self._seats.values():
            seat.leave()
        self._seats.clear()
        await self.canvas.stop()
        await self.mixer.stop()

    def _want(self) -> None:
        """Encode for whoever receives just now, and for nobody else."""
        codecs = {seat.video_codec() for seat in self._seats.values()}
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

    def _send_picture(self, frame: Encoded) -> None:
        for seat in self._seats.values():
            outlet = seat.peer.video_out
            if outlet is not None and outlet.codec == frame.codec:
                outlet.send(frame)
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
        if seat is not None and seat.peer.audio_out is not None:
            seat.peer.audio_out.send(packet)

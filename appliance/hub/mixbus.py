"""Mix-minus: out of everybody's sound the sound that each one hears.

No threads and no clock in here: `MixBus.mix` makes one beat of 20 ms.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from appliance.hub.gain import SILENCE_DBFS, Fader, dbfs, input_gate, ramp, volume_gain
from appliance.hub.limiter import Limiter
from appliance.media.errors import CodecError
from appliance.media.opus import FRAME, OpusEncoder
from appliance.media.packet import Encoded, packetize

log = logging.getLogger(__name__)

Samples = NDArray[np.int16]

_SILENCE: Final = np.zeros(FRAME, np.int16)


class SoundSource(Protocol):
    """Where a member's sound comes from: an `AudioReceiver`."""

    def pull(self) -> Samples:
        """The next 20 ms, mono at 48 kHz; never waits."""


@dataclass(frozen=True, slots=True)
class Voice:
    """What the mix knows of a member; never changed, only replaced."""

    source: SoundSource | None = None
    """None for a member who only listens."""
    hears: bool = True
    """False for a member who only sends."""
    parent_id: str | None = None
    """The member whose additional leg this is; the legs of one member do not hear each other."""
    muted: bool = False
    deaf: bool = False
    input_volume: float = 0.0
    """-50 to 50, see `volume_gain`."""
    output_volume: float = 0.0
    input_sensitivity: float = 100.0
    """0 to 100, see `input_gate`."""


@dataclass(frozen=True, slots=True)
class Shared:
    """One packet, and all members who get it."""

    members: tuple[str, ...]
    packet: Encoded


@dataclass(frozen=True, slots=True)
class Beat:
    """What 20 ms of a room have given."""

    packets: tuple[Shared, ...]
    levels: tuple[tuple[str, float], ...]
    """For each member with a source, how loud it is in the mix, in dBFS."""
    whole: Samples | None = None
    """Everybody's sound, if it was asked for."""


@dataclass(frozen=True, slots=True)
class _Mix:
    """What a member hears: members with equal ones hear the same."""

    gain: float
    without: str | None
    """The member whose sound, with that of all its legs, is left out; None for who is silent."""


class MixBus:
    """The mix of one room, from beat to beat.

    `encoded` counts the packets encoded, however many members got each.
    """

    def __init__(self, bitrate: int = 32_000) -> None:
        """`bitrate` in bit/s, of each stream."""
        self.encoded = 0
        self._bitrate = bitrate
        self._inputs: dict[str, _Input] = {}
        self._outputs: list[_Output] = []
        self._whole: Limiter | None = None

    def mix(self, voices: Mapping[str, Voice], timestamp: int, *, whole: bool = False) -> Beat:
        """Mix the next FRAME samples of everybody; `timestamp` is theirs at 48 kHz.

        With `whole` the beat has everybody's sound too, not encoded.
        A source that fails counts as silent.  An encoder that fails gives no packet for this beat.
        """
        self._inputs = {
            member_id: self._inputs.get(member_id) or _Input(member_id)
            for member_id, voice in voices.items()
            if voice.source is not None
        }
        total = np.zeros(FRAME, np.float32)
        own: dict[str, NDArray[np.float32]] = {}
        levels = []
        for member_id, channel in self._inputs.items():
            voice = voices[member_id]
            sound = channel.listen(voice)
            if sound is None:
                levels.append((member_id, SILENCE_DBFS))
                continue
            levels.append((member_id, dbfs(sound)))
            total += sound
            root = voice.parent_id or member_id
            own[root] = own[root] + sound if root in own else sound

        groups: dict[_Mix, list[str]] = {}
        for member_id, voice in voices.items():
            if voice.hears:
                root = voice.parent_id or member_id
                mix = _Mix(
                    gain=0.0 if voice.deaf else volume_gain(voice.output_volume),
                    without=root if root in own and not voice.deaf else None,
                )
                groups.setdefault(mix, []).append(member_id)
        packets = []
        for output, mix in self._assign(groups):
            heard = total.copy() if mix.without is None else total - own[mix.without]
            packet = output.encode(heard, mix.gain, timestamp)
            if packet is not None:
                self.encoded += 1
                packets.append(Shared(output.members, packet))
        return Beat(tuple(packets), tuple(levels), self._limit(total) if whole else None)

    def _limit(self, total: NDArray[np.float32]) -> Samples:
        if self._whole is None:
            self._whole = Limiter()
        return self._whole.process(total)

    def _assign(self, groups: Mapping[_Mix, list[str]]) -> list[tuple[_Output, _Mix]]:
        """An output for each group: the one that most of its members heard until now.

        So a stream goes on while its members hear another mix than before, as after
        a mute; only who changes from one stream to another gets a new start.
        """
        left = list(self._outputs)
        assigned = []
        # Large groups choose first, so that the fewest get a new start.
        for mix, members in sorted(groups.items(), key=lambda item: -len(item[1])):
            group = tuple(members)
            chosen = max(left, key=lambda output: output.shares(group), default=None)
            if chosen is not None and chosen.shares(group):
                left.remove(chosen)
                chosen.serve(group)
            else:
                chosen = _Output(group, self._bitrate)
            assigned.append((chosen, mix))
        self._outputs = [output for output, _ in assigned]
        return assigned


class _Input:
    """One member's sound on its way into the mix."""

    def __init__(self, member_id: str) -> None:
        self._member_id = member_id
        self._fader = Fader()
        self._failing = False

    def listen(self, voice: Voice) -> NDArray[np.float32] | None:
        """The next FRAME samples as the room hears them.

        None for a member who is not heard at all, unlike one who just says nothing.
        """
        # Pulled from a muted member too: else the source would fill up and be late afterwards.
        samples = self._pull(voice.source)
        gain = 0.0 if voice.muted else volume_gain(voice.input_volume)
        threshold = input_gate(voice.input_sensitivity)
        silent = self._fader.silent
        sound = self._fader.process(samples, gain, threshold)
        return None if silent and (gain == 0.0 or threshold == math.inf) else sound

    def _pull(self, source: SoundSource | None) -> Samples:
        try:
            samples = _SILENCE if source is None else source.pull()
            if samples.shape != (FRAME,):
                raise ValueError(f"{FRAME} samples were wanted and {samples.shape} came")
        except Exception:
            if not self._failing:
                log.exception("member %s is not heard: its sound cannot be had", self._member_id)
            self._failing = True
            return _SILENCE
        self._failing = False
        return samples


class _Output:
    """One stream: a mix, its limiter and its encoder, for all who hear the same."""

    def __init__(self, members: tuple[str, ...], bitrate: int) -> None:
        self.members = members
        self._bitrate = bitrate
        self._encoder: OpusEncoder | None = None
        self._limiter = Limiter()
        self._gain: float | None = None

    def shares(self, members: Collection[str]) -> int:
        """How many of `members` hear this stream."""
        if members == self.members:
            return len(members)
        return len(set(members).intersection(self.members))

    def serve(self, members: tuple[str, ...]) -> None:
        """Go on for these members, from a new start if some of them did not hear it before."""
        if members != self.members:
            if not set(members) <= set(self.members):
                self._encoder = None
            self.members = members

    def encode(self, mix: NDArray[np.float32], gain: float, timestamp: int) -> Encoded | None:
        """Encode FRAME samples times `gain`; the array is used up."""
        ramp(mix, gain if self._gain is None else self._gain, gain)
        self._gain = gain
        samples = self._limiter.process(mix)
        try:
            if self._encoder is None:
                self._encoder = OpusEncoder(self._bitrate)
            packet = self._encoder.encode(samples)
            # The time of the room, not of the encoder: members change between encoders.
            packet.pts = packet.dts = timestamp
            return packetize(packet, "opus")
        except CodecError as error:
            log.error("a mix is not heard: %s", error)
            self._encoder = None
            return None

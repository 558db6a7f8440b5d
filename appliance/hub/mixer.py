"""The sound of a room: everybody hears all the others and not itself.

Each mixer has a thread with a beat of 20 ms, which reads the state that the loop last put in
place and waits for nobody: what a member does not deliver in time is silence.  Packets and
levels cross to the loop in one place, `Mixer._post`.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from appliance.hub.mixbus import Beat, MixBus, Samples, SoundSource, Voice
from appliance.hub.pacing import Metronome
from appliance.media.opus import FRAME, RATE
from appliance.media.packet import Encoded

log = logging.getLogger(__name__)

SoundTap = Callable[[Samples, float], None]

_PERIOD: Final = FRAME / RATE

_CATCH_UP: Final = 5
"""Beats that are made good when the machine was too slow: 100 ms, less than what receivers
buffer in bad times.  What is missed beyond that is lost."""

_IN_FLIGHT: Final = 10
"""Beats that may wait for the loop.  What a slower loop would send later is stale."""


class Mixer:
    """The mix of one room.

    All methods are for the loop's thread, and both callbacks run there: `on_packet` with each
    packet of 20 ms for each member who hears, and `on_level` every 20 ms with the level of each
    member who speaks, as the room hears it: root mean square in dB below full scale,
    -127 for silence.  Members who must hear the same share one encoder.
    """

    def __init__(
        self,
        *,
        on_packet: Callable[[str, Encoded], None],
        on_level: Callable[[str, float], None] | None = None,
        bitrate: int = 32_000,
    ) -> None:
        """`bitrate` in bit/s, of each stream."""
        self.on_packet: Final = on_packet
        self.on_level: Final = on_level
        self.beats = 0
        """Beats mixed."""
        self.skipped = 0
        """Beats lost because the machine or the loop was too slow."""
        # What the loop sets and the thread reads; replaced as a whole.
        self._voices: Mapping[str, Voice] = MappingProxyType({})
        self._taps: tuple[SoundTap, ...] = ()
        # Beats that the thread posted, and those that the loop took: each has one writer.
        self._posted = 0
        self._delivered = 0
        # The thread's own.
        self._bus = MixBus(bitrate)
        self._time = 0
        self._origin: float | None = None
        self._held_up = 0

        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._wake = threading.Event()

    def add(
        self,
        member_id: str,
        receiver: SoundSource | None,
        *,
        hears: bool = True,
        parent_id: str | None = None,
    ) -> None:
        """Add a member, or give a known one another receiver and keep all else that was set.

        `receiver` is None for a member who only listens, `hears` is false for one who only sends.
        `parent_id` names the member whose additional leg this is: the two do not hear each other.
        """
        known = self._voices.get(member_id)
        if known is None:
            voice = Voice(receiver, hears, parent_id)
        else:
            voice = replace(known, source=receiver, hears=hears, parent_id=parent_id)
        self._voices = MappingProxyType({**self._voices, member_id: voice})
        self._wake.set()

    def remove(self, member_id: str) -> None:
        """Forget a member; unknown ones are ignored."""
        self._voices = MappingProxyType(
            {one: voice for one, voice in self._voices.items() if one != member_id}
        )

    def set(
        self,
        member_id: str,
        *,
        muted: bool | None = None,
        deaf: bool | None = None,
        input_volume: float | None = None,
        output_volume: float | None = None,
        input_sensitivity: float | None = None,
    ) -> None:
        """Change what is given, from the next beat on.

        Volumes are -50 to 50 and mean what `volume_gain` says, the sensitivity 0 to 100 and what
        `input_gate` says.  Raises KeyError for an unknown member.
        """
        voice = self._voices[member_id]
        voice = replace(
            voice,
            muted=voice.muted if muted is None else muted,
            deaf=voice.deaf if deaf is None else deaf,
            input_volume=voice.input_volume if input_volume is None else input_volume,
            output_volume=voice.output_volume if output_volume is None else output_volume,
            input_sensitivity=(
                voice.input_sensitivity if input_sensitivity is None else input_sensitivity
            ),
        )
        self._voices = MappingProxyType({**self._voices, member_id: voice})

    def tap(self, tap: SoundTap) -> None:
        """Give everybody's sound to `tap` too, beat by beat on the mixer's thread: 20 ms,
        and the time in seconds of `time.monotonic` at which they begin.  It may not wait."""
        self._taps = (*self._taps, tap)
        self._wake.set()

    def untap(self, tap: SoundTap) -> None:
        """Give it no more; unknown ones are ignored."""
        self._taps = tuple(one for one in self._taps if one != tap)

    def start(self) -> None:
        """Start mixing.  Must be called on the loop, once."""
        if self._thread is not None:
            raise RuntimeError("the mixer was started before")
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name="mixer", daemon=True)
        self._thread.start()

    async def stop(self) -> None:
        """End the thread.  No callback runs any more.

        Safe to call twice, and before `start`.
        """
        self._stop.set()
        self._wake.set()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)

    @property
    def encoded(self) -> int:
        """Packets encoded, however many members got each."""
        return self._bus.encoded

    def _deliver(self, beat: Beat) -> None:
        self._delivered += 1
        # A callback may remove members, and stop the mixer.
        for shared in beat.packets:
            for member_id in shared.members:
                if member_id in self._voices and not self._stop.is_set():
                    try:
                        self.on_packet(member_id, shared.packet)
                    except Exception:
                        log.exception("a packet for member %s was not taken", member_id)
        if self.on_level is None:
            return
        for member_id, level in beat.levels:
            if member_id in self._voices and not self._stop.is_set():
                try:
                    self.on_level(member_id, level)
                except Exception:
                    log.exception("the level of member %s was not taken", member_id)

    # From here on: the mixer's thread.

    def _run(self) -> None:
        metronome = Metronome(_PERIOD, catch_up=_CATCH_UP)
        while beats := metronome.wait(self._stop):
            # Time that was skipped is missing in the stream, and receivers see that.
            self._time += beats * FRAME
            if self._origin is None:
                self._origin = time.monotonic() - self._time / RATE
            if not self._voices and not self._taps:
                self._idle()
                metronome.rest()
                self._origin = None
                continue
            taps = self._taps
            try:
                beat = self._bus.mix(self._voices, self._time, whole=bool(taps))
                if beat.whole is not None:
                    for tap in taps:
                        tap(beat.whole, self._origin + self._time / RATE)
            except Exception:
                log.exception("the mixer lost a beat")
                continue
            self.beats += 1
            self.skipped = metronome.skipped + self._held_up
            self._post(beat)

    def _idle(self) -> None:
        """Sleep until there is somebody to hear."""
        self._wake.clear()
        # Between the look and the clearing somebody may have come, or stopped us.
        if not self._voices and not self._taps and not self._stop.is_set():
            self._wake.wait()

    def _post(self, beat: Beat) -> None:
        """Cross to the loop: the only place where this thread reaches it."""
        assert self._loop is not None
        if self._posted - self._delivered >= _IN_FLIGHT:
            self._held_up += 1
            return
        self._posted += 1
        try:
            self._loop.call_soon_threadsafe(self._deliver, beat)
        except RuntimeError:
            # The loop was closed without a stop(): there is nobody left to mix for.
            self._stop.set()

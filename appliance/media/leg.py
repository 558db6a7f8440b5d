"""What one call of a device sends and receives."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from av import VideoFrame

from appliance.media.audio_receiver import AudioReceiver
from appliance.media.capture import CameraCapture, MicCapture
from appliance.media.lip_sync import LipSync
from appliance.media.peer import Direction, Peer, PeerState
from appliance.media.playout import DisplayPlayout, SpeakerPlayout
from appliance.media.video_receiver import VideoReceiver


class MediaLeg:
    """A peer with captures on its outlets and playouts on its inlets.

    The captures and playouts belong to the caller, who starts and stops them: they
    outlive the leg, and another leg may follow on them.  `on_state` is called on the loop,
    `on_frame` with each received picture on the decoder's thread.
    """

    def __init__(
        self,
        *,
        microphone: MicCapture | None = None,
        camera: CameraCapture | None = None,
        speaker: SpeakerPlayout | None = None,
        display: DisplayPlayout | None = None,
        receive_audio: bool = True,
        receive_video: bool = True,
        ice_servers: Iterable[Mapping[str, Any]] = (),
        addresses: Sequence[str] | None = None,
    ) -> None:
        self.peer = Peer(ice_servers=ice_servers, addresses=addresses)
        self.audio: AudioReceiver | None = None
        self.video: VideoReceiver | None = None
        self.on_state: Callable[[PeerState], None] | None = None
        self.on_frame: Callable[[VideoFrame], None] | None = None
        self._microphone = microphone
        self._camera = camera
        self._speaker = speaker
        self._display = display
        self._receive_audio = receive_audio
        self._receive_video = receive_video
        self._lip_sync: LipSync | None = None
        self.peer.on_state = self._state_changed

    async def offer(self) -> str:
        """The offer for what there is to send and what is wanted; see `Peer.offer`."""
        offer = await self.peer.offer(
            _direction(self._microphone is not None, self._receive_audio),
            _direction(self._camera is not None, self._receive_video),
        )
        if self._microphone is not None and self.peer.audio_out is not None:
            self._microphone.attach(self.peer.audio_out)
        if self._camera is not None and self.peer.video_out is not None:
            self._camera.attach(self.peer.video_out)
        if self._receive_audio and self.peer.audio_in is not None:
            self.audio = AudioReceiver(self.peer.audio_in)
            if self._speaker is not None:
                self._speaker.attach(self.audio)
        if self._receive_video and self.peer.video_in is not None:
            if self.audio is not None and self.peer.audio_in is not None:
                clocks = self.peer.audio_in.clock, self.peer.video_in.clock
                self._lip_sync = LipSync(self.audio, *clocks)
            self.video = VideoReceiver(self.peer.video_in, self._frame)
        return offer

    async def accept(self, answer: str) -> None:
        """Take the answer to `offer`.  Raises NegotiationError."""
        await self.peer.accept(answer)

    def send_from(
        self, *, microphone: MicCapture | None = None, camera: CameraCapture | None = None
    ) -> None:
        """Send from other captures from now on, without a word to the other side.  A kind
        that was not offered for sending stays as it is."""
        if microphone is not None and self._microphone is not None:
            if self.peer.audio_out is not None:
                self._microphone.detach(self.peer.audio_out)
                microphone.attach(self.peer.audio_out)
            self._microphone = microphone
        if camera is not None and self._camera is not None:
            if self.peer.video_out is not None:
                self._camera.detach(self.peer.video_out)
                camera.attach(self.peer.video_out)
            self._camera = camera

    async def close(self) -> None:
        """End the connection and let go of captures and playouts.  Safe to call twice."""
        if self._microphone is not None and self.peer.audio_out is not None:
            self._microphone.detach(self.peer.audio_out)
        if self._camera is not None and self.peer.video_out is not None:
            self._camera.detach(self.peer.video_out)
        if self.audio is not None:
            if self._speaker is not None:
                self._speaker.detach(self.audio)
            self.audio.close()
        if self.video is not None:
            self.video.close()
        await self.peer.close()
        if self.video is not None:
            await self.video.wait_closed()

    def stats(self) -> dict[str, int | float]:
        """The peer's counters, and the state of the receivers."""
        figures: dict[str, int | float] = dict(self.peer.stats())
        if self.audio is not None:
            figures["audio_delay_ms"] = self.audio.delay_ms
            figures["audio_underruns"] = self.audio.underruns
            figures["audio_hold_ms"] = 1000 * self.audio.hold
        if self._lip_sync is not None:
            figures["video_hold_ms"] = 1000 * self._lip_sync.hold
        if self.video is not None:
            figures["video_frames"] = self.video.frames
            figures["video_errors"] = self.video.errors
        return figures

    def _state_changed(self, state: PeerState) -> None:
        if self.on_state is not None:
            self.on_state(state)

    def _frame(self, frame: VideoFrame) -> None:
        if self._display is not None:
            sync = self._lip_sync
            self._display.show(frame, None if sync is None else sync.due(frame.pts))
        if self.on_frame is not None:
            self.on_frame(frame)


def _direction(send: bool, receive: bool) -> Direction | None:
    if send:
        return "sendrecv" if receive else "sendonly"
    return "recvonly" if receive else None

"""The captures and playouts of a call: the caller's own, or made from the machine's devices."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Literal

from appliance.media.capture import CameraCapture, MicCapture
from appliance.media.constraints import MediaTrackConstraints
from appliance.media.gate import CameraGate, Gate, MicGate, Party
from appliance.media.playout import DisplayPlayout, SpeakerPlayout
from appliance.media.worker import Worker
from hal.camera import Camera, VideoFormat
from hal.device import Device
from hal.display import Display
from hal.errors import DeviceUnplugged, HalError

from . import choice
from .errors import NotInUse, Overconstrained
from .local_stream import LocalStream, start_all
from .plan import Constraints, MediaPlan
from .tasks import Tasks

log = logging.getLogger(__name__)

DeviceKind = Literal["camera", "microphone", "speaker"]


class Devices:
    """Everything that one call captures with and plays on.

    Captures and playouts given by the caller are used as they are; they are started if
    they were not yet, and left running at the end.  Others are made when the call needs
    them and stopped with it.

    Called on the loop: `on_device` when a device fails (with its error), and when it works
    again (with None); `on_swapped` with the device before and after, when another one took its
    place and no method of this class was the reason; `on_placed` when the captures or their
    devices may be others, ahead of what those give (see `Worker.observe_place`).
    """

    def __init__(
        self,
        *,
        local_stream: LocalStream | None = None,
        speaker: SpeakerPlayout | None = None,
        display: Display | DisplayPlayout | None = None,
        speaker_id: str | None = None,
        allow_remote_unmute: bool = False,
        source: str | Camera = choice.AUTO,
        beside: Devices | None = None,
    ) -> None:
        """`source` is the camera, or the name of its backend.  `beside` are devices that are
        in use already: others are preferred, and one that does not open is an error at once."""
        self.local_stream = local_stream
        self.speaker = speaker
        self.display = DisplayPlayout(display) if isinstance(display, Display) else display
        self.on_device: Callable[[DeviceKind, Device, HalError | None], None] | None = None
        self.on_swapped: Callable[[DeviceKind, Device, Device], None] | None = None
        self.on_placed: Callable[[], None] | None = None
        self._given_stream = local_stream is not None
        self._made: list[MicCapture | CameraCapture | SpeakerPlayout] = []
        self._made_display = isinstance(display, Display)
        self._speaker_id = speaker_id
        self._allow_remote_unmute = allow_remote_unmute
        self._source = source
        self._beside = beside
        self._camera_wish = MediaTrackConstraints()
        self._set_up: VideoFormat | None = None
        self._watched: dict[DeviceKind, tuple[Worker, Callable[[], None]]] = {}
        self._failed: set[DeviceKind] = set()
        self._present: dict[DeviceKind, Device] = {}
        self._asked: set[DeviceKind] = set()
        self._changing = asyncio.Lock()
        self._links: list[Callable[[], None]] = []
        self._places: list[Callable[[], None]] = []
        self._tasks = Tasks()

    @property
    def microphone(self) -> MicCapture | None:
        """What captures sound, if any."""
        return None if self.local_stream is None else self.local_stream.microphone

    @property
    def camera(self) -> CameraCapture | None:
        """What captures pictures, if any."""
        return None if self.local_stream is None else self.local_stream.camera

    @property
    def in_use(self) -> frozenset[str]:
        """The ids of the devices that capture now."""
        return frozenset(c.device.id for c in (self.microphone, self.camera) if c is not None)

    async def open(self, plan: MediaPlan, audio: Constraints, video: Constraints) -> None:
        """Make what the plan needs and nobody gave, and start everything.

        May be called again for another plan: what that does not send rests, its device
        closed, where it was made here.  A device that does not open now is tried again while
        the call goes on.  Raises HalError when there is no such device at all,
        Overconstrained when the one there is cannot do what was asked.
        """
        async with self._changing:
            if not self._given_stream:
                await self._fill(plan, audio, video)
            self._attend()
            if plan.receive_audio and self.speaker is None:
                self.speaker = SpeakerPlayout(await choice.speaker(self._speaker_id))
                self._made.append(self.speaker)
            starting: list[Awaitable[None]] = []
            if self.microphone is not None and plan.send_audio:
                self._watch("microphone", self.microphone)
                starting.append(self.microphone.start())
            if self.camera is not None and plan.send_video:
                self._set_up = self._set_up or self.camera.wanted
                self._watch("camera", self.camera)
                starting.append(self.camera.start())
            if self.speaker is not None and plan.receive_audio:
                self._watch("speaker", self.speaker)
                starting.append(self.speaker.start())
            if self.display is not None and (plan.receive_audio or plan.receive_video):
                starting.append(self.display.start())
            await asyncio.gather(*starting)
            self._check(plan)

    async def close(self) -> None:
        """Stop what was made here; the caller's own goes on."""
        await self._tasks.close()
        for kind in tuple(self._watched):
            self._unwatch(kind)
        for end in (*self._links, *self._places):
            end()
        self._links.clear()
        self._places.clear()
        made, self._made = self._made, []
        if not self._given_stream:
            self.local_stream = None
        if self.speaker in made:
            self.speaker = None
        stopping: list[Awaitable[None]] = [one.stop() for one in made]
        if self.display is not None and self._made_display:
            stopping.append(self.display.stop())
        await asyncio.gather(*stopping)
        self._failed.clear()

    # --- changing devices in a call

    async def update_camera(self, wish: MediaTrackConstraints) -> tuple[Device, Device]:
        """Capture with another camera, or in another format; says with what before and now.

        When none will do, all is as before.  Raises NotInUse, Overconstrained, HalError.
        """
        async with self._changing:
            capture = self.camera
            if capture is None:
                raise NotInUse("camera")
            previous = capture.device
            with choice.constrained():
                wanted = wish.format()
            found = await choice.cameras(wish)

            async def choose() -> Camera:
                return (await choice.nearest(found, wish))[0]

            def check() -> None:
                choice.check_camera(capture.device, capture.format, wish)

            await self._swap("camera", [partial(capture.swap, choose, wanted, check)])
            self._camera_wish, self._set_up = wish, wanted
            return previous, capture.device

    async def update_microphone(self, wish: MediaTrackConstraints) -> tuple[Device, Device]:
        """Capture with another microphone; as `update_camera`."""
        async with self._changing:
            capture = self.microphone
            if capture is None:
                raise NotInUse("microphone")
            previous = capture.device
            found = await choice.microphones(wish)
            await self._swap("microphone", [partial(capture.swap, one) for one in found])
            return previous, capture.device

    async def update_speaker(self, device_id: str) -> tuple[Device, Device]:
        """Play on another loudspeaker; as `update_camera`."""
        async with self._changing:
            playout = self.speaker
            if playout is None:
                raise NotInUse("loudspeaker")
            previous = playout.device
            if previous.id != device_id:
                found = await choice.speaker(device_id)
                await self._swap("speaker", [partial(playout.swap, found)])
            return previous, playout.device

    async def replace_stream(self, stream: LocalStream) -> list[tuple[DeviceKind, Device, Device]]:
        """Capture with the caller's own captures; a kind that the stream lacks stays.

        The call's gates stay in force: the captures obey them from now on, and what holds
        their own gates closed, now or later, holds those of the call too.  Says which devices
        took whose place.  When one does not open, all is as before and HalError is raised.
        """
        async with self._changing:
            old_stream = self.local_stream or LocalStream()
            both: tuple[tuple[DeviceKind, Any, Any], ...] = (
                ("microphone", stream.microphone, old_stream.microphone),
                ("camera", stream.camera, old_stream.camera),
            )
            pairs = [one for one in both if one[1] is not None and one[1] is not one[2]]
            await start_all([new for _, new, old in pairs if old is not None])
            changes: list[tuple[DeviceKind, Device, Device]] = []
            for kind, new, old in pairs:
                if old is not None:
                    self._link(new.gate, old.gate)
                    await new.take_gate(old.gate)
                    self._unwatch(kind)
                    self._watch(kind, new)
                    changes.append((kind, old.device, new.device))
            if stream.camera is not None:
                self._set_up = stream.camera.wanted
            self.local_stream = LocalStream(
                stream.microphone or old_stream.microphone, stream.camera or old_stream.camera
            )
            self._attend()
            made = [old for _, _, old in pairs if old in self._made]
            self._made = [one for one in self._made if one not in made]
            await asyncio.gather(*(one.stop() for one in made))
            return changes

    async def constrain_camera(self, wishes: Mapping[str, Any]) -> None:
        """Follow the server's wishes for the picture as far as the camera can.

        What the own side must have stays: of a camera that was given, no more than it was
        set up for.  Raises Overconstrained, HalError, TypeError where it cannot be done; then
        all is as before.
        """
        async with self._changing:
            capture = self.camera
            if capture is None:
                return
            own = self._camera_wish
            if capture not in self._made:
                most = self._set_up or capture.wanted
                limits = {"width": most.width, "height": most.height, "frame_rate": most.rate}
                own = MediaTrackConstraints.of({key: {"max": v} for key, v in limits.items()})
            with choice.constrained():
                wish = own.merged(MediaTrackConstraints.of(wishes))
                wanted = wish.format()
            wish = replace(wish, device_id=None)
            if wanted == capture.wanted:
                return
            if capture.suspended:
                # The server does not get a camera opened that is off.
                capture.wanted = wanted
                return
            device = capture.device
            await capture.swap(
                wanted=wanted, check=lambda: choice.check_camera(device, capture.format, wish)
            )

    # --- inside

    async def _fill(self, plan: MediaPlan, audio: Constraints, video: Constraints) -> None:
        stream = self.local_stream = self.local_stream or LocalStream()
        busy = frozenset[str]() if self._beside is None else self._beside.in_use
        if plan.send_audio and stream.microphone is None:
            wish = MediaTrackConstraints.of(audio)
            spare = self._beside is not None
            found = await choice.microphones(wish, in_use=busy, spare=spare)
            gate = MicGate(allow_remote_unmute=self._allow_remote_unmute)
            stream.microphone = MicCapture(found[0], gate)
            self._made.append(stream.microphone)
            await self._insist(
                stream.microphone, [partial(stream.microphone.swap, m) for m in found]
            )
        if plan.send_video and stream.camera is None:
            wish = self._camera_wish = MediaTrackConstraints.of(video)
            with choice.constrained():
                wanted = wish.format()
            cameras = await self._cameras(wish, busy)
            camera_gate = CameraGate(allow_remote_unmute=self._allow_remote_unmute)
            camera = stream.camera = CameraCapture(cameras[0], camera_gate, wanted)
            self._made.append(camera)

            def check() -> None:
                choice.check_camera(camera.device, camera.format, wish)

            await self._insist(camera, [partial(camera.swap, c, wanted, check) for c in cameras])
        for capture, sends in (
            (stream.microphone, plan.send_audio),
            (stream.camera, plan.send_video),
        ):
            if capture is not None and capture in self._made and not sends:
                await capture.suspend()

    async def _cameras(self, wish: MediaTrackConstraints, busy: Collection[str]) -> list[Camera]:
        if isinstance(self._source, Camera):
            return [self._source]
        spare = self._beside is not None
        found = await choice.cameras(wish, backend=self._source, in_use=busy, spare=spare)
        return await choice.nearest(found, wish, busy)

    async def _insist(
        self, capture: MicCapture | CameraCapture, tries: list[Callable[[], Awaitable[None]]]
    ) -> None:
        """For an extra device: the first that opens, or the error."""
        if self._beside is not None:
            await choice.first(tries)

    async def _swap(self, kind: DeviceKind, tries: list[Callable[[], Awaitable[None]]]) -> None:
        """Do the first that works; that one device failed before is no news of another."""
        failed = kind in self._failed
        self._failed.discard(kind)
        self._asked.add(kind)
        try:
            await choice.first(tries)
        except BaseException:
            if failed:
                self._failed.add(kind)
            raise
        finally:
            self._asked.discard(kind)
            if kind in self._watched:
                self._present[kind] = self._watched[kind][0].device

    def _check(self, plan: MediaPlan) -> None:
        camera = self.camera
        if plan.send_video and camera is not None and camera in self._made and not camera.failed:
            choice.check_camera(camera.device, camera.format, self._camera_wish)

    def _link(self, outer: Gate, gate: Gate) -> None:
        """What closes `outer` closes `gate`; only START, which nobody has meant, does not."""
        if outer is gate:
            return

        def follow(changed: Gate) -> None:
            for party in changed.closers - {Party.START}:
                gate.mute(party)

        self._links.append(outer.subscribe(follow))
        follow(outer)

    def _attend(self) -> None:
        """The captures may be others now: see which devices they have, and will have."""
        for end in self._places:
            end()
        captures = (self.microphone, self.camera)
        self._places = [one.observe_place(self._placed) for one in captures if one is not None]
        self._placed()

    def _placed(self) -> None:
        if self.on_placed is not None:
            self.on_placed()

    def _watch(self, kind: DeviceKind, worker: Worker) -> None:
        if kind in self._watched:
            return

        self._present[kind] = worker.device

        def report(error: HalError | None) -> None:
            before, now = self._present[kind], worker.device
            if error is None and now != before and kind not in self._asked:
                self._present[kind] = now
                self._failed.discard(kind)
                if self.on_swapped is not None:
                    self.on_swapped(kind, before, now)
                return
            if (error is not None) == (kind in self._failed):
                return
            (self._failed.discard if error is None else self._failed.add)(kind)
            if self.on_device is not None:
                self.on_device(kind, worker.device, error)
            if kind == "speaker" and isinstance(error, DeviceUnplugged):
                self._tasks.start(self._other_speaker(worker.device), "another loudspeaker")

        self._watched[kind] = (worker, worker.observe(report))

    def _unwatch(self, kind: DeviceKind) -> None:
        watched = self._watched.pop(kind, None)
        if watched is not None:
            watched[1]()

    async def _other_speaker(self, lost: Device) -> None:
        """Play on another loudspeaker of the same kind, if there is one."""
        async with self._changing:
            playout = self.speaker
            if playout is None or playout not in self._made or playout.device != lost:
                return
            try:
                found = await choice.other_speakers(lost)
                await choice.first([partial(playout.swap, one) for one in found])
            except (HalError, Overconstrained) as error:
                log.info("there is no other loudspeaker: %s", error)

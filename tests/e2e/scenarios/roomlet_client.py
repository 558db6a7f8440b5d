"""Our `RoomSession`, in the test's process, as a member of a scenario."""

from __future__ import annotations

import inspect
import re
import time
import warnings
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import numpy as np
import pytest
from av import VideoFrame
from numpy.typing import NDArray
from room import HEIGHT, WIDTH, eventually
from scenarios.client import Client, Refused
from sdk_client import EVENTS, Event, Local, Pixels

from appliance.media.capture import CameraCapture, MicCapture
from appliance.media.gate import CameraGate, MicGate
from appliance.media.playout import SpeakerPlayout
from appliance.room import LocalStream, Payload, RoomSession
from hal import registry
from hal.audio import RATE
from hal.audio.synthetic import SyntheticMicrophone, SyntheticSpeaker
from hal.camera import VideoFormat
from hal.camera.synthetic import SyntheticCamera
from hal.display.memory import MemoryDisplay

ONE_VALUE = frozenset({"setMeta", "updateMeta", "deleteMeta"})
"""Methods whose only argument is an object that is not a list of options."""

OBJECT_FIELDS = ("id", "state", "url", "duration", "startedAt", "endedAt")
"""What is told of a recording, a playback or a stream; the page's half does the same."""


MADE: dict[str, SyntheticSpeaker] = {}
"""The loudspeaker of the machine that was made last, by its id; see `keep_loudspeakers`."""


def keep_loudspeakers(patch: pytest.MonkeyPatch) -> None:
    """Keep each loudspeaker that a session takes from the machine, to hear what it plays."""
    create = registry.create

    def keep(cls: Any, name: str = "auto", **options: object) -> Any:
        made = create(cls, name, **options)
        if isinstance(made, SyntheticSpeaker):
            MADE[made.device.id] = made
        return made

    patch.setattr(registry, "create", keep)


def pixels(frame: VideoFrame) -> Pixels:
    """A picture as arrays."""
    return Pixels(frame.width, frame.height, frame.to_ndarray(format="rgba"))


def snake(name: str) -> str:
    """`audioMute` as it is called here."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


class RoomletClient(Client):
    """See `Client`; `session` is what it wraps, for what only we have."""

    kind = "roomlet"
    session: RoomSession

    def __init__(self, name: str, device: int) -> None:
        super().__init__(name, device)
        self._ear = SyntheticSpeaker(keep_s=5.0)
        self._playout = SpeakerPlayout(self._ear)
        self._speaker_id: str | None = None
        self._display: MemoryDisplay | None = None
        self._kept: dict[str, Any] = {}
        self._reporters: dict[str, Callable[..., None]] = {}
        self._captures: list[MicCapture | CameraCapture] = []

    async def create(
        self, host: str, token: str, *, local_stream: Local | None = None, **options: Any
    ) -> None:
        """See `Client.create`."""
        chosen = {snake(key): value for key, value in options.items()}
        if chosen.pop("root_element", False):
            chosen["root_element"] = self._display = MemoryDisplay(width=WIDTH, height=HEIGHT)
        self._speaker_id = chosen.get("speaker_id")
        if self._speaker_id is None:
            chosen["speaker"] = self._playout
        if local_stream is not None:
            chosen["local_stream"] = self._stream(local_stream)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                self.session = RoomSession(token, host=host, **chosen)
        except (TypeError, ValueError) as error:
            raise Refused(type(error).__name__, None, str(error)) from error
        for name in EVENTS:
            self.session.on(name, self._reporter(name))

    def _stream(self, local: Local) -> LocalStream:
        microphone = SyntheticMicrophone(frequency=local.tone, pattern="continuous")
        camera = SyntheticCamera(device_id=local.camera or 0)
        stream = LocalStream(
            MicCapture(microphone, MicGate()),
            CameraCapture(
                camera, CameraGate(), VideoFormat(local.width, local.height, float(local.fps))
            ),
        )
        assert stream.microphone is not None
        assert stream.camera is not None
        self._captures += [stream.microphone, stream.camera]
        return stream

    async def call(
        self, method: str, *args: Any, keep: str | None = None, on: str | None = None
    ) -> Any:
        """See `Client.call`."""
        target = self._target(on)
        named: dict[str, Any] = {}
        if len(args) == 1 and isinstance(args[0], Mapping) and method not in ONE_VALUE:
            named, args = {snake(k): v for k, v in args[0].items()}, ()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                result = getattr(target, snake(method))(*args, **named)
                if inspect.isawaitable(result):
                    result = await result
        except Exception as error:
            code = getattr(error, "code", None)
            raise Refused(type(error).__name__, code, str(error)) from error
        if keep is not None:
            self._kept[keep] = result
        return None if result is target else plain(result)

    async def get(self, name: str, *, on: str | None = None) -> Any:
        """See `Client.get`."""
        return plain(getattr(self._target(on), snake(name)))

    def _target(self, on: str | None) -> Any:
        return self.session if on is None else self._kept[on]

    async def length(self, name: str) -> int:
        """See `Client.length`."""
        return len(getattr(self.session, snake(name)))

    async def set_local_stream(self, local: Local) -> None:
        """See `Client.set_local_stream`."""
        await self.session.set_local_stream(self._stream(local))

    async def unplug(self) -> None:
        """See `Client.unplug`."""
        camera, microphone = self.session.local_video_track, self.session.local_audio_track
        assert camera is not None
        assert microphone is not None
        for device in (camera._camera, microphone._microphone):
            assert isinstance(device, SyntheticCamera | SyntheticMicrophone)
            device.unplug()

    async def listen(self, method: str, event: str | None = None, tag: str | None = None) -> None:
        """See `Client.listen`."""
        args: list[Any] = [] if event is None else [event]
        if tag is not None:
            args.append(self._reporter(tag))
        getattr(self.session, snake(method))(*args)

    def _reporter(self, name: str) -> Callable[..., None]:
        """The same function each time: `off` wants the one that `on` got."""

        def report(*payload: object) -> None:
            self.events.append(Event(name, plain(payload[0]) if payload else None))

        return self._reporters.setdefault(name, report)

    async def picture(self) -> Pixels | None:
        """See `Client.picture`."""
        remote = self.session.remote_stream
        frame = None if remote is None or remote.video is None else remote.video.latest
        return None if frame is None else pixels(frame)

    async def samples(self, seconds: float) -> NDArray[np.float32]:
        """See `Client.samples`."""
        count = round(seconds * RATE)
        begin = time.monotonic()
        samples: NDArray[np.int16] = np.zeros(0, np.int16)

        def enough() -> bool:
            nonlocal samples
            played = [one.samples for one in self._loudspeaker().heard() if one.at >= begin]
            samples = np.concatenate(played) if played else samples
            return len(samples) >= count

        await eventually(f"{self.name} plays", enough)
        return samples[:count].astype(np.float32) / 32768

    def _loudspeaker(self) -> SyntheticSpeaker:
        """The one that plays now: our own, or one that the session made from the machine's."""
        device_id = self._speaker_id or self._playout.device.id
        return self._ear if device_id == self._ear.device.id else MADE[device_id]

    async def screen(self) -> Pixels | None:
        """See `Client.screen`."""
        return None if self._display is None else pixels(self._display.picture())

    async def speaker(self) -> str:
        """See `Client.speaker`."""
        return self._loudspeaker().device.id

    async def captures(self, kind: str) -> bool:
        """See `Client.captures`."""
        track = {"audio": self.session.local_audio_track, "video": self.session.local_video_track}
        capture = track[kind]
        return capture is not None and not capture.suspended

    async def receives(self, kind: str) -> bool:
        """See `Client.receives`."""
        remote = self.session.remote_stream
        return remote is not None and getattr(remote, kind) is not None

    async def close(self) -> None:
        """See `Client.close`."""
        if self.session.active:
            await self.session.leave()
        self.session.destroy()
        await self.session.wait_closed()
        await self._playout.stop()
        for capture in self._captures:
            await capture.stop()


def plain(value: Any) -> Any:
    """As plain data, objects that the API hands out with the fields that they show."""
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, Payload):
        return plain({key: value[key] for key in value})
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, datetime):
        return value.isoformat()
    shown = {key: plain(getattr(value, snake(key))) for key in OBJECT_FIELDS if _has(value, key)}
    return shown or {"kind": type(value).__name__}


def _has(value: object, key: str) -> bool:
    return hasattr(value, snake(key))

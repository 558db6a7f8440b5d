"""The gates of the own devices in one call, and all that has to follow them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal

from appliance.media.capture import CameraCapture, MicCapture

from .devices import Devices
from .mute import MuteSync
from .plan import MediaPlan
from .standby import Standby, Suspendable

Kind = Literal["audio", "video"]
Tell = Callable[[Kind, bool], Awaitable[object]]
"""Tells the server that the own sound or picture is muted, or not."""


class Muting:
    """Made for one call; `close` shuts the gates for the time after it."""

    def __init__(self) -> None:
        self._devices: Devices | None = None
        self._syncs: dict[Kind, MuteSync] = {}
        self._standbys: dict[Kind, Standby] = {}

    def start(
        self, devices: Devices, plan: MediaPlan, tell: Tell, stop_while_muted: Mapping[Kind, bool]
    ) -> None:
        """Follow the gates of what is sent.  They stay closed until `state_known`."""
        self._devices = devices
        microphone, camera = devices.microphone, devices.camera
        if microphone is not None and plan.send_audio:
            self._syncs["audio"] = MuteSync(
                "microphone", microphone.gate, lambda muted: tell("audio", muted)
            )
            if stop_while_muted["audio"]:
                self._standbys["audio"] = Standby(microphone, microphone.gate)
        if camera is not None and plan.send_video:
            self._syncs["video"] = MuteSync(
                "camera", camera.gate, lambda muted: tell("video", muted)
            )
            if stop_while_muted["video"]:
                self._standbys["video"] = Standby(camera, camera.gate)
        for follower in self._followers:
            follower.start()

    async def set_stop(self, stop_while_muted: Mapping[Kind, bool]) -> None:
        """Let go of what is muted, or no longer, from now on."""
        for kind, sync in self._syncs.items():
            present, wanted = self._standbys.get(kind), stop_while_muted[kind]
            if present is None and wanted:
                standby = self._standbys[kind] = Standby(self._capture(kind), sync.gate)
                standby.start()
            elif present is not None and not wanted:
                del self._standbys[kind]
                await present.stop()
                if self._capture(kind).suspended:
                    await self._capture(kind).resume()

    def _capture(self, kind: Kind) -> MicCapture | CameraCapture:
        assert self._devices is not None
        capture = self._devices.microphone if kind == "audio" else self._devices.camera
        assert capture is not None
        return capture

    @property
    def _followers(self) -> list[MuteSync | Standby]:
        return [*self._syncs.values(), *self._standbys.values()]

    @property
    def agreed(self) -> bool:
        """Whether the server shows all gates as they are."""
        return all(sync.agreed for sync in self._syncs.values())

    def get(self, kind: Kind) -> MuteSync | None:
        """What mutes the device of that kind, None where none is sent."""
        return self._syncs.get(kind)

    async def replaced(self, kind: Kind, capture: Suspendable) -> None:
        """Another capture stands behind the gate of that kind."""
        before = self._standbys.pop(kind, None)
        if before is not None:
            standby = self._standbys[kind] = Standby(capture, before.gate)
            standby.start()
            await before.stop()

    def state_known(self, own: Mapping[str, Any], *, new: bool) -> None:
        """The whole state of the own member has come; `new` for a new membership."""
        for kind, sync in self._syncs.items():
            muted = bool(own.get(f"{kind}_muted"))
            if new:
                sync.joined(muted)
            else:
                sync.refreshed(muted)
        self._hear(own)

    def member_changed(self, own: Mapping[str, Any]) -> None:
        """An event told of the own member."""
        updated = own.get("updated")
        for kind, sync in self._syncs.items():
            key = f"{kind}_muted"
            muted = own.get(key)
            # Where the event names what has changed, the rest of it may be older.
            if isinstance(muted, bool) and (not isinstance(updated, list) or key in updated):
                sync.server_says(muted)
        self._hear(own)

    def close(self) -> None:
        """Shut the gates, before anything is waited for."""
        for sync in self._syncs.values():
            sync.cancel()

    async def stop(self) -> None:
        """Shut the gates and end everything that followed them."""
        self.close()
        for follower in self._followers:
            await follower.stop()

    def _hear(self, own: Mapping[str, Any]) -> None:
        speaker = None if self._devices is None else self._devices.speaker
        if speaker is not None and isinstance(own.get("deaf"), bool):
            speaker.deaf = own["deaf"]

"""The methods that bring more devices and screens into a room."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TypeVar, Unpack

from appliance.media.constraints import MediaTrackConstraints, TrackWishes
from hal.camera import Camera

from .call import Wishes
from .choice import SCREEN
from .device_methods import Wish, plain
from .extra_leg import ExtraLeg, RoomSessionDevice, RoomSessionScreenShare
from .extra_legs import ExtraLegs
from .home import Home
from .methods import deprecated
from .plan import Constraints

L = TypeVar("L", bound=ExtraLeg)


class LegMethods(ABC):
    """Each is a call and a member of its own; see `ExtraLeg` for what it raises.

    With `auto_join=False` the object comes back at once, and joins with its `join`.
    """

    _legs: ExtraLegs

    @abstractmethod
    def _home(self) -> Home:
        """What a leg needs of this session."""

    @abstractmethod
    def _require(self, what: str) -> None:
        """Raise NotJoined or SessionEnded while there is no room."""

    async def add_camera(
        self,
        constraints: Wish | None = None,
        *,
        auto_join: bool = True,
        **wishes: Unpack[TrackWishes],
    ) -> RoomSessionDevice:
        """Send one more camera.  Permission: `room.self.additional_source`."""
        wish = MediaTrackConstraints.of({**plain(constraints), **wishes})
        return await self.add_device(video=wish, auto_join=auto_join)

    async def add_microphone(
        self,
        constraints: Wish | None = None,
        *,
        auto_join: bool = True,
        **wishes: Unpack[TrackWishes],
    ) -> RoomSessionDevice:
        """Send one more microphone.  Permission: `room.self.additional_source`.

        While a button, a cover or the device's own safety holds the session's own microphone
        closed, this one is silent too.  `audio_mute()` of the session mutes the first one alone,
        as the browser's API says; this one has an `audio_mute()` of its own.
        """
        wish = MediaTrackConstraints.of({**plain(constraints), **wishes})
        return await self.add_device(audio=wish, auto_join=auto_join)

    async def add_device(
        self, *, audio: Constraints = False, video: Constraints = False, auto_join: bool = True
    ) -> RoomSessionDevice:
        """Send one more microphone, camera, or both as one member.  Permission:
        `room.self.additional_source`."""
        if audio is False and video is False:
            raise TypeError("add_device() needs audio, video or both")
        self._require("add_device")
        leg = RoomSessionDevice(self._home(), audio=audio, video=video)
        return await self._added(leg, auto_join)

    async def start_screen_share(
        self,
        *,
        audio: Constraints = False,
        video: Constraints = True,
        layout: str | None = None,
        positions: Mapping[str, str] | None = None,
        auto_join: bool = True,
        source: str | Camera = SCREEN,
    ) -> RoomSessionScreenShare:
        """Show a screen.  Permission: `room.self.screenshare`.

        `source` is where its picture comes from: a camera, "x11", or the name of a camera
        backend, whose device `video` may name: `source="v4l2"` with
        `video={"device_id": "/dev/v4l/by-id/..."}` for what comes in by HDMI.  By default it is the
        X11 screen of this machine.  As soon as it is in the room, the room changes to
        `layout`, and members go to `positions` (by id, or "self" for the screen).

        A button or a cover of the camera does not mean the screen; but while both are one and the
        same device, whatever closes the session's camera closes the screen.
        """
        if audio is False and video is False:
            raise TypeError("start_screen_share() needs audio, video or both")
        self._require("start_screen_share")
        wishes: Wishes = {}
        if layout is not None:
            wishes["layout"] = layout
        if positions is not None:
            wishes["positions"] = dict(positions)
        leg = RoomSessionScreenShare(
            self._home(), audio=audio, video=video, source=source, wishes=wishes
        )
        return await self._added(leg, auto_join)

    async def create_screen_share_object(
        self,
        *,
        audio: Constraints = True,
        video: Constraints = True,
        auto_join: bool = True,
        source: str | Camera = SCREEN,
    ) -> RoomSessionScreenShare:
        """Deprecated: `start_screen_share`."""
        deprecated("create_screen_share_object()", "start_screen_share()")
        return await self.start_screen_share(
            audio=audio, video=video, auto_join=auto_join, source=source
        )

    async def _added(self, leg: L, auto_join: bool) -> L:
        self._legs.add(leg)
        if auto_join:
            try:
                await leg.join()
            except BaseException:
                # Nobody gets to see it.
                leg.destroy()
                raise
        return leg

"""More than one camera: what a member sends beside its own call.

An extra leg is a call of its own over the same connection, and a member of its own in the room,
whose `parent_id` is the member that it belongs to.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, ClassVar, Final, Self

from appliance.media.capture import CameraCapture, MicCapture
from appliance.signaling.errors import SignalingError
from appliance.signaling.payload import Payload
from hal.camera import Camera
from hal.errors import DeviceNotFound, DeviceUnplugged, HalError

from .call import BYE_TIMEOUT, Call, CallState, Dialog, Wishes
from .choice import AUTO
from .device_methods import DeviceMethods
from .device_properties import DeviceProperties
from .devices import DeviceKind, Devices
from .emitter import EventEmitter
from .errors import AlreadyJoined, NotJoined, SessionEnded
from .home import Home
from .methods import MemberMethods
from .mute import MuteSync
from .muting import Kind, Muting
from .phase import Phase
from .plan import Constraints, MediaPlan
from .recovery import Recovery
from .tasks import Tasks
from .tie import Tie

log = logging.getLogger(__name__)

RECOVERY_LIMIT: Final = 30.0
"""Seconds to get the media back: the member itself comes first, and has 12 for it."""


class ExtraLeg(DeviceProperties, EventEmitter, MemberMethods, DeviceMethods):
    """One extra leg, with devices and gates of its own.

    Its events are the states of its call, `media.*`, `camera.*`, `microphone.*`, and
    `room.left`.  A leg joins once.  It leaves by itself when what it shows has ended.
    """

    marker: ClassVar[str]
    """What it is called in the list of subscriptions."""
    apart: ClassVar[bool] = False
    """Whether its picture is none of the room's, unless the camera is the room's own."""

    def __init__(
        self,
        home: Home,
        *,
        audio: Constraints,
        video: Constraints,
        source: str | Camera = AUTO,
        wishes: Wishes | None = None,
    ) -> None:
        """Not joined yet.  To be made by the methods of `RoomSession`."""
        super().__init__(home.handlers)
        self._home = home
        self._constraints = (audio, video)
        self._plan = MediaPlan(audio is not False, video is not False, False, False)
        self._devices = Devices(
            allow_remote_unmute=home.allow_remote_unmute, source=source, beside=home.devices
        )
        self._devices.on_device = self._device_changed
        self._devices.on_placed = self.retie
        self._muting = Muting()
        self._wishes = wishes
        self._phase = Phase.NEW
        self._fields: dict[str, Any] = {}
        self._parent_id: str | None = None
        self._call: Call | None = None
        self._recovery: Recovery | None = None
        self._tasks = Tasks()
        self._ties: list[Tie[MicCapture] | Tie[CameraCapture]] = []
        self._observed: list[Callable[[], None]] = []
        self._gone: set[DeviceKind] = set()
        self._teardown: asyncio.Task[None] | None = None

    @property
    def id(self) -> str | None:
        """The id of its call, None before the join."""
        return None if self._call is None else self._call.id

    @property
    def active(self) -> bool:
        """Whether it is in the room now."""
        return self._phase is Phase.JOINED and self._call is not None and self._call.active

    @property
    def member_id(self) -> str | None:
        """The id of its member, None before the join."""
        return self._fields.get("id")

    @property
    def room_id(self) -> str | None:
        """The id of the room, None before the join."""
        return self._home.state.room_id if self._fields else None

    @property
    def room_session_id(self) -> str | None:
        """The id of the room's session, None before the join."""
        return self._home.state.room_session_id if self._fields else None

    async def join(self) -> Self:
        """Bring it into the room; returns when its member is there.

        Raises NotJoined while the session is not in a room; AlreadyJoined, SessionEnded;
        Overconstrained and HalError about the devices; PermissionDenied, JoinRefused,
        JoinTimeout and NegotiationError as `RoomSession.join`.  After a failure it may be
        called again.
        """
        if self._phase in (Phase.LEAVING, Phase.ENDED):
            raise SessionEnded("join")
        if self._phase is not Phase.NEW:
            raise AlreadyJoined
        self._home.require("join")
        self._phase = Phase.JOINING
        try:
            await self._devices.open(self._plan, *self._constraints)
            # As long as nothing can open yet.
            self._tie()
            self._muting.start(
                self._devices, self._plan, self._tell_mute, self._home.stop_while_muted
            )
            self._observe()
            self._call = self._make_call()
            await self._enter()
        except BaseException as error:
            refused = isinstance(error, SignalingError)
            failing = self._tasks.start(self._give_up(refused=refused), "failed extra call")
            await asyncio.wait({failing})
            raise
        self._phase = Phase.JOINED
        self._home.changed(self)
        if self._sources <= self._gone:
            self._end(BYE_TIMEOUT)
        return self

    async def leave(self) -> None:
        """Take it out of the room.  `room.left` is emitted before this returns.

        Raises NotJoined before it has joined, SessionEnded after it has left.
        """
        if self._phase is Phase.ENDED:
            raise SessionEnded("leave")
        if self._phase in (Phase.NEW, Phase.JOINING):
            raise NotJoined("leave")
        await asyncio.shield(self._end(BYE_TIMEOUT))

    def destroy(self) -> None:
        """End this object and forget its listeners; says nothing to the server."""
        self.remove_all_listeners()
        self.cut()

    # --- what the session tells

    def cut(self, bye: float | None = None) -> asyncio.Task[None] | None:
        """End it; `bye` is how many seconds to wait for the server's word, None for not to
        say goodbye.  Returns the work that there is to wait for."""
        if self._phase is Phase.NEW:
            self._phase = Phase.ENDED
        elif self._phase is Phase.JOINING:
            if self._call is not None:
                self._call.fail(SessionEnded("join"))
        elif self._phase is not Phase.ENDED:
            self._end(bye)
        return self._teardown

    def member_changed(self, member: Mapping[str, Any], *, whole: bool = False) -> None:
        """News of its member; `whole` where the server was asked for its state."""
        self._fields.update(member)
        if whole:
            self._muting.state_known(self._fields, new=False)
        else:
            self._muting.member_changed(member)

    def follow(self) -> None:
        """The session has become another member: the leg has to be that one's."""
        if self._phase is Phase.JOINED and self._recovery is not None:
            self._recovery.begin()

    def retie(self) -> None:
        """Devices may have changed: see which gates hold which now."""
        for tie in self._ties:
            tie.follow()

    @property
    def ended(self) -> bool:
        """Whether it is over for good."""
        return self._phase is Phase.ENDED

    @property
    def call(self) -> Call | None:
        """Its call, for the messages about it."""
        return self._call

    # --- what the methods stand on

    async def _rpc(self, method: str, **params: Any) -> Payload:
        self._require(method.rpartition(".")[2])
        return await self._home.rpc(method, **params)

    def _require(self, what: str) -> None:
        if self._phase in (Phase.LEAVING, Phase.ENDED):
            raise SessionEnded(what)
        if not self.active:
            raise NotJoined(what)

    def _mute_sync(self, kind: Kind) -> MuteSync | None:
        return self._muting.get(kind) if self.active else None

    async def _tell_mute(self, kind: Kind, muted: bool) -> None:
        await self._member(f"{kind}_{'mute' if muted else 'unmute'}", None)

    # --- inside

    @property
    def _sources(self) -> set[DeviceKind]:
        """The devices without which it has nothing to show."""
        sends: tuple[tuple[DeviceKind, bool], ...] = (
            ("microphone", self._plan.send_audio),
            ("camera", self._plan.send_video),
        )
        return {kind for kind, sent in sends if sent}

    def _dialog(self) -> Dialog:
        parent = {"memberCallId": self._home.call_id(), "memberId": self._home.state.member_id}
        return {"user_variables": parent}

    def _make_call(self) -> Call:
        call = Call(
            self._home.signal,
            lambda: self._home.make_leg(self._devices, self._plan),
            subscribe=(f"video.room.{self.marker}",),
            dialog=self._dialog,
            wishes=self._wishes,
        )
        recovery = self._recovery = Recovery(
            self._dial_again, self._tasks, self.emit, self._lost,
            patient=True, limit=RECOVERY_LIMIT,
        )  # fmt: skip
        call.on_state = lambda state: self.emit(state.value, self)
        call.on_media = recovery.media
        call.on_bye = lambda _: self._end(None)
        call.on_wishes = self._wished
        return call

    async def _enter(self) -> None:
        assert self._call is not None
        # The session may have ended while the devices were opened.
        self._home.require("join")
        self._parent_id = self._home.state.member_id
        self._fields = dict(await self._home.enter(self._call))
        self._muting.state_known(self._fields, new=True)

    async def _dial_again(self) -> None:
        assert self._call is not None
        if self._parent_id == self._home.state.member_id:
            await self._call.dial()
        else:
            await self._enter()

    def _tie(self) -> None:
        own, main, home = self._devices, self._home.devices, self._home
        self._ties = [
            Tie(lambda: own.microphone, lambda: main.microphone, home.on_microphone),
            Tie(lambda: own.camera, lambda: main.camera, home.on_camera, apart=self.apart),
        ]
        self.retie()

    def _observe(self) -> None:
        for stop in self._observed:
            stop()
        captures: tuple[tuple[DeviceKind, Any], ...] = (
            ("microphone", self._devices.microphone),
            ("camera", self._devices.camera),
        )
        self._observed = [
            capture.observe(partial(self._source_changed, kind))
            for kind, capture in captures
            if capture is not None
        ]

    def _stream_replaced(self) -> None:
        self._gone.clear()
        self._observe()

    def _source_changed(self, kind: DeviceKind, error: HalError | None) -> None:
        if isinstance(error, DeviceUnplugged | DeviceNotFound):
            self._gone.add(kind)
        elif error is None:
            self._gone.discard(kind)
        if self._phase is Phase.JOINED and self._sources <= self._gone:
            log.info("an extra call ends: %s", error)
            self._end(BYE_TIMEOUT)

    def _lost(self) -> None:
        self._end(BYE_TIMEOUT)

    def _end(self, bye: float | None) -> asyncio.Task[None]:
        if self._teardown is None:
            self._phase = Phase.LEAVING
            self._muting.close()
            self._home.changed(self)
            self._teardown = asyncio.get_running_loop().create_task(
                self._tear_down(bye), name="end of an extra call of the room"
            )
        return self._teardown

    async def _tear_down(self, bye: float | None) -> None:
        if self._call is not None and bye is not None:
            await self._call.hang_up(bye)
        await self._release()
        self._phase = Phase.ENDED
        self.emit("room.left", Payload({"reason": None}))
        self.emit("destroy", self)

    async def _give_up(self, *, refused: bool) -> None:
        self._muting.close()
        if self._call is not None and not refused:
            await self._call.hang_up()
        await self._release()
        self._muting, self._phase = Muting(), Phase.NEW

    async def _release(self) -> None:
        call, self._call = self._call, None
        if call is not None:
            call.on_media = None
        await self._tasks.close()
        await self._muting.stop()
        if call is not None:
            # "destroy" comes last of all, after "room.left".
            call.on_state = lambda s: s is CallState.DESTROY or self.emit(s.value, self)
            await call.close()
        for stop in self._observed:
            stop()
        self._observed, self._recovery = [], None
        await self._devices.close()
        for tie in self._ties:
            tie.close()
        self._ties = []


class RoomSessionDevice(ExtraLeg):
    """An extra camera, microphone, or both."""

    marker = "additionaldevice"

    def _dialog(self) -> Dialog:
        return {"additional_device": True, **super()._dialog()}


class RoomSessionScreenShare(ExtraLeg):
    """A screen, or whatever else gives pictures to look at together."""

    marker = "screenshare"
    # A cover closes the camera of the room, not what somebody shows.
    apart = True

    @property
    def _sources(self) -> set[DeviceKind]:
        # Without the picture, its sound alone is not worth a place in the room.
        return {"camera"} if self._plan.send_video else {"microphone"}

    def _dialog(self) -> Dialog:
        return {"screen_share": True, **super()._dialog()}

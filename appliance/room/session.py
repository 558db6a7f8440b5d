"""RoomSession: one member's stay in one room."""

from __future__ import annotations

import asyncio
import logging
import warnings
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from types import TracebackType
from typing import Any, Final, Literal, Self

from appliance.media.leg import MediaLeg
from appliance.media.playout import DisplayPlayout, SpeakerPlayout
from appliance.signaling import verto
from appliance.signaling.connection import Connection, ConnectionState
from appliance.signaling.errors import NotFound, ProtocolError, SignalingError
from appliance.signaling.payload import Payload
from appliance.signaling.token import websocket_url
from hal.device import Device
from hal.display import Display

from .call import BYE_TIMEOUT, Call, CallState, Leg
from .devices import DeviceKind, Devices, LocalStream
from .emitter import EventEmitter
from .errors import (
    AlreadyJoined,
    JoinRefused,
    JoinTimeout,
    NotJoined,
    RoomError,
    SessionEnded,
)
from .events import ALIASES, SUBSCRIBE
from .legs import LegMaker
from .methods import RoomMethods
from .mute import MuteSync
from .muting import Kind, Muting
from .overlay import LocalOverlay
from .plan import Constraints, MediaPlan, plan_media
from .properties import RoomProperties
from .recovery import Recovery
from .state import RoomState
from .tasks import Tasks

log = logging.getLogger(__name__)

LogLevel = Literal["trace", "debug", "info", "warn", "error", "silent"]

SUBSCRIBED_TIMEOUT: Final = 20.0
"""Seconds from the answer of a call until the server must have let the member in."""

SHORT_BYE: Final = 2.0
"""Seconds to wait for the server's word where it may well not be there any more."""

HANDLER_GRACE: Final = 1.0
"""Seconds that `async` handlers get to finish at the end of an `async with` block."""

_LEVELS: Final[dict[str, int]] = {
    "trace": logging.DEBUG,
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
    "silent": logging.CRITICAL + 1,
}

RECONNECTION_ATTEMPT_TIMEOUT: Final = "RECONNECTION_ATTEMPT_TIMEOUT"
"""The `reason` of `room.left` when the room was lost; None when it was left or ended."""


class _Phase(Enum):
    NEW = "new"
    JOINING = "joining"
    JOINED = "joined"
    LEAVING = "leaving"
    ENDED = "ended"


class RoomSession(RoomProperties, EventEmitter, RoomMethods):
    """Joins a room, sends what the devices capture, and shows and plays what comes.

    ::

        async with RoomSession(token=token, host="ws://hub.local:8080") as room:
            room.on("member.joined", lambda e: print(e.member.name, "joined"))
            await room.join()

    Handlers get the event's payload (`Payload`), fields named as on the wire.  A
    session joins once; after it has left, make a new one.  All of it belongs to one event loop.
    """

    def __init__(
        self,
        token: str,
        *,
        host: str | None = None,
        root_element: Display | DisplayPlayout | None = None,
        apply_local_video_overlay: bool = True,
        ice_servers: Iterable[Mapping[str, Any]] | None = None,
        local_stream: LocalStream | None = None,
        log_level: LogLevel | None = None,
        speaker_id: str | None = None,
        stop_camera_while_muted: bool = True,
        stop_microphone_while_muted: bool = True,
        audio: Constraints | None = None,
        video: Constraints | None = None,
        allow_remote_unmute: bool = True,
        speaker: SpeakerPlayout | None = None,
        leg_factory: Callable[..., Leg] = MediaLeg,
    ) -> None:
        """Nothing happens before `join`.

        `host` is where the token's own host is not given: "ws://HOST:PORT", or a name to be
        reached by TLS.  `root_element` is the screen; without one, pictures are received and
        not shown.  `local_stream` and `speaker` replace the machine's own devices and stay
        their maker's to stop.  `allow_remote_unmute` concerns the gates made here: whether a
        moderator may open a microphone or camera that nobody in the room has closed.
        `leg_factory` makes the media of a call, with the arguments of `MediaLeg`.
        Deprecated: `audio` and `video`; give them to `join`.
        """
        super().__init__()
        for name, value in (("audio", audio), ("video", video)):
            if value is not None:
                warnings.warn(
                    f"RoomSession({name}=...) is deprecated; use join({name}=...)",
                    DeprecationWarning,
                    stacklevel=2,
                )
        if log_level is not None:
            if log_level not in _LEVELS:
                raise ValueError(f"log_level must be one of {', '.join(_LEVELS)}: {log_level!r}")
            logging.getLogger("appliance").setLevel(_LEVELS[log_level])
        self._token = token
        self._url = websocket_url(host, token)
        self._ice_servers = None if ice_servers is None else [dict(e) for e in ice_servers]
        self._wishes: tuple[Constraints, Constraints] = (
            True if audio is None else audio,
            True if video is None else video,
        )
        self._stop_while_muted: dict[Kind, bool] = {
            "audio": stop_microphone_while_muted,
            "video": stop_camera_while_muted,
        }
        self._devices = Devices(
            local_stream=local_stream,
            speaker=speaker,
            display=root_element,
            speaker_id=speaker_id,
            allow_remote_unmute=allow_remote_unmute,
        )
        self._devices.on_device = self._device_changed
        self._overlay = LocalOverlay(enabled=apply_local_video_overlay)
        self._leg_factory = leg_factory
        self._phase = _Phase.NEW
        self._tasks = Tasks()
        self._connection: Connection | None = None
        self._call: Call | None = None
        self._recovery: Recovery | None = None
        self._teardown: asyncio.Task[None] | None = None
        self._subscribed: asyncio.Future[dict[str, Any]] | None = None
        self._backlog: list[tuple[str, dict[str, Any]]] = []
        self._state = RoomState()
        self._muting = Muting()

    @property
    def active(self) -> bool:
        """Whether the session is in a room now."""
        return self._phase is _Phase.JOINED and self._call is not None and self._call.active

    # --- joining and leaving

    async def join(
        self,
        *,
        audio: Constraints | None = None,
        video: Constraints | None = None,
        receive_audio: bool | None = None,
        receive_video: bool | None = None,
        send_audio: bool | None = None,
        send_video: bool | None = None,
    ) -> Self:
        """Enter the room; returns when the own member is in it.

        `audio` and `video` ask for a kind of media, with constraints on its device where wanted;
        the others narrow the directions.  An audience participant only receives.

        Raises AlreadyJoined, SessionEnded; AuthError for a bad token, Disconnected when
        the server cannot be reached; PermissionDenied, RpcError or JoinRefused when the room
        does not let the member in, JoinTimeout when it does not answer; NothingToJoin,
        Overconstrained and HalError about the devices, NegotiationError about the media.
        After a failure, `join` may be called again.
        """
        if self._phase in (_Phase.LEAVING, _Phase.ENDED):
            raise SessionEnded("join")
        if self._phase is not _Phase.NEW:
            raise AlreadyJoined
        self._phase = _Phase.JOINING
        audio = self._wishes[0] if audio is None else audio
        video = self._wishes[1] if video is None else video
        try:
            connection = self._connection = Connection(
                self._url,
                self._token,
                on_event=self._server_event,
                on_state=self._connection_changed,
                on_reconnected=self._reconnected,
            )
            self._subscribed = asyncio.get_running_loop().create_future()
            await connection.open()
            self._state.authorization = connection.authorization
            plan = plan_media(
                self._state.authorization,
                audio=audio,
                video=video,
                receive_audio=receive_audio,
                receive_video=receive_video,
                send_audio=send_audio,
                send_video=send_video,
            )
            await self._devices.open(plan, audio, video)
            self._muting.start(self._devices, plan, self._tell_mute, self._stop_while_muted)
            call = self._call = self._make_call(connection, plan)
            await call.dial()
            self._enter(await self._admitted(self._subscribed))
        except BaseException as error:
            refused = isinstance(error, SignalingError)
            giving_up = self._tasks.start(self._give_up_joining(refused=refused), "failed join")
            # Not cut short by a cancelled join: it belongs to the session.
            await asyncio.wait({giving_up})
            raise
        return self

    async def leave(self) -> None:
        """Leave the room: say goodbye, end the media, free the devices made here.

        `room.left` is emitted before it returns.  Raises NotJoined when there is no room.
        """
        if self._phase is _Phase.ENDED and self._teardown is None:
            raise SessionEnded("leave")
        if self._phase in (_Phase.NEW, _Phase.JOINING):
            raise NotJoined("leave")
        linked = self._connection is not None and (
            self._connection.state is ConnectionState.CONNECTED
        )
        await asyncio.shield(self._end(None, bye=BYE_TIMEOUT if linked else SHORT_BYE))

    def destroy(self) -> None:
        """End this object and forget its listeners; says nothing to the server, whose room
        goes on.  `wait_closed` waits until sockets and devices are free."""
        self.remove_all_listeners()
        self._handler_tasks.cancel()
        if self._phase is _Phase.JOINING:
            self._fail_joining(SessionEnded("join"))
        if self._connection is not None and self._phase is not _Phase.ENDED:
            self._end(None, bye=None)
        elif self._teardown is None:
            self._phase = _Phase.ENDED

    async def wait_closed(self) -> None:
        """Wait until all that `destroy` ends has ended."""
        if self._teardown is not None:
            await asyncio.shield(self._teardown)
        await self._handler_tasks.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if self._phase in (_Phase.JOINED, _Phase.LEAVING):
                await self.leave()
                await self._handler_tasks.settle(HANDLER_GRACE)
        finally:
            self.destroy()
            await self.wait_closed()

    # --- what the methods stand on

    async def _rpc(self, method: str, **params: Any) -> Payload:
        what = method.rpartition(".")[2]
        if self._phase in (_Phase.LEAVING, _Phase.ENDED):
            raise SessionEnded(what)
        if not self.active or self._connection is None:
            raise NotJoined(what)
        place = {"room_session_id": self.room_session_id}
        return Payload(await self._connection.request(f"video.{method}", {**place, **params}))

    def _mute_sync(self, kind: Kind) -> MuteSync | None:
        return self._muting.get(kind) if self.active else None

    # --- the way in

    def _make_call(self, connection: Connection, plan: MediaPlan) -> Call:
        own_servers = self._ice_servers
        make_leg = LegMaker(
            factory=self._leg_factory,
            devices=self._devices,
            plan=plan,
            overlay=self._overlay,
            ice_servers=lambda: connection.ice_servers if own_servers is None else own_servers,
            url=self._url,
        )
        call = Call(connection, make_leg, subscribe=SUBSCRIBE)
        self._recovery = Recovery(call, self._tasks, self.emit, self._room_lost)
        call.on_state = self._call_changed
        call.on_media = self._recovery.media
        call.on_bye = self._room_ended
        if plan.send_video and plan.receive_video:
            self._overlay.bind(self._devices.display, self._devices.camera)
        return call

    async def _tell_mute(self, kind: Kind, muted: bool) -> None:
        await self._member(f"{kind}_{'mute' if muted else 'unmute'}", None)

    async def _admitted(self, subscribed: asyncio.Future[dict[str, Any]]) -> dict[str, Any]:
        patience = asyncio.timeout(SUBSCRIBED_TIMEOUT)
        try:
            async with patience:
                return await subscribed
        except TimeoutError as error:
            if not patience.expired():
                raise
            raise JoinTimeout(
                f"the room answered the call, but did not let the member in within"
                f" {SUBSCRIBED_TIMEOUT:.0f} s; try again"
            ) from error

    def _enter(self, params: dict[str, Any]) -> None:
        self._phase = _Phase.JOINED
        self._admitted_as(params)
        backlog, self._backlog = self._backlog, []
        for event, payload in backlog:
            self._room_event(event, payload)

    def _admitted_as(self, params: dict[str, Any]) -> None:
        """The call is a member now: the first time, or after it was dialled again."""
        new = self._state.subscribed(params)
        own = self._state.own
        if own is not None:
            self._muting.state_known(own, new=new)
        else:
            # Until the state is known the gates stay closed.
            self._tasks.start(self._ask_members(), "members")
        if new:
            payload = Payload(params)
            self.emit("room.subscribed", payload)
            self.emit("room.joined", payload)
        self._emit_all([self._state.members.list_updated()])

    async def _give_up_joining(self, *, refused: bool) -> None:
        self._muting.close()
        if self._phase is _Phase.JOINING and self._call is not None and not refused:
            await self._call.hang_up(timeout=SHORT_BYE)
        await self._release()
        if self._phase is _Phase.JOINING:
            self._phase = _Phase.NEW

    # --- events of the server

    def _server_event(self, event_type: str, params: dict[str, Any]) -> None:
        if event_type == verto.EVENT_TYPE:
            self._verto_event(params)
        elif event_type.startswith("video."):
            event = event_type.removeprefix("video.")
            if self._phase is _Phase.JOINED:
                self._room_event(event, params)
            elif self._phase is _Phase.JOINING:
                self._event_before_joined(event, params)

    def _verto_event(self, params: dict[str, Any]) -> None:
        try:
            message = verto.parse(params)
        except ProtocolError as error:
            log.warning("the server sent no proper call message: %s", error)
            return
        if self._call is not None and message.call_id == self._call.id:
            self._call.receive(message)
        else:
            log.debug("%s for an unknown call", message.method)

    def _event_before_joined(self, event: str, params: dict[str, Any]) -> None:
        if self._subscribed is None or self._subscribed.done():
            # The application hears of the room first.
            self._backlog.append((event, params))
        elif event == "room.subscribed" and self._is_own_call(params):
            self._subscribed.set_result(params)

    def _is_own_call(self, params: Mapping[str, Any]) -> bool:
        return self._call is not None and params.get("call_id") == self._call.id

    def _room_event(self, event: str, params: dict[str, Any]) -> None:
        if event == "room.subscribed":
            if self._is_own_call(params):
                self._admitted_as(params)
            return
        if event in ("member.joined", "member.updated"):
            member = params.get("member")
            if isinstance(member, Mapping) and self._state.is_own(member.get("id")):
                self._muting.member_changed(member)
        emissions = self._state.apply(event, params)
        if event == "layout.changed":
            self._overlay.place(self._state.member_id, self._state.layers)
        self._emit_all(emissions)

    def _emit_all(self, emissions: Iterable[tuple[str, dict[str, Any]]]) -> None:
        for event, params in emissions:
            payload = Payload(params)
            self.emit(event, payload)
            if event in ALIASES:
                self.emit(ALIASES[event], payload)

    # --- losing and finding the server

    def _connection_changed(self, state: ConnectionState) -> None:
        if state is not ConnectionState.CLOSED:
            return
        if self._phase is _Phase.JOINING:
            error = None if self._connection is None else self._connection.error
            self._fail_joining(error or SessionEnded("join"))
        elif self._phase is _Phase.JOINED:
            self._room_lost()

    def _fail_joining(self, error: Exception) -> None:
        if self._call is not None:
            self._call.fail(error)
        if self._subscribed is not None and not self._subscribed.done():
            self._subscribed.set_exception(error)
            self._subscribed.exception()  # join() may fail for another reason before it looks

    def _reconnected(self, resumed: bool) -> None:
        if self._phase is not _Phase.JOINED or self._recovery is None:
            return
        if resumed:
            self._tasks.start(self._ask_members(dial_again=True), "members")
        else:
            # The server does not know the call any more.
            self._recovery.begin()

    async def _ask_members(self, *, dial_again: bool = False) -> None:
        """Learn what was missed; a server that has lost the member is dialled again."""
        try:
            members = (await self.get_members()).to_dict()["members"]
        except NotFound:
            members = []
        except (SignalingError, RoomError) as error:
            # The next reconnection asks again.
            log.info("the list of members did not come: %s", error)
            return
        if any(isinstance(m, Mapping) and self._state.is_own(m.get("id")) for m in members):
            self._state.members.replace(members)
            if (own := self._state.own) is not None:
                self._muting.state_known(own, new=False)
            self._emit_all([self._state.members.list_updated()])
        elif dial_again and self._recovery is not None:
            self._recovery.begin()
        else:
            log.warning("the server's list of members has no place for this one yet")

    def _call_changed(self, state: CallState) -> None:
        self.emit(state.value, self)

    def _device_changed(self, kind: DeviceKind, device: Device, failed: bool) -> None:
        about = {"deviceId": device.id, "label": device.label}
        if failed:
            self.emit(f"{kind}.disconnected", Payload(about))
        else:
            self.emit(f"{kind}.updated", Payload({"previous": about, "current": about}))

    # --- the way out

    def _room_ended(self, ended: JoinRefused) -> None:
        if self._phase is _Phase.JOINING:
            self._fail_joining(ended)
        elif self._phase is _Phase.JOINED:
            log.info("the server has ended the call: %s", ended.cause)
            self._end(None, bye=None)

    def _room_lost(self) -> None:
        self._end(RECONNECTION_ATTEMPT_TIMEOUT, bye=SHORT_BYE)

    def _end(self, reason: str | None, *, bye: float | None) -> asyncio.Task[None]:
        """Begin to leave.  `bye` is how many seconds to wait for the server's word, None for
        not to say goodbye."""
        if self._teardown is None:
            self._phase = _Phase.LEAVING
            self._muting.close()
            self._teardown = asyncio.get_running_loop().create_task(
                self._tear_down(reason, bye), name="end of the room session"
            )
        return self._teardown

    async def _tear_down(self, reason: str | None, bye: float | None) -> None:
        connection = self._connection
        reachable = connection is not None and connection.state is not ConnectionState.CLOSED
        if self._call is not None and bye is not None and reachable:
            await self._call.hang_up(bye)
        await self._release()
        self._phase = _Phase.ENDED
        self.emit("room.left", Payload({"reason": reason}))
        self.emit("destroy", self)

    async def _release(self) -> None:
        """End everything of the call.  Whatever fails, the rest is done."""
        call, self._call = self._call, None
        connection, self._connection = self._connection, None
        muting, self._muting = self._muting, Muting()
        self._overlay.bind(None, None)
        steps: list[Callable[[], Any]] = [self._tasks.close, muting.stop]
        if call is not None:
            call.on_state = self._call_changed_at_the_end
            steps.append(call.close)
        if connection is not None:
            steps.append(connection.close)
        steps.append(self._devices.close)
        for step in steps:
            try:
                await step()
            except Exception:
                log.exception("ending the session stumbled; it goes on")
        self._recovery = None
        self._backlog.clear()

    def _call_changed_at_the_end(self, state: CallState) -> None:
        # "destroy" comes last of all, after "room.left".
        if state is not CallState.DESTROY:
            self.emit(state.value, self)

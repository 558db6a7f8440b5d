"""RoomSession: one member's stay in one room."""

from __future__ import annotations

import asyncio
import logging
import warnings
from collections.abc import Awaitable, Callable, Iterable, Mapping
from types import TracebackType
from typing import Any, Final, Literal, Self

from appliance.media.capture import CameraCapture, MicCapture
from appliance.media.leg import MediaLeg
from appliance.media.playout import DisplayPlayout, SpeakerPlayout
from appliance.signaling.connection import Connection, ConnectionState
from appliance.signaling.errors import SignalingError
from appliance.signaling.payload import Payload
from appliance.signaling.token import websocket_url
from hal.display import Display

from .admission import Admission
from .call import BYE_TIMEOUT, Call, CallState, Leg
from .devices import Devices
from .emitter import EventEmitter
from .errors import AlreadyJoined, JoinRefused, NotJoined, SessionEnded
from .extra_legs import ExtraLegs
from .handover import SHORT_BYE
from .leg_methods import LegMethods
from .local_stream import LocalStream
from .mute import MuteSync
from .muting import Kind, Muting
from .overlay import LocalOverlay
from .own_calls import OwnCalls
from .phase import Phase
from .plan import Constraints, JoinWishes
from .properties import RoomProperties
from .recovery import Recovery
from .renewal import renew
from .state import RoomState
from .tasks import Tasks
from .work_methods import KINDS, WorkMethods
from .works import Works

log = logging.getLogger(__name__)

LogLevel = Literal["trace", "debug", "info", "warn", "error", "silent"]

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


class RoomSession(RoomProperties, EventEmitter, OwnCalls, WorkMethods, LegMethods):
    """Joins a room, sends what the devices capture, and shows and plays what comes.

    ::

        async with RoomSession(token=token, host="ws://hub.local:8080") as room:
            room.on("member.joined", lambda e: print(e.member.name, "joined"))
            await room.join()

    Handlers get the event's payload (`Payload`), fields named as on the wire; those of recordings,
    playbacks and streams get the live object.  A session joins once; after it has left, make a
    new one.  All of it belongs to one event loop.
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
        self._wishes = JoinWishes(
            audio=True if audio is None else audio, video=True if video is None else video
        )
        self._stop_while_muted: dict[Kind, bool] = {
            "audio": stop_microphone_while_muted,
            "video": stop_camera_while_muted,
        }
        self._allow_remote_unmute = allow_remote_unmute
        self._devices = Devices(
            local_stream=local_stream,
            speaker=speaker,
            display=root_element,
            speaker_id=speaker_id,
            allow_remote_unmute=allow_remote_unmute,
        )
        self._devices.on_device = self._device_changed
        self._devices.on_swapped = self._swapped
        self._overlay = LocalOverlay(enabled=apply_local_video_overlay)
        self._leg_factory = leg_factory
        self._phase = Phase.NEW
        self._tasks = Tasks()
        self._connection: Connection | None = None
        self._call: Call | None = None
        self._next_call: Call | None = None
        self._recovery: Recovery | None = None
        self._teardown: asyncio.Task[None] | None = None
        self._admission: Admission | None = None
        self._handing_over = asyncio.Lock()
        self._state = RoomState()
        self._works = Works(self._rpc, KINDS)
        self._legs = ExtraLegs(self._state)
        self._devices.on_placed = self._legs.retie
        self._muting = Muting()
        self.on_microphone: Callable[[MicCapture], Callable[[], None]] | None = None
        """Called with each further microphone, as long as it cannot be heard yet; what it
        returns is called when that one is closed for good."""
        self.on_camera: Callable[[CameraCapture], Callable[[], None]] | None = None
        """The same with each further camera.  What is shared as a screen is none, except while it
        is the device of the session's own camera: nothing of that leaves ahead of the call."""

        self.renew_token: Callable[[], Awaitable[str]] | None = None
        """Gives a newer token; asked from two minutes before the present one ends."""

    @property
    def mutes_agreed(self) -> bool:
        """Whether the server shows each own device as muted as it is.  While it does not, the
        device is the quieter of the two."""
        return self._muting.agreed

    @property
    def connection_error(self) -> SignalingError | None:
        """Why the connection to the server is lost, while it is won back; None while it stands."""
        return None if self._connection is None else self._connection.trouble

    @property
    def active(self) -> bool:
        """Whether the session is in a room now."""
        return self._phase is Phase.JOINED and self._call is not None and self._call.active

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
        if self._phase in (Phase.LEAVING, Phase.ENDED):
            raise SessionEnded("join")
        if self._phase is not Phase.NEW:
            raise AlreadyJoined
        self._phase = Phase.JOINING
        wishes = self._wishes = JoinWishes(
            audio=self._wishes.audio if audio is None else audio,
            video=self._wishes.video if video is None else video,
            receive_audio=receive_audio,
            receive_video=receive_video,
            send_audio=send_audio,
            send_video=send_video,
        )
        try:
            connection = self._connection = Connection(
                self._url,
                self._token,
                on_event=self._server_event,
                on_state=self._connection_changed,
                on_reconnected=self._reconnected,
                on_expiring=self._expiring,
            )
            admission = self._admission = Admission()
            await connection.open()
            self._state.authorization = connection.authorization
            plan = wishes.plan(self._state.authorization)
            await self._devices.open(plan, wishes.audio, wishes.video)
            self._start_muting(plan)
            self._call, self._recovery = self._make_call(connection, plan)
            await self._call.dial()
            params = await admission.wait()
            self._phase = Phase.JOINED
            self._let_in(admission, params)
        except BaseException as error:
            refused = isinstance(error, SignalingError)
            giving_up = self._tasks.start(self._give_up_joining(refused=refused), "failed join")
            # Not cut short by a cancelled join: it belongs to the session.
            await asyncio.wait({giving_up})
            raise
        return self

    def _expiring(self) -> None:
        if self.renew_token is None or self._connection is None:
            log.warning("the room token is about to end, and nothing renews it")
        else:
            self._tasks.start(renew(self._connection, self.renew_token), "renewal of the token")

    async def leave(self) -> None:
        """Leave the room: say goodbye, end the media, free the devices made here.

        `room.left` is emitted before it returns.  Raises NotJoined when there is no room.
        """
        if self._phase is Phase.ENDED and self._teardown is None:
            raise SessionEnded("leave")
        if self._phase in (Phase.NEW, Phase.JOINING):
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
        if self._phase is Phase.JOINING:
            self._fail_joining(SessionEnded("join"))
        if self._connection is not None and self._phase is not Phase.ENDED:
            self._end(None, bye=None)
        elif self._teardown is None:
            self._phase = Phase.ENDED

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
            if self._phase in (Phase.JOINED, Phase.LEAVING):
                await self.leave()
                await self._handler_tasks.settle(HANDLER_GRACE)
        finally:
            self.destroy()
            await self.wait_closed()

    # --- what the methods stand on

    async def _rpc(self, method: str, **params: Any) -> Payload:
        self._require(method.rpartition(".")[2])
        assert self._connection is not None
        place = {"room_session_id": self.room_session_id}
        return Payload(await self._connection.request(f"video.{method}", {**place, **params}))

    def _require(self, what: str) -> None:
        if self._phase in (Phase.LEAVING, Phase.ENDED):
            raise SessionEnded(what)
        if not self.active or self._connection is None:
            raise NotJoined(what)

    def _mute_sync(self, kind: Kind) -> MuteSync | None:
        return self._muting.get(kind) if self.active else None

    async def _give_up_joining(self, *, refused: bool) -> None:
        self._muting.close()
        if self._phase is Phase.JOINING and self._call is not None and not refused:
            await self._call.hang_up(timeout=SHORT_BYE)
        await self._release()
        if self._phase is Phase.JOINING:
            self._phase = Phase.NEW

    # --- losing the server

    def _connection_changed(self, state: ConnectionState) -> None:
        if state is not ConnectionState.CLOSED:
            return
        if self._phase is Phase.JOINING:
            error = None if self._connection is None else self._connection.error
            self._fail_joining(error or SessionEnded("join"))
        elif self._phase is Phase.JOINED:
            self._room_lost()

    def _fail_joining(self, error: Exception) -> None:
        if self._call is not None:
            self._call.fail(error)
        if self._admission is not None:
            self._admission.fail(error)

    # --- the way out

    def _room_ended(self, ended: JoinRefused) -> None:
        if self._phase is Phase.JOINING:
            self._fail_joining(ended)
        elif self._phase is Phase.JOINED:
            log.info("the server has ended the call: %s", ended.cause)
            self._end(None, bye=None)

    def _room_lost(self) -> None:
        self._end(RECONNECTION_ATTEMPT_TIMEOUT, bye=SHORT_BYE)

    def _end(self, reason: str | None, *, bye: float | None) -> asyncio.Task[None]:
        """Begin to leave.  `bye` is how many seconds to wait for the server's word, None for
        not to say goodbye."""
        if self._teardown is None:
            self._phase = Phase.LEAVING
            self._muting.close()
            self._teardown = asyncio.get_running_loop().create_task(
                self._tear_down(reason, bye), name="end of the room session"
            )
        return self._teardown

    async def _tear_down(self, reason: str | None, bye: float | None) -> None:
        connection = self._connection
        reachable = connection is not None and connection.state is not ConnectionState.CLOSED
        if self._call is not None and bye is not None and reachable:
            await self._legs.end(bye)
            await self._call.hang_up(bye)
        await self._release()
        self._phase = Phase.ENDED
        self.emit("room.left", Payload({"reason": reason}))
        self.emit("destroy", self)

    async def _release(self) -> None:
        """End everything of the call.  Whatever fails, the rest is done."""
        call, self._call = self._call, None
        connection, self._connection = self._connection, None
        muting, self._muting = self._muting, Muting()
        self._overlay.bind(None, None)
        steps: list[Callable[[], Any]] = [
            lambda: self._legs.end(None), self._tasks.close, muting.stop
        ]  # fmt: skip
        if call is not None:
            call.on_media = None
            # "destroy" comes last of all, after "room.left".
            call.on_state = lambda s: s is CallState.DESTROY or self.emit(s.value, self)
            steps.append(call.close)
        if connection is not None:
            steps.append(connection.close)
        steps.append(self._devices.close)
        for step in steps:
            try:
                await step()
            except Exception:
                log.exception("ending the session stumbled; it goes on")
        self._recovery = self._admission = None

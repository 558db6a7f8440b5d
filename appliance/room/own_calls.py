"""How the calls of a session are made, of its devices and its connection."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from appliance.media.capture import CameraCapture, MicCapture
from appliance.signaling.connection import Connection

from .call import Call, Leg
from .device_methods import SpeakerMethods
from .devices import Devices
from .events import SUBSCRIBE
from .handover import Handover
from .home import Home
from .legs import LegMaker
from .methods import RoomMethods
from .muting import Kind
from .plan import MediaPlan
from .recovery import Recovery
from .tasks import Tasks


class OwnCalls(RoomMethods, SpeakerMethods, Handover):
    """The member's own call, and what the calls of its extra legs stand on."""

    _handler_tasks: Tasks
    _ice_servers: list[dict[str, Any]] | None
    _url: str
    _leg_factory: Callable[..., Leg]
    _stop_while_muted: Mapping[Kind, bool]
    _allow_remote_unmute: bool
    on_microphone: Callable[[MicCapture], Callable[[], None]] | None
    on_camera: Callable[[CameraCapture], Callable[[], None]] | None

    def _home(self) -> Home:
        connection, call = self._connection, self._call
        assert connection is not None
        assert call is not None
        return Home(
            require=self._require,
            rpc=self._rpc,
            signal=connection,
            call_id=lambda: (self._call or call).id,
            state=self._state,
            devices=self._devices,
            make_leg=lambda devices, plan: self._leg_maker(connection, devices, plan)(),
            enter=self._legs.enter,
            changed=self._legs.changed,
            handlers=self._handler_tasks,
            stop_while_muted=self._stop_while_muted,
            allow_remote_unmute=self._allow_remote_unmute,
            on_microphone=self.on_microphone,
            on_camera=self.on_camera,
        )

    def _leg_maker(self, connection: Connection, devices: Devices, plan: MediaPlan) -> LegMaker:
        own_servers = self._ice_servers
        return LegMaker(
            factory=self._leg_factory,
            devices=devices,
            plan=plan,
            ice_servers=lambda: connection.ice_servers if own_servers is None else own_servers,
            url=self._url,
            on_frame=self._overlay.draw if plan.receive_video else None,
        )

    def _make_call(self, connection: Connection, plan: MediaPlan) -> tuple[Call, Recovery]:
        call = Call(
            connection, self._leg_maker(connection, self._devices, plan), subscribe=SUBSCRIBE
        )
        recovery = Recovery(
            call.dial, self._tasks, self.emit, self._room_lost, refresh=connection.reconnect
        )
        call.on_state = lambda state: self.emit(state.value, self)
        call.on_media = recovery.media
        call.on_bye = self._room_ended
        call.on_wishes = self._wished
        shown = plan.send_video and plan.receive_video
        self._overlay.bind(
            *((self._devices.display, self._devices.camera) if shown else (None, None))
        )
        return call, recovery

    async def set_stop_while_muted(self, *, microphone: bool, camera: bool) -> None:
        """Change what the constructor was told of letting go of devices while they are muted."""
        self._stop_while_muted = {"audio": microphone, "video": camera}
        await self._muting.set_stop(self._stop_while_muted)

    def _start_muting(self, plan: MediaPlan) -> None:
        self._muting.start(self._devices, plan, self._tell_mute, self._stop_while_muted)

    async def _tell_mute(self, kind: Kind, muted: bool) -> None:
        await self._member(f"{kind}_{'mute' if muted else 'unmute'}", None)

    def _stream_replaced(self) -> None:
        self._overlay.rebind(self._devices.camera)

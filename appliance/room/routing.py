"""What the server tells a session, brought to whom it concerns."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any

from appliance.signaling import verto
from appliance.signaling.errors import NotFound, ProtocolError, SignalingError
from appliance.signaling.payload import Payload

from .admission import Admission
from .call import Call
from .errors import RoomError
from .events import ALIASES
from .extra_legs import ExtraLegs
from .muting import Muting
from .overlay import LocalOverlay
from .phase import Phase
from .recovery import Recovery
from .state import RoomState
from .tasks import Tasks
from .works import Works

log = logging.getLogger(__name__)


class ServerEvents(ABC):
    """The side of a session that listens to its connection."""

    _phase: Phase
    _state: RoomState
    _tasks: Tasks
    _muting: Muting
    _overlay: LocalOverlay
    _works: Works
    _legs: ExtraLegs
    _call: Call | None
    _next_call: Call | None
    _recovery: Recovery | None
    _admission: Admission | None

    @abstractmethod
    def emit(self, event: str, *args: object) -> bool:
        """Tell the listeners."""

    @abstractmethod
    async def get_members(self) -> Payload:
        """The members now, as `.members`."""

    @abstractmethod
    def _role_changed(self, event: str) -> None:
        """The own member was promoted or demoted."""

    def _server_event(self, event_type: str, params: dict[str, Any]) -> None:
        if event_type == verto.EVENT_TYPE:
            self._verto_event(params)
        elif event_type.startswith("video."):
            event, admission = event_type.removeprefix("video."), self._admission
            if event == "room.subscribed" and self._is_own_call(params):
                if admission is not None:
                    admission.grant(params)
                elif self._phase is Phase.JOINED:
                    self._admitted_as(params)
            elif admission is not None and not admission.pending:
                # The application hears of the room first.
                admission.backlog.append((event, params))
            elif self._phase is Phase.JOINED:
                self._room_event(event, params)

    def _verto_event(self, params: dict[str, Any]) -> None:
        try:
            message = verto.parse(params)
        except ProtocolError as error:
            log.warning("the server sent no proper call message: %s", error)
            return
        for call in (self._call, self._next_call, self._legs.call(message.call_id)):
            if call is not None and call.id == message.call_id:
                call.receive(message)
                return
        log.debug("%s for an unknown call", message.method)

    def _is_own_call(self, params: Mapping[str, Any]) -> bool:
        # While one call takes over from another, the next one is what is waited for.
        call = self._next_call or self._call
        return call is not None and params.get("call_id") == call.id

    def _let_in(
        self, admission: Admission, params: Mapping[str, Any], *, taken_over: bool = False
    ) -> None:
        """The wait of a new call has ended well."""
        self._admission = None
        self._admitted_as(params, taken_over=taken_over)
        for event, payload in admission.backlog:
            self._room_event(event, payload)

    def _admitted_as(self, params: Mapping[str, Any], *, taken_over: bool = False) -> None:
        """The call is a member now: the first time, after it was dialled again, or in place
        of another one."""
        new = self._state.subscribed(params)
        own = self._state.own
        if own is not None:
            self._muting.state_known(own, new=new)
        elif not self._state.is_audience:
            # Until the state is known the gates stay closed.
            self._tasks.start(self._ask_members(), "members")
        if new or taken_over:
            self.emit("room.subscribed", Payload(params))
            self.emit("room.joined", Payload(self._works.with_objects(params)))
        if new:
            self._legs.follow()
        self._emit_all([self._state.members.list_updated()])

    def _room_event(self, event: str, params: dict[str, Any]) -> None:
        if event == "room.subscribed":
            return
        member = params.get("member")
        if event.startswith("member.") and isinstance(member, Mapping):
            self._member_event(event, member)
        emissions = self._state.apply(event, params)
        about_role = event in ("member.promoted", "member.demoted")
        if about_role and self._state.is_own(params.get("member_id")):
            self._role_changed(event)
        if event == "layout.changed":
            self._overlay.place(self._state.member_id, self._state.layers)
        work = self._works.applied(event, params)
        if work is not None:
            self.emit(event, work)
        else:
            self._emit_all(emissions)

    def _member_event(self, event: str, member: Mapping[str, Any]) -> None:
        if event in ("member.joined", "member.updated") and self._state.is_own(member.get("id")):
            self._muting.member_changed(member)
        elif event == "member.joined":
            self._legs.member_joined(member)
        elif event == "member.updated":
            self._legs.member_updated(member)
        elif event == "member.left":
            self._legs.member_left(member)

    def _emit_all(self, emissions: Iterable[tuple[str, dict[str, Any]]]) -> None:
        for event, params in emissions:
            payload = Payload(params)
            self.emit(event, payload)
            if event in ALIASES:
                self.emit(ALIASES[event], payload)

    def _reconnected(self, resumed: bool) -> None:
        if self._phase is not Phase.JOINED or self._recovery is None:
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
            # The room itself has gone.
            members = None
        except (SignalingError, RoomError) as error:
            # The next reconnection asks again.
            log.info("the list of members did not come: %s", error)
            return
        if members is not None and (
            self._state.is_audience
            or any(isinstance(m, Mapping) and self._state.is_own(m.get("id")) for m in members)
        ):
            self._state.members.replace(members)
            if (own := self._state.own) is not None:
                self._muting.state_known(own, new=False)
            self._legs.refreshed(members)
            self._emit_all([self._state.members.list_updated()])
        elif dial_again and self._recovery is not None:
            self._recovery.begin()
        else:
            log.warning("the server's list of members has no place for this one yet")

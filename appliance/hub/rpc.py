"""What clients may ask of a room: one table of methods.

Each request goes through the same three gates, in this order: permission, existence, work. What
fails is answered with a result whose `code` says why: 403, 404, or 422 for a value
that cannot be.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from appliance.hub import rpc_programme
from appliance.hub.calls import Calls
from appliance.hub.errors import Refused
from appliance.hub.members import Member
from appliance.hub.request import (
    Method,
    Outcome,
    Programme,
    Request,
    invalid,
    number,
    position_of,
    positions_of,
)
from appliance.hub.roles import demotion, promotion
from appliance.hub.room import Room
from appliance.hub.room_wire import member_wire
from appliance.hub.sessions import Session
from appliance.hub.tokens import check_meta
from appliance.signaling.layouts import LAYOUTS
from appliance.signaling.permissions import allowed, required
from appliance.signaling.verto import ADMISSION

__all__ = ["METHODS", "call"]


def call(
    session: Session,
    calls: Calls,
    programme: Programme,
    method: str,
    params: Mapping[str, Any],
) -> tuple[dict[str, Any], Callable[[], None] | None] | None:
    """Do one request. Returns the result to send and what to do after; None for no such method."""
    if method == ADMISSION:
        return _admission(session, calls), None
    work = METHODS.get(method)
    if work is None:
        return None
    try:
        room, member = _admitted(session, method, params)
        request = Request(session, room, member, params, calls, programme)
        outcome = work(request) or Outcome()
    except Refused as refusal:
        return {"code": refusal.code, "message": refusal.message}, None
    return {"code": "200", "message": "OK", **outcome.fields}, outcome.then


def _admission(session: Session, calls: Calls) -> dict[str, Any]:
    """Whether the client would get into its room, for one that has another to leave first."""
    answer: dict[str, Any] = {"code": "200", "message": "OK"}
    try:
        calls.admit(session)
    except Refused as refusal:
        answer["refusal"] = {"code": refusal.code, "message": refusal.message}
    return answer


def _admitted(session: Session, method: str, params: Mapping[str, Any]) -> tuple[Room, Member]:
    """The room and the member that a request is about, if it may be. Raises Refused."""
    target = params.get("member_id") if method.startswith("video.member.") else None
    own = {leg.member.id: leg.member for leg in session.legs.values() if leg.member is not None}
    targets_self = target is None or (isinstance(target, str) and target in own)
    if not allowed(method, targets_self, session.scopes):
        raise Refused("403", f"Unauthorized: needs {required(method, targets_self)}")
    room, me = session.room, session.member
    if room is None or me is None:
        raise Refused("404", "Join the room first")
    if params.get("room_session_id", room.session_id) != room.session_id:
        raise Refused("404", "The client is in no such room session")
    member = me
    if method == "video.member.remove" and target is None:
        raise invalid("member_id is missing")
    if target is not None and not (target == "all" and method == "video.member.remove"):
        if not isinstance(target, str):
            raise invalid("member_id must be a string")
        found = room.members.get(target)
        if found is None:
            raise Refused("404", "The member is not in the room")
        member = found
    return room, member


def _set(**changes: Any) -> Method:
    """A method that sets properties of a member."""

    def work(request: Request) -> None:
        request.room.update(request.member, **changes)

    return work


def _set_number(parameter: str, name: str, lowest: int, highest: int) -> Method:
    """A method that sets a property of a member to a number it is given."""

    def work(request: Request) -> None:
        value = number(request.params, parameter, lowest, highest)
        request.room.update(request.member, **{name: value})

    return work


def _set_room(**changes: Any) -> Method:
    """A method that sets properties of the room."""

    def work(request: Request) -> None:
        request.room.update_room(**changes)

    return work


def _video_mute(request: Request) -> None:
    request.room.update(request.member, video_muted=True, visible=False)


def _video_unmute(request: Request) -> None:
    request.room.update(request.member, video_muted=False, visible=request.member.has_video)


def _members(request: Request) -> Outcome:
    room = request.room
    return Outcome({"members": [member_wire(room, member) for member in room.people()]})


def _remove(request: Request) -> Outcome:
    calls, by = request.calls, request.session.who
    # The answer goes first: with the bye the caller's own socket may close.
    if request.params.get("member_id") == "all":
        return Outcome(then=lambda: calls.end_room(request.room, f"{by} has ended the room"))
    return Outcome(then=lambda: calls.remove(request.member, f"{by} has removed it"))


def _promote(request: Request) -> None:
    if request.member.type != "audience":
        raise invalid("only one of the audience can be promoted")
    request.calls.promote(request.member, promotion(request.params))


def _demote(request: Request) -> Outcome:
    member = request.member
    # Who is promoted and not back yet with its new call can be demoted as well.
    on_the_way = member.type == "audience" and member.session.options.join_as == "member"
    if member.type != "member" and not on_the_way:
        raise invalid("only a member can be demoted, with its screens and devices")
    role, calls = demotion(request.params), request.calls
    return Outcome(then=lambda: calls.demote(member, role))


def _list_layouts(_request: Request) -> Outcome:
    return Outcome({"layouts": list(LAYOUTS)})


def _set_layout(request: Request) -> None:
    name = request.params.get("name")
    if not isinstance(name, str) or name not in LAYOUTS:
        raise Refused("404", f"There is no such layout; there are {', '.join(LAYOUTS)}")
    wishes: dict[str, str] = {}
    if request.params.get("positions"):
        if "room.set_position" not in request.session.scopes:
            raise Refused("403", "Unauthorized: needs room.set_position")
        wishes = _positions(request)
    request.room.set_layout(name, wishes)


def _set_positions(request: Request) -> None:
    request.room.place(_positions(request))


def _set_position(request: Request) -> None:
    position = position_of(request.params.get("position"))
    request.room.update(request.member, requested_position=position)


def _prioritize_handraise(request: Request) -> None:
    enable = request.params.get("enable", True)
    if not isinstance(enable, bool):
        raise invalid("enable must be true or false")
    request.room.update_room(prioritize_handraise=enable)


def _get_meta(request: Request) -> Outcome:
    return Outcome({"meta": request.room.meta})


def _set_meta(request: Request) -> None:
    request.room.update_room(meta=_meta(request.params))


def _update_meta(request: Request) -> None:
    merged = {**request.room.meta, **_meta(request.params)}
    request.room.update_room(meta=_checked(merged))


def _delete_meta(request: Request) -> None:
    request.room.update_room(meta=_without(request.room.meta, request.params))


def _get_member_meta(request: Request) -> Outcome:
    return Outcome({"meta": request.member.meta})


def _set_member_meta(request: Request) -> None:
    request.room.update(request.member, meta=_meta(request.params))


def _update_member_meta(request: Request) -> None:
    merged = {**request.member.meta, **_meta(request.params)}
    request.room.update(request.member, meta=_checked(merged))


def _delete_member_meta(request: Request) -> None:
    request.room.update(request.member, meta=_without(request.member.meta, request.params))


METHODS: Final[dict[str, Method]] = {
    "video.members.get": _members,
    "video.list_available_layouts": _list_layouts,
    "video.set_layout": _set_layout,
    "video.set_position": _set_positions,
    "video.hide_video_muted": _set_room(hide_video_muted=True),
    "video.show_video_muted": _set_room(hide_video_muted=False),
    "video.lock": _set_room(locked=True),
    "video.unlock": _set_room(locked=False),
    "video.prioritize_handraise": _prioritize_handraise,
    "video.get_meta": _get_meta,
    "video.set_meta": _set_meta,
    "video.update_meta": _update_meta,
    "video.delete_meta": _delete_meta,
    "video.member.audio_mute": _set(audio_muted=True),
    "video.member.audio_unmute": _set(audio_muted=False),
    "video.member.video_mute": _video_mute,
    "video.member.video_unmute": _video_unmute,
    # Who is made deaf is muted too, and heard again with undeaf, whatever it was before.
    "video.member.deaf": _set(deaf=True, audio_muted=True),
    "video.member.undeaf": _set(deaf=False, audio_muted=False),
    "video.member.set_input_volume": _set_number("volume", "input_volume", -50, 50),
    "video.member.set_output_volume": _set_number("volume", "output_volume", -50, 50),
    "video.member.set_input_sensitivity": _set_number("value", "input_sensitivity", 0, 100),
    "video.member.set_position": _set_position,
    "video.member.raisehand": _set(handraised=True),
    "video.member.lowerhand": _set(handraised=False),
    "video.member.get_meta": _get_member_meta,
    "video.member.set_meta": _set_member_meta,
    "video.member.update_meta": _update_member_meta,
    "video.member.delete_meta": _delete_member_meta,
    "video.member.remove": _remove,
    "video.member.promote": _promote,
    "video.member.demote": _demote,
    **rpc_programme.METHODS,
}


def _positions(request: Request) -> dict[str, str]:
    return positions_of(request, request.params.get("positions"), request.member.id)


def _meta(params: Mapping[str, Any]) -> dict[str, Any]:
    meta = params.get("meta")
    if not isinstance(meta, dict):
        raise invalid("meta must be an object")
    return _checked(meta)


def _checked(meta: dict[str, Any]) -> dict[str, Any]:
    try:
        return check_meta(meta)
    except ValueError as error:
        raise invalid(f"meta {error}") from None


def _without(meta: Mapping[str, Any], params: Mapping[str, Any]) -> dict[str, Any]:
    keys = params.get("keys")
    if not isinstance(keys, list):
        raise invalid("keys must be a list of strings")
    # Anything else than a string names no key.
    gone = {key for key in keys if isinstance(key, str)}
    return {key: value for key, value in meta.items() if key not in gone}

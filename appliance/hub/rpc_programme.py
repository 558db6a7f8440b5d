"""What clients may ask for beside what concerns members: recordings, playbacks and streams."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from appliance.hub.errors import Refused
from appliance.hub.player import LOUDEST, Player
from appliance.hub.request import Method, Outcome, Request, invalid, number, positions_of
from appliance.hub.seating import SHOWING_PLACES
from appliance.hub.urls import UrlError
from appliance.signaling.layouts import AUTO, LAYOUTS, is_position

__all__ = ["METHODS"]

MOST_STREAMS: Final = 8
"""Streams out of one room that members may start: each has a process of its own."""

_LATEST: Final = 365 * 24 * 3600 * 1000
"""Milliseconds: further into a film nobody can go."""


# Recordings


def _start_recording(request: Request) -> Outcome:
    recording = request.programme.recordings.begin(request.room)
    # Older clients look for the id beside the recording.
    return Outcome({"recording": recording, "recording_id": recording["id"]})


def _pause_recording(request: Request) -> None:
    request.programme.recordings.pause(request.room, request.params.get("recording_id"))


def _resume_recording(request: Request) -> None:
    request.programme.recordings.resume(request.room, request.params.get("recording_id"))


def _stop_recording(request: Request) -> None:
    request.programme.recordings.end(request.room, request.params.get("recording_id"))


def _list_recordings(request: Request) -> Outcome:
    return Outcome({"recordings": request.programme.recordings.wire(request.room)})


# Playbacks


def _start_playback(request: Request) -> Outcome:
    params, room = request.params, request.room
    volume = number(params, "volume", -LOUDEST, LOUDEST) if _given(request, "volume") else 0
    position = (
        number(params, "seek_position", 0, _LATEST) if _given(request, "seek_position") else 0
    )
    layout = params.get("layout")
    if layout is not None and (not isinstance(layout, str) or layout not in LAYOUTS):
        raise Refused("404", f"There is no such layout; there are {', '.join(LAYOUTS)}")
    place = AUTO
    wishes: dict[str, str] = {}
    if _given(request, "positions"):
        place, wishes = _places(request)
    playback = request.programme.playbacks.begin(
        room, _url(request), volume=volume, position=position, place=place
    )
    if layout is not None:
        room.set_layout(layout, wishes)
    elif wishes:
        room.place(wishes)
    return Outcome({"playback": playback})


def _control(act: Callable[[Player], None]) -> Method:
    """A method that does something with a playback."""

    def work(request: Request) -> None:
        request.programme.playbacks.control(request.room, request.params.get("playback_id"), act)

    return work


def _set_playback_volume(request: Request) -> None:
    volume = number(request.params, "volume", -LOUDEST, LOUDEST)
    _control(lambda player: player.set_volume(volume))(request)


def _seek_absolute(request: Request) -> None:
    position = number(request.params, "position", 0, _LATEST)
    _control(lambda player: player.seek(position))(request)


def _seek_relative(request: Request) -> None:
    step = number(request.params, "position", -_LATEST, _LATEST)
    # Ahead for a positive number, back for a negative one.
    _control(lambda player: player.forward(step))(request)


def _stop_playback(request: Request) -> None:
    request.programme.playbacks.end(request.room, request.params.get("playback_id"))


def _list_playbacks(request: Request) -> Outcome:
    return Outcome({"playbacks": request.programme.playbacks.wire(request.room)})


# Streams


def _start_stream(request: Request) -> Outcome:
    room, broadcasts = request.room, request.programme.broadcasts
    if len(broadcasts.states(room)) >= MOST_STREAMS:
        raise Refused("409", f"The room has {MOST_STREAMS} streams already; stop one first")
    try:
        state = broadcasts.begin(room, _url(request))
    except UrlError as error:
        raise invalid(str(error)) from None
    return Outcome({"stream": {**_ids(request), **state.to_wire()}})


def _stop_stream(request: Request) -> None:
    stream_id = request.params.get("stream_id")
    broadcasts = request.programme.broadcasts
    if not isinstance(stream_id, str) or not broadcasts.end(request.room, stream_id):
        raise Refused("404", "The room has no such stream")


def _list_streams(request: Request) -> Outcome:
    states = request.programme.broadcasts.states(request.room)
    return Outcome({"streams": [{**_ids(request), **state.to_wire()} for state in states]})


METHODS: Final[dict[str, Method]] = {
    "video.recording.start": _start_recording,
    "video.recording.pause": _pause_recording,
    "video.recording.resume": _resume_recording,
    "video.recording.stop": _stop_recording,
    "video.recording.list": _list_recordings,
    "video.playback.start": _start_playback,
    "video.playback.pause": _control(Player.pause),
    "video.playback.resume": _control(Player.resume),
    "video.playback.set_volume": _set_playback_volume,
    "video.playback.seek_absolute": _seek_absolute,
    "video.playback.seek_relative": _seek_relative,
    "video.playback.stop": _stop_playback,
    "video.playback.list": _list_playbacks,
    "video.stream.start": _start_stream,
    "video.stream.stop": _stop_stream,
    "video.stream.list": _list_streams,
}


def _given(request: Request, name: str) -> bool:
    """Whether a parameter that may be missing is there; null is as good as missing."""
    return request.params.get(name) is not None


def _url(request: Request) -> str:
    url = request.params.get("url")
    if not isinstance(url, str) or not url or len(url) > 2000:
        raise invalid("url must be a string of at most 2000 characters")
    return url


def _places(request: Request) -> tuple[str, dict[str, str]]:
    """Where a new playback is to be seen, which is ``self``, and the places of members."""
    given = request.params.get("positions")
    if not isinstance(given, dict):
        raise invalid("positions must be an object")
    place = given.get("self", AUTO)
    if not isinstance(place, str) or not (is_position(place) or place in SHOWING_PLACES):
        raise invalid("a position is auto, off-canvas, reserved-N, standard-N, or full-screen")
    others = {member_id: one for member_id, one in given.items() if member_id != "self"}
    return place, positions_of(request, others, None)


def _ids(request: Request) -> dict[str, str]:
    return {"room_id": request.room.id, "room_session_id": request.room.session_id}

"""The same calls by `RoomSession` and by the official SDK give the same frames.

Both make the calls of `same_calls` against one hub, and a tape between each of them and the hub
writes down what goes over the wire.  What a client sends in a call is compared key by key, with
these exceptions:

* ids, tokens and the agent have names (`wire_names`), so that it is still compared whose id it is
  that stands somewhere, and that a message's own id is new;
* of an SDP only its outline is compared (`wire_names.described`);
* the order of names in `subscribe` has no meaning;
* answers to events and pings come when the hub asks for them: they are held against what they
  answer, in the tests at the end;
* what differs by intention stands in `DEVIATIONS`.
"""

from __future__ import annotations

import asyncio
import copy
import socket
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from browser import launched
from call_recorder import CallRecord, CallRecorder, Recording
from callers import FPS, HEIGHT, WIDTH, Caller, OwnCaller, SdkCaller, snake
from same_calls import SESSIONS, Call, Session
from sdk_client import PageServer
from wire_tape import Frame, Message

from appliance import room
from appliance.hub.config import HubConfig
from appliance.hub.gateway import Limits
from appliance.hub.server import HubServer
from appliance.room.events import SUBSCRIBE
from hal import registry
from tests.appliance.hub.films import make_sound
from tests.appliance.room.test_surface import METHODS, OBJECTS
from tests.appliance.signaling.golden import difference

PING = 5.0
"""Seconds between the hub's pings, not to wait for one too long."""

BY_CALL = [
    pytest.param(session, number, id=f"{session.name}-{number}-{call.name}")
    for session in SESSIONS
    for number, call in enumerate(session.calls)
]


# What differs by intention.


@dataclass(frozen=True)
class Deviation:
    """Where `RoomSession` means to send something else than the SDK."""

    reason: str
    applies: Callable[[Session, Call], bool]
    #: Turns what the SDK sent into what is expected instead.
    adapt: Callable[[list[Message]], None]


def without(kind: str, frames: list[Message]) -> None:
    """Take a kind of media out of the offers."""
    for frame in frames:
        offer = frame["params"].get("message", {}).get("params", {}).get("sdp", {})
        offer.pop(kind, None)


def subscribed(frames: list[Message], names: Callable[[set[str]], set[str]]) -> None:
    """Change what the member's own call subscribes to."""
    for frame in frames:
        before = frame["params"].get("subscribe", ())
        if "video.room.subscribed" in before:
            frame["params"]["subscribe"] = sorted(names(set(before)))


def without_modify(frames: list[Message]) -> None:
    """Take out what negotiates a call once more."""
    frames[:] = [
        frame
        for frame in frames
        if frame["params"].get("message", {}).get("method") != "verto.modify"
    ]


def without_legs(frames: list[Message]) -> None:
    """Take out what is about extra legs."""
    frames[:] = [
        frame
        for frame in frames
        if not frame["params"]["message"]["params"]["dialogParams"]["additionalDevice"]
    ]


def with_members(frames: list[Message]) -> None:
    """Ask for the members at the end."""
    params = {"room_session_id": "<room session>"}
    request = {"jsonrpc": "2.0", "id": "<fresh>", "method": "video.members.get", "params": params}
    frames.append(request)


LEGS = {"camera", "microphone", "device", "screen", "second screen"}

NO_EVENTS_OF_THE_HUB = {
    "video.memberList.updated",
    "video.room.audienceCount",
    "video.room.left",
}

DEVIATIONS = (
    Deviation(
        "The SDK asks the hub for three events that are made by the client.",
        lambda session, call: session.listens,
        partial(subscribed, names=lambda names: names - NO_EVENTS_OF_THE_HUB),
    ),
    Deviation(
        "The SDK asks for events that have a listener at the join, and never hears of others;"
        " RoomSession asks for all, as a listener may come later.",
        lambda session, call: not session.listens,
        partial(subscribed, names=lambda names: names | set(SUBSCRIBE)),
    ),
    Deviation(
        "The SDK offers sound and picture on every extra leg, and sends nothing for the kind that"
        " it does not have; RoomSession offers what it sends.",
        lambda session, call: call.keep in ("camera", "screen", "second screen"),
        partial(without, "audio"),
    ),
    Deviation(
        "The same for an extra microphone.",
        lambda session, call: call.method == "addMicrophone" or call.on == "microphone",
        partial(without, "video"),
    ),
    Deviation(
        "The SDK negotiates an extra leg anew when its device is changed, to the same end as"
        " before; RoomSession changes devices without a word.",
        lambda session, call: call.on in LEGS and call.method.startswith("update"),
        without_modify,
    ),
    Deviation(
        "The SDK keeps a destroyed leg, and says goodbye for it with the member's own;"
        " RoomSession has freed it.",
        lambda session, call: session.name == "leg destroyed" and call.method == "leave",
        without_legs,
    ),
    Deviation(
        "Events of the time without a connection are lost: RoomSession asks how the room is now,"
        " the SDK goes on with what it knew.",
        lambda session, call: call.method == "cut",
        with_members,
    ),
)


# The recordings.


@pytest.fixture(scope="module")
def recordings(
    tmp_path_factory: pytest.TempPathFactory, chromium_path: str, page_server: PageServer
) -> dict[str, Recording]:
    """What each client did, by "own" and "sdk"."""
    with pytest.MonkeyPatch.context() as patch:
        # What `auto` finds does not depend on the machine that runs the test.
        auto = {
            kind: tuple(choice for choice in choices if choice[0] == "synthetic")
            for kind, choices in registry.AUTO.items()
        }
        patch.setattr(registry, "AUTO", auto)
        patch.delenv("DISPLAY", raising=False)
        return asyncio.run(record(tmp_path_factory.mktemp("hub"), chromium_path, page_server.url))


async def record(folder: Path, chromium_path: str, page_url: str) -> dict[str, Recording]:
    """Let both clients make all calls, one client after the other."""
    (folder / "media").mkdir()
    make_sound(folder / "media" / "tone.wav", 60, 600.0)
    config = HubConfig(listen="127.0.0.1:0", data=folder, width=WIDTH, height=HEIGHT, rate=FPS)
    hub = HubServer(config, limits=Limits(ping=PING), environment={})
    await hub.start()
    try:
        async with launched(chromium_path) as browser:
            callers: tuple[Caller, ...] = (
                OwnCaller(),
                SdkCaller(await browser.new_context(), page_url),
            )
            # It takes connections, and never says a word.
            with socket.create_server(("127.0.0.1", 0)) as server:
                stream = f"rtmp://127.0.0.1:{server.getsockname()[1]}/live/key"
                return {
                    caller.name: await CallRecorder(hub, caller, stream).record(SESSIONS)
                    for caller in callers
                }
    finally:
        await hub.stop()


def adapted(session: Session, call: Call, record: CallRecord) -> CallRecord:
    """What is expected of `RoomSession` where the SDK did this."""
    expected = copy.deepcopy(record)
    for deviation in DEVIATIONS:
        if deviation.applies(session, call):
            deviation.adapt(expected.frames)
    return expected


# The comparison.


@pytest.mark.parametrize(("session", "number"), BY_CALL)
def test_the_same_call_gives_the_same_frames(
    recordings: dict[str, Recording], session: Session, number: int
) -> None:
    own, sdk = (recordings[name].calls[session.name, number] for name in ("own", "sdk"))
    expected = adapted(session, session.calls[number], sdk)
    assert own.outcome == expected.outcome
    assert difference(own.frames, expected.frames, frozenset()) is None


@pytest.mark.parametrize("deviation", DEVIATIONS, ids=lambda deviation: deviation.reason[:40])
def test_every_deviation_is_one(recordings: dict[str, Recording], deviation: Deviation) -> None:
    """What the table excuses is there; else it would have to go."""
    changed = 0
    for session in SESSIONS:
        for number, call in enumerate(session.calls):
            if deviation.applies(session, call):
                frames = recordings["sdk"].calls[session.name, number].frames
                adapted_frames = copy.deepcopy(frames)
                deviation.adapt(adapted_frames)
                changed += adapted_frames != frames
    assert changed > 0


# That nothing is left out.

LISTENERS = {"off", "on", "once", "remove_all_listeners"}
"""What says nothing to anybody but the application itself."""

KEPT = {
    "RoomSessionRecording": {"recording"},
    "RoomSessionPlayback": {"playback"},
    "RoomSessionStream": {"stream"},
    "RoomSessionDevice": LEGS,
    "RoomSessionScreenShare": LEGS,
}
"""The objects of the API, by the names that they are kept under; all legs have the same methods."""


def called(on: set[str | None]) -> set[str]:
    """The methods of these objects that are called, None for the room."""
    calls = [call for session in SESSIONS for call in session.calls if call.by == "client"]
    return {snake(call.method) for call in calls if call.on in on}


def test_every_method_of_the_room_is_called() -> None:
    assert {snake(name) for name in METHODS.split()} - called({None}) == LISTENERS


@pytest.mark.parametrize("name", KEPT)
def test_every_method_of_the_objects_is_called(name: str) -> None:
    names = {snake(one) for one in OBJECTS[name].split()}
    methods = {one for one in names if callable(getattr(getattr(room, name), one))}
    assert methods - called({*KEPT[name]}) <= LISTENERS


# What goes on beside the calls.


def answers(frames: list[Frame], method: str) -> list[tuple[Frame, list[Message]]]:
    """The hub's requests of this method, each with the answers to it."""
    given: dict[str, list[Message]] = {}
    for frame in frames:
        if frame.sender == "client" and not frame.is_request:
            given.setdefault(frame.message["id"], []).append(frame.message)
    return [
        (frame, given.get(frame.message["id"], []))
        for frame in frames
        if frame.sender == "hub" and frame.message.get("method") == method
    ]


def goes_on(session: Session, frame: Frame) -> bool:
    """Whether the client had a socket for long enough to answer this frame."""
    calls = session.calls
    following = calls[frame.call : frame.call + 2]
    return frame.call < len(calls) - 1 and all(call.method != "cut" for call in following)


@pytest.mark.parametrize("client", ["own", "sdk"])
@pytest.mark.parametrize("session", SESSIONS, ids=lambda session: session.name)
def test_every_event_is_acknowledged_once(
    recordings: dict[str, Recording], session: Session, client: str
) -> None:
    for event, given in answers(recordings[client].frames[session.name], "signalwire.event"):
        acknowledgement = {"jsonrpc": "2.0", "id": event.message["id"], "result": {}}
        assert given == [acknowledgement] or (given == [] and not goes_on(session, event))


@pytest.mark.parametrize("client", ["own", "sdk"])
def test_every_ping_is_answered_with_its_time(
    recordings: dict[str, Recording], client: str
) -> None:
    count = 0
    for session in SESSIONS:
        for ping, given in answers(recordings[client].frames[session.name], "signalwire.ping"):
            result = {"timestamp": ping.message["params"]["timestamp"]}
            answer = {"jsonrpc": "2.0", "id": ping.message["id"], "result": result}
            assert given == [answer] or (given == [] and not goes_on(session, ping))
            count += 1
    assert count > 0


@pytest.mark.parametrize("client", ["own", "sdk"])
@pytest.mark.parametrize("session", SESSIONS, ids=lambda session: session.name)
def test_nothing_is_answered_that_nobody_asked(
    recordings: dict[str, Recording], session: Session, client: str
) -> None:
    frames = recordings[client].frames[session.name]
    asked = {one.message["id"] for one in frames if one.sender == "hub" and one.is_request}
    answered = {
        one.message["id"] for one in frames if one.sender == "client" and not one.is_request
    }
    assert answered <= asked

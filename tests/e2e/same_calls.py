"""The calls that both clients make, in the words of the browser's API.

Names in angle brackets stand for ids that each client has to put in as it learnt them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sdk_client import EVENTS
from wire_names import OWN

if TYPE_CHECKING:
    from call_recorder import Stage

HOST, GUEST = "<Host>", "<Guest>"

SMALL = {"width": 320, "height": 180, "frameRate": 10}
LISTENED = (*EVENTS, "room.started", "room.ended")
"""What the SDK is to subscribe to: it asks for what somebody listens to."""


@dataclass(frozen=True)
class Call:
    """One call of a method, or something that happens to the client."""

    method: str
    args: tuple[Any, ...] = ()
    #: The kept object whose method it is; the room's without one.
    on: str | None = None
    #: The name under which the result is kept.
    keep: str | None = None
    #: Keywords that only `RoomSession` has: what the machine is to do where a browser asks.
    own: Mapping[str, Any] = field(default_factory=dict)
    #: Who calls it: the client, or "Host", or "wire" for what befalls the connection: to be cut, or
    #: to carry a ping.
    by: str = "client"
    #: Whether the frames may come in any order.
    unordered: bool = False
    #: What else has to be, beside no frame being due, before the call is over.
    until: Callable[[Stage], bool] = lambda stage: True

    @property
    def name(self) -> str:
        """As a reader would write it."""
        where = "" if self.on is None else f"{self.on}."
        who = "" if self.by == "client" else f"{self.by}: "
        return f"{who}{where}{self.method}({', '.join(map(_shown, self.args))})"


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_shown(one)}" for key, one in value.items()) + "}"
    return str(value).lower() if isinstance(value, bool) else str(value)


def call(method: str, *args: Any, **options: Any) -> Call:
    """A call of a method of the room."""
    return Call(method, args, **options)


def on_each(method: str, **params: Any) -> list[Call]:
    """A member's method on oneself and on another."""
    return [
        call(method, params) if params else call(method),
        call(method, {"memberId": HOST, **params}),
    ]


@dataclass(frozen=True)
class Session:
    """A stay in a room of its own, from its joining to its end."""

    name: str
    calls: tuple[Call, ...]
    #: What is special about the token, and about the constructor.
    token: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    #: Who else is in the room.
    with_host: bool = False
    with_guest: bool = False
    listens: bool = True


JOIN = call("join", {"audio": True, "video": SMALL})


def _closed(stage: Stage) -> bool:
    return not stage.tape.open


def _guest_is(role: str) -> Callable[[Stage], bool]:
    def is_so(stage: Stage) -> bool:
        guest = stage.guest
        return guest is not None and guest.active and guest.interactivity_mode == role

    return is_so


def _said_goodbye(stage: Stage) -> bool:
    """Whether the call before the change of role is over."""
    return any(one.verto.get("method") == "verto.bye" for one in stage.tape.sent(stage.tape.call))


def _pinged(stage: Stage) -> bool:
    return any(one.message.get("method") == "signalwire.ping" for one in stage.tape.frames)


def _renegotiated(stage: Stage) -> bool:
    """Whether the SDK has offered the leg once more, as it does some time after the call."""
    verto = [one.verto.get("method") for one in stage.tape.sent(stage.tape.call)]
    return stage.client != "sdk" or "verto.modify" in verto


def _asked_again(stage: Stage) -> bool:
    """Whether the client is back, on a new socket, and has asked for what it wants to know."""
    last = "signalwire.connect" if stage.client == "sdk" else "video.members.get"
    asked = [one.message.get("method") for one in stage.tape.sent(stage.tape.call)]
    return stage.tape.sockets == 2 and last in asked


LEAVE = call("leave", until=_closed)

MEMBER = (
    JOIN,
    *(
        one
        for method in ("audioMute", "audioUnmute", "videoMute", "videoUnmute", "deaf", "undeaf")
        for one in on_each(method)
    ),
    call("audioUnmute"),
    *on_each("setInputVolume", volume=-10),
    *on_each("setOutputVolume", volume=10),
    *on_each("setMicrophoneVolume", volume=5),
    *on_each("setSpeakerVolume", volume=0),
    *on_each("setInputSensitivity", value=80),
    call("getMembers"),
    call("getMemberList"),
    call("getLayouts"),
    call("getLayoutList"),
    call("setLayout", {"name": "2x2"}),
    call("setLayout", {"name": "3x3", "positions": {"self": "standard-1", HOST: "standard-2"}}),
    call("setPositions", {"positions": {HOST: "auto", OWN: "standard-3"}}),
    *on_each("setMemberPosition", position="off-canvas"),
    *on_each("setMemberPosition", position="auto"),
    call("hideVideoMuted"),
    call("showVideoMuted"),
    call("setHideVideoMuted", True),
    call("setHideVideoMuted", False),
    call("lock"),
    call("unlock"),
    *on_each("setRaisedHand", raised=True),
    *on_each("setRaisedHand", raised=False),
    call("setPrioritizeHandraise", True),
    call("setMeta", {"foo": "bar", "camelCase": {"snake_case": 1}}),
    call("updateMeta", {"memberId": 2, "n": None}),
    call("getMeta"),
    call("deleteMeta", ["foo"]),
    *on_each("setMemberMeta", meta={"email": "a@example.org", "camelCase": True}),
    *on_each("updateMemberMeta", meta={"z": 1}),
    *on_each("getMemberMeta"),
    *on_each("deleteMemberMeta", keys=["z"]),
    call("startRecording", keep="recording"),
    call("pause", on="recording"),
    call("resume", on="recording"),
    call("getRecordings"),
    call("stop", on="recording"),
    call(
        "play",
        {
            "url": "tone.wav",
            "volume": 5,
            "seekPosition": 1000,
            "positions": {"self": "reserved-1"},
            "layout": "1x1",
        },
        keep="playback",
    ),
    call("pause", on="playback"),
    call("resume", on="playback"),
    call("setVolume", -50, on="playback"),
    call("seek", 2000, on="playback"),
    call("seek", -2000, on="playback"),
    call("forward", on="playback"),
    call("forward", 1000, on="playback"),
    call("rewind", on="playback"),
    call("rewind", 1000, on="playback"),
    call("getPlaybacks"),
    call("stop", on="playback"),
    call("play", {"url": "tone.wav"}, keep="second playback"),
    call("stop", on="second playback"),
    call("startStream", {"url": "<stream>"}, keep="stream"),
    call("getStreams"),
    call("stop", on="stream"),
    call("updateCamera", {"width": 640}),
    call("updateMicrophone", {"echoCancellation": False}),
    call("updateSpeaker", {"deviceId": "<speaker>"}),
    call("setLocalStream", "<stream of the client>"),
    call("addCamera", SMALL, keep="camera"),
    *(call(method, on="camera") for method in ("videoMute", "videoUnmute")),
    call("updateCamera", {"width": 640}, on="camera", until=_renegotiated),
    call("leave", on="camera"),
    call("addMicrophone", {"autoJoin": False}, keep="microphone"),
    call("join", on="microphone"),
    call("audioMute", on="microphone"),
    call("audioUnmute", on="microphone"),
    call("updateMicrophone", {"autoGainControl": False}, on="microphone", until=_renegotiated),
    call("setInputVolume", {"volume": 3}, on="microphone"),
    call("setMicrophoneVolume", {"volume": 4}, on="microphone"),
    call("setInputSensitivity", {"value": 60}, on="microphone"),
    call("leave", on="microphone"),
    call("addDevice", {"audio": True, "video": SMALL}, keep="device"),
    call("leave", on="device"),
    call(
        "startScreenShare",
        {"video": SMALL, "layout": "screen-share", "positions": {"self": "reserved-1"}},
        keep="screen",
        own={"source": "synthetic"},
    ),
    call("videoMute", on="screen"),
    call("videoUnmute", on="screen"),
    call("setInputVolume", {"volume": 1}, on="screen"),
    call("leave", on="screen"),
    call(
        "createScreenShareObject",
        {"audio": False, "video": SMALL},
        keep="second screen",
        own={"source": "synthetic"},
    ),
    call("leave", on="second screen"),
    call(
        "promote",
        {
            "memberId": GUEST,
            "mediaAllowed": "audio-only",
            "joinAudioMuted": True,
            "joinVideoMuted": True,
            "permissions": ["room.self.audio_mute"],
            "meta": {"role": "speaker"},
        },
        until=_guest_is("member"),
    ),
    call("demote", {"memberId": GUEST, "mediaAllowed": "all"}, until=_guest_is("audience")),
    call("promote", {"memberId": GUEST}, until=_guest_is("member")),
    call("demote", {"memberId": GUEST}, until=_guest_is("audience")),
    call("audioMute", {"memberId": "nobody"}),
    call("removeMember", {"memberId": HOST}),
    call("removeAllMembers", until=_closed),
)

SESSIONS = (
    Session("member", MEMBER, with_host=True, with_guest=True),
    Session(
        "legs",
        (
            JOIN,
            call("addCamera", SMALL, keep="camera"),
            call("addMicrophone", keep="microphone"),
            call("startScreenShare", {"video": SMALL}, keep="screen", own={"source": "synthetic"}),
            call("leave", unordered=True, until=_closed),
        ),
    ),
    Session(
        "leg destroyed",
        (JOIN, call("addCamera", SMALL, keep="camera"), call("destroy", on="camera"), LEAVE),
    ),
    Session("sound", (call("join", {"audio": True, "video": False}), LEAVE)),
    Session("picture", (call("join", {"audio": False, "video": SMALL}), LEAVE)),
    Session(
        "onlooker",
        (
            call("join", {"audio": True, "sendAudio": False, "sendVideo": False}),
            call("ping", by="wire", until=_pinged),
            LEAVE,
        ),
    ),
    Session(
        "speaker",
        (
            call(
                "join",
                {"audio": True, "video": SMALL, "receiveAudio": False, "receiveVideo": False},
            ),
            LEAVE,
        ),
    ),
    Session(
        "running devices",
        (
            JOIN,
            call("audioMute"),
            call("audioUnmute"),
            call("videoMute"),
            call("videoUnmute"),
            LEAVE,
        ),
        options={"stopCameraWhileMuted": False, "stopMicrophoneWhileMuted": False},
    ),
    Session("muted", (JOIN, call("audioUnmute"), LEAVE), token={"join_audio_muted": True}),
    Session(
        "no rights",
        (JOIN, call("audioMute"), call("play", {"url": "tone.wav"}), LEAVE),
        token={"permissions": []},
    ),
    Session("no listeners", (JOIN, LEAVE), listens=False),
    Session(
        "audience",
        (
            JOIN,
            call("promote", by="Host", until=_said_goodbye),
            call("audioMute"),
            call("demote", by="Host", until=_said_goodbye),
            LEAVE,
        ),
        token={"join_as": "audience"},
        with_host=True,
    ),
    Session("resumed", (JOIN, call("cut", by="wire", until=_asked_again), call("getMeta"), LEAVE)),
    Session(
        "audience resumed",
        (JOIN, call("cut", by="wire", until=_asked_again), call("getMembers"), LEAVE),
        token={"join_as": "audience"},
        with_host=True,
    ),
    Session("refused", (call("join", {"audio": True}),), token={"forged": True}),
    Session("destroyed", (JOIN, call("destroy"))),
)

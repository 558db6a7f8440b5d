"""The API: every name that its reference gives, and so everything that needs a scenario.

What the room's own reference lists stands in the first groups; the last ones are of the objects
that it hands out.  Names of those are written `RoomSessionRecording.pause`.
"""

from __future__ import annotations

OPTIONS = """
    token rootElement applyLocalVideoOverlay iceServers localStream logLevel speakerId
    stopCameraWhileMuted stopMicrophoneWhileMuted audio video
"""

PROPERTIES = """
    active cameraId cameraLabel deviceList interactivityMode localAudioTrack localStream
    localVideoTrack localOverlay memberId microphoneId microphoneLabel permissions previewUrl
    remoteStream roomId roomSessionId screenShareList
"""

METHODS = """
    addCamera addDevice addMicrophone audioMute audioUnmute createScreenShareObject deaf
    deleteMemberMeta deleteMeta demote destroy getLayouts getMembers getMemberMeta getMeta
    getPlaybacks getRecordings getStreams hideVideoMuted join leave off on once play promote
    removeAllListeners removeAllMembers removeMember setHideVideoMuted setInputSensitivity
    setInputVolume setLayout setLocalStream setMemberMeta setMemberPosition setMeta setOutputVolume
    setPositions showVideoMuted startRecording startScreenShare startStream undeaf updateCamera
    updateMemberMeta updateMeta updateMicrophone updateSpeaker videoMute videoUnmute
"""

JOIN_OPTIONS = "audio video receiveAudio receiveVideo sendAudio sendVideo"

EVENTS = """
    camera.disconnected camera.updated layout.changed media.connected media.disconnected
    media.reconnecting member.demoted member.joined member.left member.promoted member.talking
    member.updated memberList.updated microphone.disconnected microphone.updated playback.ended
    playback.started playback.updated recording.ended recording.started recording.updated
    room.audience_count room.joined room.left room.updated speaker.disconnected speaker.updated
    stream.ended stream.started
"""

TYPES = "VideoLayoutLayer VideoPosition VideoPositions"

BEYOND = "lock unlock setRaisedHand setPrioritizeHandraise"

OBJECTS = {
    "RoomSessionRecording": """
        id roomId roomSessionId state duration startedAt endedAt pause resume stop
    """,
    "RoomSessionPlayback": """
        id roomId roomSessionId state url volume position startedAt endedAt
        pause resume stop setVolume seek forward rewind
    """,
    "RoomSessionStream": "id roomId roomSessionId state url duration startedAt endedAt stop",
    "RoomSessionScreenShare": """
        memberId active join leave audioMute audioUnmute videoMute videoUnmute setInputVolume
        setInputSensitivity
    """,
    "RoomSessionDevice": """
        memberId active join leave audioMute audioUnmute videoMute videoUnmute setInputVolume
        setInputSensitivity
    """,
    "LocalOverlay": "mirrored setMirrored",
}

GROUPS: dict[str, tuple[str, ...]] = {
    "Constructor options": tuple(f"option {name}" for name in OPTIONS.split()),
    "Properties": tuple(PROPERTIES.split()),
    "Methods": tuple(METHODS.split()),
    "Options of `join`": tuple(f"join {name}" for name in JOIN_OPTIONS.split()),
    "Events": tuple(EVENTS.split()),
    "Types": tuple(TYPES.split()),
    "Methods beyond the reference": tuple(BEYOND.split()),
    **{
        f"`{owner}`": tuple(f"{owner}.{name}" for name in names.split())
        for owner, names in OBJECTS.items()
    },
}
"""The names of each group, in the order of the table.  A property and an option, or an option of
the constructor and one of `join`, may have the same name: options are told apart by a word before
it."""

ITEMS = frozenset(item for items in GROUPS.values() for item in items)

assert len(ITEMS) == sum(map(len, GROUPS.values())), "a name stands twice"
assert [len(names.split()) for names in (OPTIONS, PROPERTIES, METHODS, EVENTS, TYPES)] == [
    11, 18, 51, 29, 3,
]  # fmt: skip

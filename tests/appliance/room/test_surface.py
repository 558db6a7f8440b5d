"""All that the browser's RoomSession has is here, under its name in snake case."""

from __future__ import annotations

import inspect
import re

import pytest

from appliance import room
from appliance.room import RoomSession

OPTIONS = """token rootElement applyLocalVideoOverlay iceServers localStream logLevel speakerId
stopCameraWhileMuted stopMicrophoneWhileMuted audio video"""

PROPERTIES = """active cameraId cameraLabel deviceList interactivityMode localAudioTrack localStream
localVideoTrack localOverlay memberId microphoneId microphoneLabel permissions previewUrl
remoteStream roomId roomSessionId screenShareList"""

METHODS = """addCamera addDevice addMicrophone audioMute audioUnmute createScreenShareObject deaf
deleteMemberMeta deleteMeta demote destroy getLayouts getMembers getMemberMeta getMeta getPlaybacks
getRecordings getStreams hideVideoMuted join leave off on once play promote removeAllListeners
removeAllMembers removeMember setHideVideoMuted setInputSensitivity setInputVolume setLayout
setLocalStream setMemberMeta setMemberPosition setMeta setOutputVolume setPositions showVideoMuted
startRecording startScreenShare startStream undeaf updateCamera updateMemberMeta updateMeta
updateMicrophone updateSpeaker videoMute videoUnmute"""

PLAIN = {"destroy", "off", "on", "once", "remove_all_listeners"}
"""What returns at once; the others are coroutines, as promises are in the browser."""

OBJECTS = {
    "RoomSessionRecording": "id state duration startedAt endedAt pause resume stop roomId "
    "roomSessionId",
    "RoomSessionPlayback": "id state url volume position seekable startedAt endedAt pause resume "
    "stop setVolume seek forward rewind",
    "RoomSessionStream": "id state url duration startedAt endedAt stop",
    "RoomSessionDevice": "active id memberId roomId roomSessionId localStream localAudioTrack "
    "localVideoTrack cameraId cameraLabel microphoneId microphoneLabel join leave audioMute "
    "audioUnmute videoMute videoUnmute setInputVolume setMicrophoneVolume setInputSensitivity "
    "updateCamera updateMicrophone on once off removeAllListeners destroy",
    "LocalOverlay": "mirrored setMirrored",
}
OBJECTS["RoomSessionScreenShare"] = OBJECTS["RoomSessionDevice"]


def snake(names: str) -> list[str]:
    """Every name in snake case."""
    return [re.sub(r"(?<!^)([A-Z])", r"_\1", name).lower() for name in names.split()]


@pytest.mark.parametrize("name", snake(OPTIONS))
def test_option(name: str) -> None:
    assert name in inspect.signature(RoomSession).parameters


@pytest.mark.parametrize("name", snake(PROPERTIES))
def test_property(name: str) -> None:
    found = inspect.getattr_static(RoomSession, name)
    assert isinstance(found, property)
    assert found.fset is None
    assert found.__doc__


@pytest.mark.parametrize("name", snake(METHODS))
def test_method(name: str) -> None:
    method = getattr(RoomSession, name)
    assert inspect.iscoroutinefunction(method) == (name not in PLAIN)
    assert method.__doc__


@pytest.mark.parametrize(
    ("cls", "name"),
    [(cls, name) for cls, names in OBJECTS.items() for name in snake(names)],
)
def test_object(cls: str, name: str) -> None:
    found = inspect.getattr_static(getattr(room, cls), name)
    assert found.__doc__


def test_exports() -> None:
    assert sorted(room.__all__) == sorted(set(room.__all__))
    assert all(hasattr(room, name) for name in room.__all__)

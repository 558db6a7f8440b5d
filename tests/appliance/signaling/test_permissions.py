"""The names of permissions, and what each method asks for."""

from __future__ import annotations

import pytest

from appliance.signaling.permissions import PERMISSIONS, allowed, required
from tests.appliance.signaling.golden import frames


def test_the_names_that_tokens_carry() -> None:
    for action in ("audio_mute", "video_unmute", "deaf", "undeaf", "set_meta", "lowerhand"):
        assert {f"room.self.{action}", f"room.member.{action}"} <= PERMISSIONS
    assert {"room.self.screenshare", "room.self.additional_source"} <= PERMISSIONS
    assert {"room.member.remove", "room.playback_seek", "room.playback.seek"} <= PERMISSIONS
    assert "room.self.remove" not in PERMISSIONS
    assert len(PERMISSIONS) == 46


@pytest.mark.parametrize(
    ("method", "targets_self", "name"),
    [
        ("video.member.audio_mute", True, "room.self.audio_mute"),
        ("video.member.audio_mute", False, "room.member.audio_mute"),
        # Not the same as for muting, whatever some documents say.
        ("video.member.undeaf", True, "room.self.undeaf"),
        ("video.member.video_unmute", False, "room.member.video_unmute"),
        ("video.member.update_meta", True, "room.self.set_meta"),
        ("video.member.remove", True, "room.member.remove"),
        ("video.member.remove", False, "room.member.remove"),
        ("video.member.promote", False, "room.member.promote"),
        ("video.set_layout", True, "room.set_layout"),
        ("video.set_layout", False, "room.set_layout"),
        ("video.update_meta", True, "room.set_meta"),
        ("video.recording.pause", True, "room.recording"),
        ("video.playback.seek_relative", True, "room.playback"),
        ("video.stream.start", True, "room.stream"),
        ("video.members.get", True, None),
        ("video.get_meta", True, None),
        ("video.member.get_meta", False, None),
        ("video.no_such_method", True, None),
    ],
)
def test_what_is_required(method: str, targets_self: bool, name: str | None) -> None:
    assert required(method, targets_self) == name
    assert name is None or name in PERMISSIONS
    assert allowed(method, targets_self, PERMISSIONS)
    assert allowed(method, targets_self, set()) == (name is None)


def test_every_method_of_the_recording_asks_for_a_known_name() -> None:
    free = {"video.members.get", "video.get_meta", "video.member.get_meta"}
    for frame in frames():
        method = str(frame.message.get("method", ""))
        if not method.startswith("video.") or method == "video.message":
            continue
        for targets_self in (True, False):
            name = required(method, targets_self)
            assert (name in PERMISSIONS) if method not in free else (name is None)


@pytest.mark.parametrize(
    ("method", "name"),
    [
        ("video.member.update_meta", "room.set_meta"),
        ("video.member.delete_meta", "room.set_meta"),
        ("video.playback.seek_absolute", "room.playback_seek"),
        ("video.playback.seek_relative", "room.playback.seek"),
        ("video.stream.start", "room.stream.start"),
    ],
)
def test_other_names_that_do(method: str, name: str) -> None:
    assert allowed(method, False, {name})
    assert not allowed("video.member.set_meta", False, {name})
    assert not allowed("video.stream.stop", False, {name})


def test_meta_of_oneself_takes_one_s_own_permission() -> None:
    assert not allowed("video.member.update_meta", True, {"room.set_meta"})
    assert not allowed("video.member.update_meta", True, {"room.member.set_meta"})
    assert allowed("video.member.update_meta", True, {"room.self.set_meta"})

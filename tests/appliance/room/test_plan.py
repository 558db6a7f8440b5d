"""What is sent and received, by token and wish."""

from __future__ import annotations

from typing import Any

import pytest

from appliance.room import NothingToJoin
from appliance.room.plan import MediaPlan, plan_media

MEMBER = {"join_as": "member", "audio_allowed": "both", "video_allowed": "both"}
AUDIENCE = {**MEMBER, "join_as": "audience"}


def plan(authorization: dict[str, Any], **wishes: Any) -> str:
    """The plan as text: S or s for what is sent, R or r for what is received; video second."""
    made = plan_media(authorization, **wishes)
    return "".join(
        letter if on else "-"
        for letter, on in zip(
            "SSRR",
            (made.send_audio, made.send_video, made.receive_audio, made.receive_video),
            strict=True,
        )
    )


@pytest.mark.parametrize(
    ("authorization", "wishes", "expected"),
    [
        (MEMBER, {}, "SSRR"),
        ({}, {}, "SSRR"),
        (AUDIENCE, {}, "--RR"),
        (AUDIENCE, {"send_audio": True, "send_video": True}, "--RR"),
        (MEMBER, {"video": False}, "S-R-"),
        (MEMBER, {"video": False, "receive_video": True}, "S-RR"),
        (MEMBER, {"audio": False}, "-S-R"),
        (MEMBER, {"send_audio": False}, "-SRR"),
        (MEMBER, {"receive_audio": False, "receive_video": False}, "SS--"),
        (MEMBER, {"video": {"width": 640}}, "SSRR"),
        (MEMBER, {"video": {}}, "SSRR"),
        ({**MEMBER, "video_allowed": "receive"}, {}, "S-RR"),
        ({**MEMBER, "video_allowed": "none"}, {}, "S-R-"),
        ({**MEMBER, "audio_allowed": "none"}, {"audio": True}, "-S-R"),
    ],
)
def test_plan(authorization: dict[str, Any], wishes: dict[str, Any], expected: str) -> None:
    assert plan(authorization, **wishes) == expected


def test_is_made_of_booleans() -> None:
    assert plan_media(MEMBER, video={"width": 1}) == MediaPlan(True, True, True, True)


@pytest.mark.parametrize(
    ("authorization", "wishes"),
    [
        ({**MEMBER, "audio_allowed": "none", "video_allowed": "none"}, {}),
        (MEMBER, {"audio": False, "video": False}),
        (AUDIENCE, {"receive_audio": False, "receive_video": False}),
    ],
)
def test_nothing_left(authorization: dict[str, Any], wishes: dict[str, Any]) -> None:
    with pytest.raises(NothingToJoin, match="join_as") as error:
        plan(authorization, **wishes)
    assert "\n" not in str(error.value)

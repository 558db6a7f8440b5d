"""Every method against the request that the browser SDK sends for it."""

from __future__ import annotations

from typing import Any

import pytest

from appliance.room import NotFound, Payload
from tests.appliance.room.conftest import Stage
from tests.appliance.signaling.golden import frames

# Method, arguments, RPC; the recording tells the rest.
RECORDED: list[tuple[str, tuple[Any, ...], dict[str, Any], str]] = [
    ("get_members", (), {}, "members.get"),
    ("get_member_list", (), {}, "members.get"),
    ("get_layouts", (), {}, "list_available_layouts"),
    ("get_layout_list", (), {}, "list_available_layouts"),
    ("audio_mute", (), {}, "member.audio_mute"),
    ("audio_unmute", (), {}, "member.audio_unmute"),
    ("video_mute", (), {}, "member.video_mute"),
    ("video_unmute", (), {}, "member.video_unmute"),
    ("deaf", (), {}, "member.deaf"),
    ("undeaf", (), {}, "member.undeaf"),
    ("set_input_volume", (-10,), {}, "member.set_input_volume"),
    ("set_microphone_volume", (-10,), {}, "member.set_input_volume"),
    ("set_output_volume", (10,), {}, "member.set_output_volume"),
    ("set_speaker_volume", (), {"volume": 10}, "member.set_output_volume"),
    ("set_input_sensitivity", (), {"value": 80}, "member.set_input_sensitivity"),
    ("set_layout", ("2x2", {"self": "standard-1"}), {}, "set_layout"),
    ("set_positions", ({"x": "auto"},), {}, "set_position"),
    ("set_member_position", ("off-canvas",), {}, "member.set_position"),
    ("hide_video_muted", (), {}, "hide_video_muted"),
    ("show_video_muted", (), {}, "show_video_muted"),
    ("set_hide_video_muted", (True,), {}, "hide_video_muted"),
    ("set_hide_video_muted", (False,), {}, "show_video_muted"),
    ("lock", (), {}, "lock"),
    ("unlock", (), {}, "unlock"),
    ("set_raised_hand", (), {}, "member.raisehand"),
    ("set_raised_hand", (False,), {}, "member.lowerhand"),
    ("set_prioritize_handraise", (True,), {}, "prioritize_handraise"),
    ("set_meta", ({"foo": "bar", "snake_case": 1},), {}, "set_meta"),
    ("update_meta", ({"t": 1},), {}, "update_meta"),
    ("get_meta", (), {}, "get_meta"),
    ("delete_meta", (["foo"],), {}, "delete_meta"),
    ("set_member_meta", ({"email": "a@b"},), {}, "member.set_meta"),
    ("update_member_meta", ({"z": 1},), {}, "member.update_meta"),
    ("get_member_meta", (), {}, "member.get_meta"),
    ("delete_member_meta", (["z"],), {}, "member.delete_meta"),
    ("remove_member", ("nope",), {}, "member.remove"),
    ("start_recording", (), {}, "recording.start"),
    ("get_recordings", (), {}, "recording.list"),
    ("get_playbacks", (), {}, "playback.list"),
    (
        "play",
        ("http://127.0.0.1/x.mp4",),
        {
            "volume": 5,
            "seek_position": 1000,
            "positions": {"self": "reserved-1"},
            "layout": "1x1",
        },
        "playback.start",
    ),
    ("start_stream", ("rtmp://127.0.0.1/x",), {}, "stream.start"),
    ("get_streams", (), {}, "stream.list"),
]


def recorded(method: str) -> dict[str, Any]:
    """The params of the first request of that method which the SDK sent."""
    return next(f.message["params"] for f in frames() if f.kind == method)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(("name", "args", "kwargs", "rpc"), RECORDED)
async def test_as_the_sdk(
    stage: Stage, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], rpc: str
) -> None:
    room = await stage.joined()
    await getattr(room, name)(*args, **kwargs)
    (sent,) = stage.hub.sent(f"video.{rpc}")
    expected = recorded(f"video.{rpc}")
    own = {"room_session_id": room.room_session_id}
    if expected.get("member_id", "nope") != "nope":
        own["member_id"] = room.member_id
    assert sent == expected | own


@pytest.mark.parametrize(
    ("name", "args", "rpc", "params"),
    [
        ("remove_all_members", {}, "member.remove", {"member_id": "all"}),
        ("demote", {"member_id": "oak"}, "member.demote", {"member_id": "oak"}),
        (
            "demote",
            {"media_allowed": "audio-only"},
            "member.demote",
            {"member_id": "self-1", "media_allowed": "audio-only"},
        ),
        (
            "promote",
            {
                "member_id": "oak",
                "media_allowed": "all",
                "join_audio_muted": False,
                "permissions": ("room.lock",),
                "meta": {"k": 1},
            },
            "member.promote",
            {
                "member_id": "oak",
                "media_allowed": "all",
                "join_audio_muted": False,
                "permissions": ["room.lock"],
                "meta": {"k": 1},
            },
        ),
        ("set_layout", {"name": "2x2"}, "set_layout", {"name": "2x2"}),
        (
            "set_member_position",
            {"position": "auto", "member_id": "oak"},
            "member.set_position",
            {"member_id": "oak", "position": "auto"},
        ),
        (
            "set_input_volume",
            {"volume": 5, "member_id": "oak"},
            "member.set_input_volume",
            {"member_id": "oak", "volume": 5},
        ),
    ],
)
async def test_params(
    stage: Stage, name: str, args: dict[str, Any], rpc: str, params: dict[str, Any]
) -> None:
    room = await stage.joined()
    await getattr(room, name)(**args)
    (sent,) = stage.hub.sent(f"video.{rpc}")
    assert sent == {"room_session_id": room.room_session_id, **params}


@pytest.mark.parametrize(
    ("name", "rpc", "field", "value"),
    [
        ("get_layouts", "list_available_layouts", "layouts", ["1x1", "2x2"]),
        ("get_meta", "get_meta", "meta", {"k": {"deep": 1}}),
        ("get_member_meta", "member.get_meta", "meta", {"k": 1}),
    ],
)
async def test_answers(stage: Stage, name: str, rpc: str, field: str, value: Any) -> None:
    room = await stage.joined()
    stage.hub.results[f"video.{rpc}"] = {field: value}
    answer = await getattr(room, name)()
    assert isinstance(answer, Payload)
    assert answer.to_dict() == {field: value}


async def test_members_are_payloads(stage: Stage) -> None:
    room = await stage.joined()
    members = (await room.get_members()).members
    assert [(m.name, m.audio_muted) for m in members] == [("Oak", False), ("Self", False)]


async def test_what_returns_nothing_returns_none(stage: Stage) -> None:
    room = await stage.joined()
    assert await room.set_layout("2x2") is None  # type: ignore[func-returns-value]
    assert await room.delete_meta(["k"]) is None  # type: ignore[func-returns-value]


async def test_unknown_member(stage: Stage) -> None:
    room = await stage.joined()
    with pytest.raises(NotFound):
        await room.audio_mute("nobody")


async def test_arguments_are_checked(stage: Stage) -> None:
    room = await stage.joined()
    with pytest.raises(TypeError):
        await room.remove_member()  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="member_id"):
        await room.remove_member("")
    with pytest.raises(TypeError, match="list of strings"):
        await room.delete_meta("foo")
    assert stage.hub.sent("video.member.remove") == []


@pytest.mark.parametrize("name", ["hide_video_muted", "show_video_muted"])
async def test_deprecated(stage: Stage, name: str) -> None:
    room = await stage.joined()
    with pytest.warns(DeprecationWarning, match="set_hide_video_muted") as warned:
        await getattr(room, name)()
    # It points at the script, not into the library.
    assert warned[0].filename == __file__

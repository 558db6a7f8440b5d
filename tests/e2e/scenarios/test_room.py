"""What concerns the room as a whole: its door, its hands, and what it shows of the muted."""

from __future__ import annotations

from typing import Any

import pytest
from scenarios.client import Refused, room_updated, updated
from scenarios.covering import covers
from scenarios.meeting import Meeting


@covers("lock", "unlock", "room.updated")
async def test_locks_the_room(meeting: Meeting) -> None:
    client, witness = meeting.client, meeting.witness
    before = len(witness.events)
    await client.call("lock")
    await witness.told("room.updated", room_updated(locked=True), before)
    late = await meeting.guest("Late", 4)
    with pytest.raises(Refused):
        await late.join()
    assert witness.count("member.joined", before) == 0
    await client.call("unlock")
    await witness.told("room.updated", room_updated(locked=False), before)
    await meeting.joined("Birch", 5)
    assert witness.count("member.joined", before) == 1


@covers("lock", "unlock", "setPrioritizeHandraise", "setHideVideoMuted")
async def test_does_not_lock_without_permission(meeting: Meeting) -> None:
    birch = await meeting.joined("Birch", 4, permissions=[])
    before = len(meeting.witness.events)
    for method, *wish in (
        ("lock",),
        ("unlock",),
        ("setPrioritizeHandraise", True),
        ("setHideVideoMuted", True),
    ):
        with pytest.raises(Refused) as refused:
            await birch.call(method, *wish)
        assert refused.value.code == "403", method
    assert meeting.witness.count("room.updated", before) == 0


@covers("setRaisedHand", "setPrioritizeHandraise", "member.updated", "room.updated")
async def test_raises_its_hand(meeting: Meeting) -> None:
    client, witness = meeting.client, meeting.witness
    me, other = await client.member_id(), await witness.member_id()
    assert list(witness.layers()) == [other, me]
    before = len(witness.events)
    await client.call("setPrioritizeHandraise", True)
    await witness.told("room.updated", room_updated(prioritize_handraise=True), before)
    await client.call("setRaisedHand", {"raised": True})
    await witness.told("member.updated", updated(me, handraised=True), before)

    def first(member_id: str) -> Any:
        def test(payload: Any) -> bool:
            held = [layer for layer in payload["layout"]["layers"] if layer.get("member_id")]
            return min(held, key=lambda layer: (layer["y"], layer["x"]))["member_id"] == member_id

        return test

    # Its picture has moved to the first place.
    await witness.told("layout.changed", first(me), before)
    await witness.sees_camera(me, client.device)
    await client.call("setRaisedHand", {"raised": False})
    await witness.told("member.updated", updated(me, handraised=False), before)
    before = len(witness.events)
    await client.call("setRaisedHand", {"memberId": other})
    await witness.told("member.updated", updated(other, handraised=True), before)
    await witness.told("layout.changed", first(other), before)
    await witness.sees_camera(other, witness.device)


async def _hides(meeting: Meeting, hide: tuple[Any, ...], show: tuple[Any, ...]) -> None:
    """One who is muted goes by `hide` and comes back by `show`."""
    client, witness = meeting.client, meeting.witness
    other = await witness.member_id()
    await witness.call("videoMute")
    await client.sees_mute_image(other)
    before = len(witness.events)
    await client.call(*hide)
    await witness.told("room.updated", room_updated(hide_video_muted=True), before)
    await witness.told("layout.changed", after=before)

    def places(payload: Any) -> set[str | None]:
        return {one["member_id"] for one in payload["layout"]["layers"] if one["visible"]}

    await witness.told("layout.changed", lambda e: other not in places(e), before)
    me = await client.member_id()
    # The whole canvas is the other's now.
    await witness.sees_camera(me, client.device)
    assert witness.layers()[me].width == 100
    await client.call(*show)
    await witness.told("room.updated", room_updated(hide_video_muted=False), before)
    await client.sees_mute_image(other)
    await witness.sees_mute_image(other)
    await witness.call("videoUnmute")
    await witness.sees_camera(other, witness.device)


@covers("setHideVideoMuted", "room.updated", "layout.changed")
async def test_hides_who_is_muted(meeting: Meeting) -> None:
    await _hides(meeting, ("setHideVideoMuted", True), ("setHideVideoMuted", False))


@covers("hideVideoMuted", "showVideoMuted", "room.updated")
async def test_hides_who_is_muted_by_the_old_names(meeting: Meeting) -> None:
    await _hides(meeting, ("hideVideoMuted",), ("showVideoMuted",))

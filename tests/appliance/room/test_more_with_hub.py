"""Extra legs, changes of role and recordings in a room of Roomlet's own hub."""

from __future__ import annotations

from typing import Any

import pytest

from appliance.room import PermissionDenied
from appliance.signaling.permissions import PERMISSIONS
from hal.camera.synthetic import SyntheticCamera
from tests.appliance.room.conftest import until
from tests.appliance.room.test_with_hub import FIR, OAK, Venue, venue

__all__ = ["venue"]

SMALL: dict[str, Any] = {"width": 320, "frame_rate": 10}
THIRD = 2000.0

pytestmark = pytest.mark.usefixtures("only_virtual")


async def test_extra_legs(venue: Venue) -> None:
    oak = await venue.joined("Oak", OAK)
    fir = await venue.joined("Fir", FIR)

    leg = await oak.room.add_microphone(device_id="synthetic:7")
    camera = SyntheticCamera(device_id=8)
    share = await oak.room.start_screen_share(source=camera, video=SMALL)
    assert oak.room.device_list == [leg]
    assert oak.room.screen_share_list == [share]
    # The others see them as members that belong to Oak.
    await until(lambda: fir.knows(leg.member_id) and fir.knows(share.member_id))
    kinds = {m.id: (m.type, m.parent_id) for m in fir.room.members if m.id != oak.room.member_id}
    assert kinds[leg.member_id] == ("device", oak.room.member_id)
    assert kinds[share.member_id] == ("screen", oak.room.member_id)

    # Each is muted by itself.
    await leg.audio_mute()
    await until(lambda: fir.knows(leg.member_id).audio_muted)
    assert not fir.knows(oak.room.member_id).audio_muted
    await fir.room.video_mute(share.member_id)
    assert share.local_video_track is not None
    await until(lambda: not share.local_video_track.gate.is_open)  # type: ignore[union-attr]
    await share.video_unmute()
    await until(lambda: not fir.knows(share.member_id).video_muted)

    # The screen goes with its source, the microphone when it is told to.
    gone = share.member_id
    camera.unplug()
    await until(lambda: fir.knows(gone) is None)
    assert oak.room.screen_share_list == []
    gone = leg.member_id
    await leg.leave()
    await until(lambda: fir.knows(gone) is None)
    assert oak.room.device_list == []
    assert oak.room.active


async def test_legs_need_a_permission(venue: Venue) -> None:
    oak = await venue.joined("Oak", OAK, ["room.self.audio_mute"])
    with pytest.raises(PermissionDenied):
        await oak.room.add_camera(SMALL)
    with pytest.raises(PermissionDenied):
        await oak.room.start_screen_share(video=SMALL)
    assert oak.room.device_list == oak.room.screen_share_list == []


async def test_thrown_out_with_the_member(venue: Venue) -> None:
    oak = await venue.joined("Oak", OAK)
    fir = await venue.joined("Fir", FIR)
    share = await oak.room.start_screen_share(source="synthetic", video=SMALL)
    await fir.room.remove_member(share.member_id or "")
    await until(lambda: not share.active)
    assert oak.room.active
    again = await oak.room.start_screen_share(source="synthetic", video=SMALL)
    await fir.room.remove_member(oak.room.member_id or "")
    await until(lambda: "room.left" in oak.heard)
    await until(lambda: not again.active)


async def test_promoted_and_demoted(venue: Venue) -> None:
    oak = await venue.joined("Oak", OAK)
    guest = await venue.joined("Guest", FIR, [], join_as="audience")
    await until(lambda: guest.hears(OAK) > -25)
    await oak.room.promote(
        guest.room.member_id or "",
        media_allowed="all",
        permissions=sorted(PERMISSIONS),
    )
    await until(lambda: guest.room.interactivity_mode == "member")
    await until(lambda: guest.microphone.gate.is_open)
    await until(lambda: oak.hears(FIR) > -25)
    await until(lambda: guest.hears(OAK) > -25)
    assert "room.set_layout" in guest.room.permissions
    await guest.room.set_layout("2x2")

    await oak.room.demote(guest.room.member_id)
    await until(lambda: guest.room.interactivity_mode == "audience")
    await until(lambda: not guest.microphone.gate.is_open)
    await until(lambda: guest.heard.count("room.joined") == 3)
    await until(lambda: guest.hears(OAK) > -25 and oak.hears(FIR) < -60)
    assert "room.left" not in guest.heard


async def test_recorded(venue: Venue) -> None:
    oak = await venue.joined("Oak", OAK)
    fir = await venue.joined("Fir", FIR)
    seen: list[Any] = []
    for event in ("recording.started", "recording.updated", "recording.ended"):
        fir.room.on(event, lambda recording, event=event: seen.append((event, recording)))
    recording = await oak.room.start_recording()
    assert recording.state == "recording"
    assert recording.started_at is not None
    await until(lambda: oak.pictures() > 5)
    await recording.pause()
    await until(lambda: recording.state == "paused")
    await recording.resume()
    await until(lambda: recording.state == "recording")
    await recording.stop()
    await until(lambda: recording.state == "completed")
    assert recording.ended_at is not None
    assert recording.ended_at > recording.started_at
    await until(lambda: seen[-1:] and seen[-1][0] == "recording.ended")
    assert len({id(one) for _, one in seen}) == 1
    assert [r.id for r in (await fir.room.get_recordings()).recordings] == [recording.id]

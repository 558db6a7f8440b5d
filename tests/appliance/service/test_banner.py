from __future__ import annotations

import pytest

from appliance.media.gate import Party
from appliance.service.banner import banner
from hal.controls import Status, Tally
from hal.display import Banner


def test_a_call_in_which_all_is_well_is_not_covered() -> None:
    assert banner(Status.IN_ROOM, Tally.LIVE, set(), room="demo") == Banner()


@pytest.mark.parametrize(
    ("closers", "says"),
    [
        ({Party.ROOM}, "Press the button"),
        ({Party.ROOM, Party.REMOTE}, "Muted. Press the button"),
        ({Party.REMOTE}, "Muted by the room"),
        ({Party.CONFIG}, "Muted at its start, as configured. Press the button"),
        ({Party.CONFIG, Party.ROOM}, "Muted. Press the button"),
        ({Party.LATCH, Party.ROOM}, "switch"),
        ({Party.COVER, Party.ROOM}, "Muted by the cover. Open it"),
    ],
)
def test_who_is_muted_reads_how_to_speak(closers: set[Party], says: str) -> None:
    shown = banner(Status.IN_ROOM, Tally.MUTED, closers, room="demo")
    assert shown.muted
    assert says in shown.text


@pytest.mark.parametrize("status", [s for s in Status if s is not Status.IN_ROOM])
def test_everything_else_is_said_with_its_reason(status: Status) -> None:
    shown = banner(status, Tally.OFF, {Party.START}, room="demo", reason="the hub is not there")
    assert shown.text
    assert not shown.muted
    if status is not Status.STARTING:
        assert "the hub is not there" in shown.text
    if status in (Status.JOINING, Status.RECONNECTING):
        assert "demo" in shown.text


def test_what_goes_on_beside_a_call_is_told_in_it() -> None:
    why = "asking attic to let the device in"
    shown = banner(Status.IN_ROOM, Tally.MUTED, {Party.ROOM}, room="demo", reason=why)
    text = "Muted. Press the button to speak. Asking attic to let the device in."
    assert shown == Banner(text, muted=True)


def test_what_is_booked_next_is_told_in_a_call() -> None:
    shown = banner(Status.IN_ROOM, Tally.LIVE, set(), room="demo", booked="Next: Sync at 14:00.")
    assert shown == Banner("Next: Sync at 14:00.")


def test_the_mark_stays_while_the_connection_is_lost() -> None:
    assert banner(Status.RECONNECTING, Tally.MUTED, {Party.ROOM}, room="demo").muted


def test_a_broken_light_is_told() -> None:
    shown = banner(Status.IN_ROOM, Tally.FAULT, {Party.WATCHDOG}, room="demo")
    assert shown == Banner("The controls do not work. The microphone is off.", muted=True)
    closers = {Party.WATCHDOG}
    both = banner(Status.IN_ROOM, Tally.FAULT, closers, room="demo", unlit=True, fails_camera=True)
    assert both == Banner("The controls do not work. Microphone and camera are off.", muted=True)


def test_a_covered_camera_is_told() -> None:
    shown = banner(Status.IN_ROOM, Tally.LIVE, set(), room="demo", covered=True)
    assert shown == Banner("The camera is covered.", muted=False)


def test_a_camera_that_is_off_is_told() -> None:
    shown = banner(Status.IN_ROOM, Tally.MUTED, {Party.ROOM}, room="demo", camera_off=True)
    assert shown == Banner("Muted. Press the button to speak. The camera is off.", muted=True)
    both = banner(Status.IN_ROOM, Tally.LIVE, set(), room="demo", camera_off=True, covered=True)
    assert both.text == "The camera is covered."


def test_a_camera_without_its_light_is_told() -> None:
    shown = banner(Status.IN_ROOM, Tally.LIVE, set(), room="demo", unlit=True, camera_off=True)
    assert shown == Banner("The camera light does not work. The camera is off.", muted=False)


def test_a_hanging_program_is_told() -> None:
    shown = banner(Status.IN_ROOM, Tally.FAULT, {Party.LEASE}, room="demo")
    assert shown == Banner("The device does not answer. The microphone is off.", muted=True)


def test_what_is_missing_is_told_with_the_remedy() -> None:
    shown = banner(Status.IN_ROOM, Tally.LIVE, set(), room="demo", missing={"camera", "speaker"})
    assert shown == Banner("No camera: plug it in. No loudspeaker: plug it in.", muted=False)
    shown = banner(
        Status.IN_ROOM, Tally.MUTED, {Party.UNPLUGGED}, room="demo", missing={"microphone"}
    )
    assert shown == Banner("Nobody hears this room. No microphone: plug it in.", muted=True)


def test_a_room_that_shows_something_else_is_told() -> None:
    shown = banner(Status.IN_ROOM, Tally.MUTED, {Party.ROOM}, room="demo", agreed=False)
    assert shown.text.endswith("The room does not show yet what is muted here.")


@pytest.mark.parametrize("status", list(Status))
def test_the_panel_is_shown_outside_a_call_only(status: Status) -> None:
    link = "http://192.168.7.20:8081/"
    shown = banner(status, Tally.OFF, {Party.START}, room="demo", link=link)
    outside = status in (Status.IDLE, Status.JOINING, Status.FAULT)
    assert shown.link == (link if outside else "")

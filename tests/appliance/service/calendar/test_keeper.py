"""A whole device and its calendar, by what its room sees."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest

from appliance.hub.config import HubConfig
from appliance.hub.server import HubServer
from appliance.service.calendar.meetings import When
from appliance.service.demo import PERMISSIONS
from appliance.service.device import Device
from appliance.service.guest import guest_token
from appliance.service.journal import SECRETS, Message
from appliance.signaling.errors import Disconnected
from hal.controls import Button
from tests.appliance.service.calendar.calendar_server import (
    CalendarServer,
    calendar,
    event,
    served,
)
from tests.appliance.service.conftest import MakeDevice, make_device, settings, token_for, until

__all__ = ["make_device"]

MINUTE = dt.timedelta(minutes=1)


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[HubServer]:
    config = HubConfig(listen="127.0.0.1:0", data=tmp_path / "hub", open_rooms=("demo", "elm"))
    hub = HubServer(config, environment={})
    await hub.start()
    yield hub
    await hub.stop()


@pytest.fixture
async def server() -> AsyncIterator[CalendarServer]:
    async with served() as server:
        yield server


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


async def test_it_comes_for_a_meeting_and_goes_after_it(
    make_device: MakeDevice, server: CalendarServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    began = now() - MINUTE
    server.data = calendar(event("a", began, began + 30 * MINUTE))
    elm = await make_device("Elm", 2)
    oak = await make_device(
        "Oak", 1, policy={"auto_join": False, "quiet_from": "00:00", "quiet_until": "23:59"},
        calendar={"url": server.url, "leave_after_minutes": 0}, joined=False,
    )  # fmt: skip
    await until(elm, lambda state: {one["name"] for one in state.members} == {"Elm", "Oak"})
    assert oak.state().meeting["title"] == "Weekly sync"
    assert oak.state().meeting["when"] == "now"
    assert oak.state().stats["calendar_age_seconds"] < 60
    booked = [r for r in caplog.records if getattr(r, "MESSAGE_ID", "") == Message.BOOKED.value]
    assert "comes by the calendar: Weekly sync" in booked[0].getMessage()
    # Its time is over, and Elm is still there; then Elm goes, and so does it.
    oak.calendar._now = lambda: began + 31 * MINUTE
    await until(oak, lambda state: not state.meeting)
    assert oak.state().status == "in_room"
    elm.presence.hang_up()
    await until(oak, lambda state: state.status == "idle")
    assert "goes by the calendar: the meeting is over" in caplog.text
    assert "canary" not in SECRETS.blacken(caplog.text)


async def test_one_touch_and_an_early_end(make_device: MakeDevice, server: CalendarServer) -> None:
    soon = now() + 5 * MINUTE
    secret = event("s", soon + 60 * MINUTE, soon + 90 * MINUTE, "canary", "CLASS:PRIVATE")
    server.data = calendar(event("a", soon, soon + 30 * MINUTE), secret)
    oak = await make_device(joined=False, policy={"auto_join": False}, calendar={"url": server.url})
    await until(oak, lambda state: bool(state.meeting))
    local = soon.astimezone().strftime("%H:%M")
    said = oak.calendar.sentence()
    assert said == f"Next: Weekly sync at {local}. Press the button to join."
    assert oak.presence.claim(Button.MUTE)
    await until(oak, lambda state: state.status == "in_room")
    oak.calendar._now = lambda: soon + MINUTE
    await until(oak, lambda state: state.meeting.get("when") == "now")
    oak.presence.hang_up()
    await until(oak, lambda state: state.status == "idle" and state.meeting["title"] == "Meeting")
    assert "canary" not in repr(oak.state())


async def test_the_screen_tells_in_a_call_what_is_booked_next(
    make_device: MakeDevice, server: CalendarServer
) -> None:
    soon = now() + 4 * MINUTE
    server.data = calendar(event("a", soon, soon + 30 * MINUTE))
    oak = await make_device(calendar={"url": server.url})
    await until(oak, lambda state: bool(state.meeting))
    local = soon.astimezone().strftime("%H:%M")
    await until(oak, lambda state: state.tally == "live")
    banner = cast("Any", oak.display.display).inner._banner
    assert banner.text == f"Next: Weekly sync at {local}."


async def test_a_meeting_in_another_room(
    make_device: MakeDevice, server: CalendarServer, hub: HubServer
) -> None:
    began = now() - MINUTE
    server.data = calendar(event("a", began, began + 30 * MINUTE, "Far", "X-ROOMLET-ROOM:elm"))
    far = {"token": token_for(hub, "Elm", room_name="elm"), "host": hub.url, "user_name": "Elm"}
    elm = await make_device("Elm", 2, room=far)
    oak = await make_device(
        "Oak", 1, calendar={"url": server.url, "leave_after_minutes": 0}, joined=False
    )
    await until(elm, lambda state: {one["name"] for one in state.members} == {"Elm", "Oak"})
    await until(oak, lambda state: state.room == "elm" and state.visiting)
    # Once it is alone, and the time is over, it goes home, where it lives.
    oak.calendar._now = lambda: began + 31 * MINUTE
    elm.presence.hang_up()
    await until(oak, lambda state: state.room == "demo" and state.status == "in_room")


async def test_one_touch_leads_to_another_room(
    make_device: MakeDevice, server: CalendarServer
) -> None:
    soon = now() + 5 * MINUTE
    server.data = calendar(event("a", soon, soon + 30 * MINUTE, "Far", "X-ROOMLET-ROOM:elm"))
    oak = await make_device(joined=False, policy={"auto_join": False}, calendar={"url": server.url})
    await until(oak, lambda state: state.meeting.get("room") == "elm")
    assert "in elm. Press the button to join." in oak.calendar.sentence()
    oak.press("mute")
    oak.release("mute")
    await until(oak, lambda state: state.room == "elm" and state.status == "in_room")


async def test_a_room_server_that_is_away_at_the_beginning(
    make_device: MakeDevice, server: CalendarServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    async def away_at_first(host: str, room: str, name: str) -> str:
        asked.append(room)
        if len(asked) < 3:
            raise Disconnected("nobody answers")
        return await guest_token(host, room, name)

    monkeypatch.setattr("appliance.service.entry.guest_token", away_at_first)
    monkeypatch.setattr("appliance.service.calendar.keeper.AGAIN", dt.timedelta(0))
    began = now() - MINUTE
    server.data = calendar(event("a", began, began + 30 * MINUTE, "Far", "X-ROOMLET-ROOM:elm"))
    oak = await make_device(joined=False, policy={"auto_join": False}, calendar={"url": server.url})
    await until(oak, lambda state: state.room == "elm" and state.status == "in_room")
    assert asked == ["elm"] * 3
    assert oak.state().errors == []


async def test_an_error_of_ours_does_not_end_the_calendar(
    make_device: MakeDevice, server: CalendarServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr("appliance.service.calendar.keeper.read", broken)
        oak = await make_device(calendar={"url": server.url})
        await until(oak, lambda state: any("calendar is not followed" in e for e in state.errors))
        assert not any(task.done() for task in oak.calendar._tasks)


async def test_without_a_calendar_an_early_end_is_told_to_nobody(
    make_device: MakeDevice, server: CalendarServer, hub: HubServer
) -> None:
    began = now() - MINUTE
    server.data = calendar(event("a", began, began + 30 * MINUTE))
    oak = await make_device(
        "Oak", 1, policy={"auto_join": False}, joined=False, calendar={"url": server.url}
    )
    keeper = oak.calendar
    await until(oak, lambda state: state.status == "in_room")
    await until(oak, lambda state: state.meeting["when"] == "now")
    keeper._config = oak.config.model_copy(
        update={"calendar": oak.config.calendar.model_copy(update={"release": True})}
    )
    oak.presence.hang_up()
    await until(oak, lambda _: bool(keeper._releases))
    (task,) = keeper._releases.values()
    await oak.adopt(settings(hub, "Oak", 1, policy={"auto_join": False}))
    await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()
    assert not keeper._releases


async def test_a_room_that_does_not_let_in_is_told(
    make_device: MakeDevice, server: CalendarServer
) -> None:
    began = now() - MINUTE
    server.data = calendar(event("a", began, began + 30 * MINUTE, "Far", "X-ROOMLET-ROOM:ash"))
    oak = await make_device(joined=False, calendar={"url": server.url})
    await until(oak, lambda state: any("not in ash" in text for text in state.errors))
    await until(oak, lambda state: state.room == "demo" and state.status == "in_room")
    # A look at the calendar takes nothing of it back; the end of the meeting does.
    oak.calendar._tell("")
    assert any("not in ash" in text for text in oak.state().errors)
    # Nobody has ended the meeting, so the calendar is told of no early end.
    for _ in range(2):
        oak.calendar._look()
        assert oak.calendar._plan.when is When.NOW
        assert not oak.calendar._plan.ended
    oak.calendar._now = lambda: began + 31 * MINUTE
    await until(oak, lambda state: not state.errors)


async def test_a_room_that_is_locked_at_the_beginning(
    make_device: MakeDevice,
    server: CalendarServer,
    hub: HubServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("appliance.service.calendar.keeper.AGAIN", dt.timedelta(0))
    may = [*PERMISSIONS, "room.lock", "room.unlock"]
    token = token_for(hub, "Elm", room_name="elm", permissions=may)
    elm = await make_device("Elm", 2, room={"token": token, "host": hub.url, "user_name": "Elm"})
    assert elm.presence.session is not None
    await elm.presence.session.lock()
    began = now() - MINUTE
    server.data = calendar(event("a", began, began + 30 * MINUTE, "Far", "X-ROOMLET-ROOM:elm"))
    oak = await make_device(joined=False, policy={"auto_join": False}, calendar={"url": server.url})
    await until(oak, lambda state: any("the room is locked" in text for text in state.errors))
    await elm.presence.session.unlock()
    await until(oak, lambda state: state.room == "elm" and state.status == "in_room")
    assert oak.state().errors == []


async def test_a_server_that_goes_leaves_the_last_agenda(
    make_device: MakeDevice, server: CalendarServer
) -> None:
    later = now() + 120 * MINUTE
    server.data = calendar(event("a", later, later + 30 * MINUTE))
    oak = await make_device(joined=False, policy={"auto_join": False}, calendar={"url": server.url})
    await until(oak, lambda state: bool(state.meeting))
    server.status = 500
    await _look_again(oak)
    assert oak.state().meeting["title"] == "Weekly sync"
    (error,) = (text for text in oak.state().errors if "calendar" in text)
    assert "answers 500" in error
    assert "what is shown is from" in error
    server.status = 200
    await _look_again(oak)
    assert not [text for text in oak.state().errors if "calendar" in text]


async def _look_again(device: Device) -> None:
    keeper = device.calendar
    told = len(device.state().errors)
    for task in keeper._tasks:
        task.cancel()
    keeper.start()
    await until(device, lambda state: len(state.errors) != told)


async def test_another_calendar_in_place(
    make_device: MakeDevice, server: CalendarServer, hub: HubServer
) -> None:
    later = now() + 120 * MINUTE
    server.data = calendar(event("a", later, later + 30 * MINUTE))
    oak = await make_device()
    assert not oak.state().meeting
    change = {"calendar": {"url": server.url}}
    await oak.adopt(settings(hub, "Oak", 1, **change))
    await until(oak, lambda state: bool(state.meeting) and state.status == "in_room")
    await oak.adopt(settings(hub, "Oak", 1))
    assert not oak.state().meeting

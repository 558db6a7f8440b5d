"""The doctor's look at the calendar."""

from __future__ import annotations

import datetime as dt

from appliance.provisioning import Config
from appliance.service.doctor.calendar import look_at_calendar
from appliance.service.doctor.check import Check, Verdict, examine
from appliance.service.doctor.checklist import Patient, checks
from tests.appliance.service.calendar.calendar_server import calendar, event, served


async def test_what_is_found_of_a_calendar() -> None:
    async with served() as server:
        config = server.config()
        soon = dt.datetime.now(dt.UTC) + dt.timedelta(minutes=5)
        server.data = calendar(event("a", soon, soon + dt.timedelta(hours=1), "canary"))
        found = await look_at_calendar(config)
        assert found.verdict is Verdict.OK
        assert f"1 meetings within 2 days, the next at {soon.astimezone():%a %H:%M}" in found.text
        assert "canary" not in found.text
        often = event("b", soon, soon + dt.timedelta(hours=1), "x", "RRULE:FREQ=SECONDLY")
        server.data = calendar(often)
        assert (await look_at_calendar(config)).verdict is Verdict.WARN
        server.status = 404
        outcome = await examine(Check("calendar", lambda: look_at_calendar(config)))
        assert outcome.failed
        assert "check calendar.url" in outcome.finding.remedy
        assert "canary" not in f"{outcome.finding}"
        assert "calendar" in [check.name for check in checks(Patient(config))]


def test_without_one_there_is_nothing_to_look_at() -> None:
    plain = Config.model_validate({"room": {"host": "ws://h", "token": "t"}})
    assert "calendar" not in [check.name for check in checks(Patient(plain))]

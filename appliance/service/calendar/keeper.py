"""The calendar beside a running device: looks for it, and has the device come and go."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import random
from collections.abc import Callable
from typing import Final, Protocol

from appliance.provisioning import Config, ConfigError
from appliance.service.calendar.meeting import Meeting
from appliance.service.calendar.meetings import Meetings, Plan, When
from appliance.service.calendar.place import elsewhere, hosts_of
from appliance.service.calendar.reader import CalendarError, read
from appliance.service.calendar.source import Source
from appliance.service.journal import Message

log = logging.getLogger(__name__)

LOOK_EVERY: Final = 1.0
"""Seconds between two looks at what is on."""

RETRY: Final = 15.0
"""Seconds that the wait grows from while nobody answers."""

BEHIND: Final = dt.timedelta(hours=1)
AHEAD: Final = dt.timedelta(days=2)
"""What of the calendar is read."""


class Guest(Protocol):
    """Who comes and goes: `Presence`."""

    @property
    def idle(self) -> bool:
        """Whether it stays out of its room on purpose."""

    def others(self) -> int | None:
        """How many others are in the room; None outside of it."""

    def book(self) -> None:
        """Come in."""

    def dismiss(self, why: str, /) -> None:
        """Go."""


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


class Keeper:
    """Follows the calendar of `config`, of which there may be none.

    `room` gives the name of the device's own room.  `remark` gets what is wrong with the calendar,
    None when all is well; `changed` is called when there is something else to show.
    """

    def __init__(
        self,
        config: Config,
        guest: Guest,
        room: Callable[[], str],
        *,
        remark: Callable[[str | None], None] = lambda _: None,
        changed: Callable[[], None] = lambda: None,
        now: Callable[[], dt.datetime] = _now,
        every: float = LOOK_EVERY,
    ) -> None:
        self._config = config
        self._guest = guest
        self._room = room
        self._remark = remark
        self._changed = changed
        self._now = now
        self._every = every
        self.meetings: Final = Meetings(config.calendar)
        self._agenda: tuple[Meeting, ...] = ()
        self._read_at: dt.datetime | None = None
        self._parsed_at: dt.datetime | None = None
        """A file that stays the same is read again now and then: its hours move on."""
        self._plan = Plan()
        self._error = ""
        self._running = False
        self._tasks: list[asyncio.Task[None]] = []

    # --- life

    def start(self) -> None:
        """Begin, on the running loop."""
        self._running = True
        if self._config.calendar.url is not None:
            self._tasks = [
                asyncio.create_task(self._refresh(), name="calendar"),
                asyncio.create_task(self._attend(), name="meetings"),
            ]

    async def stop(self) -> None:
        """End it.  Safe to call twice, or without `start`."""
        self._running = False
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def adopt(self, config: Config) -> None:
        """Go by another configuration from now on."""
        before, self._config = self._config, config
        self.meetings.config = config.calendar
        if before.calendar == config.calendar or not self._running:
            return
        for task in self._tasks:
            task.cancel()
        self._tasks, self._agenda, self._plan = [], (), Plan()
        self._read_at = self._parsed_at = None
        self._tell("")
        self.start()

    # --- what is shown

    def shown(self) -> dict[str, str]:
        """See `PanelState.meeting`."""
        one, when = self._plan.shown, self._plan.when
        if one is None:
            return {}
        begins, ends = one.begins.astimezone(), one.ends.astimezone()
        day = "" if begins.date() == self._now().astimezone().date() else f"{begins:%a} "
        return {
            "title": self._title(one),
            "at": f"{day}{begins:%H:%M}",
            "until": f"{ends:%H:%M}",
            "when": when.value,
            "room": self._elsewhere(one),
        }

    def sentence(self) -> str:
        """What the screen says of it outside a call; empty for nothing."""
        one = self.shown()
        if not one:
            return ""
        title, at, until = one["title"], one["at"], one["until"]
        where = f" in {one['room']}" if one["room"] else ""
        match When(one["when"]):
            case When.NOW:
                text = f"Now: {title} until {until}{where}."
            case When.ENDED:
                return f"{title} has ended."
            case _:
                text = f"Next: {title} at {at}{where}."
        # Only its own room is a press away.
        return text if where or one["when"] == "next" else f"{text} Press the button to join."

    def figures(self) -> dict[str, float]:
        """For the metrics."""
        now, found = self._now(), {}
        if self._read_at is not None:
            found["calendar_age_seconds"] = round((now - self._read_at).total_seconds(), 1)
        following = [one.begins for one in self._agenda if one.begins > now]
        if following:
            found["calendar_next_seconds"] = round((min(following) - now).total_seconds())
        return found

    def _title(self, one: Meeting) -> str:
        plain = one.title and self._config.calendar.show_titles and not one.private
        return one.title if plain else "Meeting"

    def _elsewhere(self, one: Meeting) -> str:
        hosts = hosts_of(self._config.room.host or "", self._config.calendar.hosts)
        return elsewhere(one, self._room(), hosts)

    # --- the calendar

    async def _refresh(self) -> None:
        source, failures = Source(self._config), 0
        while True:
            minutes = self._config.calendar.refresh_minutes
            try:
                await self._look_for(source)
            except (CalendarError, ConfigError) as error:
                failures += 1
                self._tell(str(error))
                wait = min(RETRY * 2.0 ** min(failures - 1, 10), max(900.0, 60.0 * minutes))
            else:
                failures, wait = 0, 60.0 * minutes
                self._tell("")
            # Devices that were switched on together come apart.
            await asyncio.sleep(wait * random.uniform(0.8, 1.0))

    async def _look_for(self, source: Source) -> None:
        begin, end = self._now() - BEHIND, self._now() + AHEAD
        data = await source.fetch(begin, end)
        if data is None and self._fresh():
            self._read_at = self._now()
            return
        if data is None:
            # The same file, but other hours of it.
            source.forget()
            data = await source.fetch(begin, end)
        assert data is not None, "it was asked without conditions"
        try:
            agenda, skipped = await read(data, begin, end, None)
        except CalendarError:
            source.forget()
            raise
        self._agenda, self._read_at, self._parsed_at = agenda, self._now(), self._now()
        if skipped:
            log.warning("%d events of the calendar cannot be understood", skipped)
        self._changed()

    def _fresh(self) -> bool:
        return self._parsed_at is not None and self._now() - self._parsed_at < AHEAD / 4

    def _tell(self, error: str) -> None:
        # The same again is no news.
        if error and error != self._error:
            log.warning("%s", error)
        self._error = error
        if error and self._read_at is not None:
            error = f"{error} (what is shown is from {self._read_at.astimezone():%H:%M})"
        self._remark(error or None)
        self._changed()

    # --- the device

    async def _attend(self) -> None:
        while True:
            self._look()
            await asyncio.sleep(self._every)

    def _look(self) -> None:
        plan = self.meetings.look(
            self._now(),
            self._agenda,
            idle=self._guest.idle,
            others=self._guest.others(),
            stays=self._config.policy.auto_join,
            elsewhere=self._elsewhere,
        )
        before, self._plan = self._plan, plan
        if plan.join is not None:
            title = self._title(plan.join)
            log.info("comes by the calendar: %s", title, extra=Message.BOOKED.extra)
            self._guest.book()
        if plan.leave:
            log.info("goes by the calendar: %s", plan.leave, extra=Message.BOOKED.extra)
            self._guest.dismiss(plan.leave)
        if (before.shown, before.when) != (plan.shown, plan.when):
            self._changed()

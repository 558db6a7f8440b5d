"""The calendar beside a running device: looks for it, and has the device come and go."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import random
from collections.abc import Callable
from typing import Final, Protocol

from appliance.provisioning import Config, ConfigError
from appliance.service.attendance import Failure, Refusal
from appliance.service.calendar.meeting import Meeting
from appliance.service.calendar.meetings import Meetings, Plan, When
from appliance.service.calendar.place import Place, hosts_of, place_of
from appliance.service.calendar.reader import CalendarError, read
from appliance.service.calendar.source import Source
from appliance.service.entry import Entry
from appliance.service.errors import BeingUpdated, ServiceError, VisitEnded
from appliance.service.invitation import Invitation
from appliance.service.journal import Message
from appliance.signaling.errors import NotAdmitted

log = logging.getLogger(__name__)

LOOK_EVERY: Final = 1.0
"""Seconds between two looks at what is on."""

RETRY: Final = 15.0
"""Seconds that the wait grows from while nobody answers."""

AGAIN: Final = dt.timedelta(seconds=30)
"""Until a room server that did not answer, or a room that did not let in, is tried again."""

GRACE: Final = 120.0
"""Seconds from an early end until the server is told: who hung up by mistake is back by then."""

BEHIND: Final = dt.timedelta(hours=1)
AHEAD: Final = dt.timedelta(days=2)
"""What of the calendar is read."""


class Guest(Protocol):
    """Who comes and goes: `Presence`."""

    @property
    def at(self) -> str | None:
        """The room where it is: empty for its own; None while it stays out on purpose."""

    def others(self) -> int | None:
        """How many others are in the room; None outside of it."""

    def book(self) -> None:
        """Come into the own room."""

    async def visit(self, entry: Entry, /) -> None:
        """Go to another room; returns once it is there.  Raises why it is not."""

    def dismiss(self, why: str, /) -> None:
        """Go."""


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


class Keeper:
    """Follows the calendar of `config`, of which there may be none.

    `room` gives the name of the device's own room.  `remark` gets what is wrong with the calendar,
    `missed` why the device is not where a meeting is, None when all is well; `changed` is called
    when there is something else to show.
    """

    def __init__(
        self,
        config: Config,
        guest: Guest,
        room: Callable[[], str],
        *,
        remark: Callable[[str | None], None] = lambda _: None,
        missed: Callable[[str | None], None] = lambda _: None,
        changed: Callable[[], None] = lambda: None,
        now: Callable[[], dt.datetime] = _now,
        every: float = LOOK_EVERY,
    ) -> None:
        self._config = config
        self._guest = guest
        self._room = room
        self._remark = remark
        self._missed = missed
        self._missing: Meeting | None = None
        """The one that the device is not in."""
        self._changed = changed
        self._now = now
        self._every = every
        self.grace = GRACE
        self.again = AGAIN
        self.meetings: Final = Meetings(config.calendar)
        self._agenda: tuple[Meeting, ...] = ()
        self._read_at: dt.datetime | None = None
        self._parsed_at: dt.datetime | None = None
        """A file that stays the same is read again now and then: its hours move on."""
        self._plan = Plan()
        self._error = ""
        self._looked = False
        """Whether the plan is that of a calendar, or of one that cannot be had."""
        self._running = False
        self._tasks: list[asyncio.Task[None]] = []
        self._source: Source | None = None
        self._releases: dict[str, asyncio.Task[None]] = {}
        """By meeting: those that ended early, until they are told to the server, and after."""
        self._ending: list[asyncio.Task[None]] = []
        """Those of a configuration before, which were cancelled."""
        self._visit: asyncio.Task[None] | None = None
        self._hosts = _hosts(config)

    # --- life

    def start(self) -> None:
        """Begin, on the running loop."""
        self._running = True
        if self._config.calendar.url is not None:
            self._source = Source(self._config)
            self._tasks = [
                asyncio.create_task(self._refresh(self._source), name="calendar"),
                asyncio.create_task(self._attend(), name="meetings"),
            ]

    async def stop(self) -> None:
        """End it.  Safe to call twice, or without `start`."""
        self._running = False
        tasks = [
            *self._tasks,
            *self._ending,
            *self._releases.values(),
            *([] if self._visit is None else [self._visit]),
        ]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def adopt(self, config: Config) -> None:
        """Go by another configuration from now on."""
        before, self._config = self._config, config
        self._hosts = _hosts(config)
        self.meetings.config = config.calendar
        if before.calendar == config.calendar or not self._running:
            return
        # What is to be told to the server was decided by other rules, or is another server's.
        tasks = [*self._tasks, *self._releases.values()]
        for task in tasks:
            task.cancel()
        self._ending = [task for task in (*self._ending, *tasks) if not task.done()]
        self._releases, self._source = {}, None
        self._tasks, self._agenda, self._plan = [], (), Plan()
        self._read_at = self._parsed_at = None
        self._looked = False
        self._tell("")
        self._tell_missing(None)
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
            "room": str(self._place(one)),
            "join": self._way(one),
        }

    def sentence(self) -> str:
        """What the screen says of it: the next step outside a call, in one what would be missed.
        Empty for nothing."""
        if self._guest.at is not None:
            return self._notice()
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
        return f"{text} Press the button to join." if self.offered else text

    def _notice(self) -> str:
        one = self._plan.coming
        if one is None:
            return ""
        place = str(self._place(one))
        where = f" in {place}" if place else ""
        if one.begins <= self._now():
            return f"Now: {self._title(one)}{where}."
        return f"Next: {self._title(one)} at {one.begins.astimezone():%H:%M}{where}."

    @property
    def offered(self) -> Meeting | None:
        """The meeting that a press of the button joins."""
        plan = self._plan
        return plan.shown if plan.open and plan.when in (When.SOON, When.NOW) else None

    @property
    def expects(self) -> bool:
        """Whether a meeting that the device may go to is on, or begins soon; also as long as that
        is not known yet."""
        return self._plan.near or (bool(self._tasks) and not self._looked)

    def claim(self) -> bool:
        """Whether a press that calls the device leads to a meeting in another room, and so not
        into its own."""
        one = self.offered
        if one is None or not (room := self._place(one).room):
            return False
        self._go(one, room)
        return True

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

    def _way(self, one: Meeting) -> str:
        place = self._place(one)
        return "" if place.foreign else "visit" if place.room else "home"

    def _place(self, one: Meeting) -> Place:
        return place_of(one, self._room(), self._hosts)

    # --- the calendar

    async def _refresh(self, source: Source) -> None:
        failures = 0
        while True:
            minutes = self._config.calendar.refresh_minutes
            try:
                await self._look_for(source)
            except (CalendarError, ConfigError) as error:
                failures += 1
                self._tell(str(error))
                wait = min(RETRY * 2.0 ** min(failures - 1, 10), max(900.0, 60.0 * minutes))
            except Exception:
                # A fault of ours must not end the calendar for good, unnoticed.
                log.exception("looking for the calendar failed")
                self._tell("the calendar is not followed: an error of the device; see its journal")
                failures, wait = failures + 1, 900.0
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
            agenda, skipped = await read(data, begin, end, None, self._config.calendar.address)
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
            try:
                self._look()
            except Exception:
                log.exception("looking at the meetings failed")
            await asyncio.sleep(self._every)

    def _look(self) -> None:
        plan = self.meetings.look(
            self._now(),
            self._agenda,
            at=self._guest.at,
            others=self._guest.others(),
            stays=self._config.policy.auto_join,
            place=self._place,
        )
        before, self._plan = self._plan, plan
        self._looked = self._read_at is not None or bool(self._error)
        if plan.join is not None:
            title = self._title(plan.join)
            log.info("comes by the calendar: %s", title, extra=Message.BOOKED.extra)
            if room := self._place(plan.join).room:
                self._go(plan.join, room)
            else:
                self._guest.book()
        if plan.leave:
            log.info("goes by the calendar: %s", plan.leave, extra=Message.BOOKED.extra)
            self._guest.dismiss(plan.leave)
        self._release(plan.ended)
        if self._missing is not None and self._missing.ends <= self._now():
            self._tell_missing(None)
        if (before.shown, before.when, before.coming) != (plan.shown, plan.when, plan.coming):
            self._changed()

    def _release(self, ended: tuple[Meeting, ...]) -> None:
        if not self._config.calendar.release:
            return
        keys = {one.key for one in ended}
        for key in [key for key in self._releases if key not in keys]:
            # Somebody came back, or its time is over.
            self._releases.pop(key).cancel()
        for one in ended:
            if one.key not in self._releases:
                work = self._tell_server(one, self._now())
                self._releases[one.key] = asyncio.create_task(work, name="release")

    async def _tell_server(self, one: Meeting, until: dt.datetime) -> None:
        await asyncio.sleep(self.grace)
        assert self._source is not None, "a meeting came from there"
        try:
            await self._source.release(one, until)
        except (CalendarError, ConfigError) as error:
            log.warning("an early end is not told to the calendar: %s", error)
        else:
            log.info("the calendar is told that %s has ended", self._title(one))

    def _go(self, one: Meeting, room: str) -> None:
        if self._visit is not None:
            self._visit.cancel()
        self._visit = asyncio.create_task(self._go_to(one, room), name="meeting")

    async def _go_to(self, one: Meeting, room: str) -> None:
        try:
            await self._guest.visit(Entry(self._config, Invitation(room)))
        except VisitEnded as ended:
            log.info("%s: %s", self._title(one), ended)
        except (*Failure, ServiceError) as error:
            log.warning("not in %s for %s: %s", room, self._title(one), error)
            self._tell_missing(one, f"the device is not in {room} for a meeting: {error}")
            # A room is unlocked, or somebody leaves it; another refusal time alone does not mend.
            late = isinstance(error, (NotAdmitted, BeingUpdated))
            final = isinstance(error, (*Refusal, ServiceError)) and not late
            self.meetings.missed(one, one.ends if final else self._now() + self.again)
        else:
            self._tell_missing(None)

    def _tell_missing(self, one: Meeting | None, text: str | None = None) -> None:
        self._missing = one
        self._missed(text)


def _hosts(config: Config) -> frozenset[str]:
    return hosts_of(config.room.host or "", config.calendar.hosts)

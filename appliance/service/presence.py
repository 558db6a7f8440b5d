"""A device's presence in its room or in another: as the policy has it, and told in its state."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final

from appliance.provisioning.config import PolicyConfig
from appliance.room import RoomSession
from appliance.service.attendance import Attendance, Failure
from appliance.service.duty import Duty
from appliance.service.entry import Entry
from appliance.service.errors import BeingUpdated, VisitEnded
from appliance.service.knock import knock
from appliance.service.policy import Policy
from appliance.service.state import DeviceState
from appliance.service.upkeep import Upkeep
from hal.controls import Button, Status

log = logging.getLogger(__name__)


class Presence:
    """Keeps `state` at what is true of the presence in the room of `home`, or elsewhere.

    `make_session` makes a session of a room's entry and a token; the rest is as in `Attendance`.
    """

    def __init__(
        self,
        config: PolicyConfig,
        state: DeviceState,
        home: Entry,
        make_session: Callable[[Entry, str], RoomSession],
        *,
        on_begin: Callable[[RoomSession], None],
        on_end: Callable[[], Awaitable[None]],
        patient: bool = True,
        upkeep: Upkeep,
    ) -> None:
        self.entry = home
        """The way into the room where the device is, or that it is for."""
        self.home: Final = home
        """The way into the own room."""
        self._state = state
        self._make_session = make_session
        self._on_begin, self._on_end = on_begin, on_end
        self._attendance = self._attend(home, home.token, state.move, patient=patient)
        self._present = self._attendance
        self._duty = Duty(
            Policy(config),
            self._at_home,
            self.others,
            self._stays_out,
            on_change=self._sets_out,
            hold=self._updating,
        )
        self._upkeep = upkeep
        self.booked: Callable[[], bool] = lambda: False
        """Asked whether people are about to come, or should be here."""
        self._bound_for = self._asks_for = ""
        self._destination = home
        """The way into the room of the last visit."""
        self._setting_out: asyncio.Future[None] | None = None
        self._asking: asyncio.Task[None] | None = None
        """Asks at another room, before the device leaves the one that it is in."""
        self._askers: set[asyncio.Task[None]] = set()
        """That one, and those that were given up and still close their connections."""
        self._task: asyncio.Task[None] | None = None

    @property
    def session(self) -> RoomSession | None:
        """The session that is under way."""
        return self._present.session

    @property
    def visiting(self) -> bool:
        """Whether the device is in another room than its own, or on its way there."""
        return self._duty.policy.visiting

    def start(self) -> None:
        """Set out for the room, or stay out of it, on the running loop."""
        self._task = asyncio.create_task(self._duty.run(), name="presence")

    async def wait(self) -> None:
        """Wait until it ends by itself.  Raises what an impatient attendance could not get over."""
        assert self._task is not None, "it is not started"
        await asyncio.shield(self._task)

    async def stop(self) -> None:
        """Leave the room.  Safe to call twice, or without `start`."""
        self._give_up("the device stops")
        tasks = set(self._askers)
        if self._task is not None:
            self._task.cancel()
            tasks.add(self._task)
        await asyncio.gather(*tasks, return_exceptions=True)

    def adopt(self, config: PolicyConfig) -> None:
        """Go by another policy from now on."""
        self._duty.policy.config = config

    def is_in(self, entry: Entry) -> bool:
        """Whether the device is in the room of `entry` already."""
        return self.others() is not None and entry.leads_to(self.entry)

    async def visit(self, entry: Entry) -> None:
        """Go to another room; returns once the device is there, at once where it is already.
        Another word for the own room is the wish to go home, as by `go_home`.

        A room that the device is in is left only once there is a token for the other one, and
        its server takes that.

        Raises Failure where it is not let in, or nobody answers, VisitEnded where somebody here
        thought of something else meanwhile, and BeingUpdated.  The device goes home when a person
        hangs up (and then stays out), by `go_back`, when the room ends or stays empty.
        """
        self._refuse_while_updated()
        self._upkeep.use()
        self._give_up("somebody here chose another room")
        if self.is_in(entry):
            return
        if entry.leads_to(self.home):
            self._duty.called()
            return
        self._asks_for = entry.room
        there = self._setting_out = asyncio.get_running_loop().create_future()
        # Not the caller's: a page that goes away takes nobody's wish back.
        self._asking = asyncio.create_task(self._set_out(entry, there), name="visit")
        self._askers.add(self._asking)
        self._asking.add_done_callback(self._askers.discard)
        await there

    def go_back(self) -> None:
        """End a visit: all is as it was before it.  Nothing where there is none."""
        self._give_up("somebody here ended it")
        self._duty.back()

    def go_home(self) -> None:
        """A person wants the device in its own room."""
        self._give_up("somebody here ended it")
        self._upkeep.use()
        self._duty.called()

    def claim(self, button: Button) -> bool:
        """Whether a press of this button calls the device into its room, and so is nothing else:
        that of the mute button, while the device stays out."""
        if button is not Button.MUTE or not self.waits:
            return False
        self._give_up("somebody here joined the own room")
        self._upkeep.use()
        self._duty.called()
        return True

    @property
    def waits(self) -> bool:
        """Whether the device stays out, until a press of the mute button or a meeting calls it."""
        return self._task is not None and self._duty.idle

    def hang_up(self) -> bool:
        """A person wants the device out of its room.  Says whether it was in it, or on its way."""
        if self._task is None or (self._duty.idle and not self._asks):
            return False
        self._give_up("somebody here hung up")
        self._duty.hung_up()
        if self._state.doing is Status.RECONNECTING:
            # The goodbye may take seconds, and nobody is reconnected to meanwhile.
            self._stays_out("somebody here hung up")
        return True

    @property
    def at(self) -> str | None:
        """The room where the device is or is on its way to: empty for its own, else a name, "?"
        where only a token knows it; None while it stays out.  An update only makes it late."""
        if self._asks:
            return self._asks_for or "?"
        if self.visiting:
            return self._bound_for or "?"
        if self._upkeep.granted:
            return "" if self._duty.wanted else None
        return None if self._task is None or self._duty.idle else ""

    def book(self) -> None:
        """A meeting calls the device into its own room: somebody wished for it, so it is as if they
        had pressed the button, in quiet hours too, and until it is over."""
        if self._task is not None:
            self._give_up("a meeting begins in the own room")
            self._duty.booked()

    def dismiss(self, why: str) -> None:
        """The meeting is over: out of the own room, and home from another one."""
        if self.visiting or self._asks:
            self.go_back()
        elif self._task is not None:
            self._duty.dismissed(why)

    def others(self) -> int | None:
        """How many other people's members are in the room; None outside of one."""
        session = self.session
        if session is None or not session.active:
            return None
        # Screens and further cameras that a device shares are members with a parent.
        people = [one for one in session.members if not one.to_dict().get("parent_id")]
        return len([one for one in people if one.id != session.member_id])

    def _attend(
        self,
        entry: Entry,
        get_token: Callable[[], Awaitable[str]],
        on_status: Callable[[Status, str], None],
        **more: bool,
    ) -> Attendance:
        return Attendance(
            partial(self._make_session, entry),
            get_token,
            on_begin=self._on_begin,
            on_end=self._on_end,
            on_status=on_status,
            **more,
        )

    async def _at_home(self) -> None:
        self._present, self.entry = self._attendance, self.home
        await self._attendance.run()

    @property
    def _asks(self) -> bool:
        """Whether it is not known yet if the device is let in where it is wanted."""
        asking = self._asking
        # One that was given up may still be closing its connection.
        return asking is not None and not asking.done() and not asking.cancelling()

    def _refuse_while_updated(self) -> None:
        if self._upkeep.granted:
            raise BeingUpdated("The device is being updated: try again in a few minutes.")

    async def _set_out(self, entry: Entry, there: asyncio.Future[None]) -> None:
        """Begin a visit, unless that would end a call for nothing."""
        token = None
        try:
            if self.others() is not None:
                with self._told(f"asking {entry.room or 'the other room'} to let the device in"):
                    token = await entry.token()
                    await knock(entry.host, token)
            self._refuse_while_updated()
        except Exception as error:
            log.warning("no visit to %s: %s", entry.room or "another room", error)
            # Whatever it is, whoever waits has to hear of it.
            if not there.done():
                there.set_exception(error)
        else:
            self._bound_for, self._destination = self._asks_for, entry
            self._duty.visit(partial(self._elsewhere, entry, token, there))

    @contextmanager
    def _told(self, what: str) -> Iterator[None]:
        """Say `what` the device does beside being in its room, unless somebody thinks of something
        else meanwhile."""
        self._say(what)
        try:
            yield
        finally:
            if asyncio.current_task() is self._asking:
                self._say("")

    def _say(self, reason: str) -> None:
        if self._state.doing is Status.IN_ROOM:
            self._state.move(Status.IN_ROOM, reason)

    async def _elsewhere(
        self, entry: Entry, token: str | None, there: asyncio.Future[None]
    ) -> None:
        """One visit, with `token` where there is one already.  Returns when it is over."""
        at_hand = [] if token is None else [token]

        async def get_token() -> str:
            return at_hand.pop() if at_hand else await entry.token()

        def moved(status: Status, reason: str) -> None:
            self._state.move(status, reason)
            if status is Status.IN_ROOM and not there.done():
                there.set_result(None)

        self.entry = entry
        self._present = self._attend(entry, get_token, moved, patient=False, visitor=True)
        try:
            await self._present.run()
        except Failure as error:
            log.warning("the visit to %s is over: %s", entry.room or "another room", error)
            if not there.done():
                there.set_exception(error)

    def _give_up(self, why: str) -> None:
        """Whoever waits for a visit to begin waits no longer."""
        if self._asking is not None:
            self._asking.cancel()
            # It takes it back itself only where it has begun, and no other has.
            self._say("")
        there, self._setting_out = self._setting_out, None
        if there is not None and not there.done():
            there.set_exception(VisitEnded(f"The device does not go there: {why}."))

    def _sets_out(self) -> None:
        self.entry = self._destination if self.visiting else self.home
        self._state.move(Status.JOINING)

    def _stays_out(self, reason: str) -> None:
        self.entry = self.home
        self._state.move(Status.UPDATING if self._upkeep.granted else Status.IDLE, reason)

    def _updating(self, wall: dt.datetime) -> str | None:
        """Why the device stays out for an update; None where none is under way."""
        lost = self._state.doing is Status.RECONNECTING
        in_use = self.visiting or self._asks or bool(self.others()) or lost or self.booked()
        return "the device comes back" if self._upkeep.look(wall, in_use=in_use) else None

"""A device's presence in its room: as the policy has it, and told in the device's state."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from appliance.provisioning.config import PolicyConfig
from appliance.room import RoomSession
from appliance.service.attendance import Attendance
from appliance.service.duty import Duty
from appliance.service.policy import Policy
from appliance.service.state import DeviceState
from hal.controls import Button, Status


class Presence:
    """Keeps `state` at what is true of the presence; the rest is as in `Attendance`."""

    def __init__(
        self,
        config: PolicyConfig,
        state: DeviceState,
        make_session: Callable[[str], RoomSession],
        get_token: Callable[[], Awaitable[str]],
        *,
        on_begin: Callable[[RoomSession], None],
        on_end: Callable[[], Awaitable[None]],
        patient: bool = True,
    ) -> None:
        self._state = state
        self._attendance = Attendance(
            make_session,
            get_token,
            on_begin=on_begin,
            on_end=on_end,
            on_status=state.move,
            patient=patient,
        )
        self._duty = Duty(Policy(config), self._attendance.run, self.others, self._stays_out)
        self._task: asyncio.Task[None] | None = None

    @property
    def session(self) -> RoomSession | None:
        """The session that is under way."""
        return self._attendance.session

    def start(self) -> None:
        """Set out for the room, or stay out of it, on the running loop."""
        self._task = asyncio.create_task(self._duty.run(), name="presence")

    async def wait(self) -> None:
        """Wait until it ends by itself.  Raises what an impatient attendance could not get over."""
        assert self._task is not None, "it is not started"
        await asyncio.shield(self._task)

    async def stop(self) -> None:
        """Leave the room.  Safe to call twice, or without `start`."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def adopt(self, config: PolicyConfig) -> None:
        """Go by another policy from now on."""
        self._duty.policy.config = config

    def claim(self, button: Button) -> bool:
        """Whether a press of this button calls the device into its room, and so is nothing else:
        that of the mute button, while the device stays out."""
        if button is not Button.MUTE or self._task is None or not self._duty.idle:
            return False
        self._duty.called()
        return True

    def hang_up(self) -> bool:
        """A person wants the device out of its room.  Says whether it was in it, or on its way."""
        if self._task is None or self._duty.idle:
            return False
        self._duty.hung_up()
        return True

    @property
    def idle(self) -> bool:
        """Whether the device stays out of its room on purpose."""
        return self._task is None or self._duty.idle

    def book(self) -> None:
        """A meeting calls the device into its room: somebody wished for it, so it is as if they had
        pressed the button, in quiet hours too."""
        if self._task is not None:
            self._duty.called()

    def dismiss(self, why: str) -> None:
        """The meeting is over."""
        if self._task is not None:
            self._duty.dismissed(why)

    def others(self) -> int | None:
        """How many other people's members are in the room; None outside of one."""
        session = self.session
        if session is None or not session.active:
            return None
        # Screens and further cameras that a device shares are members with a parent.
        people = [one for one in session.members if not one.to_dict().get("parent_id")]
        return len([one for one in people if one.id != session.member_id])

    def _stays_out(self, reason: str) -> None:
        self._state.move(Status.IDLE, reason)

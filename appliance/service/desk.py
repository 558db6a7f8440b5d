"""Who puts into effect what people change at the device itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from appliance.provisioning import Config
from appliance.provisioning.overrides import Changes


class Desk(Protocol):
    """That of one device.  Lives on its loop."""

    @property
    def lasting(self) -> bool:
        """Whether changes outlive a restart."""

    def config(self) -> Config:
        """The configuration in force, with all changes; reads files for a few ms."""

    def changes(self) -> Mapping[str, Any]:
        """The changes that are in force, as tables of values."""

    @property
    def hindrance(self) -> str:
        """Why the program cannot be begun anew from here, for people; empty where it can."""

    def restart(self) -> None:
        """End the program in order, so that the service manager begins it anew.

        Raises `appliance.panel.Refused` where that would not happen.
        """

    async def change(self, changes: Changes) -> None:
        """Make changes, all or none; returns once the device goes by them.

        Raises `appliance.panel.Refused`; all is as before then.
        """

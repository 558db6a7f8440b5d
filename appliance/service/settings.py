"""Where a running device has its configuration from: one file, or all that is provisioned.

Both answer the same questions; only what is provisioned is put on trial.  See
`appliance.provisioning.provisioner` for the rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Protocol

from appliance.provisioning import Config, ConfigError, Probation
from appliance.provisioning.layers import Layers
from appliance.provisioning.options import check_options
from appliance.provisioning.overrides import Changes, above, changed, panel_part
from appliance.provisioning.provisioner import Provisioner, Running
from appliance.provisioning.source import Key
from appliance.service.named_files import look_at_secrets

UNTIL_THE_END: Final = Path("until the program ends")
"""Stands for the file of changes that are in none."""


class Settings(Protocol):
    """The configuration of this device through time."""

    notes: tuple[str, ...]
    """What people should see of the last `begin`, `reload` or `roll_back`."""

    def begin(self) -> Config:
        """The configuration to start with.  Raises ConfigError and what reads files raises."""

    def reload(self) -> Config:
        """What is in force by now: where a change was refused, what was before, and a note."""

    def catch_up(self) -> Config | None:
        """What another process has put in force since; None if nothing.  Raises as `begin`."""

    def probation(self) -> Probation | None:
        """The trial of what is in force; None where there is none."""

    def now(self) -> float:
        """The clock of the trial."""

    def keep(self) -> None:
        """It has passed."""

    def change(self, key: Key, value: Any) -> None:
        """Keep what people set at the device and what is in force already, above all files; on any
        thread.  Raises ConfigError and StoreError."""

    def roll_back(self, reason: str) -> Config | None:
        """It has failed: what is in force instead, None where there is nothing else."""

    lasting: bool
    """Whether changes made at the device outlive a restart."""

    def changes(self) -> Mapping[str, Any]:
        """The changes made at the device, as tables of values."""

    def override(self, changes: Changes) -> Config:
        """Make changes at the device, all or none; None takes one back.  What is in force then.

        Raises ConfigError for what cannot be, and StoreError.
        """

    def present(self) -> Config:
        """What is in force, with all changes made at the device.  Raises as `begin`."""


class FileSettings:
    """One file, which its owner changes and nobody takes back.  Changes at the device lie above it
    until the program ends."""

    lasting = False

    def __init__(self, path: Path) -> None:
        self._changes: dict[str, Any] = {}
        self.notes: tuple[str, ...] = ()
        self._path = path
        self._layers = Layers([])
        """The file as it was when it was accepted: what its owner is writing is not read until a
        reload."""
        self._config: Config | None = None

    def begin(self) -> Config:
        """See `Settings`."""
        self._layers, self._config = self._read()
        return self._config

    def reload(self) -> Config:
        """See `Settings`."""
        assert self._config is not None, "it has not begun"
        self.notes = ()
        try:
            layers, config = self._read()
        except ConfigError as error:
            self.notes = (f"the new configuration is refused: {error}",)
            return self._config
        self._layers, self._config = layers, config
        try:
            self._config = self._with(self._changes)
        except ConfigError as error:
            self.notes = (f"changes made at the panel are left out: {error}",)
        return self._config

    def _read(self) -> tuple[Layers, Config]:
        """The file as it is now, with a look at its secrets: one that is missing is a mistake now;
        one that goes away later is waited for.  Raises ConfigError."""
        layers = Layers.of_file(self._path)
        config = Config.from_layers(layers)
        check_options(config)
        look_at_secrets(config)
        return layers, config

    def changes(self) -> Mapping[str, Any]:
        """See `Settings`."""
        return self._changes

    def override(self, changes: Changes) -> Config:
        """See `Settings`."""
        values = changed(self._changes, changes)
        self._config = self._with(values)
        self._changes = values
        return self._config

    def present(self) -> Config:
        """See `Settings`."""
        assert self._config is not None, "it has not begun"
        return self._config

    def _with(self, values: Mapping[str, Any]) -> Config:
        """The accepted file with such changes above it.  Raises ConfigError."""
        layers = self._layers
        if values:
            layers = above(layers, panel_part(UNTIL_THE_END, values))
        return Config.from_layers(layers)

    def catch_up(self) -> Config | None:
        """See `Settings`."""
        return None

    def probation(self) -> Probation | None:
        """See `Settings`."""
        return None

    def now(self) -> float:
        """See `Settings`."""
        return 0.0

    def keep(self) -> None:
        """See `Settings`."""

    def change(self, key: Key, value: Any) -> None:
        """Nothing: it is its owner's file."""

    def roll_back(self, reason: str) -> Config | None:
        """See `Settings`."""
        return None


class ProvisionedSettings:
    """What `provisioner` puts together and tries."""

    lasting = True

    def __init__(self, provisioner: Provisioner) -> None:
        self.notes: tuple[str, ...] = ()
        self._provisioner = provisioner
        self._running: Running | None = None

    def begin(self) -> Config:
        """See `Settings`."""
        return self._take(self._provisioner.begin())

    def reload(self) -> Config:
        """See `Settings`."""
        return self._take(self._provisioner.reload())

    def catch_up(self) -> Config | None:
        """See `Settings`."""
        assert self._running is not None, "it has not begun"
        running = self._provisioner.look()
        return None if running.generation == self._running.generation else self._take(running)

    def probation(self) -> Probation | None:
        """See `Settings`."""
        assert self._running is not None, "it has not begun"
        return self._provisioner.probation(self._running)

    def now(self) -> float:
        """See `Settings`."""
        return self._provisioner.now()

    def keep(self) -> None:
        """See `Settings`."""
        assert self._running is not None, "it has not begun"
        self._provisioner.keep(self._running)
        self._running = replace(self._running, on_trial=False)

    def change(self, key: Key, value: Any) -> None:
        """See `Settings`."""
        self._provisioner.override(key, value)

    def roll_back(self, reason: str) -> Config | None:
        """See `Settings`."""
        assert self._running is not None, "it has not begun"
        failed = self._running.generation
        config = self._take(self._provisioner.roll_back(self._running, reason))
        return None if self._running.generation == failed else config

    def changes(self) -> Mapping[str, Any]:
        """See `Settings`."""
        return self._provisioner.changes()

    def override(self, changes: Changes) -> Config:
        """See `Settings`."""
        self._provisioner.change(changes)
        return self._take(self._provisioner.look())

    def present(self) -> Config:
        """See `Settings`."""
        return self._provisioner.look().config

    def _take(self, running: Running) -> Config:
        self._running = running
        self.notes = running.notes
        return running.config

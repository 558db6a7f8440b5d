"""The configuration of a device through time: put together, tried, kept or taken back, renewed.

What the service does with it:

1. At its start, `begin()`: the `Running` configuration.  If it is on trial, `probation()` gives
   the `Probation` that the service tells of its `Health`, when that changes and at its `deadline`.
2. On `Verdict.KEEP`, `keep(running)`.  On `Verdict.ROLL_BACK`, `roll_back(running, reason)`, which
   gives the last good configuration, to be taken over like any other.
3. On SIGHUP (`systemctl reload`), `reload()`: what is in force by now.  `changed_sections` tells
   which parts of the device it touches.  `roomlet provision fetch` runs in a process of its own and
   leaves a new generation for that reload.
4. For a change at the panel, `override(key, value)`, then `reload()`; `status()` is what the panel
   shows of all this.

All methods but `fetch` and `take` do a few milliseconds of file work and may be called on the loop.
"""

from __future__ import annotations

import contextlib
import logging
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

from appliance.provisioning.collecting import Folder
from appliance.provisioning.config import (
    Config,
    ProvisioningConfig,
    UpdatesConfig,
    provisioning_of,
    updates_of,
)
from appliance.provisioning.discovery import discover
from appliance.provisioning.errors import ConfigError, Refused, StoreError
from appliance.provisioning.identity import Identity, identify
from appliance.provisioning.intake import Intake
from appliance.provisioning.layers import Layers
from appliance.provisioning.mirror import Holding, Mirror
from appliance.provisioning.options import check_options
from appliance.provisioning.overrides import Changes, Overrides
from appliance.provisioning.places import (
    DEVICE,
    Places,
    environment_parts,
    lasting_layers,
    panel_parts,
    unconfigured,
)
from appliance.provisioning.probation import Probation
from appliance.provisioning.schedule import (
    boot_id,
    read_schedule,
    uptime,
    write_schedule,
)
from appliance.provisioning.source import Key
from appliance.provisioning.store import Refusal, Store, digest_of
from appliance.provisioning.web import Web

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Running:
    """A configuration that the device goes by."""

    config: Config
    layers: Layers
    """Its files, for the source of each value."""
    generation: int
    on_trial: bool
    notes: tuple[str, ...] = ()
    """What people should see: a change that was refused, an override that does not fit."""


class Status(BaseModel):
    """What the panel and the doctor show."""

    identity: str
    generation: int | None
    last_good: int | None
    on_trial: bool
    refusals: list[Refusal]
    overrides: list[str] = Field(default_factory=list)
    """The keys that were changed at the panel."""


@dataclass(slots=True)
class Provisioner:
    """The configuration of the device whose files are at `places`."""

    places: Places = field(default_factory=Places)
    identity: Identity = field(default_factory=identify)
    now: Callable[[], float] = uptime
    """Seconds since the machine's start."""
    boot: Callable[[], str] = boot_id
    rng: random.Random = field(default_factory=random.SystemRandom)
    store: Store = field(init=False)

    def __post_init__(self) -> None:
        self.store = Store(self.places.state)

    # --- what is in force

    def begin(self) -> Running:
        """The configuration to start with; a start with one on trial is counted.

        Raises ConfigError where the device has never had a configuration that could be used, and
        StoreError.
        """
        running = self.reload()
        if running.on_trial:
            self.store.count_start()
        return running

    def reload(self) -> Running:
        """The configuration in force, with what has changed in its files meanwhile.

        A change that cannot be is refused, told in `notes`, and leaves all as it was.
        Raises as `begin`.
        """
        notes = []
        try:
            self.propose()
        except (ConfigError, Refused) as error:
            if self.store.state().current is None:
                raise
            notes.append(f"the new configuration is refused: {error}")
        return self._running(tuple(notes), settle=True)

    def look(self) -> Running:
        """What is in force, for others than the service: nothing is changed by it.

        Before a device's first start, what it would be.  Raises as `begin`.
        """
        if self.store.state().current is not None:
            return self._running(())
        layers = lasting_layers(self.places, self.identity, self._mirror.read())
        config, layers, notes = self._with_overrides(layers)
        return Running(config, layers, 0, True, tuple(notes))

    def updates(self) -> UpdatesConfig:
        """What is in force about updates, for others than the service; where nothing is, what the
        files say, even of a device that was never told its room.  Raises ConfigError and
        StoreError."""
        if self.store.state().current is not None:
            return self._running(()).config.updates
        layers = lasting_layers(self.places, self.identity, self._mirror.read())
        return updates_of(Layers([*layers.parts, *panel_parts(self.places)]))

    def _running(self, notes: tuple[str, ...], *, settle: bool = False) -> Running:
        """The first of the kept ones that can be; with `settle` one that cannot, as after an update
        of the program, counts as failed from now on."""
        state, wrong = self.store.state(), None
        if state.current is None:
            raise ConfigError(f"there is no configuration yet; write {self.places.local / DEVICE}")
        for generation, layers in self._kept():
            try:
                config, layers, more = self._with_overrides(layers)
            except ConfigError as error:
                wrong = wrong or error
                continue
            if wrong is not None:
                failed = f"configuration {state.current} can no longer be used ({wrong})"
                notes = (*notes, f"{failed}; configuration {generation} is in force")
                if settle:
                    self.store.roll_back(state.current, f"it can no longer be used: {wrong}")
            on_trial = state.on_trial and generation == state.current
            return Running(config, layers, generation, on_trial, (*notes, *more))
        raise wrong or StoreError(f"{self.store.folder}: no generation can be read; check the disk")

    def _kept(self) -> Iterator[tuple[int, Layers]]:
        """What the device may go by, as far as it can be read: the one in force comes first."""
        state = self.store.state()
        for generation in dict.fromkeys((state.current, state.last_good)):
            layers = None if generation is None else self.store.layers(generation)
            if generation is not None and layers is not None:
                yield generation, layers

    def _can_be(self, layers: Layers) -> bool:
        try:
            self._checked(layers)
        except ConfigError:
            return False
        return True

    def propose(self, *, again: bool = False) -> int | None:
        """Put the files as they are now in force, on trial; None if nothing is new.

        Raises ConfigError, and remembers it: what was refused, or did not lead to a working
        device, is not tried again until a file changes, or somebody asks for it with `again`.
        """
        try:
            layers = lasting_layers(self.places, self.identity, self._mirror.read())
        except ConfigError as error:
            self.store.refuse("", str(error))
            raise
        digest, state = digest_of(layers), self.store.state()
        for refusal in () if again else state.refusals:
            if refusal.digest == digest and refusal.generation is None:
                raise Refused(refusal.reason)
            if refusal.digest == digest:
                return None
        current = None if state.current is None else self.store.layers(state.current)
        if current is not None and digest_of(current) == digest:
            return None
        try:
            check_options(self._checked(layers))
        except ConfigError as error:
            # That a device was never told its room is no mistake of anybody's.
            if "room" in layers.values:
                self.store.refuse(digest, str(error))
            raise
        generation = self.store.apply(layers)
        log.info("configuration %d is in force, on trial", generation)
        return generation

    # --- probation

    def probation(self, running: Running) -> Probation | None:
        """The trial of a configuration that has to prove itself; None for one that has."""
        if not running.on_trial:
            return None
        duration = float(running.config.provisioning.probation)
        starts = self.store.state().starts
        return Probation(now=self.now(), duration=duration, starts=starts)

    def keep(self, running: Running) -> None:
        """It has proved itself: the last good one from now on."""
        self.store.keep(running.generation)
        log.info("configuration %d is good", running.generation)

    def roll_back(self, running: Running, reason: str) -> Running:
        """Bring the last good configuration back.  Where there is none, this one stays."""
        state = self.store.roll_back(running.generation, reason, self._can_be)
        log.error(
            "configuration %d failed (%s); configuration %s is in force",
            running.generation,
            reason,
            state.current,
        )
        return self.reload()

    # --- changes at the device

    def override(self, key: Key, value: Any) -> None:
        """Change a value at the device, above all files; None takes the change back.

        Raises ConfigError for a key or value that cannot be, and StoreError.
        """
        self.change({tuple(key): value})

    def change(self, changes: Changes) -> None:
        """Change several values, all or none; else as `override`."""
        # A file that somebody is writing is none of this matter, so it is not looked at.
        Overrides(self.places.overrides).change(changes, self.look().layers)

    def changes(self) -> dict[str, Any]:
        """What is changed at the device.  Nothing where that cannot be read."""
        try:
            return Overrides(self.places.overrides).values()
        except ConfigError:
            return {}

    def status(self) -> Status:
        """What has become of the configurations."""
        state = self.store.state()
        try:
            keys = Overrides(self.places.overrides).keys()
        except ConfigError:
            keys = []
        return Status(
            identity=str(self.identity),
            generation=state.current,
            last_good=state.last_good,
            on_trial=state.on_trial,
            refusals=state.refusals,
            overrides=keys,
        )

    # --- new ones

    async def fetch(self, *, when_due: bool = False, force: bool = False) -> int | None:
        """Look at the web servers; the generation that came of it, None if nothing is new.

        With `when_due`, for a timer, only if the schedule says so.  Raises Unreachable, Refused,
        ConfigError and StoreError; the device goes on as it was.
        """
        schedule = read_schedule(self.places.schedule)
        boot, now = self.boot(), self.now()
        if when_due and not schedule.is_due(boot, now):
            return None
        settings = self._settings()
        urls = [*settings.urls, *await discover(settings.discover)]
        if not urls or settings.public_key is None:
            return None
        answered = False
        try:
            async with Web(settings.ca_file, settings.proxy) as web:
                folders = [web.folder(url) for url in dict.fromkeys(urls)]
                sources = [(folder.name, folder) for folder in folders]
                await self._intake.take(
                    sources, self.identity.names, "web", settings.public_key, force=force
                )
            answered = True
        except Refused:
            answered = True
            raise
        finally:
            interval = float(settings.interval)
            following = schedule.after(boot, now, interval, answered=answered, rng=self.rng)
            try:
                write_schedule(self.places.schedule, following)
            except OSError as error:
                log.warning("%s: %s", self.places.schedule, error.strerror)
        return self.propose(again=force)

    async def take(self, folder: Path, *, force: bool = False) -> int | None:
        """Take signed files from a folder, as on a USB stick; else as `fetch`.

        Refused unless the configuration allows it; `force` lets older files through.
        """
        settings = self._settings()
        if settings.public_key is None or not settings.usb:
            raise Refused("files from a stick are not allowed here; set provisioning.usb = true")
        await self._intake.take(
            [(str(folder), Folder(folder))],
            self.identity.names,
            "usb",
            settings.public_key,
            force=force,
        )
        return self.propose(again=force)

    def _settings(self) -> ProvisioningConfig:
        """Where to look, as the configuration in force says it.

        One that failed may have named a server that is none, and one that cannot be may not keep
        the device from a better one.  Where none is in force yet, the device's own files count,
        with those of the fleet if they are fit.  Raises ConfigError.
        """
        try:
            # A person may just have written another key, or another server.
            self.propose()
        except (ConfigError, Refused) as error:
            log.debug("the files of this device are not in force: %s", error)
        for _, layers in self._kept():
            with contextlib.suppress(ConfigError):
                return provisioning_of(layers)
        try:
            return provisioning_of(lasting_layers(self.places, self.identity, self._mirror.read()))
        except ConfigError:
            return provisioning_of(lasting_layers(self.places, self.identity, Holding()))

    @property
    def _mirror(self) -> Mirror:
        return Mirror(self.places.mirror)

    @property
    def _intake(self) -> Intake:
        return Intake(self.places.state, self._mirror)

    def _with_overrides(self, layers: Layers) -> tuple[Config, Layers, list[str]]:
        """With what people and developers set; without it where it does not fit any more."""
        try:
            above = [*panel_parts(self.places), *environment_parts()]
            whole = Layers([*layers.parts, *above])
            return Config.from_layers(whole), whole, []
        except ConfigError as error:
            note = f"changes made at the panel are left out: {error}"
            return self._checked(layers), layers, [note]

    def _checked(self, layers: Layers) -> Config:
        """Raises ConfigError; where nobody ever said a room, with what there is to do."""
        try:
            return Config.from_layers(layers)
        except ConfigError as error:
            if error.key != "room" or "room" in layers.values:
                raise
        raise unconfigured(self.places, self.identity, layers)


def provisioner_under(root: Path) -> Provisioner:
    """That of the device whose files lie below `root`, `/` for this one."""
    return Provisioner(Places.under(root), identify(root))


def changed_sections(old: Config, new: Config) -> frozenset[str]:
    """The sections that differ: what of the device has to be begun anew."""
    return frozenset(
        name for name in Config.model_fields if getattr(old, name) != getattr(new, name)
    )

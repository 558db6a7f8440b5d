"""The configurations that a device has had, and which of them it goes by.

Each is one file that never changes, a generation.  `state.json` names the one in force and the
last good one, and is replaced whole: that replacement is the moment in which a configuration is
applied.  Before it, all is as it was; after it, nothing is missing.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final

from pydantic import BaseModel, Field, ValidationError

from appliance.provisioning.errors import StoreError
from appliance.provisioning.files import locked, sync_folder, write_whole
from appliance.provisioning.layers import Layers

log = logging.getLogger(__name__)

REFUSALS: Final = 8
"""Refusals that are remembered."""


class Refusal(BaseModel):
    """A configuration that was not taken, or did not lead to a working device."""

    digest: str
    reason: str
    generation: int | None = None
    """Its number, if it came as far as being tried."""
    back_to: int | None = None
    """The generation that came back instead."""


class State(BaseModel):
    """What `state.json` says."""

    current: int | None = None
    last_good: int | None = None
    newest: int = 0
    """The last number that was given to a generation."""
    starts: int = 0
    """How often the service has started with `current` on trial."""
    refusals: list[Refusal] = Field(default_factory=list)

    @property
    def on_trial(self) -> bool:
        """Whether the one in force has yet to prove itself."""
        return self.current is not None and self.current != self.last_good


class Store:
    """The generations in a folder.  Every method may raise StoreError."""

    def __init__(self, folder: Path) -> None:
        self.folder: Final = folder
        self._state: Final = folder / "state.json"

    def state(self) -> State:
        """Which generation is in force."""
        try:
            return State.model_validate_json(self._state.read_bytes())
        except FileNotFoundError:
            return State()
        except ValidationError:
            log.warning("%s is damaged; the configuration is put together anew", self._state)
            return State()
        except OSError as error:
            raise self._error(error) from error

    def layers(self, generation: int) -> Layers | None:
        """The files of a generation; None if it is damaged or gone."""
        path = self._path(generation)
        try:
            return Layers.restore(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.warning("%s cannot be used: %s", path, error)
            return None

    def apply(self, layers: Layers) -> int:
        """Put a configuration in force, on trial: whole, or not at all.  Returns its generation."""
        text = layers.dump().encode()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with locked(self.folder / "lock"):
                state = self.state()
                # After a crash or on a broken disk there may be files that no state knows of.
                generation = max([state.newest, *self._numbers()]) + 1
                write_whole(self._path(generation), text)
                state.current, state.newest, state.starts = generation, generation, 0
                self._commit(state)
        except OSError as error:
            raise self._error(error) from error
        return generation

    def count_start(self) -> int:
        """Note that the service starts with a configuration on trial; the count with this one."""

        def change(state: State) -> None:
            state.starts += 1

        return self._change(change).starts

    def keep(self, generation: int) -> None:
        """The generation has proved itself.  Nothing, if it is no longer in force."""

        def change(state: State) -> None:
            if state.current == generation:
                state.last_good, state.starts = generation, 0

        self._change(change)

    def roll_back(
        self, generation: int, reason: str, usable: Callable[[Layers], bool] = lambda _: True
    ) -> State:
        """Bring the last good one back, and remember why.

        Nothing, if `generation` is no longer in force.  Where no other was ever good it stays, and
        so it does where the last good one can no longer be read or is not `usable`.
        """

        def change(state: State) -> None:
            if state.current != generation or not state.on_trial:
                return
            good = None if state.last_good is None else self.layers(state.last_good)
            back_to = state.last_good if good is not None and usable(good) else None
            layers = self.layers(generation)
            digest = "" if layers is None else digest_of(layers)
            refusal = Refusal(digest=digest, reason=reason, generation=generation, back_to=back_to)
            state.refusals = [*state.refusals, refusal][-REFUSALS:]
            state.starts = 0
            if back_to is not None:
                state.current = back_to

        return self._change(change)

    def refuse(self, digest: str, reason: str) -> None:
        """Remember that a configuration was not even tried; once for each."""
        refusal = Refusal(digest=digest, reason=reason)

        def change(state: State) -> None:
            if refusal not in state.refusals:
                state.refusals = [*state.refusals, refusal][-REFUSALS:]

        if refusal not in self.state().refusals:
            self._change(change)

    def _change(self, change: Callable[[State], None]) -> State:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with locked(self.folder / "lock"):
                state = self.state()
                before = state.model_copy(deep=True)
                change(state)
                if state != before:
                    self._commit(state)
                return state
        except OSError as error:
            raise self._error(error) from error

    def _commit(self, state: State) -> None:
        write_whole(self._state, state.model_dump_json(indent=1).encode())
        # Only now is anything superfluous.
        wanted = {state.current, state.last_good}
        gone = [number for number in self._numbers() if number not in wanted]
        for number in gone:
            self._path(number).unlink(missing_ok=True)
        if gone:
            sync_folder(self.folder)

    def _numbers(self) -> list[int]:
        stems = (path.stem for path in self.folder.glob("[0-9]*.json"))
        return [int(stem) for stem in stems if stem.isdecimal()]

    def _path(self, generation: int) -> Path:
        return self.folder / f"{generation}.json"

    def _error(self, error: OSError) -> StoreError:
        where = error.filename or self.folder
        return StoreError(f"{where}: {(error.strerror or str(error)).lower()}; check the disk")


def digest_of(layers: Layers) -> str:
    """The same for the same files, and for no others."""
    return hashlib.sha256(layers.dump().encode()).hexdigest()

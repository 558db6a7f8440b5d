"""How a fleet's signed files come into the mirror of a device: from one of several sources."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal

from appliance.provisioning.collecting import Files, collect
from appliance.provisioning.errors import ProvisioningError, Refused, StoreError, Unreachable
from appliance.provisioning.files import locked
from appliance.provisioning.mirror import Holding, Mirror, Shelf

log = logging.getLogger(__name__)

ShelfName = Literal["web", "usb"]
"""Which shelf of a `Holding` the files are for."""


class Intake:
    """That of the device that keeps its files in the folder `state`, into `mirror`."""

    def __init__(self, state: Path, mirror: Mirror) -> None:
        self._state: Final = state
        self._mirror: Final = mirror

    async def take(
        self,
        sources: Sequence[tuple[str, Files]],
        names: Sequence[str],
        shelf: ShelfName,
        root: str,
        *,
        force: bool,
    ) -> None:
        """Hold what the first of the sources has that can be taken.

        `sources` are named for people; the others are as those of `collect`.  Raises StoreError,
        and where none has anything Refused, or Unreachable if none even answered, with what is
        wrong with each.
        """
        failures: list[ProvisioningError] = []
        lines = []
        for title, source in sources:
            before = self._mirror.read()
            holding = before.model_copy(deep=True)
            mine = _shelf(holding, shelf)
            try:
                await collect(source, names, holding, mine, root, force=force)
            except (Refused, Unreachable) as error:
                failures.append(error)
                lines.append(f"{title}: {error}")
                rest = before.model_copy(deep=True)
                _shelf(rest, shelf).spare = mine.spare
                self._hold(rest, before)
                continue
            self._hold(holding, before)
            return
        kind = next((type(e) for e in failures if isinstance(e, Refused)), Unreachable)
        raise kind("; ".join(lines))

    def _hold(self, holding: Holding, before: Holding) -> None:
        """Hold that, which was made of `before`.

        Where another process has taken files meanwhile, what it holds stays: it may be newer,
        and its key too.  What is left out here is found again at the next look.
        """
        if holding == before:
            return
        try:
            self._state.mkdir(parents=True, exist_ok=True)
            with locked(self._state / "lock"):
                if self._mirror.read() != before:
                    log.warning("another process has just taken files; those of this one are left")
                    return
                self._mirror.write(holding)
        except OSError as error:
            raise StoreError(f"{self._state}: {error.strerror}; check the disk") from error


def _shelf(holding: Holding, name: ShelfName) -> Shelf:
    return holding.web if name == "web" else holding.usb

"""gpiozero's choice of a pin library, made safe for a daemon.

Two things stand between gpiozero and its library lgpio on a device in the field.  lgpio makes a
named pipe in the working directory when it is imported, and a daemon's is often one that nobody may
write to.  And where lgpio fails, gpiozero goes on to an experimental library that writes to
the machine's memory and does not know whether an LED obeyed.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import sys
import tempfile
import warnings
from typing import Any, Final

log = logging.getLogger(__name__)

_CHOICE: Final = "GPIOZERO_PIN_FACTORY"
"""The environment variable by which a user names a library to gpiozero."""


def ensure(gpiozero: Any) -> None:
    """Let gpiozero choose a pin library.  It warns of each one that it tries in vain: where one of
    them works that is no news, and where none does an error tells it.

    Raises gpiozero.BadPinFactory when nothing is left but the experimental library, which only a
    user may choose.
    """
    if gpiozero.Device.pin_factory is not None:
        return
    _import_lgpio()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        gpiozero.Device.ensure_pin_factory()
    for warning in caught:
        log.debug("gpiozero: %s", warning.message)
    factory: Any = gpiozero.Device.pin_factory
    if type(factory).__name__ == "NativeFactory" and not os.environ.get(_CHOICE):
        gpiozero.Device.pin_factory = None
        factory.close()
        raise gpiozero.BadPinFactory(str(caught[0].message) if caught else "no library works")


def _import_lgpio() -> None:
    """Import lgpio where it can make its pipe.  The pipe stays open and needs its name no more."""
    if "lgpio" in sys.modules:
        return
    with tempfile.TemporaryDirectory(prefix="roomlet-") as folder, contextlib.chdir(folder):
        try:
            importlib.import_module("lgpio")
        except Exception as error:
            # gpiozero goes the same way once more, and says it in its own words.
            log.debug("lgpio cannot be imported: %s", error)

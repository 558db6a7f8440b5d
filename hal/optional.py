"""Libraries that a machine may lack: loaded when a backend is used, not when it is named."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from hal.errors import BackendUnavailable


def require(module: str, remedy: str) -> ModuleType:
    """Import a library, or raise BackendUnavailable with the `remedy` to the user.

    An import that fails below the module itself (a missing shared library) counts as
    missing as well; its text is passed on.
    """
    try:
        return import_module(module)
    except (ImportError, OSError) as error:
        reason = " ".join(str(error).split())
        raise BackendUnavailable(f"{module} cannot be loaded ({reason}); {remedy}") from error

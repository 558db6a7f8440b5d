"""What the exit code and the one line of a failure say."""

from __future__ import annotations

import os
from enum import IntEnum


class ExitCode(IntEnum):
    """What the exit code says."""

    OK = 0
    OTHER = 1
    USAGE = 2
    CONFIGURATION = 3
    DEVICE = 4
    NETWORK = 5
    AUTHORIZATION = 6
    UNWANTED = 7


def code_of(error: Exception) -> ExitCode:
    """The exit code of an error, by its kind."""
    from appliance.hub import errors as hub
    from appliance.panel import ListenError
    from appliance.provisioning import ConfigError
    from appliance.provisioning.errors import Refused, Unreachable
    from appliance.provisioning.minisign import MinisignError
    from appliance.room import errors as room
    from appliance.service.demo import PortTaken
    from appliance.service.errors import EntranceClosed
    from appliance.service.upkeep import RebootRefused
    from appliance.signaling import errors as signaling
    from hal.errors import HalError

    if isinstance(error, ConfigError) and error.path is None:
        # Options of the command line, not a file: what counts is what became of them.
        error = error.__cause__ if isinstance(error.__cause__, HalError) else error
    kinds: tuple[tuple[tuple[type[Exception], ...], ExitCode], ...] = (
        ((ConfigError, Refused, MinisignError, hub.SettingError), ExitCode.CONFIGURATION),
        ((HalError, room.Overconstrained), ExitCode.DEVICE),
        (
            (
                signaling.AuthError,
                signaling.PermissionDenied,
                hub.TokenError,
                EntranceClosed,
                room.JoinRefused,
            ),
            ExitCode.AUTHORIZATION,
        ),
        ((RebootRefused,), ExitCode.UNWANTED),
        (
            (
                hub.ListenError,
                ListenError,
                PortTaken,
                signaling.SignalingError,
                room.JoinTimeout,
                Unreachable,
            ),
            ExitCode.NETWORK,
        ),
    )
    return next((code for types, code in kinds if isinstance(error, types)), ExitCode.OTHER)


def each_of(error: Exception) -> tuple[Exception, ...]:
    """The errors that one stands for: several that are told together, or itself."""
    from appliance.provisioning.errors import ConfigErrors, Refusals

    return error.errors if isinstance(error, ConfigErrors | Refusals) else (error,)


def line_of(error: Exception) -> str:
    """An error's text on one line, never empty."""
    text = str(error)
    if isinstance(error, OSError) and error.errno is not None and error.filename is not None:
        name = os.fsdecode(error.filename) if isinstance(error.filename, bytes) else error.filename
        text = f"{name}: {os.strerror(error.errno).lower()}; check the path"
    return " ".join(text.split()) or f"{type(error).__name__}; run again with --debug to see where"

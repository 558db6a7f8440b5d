"""The command `roomlet`: a module a command, or a group of commands."""

from __future__ import annotations

from appliance.cli.program import main

__all__ = ["main"]

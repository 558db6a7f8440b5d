"""Roomlet: a meeting-room appliance, and the room server that it joins."""

from importlib.metadata import PackageNotFoundError, version

__all__ = ["__version__"]

try:
    __version__ = version("roomlet")
except PackageNotFoundError:
    # Run from a source tree that was never installed.
    __version__ = "0.0.0+source"

"""What can go wrong with the device as a whole; each text is one line with cause and remedy.

::

    ServiceError
    +-- EntranceClosed   (PermissionError)   the room takes no guests
    +-- DemoFailed                           a part of the demo did not do its work
"""

from __future__ import annotations


class ServiceError(Exception):
    """Any failure of the device as a whole."""


class EntranceClosed(ServiceError, PermissionError):
    """The hub lets no guest into this room."""


class DemoFailed(ServiceError):
    """A part of the demo did not start or did not do its work."""

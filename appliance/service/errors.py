"""What can go wrong with the device as a whole; each text is one line with cause and remedy.

::

    ServiceError
    +-- EntranceClosed   (PermissionError)   the room takes no guests
    +-- InvitationInvalid (ValueError)       what a person typed leads to no room
    +-- VisitEnded                           a visit was given up before it began
    +-- BeingUpdated                         nothing begins before the update has ended
    +-- DemoFailed                           a part of the demo did not do its work
"""

from __future__ import annotations


class ServiceError(Exception):
    """Any failure of the device as a whole."""


class EntranceClosed(ServiceError, PermissionError):
    """The hub lets no guest into this room."""


class InvitationInvalid(ServiceError, ValueError):
    """A code or link that leads to no room, or to none that this device has a way into."""


class VisitEnded(ServiceError):
    """Somebody here changed their mind before the device was in the other room."""


class BeingUpdated(ServiceError):
    """The device stays out of every room until it is updated."""


class DemoFailed(ServiceError):
    """A part of the demo did not start or did not do its work."""

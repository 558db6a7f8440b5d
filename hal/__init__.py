"""The hardware of a room: cameras, microphones, speakers, controls and displays.

Each device class is a small abstract base with backends, one file each.  Nothing
here knows rooms, networks or codecs; `hal` imports nothing of `appliance`.

The one exception tree of the package::

    HalError
    +-- DeviceNotFound      (LookupError)    no such backend or device
    +-- DeviceBusy          (OSError)        somebody else holds it
    +-- DeviceForbidden     (PermissionError) this user may not open it
    +-- DeviceUnplugged     (OSError)        it was there and is gone
    +-- DeviceStalled       (TimeoutError)   it is there and gives nothing
    +-- FormatUnsupported   (ValueError)     it cannot do what was asked
    +-- OptionInvalid       (ValueError)     an option that the backend cannot take
    +-- BackendUnavailable  (ImportError)    a library or kernel interface is missing
"""

from hal.errors import (
    BackendUnavailable,
    DeviceBusy,
    DeviceForbidden,
    DeviceNotFound,
    DeviceStalled,
    DeviceUnplugged,
    FormatUnsupported,
    HalError,
    OptionInvalid,
)

__all__ = [
    "BackendUnavailable",
    "DeviceBusy",
    "DeviceForbidden",
    "DeviceNotFound",
    "DeviceStalled",
    "DeviceUnplugged",
    "FormatUnsupported",
    "HalError",
    "OptionInvalid",
]

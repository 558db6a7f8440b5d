"""What a device is told about itself: its configuration, and how it comes by a new one.

`load` reads one file.  A device that configures itself goes by a `Provisioner`, whose module tells
what the service does with it; `Health` is all that it asks of the service.
"""

from __future__ import annotations

from appliance.provisioning.config import Config, load
from appliance.provisioning.errors import ConfigError, ProvisioningError
from appliance.provisioning.probation import Health, Probation, Verdict

__all__ = [
    "Config",
    "ConfigError",
    "Health",
    "Probation",
    "ProvisioningError",
    "Verdict",
    "load",
]

"""What a device is told about itself: its configuration."""

from __future__ import annotations

from appliance.provisioning.config import Config, load
from appliance.provisioning.errors import ConfigError

__all__ = ["Config", "ConfigError", "load"]

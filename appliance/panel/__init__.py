"""The device's local web page and the small HTTP and WebSocket API under it.

`Panel` serves the page; `PanelDevice` is what it asks of the device, and `PanelState` what the
device tells it.  The panel opens and closes nothing by itself: each button on the page is a press
of the same button on the device, under the same rule.
"""

from __future__ import annotations

from appliance.panel.access import Access
from appliance.panel.device import PanelDevice, PanelError, PanelState, Refused, TallyName, named
from appliance.panel.maintenance import Card, Maintenance
from appliance.panel.server import ListenError, Panel
from appliance.panel.tls import Tls, TlsError

__all__ = [
    "Access",
    "Card",
    "ListenError",
    "Maintenance",
    "Panel",
    "PanelDevice",
    "PanelError",
    "PanelState",
    "Refused",
    "TallyName",
    "Tls",
    "TlsError",
    "named",
]

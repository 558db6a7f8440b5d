"""Making the media of a call from the session's devices."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from .call import Leg
from .devices import Devices
from .plan import MediaPlan


@dataclass(frozen=True, slots=True)
class LegMaker:
    """Makes a fresh leg at each call: same devices, same directions."""

    factory: Callable[..., Leg]
    devices: Devices
    plan: MediaPlan
    ice_servers: Callable[[], Sequence[Mapping[str, Any]]]
    url: str
    on_frame: Callable[[], None] | None = None
    """Called with each picture that comes, on the decoder's thread."""

    def __call__(self) -> Leg:
        """A leg that has not offered yet."""
        devices, plan = self.devices, self.plan
        leg = self.factory(
            microphone=devices.microphone if plan.send_audio else None,
            camera=devices.camera if plan.send_video else None,
            speaker=devices.speaker if plan.receive_audio else None,
            display=devices.display if plan.receive_video else None,
            receive_audio=plan.receive_audio,
            receive_video=plan.receive_video,
            ice_servers=self.ice_servers(),
            addresses=local_addresses(self.url),
        )
        if (on_frame := self.on_frame) is not None:
            leg.on_frame = lambda frame: on_frame()
        return leg


def local_addresses(url: str) -> list[str] | None:
    """Where to be reached by a server on this machine; None, everywhere, by any other."""
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return ["127.0.0.1"]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    return [str(address)] if address.is_loopback else None

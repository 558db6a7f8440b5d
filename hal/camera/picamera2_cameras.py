"""The cameras that libcamera finds, without those on USB: they are left to V4L2."""

from __future__ import annotations

from typing import Any

from hal.camera.libcamera_errors import text_of
from hal.device import Device
from hal.errors import BackendUnavailable, DeviceNotFound
from hal.optional import require


def library() -> Any:
    """The module `picamera2`.  Raises BackendUnavailable."""
    return require(
        "picamera2",
        "on Raspberry Pi OS install the package python3-picamera2, or Roomlet's extra picamera2 "
        "and Debian's python3-libcamera",
    )


def find(picamera2: Any) -> list[tuple[int, Device]]:
    """Picamera2's number of each camera, and what it is.  Raises BackendUnavailable."""
    try:
        infos = picamera2.Picamera2.global_camera_info()
    except Exception as error:
        raise BackendUnavailable(
            f"libcamera cannot look for cameras ({text_of(error)}); check its installation"
        ) from error
    return [
        (number, Device(info["Id"], str(info.get("Model", "camera")), "camera", "picamera2"))
        for number, info in enumerate(infos)
        if "/usb" not in info["Id"]
    ]


def select(picamera2: Any, path: str | None, label: str | None) -> tuple[int, Device]:
    """The camera to open: the one with that id, by default the first; `label` overrules its own.

    Raises BackendUnavailable or DeviceNotFound.
    """
    found = find(picamera2)
    if not found:
        raise DeviceNotFound("no camera was found; check its ribbon cable")
    for number, device in found:
        if path in (None, device.id):
            return number, Device(device.id, label or device.label, device.kind, device.backend)
    raise DeviceNotFound(f"camera {path} is not there; check its name and its ribbon cable")

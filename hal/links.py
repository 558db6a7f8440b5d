"""Names of devices that last, as udev gives them."""

from __future__ import annotations

from pathlib import Path


def links(folder: Path) -> dict[str, Path]:
    """The links that udev keeps in a folder such as /dev/v4l/by-id, by the name of the node
    that each leads to: they are the same after a reboot, which the node's own is not."""
    try:
        entries = sorted(folder.iterdir())
    except OSError:
        return {}
    return {link.resolve().name: link for link in reversed(entries)}


def text_of(path: Path) -> str:
    """A file of one line, as /sys has them; empty when it cannot be read."""
    try:
        return path.read_text("utf-8", "replace").strip()
    except OSError:
        return ""

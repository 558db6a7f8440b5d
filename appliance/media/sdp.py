"""The little that we do to SDP text ourselves."""

from __future__ import annotations


def audio_first(text: str) -> str:
    """The same description with its `m=audio` sections before all others.

    The official browser client re-orders an answer on the assumption that it lists
    audio first, and breaks one that is in the offer's order.
    """
    head, *sections = text.split("\r\nm=")
    audio = [s for s in sections if s.startswith("audio")]
    others = [s for s in sections if not s.startswith("audio")]
    ordered = [s.removesuffix("\r\n") for s in audio + others]
    return "\r\nm=".join([head.removesuffix("\r\n"), *ordered]) + "\r\n"

"""What the screen says beside the picture."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from appliance.media.gate import Party
from hal.controls import Status, Tally
from hal.device import Kind
from hal.display import Banner


def banner(
    status: Status,
    tally: Tally,
    closers: Collection[Party],
    *,
    room: str,
    reason: str = "",
    missing: Collection[Kind] = (),
    covered: bool = False,
    camera_off: bool = False,
    unlit: bool = False,
    fails_camera: bool = False,
    agreed: bool = True,
    link: str = "",
    booked: str = "",
) -> Banner:
    """Room, state and the next step, for people across the room.

    `closers` are those of the microphone's gate, `reason` is why the status is what it is.
    `missing` are the classes of devices of which there is none, `covered` is whether the privacy
    cover closes the camera, `camera_off` is whether somebody has turned it off, `unlit` is whether
    it is closed for want of its light, `fails_camera` is whether what makes the tally fail closes
    it, too, `agreed` is whether the room shows what is muted here.  In a call in which all is well
    nothing covers the picture; outside of one, the QR code of `link` is shown.  `booked` is what
    there is to say of the calendar.
    """
    muted = tally is Tally.MUTED
    match status:
        case Status.STARTING:
            return Banner("Starting")
        case Status.IDLE:
            text = _sentence("Not in a call", reason)
            return Banner(f"{booked} {text}" if booked else text, link=link)
        case Status.JOINING:
            return Banner(_sentence(f"Joining {room}", reason), link=link)
        case Status.UPDATING:
            return Banner(_sentence("Updating", reason))
        case Status.RECONNECTING:
            return Banner(_sentence(f"{room}: connection lost, reconnecting", reason), muted)
        case Status.FAULT:
            return Banner(_sentence("Out of order", reason), muted, link)
        case Status.IN_ROOM if Party.LEASE in closers:
            return Banner("The device does not answer. The microphone is off.", muted=True)
        case Status.IN_ROOM if tally is Tally.FAULT:
            off = "Microphone and camera are off." if fails_camera else "The microphone is off."
            return Banner(f"The controls do not work. {off}", muted=True)
        case Status.IN_ROOM:
            texts = [_muted_by(closers)] if muted else []
            texts += [text for kind, text in _MISSING.items() if kind in missing]
            if unlit:
                texts.append("The camera light does not work. The camera is off.")
            elif covered or camera_off:
                texts.append("The camera is covered." if covered else "The camera is off.")
            texts += [] if agreed else ["The room does not show yet what is muted here."]
            texts += [f"{reason[0].upper()}{reason[1:]}."] if reason else []
            texts += [booked] if booked else []
            return Banner(" ".join(texts), muted)


_MISSING: Final[dict[Kind, str]] = {
    "microphone": "No microphone: plug it in.",
    "camera": "No camera: plug it in.",
    "speaker": "No loudspeaker: plug it in.",
}


def _muted_by(closers: Collection[Party]) -> str:
    if Party.LATCH in closers:
        return "Muted by the switch. Move it back to speak."
    if Party.COVER in closers:
        return "Muted by the cover. Open it to speak."
    if closers == {Party.UNPLUGGED}:
        return "Nobody hears this room."
    if Party.ROOM not in closers and Party.REMOTE in closers:
        return "Muted by the room. Press the button to speak."
    if Party.ROOM not in closers and Party.CONFIG in closers:
        return "Muted at its start, as configured. Press the button to speak."
    return "Muted. Press the button to speak."


def _sentence(text: str, reason: str) -> str:
    return f"{text}: {reason}" if reason else text

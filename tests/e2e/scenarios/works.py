"""What scenarios play into a room, and how they look at it there."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av import AudioFrame, VideoFrame
from room import HEARD, Place
from scenarios.client import Client
from sdk_client import Pixels

from hal.camera import scene
from tests.appliance.hub.live_room import Film

CAMERA = 77
"""The number of the film's camera."""

TONES = (3300.0, 4700.0)
"""What is heard in each half of the film, in Hz; no member speaks so."""

SECONDS = 240
"""The film is longer than any scenario, and the halves far apart."""

_RATE = 5
_SAMPLES = 48_000


def make_film(path: Path) -> Path:
    """A film whose pictures tell their time in it, in milliseconds."""
    drawn = scene.Scene(CAMERA, 320, 180)
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=_RATE, options={"preset": "ultrafast"})
        video.width, video.height = 320, 180
        video.codec_context.gop_size = _RATE * 2
        audio = container.add_stream("aac", rate=_SAMPLES, layout="mono")
        for number in range(SECONDS * _RATE):
            picture = drawn.draw(number, 1000 * number // _RATE)
            picture.pts, picture.time_base = number, Fraction(1, _RATE)
            container.mux(video.encode(picture))
            begin = number * _SAMPLES // _RATE
            at = np.arange(begin, begin + _SAMPLES // _RATE) / _SAMPLES
            tone = TONES[number * 2 // (SECONDS * _RATE)]
            sound = AudioFrame.from_ndarray(
                np.rint(8000 * np.sin(2 * np.pi * tone * at)).astype(np.int16).reshape(1, -1),
                format="s16",
                layout="mono",
            )
            sound.sample_rate, sound.pts, sound.time_base = _SAMPLES, begin, Fraction(1, _SAMPLES)
            container.mux(audio.encode(sound))
        container.mux(video.encode(None))
        container.mux(audio.encode(None))
    return path


def shown_at(client: Client, pixels: Pixels) -> float | None:
    """Seconds into the film of what is seen of it in the room's picture, None where it is not."""
    for layer in (client.layout() or {"layers": []})["layers"]:
        if layer["playing_file"] and layer["visible"]:
            place = Place(layer["x"], layer["y"], layer["width"], layer["height"])
            code = scene.decode(pixels.luma, *place)
            if code is not None and code.camera == CAMERA:
                return code.clock_ms / 1000
    return None


async def sees_film(client: Client, begin: float = 0.0, end: float = SECONDS) -> float:
    """Wait until the film is seen between two of its seconds; gives where it was."""

    def there(pixels: Pixels) -> bool:
        at = shown_at(client, pixels)
        return at is not None and begin <= at < end

    seen = shown_at(client, await client.sees(f"the film from {begin} to {end} s", there))
    assert seen is not None
    return seen


async def lacks_film(client: Client) -> None:
    """Wait until the film is not seen."""
    await client.sees("no film", lambda pixels: shown_at(client, pixels) is None)


def of(kind: str, work_id: str, **values: Any) -> Any:
    """Whether an event of a recording, playback or stream is about this one, with these values.

    Our events hand out the object, the SDK's hand out its own; both show the same fields.
    """

    def test(payload: Any) -> bool:
        fields = payload.get(kind, payload)
        return fields["id"] == work_id and all(fields[key] == values[key] for key in values)

    return test


def pixels_of(picture: VideoFrame) -> Pixels:
    """A decoded picture as scenarios look at pictures."""
    return Pixels(picture.width, picture.height, picture.to_ndarray(format="rgba"))


def shows_camera(film: Film, client: Client, member_id: str, camera: int) -> bool:
    """Whether most of a film shows this camera where the layout that `client` knows has the
    member."""
    place = client.layers()[member_id]
    seen = [place.camera(pixels_of(picture)) == camera for _, picture in film.pictures]
    return sum(seen) > len(seen) / 2


def loudness(film: Film, tone: float) -> list[float]:
    """The level of a tone in each tenth of a second of a film, in dBFS.

    Short windows: what a jitter buffer leaves out or fills in turns the phase of a tone.
    """
    tenths = film.sound.size * 10 // _SAMPLES
    start = film.sound_start
    return [film.level(tone, start + n / 10, start + (n + 1) / 10) for n in range(tenths)]


def sounds(film: Film, tone: float) -> bool:
    """Whether a tone is heard in a film; with gaps where the machine has too much other work."""
    return sum(level > HEARD for level in loudness(film, tone)) >= 3

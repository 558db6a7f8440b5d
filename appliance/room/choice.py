"""Choosing the hal device for what is wanted of it.

Who names a device by a plain id means that one: what `exact` says.  `{"ideal": id}` is the
soft form, which takes another one where that is not there.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final, Literal, TypeAlias, cast

from appliance.media import constraints
from appliance.media.constraints import MediaTrackConstraints, audio_settings, video_settings
from hal import registry
from hal.audio import Microphone, Speaker
from hal.camera import Camera, VideoFormat
from hal.camera.x11 import X11Camera
from hal.device import Device
from hal.errors import DeviceNotFound, HalError
from hal.virtual import PREFIX

from .errors import Overconstrained

log = logging.getLogger(__name__)

Kind: TypeAlias = Literal["camera", "microphone", "speaker"]
Backend: TypeAlias = Camera | Microphone | Speaker

AUTO: Final = "auto"
"""The backend's name that leaves the choice to the registry."""

SCREEN: Final = "screen"
"""In place of a camera backend's name: the screen of this machine, or the device that is named.
Never some camera that happens to be there: nobody wants to show that by mistake."""

X11: Final = "x11"

_SCREEN_NUMBER: Final = 200
"""Of the synthetic screen, so that its picture can be told from a camera's."""


@contextlib.contextmanager
def constrained() -> Iterator[None]:
    """Give the failures of constraints their name in this package."""
    try:
        yield
    except Overconstrained:
        raise
    except constraints.Overconstrained as error:
        raise Overconstrained(error.constraint, str(error)) from error


async def cameras(
    wish: MediaTrackConstraints,
    *,
    backend: str = AUTO,
    in_use: Collection[str] = (),
    spare: bool = False,
) -> list[Camera]:
    """The cameras that come into question; none is open.

    With `spare`, those whose id is `in_use` come last.  Raises Overconstrained, and HalError
    where there is no camera at all.
    """
    # Looking for devices reads files and asks libraries: not on the loop.
    with constrained():
        return await asyncio.to_thread(_cameras, _named(wish), backend, in_use, spare)


async def nearest(
    found: list[Camera], wish: MediaTrackConstraints, in_use: Collection[str] = ()
) -> list[Camera]:
    """Those that may do, the nearest to the wish first.

    Where there are several, each is opened for a moment to learn its format, but none that is
    `in_use`: what that can do shows when it is tried.  Raises Overconstrained.
    """
    if len(found) < 2 or not wish.about_format:
        return found
    with constrained():
        return await asyncio.to_thread(_nearest, found, _named(wish), in_use)


async def microphones(
    wish: MediaTrackConstraints, *, in_use: Collection[str] = (), spare: bool = False
) -> list[Microphone]:
    """The microphones that may do, as `cameras`; none is opened to know."""
    with constrained():
        return await asyncio.to_thread(_microphones, _named(wish), in_use, spare)


async def speaker(device_id: str | None) -> Speaker:
    """The loudspeaker of that id, or the usual one.  Raises Overconstrained, HalError."""
    wish = _named(MediaTrackConstraints(device_id=device_id))
    with constrained():
        return cast(Speaker, (await asyncio.to_thread(_find, "speaker", wish, AUTO))[0])


async def other_speakers(lost: Device) -> list[Speaker]:
    """The loudspeakers of the same backend but for one.  A made-up one in place of one that
    was pulled would only hide that nobody hears anything.  Raises HalError."""
    nothing = MediaTrackConstraints()
    found = await asyncio.to_thread(_find, "speaker", nothing, AUTO, several=True)
    others = [one for one in found if one.device.id != lost.id]
    return cast(list[Speaker], [one for one in others if one.device.backend == lost.backend])


async def first(tries: Iterable[Callable[[], Awaitable[None]]]) -> None:
    """Do the first that works.  Raises the last one's error: HalError, Overconstrained."""
    error: Exception = DeviceNotFound("there is no other device; plug one in")
    for attempt in tries:
        try:
            await attempt()
        except (HalError, constraints.Overconstrained) as failure:
            error = failure
        else:
            return
    with constrained():
        raise error


def check_camera(device: Device, got: VideoFormat, wish: MediaTrackConstraints) -> None:
    """Raise Overconstrained where an open camera is not as it must be."""
    with constrained():
        _named(wish).check(video_settings(device, got))


def _named(wish: MediaTrackConstraints) -> MediaTrackConstraints:
    named = wish.device_id
    return replace(wish, device_id={"exact": named}) if isinstance(named, str) and named else wish


def _cameras(
    wish: MediaTrackConstraints, backend: str, in_use: Collection[str], spare: bool
) -> list[Camera]:
    if backend in (SCREEN, X11):
        found = [_screen(wish, backend)]
    else:
        several = spare or wish.about_format
        found = cast(list[Camera], _find("camera", wish, backend, several=several))
    if spare and not wish.device_ids("exact"):
        found = cast(list[Camera], _spare("camera", found, in_use))
    return found


def _nearest(
    found: list[Camera], wish: MediaTrackConstraints, in_use: Collection[str]
) -> list[Camera]:
    wanted = wish.format()
    usable: list[Camera] = []
    formats: list[VideoFormat] = []
    for camera in found:
        try:
            known = camera.device.id in in_use
            formats.append(wanted if known else _probe(camera, wanted))
        except HalError as error:
            log.info("%s is passed over: %s", camera.device.label, error)
        else:
            usable.append(camera)
    if not usable:
        return found
    settings = [video_settings(c.device, f) for c, f in zip(usable, formats, strict=True)]
    return [usable[number] for number in wish.select(settings)]


def _microphones(
    wish: MediaTrackConstraints, in_use: Collection[str], spare: bool
) -> list[Microphone]:
    found = cast(list[Microphone], _find("microphone", wish, AUTO, several=spare))
    if spare and not wish.device_ids("exact"):
        found = cast(list[Microphone], _spare("microphone", found, in_use))
    return [found[number] for number in wish.select([audio_settings(m.device) for m in found])]


def _screen(wish: MediaTrackConstraints, backend: str) -> Camera:
    named = [*wish.device_ids("exact"), *wish.device_ids("ideal")]
    display = next((name for name in named if name.startswith(":")), None)
    if backend == X11 or display is not None or (not named and X11Camera.devices()):
        return X11Camera(device=display)
    if named:
        return cast(Camera, _find("camera", wish, AUTO)[0])
    log.warning("this machine has no screen to show: a synthetic one stands in; name a source")
    return registry.create(
        "camera", "synthetic", device_id=_SCREEN_NUMBER, label="Synthetic screen"
    )


def _spare(kind: Kind, found: Sequence[Backend], in_use: Collection[str]) -> list[Backend]:
    """Those in use last; simulated devices are as many as one likes."""
    free = [one for one in found if one.device.id not in in_use]
    if not free and found and _synthetic(found[0].device.id):
        numbers = (number for number in range(1, 256) if f"{PREFIX}{number}" not in in_use)
        free = [_make(kind, "synthetic", f"{PREFIX}{next(numbers)}")]
    return [*free, *(one for one in found if one.device.id in in_use)]


def _synthetic(device_id: str) -> bool:
    return device_id.startswith(PREFIX)


def _probe(camera: Camera, wanted: VideoFormat) -> VideoFormat:
    with camera:
        return camera.open(wanted)


def _find(
    kind: Kind, wish: MediaTrackConstraints, backend: str, *, several: bool = False
) -> list[Backend]:
    """The devices named, else the usual one, with `several` also the others of its backend."""
    if exact := wish.device_ids("exact"):
        return _make_named(kind, exact, backend)
    made: list[Backend] = []
    for device_id in wish.device_ids("ideal"):
        with contextlib.suppress(DeviceNotFound):
            made.append(_make(kind, backend, device_id))
    if made and not several:
        return made
    usual = _make(kind, backend)
    if several and (listed := type(usual).devices()):
        # A backend that chooses when it opens has no id before: it would take its first.
        others = [_make(kind, backend, device.id) for device in listed]
    else:
        others = [usual]
    known = {one.device.id for one in made}
    return made + [one for one in others if one.device.id not in known]


def _make_named(kind: Kind, names: tuple[str, ...], backend: str) -> list[Backend]:
    made: list[Backend] = []
    missing: DeviceNotFound | None = None
    for name in names:
        try:
            made.append(_make(kind, backend, name))
        except DeviceNotFound as error:
            missing = error
    if not made and missing is not None:
        raise Overconstrained("deviceId", str(missing)) from missing
    return made


def _make(kind: Kind, backend: str, device_id: str | None = None) -> Backend:
    if backend == AUTO and device_id is not None and _synthetic(device_id):
        # Those are as many as one likes, so they are not all listed.
        backend = "synthetic"
    named = () if backend == AUTO else (backend,)
    options = {} if device_id is None else {"device": device_id}
    return registry.create(kind, *named, **options)

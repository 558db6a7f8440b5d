"""What the panel asks of the device that it shows.

Exceptions::

    PanelError
    +-- Refused        the device does not do what a visitor of the panel asked for
    +-- ListenError    the panel cannot be served (appliance.panel.server)
    +-- TlsError       its certificate cannot be used (appliance.panel.tls)
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol

from av import VideoFrame

from hal.controls import Button

TallyName = Literal["off", "live", "muted", "fault"]
"""The values of `hal.controls.Tally`, as they stand in JSON."""

CameraLightName = Literal["off", "live", "closed", "fault"]
"""The same of `hal.controls.CameraLight`."""

BUTTONS: Final = frozenset(button.value for button in Button if button is not Button.COVER)
"""The names that `PanelDevice.press` and `release` take.  The cover is moved where it is."""


def named(button: str) -> Button:
    """A button of `BUTTONS`.  Raises Refused for another one."""
    if button not in BUTTONS:
        raise Refused(f"This device has no button {button!r}.")
    return Button(button)


class PanelError(Exception):
    """Base of this package's exceptions; the message is one line with cause and remedy."""


class Refused(PanelError):
    """The device does not do what was asked; the page shows the message."""


@dataclass(frozen=True, slots=True)
class PanelState:
    """All that the panel shows of the device at one moment.  Holds no secret."""

    name: str
    """The device's name, as the other members see it."""
    room: str
    hub: str
    """Address of the room server, without credentials."""
    status: str
    """A value of `hal.controls.Status`: what the device is doing."""
    status_reason: str = ""
    """Why, in one sentence; empty when there is nothing to explain."""
    press_joins: bool = False
    """Whether a press of the mute button calls the device into a room, and so is nothing else."""
    visiting: bool = False
    """Whether `room` is another one than the device's own, where it is for a while."""
    tally: TallyName = "off"
    """What the LED shows now."""
    camera_light: CameraLightName | None = None
    """What the LED of the camera shows now; None where there is none."""
    mic_open: bool = False
    """Whether the microphone's gate lets sound pass."""
    camera_open: bool = False
    """Whether the camera's gate lets pictures pass."""
    closers: list[str] = field(default_factory=list)
    """Who holds the microphone's gate closed: values of `appliance.media.gate.Party`."""
    camera_closers: list[str] = field(default_factory=list)
    """The same for the camera's gate."""
    members: list[dict[str, Any]] = field(default_factory=list)
    """Members of the room, as on the wire (id, name, audio_muted, video_muted, talking, ...).
    While the connection is lost nobody is known to talk."""
    member_id: str = ""
    """Which of them is this device; empty outside a room."""
    layout: str = ""
    layouts: list[str] = field(default_factory=list)
    """Layouts that this device may choose from; empty when it may not choose."""
    volume: int = 100
    """Loudspeaker, 0 to 100."""
    canvas_fps: float = 0.0
    """Pictures of the room shown per second, over the last seconds."""
    joined_ms: float | None = None
    """From the start of joining to the first picture of the room, in ms."""
    errors: list[str] = field(default_factory=list)
    """What does not work now, one line each, with a remedy."""
    meeting: dict[str, str] = field(default_factory=dict)
    """The booked meeting that is on, or the next one of the day: `title`, `at` and `until` (local
    times of day), `when` (`next`, `soon`, `now`, `ended`), `room` where it is in another one,
    `join` how the device gets there: `home`, `visit`, or not at all."""
    stats: dict[str, int | float | str] = field(default_factory=dict)
    """Further figures, shown under their own names."""


class PanelDevice(Protocol):
    """The device behind the panel.

    Every method is called on the panel's event loop and returns at once, except `visit` and
    `select_layout`, which ask a room.
    """

    def state(self) -> PanelState:
        """The truth now, not what was asked for last."""

    def subscribe(self, changed: Callable[[], None], /) -> Callable[[], None]:
        """Have `changed` called after each change of `state()`, from any thread.

        Returns what ends it.
        """

    def press(self, button: str, /) -> None:
        """A virtual button of `BUTTONS` goes down.

        It obeys the hardware's rule: a press by a person in the room.  Raises Refused when the
        device has no such button.
        """

    def release(self, button: str, /) -> None:
        """The same button comes up.  Raises as `press`."""

    def set_volume(self, volume: int, /) -> None:
        """Set the loudspeaker, 0 to 100."""

    def visit(self, invitation: str, /) -> Coroutine[Any, Any, None]:
        """Go to another room for a while: by its code, a link to it, or a token.

        Returns once the device is there, and at once where that is its own room.  Raises Refused
        with the reason, also where it is in that room already.
        """

    def go_home(self) -> None:
        """A person wants the device in its own room: to end a visit, or from outside any room."""

    def select_layout(self, name: str, /) -> Coroutine[Any, Any, None]:
        """Ask the room for a layout.  Raises Refused with the room's reason."""

    def screen(self) -> VideoFrame | None:
        """What the device's screen shows; None while it is dark."""

    def self_view(self) -> VideoFrame | None:
        """What the device's camera sends; None while it sends nothing."""

    def report(self) -> Mapping[str, Any]:
        """Measurements since the start, ready for JSON."""

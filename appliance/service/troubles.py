"""What is wrong with a device now, in sentences for the panel."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from appliance.media.worker import Worker
from hal.errors import HalError


class Troubles:
    """The failures of its workers, by name; `on_change` is called with each change of them."""

    def __init__(self, on_change: Callable[[], None]) -> None:
        self._on_change = on_change
        self._failures: dict[str, HalError] = {}
        self._remarks: dict[str, str] = {}

    def watch(self, name: str, worker: Worker) -> None:
        """Keep the present failure of a worker, which belongs to the device."""

        def report(error: HalError | None) -> None:
            if error is None:
                self._failures.pop(name, None)
            else:
                self._failures[name] = error
            self._on_change()

        worker.on_error = report

    def remark(self, name: str, text: str | None) -> None:
        """Keep what is to be known of a part that is no worker; None where nothing is."""
        if self._remarks.get(name) == text:
            return
        if text is None:
            self._remarks.pop(name, None)
        else:
            self._remarks[name] = text
        self._on_change()

    def forget(self, names: Iterable[str]) -> None:
        """These do not work now, and so have no failure."""
        for name in names:
            self._failures.pop(name, None)

    def errors(self) -> list[HalError]:
        """The failures now."""
        return list(self._failures.values())

    def texts(
        self,
        light: HalError | None,
        camera_light: HalError | None,
        *,
        fails_camera: bool,
        agreed: bool,
        reason: str,
        notes: Iterable[str],
    ) -> list[str]:
        """All that is wrong.  `light` is why the controls fail, `fails_camera` whether the camera
        is closed for it, too, `camera_light` why that light alone fails, `agreed` whether the room
        shows what is muted here, `reason` why the device is out of order, if it is."""
        texts = [str(error) for error in self._failures.values()]
        if light is not None:
            off = "microphone and camera are off" if fails_camera else "the microphone is off"
            texts.append(f"the controls do not work, so {off}: {light}")
        if camera_light is not None:
            texts.append(f"the camera light does not work: {camera_light}")
        if not agreed:
            texts.append("the room does not show yet what is muted here; it is told again")
        if reason:
            texts.append(reason)
        return [*texts, *self._remarks.values(), *notes]

"""Sound files as a microphone and as a speaker."""

from __future__ import annotations

import logging
import wave
from pathlib import Path
from typing import BinaryIO, Final

import av
import numpy as np
from av import AudioResampler

from hal.audio import PERIOD, RATE
from hal.audio.frames import Samples, from_loop
from hal.audio.paced import PacedMicrophone, PacedSpeaker
from hal.device import Device
from hal.errors import FormatUnsupported, OptionInvalid, from_os

log = logging.getLogger(__name__)

LONGEST_S: Final = 600
"""A sound file is held in memory whole: ten minutes are 58 MB."""


def load(path: Path) -> Samples:
    """A sound file (WAV or whatever else FFmpeg opens) as mono samples at RATE.

    Raises DeviceNotFound, DeviceForbidden, or FormatUnsupported when it holds no sound
    or more than LONGEST_S.
    """
    what = f"sound file {path}"
    resampler = AudioResampler("s16", "mono", RATE)
    parts: list[Samples] = []
    total = 0
    try:
        # Old recordings have names in the letters of their time.
        with av.open(str(path), metadata_errors="replace") as container:
            if not container.streams.audio:
                raise FormatUnsupported(f"{what} holds no sound; choose another")
            for frame in container.decode(audio=0):
                for part in resampler.resample(frame):
                    parts.append(part.to_ndarray().reshape(-1).astype(np.int16))
                    total += part.samples
                if total > LONGEST_S * RATE:
                    raise FormatUnsupported(f"{what} is longer than {LONGEST_S} s; cut it")
            parts += [p.to_ndarray().reshape(-1).astype(np.int16) for p in resampler.resample(None)]
    except (av.FFmpegError, OSError) as error:
        raise from_os(error, what) from error
    sound = np.concatenate(parts) if parts else np.zeros(0, np.int16)
    if not sound.size:
        raise FormatUnsupported(f"{what} holds no sound; choose another")
    return sound


class WavMicrophone(PacedMicrophone):
    """Plays a sound file in a loop, without a gap, resampled to 48 kHz mono if need be."""

    def __init__(self, *, device: str, label: str | None = None) -> None:
        """`device` is the path of the file.  Raises OptionInvalid when it is empty."""
        if not device:
            raise OptionInvalid(
                "microphone backend 'wav' needs the path of a sound as its device", ["device"]
            )
        super().__init__(Device(device, label or Path(device).name, "microphone", "wav"))
        self._loop: Samples = np.zeros(PERIOD, np.int16)

    @classmethod
    def devices(cls) -> list[Device]:
        """None: a file is named, not found."""
        return []

    def open(self) -> None:
        """See `Microphone.open`; also raises what `load` raises."""
        self._loop = load(Path(self.device.id))
        super().open()

    def sound(self, position: int, moment: int) -> Samples:
        """See `PacedMicrophone.sound`."""
        del moment
        return from_loop(self._loop, position)


class WavSpeaker(PacedSpeaker):
    """Writes what it plays to a WAV file, 48 kHz mono S16, with silence where it ran dry.

    The file is whole and can be opened after each period; one that exists is replaced.
    """

    def __init__(
        self,
        *,
        device: str,
        buffer_ms: int = 40,
        keep_s: float = 10.0,
        label: str | None = None,
    ) -> None:
        """`device` is the path of the file.  Raises OptionInvalid when it is empty."""
        if not device:
            raise OptionInvalid(
                "speaker backend 'wav' needs the path of a file as its device", ["device"]
            )
        super().__init__(
            Device(device, label or Path(device).name, "speaker", "wav"),
            buffer_ms=buffer_ms,
            keep_s=keep_s,
        )
        self._what = f"sound file {device}"
        self._file: wave.Wave_write | None = None
        self._raw: BinaryIO | None = None

    @classmethod
    def devices(cls) -> list[Device]:
        """None: a file is named, not found."""
        return []

    def open(self) -> None:
        """See `Speaker.open`; also raises DeviceForbidden."""
        super().open()
        try:
            self._raw = Path(self.device.id).open("wb")  # noqa: SIM115 - open until `close`
        except OSError as error:
            super().close()
            raise from_os(error, self._what) from error
        # Not by name: wave leaves an object behind that fails when it cannot open it.
        file = wave.open(self._raw, "wb")  # noqa: SIM115 - open until `close`
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        self._file = file

    def play(self, samples: Samples) -> None:
        """See `PacedSpeaker.play`."""
        self._append(samples)

    def gap(self, samples: int) -> None:
        """See `PacedSpeaker.gap`."""
        self._append(np.zeros(samples, np.int16))

    def close(self) -> None:
        """See `Speaker.close`."""
        super().close()
        for part in (self._file, self._raw):
            try:
                if part is not None:
                    part.close()
            except OSError as error:
                log.warning("%s", from_os(error, self._what, opened=True))
        self._file = self._raw = None

    def _append(self, samples: Samples) -> None:
        if self._file is not None and self._raw is not None:
            try:
                # WAV is little-endian; unlike writeframesraw, this keeps the header true.
                self._file.writeframes(samples.astype("<i2").tobytes())
                self._raw.flush()
            except OSError as error:
                raise from_os(error, self._what, opened=True) from error

"""Raspberry Pis that are none."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from hal.camera import codec_controls, pi_encoder
from tests.hal.camera import fake_picamera2 as fake


@pytest.fixture
def pi(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[pytest.MonkeyPatch]:
    """A Raspberry Pi 5: two cameras and no encoder.  What a test sets is put back."""
    for name, made in fake.modules(fake.Platform.PISP).items():
        monkeypatch.setitem(sys.modules, name, made)
    monkeypatch.setattr(pi_encoder, "_NODE", str(tmp_path / "video11"))
    monkeypatch.setattr(codec_controls.fcntl, "ioctl", fake.ioctl)
    monkeypatch.setattr(fake.H264Encoder, "made", [])
    yield monkeypatch
    left, fake.Picamera2.open_now = fake.Picamera2.open_now, []
    assert not left, "a camera stayed open"
    threads = {thread.name for thread in threading.enumerate()}
    assert not threads & {"fake-picamera2", "fake-v4l2-encoder"}


@pytest.fixture
def pi4(pi: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A Raspberry Pi 4: the same with the hardware encoder."""
    for name, made in fake.modules(fake.Platform.VC4).items():
        pi.setitem(sys.modules, name, made)
    Path(pi_encoder._NODE).touch()
    return pi

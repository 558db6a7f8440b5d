"""The pictures for the documentation get by with few colours, and look the same."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import av
import numpy as np
import pytest
from av import VideoFrame

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "pictures.py"


@pytest.fixture
def pictures(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setattr(sys, "path", [*sys.path])
    spec = importlib.util.spec_from_file_location("pictures", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_picture_of_many_colours_gets_by_with_256(pictures: ModuleType, tmp_path: Path) -> None:
    randoms = np.random.default_rng(1)
    across = np.linspace(40, 200, 320)[np.newaxis, :, np.newaxis]
    noise = randoms.normal(0.0, 3.0, (180, 320, 3))
    pixels = np.clip(across + np.array([0, 10, 30]) + noise, 0, 255).astype(np.uint8)
    encoder = av.CodecContext.create("png", "w")
    encoder.width, encoder.height, encoder.pix_fmt = 320, 180, "rgb24"
    encoder.time_base = pictures.Fraction(1, 25)
    frame = VideoFrame.from_ndarray(pixels, "rgb24")
    path = tmp_path / "one.png"
    path.write_bytes(b"".join(bytes(packet) for packet in encoder.encode(frame)))
    before = path.stat().st_size
    pictures.reduce(path)
    assert path.stat().st_size < 0.7 * before
    with av.open(path) as container:
        shown = next(container.decode(video=0)).to_ndarray(format="rgb24")
    assert shown.shape == pixels.shape
    assert len(np.unique(shown.reshape(-1, 3), axis=0)) <= 256
    assert np.abs(shown.astype(int) - pixels).mean() < 6

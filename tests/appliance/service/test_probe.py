from __future__ import annotations

import json
import time
from typing import Any

import pytest
from av import VideoFrame

from appliance.service.probe import EVERY, Probe
from hal.camera.scene import Scene

LEFT = {"x": 0, "y": 25, "width": 50, "height": 50}
RIGHT = {"x": 50, "y": 25, "width": 50, "height": 50}


def canvas(number: int, age_ms: int, *, left: int = 1, right: int = 2) -> VideoFrame:
    """A canvas of 1280x720 with two scenes side by side, drawn `age_ms` ago."""
    picture = VideoFrame(1280, 720, "yuv420p")
    for plane in picture.planes:
        plane.update(bytes([128]) * plane.buffer_size)
    clock = time.monotonic_ns() // 1_000_000 - age_ms
    whole = picture.to_ndarray()
    for camera, x in ((left, 0), (right, 640)):
        scene = Scene(camera, 640, 360).draw(number, clock).to_ndarray()
        whole[180:540, x : x + 640] = scene[:360]
    return VideoFrame.from_ndarray(whole, format="yuv420p")


def layers(*members: str) -> list[dict[str, Any]]:
    return [
        {**place, "member_id": member, "visible": True}
        for place, member in zip((LEFT, RIGHT), members, strict=True)
    ]


def test_latency_is_read_from_the_others_scenes() -> None:
    probe = Probe()
    probe.layout([*layers("me", "other"), {"x": 0, "y": 0, "member_id": None}], "me")
    for number in range(4 * EVERY):
        probe.picture(canvas(number, 120), time.monotonic())
    report = probe.report()
    assert list(report["cameras"]) == ["2"]
    assert report["cameras"]["2"]["advances"] == 3
    assert report["cameras"]["2"]["frame"] == 4 * EVERY - 1
    # The clock in the picture is older than the call that shows it by the time of drawing.
    assert 120 <= report["video_latency_ms"]["p50"] < 1000
    assert report["video_latency_ms"]["n"] == 3
    assert json.loads(json.dumps(report)) == report


def test_a_frozen_scene_neither_moves_nor_ages() -> None:
    probe = Probe()
    probe.layout(layers("me", "other"), "me")
    still = canvas(7, 50)
    for _ in range(4 * EVERY):
        probe.picture(still, time.monotonic())
    report = probe.report()
    assert report["cameras"]["2"]["advances"] == 0
    assert report["video_latency_ms"] is None


def test_layers_that_make_no_sense_are_left_out() -> None:
    probe = Probe()
    probe.layout([{"member_id": "other"}, {"x": "a", "member_id": "b"}, {}], "me")
    for number in range(EVERY):
        probe.picture(canvas(number, 0), time.monotonic())
    assert probe.report()["cameras"] == {}


@pytest.mark.parametrize(("last", "silence"), [(10.02, 20.0), (9.95, 0.0), (9.8, None)])
def test_the_silence_after_a_press(last: float, silence: float | None) -> None:
    """Audible packets up to 20 ms after the press; up to the press; and none near it."""
    probe = Probe()
    probe.sent.last_audible = min(last, 9.99)
    probe.pressed(10.0)
    probe.sent.last_audible = last
    assert probe.report()["mute_silence_ms"] == silence
    probe.opened()
    probe.sent.last_audible = 15.0
    assert probe.report()["mute_silence_ms"] == silence


def test_without_a_press_nothing_was_measured() -> None:
    probe = Probe([1000.0])
    report = probe.report()
    assert report["mute_silence_ms"] is None
    assert report["audio_latency_ms"] is None
    assert report["tones"]["1000"]["bursts"] == 0

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from appliance.service.history import KEPT, History
from tests.appliance.service.conftest import DEADLINE


class Counted:
    """Counters that a test moves."""

    def __init__(self) -> None:
        self.values: dict[str, int | float] = {"canvas_fps": 30.0, "camera_frames": 0}

    def __call__(self) -> dict[str, int | float]:
        return self.values

    def call(self, **values: int | float) -> None:
        self.values = {"canvas_fps": 30.0, "camera_frames": 60, **values}


def test_what_grows_is_told_by_how_much_a_second() -> None:
    counted = Counted()
    history = History(counted)
    counted.call(bytes_sent=1000, bytes_received=0, microphone_xruns=1)
    history.add(10.0, 20.0, 41.5)
    counted.call(bytes_sent=251_000, bytes_received=1000, microphone_xruns=3)
    counted.values["camera_frames"] = 120
    history.add(12.0, 25.0, None)
    first, second = history.samples
    assert (first["up_kbps"], first["camera_fps"], first["cpu_percent"]) == (None, None, 20.0)
    assert first["temperature_c"] == 41.5
    assert second["up_kbps"] == pytest.approx(1000)
    assert second["down_kbps"] == pytest.approx(4)
    assert second["camera_fps"] == pytest.approx(30)
    assert (second["microphone_xruns"], second["speaker_xruns"]) == (2, None)
    assert (second["canvas_fps"], second["temperature_c"]) == (30.0, None)


def test_loss_is_of_the_interval_and_of_both_kinds() -> None:
    counted = Counted()
    history = History(counted)

    def received(audio: int, video: int, lost_audio: int, lost_video: int) -> None:
        counted.call(
            audio_packets_received=audio,
            video_packets_received=video,
            audio_packets_lost=lost_audio,
            video_packets_lost=lost_video,
        )

    received(1000, 1000, 500, 500)
    history.add(0.0, None, None)
    received(1060, 1030, 500, 510)
    history.add(2.0, None, None)
    received(1060, 1030, 500, 505)  # some came late, and nothing else
    history.add(4.0, None, None)
    assert [one["lost_in_percent"] for one in history.samples] == [None, 10.0, None]


def test_another_call_counts_anew_and_no_call_has_no_figures() -> None:
    counted = Counted()
    history = History(counted)
    counted.call(
        bytes_sent=5000,
        round_trip_ms=12.5,
        audio_sent_lost_percent=3.0,
        video_sent_lost_percent=4.0,
    )
    history.add(0.0, None, None)
    counted.call(bytes_sent=10)
    history.add(2.0, None, None)
    counted.values = {}
    history.add(4.0, None, None)
    assert [one["up_kbps"] for one in history.samples] == [None, None, None]
    assert [one["round_trip_ms"] for one in history.samples] == [12.5, None, None]
    assert [one["lost_out_percent"] for one in history.samples] == [4.0, None, None]


def test_gaps_are_counted_on_where_the_device_was_opened_anew() -> None:
    counted = Counted()
    history = History(counted)
    for xruns in (7, 9, 2):
        counted.call(speaker_xruns=xruns)
        history.add(0.0, None, None)
    assert [one["speaker_xruns"] for one in history.samples] == [None, 2, 2]


def test_a_clock_that_is_begun_anew_is_no_jitter() -> None:
    counted = Counted()
    history = History(counted)
    counted.call(audio_jitter_ms=4.0, video_jitter_ms=5.6e6)
    history.add(0.0, None, None)
    assert history.samples[0]["audio_jitter_ms"] == 4.0
    assert history.samples[0]["video_jitter_ms"] is None


def test_no_more_is_kept_than_two_minutes() -> None:
    history = History(Counted())
    for number in range(3 * KEPT):
        history.add(2.0 * number, float(number), None)
    assert len(history.samples) == KEPT
    assert history.samples[0]["cpu_percent"] == 2 * KEPT


async def test_it_looks_by_itself_until_it_is_stopped(tmp_path: Path) -> None:
    zone = tmp_path / "sys/class/thermal/thermal_zone0"
    zone.mkdir(parents=True)
    (zone / "temp").write_text("48500\n")
    (zone / "type").write_text("cpu\n")
    history = History(Counted(), every=0.01, root=tmp_path)
    taken = asyncio.Event()
    unsubscribe = history.subscribe(taken.set)
    history.start()
    async with asyncio.timeout(DEADLINE):
        await taken.wait()
    await history.stop()
    await history.stop()
    unsubscribe()
    sample: dict[str, Any] = history.samples[0]
    assert sample["temperature_c"] == 48.5
    assert sample["cpu_percent"] >= 0

"""Records as the store keeps them, for tests."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from appliance.hub.records import PageRequest, RecordingRecord, SessionRecord, StreamRecord
from appliance.hub.room_options import RoomOptions

ALL = PageRequest(size=1000)

OPTIONS = RoomOptions(
    name="demo",
    display_name="Demo ☃",
    max_members=7,
    quality="1080p",
    fps=20,
    join_from=datetime(2030, 1, 1, tzinfo=UTC),
    layout="5up",
    record_on_start=True,
    meta={"a": [1, {"b": None}]},
)

SESSION = SessionRecord("s", "r", OPTIONS, 10.0, 10.0)
RECORDING = RecordingRecord("rec", "s", "recording", Path("film.mp4"), 11.0, 11.0)
STREAM = StreamRecord("st", "s", None, "rtmp://127.0.0.1/key", "streaming", 12.0, 12.0)

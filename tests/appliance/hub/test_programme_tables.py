"""Recordings and streams come back as they were, wherever their files are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from appliance.hub.store import Store
from tests.appliance.hub.stored import ALL, RECORDING, SESSION


async def test_recordings_follow_the_data_directory(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    store = Store(old)
    await store.open()
    store.sessions.started(SESSION)
    store.recordings.changed(replace(RECORDING, path=old / "films" / "a.mp4"))
    store.recordings.changed(replace(RECORDING, id="far", path=Path("/elsewhere/b.mp4")))
    await store.close()
    old.rename(new)
    store = Store(new)
    await store.open()
    paths = [one.path for one in (await store.recordings.page(ALL)).items]
    assert paths == [Path("/elsewhere/b.mp4"), new / "films" / "a.mp4"]
    await store.close()

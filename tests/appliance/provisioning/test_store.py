from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from appliance.provisioning.errors import StoreError
from appliance.provisioning.files import write_whole
from appliance.provisioning.mirror import Mirror
from appliance.provisioning.store import REFUSALS, Store, digest_of
from tests.appliance.provisioning.crash import holding, layers

ROOT = Path(__file__).parents[3]


def volume(store: Store, generation: int | None) -> int | None:
    found = None if generation is None else store.layers(generation)
    return None if found is None else found.values["speaker"]["volume"]


def test_a_configuration_is_on_trial_until_it_is_kept(tmp_path: Path) -> None:
    store = Store(tmp_path / "new/folder")
    assert store.state().current is None
    first = store.apply(layers(1))
    assert store.state().on_trial
    assert store.count_start() == 1
    assert store.count_start() == 2
    store.keep(first)
    state = store.state()
    assert (state.current, state.last_good, state.starts, state.on_trial) == (1, 1, 0, False)
    store.apply(layers(2))
    assert store.count_start() == 1
    assert volume(store, store.state().current) == 2
    assert volume(store, store.state().last_good) == 1


def test_a_failure_brings_the_last_good_one_back_and_tells_of_both(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.keep(store.apply(layers(1)))
    bad = store.apply(layers(2))
    state = store.roll_back(bad, "no camera")
    assert (state.current, state.on_trial) == (1, False)
    (refusal,) = store.state().refusals
    assert (refusal.generation, refusal.back_to, refusal.reason) == (bad, 1, "no camera")
    assert refusal.digest == digest_of(layers(2))
    # The second word about it changes nothing.
    assert store.roll_back(bad, "again").refusals == [refusal]
    store.keep(bad)
    assert store.state().current == 1


def test_the_first_one_has_nothing_to_go_back_to(tmp_path: Path) -> None:
    store = Store(tmp_path)
    first = store.apply(layers(1))
    state = store.roll_back(first, "no room")
    assert (state.current, state.on_trial) == (first, True)
    assert state.refusals[0].back_to is None


def test_only_what_is_in_force_and_good_is_kept_on_the_disk(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for value in range(1, 8):
        store.keep(store.apply(layers(value)))
    store.apply(layers(8))
    store.apply(layers(9))
    assert {path.name for path in tmp_path.iterdir()} == {"7.json", "9.json", "state.json", "lock"}
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


def test_refusals_are_told_once_and_not_for_ever(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.refuse("a", "wrong")
    before = (tmp_path / "state.json").stat().st_ino
    store.refuse("a", "wrong")
    assert (tmp_path / "state.json").stat().st_ino == before
    for number in range(20):
        store.refuse(str(number), "wrong")
    assert len(store.state().refusals) == REFUSALS


@pytest.mark.parametrize("rubbish", [b"", b"{", b"\xff\0", b'["x"]', b'{"current": "x"}'])
def test_a_broken_disk_is_begun_anew(tmp_path: Path, rubbish: bytes) -> None:
    store = Store(tmp_path)
    store.keep(store.apply(layers(1)))
    (tmp_path / "1.json").write_bytes(rubbish)
    assert store.layers(1) is None
    (tmp_path / "state.json").write_bytes(rubbish)
    (tmp_path / "fleet.json").write_bytes(rubbish)
    assert store.state().current is None
    assert Mirror(tmp_path / "fleet.json").read().web.files == {}
    again = store.apply(layers(2))
    assert (again, volume(store, store.state().current)) == (2, 2)


def test_a_disk_that_cannot_be_written_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"file.*check the disk") as caught:
        Store(tmp_path / "file").apply(layers(1))
    assert "\n" not in str(caught.value)


def test_a_full_disk_leaves_all_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)
    store.keep(store.apply(layers(1)))

    def full(descriptor: int, data: Any) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(StoreError, match="no space left"):
            store.apply(layers(2))
    assert volume(store, store.state().current) == 1
    assert volume(store, store.apply(layers(3))) == 3


def test_nothing_is_named_before_it_is_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a power cut can undo: the order of `fsync` and `rename`."""
    steps: list[tuple[str, int]] = []
    real_fsync, real_replace = os.fsync, os.replace

    def fsync(descriptor: int) -> None:
        steps.append(("fsync", os.fstat(descriptor).st_ino))
        real_fsync(descriptor)

    def replace(source: Path, target: Path) -> None:
        steps.append(("rename", source.stat().st_ino))
        real_replace(source, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    write_whole(tmp_path / "a", b"x")
    file, folder = (tmp_path / "a").stat().st_ino, tmp_path.stat().st_ino
    assert steps == [("fsync", file), ("rename", file), ("fsync", folder)]


def test_killed_at_any_step_a_device_has_a_whole_configuration(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "tests.appliance.provisioning.crash", str(tmp_path)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        check=True,
        timeout=300,
    )
    folders = [Path(name) for name in json.loads(run.stdout)]
    # Each configuration is several calls; far fewer would mean that none was counted.
    assert len(folders) > 80
    seen = set()
    for folder in folders:
        store = Store(folder)
        state = store.state()
        current = volume(store, state.current)
        good = volume(store, state.last_good)
        # Never a mixture: each number is a file that is wholly there.
        assert state.current is not None
        found = store.layers(state.current)
        assert found is not None
        assert current is not None
        assert digest_of(found) == digest_of(layers(current))
        assert good in ((2,) if current in (2, 3) else (2, 4))
        seen.add((current, good, len(state.refusals)))
        held = Mirror(folder / "fleet.json").read()
        assert held in (holding(2), holding(3))
        assert held == holding(3) or current == 2
        # And it goes on from there.
        store.keep(store.apply(layers(5)))
        assert volume(store, store.state().last_good) == 5
        Mirror(folder / "fleet.json").write(holding(6))
        assert Mirror(folder / "fleet.json").read() == holding(6)
    assert seen == {(2, 2, 0), (3, 2, 0), (2, 2, 1), (4, 2, 1), (4, 4, 1)}

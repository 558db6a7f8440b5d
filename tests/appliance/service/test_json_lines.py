"""A file of JSON lines: what is on the disk, whatever happened, and what is read from there."""

from __future__ import annotations

import fcntl
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import pytest

from appliance.service.json_lines import Entry, JsonLines


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "lines.jsonl"


def numbers(lines: JsonLines) -> list[int]:
    return [entry["n"] for entry in lines.read()]


def test_what_is_appended_is_read(path: Path) -> None:
    lines = JsonLines(path)
    assert numbers(lines) == []
    for n in range(3):
        lines.append({"n": n, "why": "ünd\n"})
    assert numbers(lines) == [0, 1, 2]
    assert [json.loads(line)["why"] for line in path.read_text().splitlines()] == ["ünd\n"] * 3


def test_half_of_a_surrogate_pair_is_kept_as_it_is(path: Path) -> None:
    lines = JsonLines(path)
    lines.append({"why": "é \ud800"})
    lines.append({"why": "the next"})
    assert [entry["why"] for entry in lines.read()] == ["é \ud800", "the next"]
    assert path.read_text().splitlines()[0] == r'{"why": "é \ud800"}'


def test_it_never_grows_without_bound_and_keeps_the_newest(path: Path) -> None:
    lines = JsonLines(path, size_max=100)
    for n in range(200):
        lines.append({"n": n})
    sizes = [one.stat().st_size for one in path.parent.iterdir()]
    assert len(sizes) == 2
    assert all(0 < size <= 100 for size in sizes)
    kept = numbers(lines)
    assert kept == list(range(200 - len(kept), 200))
    assert sum(sizes) > 100
    lines.append({"n": 0, "why": "longer than a file is to be" * 10})
    assert numbers(lines)[-1] == 0


def test_a_line_that_a_power_cut_has_cut_spoils_no_other(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b'{"n": 0}\n7\nno json\n{"n": 1, "wh')
    lines = JsonLines(path)
    lines.append({"n": 2})
    assert numbers(lines) == [0, 2]


def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        JsonLines(tmp_path / "file" / "lines.jsonl").append({})


def test_who_comes_while_another_puts_a_full_file_away_writes_to_the_new_one(path: Path) -> None:
    lines = JsonLines(path, size_max=30)
    lines.append({"n": 0})
    lines.append({"n": 1})
    before = path.with_name(f"{path.name}.1")
    writer = threading.Thread(target=lines.append, args=({"n": 3},))
    with path.open("ab") as file:  # what another process has in its hand
        fcntl.flock(file, fcntl.LOCK_EX)
        writer.start()
        writer.join(0.2)
        assert writer.is_alive(), "it waits for its turn"
        path.replace(before)
        path.write_text('{"n": 2}\n')
    writer.join(30)
    assert not writer.is_alive()
    assert before.read_text() == '{"n": 0}\n{"n": 1}\n'
    assert path.read_text() == '{"n": 2}\n{"n": 3}\n'


def test_what_comes_is_read_on_from_one_file_into_the_next(path: Path) -> None:
    lines = JsonLines(path, size_max=100)
    tail = lines.tail()
    assert tail.read() == []
    read = []
    for n in range(50):
        lines.append({"n": n})
        if n % 5 == 0:
            read += tail.read()
    assert [entry["n"] for entry in read + tail.read()] == list(range(50))
    assert tail.read() == []
    tail.close()


def test_what_there_is_already_is_read_first(path: Path) -> None:
    lines = JsonLines(path, size_max=100)
    for n in range(50):
        lines.append({"n": n})
    tail = lines.tail()
    assert tail.read() == list(lines.read())
    with path.open("ab") as file:
        file.write(b'{"n": 50, "why"')
    assert tail.read() == []
    with path.open("ab") as file:
        file.write(b': ""}\n')
    assert tail.read() == [{"n": 50, "why": ""}]
    tail.close()


def by_reading(lines: JsonLines) -> list[Entry]:
    return list(lines.read())


def by_following(lines: JsonLines) -> list[Entry]:
    tail = lines.tail()
    try:
        return tail.read()
    finally:
        tail.close()


@pytest.mark.parametrize("read", [by_reading, by_following])
@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("opening", [1, 2])
@pytest.mark.parametrize("put_away", [1, 2, 3])
def test_nothing_is_lost_to_who_reads_while_a_full_file_is_put_away(
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    read: Callable[[JsonLines], list[Entry]],
    moment: str,
    opening: int,
    put_away: int,
) -> None:
    lines = JsonLines(path, size_max=100)
    last = 0

    def write() -> None:
        nonlocal last
        last += 1
        lines.append({"n": last})

    def fill(times: int) -> None:
        """Write until the file was put away that often."""
        for _ in range(times):
            file = path.stat().st_ino
            while path.stat().st_ino == file:
                write()

    write()
    fill(2)
    while path.stat().st_size < 60:
        write()
    so_far, to_open, openings = last, Path.open, 0

    def racing(self: Path, *arguments: Any, **options: Any) -> IO[Any]:
        nonlocal openings
        openings += 1
        now = openings == opening
        if now and moment == "before":
            fill(put_away)
        file = to_open(self, *arguments, **options)
        if now and moment == "after":
            fill(put_away)
        return file

    monkeypatch.setattr(Path, "open", racing)
    found = [entry["n"] for entry in read(lines)]
    monkeypatch.undo()
    assert last > so_far, "it was put away"
    assert found[-1] >= so_far
    assert found == list(range(found[0], found[-1] + 1)), "in order, and each once"
    assert sum(len(json.dumps({"n": n})) + 1 for n in found) > 100, "both files"


def test_who_looks_away_while_two_files_are_filled_reads_what_is_left_of_them(path: Path) -> None:
    lines = JsonLines(path, size_max=100)
    tail = lines.tail()
    lines.append({"n": 0})
    assert tail.read() == [{"n": 0}]
    path.replace(path.with_name(f"{path.name}.1"))
    assert tail.read() == [], "there is no new one yet, and the old one was read"
    lines.append({"n": 1})
    path.replace(path.with_name(f"{path.name}.1"))
    lines.append({"n": 2})
    assert tail.read() == [{"n": 1}, {"n": 2}]
    assert tail.read() == []
    tail.close()

"""The database: in order, whole or not at all, and never in the way of a room."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from appliance.hub import database as module
from appliance.hub.database import Database
from appliance.hub.errors import DataError, StoreError


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(tmp_path / "hub.sqlite3")
    await database.open()
    await database.change(lambda c: c.execute("CREATE TABLE things (x INTEGER PRIMARY KEY, y)"))
    yield database
    await database.close()


async def things(database: Database) -> list[int]:
    rows = await database.read(lambda c: c.execute("SELECT x FROM things ORDER BY x").fetchall())
    return [row["x"] for row in rows]


async def test_a_reader_sees_what_was_noted_before(database: Database) -> None:
    for number in range(100):
        database.note(lambda c, n=number: c.execute("INSERT INTO things (x) VALUES (?)", (n,)))
    assert await things(database) == list(range(100))


async def test_what_is_noted_at_the_end_is_there_at_the_next_start(database: Database) -> None:
    for number in range(100):
        database.note(lambda c, n=number: c.execute("INSERT INTO things (x) VALUES (?)", (n,)))
    await database.close()
    await database.close()
    again = Database(database.path)
    await again.open()
    assert await things(again) == list(range(100))
    await again.close()


async def test_a_change_is_whole_or_not_at_all(database: Database) -> None:
    def twice(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO things (x) VALUES (1)")
        connection.execute("INSERT INTO things (x) VALUES (1)")

    with pytest.raises(StoreError):
        await database.change(twice)
    database.note(twice)
    assert await things(database) == []


async def test_nothing_runs_on_the_loop(database: Database) -> None:
    seen: set[int] = set()
    await database.change(lambda _: seen.add(threading.get_ident()))
    await database.read(lambda _: seen.add(threading.get_ident()))
    database.note(lambda _: seen.add(threading.get_ident()))
    await database.close()
    assert len(seen) == 1
    assert threading.get_ident() not in seen


async def test_a_full_disk_is_said_once_and_breaks_nothing(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """SQLite's own limit of pages stands for the disk's: the error is the same."""
    big = "y" * 20_000

    def fill(number: int) -> None:
        sql = "INSERT INTO things VALUES (?, ?)"
        database.note(lambda c: c.execute(sql, (number, big)))

    def limit(pages: int) -> None:
        database.note(lambda c: c.execute(f"PRAGMA max_page_count = {pages}"))

    limit(60)
    for number in range(40):
        fill(number)
    kept = await things(database)
    assert 0 < len(kept) < 40
    with pytest.raises(StoreError, match=r"disk of .*hub\.sqlite3 is full; free some space"):
        await database.change(lambda c: c.execute("INSERT INTO things VALUES (99, ?)", (big,)))
    limit(100_000)
    fill(100)
    assert (await things(database))[-1] == 100
    lines = [one.getMessage() for one in caplog.records if one.name == module.__name__]
    assert len(lines) == 2
    assert "is full; free some space; the rooms go on" in lines[0]
    assert lines[1].endswith("can be written again")


async def test_a_disk_that_stands_still_holds_up_nobody(
    database: Database, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PENDING_MAX", 10)
    stuck = threading.Event()
    database.note(lambda _: stuck.wait(30))
    for number in range(50):
        database.note(lambda c, n=number: c.execute("INSERT INTO things (x) VALUES (?)", (n,)))
    # The loop goes on meanwhile.
    await asyncio.sleep(0)
    stuck.set()
    kept = await things(database)
    assert kept == list(range(len(kept)))
    assert 0 < len(kept) < 50
    database.note(lambda _: None)
    await database.close()
    lost = 50 - len(kept)
    assert f"is too slow: {lost} changes are not kept" in caplog.text


async def test_a_fault_of_ours_breaks_nothing_either(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    database.note(lambda _: 1 / 0)
    database.note(lambda c: c.execute("INSERT INTO things (x) VALUES (1)"))
    assert await things(database) == [1]
    assert "a change was not kept" in caplog.text


async def test_after_the_end_nothing_is_kept(database: Database) -> None:
    await database.close()
    database.note(lambda _: None)
    with pytest.raises(StoreError, match="is closed"):
        await things(database)


async def test_its_files_are_private(database: Database) -> None:
    await things(database)
    files = list(database.path.parent.iterdir())
    assert {path.name for path in files} >= {"hub.sqlite3", "hub.sqlite3-wal", "hub.lock"}
    assert {path.stat().st_mode & 0o077 for path in files} == {0}


async def test_one_hub_at_a_time(database: Database) -> None:
    other = Database(database.path)
    with pytest.raises(DataError, match=r"another hub uses the data directory .* --data"):
        await other.open()
    await other.close()
    assert await things(database) == []
    await database.close()
    await other.open()
    await other.close()


async def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "hub.sqlite3"
    path.write_text("nonsense " * 1000)
    database = Database(path)
    with pytest.raises(DataError, match="is no database; restore it") as caught:
        await database.open()
    assert "\n" not in str(caught.value)
    assert path.read_text() == "nonsense " * 1000


async def test_a_directory_in_the_place_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "hub.sqlite3").mkdir()
    with pytest.raises(DataError, match="is a directory; mend it"):
        await Database(tmp_path / "hub.sqlite3").open()


async def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        await Database(tmp_path / "nothing" / "hub.sqlite3").open()


async def test_another_program_that_writes_is_waited_for(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = sqlite3.connect(database.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    writing = asyncio.create_task(
        database.change(lambda c: c.execute("INSERT INTO things (x) VALUES (1)"))
    )
    await asyncio.sleep(0)
    other.execute("INSERT INTO things (x) VALUES (2)")
    other.execute("COMMIT")
    other.close()
    await writing
    assert await things(database) == [1, 2]

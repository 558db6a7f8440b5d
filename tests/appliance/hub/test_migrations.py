"""Databases of every age come up to date, and those of the future are left alone."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from appliance.hub.errors import DataError
from appliance.hub.migrations import MIGRATIONS, migrate

PATH = Path("hub.sqlite3")


def connect() -> sqlite3.Connection:
    return sqlite3.connect(":memory:", isolation_level=None)


def version(connection: sqlite3.Connection) -> int:
    (number,) = connection.execute("PRAGMA user_version").fetchone()
    return int(number)


def test_a_new_database_gets_all_tables() -> None:
    connection = connect()
    migrate(connection, PATH)
    assert version(connection) == len(MIGRATIONS)
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema")}
    assert {"rooms", "room_sessions", "members", "events", "recordings", "streams"} <= tables
    # Once is enough.
    migrate(connection, PATH)
    assert version(connection) == len(MIGRATIONS)


def test_an_old_database_keeps_what_is_in_it() -> None:
    connection = connect()
    steps = ["CREATE TABLE a (x)", "ALTER TABLE a ADD COLUMN y DEFAULT 7"]
    migrate(connection, PATH, steps[:1])
    connection.execute("INSERT INTO a VALUES (1)")
    migrate(connection, PATH, steps)
    assert version(connection) == 2
    assert connection.execute("SELECT * FROM a").fetchall() == [(1, 7)]


def test_a_step_that_fails_leaves_nothing_behind() -> None:
    connection = connect()
    steps = ["CREATE TABLE a (x)", "CREATE TABLE b (x); CREATE TABLE a (x)"]
    with pytest.raises(sqlite3.OperationalError):
        migrate(connection, PATH, steps)
    assert version(connection) == 1
    assert connection.execute("SELECT name FROM sqlite_schema").fetchall() == [("a",)]
    assert not connection.in_transaction


def test_a_newer_database_is_left_alone() -> None:
    connection = connect()
    migrate(connection, PATH, ["CREATE TABLE a (x)", "CREATE TABLE b (x)"])
    with pytest.raises(
        DataError, match=r"newer roomlet \(version 2 .* knows 1\).* --data"
    ) as caught:
        migrate(connection, PATH, ["CREATE TABLE a (x)"])
    assert "\n" not in str(caught.value)
    assert version(connection) == 2

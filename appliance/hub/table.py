"""One table of the store: records in, records out, and lists page by page."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Generic, TypeVar

from appliance.hub.database import Database
from appliance.hub.records import Page, PageRequest

__all__ = ["Condition", "Table", "columns"]

T = TypeVar("T")

Condition = tuple[str, object]
"""A condition in SQL with one mark, and the value that stands for the mark."""


class Table(Generic[T]):
    """Records of one kind. `make` builds one of a row.

    What is awaited is on the disk when it returns, and raises StoreError; what is noted is
    written as soon as its turn comes: see `database`. Column names are never a client's.
    """

    def __init__(self, database: Database, name: str, make: Callable[[sqlite3.Row], T]) -> None:
        self._database: Final = database
        self._name: Final = name
        self._make: Final = make

    async def one(self, identifier: str) -> T | None:
        """The record with this id."""
        return await self._first("id = ?", identifier)

    async def delete(self, identifier: str) -> bool:
        """Forget the record with this id; False when it is gone already."""
        sql = f"DELETE FROM {self._name} WHERE id = ?"
        return await self._database.change(lambda c: c.execute(sql, (identifier,)).rowcount > 0)

    async def _first(self, condition: str, value: object, order: str = "number") -> T | None:
        sql = f"SELECT * FROM {self._name} WHERE {condition} ORDER BY {order} LIMIT 1"
        row = await self._database.read(lambda c: c.execute(sql, (value,)).fetchone())
        return None if row is None else self._make(row)

    async def _list(self, condition: str = "TRUE", *values: object) -> list[T]:
        """All records that meet a condition, in the order of their coming."""
        sql = f"SELECT * FROM {self._name} WHERE {condition} ORDER BY number"
        rows = await self._database.read(lambda c: c.execute(sql, values).fetchall())
        return [self._make(row) for row in rows]

    async def _page(self, page: PageRequest, conditions: Sequence[Condition] = ()) -> Page[T]:
        """The records of a page that meet all conditions, the newest first."""
        where = " AND ".join(["number <= ?", *(text for text, _ in conditions)])
        # One row more tells whether there is another page.
        sql = f"SELECT * FROM {self._name} WHERE {where} ORDER BY number DESC LIMIT ? OFFSET ?"

        def work(connection: sqlite3.Connection) -> Page[T]:
            anchor = page.anchor
            if anchor is None:
                newest = f"SELECT coalesce(max(number), 0) FROM {self._name}"
                (anchor,) = connection.execute(newest).fetchone()
            values = [anchor, *(value for _, value in conditions)]
            rows = connection.execute(sql, [*values, page.size + 1, page.number * page.size])
            found = [self._make(row) for row in rows]
            return Page(found[: page.size], anchor, len(found) > page.size)

        return await self._database.read(work)

    async def _add(self, values: Mapping[str, object]) -> bool:
        """Keep a new record; False where the table's rules forbid it."""
        sql = self._insert(values)

        def work(connection: sqlite3.Connection) -> bool:
            try:
                connection.execute(sql, tuple(values.values()))
            except sqlite3.IntegrityError:
                return False
            return True

        return await self._database.change(work)

    async def _change(self, identifier: str, values: Mapping[str, object]) -> bool:
        """Give a record new values; False when it is gone."""
        sql, parameters = self._update(identifier, values)
        return await self._database.change(lambda c: c.execute(sql, parameters).rowcount > 0)

    def _note(self, values: Mapping[str, object]) -> None:
        """Note a new record."""
        sql = self._insert(values)
        self._database.note(lambda c: c.execute(sql, tuple(values.values())))

    def _note_whole(self, values: Mapping[str, object]) -> None:
        """Note what a record is now, whether it is new or not."""
        news = ", ".join(f"{name} = excluded.{name}" for name in values)
        sql = f"{self._insert(values)} ON CONFLICT (id) DO UPDATE SET {news}"
        self._database.note(lambda c: c.execute(sql, tuple(values.values())))

    def _note_change(self, identifier: str, values: Mapping[str, object]) -> None:
        """Note new values of a record."""
        sql, parameters = self._update(identifier, values)
        self._database.note(lambda c: c.execute(sql, parameters))

    def _insert(self, values: Mapping[str, object]) -> str:
        marks = ", ".join("?" * len(values))
        return f"INSERT INTO {self._name} ({', '.join(values)}) VALUES ({marks})"

    def _update(
        self, identifier: str, values: Mapping[str, object]
    ) -> tuple[str, tuple[object, ...]]:
        news = ", ".join(f"{name} = ?" for name in values)
        return f"UPDATE {self._name} SET {news} WHERE id = ?", (*values.values(), identifier)


def columns(row: sqlite3.Row, *without: str) -> dict[str, Any]:
    """A row as the fields of its record, but for those that its maker sets itself."""
    left_out = {"number", *without}
    return {name: row[name] for name in row.keys() if name not in left_out}  # noqa: SIM118

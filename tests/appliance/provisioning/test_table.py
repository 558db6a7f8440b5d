from __future__ import annotations

from pathlib import Path

import pytest

from appliance.provisioning import ConfigError
from appliance.provisioning.table import Table

GOOD = """\
serial,mac,room,volume
ABC1,,Oak,40
,DC:A6:32:01:02:03,"Ash, ""big"" \\ ${x}",50
"""


def read(folder: Path, text: str) -> Table:
    path = folder / "rooms.csv"
    path.write_text(text)
    return Table.read(path)


def test_a_row_tells_its_device_and_its_line(tmp_path: Path) -> None:
    table = read(
        tmp_path, '\ufeff serial , note\r\n\r\nA1, "x\ny"\r\n b2 , z\r\n'.replace(', "', ',"')
    )
    assert table.mistakes == []
    assert table.columns == ("serial", "note")
    assert [(row.line, row.file, row.cells["note"]) for row in table.rows] == [
        (3, "a1.toml", "x\ny"),
        (5, "b2.toml", "z"),
    ]


@pytest.mark.parametrize(
    ("table", "line", "says"),
    [
        (GOOD + "abc1,,Elm,1\n", 4, "abc1.toml is there twice; each device has one row (line 2)"),
        (GOOD + ",,Elm,1\n", 4, "names no device"),
        ("\n ,\n\nroom,volume\nOak,1\n", 4, "needs a column serial or mac"),
        ("\nserial,room\n,\n", 2, "names the columns only; add a row for each device"),
        (GOOD + ",zz,Elm,1\n", 4, "mac: zz is no MAC address"),
        (GOOD + "../x,,Elm,1\n", 4, "serial: ../x is no serial number"),
        (GOOD + "abc2,,Elm\n", 4, "fewer cells"),
        (GOOD + "abc2,,Elm,1,2\n", 4, "more cells"),
        ("room,volume\nOak,1\n", 1, "needs a column serial or mac"),
        ("Serial,room\nabc,Oak\n", 1, "serial or mac; write serial, not Serial"),
        ("serial;room\nabc;Oak\n", 1, "separate the cells by commas, not by semicolons"),
        ("serial,room,room,volume\na,b,c,1\n", 1, "two columns of one name"),
        (GOOD + 'abc2,,"Elm\n\n', 4, "no CSV from here on"),
        ("", 1, "needs a column"),
    ],
)
def test_what_cannot_be_is_blamed_with_its_line(
    tmp_path: Path, table: str, line: int, says: str
) -> None:
    found = read(tmp_path, table)
    (mistake,) = found.mistakes
    assert str(mistake).startswith(f"{tmp_path}/rooms.csv, line {line}: ")
    assert says in str(mistake)
    # What to do about it, too.
    assert "; " in str(mistake) or "needs a column" in says


@pytest.mark.parametrize(
    "mac", ["DC:A6:32:01:02:03", "dc-a6-32-01-02-03", "dca632010203", "dca6.3201.0203"]
)
def test_a_mac_is_taken_in_the_ways_that_labels_have_it(tmp_path: Path, mac: str) -> None:
    found = read(tmp_path, f"mac,room\n{mac},Oak\n")
    assert found.mistakes == []
    assert [row.file for row in found.rows] == ["dc-a6-32-01-02-03.toml"]


def test_all_mistakes_of_a_table_are_told(tmp_path: Path) -> None:
    found = read(tmp_path, GOOD + "abc1,zz,Elm,1\n,,x,\nabc1,,x,1\nabc1\nabc3,,Fir,1\n")
    assert [mistake.line for mistake in found.mistakes] == [4, 5, 6, 7]
    # What else stands in these rows can be looked at.
    assert [(row.line, row.file) for row in found.rows][2:] == [
        (4, None),
        (5, None),
        (6, None),
        (8, "abc3.toml"),
    ]


def test_rows_with_nothing_in_them_are_none(tmp_path: Path) -> None:
    found = read(tmp_path, ",,,\n" + GOOD + ",,,\n,\n , ,\t,\nabc3,,Fir,1\n,,,,,,\n")
    assert found.mistakes == []
    assert [row.line for row in found.rows] == [3, 4, 8]


def test_a_table_may_be_larger_than_a_configuration(tmp_path: Path) -> None:
    rows = "".join(f"s{number},{'x' * 100}\n" for number in range(2000))
    assert len(read(tmp_path, "serial,note\n" + rows).rows) == 2000
    with pytest.raises(ConfigError, match="shorten it"):
        read(tmp_path, "serial,note\n" + rows * 30)

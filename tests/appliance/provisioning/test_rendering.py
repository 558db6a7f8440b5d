"""What an integrator's table and template become, and how their mistakes are told."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from appliance.provisioning import ConfigError
from appliance.provisioning.errors import ConfigErrors
from appliance.provisioning.rendering import render
from tests.appliance.provisioning.two_rooms import FLEET, TABLE, TEMPLATE, rendered, rooms

__all__ = ["rooms"]


def test_a_row_becomes_the_file_of_a_device(rooms: Path) -> None:
    made = rendered(rooms)
    assert list(made.files) == ["abc1.toml", "dc-a6-32-01-02-03.toml"]
    assert made.changed == list(made.files)
    assert 'user_name = "Ash, \\"big\\" \\\\ ${x}"' in made.files["dc-a6-32-01-02-03.toml"]
    assert not (rooms / "fleet/abc1.toml").exists()
    made.write(rooms / "fleet")
    assert (rooms / "fleet/abc1.toml").read_text() == made.files["abc1.toml"]
    assert rendered(rooms).changed == []
    assert rendered(rooms).diff() == ""


def test_a_dry_run_shows_what_would_change_device_by_device(rooms: Path) -> None:
    rendered(rooms).write(rooms / "fleet")
    (rooms / "rooms.csv").write_text(TABLE.replace(",40", ",45").replace("ABC1", "abc1"))
    (rooms / "fleet/gone.toml").write_text("")
    made = rendered(rooms)
    assert made.changed == ["abc1.toml"]
    assert "--- abc1.toml\n+++ abc1.toml\n" in made.diff()
    assert "-volume = 40\n+volume = 45\n" in made.diff()
    assert "dc-a6" not in made.diff()
    assert made.strangers == ("gone.toml",)


def told(rooms: Path, monkeypatch: pytest.MonkeyPatch, **files: str) -> list[str]:
    """The mistakes of files of these texts, as an integrator beside them sees them."""
    monkeypatch.chdir(rooms)
    for name, text in files.items():
        path = {"table": "rooms.csv", "template": "template.toml"}.get(name, f"fleet/{name}.toml")
        Path(path).write_text(text)
    with pytest.raises(ConfigErrors) as caught:
        render(*map(Path, ("rooms.csv", "template.toml", "fleet", "fleet/fleet.toml")))
    # Nothing is written.
    assert {path.stem for path in Path("fleet").iterdir()} <= {"fleet", *files}
    return [str(error) for error in caught.value.errors]


def many(*odd: str, rooms: int = 50) -> str:
    """A table of so many rooms, with these rows behind them."""
    rows = [f"r{number:02},,Room {number},40" for number in range(rooms)]
    return "\n".join(["serial,mac,room,volume", *rows, *odd]) + "\n"


def test_a_cell_is_blamed_with_its_row_its_column_and_what_it_makes(
    rooms: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = many("a1,,Oak,140", "a2,,Elm,-1", "a3,,Ash,loud", "a4,,Fir,140", "a5,,Yew,")
    limit = "volume: speaker.volume:"
    syntax = "volume: invalid value; see toml.io for the syntax"
    assert told(rooms, monkeypatch, table=table) == [
        f"rooms.csv, line 52: {limit} must be at most 100, not 140"
        " (template.toml and a1.toml, line 5; so in line 55: a4.toml)",
        f"rooms.csv, line 53: {limit} must be at least 0, not -1"
        " (template.toml and a2.toml, line 5)",
        f"rooms.csv, line 54: {syntax} (template.toml and a3.toml, line 5)",
        f"rooms.csv, line 56: {syntax}; the cell is empty (template.toml and a5.toml, line 5)",
    ]


def test_a_mistake_of_the_template_is_told_once_and_how_many_rooms_have_it(
    rooms: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    template = TEMPLATE + "pitch = 3\n[camera]\nrate = '15'\n[room.token_headers]\nX = 7\n"
    whose = "(50 of 50 files: r00.toml, r01.toml, r02.toml, ...)"
    lines = told(rooms, monkeypatch, table=many(), template=template)
    assert [line.replace(whose, "WHOSE") for line in lines] == [
        "template.toml, line 6, column 1: speaker.pitch: unknown key,"
        " choose one of backend, device, fallback, options, volume WHOSE",
        "template.toml, line 8, column 1: camera.rate:"
        " must be a number, without quotes, not '15' WHOSE",
        "template.toml, line 10, column 1: room.token_headers.X: must be a text, in quotes WHOSE",
    ]


def test_a_mistake_of_the_template_is_looked_for_once(
    rooms: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed = 0
    loads = tomllib.loads

    def counting(text: str) -> dict[str, Any]:
        nonlocal parsed
        parsed += 1
        return loads(text)

    monkeypatch.setattr(tomllib, "loads", counting)
    wrong = "".join(f"wrong{number} = 1\n" for number in range(20))
    lines = told(rooms, monkeypatch, table=many(rooms=200), template=TEMPLATE + wrong)
    assert len(lines) == 20
    # Each of the 201 files once, and then 20 keys by halves.
    assert parsed < 201 + 20 * 12


def test_where_a_cell_is_part_of_a_key_each_row_has_its_own_lines(
    rooms: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = told(
        rooms,
        monkeypatch,
        table="serial,one,two\na1,camera,speaker\na2,speaker,camera\n",
        template="[${one}]\nwdth = 7\n[${two}]\nwdth = 8\n",
    )
    assert [line.partition(": unknown")[0] for line in lines] == [
        "template.toml, line 2, column 1: camera.wdth",
        "template.toml, line 2, column 1: speaker.wdth",
        "template.toml, line 4, column 1: speaker.wdth",
        "template.toml, line 4, column 1: camera.wdth",
    ]


def test_quotes_round_a_number_are_the_template_s_whatever_the_cells(
    rooms: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = many() + "".join(f"s{number},,Elm,{number}\n" for number in range(10))
    template = TEMPLATE.replace("${volume}", '"${volume}"')
    assert told(rooms, monkeypatch, table=table, template=template) == [
        "template.toml, line 5: speaker.volume: must be a whole number, without quotes, not '40'"
        " (60 of 60 files: r00.toml, r01.toml, r02.toml, ...; rooms.csv, lines 2-61: volume)"
    ]
    # As long as it is not the mistake of a few.
    few = many("s1,,Elm,170", "s2,,Elm,180", rooms=3)
    assert [line.partition(": ")[0] for line in told(rooms, monkeypatch, table=few)] == [
        "template.toml, line 5"
    ]


def test_what_is_the_same_whatever_the_cells_is_the_template_s(
    rooms: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    template = "[controls]\nbackend = 'gpio'\noptions = { mute_pin = ${pin}, pull = 'sideways' }\n"

    def blamed(table: str) -> str:
        (line,) = told(rooms, monkeypatch, table=table, template=template)
        return line.partition(": ")[0]

    assert blamed("serial,pin\na1,17\na2,18\n") == "template.toml, line 3"
    # One row, or several that are the same, can tell nothing.
    assert blamed("serial,pin\na1,17\na2,17\n") == "rooms.csv, line 2"


def test_all_mistakes_are_told_where_each_hides_others(
    rooms: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = told(
        rooms,
        monkeypatch,
        table=many("a1,,Oak,loud", "r01,,Elm,140", "zz zz,,Ash,150", "a4,,Fir"),
        template='include = "gone.toml"\n# 5 $\n'
        + TEMPLATE
        + '[log]\nlevel = "${levl}"\n[camera]\nrtae = 1\n[policy]\nauto_join = "${auto join}"\n',
        fleet=FLEET + "[panel]\nhots = []\n",
    )
    assert [line.rpartition(" (")[0] or line for line in lines] == [
        "fleet/fleet.toml, line 6, column 1: panel.hots: unknown key, did you mean hosts?",
        "template.toml, line 1, column 1: include: gone.toml:"
        " there is no such file; check its name",
        "template.toml, line 2: has a $ that begins no ${column}; write $$ for a plain one",
        "template.toml, line 9: asks for a column levl, which rooms.csv has not;"
        " add it to rooms.csv",
        "template.toml, line 11, column 1: camera.rtae: unknown key, did you mean rate?",
        "template.toml, line 13: asks for a column auto join, which rooms.csv has not;"
        " add it to rooms.csv",
        "rooms.csv, line 52: volume: invalid value; see toml.io for the syntax",
        "rooms.csv, line 53: r01.toml is there twice; each device has one row",
        "rooms.csv, line 53: volume: speaker.volume: must be at most 100, not 140",
        "rooms.csv, line 54: serial: zz zz is no serial number;"
        " use letters, digits, _ and within it - .",
        "rooms.csv, line 54: volume: speaker.volume: must be at most 100, not 150",
        "rooms.csv, line 55: has fewer cells than the first line; leave none out, be it empty",
    ]
    # The camera's is that of each, of the one with a cell that is no TOML as well.
    assert "(53 of 53 files: " in lines[4]


def test_parts_on_one_pin_are_blamed_on_the_columns_of_both(
    rooms: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = "serial,mute,red\n" + "".join(f"r{n},17,{22 if n else 17}\n" for n in range(5))
    options = "{ mute_pin = ${mute}, tally_red = ${red}, pull = 'up' }"
    template = f"[controls]\nbackend = 'gpio'\noptions = {options}\n"
    assert told(rooms, monkeypatch, table=table, template=template) == [
        "rooms.csv, line 2: mute, red: controls.options.mute_pin: pin 17 is given to mute_pin and"
        " tally_red; each needs its own (template.toml and r0.toml, line 3)"
    ]


@pytest.mark.parametrize(
    ("template", "where"),
    [
        ('[[room]]\nname = "${cell}"\n', "template.toml, line 1, column 3: room: "),
        ("[camera]\nrate = 0.${cell}\n", "rooms.csv, line 2: cell: camera.rate: "),
        ("[speaker]\nvolume = 0x${cell}\n", "rooms.csv, line 2: cell: speaker.volume: "),
        (
            '[provisioning]\nurls = [\n  "${cell}",\n]\n',
            "rooms.csv, line 2: cell: provisioning.urls[0]: ",
        ),
        # Nothing that stands for the cell is a key of its own.
        ("[speaker]\n[${word}]\nvolume = 3\n", "rooms.csv, line 2: word: cannot declare "),
    ],
)
def test_a_mistake_is_told_where_it_is_made(
    rooms: Path, monkeypatch: pytest.MonkeyPatch, template: str, where: str
) -> None:
    (line,) = told(
        rooms, monkeypatch, table="serial,cell,word\na1,999,speaker\n", template=template
    )
    assert line.startswith(where)
    assert "Config" not in line


def test_what_a_device_does_not_take_of_a_fleet_is_not_made(
    rooms: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    template = (
        'include = "../site.toml"\n' + TEMPLATE + '[provisioning]\npublic_key = "RW${room}"\n'
    )
    (rooms / "site.toml").write_text("")
    lines = told(rooms, monkeypatch, template=template)
    assert "../site.toml is no plain name; put the file beside it" in lines[0]
    assert any("a fleet's key does not come with the fleet's files" in line for line in lines)


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("room.token", '["${cell}"]'),
        ("room.token_url", '"ftp://u:${cell}@x/"'),
        ("room.token_headers.Authorization", '["Bearer ${cell}"]'),
        ("calendar.url", '["https://x/${cell}.ics"]'),
        ("network.turn_url", '"http://u:${cell}@relay"'),
        ("provisioning.proxy", '"ftp://u:${cell}@proxy:1"'),
        ("provisioning.urls[0]", '["ftp://u:${cell}@x/"]'),
    ],
)
def test_no_secret_is_in_a_mistake(
    rooms: Path, monkeypatch: pytest.MonkeyPatch, key: str, text: str
) -> None:
    line = f"{key.partition('[')[0]} = {text}\n"
    # Of its own cell, and of the template's.
    for template, value in ((line, "c4n4ry"), (line.replace("${cell}", "c4n4ry"), "x")):
        table = f"serial,cell\na1,{value}\n"
        (told_one,) = told(rooms, monkeypatch, table=table, template=template)
        assert f": {key}: " in told_one
        assert "c4n4ry" not in told_one


def test_no_part_of_a_password_is_taken_for_a_column(
    rooms: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    template = '[provisioning]\nproxy = "http://u:pa$c4n4ry@p:1"\n'
    assert told(rooms, monkeypatch, template=template) == [
        "template.toml, line 2: has a $ that begins no ${column}; write $$ for a plain one"
    ]


def test_the_folder_may_be_named_in_a_roundabout_way(
    rooms: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(rooms)
    Path("rooms.csv").write_text(TABLE.replace(",40", ",140"))
    folder = Path("fleet/../fleet/.")
    with pytest.raises(ConfigErrors, match=r"^rooms\.csv, line 2: volume: ") as caught:
        render(Path("rooms.csv"), Path("template.toml"), folder, folder / "fleet.toml")
    assert len(caught.value.errors) == 1


SHARED = "is no device's own file; give the number of the device"


@pytest.mark.parametrize("over", [True, False])
@pytest.mark.parametrize("name", ["fleet", "device", "site", "floor", "rooms", "link"])
def test_no_row_takes_the_place_of_a_file_that_devices_share(
    rooms: Path, monkeypatch: pytest.MonkeyPatch, name: str, over: bool
) -> None:
    monkeypatch.chdir(rooms / "fleet")
    Path("fleet.toml").write_text('include = "site.toml"\n' + FLEET)
    Path("site.toml").write_text("[speaker]\nvolume = 7\n")
    Path("floor.toml").write_text("[speaker]\nvolume = 8\n")
    Path("link.toml").symlink_to("site.toml")
    # The template may lie there as well.
    Path("rooms.toml").write_text('include = "${floor}.toml"\n' + FLEET)
    Path("rooms.csv").write_text(f"serial,floor\nabc1,floor\n{name.upper()},floor\n")
    fleet = Path("fleet.toml") if over else None
    with pytest.raises(ConfigErrors) as caught:
        render(Path("rooms.csv"), Path("rooms.toml"), Path(), fleet)
    assert [str(error) for error in caught.value.errors] == [
        f"rooms.csv, line 3: serial: {name}.toml {SHARED}"
    ]
    Path("link.toml").unlink()
    Path("rooms.csv").write_text("serial,floor\nabc1,floor\n")
    made = render(Path("rooms.csv"), Path("rooms.toml"), Path("../fleet"), fleet)
    assert (made.changed, made.strangers) == (["abc1.toml"], ())


def test_what_is_in_a_cell_stays_one_value(rooms: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = told(
        rooms,
        monkeypatch,
        table='serial,pin,name\na1,"17, hang_up_pin = 5",O\'Brien\na2,17,x\na3,17,x\na4,17,x\n',
        template="[room]\nuser_name = '${name}'\n"
        '[controls]\nbackend = "gpio"\noptions = { mute_pin = ${pin} }\n',
    )
    assert lines == [
        "template.toml, line 2: has ${name} in '...', in which nothing can be escaped;"
        ' write "..."',
        "rooms.csv, line 2: pin: must be a number or one word where the template has no quotes;"
        ' write "${pin}" there for a text (template.toml and a1.toml, line 5)',
    ]


def test_a_stray_sign_hides_no_mistake_that_is_not_of_it(
    rooms: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    template = (
        "[camera]\nrtae = 3 # 5 $\n[display]\nbackend = 'x' # '${room}'\n"
        "[log]\nlevel = '''\n${room}'''\n"
    )
    lines = told(rooms, monkeypatch, template=template)
    assert [line.partition(": ")[0].partition(",")[2] for line in lines] == [
        " line 2",
        " line 2, column 1",
        " line 4, column 1",
        " line 7",
    ]


def test_a_table_without_rows_makes_no_device_a_stranger(
    rooms: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = told(rooms, monkeypatch, table="serial,room,volume\n,,\n", abc1="")
    assert lines == ["rooms.csv, line 1: names the columns only; add a row for each device"]


def test_no_row_includes_itself(rooms: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (rooms / "fleet/abc1.toml").write_text("")
    lines = told(
        rooms,
        monkeypatch,
        template='include = "${serial}.toml"\n',
        table="serial\nabc1\n",
        abc1="",
    )
    assert lines == [f"rooms.csv, line 2: serial: abc1.toml {SHARED}"]


def test_a_file_that_is_not_there_is_named(rooms: Path) -> None:
    (rooms / "rooms.csv").unlink()
    with pytest.raises(ConfigError, match=r"rooms\.csv: there is no such file"):
        rendered(rooms)


def test_a_dry_run_does_not_show_secrets(rooms: Path) -> None:
    (rooms / "rooms.csv").write_text("serial,one,two\nabc1,canary-1,canary-2\n")
    template = rooms / "template.toml"
    template.write_text(
        "room = { host = 'ws://hub', token = \"${one}\" }\n"
        '[provisioning]\nproxy = "http://u:${two}@proxy:1"\n'
    )

    def made():  # type: ignore[no-untyped-def]
        return render(rooms / "rooms.csv", template, rooms / "fleet")

    first = made()
    assert "canary" not in first.diff()
    assert '+proxy = "http://u:********@proxy:1"' in first.diff()
    first.write(rooms / "fleet")
    (rooms / "rooms.csv").write_text("serial,one,two\nabc1,canary-1,canary-3\n")
    # That a secret is another one is shown.
    assert '-proxy = "http://u:********@proxy:1"\n+proxy' in made().diff()
    assert "canary" not in made().diff()
    template.write_text('[room]\nhost = "ws://hub"\n"token" = "canary\\u002d4"\n')
    assert '+"token" = "********"' in made().diff()
    assert "canary" not in made().diff()
    template.write_text(
        '[room]\nhost = "ws://hub"\ntoken_url = "https://x/"\n'
        '[room.token_headers]\nX-Key2 = """\ncanary-5"""\n'
    )
    assert "canary" not in made().diff()
    assert '+token_url = "https://x/"' in made().diff()

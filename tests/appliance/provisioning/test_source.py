from __future__ import annotations

import tomllib
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.provisioning.config import Config
from appliance.provisioning.errors import ConfigError
from appliance.provisioning.layers import Layers, Part
from appliance.provisioning.source import Source, dotted

TEXT = '''\
# a device
title = "x"

[room]   # where
host = "ws://hub"
"quoted key" = """
host = not this
[camera]
"""
panel.listen = "127.0.0.1:0"

[camera]
options = { width = 1, host = [
  1,
  2,
] }
rate = 30

[[extra]]
name = "one"
[[extra]]
name = "two"
'''


@pytest.mark.parametrize(
    ("key", "place"),
    [
        (("title",), (2, 1)),
        (("room",), (4, 2)),
        (("room", "host"), (5, 1)),
        (("room", "quoted key"), (6, 2)),
        (("room", "panel", "listen"), (10, 7)),
        (("camera",), (12, 2)),
        (("camera", "options", "host"), (13, 24)),
        (("camera", "options", "host", 1), (13, 24)),
        (("camera", "rate"), (17, 1)),
        (("extra", 1, "name"), (22, 1)),
    ],
)
def test_finds_the_statement_of_a_key(key: tuple[str | int, ...], place: tuple[int, int]) -> None:
    assert Source(Path("a.toml"), TEXT).locate(key) == place


def test_a_missing_key_is_placed_at_its_table() -> None:
    assert Source(Path("a.toml"), TEXT).locate(("camera", "nothing")) == (12, 2)
    assert Source(Path("a.toml"), TEXT).locate(("nothing", "at all")) is None


@given(
    st.dictionaries(
        st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=8),
        st.integers() | st.text(st.characters(codec="ascii", categories=["L"])),
        min_size=1,
        max_size=12,
    )
)
def test_every_key_is_found_on_its_own_line(values: dict[str, object]) -> None:
    lines = [f"{key} = {value!r}".replace("\\", "") for key, value in values.items()]
    source = Source(Path("a.toml"), "\n".join(lines))
    for number, key in enumerate(values, 1):
        assert source.locate((key,)) == (number, 1)


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ("a = 1\nb = = 2\n", 2, 5),
        ("a = 1\n[b\n", 2, 3),
        ('a = "x', 1, None),
        ("a = 1\na = 2\n", 2, 6),
    ],
)
def test_a_mistake_in_the_syntax_has_its_place(text: str, line: int, column: int | None) -> None:
    with pytest.raises(ConfigError) as caught:
        Source(Path("a.toml"), text).parse()
    assert (caught.value.line, caught.value.column) == (line, column)
    assert str(caught.value).startswith(f"a.toml, line {line}")
    assert "\n" not in str(caught.value)


def test_what_cannot_be_read_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no such file"):
        Source.read(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match=r"is a directory"):
        Source.read(tmp_path)
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"a = 1\nb = '\xff'\n")
    with pytest.raises(ConfigError, match=r"UTF-8") as caught:
        Source.read(binary)
    assert caught.value.line == 2


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"a = 1\n" * 20_000, "more than 65536 bytes"),
        (bytes(range(256)) * 10, "no UTF-8"),
        (b"a = " + b"[" * 5_000 + b"]" * 5_000, "larger than any that is meant"),
        (b"a = " + b"9" * 5_000, "larger than any that is meant"),
        (b"\0\0\0\0", "line 1"),
    ],
)
def test_rubbish_is_refused_in_one_line(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "rubbish.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        Source.read(path).parse()
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_of_fifty_mebibytes_is_not_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "huge.toml"
    with path.open("wb") as file:
        file.truncate(50 * 2**20)
    tracemalloc.start()
    try:
        with pytest.raises(ConfigError, match="more than 65536 bytes"):
            Source.read(path)
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


def test_a_mistake_at_the_end_of_the_longest_file_is_found_soon() -> None:
    # Where each line is tried in turn, this takes hours.
    lines = [f"a{number} = 1" for number in range(5_000)]
    text = "\n".join([*lines, "wrong = 1"])
    parses = 0
    original = tomllib.loads

    def counted(text: str) -> dict[str, Any]:
        nonlocal parses
        parses += 1
        return original(text)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("appliance.provisioning.source.tomllib.loads", counted)
        assert Source(Path("a.toml"), text).locate(("wrong",)) == (5_001, 1)
    assert parses < 30


def test_line_ends_and_byte_order_marks_of_other_systems(tmp_path: Path) -> None:
    path = tmp_path / "windows.toml"
    path.write_bytes(b"\xef\xbb\xbfa = 1\r\nb = 2\r\n")
    assert Source.read(path).parse() == {"a": 1, "b": 2}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[a.b]\n[a.b]\n", "cannot declare a.b twice; "),
        ("[room]\n[room]\n", "cannot declare room twice; "),
        ("a = 1\n[[a]]\n", "cannot overwrite a value; "),
    ],
)
def test_a_table_that_is_there_twice_is_named_as_people_write_it(text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=rf"^a\.toml, line 2, column \d+: {says}"):
        Source(Path("a.toml"), text).parse()


def test_keys_are_written_as_people_write_them() -> None:
    assert dotted(("panel", "frame_ancestors", 0)) == "panel.frame_ancestors[0]"


@pytest.mark.parametrize(
    "rubbish",
    ["".join(f"k{n} = 1\n" for n in range(4_000)), "x = [\n" + '"y",\n' * 8_000 + "]\n"],
    ids=["unknown keys", "a long array"],
)
def test_rubbish_of_the_largest_size_is_told_soon(
    rubbish: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed = 0
    loads = tomllib.loads

    def counting(text: str) -> dict[str, Any]:
        nonlocal parsed
        parsed += 1
        return loads(text)

    monkeypatch.setattr(tomllib, "loads", counting)
    source = Source(Path("a.toml"), "[room]\nguest = true\n" + rubbish)
    part = Part("file", source, source.parse())
    with pytest.raises(ConfigError, match=r"line 3, column 1: room\.(k0|x): unknown key"):
        Config.from_layers(Layers([part]))
    # Parsing is what takes the time; by halves, and of few mistakes.
    assert parsed < 300


def test_a_key_of_a_thousand_parts_is_refused() -> None:
    with pytest.raises(ConfigError, match="more parts"):
        Source(Path("a.toml"), ".".join(["a"] * 2_000) + " = 1").parse()


def test_texts_and_brackets_do_not_hide_where_a_statement_ends() -> None:
    text = (
        "a = '''it's [\n''''\n"
        'b = "\\"]" # "[\n'
        'c = """\\"""" \n'
        "d = [ '[', # ]\n  { e = 1 }]\n"
        "f = 'C:\\'\n"
        "g = 1"
    )
    source = Source(Path("a.toml"), text)
    source.parse()
    lines = [source.locate((key,)) for key in "abcdfg"]
    assert lines == [(line, 1) for line in (1, 3, 4, 5, 7, 8)]


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", forbidden)
    with pytest.raises(ConfigError, match=r"device\.toml: may not be read .* mend its rights"):
        Source.read(tmp_path / "device.toml")

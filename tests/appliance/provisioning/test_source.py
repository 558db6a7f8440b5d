from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.provisioning.errors import ConfigError
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


def test_keys_are_written_as_people_write_them() -> None:
    assert dotted(("panel", "frame_ancestors", 0)) == "panel.frame_ancestors[0]"

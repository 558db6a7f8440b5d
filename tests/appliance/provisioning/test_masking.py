"""What a difference of a device's files shows: no secret, however it is written, and all else."""

from __future__ import annotations

import csv
import io
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, SecretStr

from appliance.provisioning import Config, ConfigError
from appliance.provisioning.errors import ConfigErrors
from appliance.provisioning.masking import Sealed, lines
from appliance.provisioning.mistakes import models_in, types_in
from appliance.provisioning.rendering import Rendered, render
from appliance.provisioning.showing import MASK

HEAD, TAIL = "c4n4ry", "s3cr3t"
"""Of each secret here: one that stands with signs of a different spelling is found by either."""

FILLING = {
    ("room", "host"): "ws://u:{}@hub",
    ("room", "token"): "{}",
    ("room", "token_url"): "https://u:{}@hub/token",
    ("room", "token_headers", "X-Key2"): "{}",
    ("calendar", "url"): "https://hub/{}/room.ics",
    ("provisioning", "proxy"): "http://u:{}@proxy:3128",
}
"""The keys with a secret, and what they are when they are good."""

WAYS = ("table", "inline", "dotted", "quoted")
"""To say which key it is."""

QUOTES = ("basic", "escaped", "literal", "multiline", "raw", "cell")
"""To say its value."""


def secret_keys(model: type[BaseModel], *above: str) -> Iterator[tuple[str, ...]]:
    for name, field in model.model_fields.items():
        if SecretStr in types_in(field.annotation):
            yield (*above, name)
        for inner in models_in(field.annotation):
            yield from secret_keys(inner, *above, name)


def test_each_secret_of_the_model_is_tried_here() -> None:
    assert set(secret_keys(Config)) <= {key[:2] for key in FILLING}


def written(value: str, quotes: str) -> str | None:
    """A value as TOML has it in one of its ways; None where it cannot be in that way."""
    if quotes == "escaped":
        return '"' + "".join(f"\\u{ord(c):04x}" for c in value) + '"'
    if quotes in ("literal", "raw"):
        around, clean = ("'", "'") if quotes == "literal" else ("'''\n", "'''")
        is_fit = "'" not in value and "\n" not in value
        return f"{around}{value}{clean}" if is_fit else None
    escaped = tomli_w.dumps({"x": value}).strip().removeprefix("x = ")
    return f'"""\n{escaped[1:-1]}\\\n  """' if quotes == "multiline" else escaped


def stated(key: tuple[str, ...], value: str, way: str) -> str:
    """The TOML that gives a key, which is no other's, its value."""
    *tables, name = key
    path = ".".join(tables)
    if way == "table":
        return f"[{path}]\n{name}={value}\n"
    if way == "dotted":
        return f"{path} . {name} = {value}\n"
    if way == "quoted":
        return f'["{tables[0]}"]\n' + "".join(f"'{t}'." for t in tables[1:]) + f'"{name}"={value}\n'
    for table in reversed(tables[1:]):
        name, value = table, f"{{ {name} = {value} }}"
    return f"{tables[0]} = {{ {name} = {value} }} # {name}\n"


def plain(text: str) -> str:
    """A text with its escapes undone, so that there is one spelling to look for."""
    return re.sub(
        r"\\u([0-9a-fA-F]{4})|\\U([0-9a-fA-F]{8})", lambda m: chr(int(m[1] or m[2], 16)), text
    )


def rendered(folder: Path, template: str, cell: str = "") -> Rendered:
    (folder / "template.toml").write_text(template)
    table = io.StringIO()
    csv.writer(table).writerows([["serial", "cell"], ["abc1", cell]])
    (folder / "rooms.csv").write_text(table.getvalue(), newline="")
    (folder / "fleet").mkdir(exist_ok=True)
    below = '[room]\nhost = "ws://hub"\nname = "demo"\nguest = true\n'
    (folder / "fleet/fleet.toml").write_text(below)
    table_path, template_path = folder / "rooms.csv", folder / "template.toml"
    return render(table_path, template_path, folder / "fleet", folder / "fleet/fleet.toml")


ODD = st.text(
    st.sampled_from("\"\\'#@:/=[]{},. $%&?<>~^|\t\n\u00a0\u0085\u2028\u00e4\u20ac0a")
    | st.characters(exclude_categories=["Cs", "Cc"], max_codepoint=0xFFFF),
    max_size=4,
)


@settings(max_examples=300, deadline=None)
@given(
    odd=ODD,
    key=st.sampled_from(list(FILLING)),
    way=st.sampled_from(WAYS),
    quotes=st.sampled_from(QUOTES),
    before=st.sampled_from(["nothing", "another", "same", "no TOML", "number"]),
)
def test_no_secret_is_in_a_difference_or_a_message(
    odd: str, key: tuple[str, ...], way: str, quotes: str, before: str
) -> None:
    secret = f"{HEAD}{odd}{TAIL}"
    value = written(FILLING[key].format(secret), quotes)
    if value is None:
        return
    cell = ""
    if quotes == "cell":
        value, cell = f'"{FILLING[key].format("${cell}")}"', secret
    else:
        value = value.replace("$", "$$")
    template = stated(key, value, way)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        good = written(FILLING[key].format(secret), "basic") or ""
        old = {
            "another": stated(key, good.replace(TAIL, f"{TAIL}x"), "table"),
            "same": stated(key, good, "table"),
            "no TOML": f'room = {{ host = "h", token = "{secret}" \n',
            "number": f"[{'.'.join(key[:-1])}]\n{key[-1]} = 424242\n",
        }.get(before)
        (folder / "fleet").mkdir()
        if old is not None:
            (folder / "fleet/abc1.toml").write_text(old)
        try:
            told = rendered(folder, template, cell).diff()
        except ConfigErrors as error:
            told = "\n".join(map(str, error.errors))
        except ConfigError as error:
            told = str(error)
        told = told.replace(name, "")
    assert told or before == "same"
    assert HEAD not in plain(told)
    assert TAIL not in plain(told)
    # The others are addresses, and may be told but for a password.
    assert "424242" not in told or key[:2] not in set(secret_keys(Config))


@pytest.mark.parametrize("quotes", QUOTES)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("key", FILLING, ids=".".join)
def test_a_good_secret_is_masked_and_its_key_is_shown(
    tmp_path: Path, key: tuple[str, ...], way: str, quotes: str
) -> None:
    secret = f"{HEAD}~~{TAIL}"
    value = written(FILLING[key].format("${cell}" if quotes == "cell" else secret), quotes)
    assert value is not None
    told = rendered(tmp_path, stated(key, value, way), secret).diff()
    assert key[-1] in told
    assert MASK in told
    assert HEAD not in plain(told)
    assert TAIL not in plain(told)


def test_what_is_no_secret_is_shown_as_it_was_written(tmp_path: Path) -> None:
    template = (
        "# the oak room\n"
        'room = { host="ws://hub", token = "SEC\\"RET\\\\x" } # by hand\n'
        "[controls]\n"
        'backend = "gpio"\n'
        "options = { mute_pin = ${cell}, tally_red = 22, pull = 'up' }\n"
        "[provisioning]\n"
        'proxy = "http://u:a\\"b@proxy:3128"\n'
        'interval = 3_600 # not "often"\n'
    )
    made = rendered(tmp_path, template, "17")
    assert made.diff() == (
        "--- /dev/null\n"
        "+++ abc1.toml\n"
        "@@ -0,0 +1,8 @@\n"
        "+# the oak room\n"
        '+room = { host="ws://hub", token = "********" } # by hand\n'
        "+[controls]\n"
        '+backend = "gpio"\n'
        "+options = { mute_pin = 17, tally_red = 22, pull = 'up' }\n"
        "+[provisioning]\n"
        '+proxy = "http://u:********@proxy:3128"\n'
        '+interval = 3_600 # not "often"\n'
    )
    made.write(tmp_path / "fleet")
    changed = rendered(tmp_path, template.replace("SEC", "sec"), "27").diff()
    assert "-options = { mute_pin = 17," in changed
    assert "+options = { mute_pin = 27," in changed
    # That a secret is another one is shown.
    assert changed.count('room = { host="ws://hub", token = "********" } # by hand\n') == 2
    assert "sec" not in changed.lower()


def test_of_an_old_file_that_cannot_be_read_only_that_it_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "fleet").mkdir()
    for old in (
        'room = { host = "ws://h", token = "OLDSECRET" \nvolume = \n',
        "[room]\ntoken = [1234, 5678]\n",
    ):
        (tmp_path / "fleet/abc1.toml").write_text(old)
        assert rendered(tmp_path, "[speaker]\nvolume = 40\n").diff() == (
            "--- abc1.toml\n"
            "+++ abc1.toml\n"
            "@@ the old file cannot be read and is not shown; all of it is replaced @@\n"
            "+[speaker]\n"
            "+volume = 40\n"
        )


def test_a_secret_of_one_file_is_one_in_the_other_too(tmp_path: Path) -> None:
    (tmp_path / "fleet").mkdir()
    (tmp_path / "fleet/abc1.toml").write_text('[calendar]\nurl = "https://c/OLDSECRET"\n')
    template = (
        "# it was https://c/OLDSECRET\n"
        '[room]\nuser_name = "see https://c/OLDSECRET"\n'
        '# token = "OLD"\n'
    )
    told = rendered(tmp_path, template).diff()
    assert "OLD" not in told
    assert '+user_name = "********"\n' in told


NAMES = st.text(st.sampled_from("ab=#'\"\\. \n\u00e9[]{}"), min_size=1, max_size=4)
VALUES = st.recursive(
    st.text(st.sampled_from("ab=#'\"\\. \n\u00e9[]{}:/"), max_size=6)
    | st.one_of(st.integers(-5, 5), st.booleans(), st.floats(allow_nan=False))
    | st.one_of(st.datetimes(), st.dates(), st.times()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None)
@given(values=st.dictionaries(NAMES, VALUES, max_size=4), multiline=st.booleans())
def test_without_a_secret_all_is_shown_as_it_was_written(
    values: dict[str, Any], multiline: bool
) -> None:
    text = tomli_w.dumps(values, multiline_strings=multiline)
    assert Sealed(text).lines(()) == lines(text)
    with_secret = f"{text}\n[calendar]\nurl = '''{HEAD}\n# ='''\n"
    shown = Sealed(with_secret).lines(())
    assert shown == [*lines(f"{text}\n[calendar]\n"), f'url = """{MASK}', f'{MASK}"""']


def test_passwords_in_a_list_of_addresses_are_masked() -> None:
    text = "[provisioning]\nurls = [\n  'https://u:pw@a/', # first\n  'https://b/',\n]\n"
    told = Rendered({"a.toml": text}).diff()
    assert "+  'https://u:********@a/', # first\n+  'https://b/',\n" in told


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("password = 123456", 'password = "********"'),
        ('api_key = ["a", "b"]', 'api_key = ["********", "********"]'),
        ("cover_pin = 4", "cover_pin = 4"),
        ("pin = [4, 5]", "pin = [4, 5]"),
        ("token = true", "token = true"),
        ('key_file = "k"', 'key_file = "k"'),
        ("day = 1979-05-27 07:32:00", "day = 1979-05-27 07:32:00"),
        ('url = "u:p?w@h"', 'url = "********@h"'),
        ('url = "https://u:p://w@h"', 'url = "https://********@h"'),
        ('url = "u:p://w@h"', 'url = "********@h"'),
        ('label = "https://h:80/"', 'label = "https://h:80/"'),
        ('more = { secret = { a = "b" } }', 'more = { secret = { a = "********" } }'),
    ],
)
def test_the_options_of_a_backend_go_by_their_names(tmp_path: Path, line: str, shown: str) -> None:
    # A backend that nobody knows here: its options are not looked at.
    told = Rendered({"a.toml": f"[camera]\nbackend='x'\n[camera.options]\n{line}\n"}).diff()
    assert told.splitlines()[-1] == f"+{shown}"

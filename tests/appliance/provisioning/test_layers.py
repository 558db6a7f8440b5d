from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from appliance.provisioning import Config, ConfigError
from appliance.provisioning.layers import MAX_FILES, Layers, Part, read_parts
from appliance.provisioning.source import Source

ROOM = '[room]\nhost = "ws://hub"\nname = "demo"\nguest = true\n'


def layers(**texts: str) -> Layers:
    parts = []
    for layer, text in texts.items():
        source = Source(Path(f"{layer}.toml"), text)
        parts.append(Part(layer, source, source.parse()))
    return Layers(parts)


def test_the_last_layer_wins_key_by_key() -> None:
    both = layers(
        fleet=ROOM + "[camera]\nrate = 15\nwidth = 640\n[panel]\nhosts = ['a', 'b']\n",
        device="[camera]\nrate = 24\n[panel]\nhosts = ['c']\n",
    )
    config = Config.from_layers(both)
    assert (config.camera.rate, config.camera.width, config.camera.height) == (24, 640, 720)
    assert config.panel.hosts == ["c"]
    assert str(both.origin(("camera", "rate"))) == "device: device.toml, line 2"
    assert str(both.origin(("camera", "width"))) == "fleet: fleet.toml, line 7"
    assert both.origin(("camera", "height")) is None


def test_a_mistake_is_blamed_on_the_file_that_made_it() -> None:
    with pytest.raises(ConfigError) as caught:
        Config.from_layers(
            layers(fleet=ROOM + "[camera]\nrate = 3\n", device="[camera]\nrtae = 1\n")
        )
    assert str(caught.value).startswith("device.toml, line 2, column 1: camera.rtae: ")
    with pytest.raises(ConfigError) as caught:
        Config.from_layers(layers(fleet="[camera]\nrate = 3\n", device="[speaker]\nvolume = 1\n"))
    assert str(caught.value) == "device.toml: room: is missing; add it"


def test_one_way_in_takes_the_place_of_another() -> None:
    config = Config.from_layers(layers(fleet=ROOM, device='[room]\ntoken = "abc"\n'))
    assert config.read_token() == "abc"
    assert config.room.guest is False
    config = Config.from_layers(
        layers(fleet='[room]\ntoken_file = "x"\n', device="[room]\nuser_name = 'Oak'\n")
    )
    assert config.room.token_file is not None


def test_a_secret_in_a_credential_takes_the_place_of_one_in_a_file() -> None:
    panel = "[panel]\nlisten = '0.0.0.0:8081'\npin_file = 'panel.pin'\n"
    calendar = "[calendar]\nuser = 'oak'\npassword_file = 'calendar.secret'\n"
    above = "[panel]\npin_credential = 'a'\n[calendar]\npassword_credential = 'b'\n"
    config = Config.from_layers(layers(fleet=ROOM + panel + calendar, device=above))
    assert (config.panel.pin_file, config.panel.pin_credential) == (None, "a")
    assert config.panel.listen == "0.0.0.0:8081"
    assert config.calendar.password_credential == "b"


def test_another_backend_does_not_inherit_the_options_of_the_first() -> None:
    fleet = ROOM + "[camera]\nbackend = 'v4l2'\ndevice = 'usb'\noptions = { fourcc = 'MJPG' }\n"
    config = Config.from_layers(layers(fleet=fleet, device="[camera]\nbackend = 'synthetic'\n"))
    assert config.camera.arguments == {}
    same = Config.from_layers(layers(fleet=fleet, device="[camera]\nbackend = 'v4l2'\nrate = 5\n"))
    assert same.camera.arguments == {"fourcc": "MJPG", "device": "usb"}


@pytest.mark.parametrize("named", ["backend = 'auto'\n", ""])
@pytest.mark.parametrize(
    ("above", "kept"),
    [
        ("backend = 'synthetic'\ndevice = 'synthetic:3'\n", {"pattern": "silence"}),
        ("backend = 'alsa'\n", {"buffer_ms": 40}),
        ("backend = 'alsa'\noptions = { buffer_ms = 80 }\n", {"buffer_ms": 80}),
        ("bitrate = 24000\n", {"pattern": "silence", "buffer_ms": 40}),
        # It may be there on the device.
        ("backend = 'elsewhere'\n", {"pattern": "silence", "buffer_ms": 40}),
    ],
)
def test_a_backend_inherits_the_options_of_auto_that_it_knows(
    named: str, above: str, kept: dict[str, object]
) -> None:
    fleet = ROOM + f"[microphone]\n{named}options = {{ pattern = 'silence', buffer_ms = 40 }}\n"
    config = Config.from_layers(layers(fleet=fleet, device=f"[microphone]\n{above}"))
    assert config.microphone.options == kept


def test_a_backend_beside_another_one_keeps_its_options_of_auto() -> None:
    fleet = ROOM + "[controls]\noptions = { mute_pin = 17, device = 'x', other = 1 }\n"
    above = "[controls]\nbackend = 'virtual'\nalso = ['gpio']\n"
    config = Config.from_layers(layers(fleet=fleet, device=above))
    assert config.controls.options == {"mute_pin": 17}


@pytest.mark.parametrize("odd", ["backend = 7", "backend = []", "also = [[]]\nbackend = 'gpio'"])
def test_a_backend_that_is_no_name_is_a_mistake(odd: str) -> None:
    fleet = ROOM + "[controls]\noptions = { mute_pin = 17 }\n"
    with pytest.raises(ConfigError, match="controls"):
        Config.from_layers(layers(fleet=fleet, device=f"[controls]\n{odd}\n"))


def test_relative_paths_begin_at_the_file_that_says_them(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "a/fleet.toml").write_text('[room]\nhost = "h"\ntoken_file = "room.token"\n')
    (tmp_path / "b/device.toml").write_text('[provisioning]\nca_file = "../ca.pem"\n')
    parts = [
        *read_parts("fleet", tmp_path / "a/fleet.toml"),
        *read_parts("device", tmp_path / "b/device.toml"),
    ]
    config = Config.from_layers(Layers(parts))
    assert config.room.token_file == tmp_path / "a/room.token"
    assert config.provisioning.ca_file == tmp_path / "b/../ca.pem"


def test_what_is_included_lies_below(tmp_path: Path) -> None:
    (tmp_path / "device.toml").write_text(
        'include = ["site.toml", "house/floor.toml"]\n[speaker]\nvolume = 3\n'
    )
    (tmp_path / "site.toml").write_text(ROOM + "[speaker]\nvolume = 1\n[camera]\nrate = 10\n")
    (tmp_path / "house").mkdir()
    (tmp_path / "house/floor.toml").write_text("[camera]\nrate = 20\n[speaker]\nvolume = 2\n")
    merged = Layers.of_file(tmp_path / "device.toml")
    config = Config.from_layers(merged)
    assert (config.speaker.volume, config.camera.rate) == (3, 20)
    assert merged.origin(("room", "host")).path == tmp_path / "site.toml"  # type: ignore[union-attr]


def test_a_circle_of_includes_is_named(tmp_path: Path) -> None:
    for name, other in (("a", "b"), ("b", "./x/../c"), ("c", "a")):
        (tmp_path / f"{name}.toml").write_text(f'include = "{other}.toml"\n')
    with pytest.raises(
        ConfigError, match=r"c.toml, line 1.*a.toml includes b.toml includes c.toml"
    ):
        Layers.of_file(tmp_path / "a.toml")
    (tmp_path / "self.toml").write_text('include = "self.toml"\n')
    with pytest.raises(ConfigError, match="goes round in a circle"):
        Layers.of_file(tmp_path / "self.toml")


def test_includes_that_multiply_come_to_an_end(tmp_path: Path) -> None:
    for number in range(30):
        (tmp_path / f"{number}.toml").write_text(
            f'include = ["{number + 1}.toml", "{number + 1}.toml"]\n'
        )
    (tmp_path / "30.toml").write_text("")
    with pytest.raises(ConfigError, match=f"more than {MAX_FILES} files"):
        Layers.of_file(tmp_path / "0.toml")


def test_of_includes_that_multiply_one_is_told_where_all_are(tmp_path: Path) -> None:
    for number in range(30):
        (tmp_path / f"{number}.toml").write_text(
            f'include = ["{number + 1}.toml", "{number + 1}.toml"]\n'
        )
    gaps: list[ConfigError] = []
    parts = list(read_parts("file", tmp_path / "0.toml", gaps=gaps))
    assert len(parts) == MAX_FILES
    assert [gap.reason for gap in gaps] == [f"includes more than {MAX_FILES} files; use fewer"]


@pytest.mark.parametrize("given_", ["1", "[1]", '""', '{ a = "b" }', '"a\\u0000b"'])
def test_what_is_no_name_of_a_file_is_refused(tmp_path: Path, given_: str) -> None:
    (tmp_path / "a.toml").write_text(f"include = {given_}\n")
    with pytest.raises(ConfigError, match="line 1, column 1: include: must be"):
        Layers.of_file(tmp_path / "a.toml")


@pytest.mark.parametrize("name", ["../x.toml", "/etc/passwd", "a/b.toml", ".hidden.toml", "x"])
def test_what_came_from_elsewhere_reaches_not_into_the_device(name: str) -> None:
    texts = {"a.toml": f'include = "{name}"\n'}
    with pytest.raises(ConfigError, match="plain name"):
        list(read_parts("f", Path("a.toml"), lambda p: Source(p, texts[str(p)]), folder=Path("/")))


def test_layers_are_kept_as_text(tmp_path: Path) -> None:
    (tmp_path / "device.toml").write_text('include = "site.toml"\n[speaker]\nvolume = 3\n')
    (tmp_path / "site.toml").write_text('[room]\nhost = "h"\ntoken_file = "t"\n')
    merged = Layers.of_file(tmp_path / "device.toml")
    again = Layers.restore(merged.dump())
    assert again.values == merged.values
    assert again.dump() == merged.dump()
    assert Config.from_layers(again).room == Config.from_layers(merged).room
    assert again.origin(("speaker", "volume")) == merged.origin(("speaker", "volume"))


TABLES = st.dictionaries(
    st.sampled_from("abc"),
    st.integers() | st.dictionaries(st.sampled_from("xyz"), st.integers() | st.booleans()),
)


@given(st.lists(TABLES, max_size=4))
def test_each_value_is_the_one_of_its_origin(tables: list[dict[str, Any]]) -> None:
    merged = layers(**{f"l{n}": tomli_w.dumps(table) for n, table in enumerate(tables)})

    def leaves(values: Any, above: tuple[str, ...]) -> None:
        for key, value in values.items():
            path = (*above, key)
            if isinstance(value, dict):
                leaves(value, path)
                continue
            origin = merged.origin(path)
            assert origin is not None
            found: Any = tables[int(origin.layer[1:])]
            for part in path:
                found = found[part]
            assert found == value
            later = tables[int(origin.layer[1:]) + 1 :]
            assert not any(_has(table, path) for table in later)

    leaves(merged.values, ())


def _has(values: Any, path: tuple[str, ...]) -> bool:
    for part in path:
        if not isinstance(values, dict) or part not in values:
            return False
        values = values[part]
    return True


def test_a_choice_at_the_panel_is_told_as_that() -> None:
    merged = layers(device=ROOM, panel="[camera]\nbackend = 'synthetic'\ndevice = 'synthetic:2'\n")
    for key in ("backend", "device"):
        assert str(merged.origin(("camera", key))) == "the panel"
    # The place is known all the same, for a choice that does not fit any more.
    error = merged.error(("camera", "device"), "is gone")
    assert str(error) == "panel.toml, line 3, column 1: camera.device: is gone"

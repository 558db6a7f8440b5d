from __future__ import annotations

from pathlib import Path

import pytest

from appliance.provisioning.checking import Checked, check
from appliance.provisioning.layers import Layers, Part, read_parts
from appliance.provisioning.mistakes import MOST
from appliance.provisioning.source import Source

ROOM = '[room]\nhost = "ws://hub"\nname = "demo"\nguest = true\n'


def checked(**texts: str) -> Checked:
    parts = []
    for layer, text in texts.items():
        source = Source(Path(f"{layer}.toml"), text)
        parts.append(Part(layer, source, source.parse()))
    return check(Layers(parts))


def lines(found: Checked) -> list[str]:
    return [str(mistake) for mistake in found.mistakes]


def test_nothing_is_wrong_where_nothing_is() -> None:
    found = checked(device=ROOM + "[speaker]\nvolume = 40\n")
    assert found.mistakes == []
    assert found.config is not None
    assert found.config.speaker.volume == 40


def test_each_mistake_is_named_with_its_place_and_in_the_order_of_the_file() -> None:
    found = checked(
        device=ROOM + "user_nam = 'Oak'\n"
        "[speaker]\nvolume = '40'\nvolum = 3\n"
        "[camra]\nrate = 3\n"
        "[camera]\nwidth = 641\nrate = 100\n"
        "[policy]\nquiet_from = '19:00'\n"
        "[microphone]\nbackend = 'synthetic'\noptions = { pattern = 'noise', sead = 3 }\n"
        "[display]\nbackend = 'sld'\n"
    )
    assert lines(found) == [
        "device.toml, line 5, column 1: room.user_nam: unknown key, did you mean user_name?",
        "device.toml, line 7, column 1: speaker.volume:"
        " must be a whole number, without quotes, not '40'",
        "device.toml, line 8, column 1: speaker.volum: unknown key, did you mean volume?",
        "device.toml, line 9, column 2: camra: unknown key, did you mean camera?",
        "device.toml, line 12, column 1: camera.width: must be even, not 641",
        "device.toml, line 13, column 1: camera.rate: must be at most 60, not 100",
        "device.toml, line 14, column 2: policy: needs quiet_from and quiet_until, or neither",
        *(line for line in lines(found) if "microphone.options" in line),
        *(line for line in lines(found) if "display.backend" in line),
    ]
    assert [mistake.key for mistake in found.mistakes[-3:]] == [
        "microphone.options.pattern",
        "microphone.options.sead",
        "display.backend",
    ]


def test_the_options_of_what_is_shared_are_looked_at() -> None:
    found = checked(
        device=ROOM + "[screen_share]\ndevice = 'usb-1'\n"
        "options = { pixel_fromat = 'yuyv', decode_preview = 'no' }\n"
    )
    assert [mistake.key for mistake in found.mistakes] == [
        "screen_share.options.pixel_fromat",
        "screen_share.options.decode_preview",
    ]


def test_mistakes_of_several_files_stand_in_the_order_of_the_files() -> None:
    found = checked(
        fleet="[speaker]\nvolume = 101\n[log]\nlevel = 'loud'\n",
        device="[camera]\nrtae = 1\n" + ROOM,
    )
    assert [line.partition(":")[0] for line in lines(found)] == [
        "fleet.toml, line 2, column 1",
        "fleet.toml, line 4, column 1",
        "device.toml, line 2, column 1",
    ]


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        # It is missing because it is misspelt.
        ('[rom]\nhost = "h"\n', ["rom"]),
        ('[room]\nhots = "h"\nname = "x"\nguest = true\n', ["room.hots"]),
        ('[room]\nhost = "h"\ntokn = "x"\n', ["room.tokn"]),
        ('[room]\nhost = "h"\nname = "x"\nguest = "true"\n', ["room.guest"]),
        (ROOM + "[panel]\npin_fil = 'p'\nlisten = '0.0.0.0:1'\n", ["panel.pin_fil"]),
        (ROOM + "[panel]\npin_file = 3\nlisten = '0.0.0.0:1'\n", ["panel.pin_file"]),
        (ROOM + "[policy]\nquiet_from = 7\nquiet_until = '07:00'\n", ["policy.quiet_from"]),
        # It is not the same as itself.
        (ROOM + "[camera]\nbackend = nan\n", ["camera.backend"]),
        # These have nothing to do with each other.
        ('[room]\nhost = "h"\nuser_name = 5\n', ["room", "room.user_name"]),
        (
            ROOM + "[panel]\nqr = 1\nlisten = '0.0.0.0:1'\ntls_key = 'k'\n",
            ["panel", "panel.qr", "panel.listen"],
        ),
        ("[camera]\nrate = 'x'\n", ["room", "camera.rate"]),
        ("room = 3\n[camera]\nrate = 'x'\n", ["room", "camera.rate"]),
    ],
)
def test_what_follows_from_another_mistake_is_left_out(text: str, keys: list[str]) -> None:
    assert [mistake.key for mistake in checked(device=text).mistakes] == keys


def test_what_is_left_without_the_mistakes_can_be_looked_at() -> None:
    found = checked(device=ROOM + "[panel]\npin_file = 'a'\nqr = 7\n[camera]\nrtae = 1\n")
    assert len(found.mistakes) == 2
    assert found.config is not None
    assert found.config.panel.pin_file == Path.cwd() / "a"
    assert checked(device="[camera]\nrtae = 1\n").config is None


def test_what_no_file_says_is_missing_in_the_topmost(tmp_path: Path) -> None:
    (tmp_path / "site.toml").write_text("[camera]\nrate = 3\n")
    (tmp_path / "device.toml").write_text('include = "site.toml"\n')
    fleet = Part("fleet", Source(Path("fleet.toml"), ""), {})
    layers = Layers([fleet, *read_parts("device", tmp_path / "device.toml")])
    assert lines(check(layers)) == [f"{tmp_path}/device.toml: room: is missing; add it"]


def test_of_rubbish_a_part_is_told_and_that_it_is_one() -> None:
    rubbish = "".join(f"x{number} = 1\n" for number in range(MOST + 50))
    found = checked(device=ROOM + "[camera]\n" + rubbish)
    assert len(found.mistakes) == MOST + 1
    assert lines(found)[0] == (
        f"device.toml: has more mistakes than the {MOST} that are told; mend these first"
    )
    assert lines(found)[-1].startswith(f"device.toml, line {5 + MOST}, column 1: camera.x")
    assert found.config is None


def test_as_many_mistakes_as_are_told_are_all_of_them() -> None:
    some = "".join(f"x{number} = 1\n" for number in range(MOST - 1))
    whole = checked(device=ROOM + "[camera]\n" + some + "[speaker]\nvolume = 'x'\n")
    assert [mistake.key for mistake in whole.mistakes[-2:]] == ["camera.x98", "speaker.volume"]
    assert len(whole.mistakes) == MOST
    assert whole.config is not None
    # With one more, of a backend's options too, there is more to tell.
    for more in ("[log]\nlevel = 'x'\n", "[display]\nbackend = 'sld'\n"):
        found = checked(device=ROOM + "[camera]\n" + some + "[speaker]\nvolume = 'x'\n" + more)
        assert len(found.mistakes) == MOST + 1
        assert lines(found)[0].startswith(f"device.toml: has more mistakes than the {MOST} ")


def test_what_follows_from_another_mistake_counts_for_none() -> None:
    some = "".join(f"x{number} = 1\n" for number in range(MOST - 1))
    follows = "[room]\nhots = 'h'\nname = 'x'\nguest = true\n"
    found = checked(device=follows + "[camera]\n" + some)
    assert len(found.mistakes) == MOST
    assert found.mistakes[0].key == "room.hots"


def test_no_secret_is_in_a_mistake() -> None:
    found = checked(
        device='[room]\nhost = 7\ntoken = ["c4n4ry"]\n[provisioning]\nproxy = "x://a:c4n4ry@b"\n'
        '[calendar]\nurl = "http://calendar.example/c4n4ry/oak.ics"\n'
        '[network]\nturn_url = "turn:alice:c4n4ry@relay:3478"\n'
    )
    assert len(found.mistakes) == 5
    assert "c4n4ry" not in "".join(lines(found))
    odd = checked(device=ROOM + "[calendar]\nurl = ['http://calendar.example/c4n4ry']\n")
    assert [mistake.key for mistake in odd.mistakes] == ["calendar.url"]
    assert "c4n4ry" not in "".join(lines(odd))

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance.provisioning import Config, ConfigError, load
from appliance.provisioning.mistakes import mistakes

LEAST = '[room]\nhost = "ws://hub:8080"\nname = "demo"\nguest = true\n'


def config_of(folder: Path, text: str) -> Config:
    path = folder / "device.toml"
    path.write_text(text)
    path.chmod(0o600)
    return load(path)


def refusal(folder: Path, text: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        config_of(folder, text)
    assert "\n" not in str(caught.value)
    return caught.value


def test_the_least_that_a_device_needs(tmp_path: Path) -> None:
    config = config_of(tmp_path, LEAST)
    assert config.room.host == "ws://hub:8080"
    assert config.camera.backend == "auto"
    assert (config.camera.width, config.camera.height, config.camera.rate) == (1280, 720, 30)
    assert config.mute.allow_remote_unmute is False
    assert config.mute.stop_microphone_while_muted is True
    assert config.panel.listen == "127.0.0.1:8081"
    assert config.read_token() is None


def test_a_whole_device(tmp_path: Path) -> None:
    config = config_of(
        tmp_path,
        """
[room]
host = "https://hub.example"
token = "secret.of.mine"
user_name = "Oak"
[camera]
backend = "v4l2"
device = "usb-1"
width = 640
height = 360
rate = 15
bitrate = 500_000
options = { fourcc = "MJPG" }
[speaker]
volume = 40
[controls]
backend = "gpio"
options = { mute_pin = 17, tally_red_pin = 22 }
[mute]
start_muted = true
[panel]
enabled = false
frame_ancestors = ["http://127.0.0.1:8080/"]
[log]
level = "debug"
[probe]
enabled = true
tones = [1000, 1500.5]
""",
    )
    assert config.room.host == "wss://hub.example"
    assert config.read_token() == "secret.of.mine"
    assert config.camera.arguments == {"fourcc": "MJPG", "device": "usb-1"}
    assert config.controls.arguments == {"mute_pin": 17, "tally_red_pin": 22}
    assert config.panel.frame_ancestors == ["http://127.0.0.1:8080"]
    assert "secret.of.mine" not in repr(config)


@pytest.mark.parametrize(
    ("text", "line", "column", "key", "says"),
    [
        (
            '[room]\nhots = "x"\nname = "demo"\nguest = true\n',
            2,
            1,
            "room.hots",
            "did you mean host?",
        ),
        (LEAST + "[camra]\nrate = 3\n", 5, 2, "camra", "did you mean camera?"),
        (LEAST + "[camera]\nrtae = 3\n", 6, 1, "camera.rtae", "did you mean rate?"),
        (LEAST + "[mute]\nxyz = 3\n", 6, 1, "mute.xyz", "choose one of allow_remote_unmute"),
        (LEAST + "[camera]\nrate = 'fast'\n", 6, 1, "camera.rate", "must be a number"),
        (LEAST + "[camera]\nwidth = 641\n", 6, 1, "camera.width", "must be even, not 641"),
        (LEAST + "[speaker]\nvolume = 101\n", 6, 1, "speaker.volume", "must be at most 100"),
        (LEAST + "[panel]\nlisten = '8081'\n", 6, 1, "panel.listen", "127.0.0.1:8081"),
        *(
            (
                LEAST + f"[panel]\n{more}listen = '{listen}'\n",
                6 + more.count("\n"),
                1,
                "panel.listen",
                "needs pin_file, pin_credential, or client_ca with tls_cert and tls_key",
            )
            for listen, more in (
                ("0.0.0.0:8081", ""),
                ("192.0.2.1:8081", ""),
                ("[::]:8081", ""),
                ("room-7.local:8081", ""),
                ("[::ffff:127.0.0.1]:8081", ""),
                # The certificate of the panel itself keeps nobody out.
                ("0.0.0.0:8081", "tls_cert = 'c'\ntls_key = 'k'\n"),
            )
        ),
        (LEAST + "[panel]\ntls_key = 'k'\n", 5, 2, "panel", "tls_cert and tls_key, or neither"),
        (LEAST + "[panel]\nclient_ca = 'c'\n", 5, 2, "panel", "with client_ca needs tls_cert"),
        (
            LEAST + "[panel]\npin_file = 'a'\npin_credential = 'b'\n",
            5,
            2,
            "panel",
            "needs one of pin_file and pin_credential",
        ),
        (
            LEAST + "[panel]\nframe_ancestors = ['http://a', 'b']\n",
            6,
            1,
            "panel.frame_ancestors[1]",
            "must be an origin",
        ),
        (
            '[room]\nhost = "hub"\n',
            1,
            2,
            "room",
            "room: needs one of token, token_file, token_credential, token_url and guest",
        ),
        (
            LEAST + 'token_file = "x"\n',
            1,
            2,
            "room",
            "room: needs only one of token, token_file, token_credential, token_url and guest",
        ),
        ("[room]\nguest = true\n", 1, 2, "room", "needs host and name"),
        ('[room]\ntoken_file = "~/x"\n', 2, 1, "room.token_file", "of this file, without ~"),
        ('[room]\ntoken_file = "~oak/x"\n', 2, 1, "room.token_file", "of this file, without ~"),
        (
            LEAST + '[panel]\ntls_cert = "~/c"\ntls_key = "k"\n',
            6,
            1,
            "panel.tls_cert",
            "must be a whole path, or one from the folder of this file, without ~, not '~/c'",
        ),
        (
            '[room]\nhost = "wss://[fd00::7:8443"\ntoken = "x"\n',
            2,
            1,
            "room.host",
            "ws://HOST:PORT",
        ),
        ('[room]\nhost = "hub:808080"\ntoken = "x"\n', 2, 1, "room.host", "ws://HOST:PORT"),
        ('[room]\nhost = "wss://:8443"\ntoken = "x"\n', 2, 1, "room.host", "ws://HOST:PORT"),
        ('[room]\nhost = "ftp://hub"\ntoken = "x"\n', 2, 1, "room.host", "ws://HOST:PORT"),
        ("[camera]\nrate = 3\n", None, None, "room", "is missing"),
    ],
)
def test_a_mistake_is_named_with_its_place(
    tmp_path: Path, text: str, line: int | None, column: int | None, key: str, says: str
) -> None:
    error = refusal(tmp_path, text)
    assert (error.line, error.column, error.key) == (line, column, key)
    assert says in str(error)
    place = "" if line is None else f", line {line}, column {column}"
    assert str(error).startswith(f"{tmp_path}/device.toml{place}: {key}: ")


@pytest.mark.parametrize(
    "text",
    [
        "listen = '127.0.0.7:8081'",
        "listen = '[::1]:8081'",
        "listen = 'localhost:8081'",
        "enabled = false\nlisten = '0.0.0.0:8081'",
        "listen = '0.0.0.0:8081'\npin_file = 'panel.pin'",
        "listen = '0.0.0.0:8081'\npin_credential = 'panel.pin'",
        "listen = '0.0.0.0:8081'\nclient_ca = 'ca'\ntls_cert = 'c'\ntls_key = 'k'",
    ],
)
def test_the_panel_may_listen_where_nobody_or_somebody_known_comes(
    tmp_path: Path, text: str
) -> None:
    assert config_of(tmp_path, f"{LEAST}[panel]\n{text}\n").panel.listen


def test_the_pin_of_the_panel_is_read_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = config_of(tmp_path, LEAST + "[panel]\npin_file = 'panel.pin'\n")
    assert config.panel.pin_file == tmp_path / "panel.pin"  # beside the file that says so
    with pytest.raises(ConfigError, match=r"panel\.pin_file: .*panel\.pin: no such file"):
        config.read_pin()
    pin = tmp_path / "panel.pin"
    for text, says in (("12345", "less than 6 characters"), ("", "holds no PIN"), ("ü", "no PIN")):
        pin.write_text(text)
        with pytest.raises(ConfigError, match=says) as caught:
            config.read_pin()
        assert caught.value.line == 6
        assert text not in str(caught.value).replace(str(tmp_path), "") or not text
    pin.write_text("123456\n")
    pin.chmod(0o644)
    assert config.read_pin() == "123456"
    assert "can be read by others" in caplog.text
    assert "123456" not in caplog.text
    pin.write_text("open the door\n")
    assert config.read_pin() == "open the door"
    assert config_of(tmp_path, LEAST).read_pin() is None


def test_the_misspelt_key_is_blamed_and_not_what_it_leaves_missing(tmp_path: Path) -> None:
    error = refusal(tmp_path, '[room]\nhost = "ws://hub"\ntokn = "x"\n[camera]\nrate = "no"\n')
    assert error.key == "room.tokn"


@pytest.mark.parametrize(
    ("section", "line", "says"),
    [
        ("policy", 'auto_join = "true"', "must be true or false, without quotes, not 'true'"),
        ("policy", "auto_join = 1", "must be true or false, not 1"),
        ("policy", 'auto_join = "yes"', "must be true or false, without quotes, not 'yes'"),
        ("speaker", 'volume = "40"', "must be a whole number, without quotes, not '40'"),
        ("speaker", "volume = 40.0", "must be a whole number, not 40.0"),
        ("speaker", "volume = true", "must be a whole number, not True"),
        ("camera", 'rate = "30"', "must be a number, without quotes, not '30'"),
        ("controls", "hang_up_after = '2'", "must be a number, without quotes, not '2'"),
        ("panel", "pin_file = 12345", "path"),
        ("log", "level = 3", "'debug', 'info', 'warning' or 'error', not 3"),
    ],
)
def test_a_value_in_quotes_is_a_text_and_nothing_else(
    tmp_path: Path, section: str, line: str, says: str
) -> None:
    error = refusal(tmp_path, f"{LEAST}[{section}]\n{line}\n")
    assert (error.line, error.key) == (6, f"{section}.{line.partition(' = ')[0]}")
    assert says in str(error)


def test_a_whole_number_is_a_number_too(tmp_path: Path) -> None:
    rate = config_of(tmp_path, LEAST + "[camera]\nrate = 15\n").camera.rate
    assert (rate, type(rate)) == (15.0, float)


def test_a_token_never_stands_in_an_error(tmp_path: Path) -> None:
    assert "s3cr3t" not in str(refusal(tmp_path, '[room]\ntoken = ["s3cr3t"]\n'))
    both = '[room]\nhost = "h"\ntoken = "s3cr3t"\nguest = true\nname = "x"\n'
    assert "s3cr3t" not in str(refusal(tmp_path, both))
    short = '[room]\nhost = 7\ntoken = "s3cr3t"\n'
    assert "s3cr3t" not in str(refusal(tmp_path, short))


VALUES = st.recursive(
    st.booleans() | st.integers(-5, 9999) | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["host", "rate", "x"]), inner, max_size=3)
    ),
    max_leaves=5,
)
SECTIONS = ["room", "camera", "microphone", "speaker", "mute", "panel", "log", "probe", "other"]
KEYS = ["host", "name", "token", "guest", "backend", "rate", "options", "listen", "tones", "other"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(
        st.sampled_from(SECTIONS), st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=4)
    )
)
def test_anything_is_taken_or_refused_in_one_line(
    tmp_path: Path, values: dict[str, dict[str, Any]]
) -> None:
    def toml(value: Any) -> str:
        match value:
            case bool():
                return str(value).lower()
            case dict():
                return "{" + ", ".join(f"{k} = {toml(v)}" for k, v in value.items()) + "}"
            case list():
                return "[" + ", ".join(map(toml, value)) + "]"
            case str():
                return '"' + "".join(f"\\U{ord(c):08x}" for c in value) + '"'
            case float():
                return repr(float(value))
            case _:
                return str(value)

    text = "".join(
        f"[{section}]\n" + "".join(f"{key} = {toml(value)}\n" for key, value in keys.items())
        for section, keys in values.items()
    )
    path = tmp_path / "device.toml"
    path.write_text(text)
    refused: ConfigError | None = None
    try:
        load(path)
    except ConfigError as error:
        refused = error
    assert refused is None or ("\n" not in str(refused) and refused.path == path)


def test_the_token_of_a_file_beside_the_configuration(tmp_path: Path) -> None:
    config = config_of(tmp_path, '[room]\nhost = "h"\ntoken_file = "room.token"\n')
    with pytest.raises(
        ConfigError, match=r"line 3, column 1: room.token_file: .*room.token: no su"
    ):
        config.read_token()
    token = tmp_path / "room.token"
    token.write_text("abc.def.ghi\n")
    token.chmod(0o600)
    assert config.read_token() == "abc.def.ghi"
    # Renewed while the device runs.
    token.write_text("jkl")
    assert config.read_token() == "jkl"
    for wrong in ("", "two words", "x" * 20_000):
        token.write_text(wrong)
        with pytest.raises(ConfigError, match=re.escape("holds no room token")):
            config.read_token()


def test_the_token_of_a_systemd_credential(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    config = config_of(tmp_path, '[room]\nhost = "h"\ntoken_credential = "room.token"\n')
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    with pytest.raises(ConfigError, match=r"line 3, .*LoadCredential=room.token:FILE"):
        config.read_token()
    folder = tmp_path / "credentials"
    folder.mkdir()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder))
    with pytest.raises(ConfigError, match=r"room\.token: no such file"):
        config.read_token()
    (folder / "room.token").write_text("abc.def\n")
    # systemd's own modes: the folder is what it guards.
    (folder / "room.token").chmod(0o440)
    assert config.read_token() == "abc.def"
    assert not caplog.records
    with pytest.raises(ConfigError, match="token_credential"):
        config_of(tmp_path, '[room]\nhost = "h"\ntoken_credential = "../etc/shadow"\n')


KEY = "RWRB2gLbi6HnH92e7MHJcwbNHC8HqvzObNUjk4ECVGGDjhpCEe4dsRAj"


@pytest.mark.parametrize(
    ("text", "key", "says"),
    [
        ('urls = ["http://x/"]', "urls[0]", "https address of a folder"),
        ('urls = ["https://x/?a=b"]', "urls[0]", "https address of a folder"),
        ('urls = ["https://x:99999/"]', "urls[0]", "https address of a folder"),
        ('urls = ["https://x/"]', "", "needs public_key"),
        ("usb = true", "", "needs public_key"),
        ('public_key = "RWabc"', "public_key", "is not a minisign public key"),
        ('proxy = "socks5://x"', "proxy", "must be a proxy's address"),
        ('discover = ["mdns"]', "discover[0]", "'dhcp' or 'dns'"),
        ("interval = 5", "interval", "must be at least 60"),
        ("probation = 1", "probation", "must be at least 10"),
    ],
)
def test_sources_that_cannot_be(tmp_path: Path, text: str, key: str, says: str) -> None:
    error = refusal(tmp_path, f"{LEAST}[provisioning]\n{text}\n")
    assert error.key == f"provisioning{'.' if key else ''}{key}"
    assert says in str(error)


def test_the_sources_of_a_fleet(tmp_path: Path) -> None:
    text = f'urls = ["https://a", "https://b:8443/x/"]\npublic_key = "{KEY}"\nca_file = "ca.pem"\n'
    config = config_of(tmp_path, f"{LEAST}[provisioning]\n{text}")
    assert config.provisioning.urls == ["https://a/", "https://b:8443/x/"]
    assert config.provisioning.ca_file == tmp_path / "ca.pem"
    assert config.provisioning.interval == 900
    assert config.provisioning.probation == 90


@pytest.mark.parametrize("in_file", [True, False])
def test_a_token_that_others_can_read_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, in_file: bool
) -> None:
    secret = tmp_path / ("room.token" if in_file else "device.toml")
    entry = 'token_file = "room.token"' if in_file else 'token = "abc"'
    (tmp_path / "room.token").write_text("abc")
    (tmp_path / "room.token").chmod(0o600)
    path = tmp_path / "device.toml"
    path.write_text(f'[room]\nhost = "h"\n{entry}\n')
    path.chmod(0o600)
    with caplog.at_level(logging.WARNING):
        assert load(path).read_token() == "abc"
        assert not caplog.records
        secret.chmod(0o644)
        assert load(path).read_token() == "abc"
        # At each try to join it is read again; that is no news.
        config = load(path)
        assert config.read_token() == config.read_token() == "abc"
    assert caplog.text.count(f"chmod 600 {secret}") == 1
    assert "abc" not in caplog.text.replace(str(tmp_path), "")


@pytest.mark.parametrize(
    ("panel", "metrics", "clash"),
    [
        ("127.0.0.1:9464", "127.0.0.1:9464", True),
        ("127.0.0.1:9464", "127.0.0.1:9465", False),
        ("127.0.0.1:9464", "127.0.0.2:9464", False),
        ("127.0.0.1:0", "127.0.0.1:0", False),
        ("127.0.0.1:9464", "0.0.0.0:9464", True),
        ("127.0.0.1:9464", "0.0.0.0:09464", True),
        # That of IPv6 takes both, that of IPv4 its own.
        ("127.0.0.1:9464", "[::]:9464", True),
        ("[::1]:9464", "[0::0]:9464", True),
        ("[::1]:9464", "0.0.0.0:9464", False),
        ("[::1]:9464", "localhost:9464", False),
        ("LOCALHOST:9464", "127.0.0.1:9464", True),
        ("127.0.0.1:9464", "unix:/run/9464", False),
        # That of a panel nobody has moved.
        (None, "127.0.0.1:8081", True),
    ],
)
def test_panel_and_figures_cannot_be_at_one_place(
    panel: str | None, metrics: str, clash: bool
) -> None:
    values: dict[str, Any] = {
        "room": {"host": "ws://hub", "name": "demo", "guest": True},
        "panel": {} if panel is None else {"listen": panel},
        "metrics": {"listen": metrics},
    }
    found = mistakes(Config, values)
    if clash:
        ((key, reason),) = [(one.key, one.reason) for one in found]
        assert key == ("metrics", "listen")
        where = panel or "127.0.0.1:8081"
        assert reason == (
            f"is where the panel listens (panel.listen = '{where}'); give one of the two another"
            " port"
        )
        values["panel"]["enabled"] = False
    assert clash or found == []
    Config.model_validate(values)


@pytest.mark.parametrize("rest", ["/sub", "/?x=1", "?x=1", ":80/sub?x=1"])
def test_guests_come_to_the_root_of_a_server(rest: str, tmp_path: Path) -> None:
    for host in (f"ws://u:c4n4ry@hub{rest}", f"hub{rest}"):
        entrance = f'[room]\nhost = "{host}"\nname = "demo"\n'
        error = refusal(tmp_path, f"{entrance}guest = true\n")
        assert "with guest = true needs a host without a path: " in str(error)
        assert "c4n4ry" not in str(error)
        # The room itself may be anywhere.
        assert config_of(tmp_path, f'{entrance}token = "x"\n').room.host == host
    bare = '[room]\nhost = "ws://hub:80/"\nname = "demo"\nguest = true\n'
    assert config_of(tmp_path, bare).room.guest


def test_a_file_whose_name_begins_as_a_home_does(tmp_path: Path) -> None:
    config = config_of(tmp_path, '[room]\ntoken_file = "~x"\n')
    assert config.room.token_file == tmp_path / "~x"

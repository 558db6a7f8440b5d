from __future__ import annotations

from pathlib import Path

import pytest

from appliance.hub.urls import (
    PLAYED,
    UrlError,
    check_url,
    media_file,
    redacted,
    tls_options,
    without_secrets,
)


@pytest.mark.parametrize(
    "url",
    [
        "http://films.example/a.mp4",
        "https://user:word@films.example:8443/a%20b.mp4?key=1&b=2",
        "rtmp://[::1]:1935/live/key",
        "rtmps://live.example/app/key",
        "HTTP://films.example/a.mp4",
    ],
)
def test_addresses_that_are_let_through_stay_as_they_are(url: str) -> None:
    assert check_url(url, PLAYED) == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "a.mp4",
        "file:///etc/passwd",
        "concat:http://a/b|http://a/c",
        "http+unix://x/y",
        "http://",
        "https:films.example",
        "http://a\tb/",
        "http://a/\r\nHost: b",
        "http://a/\u2028",
        "http://a:99999999/",
        "http://[::1/",
        "crypto+http://a/b",
        "tls://a:1",
        " http://a/b",
    ],
)
def test_others_are_refused(url: str) -> None:
    with pytest.raises(UrlError) as caught:
        check_url(url, PLAYED)
    assert "\n" not in str(caught.value)


def test_a_plain_name_is_a_file_of_the_folder(tmp_path: Path) -> None:
    inside = tmp_path / "media"
    inside.mkdir()
    (inside / "a film.mp4").write_bytes(b"x")
    (inside / "same.mp4").symlink_to("a film.mp4")
    assert media_file("a film.mp4", inside) == (inside / "a film.mp4").resolve()
    assert media_file("same.mp4", inside) == (inside / "a film.mp4").resolve()


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../out.mp4", "/etc/passwd", "a/b.mp4", "a\\b", ".x", "no", "out", "dir", "\0"],
)
def test_nothing_else_is_a_file_of_the_folder(tmp_path: Path, name: str) -> None:
    inside = tmp_path / "media"
    (inside / "dir").mkdir(parents=True)
    (inside / ".x").write_bytes(b"x")
    (tmp_path / "out.mp4").write_bytes(b"x")
    (inside / "out").symlink_to(tmp_path / "out.mp4")
    with pytest.raises(UrlError):
        media_file(name, inside)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("rtmp://live.example/app/secret", "rtmp://live.example/..."),
        ("https://me:word@films.example:8443/a?key=secret", "https://films.example:8443/..."),
        ("rtmp://[::1]:1935/app/secret", "rtmp://[::1]:1935/..."),
    ],
)
def test_what_is_said_of_an_address_has_no_secrets(url: str, shown: str) -> None:
    assert redacted(url) == shown
    said = f"Cannot open {url}: no stream secret, password word, key=secret"
    told = without_secrets(said, url)
    assert "secret" not in told.replace("key=secret", "") or url.startswith("https")
    assert shown in told
    assert url not in told


def test_certificates_are_verified_unless_that_is_not_wanted(tmp_path: Path) -> None:
    ca_file = tmp_path / "ca.pem"
    ca_file.write_text("")
    assert tls_options(ca_file=ca_file) == {"tls_verify": "1", "ca_file": str(ca_file)}
    assert tls_options()["tls_verify"] == "1"
    assert tls_options(verify=False) == {"tls_verify": "0"}

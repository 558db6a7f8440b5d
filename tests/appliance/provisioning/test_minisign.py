"""Held against files that minisign 0.11 itself made."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.provisioning.minisign import (
    Locked,
    MinisignError,
    PublicKey,
    SecretKey,
    Signature,
    WrongSignature,
)

DATA = Path(__file__).parent / "data"
FILE = (DATA / "fleet.toml").read_bytes()


def text(name: str) -> str:
    return (DATA / name).read_text()


@pytest.mark.parametrize("name", ["prehashed.minisig", "legacy.minisig"])
def test_verifies_what_minisign_signed(name: str) -> None:
    signature = Signature.parse(text(name))
    signature.verify(FILE, PublicKey.parse(text("plain.pub")))
    assert signature.fields["file"] == "fleet.toml"
    with pytest.raises(WrongSignature, match="sign it again"):
        signature.verify(FILE + b"\n", PublicKey.parse(text("plain.pub")))
    with pytest.raises(WrongSignature, match="is signed with key"):
        signature.verify(FILE, PublicKey.parse(text("locked.pub")))


def test_the_serial_is_minisigns_time_or_what_the_integrator_counts() -> None:
    assert Signature.parse(text("prehashed.minisig")).serial == 1795430234
    assert Signature.parse(text("legacy.minisig")).serial == 7


def test_signs_as_minisign_does_to_the_byte() -> None:
    made = SecretKey.parse(text("plain.key")).sign(FILE, "fleet.toml", 1795430234)
    assert made == text("prehashed.minisig")


def test_a_changed_comment_is_found() -> None:
    forged = text("legacy.minisig").replace("serial:7", "serial:9")
    with pytest.raises(WrongSignature):
        Signature.parse(forged).verify(FILE, PublicKey.parse(text("plain.pub")))


def test_reads_minisigns_keys() -> None:
    plain = SecretKey.parse(text("plain.key"))
    assert plain.public == PublicKey.parse(text("plain.pub"))
    assert plain.public.file == text("plain.pub")
    with pytest.raises(Locked, match="give it"):
        SecretKey.parse(text("locked.key"))
    locked = SecretKey.parse(text("locked.key"), "open sesame")
    assert str(locked.public) in text("locked.pub")
    raw = bytearray(base64.b64decode(text("plain.key").splitlines()[1]))
    raw[70] ^= 1
    with pytest.raises(MinisignError, match="damaged"):
        SecretKey.parse(base64.b64encode(raw).decode())


@given(st.binary(max_size=200), st.integers(0, 10**12))
def test_signs_what_it_verifies(data: bytes, serial: int) -> None:
    key = SecretKey.parse(SecretKey.generate().file())
    signature = Signature.parse(key.sign(data, "a.toml", serial))
    signature.verify(data, key.public)
    assert signature.serial == serial
    assert signature.fields["file"] == "a.toml"
    with pytest.raises(WrongSignature):
        signature.verify(data + b"x", key.public)


@given(st.text(max_size=300))
def test_rubbish_is_refused_in_one_line(rubbish: str) -> None:
    for parse in (PublicKey.parse, Signature.parse, SecretKey.parse):
        with pytest.raises(MinisignError) as caught:
            parse(rubbish)
        assert "\n" not in str(caught.value)


@given(st.integers(0, 3), st.data())
def test_a_damaged_signature_is_refused(line: int, data: st.DataObject) -> None:
    lines = text("prehashed.minisig").splitlines()
    at = data.draw(st.integers(0, len(lines[line]) - 1))
    letter = data.draw(st.sampled_from("aZ0+ \t"))
    if lines[line][at] == letter:
        return
    lines[line] = lines[line][:at] + letter + lines[line][at + 1 :]
    try:
        Signature.parse("\n".join(lines) + "\n").verify(FILE, PublicKey.parse(text("plain.pub")))
    except MinisignError:
        return
    # Only the first line, which nothing depends on, may say something else.
    assert line == 0


def test_the_other_key_of_a_pair_is_called_so() -> None:
    key = SecretKey.generate()
    with pytest.raises(
        MinisignError, match=r"^is a minisign public key, not a minisign secret key; give the other"
    ):
        SecretKey.parse(key.public.file)
    with pytest.raises(
        MinisignError, match=r"^is a minisign secret key, not a minisign public key; give the other"
    ):
        PublicKey.parse(key.file())


def test_a_secret_key_does_not_show_itself() -> None:
    key = SecretKey.parse(text("plain.key"))
    assert key.seed.hex() not in repr(key)
    assert repr(key) == f"SecretKey({key.public.name})"


def test_a_key_that_asks_for_too_much_memory_is_refused() -> None:
    raw = bytearray(base64.b64decode(text("locked.key").splitlines()[1]))
    raw[38:46], raw[46:54] = (2**40).to_bytes(8, "little"), (2**40).to_bytes(8, "little")
    with pytest.raises(MinisignError, match="memory"):
        SecretKey.parse(base64.b64encode(raw).decode(), "x")

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.provisioning.identity import Identity, identify


def put(root: Path, name: str, content: bytes) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def interface(
    root: Path, name: str, address: str, *, real: bool = True, radio: bool = False
) -> None:
    put(root, f"sys/class/net/{name}/address", f"{address}\n".encode())
    if real:
        (root / f"sys/class/net/{name}/device").mkdir()
    if radio:
        (root / f"sys/class/net/{name}/wireless").mkdir()


def test_a_board_is_known_by_its_serial_and_its_hardware_addresses(tmp_path: Path) -> None:
    put(tmp_path, "proc/device-tree/serial-number", b"10000000ABCDEF01\0")
    interface(tmp_path, "lo", "00:00:00:00:00:00", real=False)
    interface(tmp_path, "aradio", "DC:A6:32:01:02:04", radio=True)
    interface(tmp_path, "eth0", "dc:a6:32:01:02:03")
    interface(tmp_path, "docker0", "02:42:00:00:00:01", real=False)
    found = identify(tmp_path)
    assert found == Identity("10000000abcdef01", ("dc-a6-32-01-02-03", "dc-a6-32-01-02-04"))
    # The wired address is the strongest.
    assert found.names == (
        "10000000abcdef01.toml",
        "dc-a6-32-01-02-04.toml",
        "dc-a6-32-01-02-03.toml",
    )


@pytest.mark.parametrize("said", ["", "To Be Filled By O.E.M.", "Default string", "None", "0"])
def test_what_firmware_says_without_meaning_it_is_no_name(tmp_path: Path, said: str) -> None:
    put(tmp_path, "sys/class/dmi/id/product_serial", said.encode())
    assert identify(tmp_path).serial is None


def test_a_serial_becomes_a_plain_name(tmp_path: Path) -> None:
    put(tmp_path, "sys/class/dmi/id/product_serial", b"../../PF 12/\xff\n")
    assert identify(tmp_path).serial == "pf-12"
    assert str(identify(tmp_path / "nothing")) == "without a name"

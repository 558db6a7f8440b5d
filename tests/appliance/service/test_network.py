"""The hints of `[network]`: the candidates that leave, and what a STUN and TURN server hears."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

import pytest

from appliance.hub.server import HubServer
from appliance.media.leg import MediaLeg
from appliance.provisioning import Config, ConfigError
from appliance.service.journal import SECRETS
from appliance.service.network import MediaNetwork
from tests.appliance.service.conftest import MakeDevice, settings
from tests.appliance.service.ice_server import MAPPED, RELAYED, ice_server


def candidates(sdp: str) -> set[tuple[str, str]]:
    """Address and kind of each."""
    return set(re.findall(r"^a=candidate:\S+ \d \w+ \d+ (\S+) \d+ typ (\w+)", sdp, re.MULTILINE))


@pytest.fixture
def offers(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the legs of this test offer."""
    found: list[str] = []
    offer = MediaLeg.offer

    async def noted(leg: MediaLeg) -> str:
        found.append(await offer(leg))
        return found[-1]

    monkeypatch.setattr(MediaLeg, "offer", noted)
    return found


async def test_a_device_asks_the_servers_of_its_configuration(
    make_device: MakeDevice, tmp_path: Path, offers: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    secret = tmp_path / "turn.secret"
    secret.write_text("c4n4ry\n")
    secret.chmod(0o600)
    async with ice_server(oak="c4n4ry") as server:
        network = {
            "stun_url": f"stun:127.0.0.1:{server.port}",
            "turn_url": f"turn:127.0.0.1:{server.port}",
            "turn_user": "oak",
            "turn_password_file": str(secret),
        }
        device = await make_device(network=network)
        assert server.bindings >= 1
        assert set(server.allocated) == {"oak"}
        found = candidates(offers[0])
        assert {("127.0.0.1", "host"), (MAPPED[0], "srflx"), (RELAYED[0], "relay")} <= found
        assert device.state().status == "in_room"
        await device.stop()
    assert "c4n4ry" not in SECRETS.blacken(caplog.text)


async def test_without_a_password_that_fits_there_is_no_relay(
    make_device: MakeDevice, tmp_path: Path, offers: list[str]
) -> None:
    secret = tmp_path / "turn.secret"
    secret.write_text("wrong-one")
    secret.chmod(0o600)
    async with ice_server(oak="c4n4ry") as server:
        network = {
            "turn_url": f"turn:127.0.0.1:{server.port}",
            "turn_user": "oak",
            "turn_password_file": str(secret),
        }
        await make_device(network=network)
        assert server.allocated == []
        # The room works all the same, and nobody else was asked.
        assert {kind for _, kind in candidates(offers[0])} == {"host"}


async def test_without_hints_no_server_is_asked(make_device: MakeDevice, offers: list[str]) -> None:
    async with ice_server() as server:
        await make_device()
        assert server.bindings == 0
    assert {kind for _, kind in candidates(offers[0])} == {"host"}


@pytest.mark.parametrize("wanted", [["lo"], ["127.0.0.1"]])
async def test_media_go_by_the_interfaces_that_are_named(hub: HubServer, wanted: list[str]) -> None:
    config = settings(hub, "Oak", 1, network={"interfaces": wanted})
    leg = MediaLeg(**MediaNetwork(config).placed({"addresses": None}))
    offer = await leg.offer()
    await leg.close()
    assert {address for address, _ in candidates(offer)} <= {"127.0.0.1", "::1"}
    assert ("127.0.0.1", "host") in candidates(offer)


async def test_an_interface_without_an_address_does_not_end_the_room(
    hub: HubServer, caplog: pytest.LogCaptureFixture
) -> None:
    config = settings(hub, "Oak", 1, network={"interfaces": ["nowhere0"]})
    arguments = MediaNetwork(config).placed({"addresses": None})
    assert arguments["addresses"] is None
    assert "no address at nowhere0" in caplog.text


def test_a_room_server_on_this_machine_is_reached_by_the_loopback(hub: HubServer) -> None:
    config = settings(hub, "Oak", 1, network={"interfaces": ["nowhere0"]})
    arguments = MediaNetwork(config).placed({"addresses": ["127.0.0.1"], "microphone": None})
    assert arguments == {"addresses": ["127.0.0.1"], "microphone": None}


@pytest.mark.parametrize(
    ("network", "says"),
    [
        ({"stun_url": "stun.example"}, "must be stun:HOST"),
        ({"stun_url": "stun:stun.example:3478?transport=udp"}, "must be stun:HOST"),
        ({"turn_url": "turns:turn.example?transport=udp"}, "must be turn:HOST"),
        ({"turn_url": "turn:turn.example"}, "needs turn_url, turn_user and one of"),
        ({"turn_user": "oak"}, "needs turn_url, turn_user and one of"),
        ({"interfaces": ["eth 0"]}, "should match pattern"),
    ],
)
def test_what_cannot_be_is_refused(network: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Config.model_validate(
            {"room": {"host": "h", "name": "demo", "guest": True}, "network": network}
        )


def test_a_password_that_cannot_be_read_is_told_with_its_key(hub: HubServer) -> None:
    config = settings(
        hub,
        "Oak",
        1,
        network={
            "turn_url": "turns:turn.example",
            "turn_user": "oak",
            "turn_password_file": "/nowhere/turn.secret",
        },
    )
    with pytest.raises(ConfigError, match=r"network\.turn_password_file"):
        MediaNetwork(config).ice_servers()

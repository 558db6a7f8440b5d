from __future__ import annotations

import asyncio
import contextlib
import socket
import stat
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from appliance.panel import PanelState
from appliance.service import metrics
from appliance.service.metrics import MetricsError, MetricsServer


class Fake:
    """A device in a state."""

    def __init__(self) -> None:
        self.present = PanelState(
            name="Oak",
            room="demo",
            hub="",
            status="in_room",
            tally="live",
            camera_light="closed",
            mic_open=True,
            members=[{"id": "1"}, {"id": "2"}],
            canvas_fps=24.5,
            joined_ms=1500,
            stats={"microphone_xruns": 3, "rtt_ms": 4.5, "codec": "h264"},
        )

    def state(self) -> PanelState:
        return self.present


SHOWN = ("state", "tally", "camera_light")
"""The labels whose values tell one figure's lines apart."""


async def figures(client: httpx.AsyncClient, url: str) -> dict[tuple[str, str], float]:
    answer = await client.get(url)
    assert answer.status_code == 200
    return {
        (sample.name, next((sample.labels[key] for key in SHOWN if key in sample.labels), "")): (
            sample.value
        )
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


async def test_the_figures_are_those_of_the_moment() -> None:
    device = Fake()
    server = MetricsServer(device, "127.0.0.1:0")
    await server.start()
    async with httpx.AsyncClient(timeout=30, trust_env=False) as client:
        url = f"http://{server.address}/metrics"
        found = await figures(client, url)
        assert found["roomlet_state", "in_room"] == 1
        assert found["roomlet_state", "fault"] == 0
        assert found["roomlet_tally", "live"] == 1
        assert found["roomlet_camera_light", "closed"] == 1
        assert found["roomlet_camera_light", "live"] == 0
        assert found["roomlet_microphone_open", ""] == 1
        assert found["roomlet_camera_open", ""] == 0
        assert found["roomlet_members", ""] == 2
        assert found["roomlet_join_seconds", ""] == 1.5
        assert found["roomlet_microphone_xruns_total", ""] == 3
        assert found["roomlet_rtt_ms", ""] == 4.5
        assert ("roomlet_codec", "") not in found
        device.present = PanelState(name="Oak", room="demo", hub="", status="fault")
        found = await figures(client, url)
        assert found["roomlet_state", "fault"] == 1
        assert found["roomlet_state", "in_room"] == 0
        assert ("roomlet_join_seconds", "") not in found
        assert ("roomlet_camera_light", "live") not in found, "there is none"
    await server.stop()
    await server.stop()


async def test_a_socket_is_for_its_owner_and_group(tmp_path: Path) -> None:
    path = tmp_path / "metrics.sock"
    with socket.socket(socket.AF_UNIX) as left:
        # As by one that was killed.
        left.bind(str(path))
    server = MetricsServer(Fake(), f"unix:{path}")
    await server.start()
    assert server.address == f"unix:{path}"
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    transport = httpx.AsyncHTTPTransport(uds=str(path))
    async with httpx.AsyncClient(transport=transport, timeout=30) as client:
        found = await figures(client, "http://device/metrics")
    assert found["roomlet_members", ""] == 2
    await server.stop()
    assert not path.exists()


async def test_what_cannot_be_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "a file"
    file.write_text("mine")
    for listen in (f"unix:{file}", f"unix:{tmp_path}/none/metrics.sock", "192.0.2.777:9464"):
        with pytest.raises(MetricsError, match=r"cannot listen .*; change metrics\.listen"):
            await MetricsServer(Fake(), listen).start()
    assert file.read_text() == "mine"


async def test_who_asks_nothing_neither_uses_up_the_rooms_files_nor_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(metrics, "_PATIENCE", 5.0)
    server = MetricsServer(Fake(), "127.0.0.1:0")
    await server.start()
    host, _, port = server.address.rpartition(":")
    try:
        came = [await asyncio.open_connection(host, int(port)) for _ in range(40)]
        async with asyncio.timeout(20):
            for reader, _ in came[metrics._MOST_EACH :]:
                assert await reader.read() == b""
            assert not came[0][0].at_eof()
            for reader, _ in came[: metrics._MOST_EACH]:
                with contextlib.suppress(ConnectionError):
                    assert await reader.read() == b""
        for _, writer in came:
            writer.close()
        async with httpx.AsyncClient() as client:
            assert (await client.get(f"http://{server.address}/metrics")).status_code == 200
    finally:
        await server.stop()

"""A device that goes by settings which change, in a real room."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import tomllib
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import tomli_w

from appliance.hub.server import HubServer
from appliance.media.gate import Party
from appliance.panel import ListenError, Panel, Refused
from appliance.provisioning import Config, Probation
from appliance.provisioning.overrides import Changes
from appliance.service.daemon import Daemon, in_place
from appliance.service.device import Device
from appliance.service.journal import Message
from appliance.service.notify import Notifier
from appliance.service.settings import FileSettings
from appliance.service.state_file import StateFile
from appliance.service.upkeep import REST, wish
from tests.appliance.provisioning.static_server import Authority
from tests.appliance.service.conftest import DEADLINE, settings, token_for


class Told(Notifier):
    """What the service manager was told."""

    def __init__(self) -> None:
        super().__init__({})
        self.words: list[str] = []

    def _send(self, message: str) -> None:
        self.words.append(message.split("\n")[0])


class Running:
    """A daemon on a file, in a task."""

    def __init__(self, hub: HubServer, folder: Path) -> None:
        self.hub = hub
        self.path = folder / "device.toml"
        self.token = token_for(hub, "Oak")
        self.stop, self.reload, self.ready = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.notifier = Told()
        self.write()
        self.daemon = Daemon(
            FileSettings(self.path),
            lambda _: self.ready.set(),
            notifier=self.notifier,
            state_file=StateFile(folder / "state.json"),
        )
        self.task: asyncio.Task[None] | None = None

    def write(self, **sections: Any) -> None:
        values = settings(self.hub, "Oak", 1, **{"panel": {"listen": "127.0.0.1:0"}, **sections})
        plain = values.model_dump(mode="json", exclude_unset=True, exclude_none=True)
        plain["room"]["token"] = self.token
        self.path.write_text(tomli_w.dumps(plain))
        self.path.chmod(0o600)

    async def start(self) -> None:
        self.task = asyncio.create_task(self.daemon.run(self.stop, self.reload))
        await self.until(lambda: "STATUS=In demo." in self.notifier.words)

    async def until(self, holds: Callable[[], bool]) -> None:
        assert self.task is not None
        async with asyncio.timeout(2 * DEADLINE):
            while not holds():
                assert not self.task.done(), self.task
                await asyncio.sleep(0.02)

    async def reloaded(self) -> None:
        """Read the settings again, and wait until that is over."""
        self.notifier.words.clear()
        self.reload.set()
        await self.until(lambda: self.notifier.words.count("READY=1") == 1)


@pytest.fixture
async def running(hub: HubServer, tmp_path: Path) -> AsyncIterator[Running]:
    running = Running(hub, tmp_path)
    await running.start()
    yield running
    running.stop.set()
    if running.task is not None:
        await asyncio.gather(running.task, return_exceptions=True)


async def test_from_start_to_stop(running: Running) -> None:
    words = running.notifier.words
    assert words[0] == "STATUS=Starting."
    assert words.index("STATUS=Joining the room.") < words.index("STATUS=In demo.")
    assert words.count("READY=1") == 1
    running.stop.set()
    assert running.task is not None
    await running.task
    assert "STOPPING=1" in words


async def test_a_small_change_leaves_the_member_in_its_room(running: Running) -> None:
    device = running.daemon.appliance.device
    member = device.state().member_id
    running.write(
        speaker={"backend": "synthetic", "options": {"device_id": 1}, "volume": 30},
        metrics={"listen": "127.0.0.1:0"},
        policy={"leave_empty_minutes": 9},
    )
    await running.reloaded()
    assert running.daemon.appliance.device is device
    assert (device.state().volume, device.state().member_id) == (30, member)
    metrics = running.daemon.appliance._metrics
    assert metrics is not None
    async with httpx.AsyncClient(timeout=30, trust_env=False) as client:
        told = (await client.get(f"http://{metrics.address}/metrics")).text
    assert 'roomlet_state{state="in_room"} 1.0' in told
    assert 'roomlet_info{room="demo"' in told


async def test_a_large_change_begins_anew_and_keeps_what_was_muted(running: Running) -> None:
    before = running.daemon.appliance.device
    before.press("mute")
    before.release("mute")
    await running.until(lambda: Party.ROOM in before.microphone_gate.closers)
    running.token = token_for(running.hub, "Ash")
    running.write()
    await running.reloaded()
    after = running.daemon.appliance.device
    assert after is not before
    assert Party.ROOM in after.microphone_gate.closers
    await running.until(lambda: after.state().status == "in_room")
    await running.until(lambda: after.state().tally == "muted")
    assert not after.microphone_gate.is_open


async def test_the_journal_tells_where_a_device_goes_that_leaves_its_room(
    running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    device = running.daemon.appliance.device
    await device.visit(token_for(running.hub, "Oak", room_name="attic"))
    assert device.state().room == "attic"
    device.go_home()
    await running.until(lambda: (device.state().status, device.state().room) == ("in_room", "demo"))
    left = [r for r in caplog.records if getattr(r, "MESSAGE_ID", "") == Message.LEFT.value]
    assert [one.getMessage() for one in left] == [
        "out of the room: on its way to attic",
        "out of the room: on its way to demo",
    ]


async def test_an_update_goes_on_while_the_device_is_begun_anew(
    running: Running, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    lock = tmp_path / "updating"
    lock.touch()
    before = running.daemon.appliance.device
    before.upkeep._lock = lock
    with wish(lock):
        before.upkeep._used -= REST
        await running.until(lambda: before.state().status == "updating")
        assert "STATUS=Updating: the device comes back." in running.notifier.words
        left = [r for r in caplog.records if getattr(r, "MESSAGE_ID", "") == Message.LEFT.value]
        assert len(left) == 1
        begun = [r for r in caplog.records if getattr(r, "MESSAGE_ID", "") == Message.UPDATE.value]
        assert [r.getMessage() for r in begun] == ["an update begins"]
        running.token = token_for(running.hub, "Ash")
        running.write()
        await running.reloaded()
        after = running.daemon.appliance.device
        assert after is not before
        await running.until(lambda: after.state().status != "starting")
        assert after.state().status == "updating"
    await running.until(lambda: after.state().status == "in_room")


async def test_a_mistake_changes_nothing(
    running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    device = running.daemon.appliance.device
    running.path.write_text("[room]\nhots = 1\n")
    await running.reloaded()
    assert running.daemon.appliance.device is device
    assert device.state().status == "in_room"
    told = [one for one in caplog.records if one.levelno >= logging.WARNING]
    (refused,) = [one for one in told if "refused" in one.getMessage()]
    assert "did you mean host?" in refused.getMessage()
    assert refused.__dict__["MESSAGE_ID"] == Message.CONFIG_REFUSED.value
    assert any("did you mean host?" in error for error in device.state().errors)
    running.write()
    await running.reloaded()
    assert device.state().errors == []


async def test_a_host_that_is_none_is_a_mistake_and_ends_no_call(running: Running) -> None:
    device = running.daemon.appliance.device
    told = tomllib.loads(running.path.read_text())
    told["room"]["host"] = "wss://[fd00::7:8443"
    running.path.write_text(tomli_w.dumps(told))
    await running.reloaded()
    assert device.state().status == "in_room"
    (error,) = device.state().errors
    assert "room.host: must be HOST" in error
    # A name that only looks like an address is a name.
    running.write(screen_share={"layout": "Room ://[7"})
    await running.reloaded()
    assert (device.state().status, device.state().errors) == ("in_room", [])


async def test_what_does_not_work_gives_way_to_what_did(running: Running) -> None:
    before = running.daemon.appliance.device
    member = before.state().member_id
    pin = running.path.with_name("panel.pin")
    pin.write_text("424242\n")
    pin.chmod(0o600)
    running.write(
        camera={"backend": "file", "device": "/nowhere/at/all.mp4"},
        panel={"listen": "192.0.2.999:8443", "pin_file": str(pin)},
    )
    await running.reloaded()
    assert running.daemon.appliance.device is before
    assert running.daemon.appliance.config.camera.backend == "synthetic"
    assert (before.state().status, before.state().member_id) == ("in_room", member)
    assert running.daemon.appliance.panel_url is not None
    assert any("the new configuration does not work: " in one for one in before.state().errors)
    running.write()
    await running.reloaded()
    assert before.state().errors == []


async def test_the_volume_that_people_set_is_kept(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[tuple[Any, Any]] = []
    monkeypatch.setattr(FileSettings, "change", lambda _, key, value: kept.append((key, value)))
    running = Running(hub, tmp_path)
    await running.start()
    running.daemon.appliance.device.set_volume(37)
    running.stop.set()
    assert running.task is not None
    await running.task
    assert kept == [(("speaker", "volume"), 37)]


async def test_another_address_of_the_panel_is_told(
    running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    before = running.daemon.appliance.panel_url
    running.token = token_for(running.hub, "Ash")
    running.write()
    await running.reloaded()
    url = running.daemon.appliance.panel_url
    assert url not in (None, before)
    assert f"the panel is at {url} now" in caplog.messages


async def test_the_panel_is_told_by_the_name_of_its_certificate(
    running: Running, tmp_path: Path
) -> None:
    panel = https(running, Authority(tmp_path / "authority"))
    running.write(panel=panel | {"listen": "0.0.0.0:0", "hosts": ["room-7.local"]})
    await running.reloaded()
    url = urlsplit(running.daemon.appliance.panel_url or "")
    assert (url.scheme, url.hostname) == ("https", "room-7.local")


async def shown(running: Running, authority: Authority) -> int:
    """The serial number of the certificate that the panel shows a visitor."""
    url = urlsplit(running.daemon.appliance.panel_url or "")
    context = ssl.create_default_context(cafile=authority.file)
    _, writer = await asyncio.open_connection(url.hostname, url.port, ssl=context)
    certificate = writer.get_extra_info("peercert")
    writer.close()
    return int(certificate["serialNumber"], 16)


def https(running: Running, authority: Authority) -> dict[str, str]:
    """A panel that listens with a new certificate of `authority` and a PIN."""
    pem, pin = running.path.with_name("panel.pem"), running.path.with_name("panel.pin")
    pem.write_bytes(authority.issue("panel").read_bytes())
    pin.write_text("424242\n")
    pin.chmod(0o600)
    values = {"listen": "127.0.0.1:0", "pin_file": pin, "tls_cert": pem, "tls_key": pem}
    return {key: str(value) for key, value in values.items()}


async def test_a_renewed_certificate_is_shown_after_a_reload(
    running: Running, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    authority = Authority(tmp_path / "authority")
    panel = https(running, authority)
    running.write(panel=panel)
    await running.reloaded()
    device, first = running.daemon.appliance.device, await shown(running, authority)
    url = running.daemon.appliance.panel_url or ""
    assert url.startswith("https://127.0.0.1:")
    context = ssl.create_default_context(cafile=authority.file)
    async with httpx.AsyncClient(base_url=url, verify=context, timeout=DEADLINE) as client:
        origin = {"Origin": url.rstrip("/")}
        await client.post("/login", data={"pin": "424242"}, headers=origin)
        cookies = client.cookies
    https(running, authority)
    await running.reloaded()
    second = await shown(running, authority)
    assert second != first
    async with httpx.AsyncClient(
        base_url=url, verify=context, cookies=cookies, timeout=DEADLINE
    ) as client:
        assert (await client.get("/api/state")).json()["status"] == "in_room"
    Path(panel["tls_cert"]).write_text("half of a file")
    await running.reloaded()
    assert await shown(running, authority) == second
    assert "the panel's certificate stays" in caplog.text
    assert any("the panel's certificate stays" in error for error in device.state().errors)
    assert running.daemon.appliance.device is device
    assert "424242" not in caplog.text


async def test_a_certificate_that_cannot_be_used_is_blamed_on_its_key(
    running: Running, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    url = running.daemon.appliance.panel_url
    panel = https(running, Authority(tmp_path / "authority"))
    running.write(panel=panel | {"tls_key": str(tmp_path / "nothing.pem")})
    await running.reloaded()
    assert "panel.tls_key: " in caplog.text
    assert "nothing.pem: no such file" in caplog.text
    assert url is not None
    assert running.daemon.appliance.panel_url is not None
    assert running.daemon.appliance.panel_url.startswith("http://")


@pytest.fixture
def snatched(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[socket.socket]]:
    """What takes the port of a panel that stops; once."""
    monkeypatch.setattr("appliance.service.appliance.LISTEN_AGAIN", 0.1)
    stop, taken = Panel.stop, list[socket.socket]()

    async def stop_and_lose(panel: Panel) -> None:
        port = urlsplit(panel.url).port
        await stop(panel)
        if not taken:
            taken.append(socket.create_server(("127.0.0.1", port or 0)))

    monkeypatch.setattr(Panel, "stop", stop_and_lose)
    yield taken
    for one in taken:
        one.close()


def panel_troubles(running: Running) -> list[str]:
    errors = running.daemon.appliance.device.state().errors
    return [error for error in errors if error.startswith("the panel cannot listen on")]


async def test_a_certificate_is_renewed_though_the_port_is_taken_meanwhile(
    running: Running, tmp_path: Path, snatched: list[socket.socket]
) -> None:
    authority = Authority(tmp_path / "authority")
    # The port that it has already: a free one might be taken by then.
    listen = urlsplit(running.daemon.appliance.panel_url or "").netloc
    with socket.socket() as nobody:
        snatched.append(nobody)
    running.write(panel=https(running, authority) | {"listen": listen})
    await running.reloaded()
    device, first = running.daemon.appliance.device, await shown(running, authority)
    https(running, authority)
    snatched.clear()
    await running.reloaded()
    assert running.daemon.appliance.device is device
    assert device.state().status == "in_room"
    (trouble,) = panel_troubles(running)
    assert "the port is taken" in trouble
    assert running.daemon.appliance.panel_url is None
    snatched[0].close()
    await running.until(lambda: running.daemon.appliance.panel_url == f"https://{listen}/")
    assert await shown(running, authority) != first
    assert not panel_troubles(running)


@pytest.mark.parametrize("anew", [False, True])
async def test_no_device_ends_because_the_panel_cannot_go_back(
    running: Running, snatched: list[socket.socket], anew: bool
) -> None:
    # The port that it has already: a free one might be taken by then.
    listen = urlsplit(running.daemon.appliance.panel_url or "").netloc
    with socket.socket() as nobody:
        snatched.append(nobody)
    running.write(panel={"listen": listen})
    await running.reloaded()
    snatched.clear()
    with socket.create_server(("127.0.0.1", 0)) as other:
        running.write(
            panel={"listen": f"127.0.0.1:{other.getsockname()[1]}"},
            **({"probe": {"enabled": False}} if anew else {}),
        )
        await running.reloaded()
    assert running.daemon.appliance.config.panel.listen == listen
    await running.until(lambda: running.daemon.appliance.device.state().status == "in_room")
    assert panel_troubles(running)
    snatched[0].close()
    await running.until(lambda: running.daemon.appliance.panel_url == f"http://{listen}/")
    assert not panel_troubles(running)


async def test_a_port_that_is_taken_is_a_mistake_at_the_start(
    hub: HubServer, tmp_path: Path
) -> None:
    running = Running(hub, tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        running.write(panel={"listen": f"127.0.0.1:{taken.getsockname()[1]}"})
        with pytest.raises(ListenError, match="the port is taken"):
            await running.daemon.run(running.stop, running.reload)


async def test_changes_that_are_wished_for_hold_up_neither_a_reload_nor_the_end(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon, words, go_on = running.daemon, running.notifier.words, asyncio.Event()
    override = FileSettings.override

    def noted(settings: FileSettings, changes: Changes) -> Config:
        words.extend(f"made {value}" for value in changes.values())
        return override(settings, changes)

    adopt = Device.adopt

    async def slow(device: Device, config: Config) -> None:
        await go_on.wait()
        await adopt(device, config)

    monkeypatch.setattr(FileSettings, "override", noted)
    monkeypatch.setattr(Device, "adopt", slow)
    pages = [
        asyncio.create_task(daemon.change({("speaker", "volume"): volume}))
        for volume in range(10, 15)
    ]
    await running.until(lambda: "made 10" in words)
    pages[1].cancel()
    pages[2].cancel()
    # The one that was begun is made, and no other comes before what the service manager wants.
    words.clear()
    running.reload.set()
    go_on.set()
    await running.until(lambda: "made 14" in words)
    told = [word for word in words if word.startswith(("RELOADING", "READY", "made"))]
    assert told == ["RELOADING=1", "READY=1", "made 13", "made 14"]
    running.stop.set()
    assert running.task is not None
    await running.task
    results = await asyncio.gather(*pages, return_exceptions=True)
    assert [type(one).__name__ for one in results] == [
        *("NoneType", "CancelledError", "CancelledError", "NoneType", "NoneType")
    ]


async def test_the_end_waits_for_one_change_at_the_most(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []
    override = FileSettings.override

    def noted(settings: FileSettings, changes: Changes) -> Config:
        made.extend(changes.values())
        running.stop.set()
        return override(settings, changes)

    monkeypatch.setattr(FileSettings, "override", noted)
    change = running.daemon.change
    pages = [asyncio.create_task(change({("speaker", "volume"): one})) for one in range(10, 15)]
    assert running.task is not None
    await running.task
    results = await asyncio.gather(*pages, return_exceptions=True)
    assert made == [10]
    assert results[0] is None
    assert all(isinstance(one, Refused) for one in results[1:])


class Trial(FileSettings):
    """A file whose second version is on trial, and is given back to the first."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.time = 0.0
        self.kept = 0
        self.failures: list[str] = []
        self.first: Config | None = None
        self.tried: Probation | None = None

    def begin(self) -> Config:
        self.first = super().begin()
        return self.first

    def now(self) -> float:
        return self.time

    def probation(self) -> Probation | None:
        if self._config is self.first:
            return None
        self.tried = Probation(now=self.time, duration=90)
        return self.tried

    def keep(self) -> None:
        self.kept += 1

    def roll_back(self, reason: str) -> Config | None:
        self.failures.append(reason)
        self._config = self.first
        return self.first


async def test_a_trial_ends_in_trust_or_in_the_old_ways(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = Running(hub, tmp_path)
    trial = running.daemon._settings = Trial(running.path)
    await running.start()
    try:
        running.write(policy={"leave_empty_minutes": 3})
        await running.reloaded()
        assert trial.kept == 0
        # A device that is updated proves nothing meanwhile.
        device, tried = running.daemon.appliance.device, trial.tried
        device.upkeep.granted = True
        monkeypatch.setattr(device.upkeep, "look", lambda wall, *, in_use: device.upkeep.granted)
        trial.time = 90
        await running.until(lambda: trial.tried is not tried)
        await running.until(lambda: device.state().status == "updating")
        trial.time = 120
        device.upkeep.granted = False
        await running.until(lambda: device.state().status == "in_room")
        assert (trial.kept, trial.failures) == (0, [])
        trial.time = 210
        await running.until(lambda: trial.kept == 1)

        running.write(room={"host": "ws://127.0.0.1:9", "name": "demo", "token": running.token})
        await running.reloaded()
        await running.until(lambda: running.daemon.appliance.device.situation.present.reason != "")
        trial.time = 300
        await running.until(lambda: bool(trial.failures))
        assert trial.failures[0].startswith("after 90 s: Joining")
        await running.until(lambda: running.daemon.appliance.device.state().status == "in_room")
        assert running.daemon.appliance.config is trial.first

        def errors() -> list[str]:
            return running.daemon.appliance.device.state().errors

        assert any("a new configuration failed (after 90 s: Joining" in one for one in errors())
        # A reload that brings nothing new does not hide it; another configuration does.
        running.write()
        await running.reloaded()
        assert errors()
        running.write(policy={"leave_empty_minutes": 7})
        await running.reloaded()
        assert not errors()
    finally:
        running.stop.set()
        assert running.task is not None
        await running.task


def test_what_may_change_in_place() -> None:
    def config(**sections: Any) -> Config:
        return Config.model_validate(
            {"room": {"host": "h", "name": "demo", "guest": True}, **sections}
        )

    plain = config()
    assert in_place(plain, config(speaker={"volume": 3}, log={"level": "debug"}))
    assert in_place(plain, config(camera={"rate": 5}, controls={"backend": "hid"}))
    assert not in_place(plain, config(camera={"rate": 5}, probe={"enabled": True}))
    assert not in_place(plain, config(network={"interfaces": ["eth0"]}))
    assert not in_place(plain, config(room={"host": "h", "name": "other", "guest": True}))
    assert in_place(plain, plain)


async def test_a_restart_from_the_panel_ends_in_order_under_a_service_manager(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Refused, match="No service manager"):
        running.daemon.restart()
    running.notifier._enabled = True
    with pytest.raises(Refused, match="less than 90 s ago"):
        running.daemon.restart()
    assert not running.stop.is_set()
    monkeypatch.setattr("appliance.service.daemon.SETTLED_S", 0.0)
    assert running.daemon.hindrance == ""
    running.daemon.restart()
    assert running.task is not None
    async with asyncio.timeout(DEADLINE):
        await running.task
    # As when it is stopped: in order, and out of the room.
    assert "STOPPING=1" in running.notifier.words
    session = running.daemon.appliance.device.presence.session
    assert session is None or not session.active

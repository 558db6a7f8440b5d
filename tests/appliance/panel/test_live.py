from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect

from appliance.media.gate import Party
from appliance.panel import Panel
from appliance.panel.live import ERRORS, Live
from tests.appliance.panel.fake_device import FakeDevice

DEADLINE = 20.0


def live_url(panel: Panel) -> str:
    return panel.url.replace("http://", "ws://") + "api/live"


async def news(socket: ClientConnection, kind: str) -> Any:
    """The next message of one kind."""
    async with asyncio.timeout(DEADLINE):
        while True:
            message = json.loads(await socket.recv())
            if kind in message:
                return message[kind]


async def moved(device: FakeDevice, presses: list[tuple[str, str]]) -> None:
    """Wait until the device's buttons have moved so."""
    async with asyncio.timeout(DEADLINE):
        while device.presses != presses:
            device.moved.clear()
            await device.moved.wait()


async def test_press_mutes_and_the_new_state_is_pushed(panel: Panel, device: FakeDevice) -> None:
    async with connect(live_url(panel)) as socket:
        assert (await news(socket, "state"))["tally"] == "live"
        await socket.send('{"press": "mute"}')
        state = await news(socket, "state")
        assert (state["tally"], state["mic_open"], state["closers"]) == ("muted", False, ["room"])
        assert not device.gate.is_open
        await socket.send('{"release": "mute"}')
        await socket.send('{"press": "mute"}')
        assert (await news(socket, "state"))["tally"] == "live"


async def test_a_change_on_another_thread_is_pushed(panel: Panel, device: FakeDevice) -> None:
    async with connect(live_url(panel)) as socket:
        await news(socket, "state")
        thread = threading.Thread(target=device.gate.mute, args=(Party.WATCHDOG,))
        thread.start()
        assert (await news(socket, "state"))["closers"] == ["watchdog"]
        thread.join()


async def test_unchanged_state_is_told_by_beats_only(panel: Panel, device: FakeDevice) -> None:
    async with connect(live_url(panel)) as socket:
        await news(socket, "cards")
        device.tell()
        async with asyncio.timeout(DEADLINE):
            messages = [json.loads(await socket.recv()) for _ in range(2)]
    assert [list(message) for message in messages] == [["beat"], ["beat"]]


async def test_a_page_that_goes_away_lets_go_of_its_button(
    panel: Panel, device: FakeDevice
) -> None:
    async with connect(live_url(panel)) as socket:
        await socket.send('{"press": "mute"}')
        await moved(device, [("press", "mute")])
    await moved(device, [("press", "mute"), ("release", "mute")])


async def test_a_page_that_holds_a_button_for_long_does_not_keep_it_from_others(
    panel: Panel, device: FakeDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("appliance.panel.live.HOLD", 0.0)
    async with connect(live_url(panel)) as lost, connect(live_url(panel)) as other:
        await lost.send('{"press": "mute"}')
        await moved(device, [("press", "mute")])
        await other.send('{"press": "mute"}')
        await moved(device, [("press", "mute"), ("release", "mute"), ("press", "mute")])


async def test_one_button_under_two_fingers_is_pressed_once(
    panel: Panel, device: FakeDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("appliance.panel.live.HOLD", 600.0)
    async with connect(live_url(panel)) as one, connect(live_url(panel)) as two:
        await one.send('{"press": "mute"}')
        await moved(device, [("press", "mute")])
        # A refusal comes back after what was sent before it was obeyed.
        for command in ('{"press": "mute"}', '{"press": "mute"}', '{"no": 1}'):
            await two.send(command)
        await news(two, "error")
        for command in ('{"release": "mute"}', '{"release": "mute"}', '{"no": 1}'):
            await one.send(command)
        await news(one, "error")
        assert device.presses == [("press", "mute")]
        await two.send('{"release": "mute"}')
        await moved(device, [("press", "mute"), ("release", "mute")])


async def test_volume_and_layout_reach_the_device(panel: Panel, device: FakeDevice) -> None:
    async with connect(live_url(panel)) as socket:
        await news(socket, "state")
        await socket.send('{"volume": 35}')
        assert (await news(socket, "state"))["volume"] == 35
        await socket.send('{"layout": "2x2"}')
        assert (await news(socket, "state"))["layout"] == "2x2"
    assert (device.volume, device.layout) == (35, "2x2")


async def test_a_visit_begins_and_ends_and_holds_no_button_up(
    panel: Panel, device: FakeDevice
) -> None:
    device.answered.clear()
    async with connect(live_url(panel)) as socket:
        await news(socket, "state")
        await socket.send('{"visit": "attic"}')
        # The room takes its time; the button does not wait for it.
        await socket.send('{"press": "mute"}')
        assert (await news(socket, "state"))["tally"] == "muted"
        assert device.visits == ["attic"]
        device.answered.set()
        state = await news(socket, "state")
        assert (state["room"], state["visiting"]) == ("attic", True)
        await socket.send('{"visit": "nowhere"}')
        assert await news(socket, "error") == "There is no room nowhere."
        await socket.send('{"home": true}')
        assert (await news(socket, "state"))["visiting"] is False


async def test_a_page_cannot_pile_up_requests(panel: Panel, device: FakeDevice) -> None:
    device.answered.clear()
    async with connect(live_url(panel)) as socket:
        for number in range(9):
            await socket.send(f'{{"visit": "room{number}"}}')
        assert "not done yet" in await news(socket, "error")
        assert len(device.visits) == 8
    # What the page asked for ends with it, and the panel's stop waits for nobody.


async def test_refusals_are_told_to_the_one_who_asked(panel: Panel) -> None:
    async with connect(live_url(panel)) as socket, connect(live_url(panel)) as other:
        await socket.send('{"layout": "spiral"}')
        assert await news(socket, "error") == "The room knows no layout 'spiral'."
        await socket.send('{"press": "volume_up"}')
        assert await news(socket, "error") == "Oak has no volume buttons."
        await other.send('{"no": 1}')
        assert "does not know" in await news(other, "error")


class SlowPage:
    """A socket whose page sends nonsense faster than it reads."""

    def __init__(self, nonsense: int) -> None:
        self.scope: dict[str, Any] = {}
        self.left = nonsense
        self.drained = asyncio.Event()
        """All nonsense was taken."""
        self.reads = asyncio.Event()
        self.messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def accept(self) -> None:
        pass

    async def close(self, code: int = 1000) -> None:
        pass

    async def receive(self) -> dict[str, str]:
        if not self.left:
            self.drained.set()
            await asyncio.Event().wait()
        self.left -= 1
        return {"type": "websocket.receive", "text": f"nonsense {self.left}"}

    async def send_text(self, text: str) -> None:
        await self.reads.wait()
        self.messages.put_nowait(json.loads(text))


async def test_what_is_refused_does_not_pile_up_for_a_page_that_does_not_read(
    device: FakeDevice,
) -> None:
    page, live = SlowPage(5000), Live(device, heartbeat=0.05)
    serving = asyncio.create_task(live.serve(page))  # type: ignore[arg-type]
    told = []
    async with asyncio.timeout(DEADLINE):
        await page.drained.wait()
        page.reads.set()
        while "beat" not in (message := await page.messages.get()):
            told.append(next(iter(message)))
        live.close()
        await serving
    # One was on its way already.
    assert ERRORS <= told.count("error") <= ERRORS + 1
    assert told.count("state") == 1


@pytest.mark.parametrize(
    "nonsense",
    [
        "",
        "{",
        "[]",
        "null",
        "{}",
        '{"press": "self-destruct"}',
        '{"press": 1}',
        '{"release": null}',
        '{"volume": 101}',
        '{"volume": -1}',
        '{"volume": 3.5}',
        '{"volume": true}',
        '{"volume": NaN}',
        '{"layout": ["2x2"]}',
        b"\x00binary",
    ],
)
async def test_nonsense_changes_nothing(
    panel: Panel, device: FakeDevice, nonsense: str | bytes
) -> None:
    before = device.state()
    async with connect(live_url(panel)) as socket:
        await socket.send(nonsense)
        assert await news(socket, "error")
        assert (device.presses, device.state()) == ([], before)
        await socket.send('{"press": "mute"}')
        await moved(device, [("press", "mute")])


async def test_a_huge_message_ends_only_its_own_socket(panel: Panel) -> None:
    async with connect(live_url(panel)) as other, connect(live_url(panel)) as socket:
        await socket.send("x" * 5000)
        async with asyncio.timeout(DEADLINE):
            await socket.wait_closed()
        assert socket.close_code == 1009
        await news(other, "state")
        await other.send('{"press": "mute"}')
        assert (await news(other, "state"))["tally"] == "muted"


async def test_stop_closes_the_pages_as_going_away(device: FakeDevice) -> None:
    panel = Panel(device, "127.0.0.1:0")
    await panel.start()
    async with connect(live_url(panel)) as socket:
        await news(socket, "state")
        assert panel.viewers == 1
        async with asyncio.timeout(DEADLINE):
            await panel.stop()
            await socket.wait_closed()
        assert socket.close_code == 1001
    assert device.listeners == []
    assert panel.viewers == 0

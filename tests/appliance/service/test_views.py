"""The one state and its views: lights, screen, service manager, panel, figures, documentation."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from appliance import panel
from appliance.panel import PanelState
from appliance.service.banner import banner
from appliance.service.metrics import DeviceCollector
from appliance.service.state import DeviceState, Situation
from hal.controls import CameraLight, Status, Tally
from hal.controls.lamp import Pattern
from hal.controls.patterns import CAMERA_PATTERNS, STATUS_PATTERNS, TALLY_PATTERNS
from tests.appliance.service.conftest import MakeDevice, until

DOCS = Path(__file__).parents[3] / "docs"
COLOURS = {Tally.LIVE: "green, ", Tally.MUTED: "red, ", Tally.FAULT: "red, "}


def rhythm(pattern: Pattern) -> str:
    times = [f"{seconds:g} s {'off' if n % 2 else 'on'}" for n, seconds in enumerate(pattern)]
    return ", ".join(times) or "steadily on"


def table(page: str, heading: str) -> dict[str, tuple[str, str]]:
    """The table of a page that begins with a heading: by the first cell, the others."""
    lines = (DOCS / page).read_text().split(f"| {heading} |")[1].splitlines()[2:]
    found = {}
    for line in lines:
        if not line.startswith("|"):
            break
        name, light, meaning = (cell.strip() for cell in line.strip("|").split("|"))
        found[name.strip("`")] = (light, meaning)
    return found


def test_the_documentation_tells_each_rhythm_of_the_status_light() -> None:
    told = table("service.md", "state")
    assert {name: light for name, (light, _) in told.items()} == {
        status.value: rhythm(STATUS_PATTERNS[status]) for status in Status
    }


def test_the_documentation_tells_each_rhythm_of_the_tally_light() -> None:
    told = table("service.md", "tally")
    expected = {
        tally.value: COLOURS[tally] + rhythm(TALLY_PATTERNS[tally])
        for tally in Tally
        if tally is not Tally.OFF
    }
    assert {name: light for name, (light, _) in told.items()} == {"off": "dark", **expected}


def test_the_documentation_tells_each_rhythm_of_the_cameras_light() -> None:
    told = table("service.md", "camera")
    expected = {light.value: rhythm(pattern) for light, pattern in CAMERA_PATTERNS.items()}
    assert {name: light for name, (light, _) in told.items()} == {"off": "dark", **expected}
    assert set(told) == {light.value for light in CameraLight}


def words(pattern: Pattern) -> str:
    """The same for people who stand before the light."""
    match pattern:
        case (on, off) if on + off == 0.5:
            return "blinking twice a second"
        case (on, off) if off <= 0.1:
            return f"winking dark for a moment every {on + off:g} s"
        case (on, off) if on <= 0.1:
            return f"a flash of {on:g} s every {on + off:g} s"
        case (long, _, short, off) if long > 2 * short:
            return f"a long and a short flash, then dark for {off:g} s"
        case (on, _, *_, off) if len(pattern) > 2:
            return f"{len(pattern) // 2} flashes of {on:g} s, then dark for {off:g} s"
    return rhythm(pattern)


def lights(heading: str) -> dict[str, str]:
    """The light by state, of a table below a heading of docs/device.md."""
    text = (DOCS / "device.md").read_text().partition(f"### {heading}\n")[2].partition("\n#")[0]
    rows = re.findall(r"^\| (.+?) \| `(\w+)` \|", text, re.MULTILINE)
    return {state: light for light, state in rows}


def test_people_in_the_room_are_told_the_same_of_the_lights() -> None:
    tally = {tally.value: COLOURS[tally] + words(TALLY_PATTERNS[tally]) for tally in COLOURS}
    camera = {light.value: words(pattern) for light, pattern in CAMERA_PATTERNS.items()}
    for told, expected in (("The light", tally), ("The light of the camera", camera)):
        steady = {
            state: light.replace("steadily on", "steady") for state, light in expected.items()
        }
        assert lights(told) == {"off": "dark", **steady}
    assert lights("The status light") == {
        status.value: words(STATUS_PATTERNS[status]) for status in Status
    }


@pytest.mark.parametrize("page", sorted(page.name for page in DOCS.glob("*.md")))
def test_no_other_page_has_a_table_of_the_lights(page: str) -> None:
    text = (DOCS / page).read_text()
    rows = re.findall(r"^\| *(?:red|green)\b.*\|$", text, re.MULTILINE)
    assert bool(rows) == (page == "device.md")


def test_no_two_states_differ_by_colour_alone() -> None:
    lights = (STATUS_PATTERNS, TALLY_PATTERNS, CAMERA_PATTERNS)
    for patterns in lights:
        assert len(set(patterns.values())) == len(patterns)
    assert set(STATUS_PATTERNS) == set(Status)
    everywhere = [pattern for patterns in lights for pattern in patterns.values()]
    assert everywhere.count(CAMERA_PATTERNS[CameraLight.CLOSED]) == 1, "no other light has it"


@pytest.mark.parametrize("status", Status)
def test_each_state_has_words_of_its_own_for_the_service_manager(status: Status) -> None:
    told = table("service.md", "state")[status.value][1]
    begin = re.split(r"[:.,(]", told)[0]
    assert Situation(status, "", 0.0).sentence("demo").startswith(begin)


@pytest.mark.parametrize("status", Status)
def test_screen_and_figures_say_the_same(status: Status) -> None:
    state = DeviceState()
    if status is Status.FAULT:
        state.fault("part", "because")
    elif status is not Status.STARTING:
        state.move(status, "because")
    present = state.present
    assert present.status is status
    shown = banner(status, Tally.OFF, (), room="demo", reason=present.reason).text
    if status not in (Status.STARTING, Status.IN_ROOM):
        assert "because" in shown
        assert "because" in present.sentence("demo")

    class Measured:
        def state(self) -> PanelState:
            return PanelState(name="Oak", room="demo", hub="", status=status.value)

    registry = CollectorRegistry(auto_describe=False)
    registry.register(DeviceCollector(Measured()))
    lines = generate_latest(registry).decode().splitlines()
    assert [
        line for line in lines if line.startswith("roomlet_state{") and line.endswith(" 1.0")
    ] == [f'roomlet_state{{state="{status.value}"}} 1.0']


def test_an_update_is_shown_over_a_fault() -> None:
    state = DeviceState()
    state.fault("part", "broken")
    state.move(Status.UPDATING, "the device comes back")
    assert state.present.status is Status.UPDATING
    state.move(Status.IDLE)
    assert state.present.status is Status.FAULT


async def test_the_panel_tells_no_password_of_the_room_server(make_device: MakeDevice) -> None:
    room = {"host": "ws://oak:c4n4ry@127.0.0.1:9/sub", "token": "x"}
    oak = await make_device("Oak", 1, joined=False, room=room)
    assert oak.state().hub == "ws://127.0.0.1:9/sub"


async def test_each_figure_of_a_device_in_a_call_has_words_at_the_panel(
    make_device: MakeDevice,
) -> None:
    page = (Path(panel.__file__).parent / "page" / "figures.js").read_text()
    named = set(re.findall(r'\["([a-z]+(?:_[a-z]+)+)", "', page))
    oak = await make_device("Oak", 1)
    made_up = {"canvas_fps", "joined_ms", "calendar_age_seconds", "calendar_next_seconds"}
    # In whatever order they come; last mostly the room server's first words on what it received.
    await until(oak, lambda state: named <= state.stats.keys() | made_up)
    assert oak.state().stats.keys() <= named


async def test_nobody_is_said_to_talk_while_the_connection_is_lost(
    make_device: MakeDevice,
) -> None:
    oak = await make_device()
    await until(oak, lambda state: any(one.get("talking") for one in state.members))
    oak.situation.move(Status.RECONNECTING, "nothing comes from the room server")
    # Whatever lies over it: the room is no nearer.
    for status in ("reconnecting", "fault"):
        state = oak.state()
        assert (state.status, state.tally) == (status, "live")
        assert [(one["name"], one["talking"]) for one in state.members] == [("Oak", False)]
        oak.situation.fault("a part", "it hangs")

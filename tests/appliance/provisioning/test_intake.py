from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from appliance.provisioning.collecting import Answer, Folder
from appliance.provisioning.errors import Refused, StoreError, Unreachable
from appliance.provisioning.intake import Intake
from appliance.provisioning.minisign import SecretKey
from appliance.provisioning.mirror import Mirror, Validator
from tests.appliance.provisioning.conftest import FLEET, FleetFolder

NAMES = ["abc.toml"]


@pytest.fixture
def mirror(tmp_path: Path) -> Mirror:
    return Mirror(tmp_path / "state/fleet.json")


@pytest.fixture
def intake(tmp_path: Path, mirror: Mirror) -> Intake:
    return Intake(tmp_path / "state", mirror)


class Interrupted(Folder):
    """A folder in which something happens before a file is read."""

    def __init__(self, folder: Path, name: str, happens: Callable[[], Awaitable[None]]) -> None:
        super().__init__(folder)
        self._name = name
        self._happens = happens

    async def get(self, name: str, limit: int, known: Validator | None = None) -> Answer:
        answer = await super().get(name, limit, known)
        if name == self._name:
            await self._happens()
        return answer


async def test_the_first_source_that_has_what_can_be_taken_is_enough(
    tmp_path: Path, fleet: FleetFolder, intake: Intake, mirror: Mirror
) -> None:
    strange = FleetFolder(tmp_path / "strange")
    strange.put("fleet.toml", FLEET)
    fleet.put("fleet.toml", FLEET)
    sources = [
        ("one", Folder(tmp_path / "nothing")),
        ("two", Folder(strange.folder)),
        ("three", Folder(fleet.folder)),
        ("four", Interrupted(fleet.folder, "fleet.toml", lambda: pytest.fail("it was asked"))),
    ]
    await intake.take(sources, NAMES, "usb", str(fleet.key.public), force=False)
    held = mirror.read()
    assert held.usb.files["fleet.toml"].text == FLEET
    assert held.web.files == {}


async def test_where_none_has_anything_it_is_said_what_is_wrong_with_each(
    tmp_path: Path, fleet: FleetFolder, intake: Intake, mirror: Mirror
) -> None:
    nothing = ("one", Folder(tmp_path / "nothing"))
    with pytest.raises(Unreachable, match=r"^one: has no signed fleet\.toml"):
        await intake.take([nothing], NAMES, "web", str(fleet.key.public), force=False)
    fleet.put("fleet.toml", FLEET, key=SecretKey.generate())
    other = ("two", Folder(fleet.folder))
    with pytest.raises(Refused, match=r"^one: has no signed .*; two: fleet\.toml is signed with"):
        await intake.take([nothing, other], NAMES, "web", str(fleet.key.public), force=False)
    assert mirror.read().web.files == {}


async def test_what_was_verified_of_a_set_that_is_not_whole_is_kept_for_the_next_look(
    fleet: FleetFolder, intake: Intake, mirror: Mirror
) -> None:
    fleet.put("fleet.toml", FLEET)
    fleet.put("abc.toml", "", key=SecretKey.generate())
    source = [("one", Folder(fleet.folder))]
    with pytest.raises(Refused, match=r"abc\.toml is signed with"):
        await intake.take(source, NAMES, "web", str(fleet.key.public), force=False)
    held = mirror.read().web
    assert (list(held.spare), held.files) == (["fleet.toml"], {})


async def test_of_two_that_take_at_once_the_slower_does_not_bring_the_old_back(
    fleet: FleetFolder, intake: Intake, mirror: Mirror, caplog: pytest.LogCaptureFixture
) -> None:
    fleet.put("fleet.toml", FLEET)
    public = str(fleet.key.public)

    async def another_process() -> None:
        fleet.put("fleet.toml", FLEET.replace("15", "20"))
        await intake.take([("one", Folder(fleet.folder))], NAMES, "web", public, force=False)

    slow = Interrupted(fleet.folder, "fleet.toml", another_process)
    await intake.take([("one", slow)], NAMES, "web", public, force=False)
    held = mirror.read().web
    assert "rate = 20" in held.files["fleet.toml"].text
    assert held.serials == {"fleet.toml": fleet.serial}
    assert "another process has just taken files" in caplog.text


async def test_a_device_that_cannot_write_says_so(
    tmp_path: Path, fleet: FleetFolder, intake: Intake
) -> None:
    (tmp_path / "state").symlink_to(tmp_path / "gone/away")
    fleet.put("fleet.toml", FLEET)
    source = [("one", Folder(fleet.folder))]
    with pytest.raises(StoreError, match="check the disk"):
        await intake.take(source, NAMES, "web", str(fleet.key.public), force=False)

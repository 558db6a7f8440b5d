"""Which of the machine's devices is meant."""

from __future__ import annotations

from typing import Any

import pytest

from appliance.media.constraints import MediaTrackConstraints
from appliance.room import Overconstrained, choice
from hal import registry
from hal.camera import VideoFormat
from hal.camera.synthetic import SyntheticCamera
from hal.device import Device
from hal.errors import DeviceNotFound, DeviceStalled

pytestmark = pytest.mark.usefixtures("only_virtual")


def wish(**wishes: Any) -> MediaTrackConstraints:
    return MediaTrackConstraints.of(wishes)


def ids(found: Any) -> list[str]:
    return [one.device.id for one in found]


class Rack(SyntheticCamera):
    """Cameras with one format each; number 9 hangs."""

    FORMATS = {7: VideoFormat(1280, 720, 30), 8: VideoFormat(640, 360, 30), 9: VideoFormat()}
    opened: list[int] = []

    def __init__(self, *, device: str | None = None) -> None:
        super().__init__(device=device or "synthetic:7")
        number = self._number
        self.device = Device(f"rack:{number}", f"Rack {number}", "camera", "rack")

    @classmethod
    def devices(cls) -> list[Device]:
        return [Device(f"rack:{n}", f"Rack {n}", "camera", "rack") for n in cls.FORMATS]

    def open(self, wanted: VideoFormat) -> VideoFormat:
        self.opened.append(self._number)
        if self._number == 9:
            raise DeviceStalled("it hangs; unplug it")
        return super().open(self.FORMATS[self._number])


@pytest.fixture
def rack(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    def create(kind: str, name: str = "auto", **options: Any) -> Any:
        device = options.get("device")
        if device is not None and device not in [d.id for d in Rack.devices()]:
            raise DeviceNotFound(f"no camera {device!r}")
        return Rack(device=device and device.replace("rack", "synthetic"))

    monkeypatch.setattr(registry, "create", create)
    monkeypatch.setattr(Rack, "opened", [])
    return Rack.opened


class TestNamed:
    async def test_a_plain_id_means_that_one(self) -> None:
        assert ids(await choice.cameras(wish(device_id="synthetic:1"))) == ["synthetic:1"]
        assert ids(await choice.cameras(wish(device_id="synthetic:77"))) == ["synthetic:77"]
        for kind in (choice.cameras, choice.microphones):
            with pytest.raises(Overconstrained) as error:
                await kind(wish(device_id="not there"))
            assert error.value.constraint == "deviceId"
        with pytest.raises(Overconstrained):
            await choice.speaker("not there")

    async def test_a_soft_one_may_be_another(self) -> None:
        soft = wish(device_id={"ideal": ["not there", "synthetic:5"]})
        assert ids(await choice.microphones(soft)) == ["synthetic:5"]
        assert ids(await choice.cameras(wish(device_id={"ideal": "gone"}))) == ["synthetic:1"]

    async def test_any_of_several(self, rack: list[int]) -> None:
        named = wish(device_id={"exact": ["gone", "rack:8", "rack:7"]})
        assert ids(await choice.cameras(named)) == ["rack:8", "rack:7"]


class TestNearest:
    async def choose(self, wanted: MediaTrackConstraints, **options: Any) -> list[str]:
        found = await choice.cameras(wanted)
        return ids(await choice.nearest(found, wanted, **options))

    async def test_by_format(self, rack: list[int]) -> None:
        assert await self.choose(wish(width=700)) == ["rack:8", "rack:7"]
        assert await self.choose(wish(width=1200)) == ["rack:7", "rack:8"]
        assert await self.choose(wish(height={"max": 400})) == ["rack:8"]
        with pytest.raises(Overconstrained) as error:
            await self.choose(wish(width={"min": 4000}))
        assert error.value.constraint == "width"

    async def test_without_a_wish_none_is_opened(self, rack: list[int]) -> None:
        assert len(await self.choose(wish())) == 1
        assert rack == []

    async def test_one_in_use_is_not_opened(self, rack: list[int]) -> None:
        # It is taken to be able to do what is wished, for only a try can tell.
        assert await self.choose(wish(width=1920), in_use={"rack:8"}) == ["rack:8", "rack:7"]
        assert 8 not in rack


class TestSpare:
    async def test_one_in_use_comes_last(self, rack: list[int]) -> None:
        found = await choice.cameras(wish(), in_use={"rack:7"}, spare=True)
        assert ids(found) == ["rack:8", "rack:9", "rack:7"]
        exact = await choice.cameras(wish(device_id="rack:7"), in_use={"rack:7"}, spare=True)
        assert ids(exact) == ["rack:7"]

    async def test_simulated_ones_never_run_out(self) -> None:
        used = {"synthetic:1", "synthetic:2"}
        assert ids(await choice.cameras(wish(), in_use=used, spare=True))[0] == "synthetic:3"
        microphones = await choice.microphones(wish(), in_use=used, spare=True)
        assert ids(microphones)[0] == "synthetic:3"


class TestScreen:
    async def test_the_screen_of_the_machine(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DISPLAY", ":3")
        for backend in (choice.SCREEN, choice.X11):
            (screen,) = await choice.cameras(wish(), backend=backend)
            assert (screen.device.id, screen.device.backend) == (":3", "x11")
        (other,) = await choice.cameras(wish(device_id=":4"), backend=choice.SCREEN)
        assert (other.device.id, other.device.backend) == (":4", "x11")

    async def test_a_device_that_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DISPLAY", ":3")
        named = wish(device_id="synthetic:5")
        assert ids(await choice.cameras(named, backend=choice.SCREEN)) == ["synthetic:5"]
        with pytest.raises(Overconstrained):
            await choice.cameras(wish(device_id="gone"), backend=choice.SCREEN)

    async def test_never_just_a_camera(self, rack: list[int]) -> None:
        with pytest.raises(DeviceNotFound):
            await choice.cameras(wish(), backend=choice.X11)


async def test_other_speakers_are_of_the_same_kind() -> None:
    lost = Device("elsewhere", "Elsewhere", "speaker", "alsa")
    assert await choice.other_speakers(lost) == []
    lost = Device("synthetic:1", "One", "speaker", "synthetic")
    assert ids(await choice.other_speakers(lost)) == ["synthetic:2"]

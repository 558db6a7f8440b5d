from __future__ import annotations

import re
from fractions import Fraction

import pytest
from av import Packet, VideoFrame, VideoStream

from appliance.media.video_encoder import VideoEncoder
from appliance.service.doctor.camera import look_at_camera
from appliance.service.doctor.check import Finding, Verdict
from hal.camera import VideoFormat
from hal.camera.synthetic import SyntheticCamera
from hal.errors import DeviceNotFound, DeviceStalled, DeviceUnplugged

# So few and small that a machine under load gives them all.
WANTED = VideoFormat(160, 90, 5.0)
BITRATE = 300_000


class TimedCamera(SyntheticCamera):
    """Goes by its own timestamps, whatever the load of the machine."""

    measured_rate = WANTED.rate


async def look(camera: SyntheticCamera, wanted: VideoFormat = WANTED) -> Finding:
    return await look_at_camera(lambda: camera, wanted, BITRATE)


async def test_a_good_camera_and_its_rate() -> None:
    finding = await look(TimedCamera())
    assert finding.verdict is Verdict.OK, finding
    rate = re.fullmatch(
        r"Synthetic camera 1: 160x90 at ([\d.]+) a second, encoded by x264 in [\d.]+ ms each",
        finding.text,
    )
    assert rate is not None, finding.text
    assert float(rate[1]) == WANTED.rate


class SlowCamera(SyntheticCamera):
    """Says 30 a second and gives five."""

    def open(self, wanted: VideoFormat) -> VideoFormat:
        super().open(WANTED)
        return VideoFormat(wanted.width, wanted.height, 30.0)


async def test_a_camera_that_is_slower_than_it_says() -> None:
    finding = await look(SlowCamera(), VideoFormat(160, 90, 30.0))
    assert finding.verdict is Verdict.WARN
    assert "in place of 30" in finding.text
    assert "light" in finding.remedy


async def test_another_size_than_was_asked_for() -> None:
    finding = await look(TimedCamera(), VideoFormat(32, 36, 5.0))
    assert finding.verdict is Verdict.WARN
    assert "64x36" in finding.text
    assert "32x36 was asked for" in finding.text


class CoveredCamera(TimedCamera):
    def read(self) -> VideoFrame:
        frame = super().read()
        frame.planes[0].update(bytes([16]) * frame.planes[0].buffer_size)
        return frame


async def test_a_covered_camera() -> None:
    finding = await look(CoveredCamera())
    assert finding.verdict is Verdict.WARN
    assert finding.text.endswith("and black")
    assert "cover" in finding.remedy


class EncodingCamera(TimedCamera):
    """Encodes by itself, with a keyframe at the beginning or never."""

    def __init__(self, *, keyframes: bool) -> None:
        super().__init__()
        self.bitrate = 0
        self._encoder = VideoEncoder("h264", WANTED.width, WANTED.height, WANTED.rate)
        self._skip = not keyframes

    def set_bitrate(self, bps: int) -> None:
        self.bitrate = bps

    def read(self) -> Packet[VideoStream]:  # type: ignore[override]
        packet = self._encoder.encode(super().read())
        if self._skip:
            self._skip = False
            return self.read()
        packet.time_base = Fraction(1, 90_000)
        return packet


async def test_a_camera_that_encodes_by_itself() -> None:
    camera = EncodingCamera(keyframes=True)
    finding = await look_at_camera(lambda: camera, WANTED, BITRATE)
    assert finding.verdict is Verdict.OK, finding
    assert finding.text.endswith("encoded by itself (1 keyframes)")
    assert camera.bitrate == BITRATE
    silent = await look_at_camera(lambda: EncodingCamera(keyframes=False), WANTED, BITRATE)
    assert silent.verdict is Verdict.WARN
    assert "nobody could begin to watch" in silent.text


@pytest.mark.parametrize(
    ("fault", "error"), [("unplug", DeviceUnplugged), ("stall", DeviceStalled)]
)
async def test_a_camera_that_fails_while_it_is_watched(fault: str, error: type[Exception]) -> None:
    class Failing(SyntheticCamera):
        def read(self) -> VideoFrame:
            frame = super().read()
            getattr(self, fault)()
            return frame

    camera = Failing()
    with pytest.raises(error):
        await look(camera)
    # It was closed: a good one opens again.
    camera.replug()
    camera.resume()
    camera.open(WANTED)
    camera.close()


async def test_a_camera_that_is_not_there() -> None:
    camera = SyntheticCamera()
    camera.unplug()
    with pytest.raises(DeviceNotFound):
        await look(camera)

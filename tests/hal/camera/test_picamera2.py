"""The camera of a Raspberry Pi, on a stand-in for Picamera2."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from hal.camera import VideoFormat, pi_encoder
from hal.camera import picamera2 as module
from hal.camera.h264 import IDR, PPS, SPS
from hal.camera.picamera2 import Picamera2Camera
from hal.camera.scene import decode
from hal.errors import (
    BackendUnavailable,
    DeviceBusy,
    DeviceForbidden,
    DeviceNotFound,
    DeviceStalled,
    DeviceUnplugged,
    FormatUnsupported,
    HalError,
    OptionInvalid,
)
from hal.planes import plane
from tests.hal.camera import fake_picamera2 as fake
from tests.hal.camera.ribbon_camera import (
    DEADLINE,
    IMX708,
    SMALL,
    Screen,
    frame_of,
    kinds,
    packet_of,
    until_keyframe,
)


@pytest.mark.parametrize(
    ("options", "hflip", "vflip"),
    [
        ({"rotation": 180}, True, True),
        ({"hflip": True}, True, False),
        ({"rotation": 180, "vflip": True}, True, False),
        ({"rotation": 180, "hflip": True, "vflip": True}, False, False),
    ],
)
@pytest.mark.usefixtures("pi")
def test_turned_and_flipped(options: dict[str, Any], hflip: bool, vflip: bool) -> None:
    with Picamera2Camera(encoder="none", **options) as camera:
        camera.open(SMALL)
        luma = plane(frame_of(camera), 0)
    upright = luma[:: -1 if vflip else 1, :: -1 if hflip else 1].copy()
    assert decode(upright) is not None
    assert (decode(luma.copy()) is None) == (hflip or vflip)


@pytest.mark.usefixtures("pi")
def test_x264_gives_packets_and_the_preview_beside_them() -> None:
    screen = Screen()
    with Picamera2Camera(threads=4) as camera:
        camera.open(SMALL)
        packets = []
        for number in range(20):
            packet = packet_of(camera)
            preview = camera.preview
            assert preview is not None
            packets.append((packet, screen.show(packet), preview.pts))
            assert packet.is_keyframe == (number == 0)
    assert kinds(packets[0][0])[-1] == IDR
    assert {SPS, PPS} <= set(kinds(packets[0][0]))
    # Each packet is the picture that was taken at its time: no frame is held back.
    codes = [code for _, code, _ in packets if code is not None]
    assert len(codes) >= 19
    by_time = {packet.pts: code for packet, code, _ in packets}
    for packet, code, pts in packets:
        assert pts is not None
        assert packet.pts is not None
        assert pts >= packet.pts, "the screen is never behind the network"
        assert by_time[packet.pts] == code


@pytest.mark.usefixtures("pi4")
def test_the_hardware_gives_packets_and_the_preview_beside_them() -> None:
    screen = Screen()
    with Picamera2Camera() as camera:
        camera.open(SMALL)
        (encoder,) = fake.H264Encoder.made
        assert encoder.profile == "constrained baseline"
        packets = [packet_of(camera) for _ in range(20)]
        preview = camera.preview
    assert preview is not None
    assert decode(preview) is not None
    assert [packet.is_keyframe for packet in packets] == [True, *[False] * 19]
    shown = [screen.show(packet) for packet in packets]
    assert [code.frame for code in shown if code] == list(range(len(shown)))[: len(shown)]
    stamps = [packet.pts for packet in packets if packet.pts is not None]
    assert stamps == sorted(set(stamps))
    assert preview.pts is not None
    assert abs(preview.pts - stamps[-1]) < 10e6, "frames and packets have one clock"


@pytest.mark.parametrize("platform", ["pi", "pi4"])
def test_a_keyframe_on_demand(platform: str, request: pytest.FixtureRequest) -> None:
    request.getfixturevalue(platform)
    with Picamera2Camera() as camera:
        camera.open(SMALL)
        assert packet_of(camera).is_keyframe
        for _ in range(5):
            assert not packet_of(camera).is_keyframe
        for _ in range(7):
            camera.request_keyframe()
        found = until_keyframe(camera)
        # What the hardware had in hand comes first; many requests are one keyframe.
        assert len(found) <= 10
        assert {SPS, PPS, IDR} <= set(kinds(found[-1])), "a decoder can begin with it"
        assert Screen().show(found[-1]) is not None or platform == "pi4"
        assert not any(packet_of(camera).is_keyframe for _ in range(8))


@pytest.mark.usefixtures("pi")
def test_the_bit_rate_changes_on_the_way() -> None:
    with Picamera2Camera(bitrate=4_000_000) as camera:
        camera.open(VideoFormat(320, 180, 50))
        high = measure(camera)
        camera.set_bitrate(300_000)
        low = measure(camera)
        camera.set_bitrate(4_000_000)
        again = measure(camera)
    assert low < high / 2
    assert again > 2 * low


def measure(camera: Picamera2Camera) -> float:
    """Bytes a picture, once the encoder has got used to its rate."""
    for _ in range(60):
        packet_of(camera)
    return sum(packet_of(camera).size for _ in range(25)) / 25


@pytest.mark.usefixtures("pi4")
def test_the_hardware_never_gets_a_rate_that_stalls_it() -> None:
    with Picamera2Camera(bitrate=150_000) as camera:
        camera.open(SMALL)
        (encoder,) = fake.H264Encoder.made
        assert encoder.bitrate == pi_encoder.FLOOR
        camera.set_bitrate(5_000_000)
        for _ in range(10):
            packet_of(camera)
        assert encoder.bitrate == 5_000_000
        camera.set_bitrate(150_000)
        assert all(packet_of(camera).size for _ in range(15)), "it goes on"
        assert encoder.bitrate == pi_encoder.FLOOR
        assert encoder.iperiod is not None
        assert encoder.iperiod > 10_000, "no keyframes that nobody asked for"


@pytest.mark.parametrize("platform", ["pi", "pi4"])
def test_encoding_is_put_off_and_on(platform: str, request: pytest.FixtureRequest) -> None:
    request.getfixturevalue(platform)
    with Picamera2Camera() as camera:
        camera.open(SMALL)
        packet_of(camera)
        camera.set_encoding(False)
        assert decode(frame_of(camera)) is not None
        assert decode(frame_of(camera)) is not None
        assert camera.preview is None
        camera.set_encoding(True)
        first = packet_of(camera)
        assert first.is_keyframe
        assert {SPS, PPS} <= set(kinds(first))
        assert not packet_of(camera).is_keyframe


@pytest.mark.usefixtures("pi4")
def test_a_late_reader_goes_on_with_a_keyframe() -> None:
    with Picamera2Camera() as camera:
        camera.open(SMALL)
        packet_of(camera)
        (encoder,) = fake.H264Encoder.made
        forced = encoder.keyframes_forced
        wait_for(lambda: encoder.keyframes_forced > forced)
        packets = [packet_of(camera) for _ in range(10)]
        stamps = [packet.pts for packet in packets if packet.pts is not None]
        assert stamps == sorted(set(stamps))
        # Whatever was left over of the old pictures, a gap is followed by a keyframe.
        for packet, before in zip(packets[1:], stamps, strict=False):
            assert packet.pts is not None
            assert packet.is_keyframe or packet.pts - before < 60_000


def wait_for(condition: Any) -> None:
    deadline = time.monotonic() + DEADLINE
    due = threading.Event()
    while not condition():
        assert time.monotonic() < deadline
        due.wait(0.01)


@pytest.mark.usefixtures("pi")
def test_the_widest_mode_is_run() -> None:
    with Picamera2Camera(encoder="none") as camera:
        assert camera.open(VideoFormat(1280, 720, 30)) == VideoFormat(1280, 720, 30)
        sensor = fake.Picamera2.last.configuration["sensor"]
        assert sensor == {"output_size": (2304, 1296), "bit_depth": 10}
    with Picamera2Camera(encoder="none", sensor_mode="1536x864") as camera:
        assert camera.open(VideoFormat(1920, 1080, 30)) == VideoFormat(1536, 864, 30)
        assert fake.Picamera2.last.configuration["sensor"]["output_size"] == (1536, 864)
    with pytest.raises(OptionInvalid, match="it has 1536x864, 2304x1296, 4608x2592"):
        Picamera2Camera(sensor_mode="640x480").open(SMALL)


@pytest.mark.parametrize(
    ("what", "value"), [("modes", [{"format": "NV12"}]), ("properties", {"Model": "virtual"})]
)
def test_a_camera_that_names_no_modes(pi: pytest.MonkeyPatch, what: str, value: Any) -> None:
    pi.setattr(fake.Picamera2, what, value)
    with Picamera2Camera(encoder="none") as camera:
        assert camera.open(SMALL) == SMALL
        assert fake.Picamera2.last.configuration["sensor"] == {}


@pytest.mark.usefixtures("pi4")
def test_the_hardware_has_a_largest_picture() -> None:
    with Picamera2Camera() as camera:
        assert camera.open(VideoFormat(2304, 1296, 20)) == VideoFormat(1920, 1080, 20)


@pytest.mark.usefixtures("pi")
def test_options_become_controls() -> None:
    options: dict[str, Any] = {"flicker_hz": 50, "exposure_value": -1.0, "brightness": 0.25}
    with Picamera2Camera(encoder="none", **options) as camera:
        camera.open(VideoFormat(640, 360, 25))
        controls = fake.Picamera2.last.configuration["controls"]
    assert controls == {
        "FrameDurationLimits": (40_000, 40_000),
        "AfMode": fake.AfModeEnum.Continuous,
        "AeFlickerMode": fake.AeFlickerModeEnum.Manual,
        "AeFlickerPeriod": 10_000,
        "ExposureValue": -1.0,
        "Brightness": 0.25,
    }


def test_an_option_that_the_camera_lacks_is_told_and_frees_it(pi: pytest.MonkeyPatch) -> None:
    fixed = {name: value for name, value in fake.CONTROLS.items() if name != "AfMode"}
    pi.setattr(fake.Picamera2, "controls_there", fixed)
    with Picamera2Camera(encoder="none") as camera:
        camera.open(SMALL)  # no lens to move, and nobody asked for it
    with pytest.raises(OptionInvalid, match="'autofocus'"):
        Picamera2Camera(autofocus="continuous").open(SMALL)
    with pytest.raises(OptionInvalid, match=r"'gain' .* 1\.12 to 16"):
        Picamera2Camera(gain=99).open(SMALL)


@pytest.mark.usefixtures("pi")
def test_the_rate_is_measured() -> None:
    with Picamera2Camera(encoder="none") as camera:
        camera.open(SMALL)
        assert camera.measured_rate is None or camera.measured_rate > 0
        while camera.measured_rate is None:
            camera.read()
        for _ in range(10):
            camera.read()
        # By the sensor's stamps, which the load of this machine does not move.
        assert camera.measured_rate == pytest.approx(30, rel=0.35)


@pytest.mark.parametrize("platform", ["pi", "pi4"])
def test_a_sensor_that_falls_silent_has_stalled(
    platform: str, request: pytest.FixtureRequest
) -> None:
    request.getfixturevalue(platform)
    with Picamera2Camera() as camera:
        camera.open(SMALL)
        packet_of(camera)
        fake.Picamera2.last.silence()
        begin = time.monotonic()
        with pytest.raises(DeviceStalled, match="ribbon"):
            read_on(camera)
        assert time.monotonic() - begin >= 0.9


def read_on(camera: Picamera2Camera) -> None:
    while True:
        camera.read()


def test_a_sensor_that_never_begins(pi: pytest.MonkeyPatch) -> None:
    pi.setattr(module, "BEGIN_S", 0.2)
    pi.setattr(fake.Picamera2, "process_requests", lambda self, display: None)
    with pytest.raises(DeviceStalled, match="ribbon"):
        Picamera2Camera().open(SMALL)


def test_an_encoder_that_fails_is_told_to_the_reader(pi4: pytest.MonkeyPatch) -> None:
    with Picamera2Camera() as camera:
        camera.open(SMALL)
        packet_of(camera)

        def fail(self: object, request: object, moment: int) -> None:
            raise OSError(5, "Input/output error")

        pi4.setattr(fake.H264Encoder, "_encode", fail)
        with pytest.raises(DeviceUnplugged, match="Input/output error"):
            read_on(camera)


def test_auto_does_without_a_hardware_that_is_busy(
    pi4: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pi4.setattr(fake.H264Encoder, "refusal", OSError(16, "Device or resource busy"))
    with Picamera2Camera() as camera:
        camera.open(SMALL)
        assert packet_of(camera).is_keyframe
        assert not packet_of(camera).is_keyframe
    assert "falling back to libx264" in caplog.text
    with pytest.raises(DeviceBusy, match="another program"):
        Picamera2Camera(encoder="hardware").open(SMALL)


@pytest.mark.usefixtures("pi")
def test_hardware_that_is_not_there_is_told() -> None:
    with pytest.raises(BackendUnavailable, match="set encoder to 'auto'"):
        Picamera2Camera(encoder="hardware").open(SMALL)


@pytest.mark.parametrize(
    ("cause", "expected", "text"),
    [
        ("Failed to acquire camera: Device or resource busy", DeviceBusy, "stop that program"),
        ("Failed to open: Permission denied", DeviceForbidden, "group video"),
        ("Failed to start camera: Cannot allocate memory", FormatUnsupported, "CMA"),
        ("Failed to initialize camera", DeviceNotFound, "Failed to initialize camera"),
    ],
)
def test_libcameras_words_become_our_errors(
    pi: pytest.MonkeyPatch, cause: str, expected: type[HalError], text: str
) -> None:
    pi.setattr(fake.Picamera2, "refusal", RuntimeError(cause))
    with pytest.raises(expected, match=text) as refusal:
        Picamera2Camera(device=IMX708).open(SMALL)
    assert type(refusal.value) is expected
    assert "\n" not in str(refusal.value)


def test_a_format_that_libcamera_refuses(pi: pytest.MonkeyPatch) -> None:
    def refuse(self: object, camera_config: object = None) -> None:
        raise RuntimeError("Invalid camera configuration: {'main': ...}")

    pi.setattr(fake.Picamera2, "configure", refuse)
    with pytest.raises(FormatUnsupported, match="ask for another size"):
        Picamera2Camera().open(SMALL)


@pytest.mark.usefixtures("pi4")
def test_closed_and_opened_again() -> None:
    camera = Picamera2Camera()
    with pytest.raises(DeviceUnplugged, match="not open"):
        camera.read()
    for _ in range(3):
        camera.open(SMALL)
        assert packet_of(camera).is_keyframe
    camera.close()
    camera.close()
    with pytest.raises(DeviceUnplugged, match="not open"):
        camera.read()
    assert camera.preview is None
    camera.request_keyframe()
    camera.set_bitrate(1_000_000)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"encoder": "gpu"}, "encoder"),
        ({"rotation": 90}, "0 or 180"),
        ({"threads": 0}, "threads"),
        ({"bitrate": 1000}, "bitrate"),
        ({"metering": "sun"}, "metering"),
    ],
)
def test_bad_options(options: dict[str, Any], match: str) -> None:
    with pytest.raises(OptionInvalid, match=match):
        Picamera2Camera(**options)

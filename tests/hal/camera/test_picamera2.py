from __future__ import annotations

import importlib
import inspect
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from av import CodecContext, Packet, VideoFrame

from hal import registry
from hal.camera import VideoFormat, codec_controls, pi_encoder
from hal.camera import picamera2 as module
from hal.camera.h264 import IDR, PPS, SPS, nal_units
from hal.camera.picamera2 import Picamera2Camera
from hal.camera.scene import SceneCode, decode
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
from tests.hal.camera import picamera2_api as api

DEADLINE = 20
SMALL = VideoFormat(640, 360, 30)
IMX708 = "/base/i2c/imx708@1a"


@pytest.fixture
def pi(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[pytest.MonkeyPatch]:
    """A Raspberry Pi 5: two cameras and no encoder.  What a test sets is put back."""
    for name, made in fake.modules(fake.Platform.PISP).items():
        monkeypatch.setitem(sys.modules, name, made)
    monkeypatch.setattr(pi_encoder, "_NODE", str(tmp_path / "video11"))
    monkeypatch.setattr(codec_controls.fcntl, "ioctl", fake.ioctl)
    monkeypatch.setattr(fake.H264Encoder, "made", [])
    yield monkeypatch
    left, fake.Picamera2.open_now = fake.Picamera2.open_now, []
    assert not left, "a camera stayed open"
    threads = {thread.name for thread in threading.enumerate()}
    assert not threads & {"fake-picamera2", "fake-v4l2-encoder"}


@pytest.fixture
def pi4(pi: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A Raspberry Pi 4: the same with the hardware encoder."""
    for name, made in fake.modules(fake.Platform.VC4).items():
        pi.setitem(sys.modules, name, made)
    Path(pi_encoder._NODE).touch()
    return pi


class Screen:
    """Decodes what a camera sends, as a receiver would."""

    def __init__(self) -> None:
        self.codec: Any = CodecContext.create("h264", "r")

    def show(self, packet: Packet[Any]) -> SceneCode | None:
        """The code in the picture of a packet; None when it cannot be decoded."""
        # A decoder gives a picture when the next packet comes: so that one is made up.
        pictures = self.codec.decode(packet)
        return decode(pictures[-1]) if pictures else None


def packet_of(camera: Picamera2Camera) -> Packet[Any]:
    item = camera.read()
    assert isinstance(item, Packet)
    return item


def frame_of(camera: Picamera2Camera) -> VideoFrame:
    item = camera.read()
    assert isinstance(item, VideoFrame)
    return item


def kinds(packet: Packet[Any]) -> list[int]:
    return [kind for kind, _ in nal_units(bytes(packet))]


def until_keyframe(camera: Picamera2Camera, most: int = 300) -> list[Packet[Any]]:
    """Packets up to the next keyframe, which is the last one."""
    packets: list[Packet[Any]] = []
    while len(packets) < most:
        packets.append(packet_of(camera))
        if packets[-1].is_keyframe:
            return packets
    raise AssertionError("no keyframe came")


@pytest.mark.usefixtures("pi")
def test_cameras_on_ribbons_are_listed_and_usb_ones_are_not() -> None:
    assert [(one.id, one.label, one.kind) for one in Picamera2Camera.devices()] == [
        ("/base/i2c/ov5647@36", "ov5647", "camera"),
        (IMX708, "imx708", "camera"),
    ]


@pytest.mark.usefixtures("pi")
def test_the_named_camera_is_opened_by_its_place_in_the_list() -> None:
    with Picamera2Camera(device=IMX708) as camera:
        camera.open(SMALL)
        assert fake.Picamera2.last.number == 1
        assert camera.device.label == "imx708"
    with Picamera2Camera() as camera:
        camera.open(SMALL)
        assert fake.Picamera2.last.number == 0
    with pytest.raises(DeviceNotFound, match="imx999 is not there"):
        Picamera2Camera(device="imx999").open(SMALL)


@pytest.mark.parametrize("pixel_format", ["YUV420", "NV12"])
def test_frames_are_the_sensors_pixels(pi: pytest.MonkeyPatch, pixel_format: str) -> None:
    pi.setattr(fake.Picamera2, "pixel_format", pixel_format)
    with Picamera2Camera(encoder="none") as camera:
        assert camera.open(SMALL) == SMALL
        frames = [frame_of(camera) for _ in range(6)]
        assert camera.preview is None, "`read` gives them already"
    codes = [decode(frame) for frame in frames]
    numbers = [code.frame for code in codes if code is not None]
    assert len(numbers) == 6
    assert numbers == sorted(set(numbers))
    assert {frame.format.name for frame in frames} == {"yuv420p"}
    assert {(frame.width, frame.height) for frame in frames} == {(640, 360)}
    # Colour as well as luma: the pixels are those of the scene, with no padding in them.
    scene = fake.Scene(7, 640, 360).draw(numbers[0], 0)
    for number in (1, 2):
        assert (plane(frames[0], number) == plane(scene, number)).all()
    stamps = [frame.pts for frame in frames if frame.pts is not None]
    steps = {b - a for a, b in pairwise(stamps)}
    counted = [b - a for a, b in pairwise(numbers)]
    assert frames[0].time_base == pytest.approx(1e-6)
    assert max(steps) <= max(counted) * 33_334
    assert min(steps) >= 33_332, "stamped by the sensor, not on arrival"


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


def test_a_format_that_nobody_asked_for(pi: pytest.MonkeyPatch) -> None:
    pi.setattr(fake.Picamera2, "pixel_format", "XBGR8888")
    with Picamera2Camera(encoder="none") as camera:
        camera.open(SMALL)
        with pytest.raises(FormatUnsupported, match="XBGR8888"):
            camera.read()


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


def test_without_picamera2_auto_says_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "picamera2", None)
    with pytest.raises(BackendUnavailable, match="python3-picamera2"):
        Picamera2Camera.devices()
    monkeypatch.setattr("hal.camera.v4l2.find", list)
    assert registry.create("camera").device.backend == "synthetic"
    assert "picamera2" not in caplog.text


@pytest.mark.usefixtures("pi")
def test_auto_takes_the_ribbon_camera() -> None:
    assert isinstance(registry.create("camera"), Picamera2Camera)
    found = registry.list_devices("camera")
    assert IMX708 in [device.id for device in found]


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


FAKES: dict[str, Any] = {
    "picamera2.py: Picamera2": fake.Picamera2,
    "request.py: CompletedRequest": fake.CompletedRequest,
    "request.py: MappedArray": fake.MappedArray,
    "encoders/encoder.py: Encoder": fake.Encoder,
    "encoders/h264_encoder.py: H264Encoder": fake.H264Encoder,
    "outputs/output.py: Output": fake.Output,
}


def test_the_fake_has_the_parameters_of_the_real_one() -> None:
    compared = 0
    for name, expected in api.recorded()["api"].items():
        owner, _, member = name.rpartition(".")
        if not isinstance(expected, list) or owner not in FAKES:
            assert expected in (True, []), f"{name} has gone from Picamera2"
            continue
        found = inspect.getattr_static(FAKES[owner], member)
        function = getattr(found, "fget", None) or getattr(found, "__func__", found)
        parameters = [
            one.name if one.default is one.empty else f"{one.name}=..."
            for one in inspect.signature(function).parameters.values()
            if one.name != "self"
        ]
        assert parameters == expected, name
        compared += 1
    assert compared >= 20


def test_the_fake_has_nothing_that_was_not_looked_up() -> None:
    # What the driver could use of the fake but Picamera2 might not have.
    looked_up = {name.rpartition(".")[2] for name in api.recorded()["api"]}
    own = {
        name
        for name, value in vars(fake.Picamera2).items()
        if callable(value) or isinstance(value, property | staticmethod)
    }
    assert own - looked_up - {"_run", "silence"} == set()


@pytest.mark.lab
@pytest.mark.parametrize("version", ["0.3.31", "recorded"])
def test_picamera2_is_as_it_was_recorded(tmp_path: Path, version: str) -> None:
    record = api.recorded()
    wanted = record["version"] if version == "recorded" else version
    importlib.import_module("pip")  # the tool that fetches the sources; nothing is run of them
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile"),
            *("--target", str(tmp_path), f"picamera2=={wanted}"),
        ],
        check=True,
        timeout=300,
    )
    assert api.read(tmp_path / "picamera2") == record["api"]

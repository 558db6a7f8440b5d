from __future__ import annotations

import fcntl
import io
import os
import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.container import InputContainer
from PIL import Image

from hal.camera import VideoFormat, v4l2_nodes
from hal.camera import v4l2 as module
from hal.camera.h264 import IDR, PPS, SPS, nal_units
from hal.camera.scene import Scene, decode
from hal.camera.v4l2 import V4l2Camera, arguments
from hal.camera.v4l2_nodes import Capability, find, query
from hal.camera.x264 import X264
from hal.device import Device
from hal.errors import (
    DeviceBusy,
    DeviceForbidden,
    DeviceNotFound,
    DeviceStalled,
    DeviceUnplugged,
    FormatUnsupported,
    OptionInvalid,
)

UVC = Capability("uvcvideo", "HD Webcam", capture=True)


class Tree:
    """A /dev and a /sys with video nodes, as udev makes them."""

    def __init__(self, root: Path) -> None:
        self.dev = root / "dev"
        self.sys = root / "sys"
        self.answers: dict[str, Capability | None] = {}
        (self.dev / "v4l" / "by-id").mkdir(parents=True)
        (self.dev / "v4l" / "by-path").mkdir()
        (self.sys / "class" / "video4linux").mkdir(parents=True)

    def add(
        self,
        number: int,
        name: str,
        answer: Capability | None = UVC,
        *,
        index: int = 0,
        by_id: str = "",
        by_path: str = "",
    ) -> None:
        node = f"video{number}"
        (self.dev / node).touch()
        entry = self.sys / "class" / "video4linux" / node
        entry.mkdir()
        (entry / "name").write_text(f"{name}\n")
        (entry / "index").write_text(f"{index}\n")
        self.answers[node] = answer
        for folder, link in (("by-id", by_id), ("by-path", by_path)):
            if link:
                (self.dev / "v4l" / folder / link).symlink_to(f"../../{node}")

    def find(self) -> list[Device]:
        return find(self.dev, self.sys, lambda node: self.answers[node.name])


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


def test_usb_camera_is_named_by_its_id(tree: Tree) -> None:
    tree.add(0, "HD Webcam", by_id="usb-ACME_HD_1234-video-index0", by_path="pci-0-usb-0:1")
    tree.add(1, "HD Webcam", index=1, by_id="usb-ACME_HD_1234-video-index1")
    link = str(tree.dev / "v4l/by-id/usb-ACME_HD_1234-video-index0")
    assert tree.find() == [Device(link, "HD Webcam", "camera", "v4l2")]


def test_id_stays_when_the_node_number_changes(tree: Tree, tmp_path: Path) -> None:
    later = Tree(tmp_path / "later")
    tree.add(0, "HD Webcam", by_id="usb-ACME-video-index0")
    later.add(4, "HD Webcam", by_id="usb-ACME-video-index0")
    assert Path(tree.find()[0].id).name == Path(later.find()[0].id).name


def test_without_an_id_the_path_names_it_and_usb_goes_first(tree: Tree) -> None:
    tree.add(2, "vivid", by_path="platform-vivid.0-video-index0")
    tree.add(3, "bare")
    tree.add(10, "HD Webcam", by_id="usb-ACME-video-index0")
    assert [Path(device.id).name for device in tree.find()] == [
        "usb-ACME-video-index0",
        "platform-vivid.0-video-index0",
        "video3",
    ]


def test_codecs_outputs_and_raw_sensors_are_no_cameras(tree: Tree) -> None:
    tree.add(0, "bcm2835-codec", Capability("bcm2835-codec", "decode", capture=False))
    tree.add(1, "unicam-image", Capability("unicam", "unicam", capture=True))
    tree.add(2, "cannot be asked", None)
    assert tree.find() == []


def test_a_usb_camera_that_may_not_be_opened_is_listed(tree: Tree) -> None:
    tree.add(0, "HD Webcam", None, by_id="usb-ACME-video-index0")
    assert len(tree.find()) == 1


def test_no_video_at_all(tmp_path: Path) -> None:
    assert find(tmp_path / "dev", tmp_path / "sys") == []


def test_query_of_what_is_no_camera(tmp_path: Path) -> None:
    assert query(Path("/dev/null")) is None
    assert query(tmp_path / "none") is None


def test_query_reads_the_capabilities(monkeypatch: pytest.MonkeyPatch) -> None:
    def ioctl(handle: int, request: int, answer: bytearray) -> int:
        # _IOR('V', 0, struct v4l2_capability of 104 bytes), as the kernel's header has it.
        assert request == (2 << 30) | (104 << 16) | (ord("V") << 8)
        assert len(answer) == 104
        answer[0:8] = b"uvcvideo"
        answer[16:20] = b"Card"
        answer[84:88] = (0x8420_0001).to_bytes(4, "little")
        answer[88:92] = own.to_bytes(4, "little")
        return 0

    monkeypatch.setattr(v4l2_nodes.fcntl, "ioctl", ioctl)
    own = 0x0420_0001
    assert query(Path("/dev/null")) == Capability("uvcvideo", "Card", capture=True)
    own = 0x04A0_0000  # the metadata node of the same camera
    assert query(Path("/dev/null")) == Capability("uvcvideo", "Card", capture=False)


def test_arguments() -> None:
    assert arguments(VideoFormat(1280, 720, 30.0), "mjpeg") == {
        "input_format": "mjpeg",
        "video_size": "1280x720",
        "framerate": "30",
    }
    assert arguments(VideoFormat(640, 480, 29.97), "yuyv")["input_format"] == "yuyv422"
    assert arguments(VideoFormat(640, 480, 29.97), "yuyv")["framerate"] == "29.97"
    assert arguments(VideoFormat(), "h264")["input_format"] == "h264"
    assert "noparse" in arguments(VideoFormat(), "h264")["fflags"]


def test_ffmpeg_knows_the_arguments(tmp_path: Path) -> None:
    # FFmpeg refuses options that its v4l2 input does not have, before it looks at the node.
    for pixel_format in ("mjpeg", "yuyv", "h264"):
        with pytest.raises(av.FFmpegError) as refusal:
            av.open("/dev/null", format="v4l2", options=arguments(VideoFormat(), pixel_format))
        assert refusal.value.errno == 25, "ENOTTY: it came as far as the first ioctl"


def test_a_missing_camera_by_ffmpegs_real_error(tmp_path: Path) -> None:
    with pytest.raises(DeviceNotFound, match=r"video99 is not there"):
        V4l2Camera(device=str(tmp_path / "video99")).open(VideoFormat())


def test_a_node_that_is_no_camera_by_ffmpegs_real_error() -> None:
    with pytest.raises(DeviceNotFound, match="no such device"):
        V4l2Camera(device="/dev/null").open(VideoFormat())


def test_no_camera_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find", list)
    with pytest.raises(DeviceNotFound, match="plug one in"):
        V4l2Camera().open(VideoFormat())


def test_bad_pixel_format() -> None:
    with pytest.raises(OptionInvalid, match="pixel_format"):
        V4l2Camera(pixel_format="rgb")  # type: ignore[arg-type]


class Refusing(V4l2Camera):
    """A camera whose driver answers `open` with an error of the kernel."""

    def __init__(self, code: int) -> None:
        super().__init__(device="/dev/video0")
        self.code = code
        self.asked: list[str] = []

    def _open_container(self, wanted: VideoFormat, name: str) -> InputContainer:
        self.asked.append(name)
        raise av.error.OSError(self.code, os.strerror(self.code), "/dev/video0")


def test_busy_and_forbidden_are_told() -> None:
    with pytest.raises(DeviceBusy, match="another program"):
        Refusing(16).open(VideoFormat())
    with pytest.raises(DeviceForbidden, match="group video"):
        Refusing(13).open(VideoFormat())


def test_auto_tries_both_pixel_formats_before_it_gives_up() -> None:
    camera = Refusing(22)
    with pytest.raises(FormatUnsupported, match="mjpeg, yuyv near 1280x720"):
        camera.open(VideoFormat())
    assert camera.asked == ["mjpeg", "yuyv"]


class Piped(V4l2Camera):
    """Reads JPEG pictures, a packet each, from a pipe: all of the backend but the ioctls."""

    def _open_container(self, wanted: VideoFormat, name: str) -> InputContainer:
        return av.open(
            self.device.id,
            format="mpjpeg",
            options={"fpsprobesize": "0", "analyzeduration": "0"},
        )


class Pipe:
    """The other end of such a pipe."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self.path = path
        self.scene = Scene(8, 640, 360)
        self.handle = os.open(path, os.O_RDWR)
        # Room for a dozen pictures, so that a test can send before it reads.
        fcntl.fcntl(self.handle, fcntl.F_SETPIPE_SZ, 1 << 20)
        self.number = 0

    def send(self, count: int) -> None:
        for _ in range(count):
            rgb = self.scene.draw(self.number, 0).to_image()
            target = io.BytesIO()
            rgb.save(target, "JPEG", quality=90, subsampling=1)
            self.write(target.getvalue())
            self.number += 1

    def send_rubbish(self) -> None:
        noise = np.random.default_rng(1).integers(0, 255, 2000, np.uint8).tobytes()
        self.write(b"\xff\xd8" + noise)

    def write(self, picture: bytes) -> None:
        head = f"--frame\r\nContent-type: image/jpeg\r\nContent-length: {len(picture)}\r\n\r\n"
        os.write(self.handle, head.encode() + picture + b"\r\n")

    def hang_up(self) -> None:
        if self.handle >= 0:
            os.close(self.handle)
            self.handle = -1


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[Pipe]:
    pipe = Pipe(tmp_path / "camera")
    yield pipe
    pipe.hang_up()


def read_all(camera: V4l2Camera, count: int) -> list[av.VideoFrame]:
    return [frame_of(camera) for _ in range(count)]


def frame_of(camera: V4l2Camera) -> av.VideoFrame:
    item = camera.read()
    assert isinstance(item, av.VideoFrame)
    return item


def only_reader(pipe: Pipe) -> None:
    """Keep the pipe open for writing alone, so that the end of it can be felt."""
    writer = os.open(pipe.path, os.O_WRONLY)
    os.close(pipe.handle)
    pipe.handle = writer


def test_pictures_come_out_as_yuv420p(pipe: Pipe) -> None:
    with Piped(device=str(pipe.path)) as camera:
        feeder = threading.Thread(target=pipe.send, args=(12,))
        feeder.start()
        chosen = camera.open(VideoFormat(640, 360, 30))
        frames = read_all(camera, 8)
        feeder.join()
    assert (chosen.width, chosen.height) == (640, 360)
    codes = [decode(frame) for frame in frames]
    assert [code.frame for code in codes if code] == list(range(8))
    assert {frame.format.name for frame in frames} == {"yuv420p"}
    stamps = [frame.pts for frame in frames if frame.pts is not None]
    assert stamps == sorted(set(stamps))
    assert len(stamps) == 8
    # JPEG has the full range of luma, a yuv420p frame of ours has not.
    assert 10 <= int(frames[0].to_ndarray()[:40].min()) <= 22


def test_a_camera_that_falls_silent_has_stalled(pipe: Pipe) -> None:
    with Piped(device=str(pipe.path)) as camera:
        pipe.send(4)
        camera.open(VideoFormat(640, 360, 30))
        begin = time.monotonic()
        with pytest.raises(DeviceStalled, match="gives no picture"):
            read_all(camera, 10)
        assert time.monotonic() - begin >= 0.9


def test_a_camera_that_is_pulled(pipe: Pipe) -> None:
    with Piped(device=str(pipe.path)) as camera:
        pipe.send(4)
        camera.open(VideoFormat(640, 360, 30))
        only_reader(pipe)
        pipe.hang_up()
        with pytest.raises(DeviceUnplugged, match="has gone"):
            read_all(camera, 10)


def test_a_torn_picture_is_left_out(pipe: Pipe) -> None:
    with Piped(device=str(pipe.path)) as camera:
        pipe.send(4)
        camera.open(VideoFormat(640, 360, 30))
        pipe.send_rubbish()
        feeder = threading.Thread(target=pipe.send, args=(4,))
        feeder.start()
        codes = [decode(frame) for frame in read_all(camera, 6)]
        feeder.join()
    numbers = [code.frame for code in codes if code]
    assert numbers[:4] == [0, 1, 2, 3]
    assert 4 in numbers


def test_a_camera_that_never_begins(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "OPEN_S", 0.2)
    camera = Piped(device=str(pipe.path))
    with pytest.raises(DeviceStalled, match="does not begin"):
        camera.open(VideoFormat())
    begun = [thread for thread in threading.enumerate() if thread.name == "v4l2-open"]
    only_reader(pipe)
    pipe.hang_up()  # lets the abandoned thread end
    for thread in begun:
        thread.join(10)
        assert not thread.is_alive()


class Encoding(V4l2Camera):
    """Reads packets of H.264 with their times from a pipe, as an encoding camera sends them."""

    def _open_container(self, wanted: VideoFormat, name: str) -> InputContainer:
        assert name == "h264"
        return av.open(
            self.device.id,
            format="nut",
            options={"fpsprobesize": "0", "analyzeduration": "0", "probesize": "4096"},
        )


class Sender:
    """The camera's side of such a pipe: a keyframe each ten pictures, its parameter sets with
    the first one alone."""

    def __init__(self, pipe: Pipe) -> None:
        self.codec = X264(VideoFormat(640, 360, 25), 1_000_000, 1)
        self.file = os.fdopen(os.dup(pipe.handle), "wb", buffering=0)
        self.container = av.open(self.file, "w", format="nut", options={"flush_packets": "1"})
        self.stream = self.container.add_stream("libx264", rate=25)
        self.stream.width, self.stream.height, self.stream.pix_fmt = 640, 360, "yuv420p"
        self.stream.time_base = Fraction(1, 1_000_000)
        self.scene = Scene(8, 640, 360)
        self.number = 0

    def send(self, count: int) -> None:
        for _ in range(count):
            frame = self.scene.draw(self.number, 0)
            frame.pts = 5_000_000 + self.number * 40_000
            frame.time_base = Fraction(1, 1_000_000)
            whole = self.codec.encode(frame, keyframe=self.number % 10 == 0)
            units = [
                unit
                for kind, unit in nal_units(bytes(whole))
                if self.number == 0 or kind not in (SPS, PPS)
            ]
            packet = av.Packet(b"".join(b"\x00\x00\x00\x01" + unit for unit in units))
            packet.pts = packet.dts = frame.pts
            packet.time_base = frame.time_base
            packet.is_keyframe = whole.is_keyframe
            packet.stream = self.stream
            self.container.mux(packet)
            self.number += 1

    def close(self) -> None:
        self.file.close()


@pytest.fixture
def sender(pipe: Pipe) -> Iterator[Sender]:
    sender = Sender(pipe)
    yield sender
    sender.close()


def read_packets(camera: V4l2Camera, count: int) -> list[av.Packet[av.VideoStream]]:
    packets = []
    for _ in range(count):
        item = camera.read()
        assert isinstance(item, av.Packet)
        packets.append(item)
    return packets


def test_a_camera_that_encodes_gives_its_packets(pipe: Pipe, sender: Sender) -> None:
    with Encoding(device=str(pipe.path), pixel_format="h264") as camera:
        sender.send(60)
        assert camera.open(VideoFormat(640, 360, 25)) == VideoFormat(640, 360, 25)
        packets = read_packets(camera, 22)
        assert camera.measured_rate == pytest.approx(25, rel=0.01)
        preview = camera.preview
    assert [number for number, one in enumerate(packets) if one.is_keyframe] == [0, 10, 20]
    for packet in packets[::10]:
        assert {SPS, PPS, IDR} <= {kind for kind, _ in nal_units(bytes(packet))}
    assert preview is not None
    assert (preview.format.name, preview.width, preview.height) == ("yuv420p", 640, 360)
    seen = decode(preview)
    assert seen is not None
    assert seen.frame == 21, "it is the picture of the last packet"
    screen: Any = av.CodecContext.create("h264", "r")
    # Beginning in the middle, as a receiver who comes late.
    shown = [decode(one) for packet in packets[10:] for one in screen.decode(packet)]
    assert [code.frame for code in shown if code][:5] == [10, 11, 12, 13, 14]
    times = [float(one.pts * one.time_base) for one in packets if one.pts is not None]
    assert times[-1] - times[0] == pytest.approx(21 * 0.04, abs=1e-3)


def test_without_a_preview_nothing_is_decoded(pipe: Pipe, sender: Sender) -> None:
    with Encoding(device=str(pipe.path), pixel_format="h264", decode_preview=False) as camera:
        sender.send(12)
        camera.open(VideoFormat(640, 360, 25))
        assert read_packets(camera, 10)
        assert camera.preview is None


def test_a_camera_that_encodes_can_give_frames(pipe: Pipe, sender: Sender) -> None:
    with Encoding(device=str(pipe.path), pixel_format="h264") as camera:
        sender.send(38)
        camera.open(VideoFormat(640, 360, 25))
        read_packets(camera, 3)
        camera.set_encoding(False)
        frame = camera.read()
        assert isinstance(frame, av.VideoFrame)
        code = decode(frame)
        assert code is not None
        assert code.frame == 3, "the decoder holds nothing back"
        camera.set_encoding(True)
        (packet,) = read_packets(camera, 1)
        assert packet.is_keyframe, "nobody can begin with another"


def test_its_encoder_is_told_where_the_driver_can(
    pipe: Pipe, sender: Sender, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[tuple[str, int]] = []
    monkeypatch.setattr(
        module.codec_controls, "set_bitrate", lambda node, bps: told.append(("bitrate", bps))
    )
    with Encoding(device=str(pipe.path), pixel_format="h264") as camera:
        camera.request_keyframe()
        camera.set_bitrate(1)
        assert not told, "it is not open"
        sender.send(12)
        camera.open(VideoFormat(640, 360, 25))
        camera.set_bitrate(900_000)
        # A pipe has no such control, nor has many a camera: that is no error.
        camera.request_keyframe()
        assert read_packets(camera, 2)
    assert told == [("bitrate", 900_000)]
    assert not caplog.records


def test_the_rate_is_measured_whatever_was_promised(pipe: Pipe) -> None:
    with Piped(device=str(pipe.path)) as camera:
        pipe.send(12)
        camera.open(VideoFormat(640, 360, 30))
        assert camera.measured_rate is None
        frames = read_all(camera, 8)
        measured = camera.measured_rate
    stamps = [float(frame.pts * frame.time_base) for frame in frames if frame.pts is not None]
    assert measured == pytest.approx(7 / (stamps[-1] - stamps[0]))
    assert all(isinstance(frame, av.VideoFrame) for frame in frames)


def test_read_after_close(pipe: Pipe) -> None:
    camera = Piped(device=str(pipe.path))
    pipe.send(4)
    camera.open(VideoFormat(640, 360, 30))
    camera.close()
    camera.close()
    with pytest.raises(DeviceUnplugged, match="not open"):
        camera.read()


def test_jpeg_of_the_pipe_is_what_a_camera_sends() -> None:
    # 4:2:2, as UVC cameras do; the test above would prove less with 4:2:0.
    target = io.BytesIO()
    Image.new("RGB", (64, 64)).save(target, "JPEG", subsampling=1)
    with av.open(io.BytesIO(target.getvalue()), format="mjpeg") as container:
        assert container.streams.video[0].codec_context.pix_fmt == "yuvj422p"

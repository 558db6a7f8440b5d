"""What the tests of a camera on a ribbon cable share."""

from __future__ import annotations

from typing import Any

from av import CodecContext, Packet, VideoFrame

from hal.camera import VideoFormat
from hal.camera.h264 import nal_units
from hal.camera.picamera2 import Picamera2Camera
from hal.camera.scene import SceneCode, decode

DEADLINE = 20


SMALL = VideoFormat(640, 360, 30)


IMX708 = "/base/i2c/imx708@1a"


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

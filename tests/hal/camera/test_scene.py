from __future__ import annotations

import time
from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import pytest
from av import CodecContext, VideoCodecContext, VideoFrame
from hypothesis import given
from hypothesis import strategies as st

from hal.camera.scene import (
    BLACK,
    COUNTER_MODULO,
    WHITE,
    Scene,
    SceneCode,
    crc8,
    decode,
    encode,
    tint,
)
from hal.planes import plane

codes = st.builds(
    SceneCode,
    camera=st.integers(0, 255),
    frame=st.integers(0, COUNTER_MODULO - 1),
    clock_ms=st.integers(0, COUNTER_MODULO - 1),
)


def encoded(frames: list[VideoFrame], bitrate: int) -> Iterator[tuple[VideoFrame, int]]:
    """Each frame after x264 as a call uses it, decoded again, with the packets' bytes."""
    encoder = VideoCodecContext.create("libx264", "w")
    encoder.width, encoder.height = frames[0].width, frames[0].height
    encoder.pix_fmt = "yuv420p"
    encoder.time_base = Fraction(1, 30)
    encoder.framerate = Fraction(30)
    encoder.bit_rate = bitrate
    encoder.options = {
        "preset": "ultrafast",
        "tune": "zerolatency",
        "maxrate": str(bitrate),
        "bufsize": str(bitrate // 2),
    }
    decoder = CodecContext.create("h264", "r")
    assert isinstance(decoder, VideoCodecContext)
    for number, frame in enumerate(frames):
        frame.pts = number
        frame.time_base = Fraction(1, 30)
        for packet in encoder.encode(frame):
            for picture in decoder.decode(packet):
                yield picture, packet.size
    for packet in encoder.encode(None):
        for picture in decoder.decode(packet):
            yield picture, packet.size
    for picture in decoder.decode(None):
        yield picture, 0


@given(codes)
def test_every_code_comes_back(code: SceneCode) -> None:
    luma = np.where(np.kron(encode(code), np.ones((4, 4))), WHITE, BLACK).astype(np.uint8)
    picture = np.vstack([luma, np.full((16 * 4, 32 * 4), 128, np.uint8)])
    assert decode(picture) == code


@given(codes, st.integers(0, 63))
def test_any_single_wrong_cell_is_seen(code: SceneCode, cell: int) -> None:
    cells = encode(code)
    cells[cell // 32, cell % 32] ^= True
    luma = np.where(np.kron(cells, np.ones((4, 4))), WHITE, BLACK).astype(np.uint8)
    assert decode(np.vstack([luma, np.zeros((64, 128), np.uint8)])) is None


def test_crc_is_the_published_one() -> None:
    # CRC-8 with initial value 0xFF: the check value of the nine digits is 0xFB.
    assert crc8(b"123456789") == 0xFB


@pytest.mark.parametrize("grey", [0, 16, 128, 235, 255])
def test_a_plain_picture_says_nothing(grey: int) -> None:
    assert decode(np.full((720, 1280), grey, np.uint8)) is None


def test_cells_lie_where_the_format_says() -> None:
    frame = Scene(0b10100000, 1280, 720).draw(1, 0)
    luma = plane(frame, 0)
    assert [int(luma[20, 20 + 40 * n]) for n in range(4)] == [WHITE, BLACK, WHITE, BLACK]
    assert int(luma[20, 1260]) == WHITE, "last bit of the frame counter"
    assert int(luma[60, 20]) == BLACK, "first bit of the clock"
    assert int(luma[39, 20]) == WHITE
    assert int(luma[40, 20]) == BLACK


@pytest.mark.parametrize("size", [(1280, 720), (640, 360), (426, 240), (320, 180), (1366, 768)])
def test_reads_back_at_every_size(size: tuple[int, int]) -> None:
    code = decode(Scene(7, *size).draw(0xABCDEF, 0x123456))
    assert code == SceneCode(7, 0xABCDEF, 0x123456)


def test_clock_is_monotonic_milliseconds() -> None:
    before = time.monotonic()
    code = decode(Scene(1, 640, 360).draw(0))
    assert code is not None
    age = code.age_ms()
    assert 0 <= age <= (time.monotonic() - before) * 1000 + 1
    assert code.age_ms(before + 2) <= 2000
    assert SceneCode(1, 0, COUNTER_MODULO - 5).age_ms(COUNTER_MODULO / 1000 + 0.01) == 15


def test_reads_from_a_layer_of_a_canvas() -> None:
    canvas = np.full((720, 1280), 16, np.uint8)
    for number, (x, y) in enumerate([(0, 0), (50, 0), (0, 50), (50, 50)]):
        left, top = 1280 * x // 100, 720 * y // 100
        picture = plane(Scene(number, 640, 360).draw(100 + number, 5), 0)
        canvas[top : top + 360, left : left + 640] = picture
    for number, (x, y) in enumerate([(0, 0), (50, 0), (0, 50), (50, 50)]):
        assert decode(canvas, x, y, 50, 50) == SceneCode(number, 100 + number, 5)
    assert decode(canvas, 25, 25, 50, 50) is None


@pytest.mark.parametrize("size", [(1280, 720), (640, 360), (426, 240), (320, 180)])
def test_survives_h264_at_300_kbit_and_scaling(size: tuple[int, int]) -> None:
    scene = Scene(5, 1280, 720, seed=3)
    frames = [scene.draw(1000 + n, 70_000 + 33 * n) for n in range(45)]
    total, seen = 0, []
    for picture, packet in encoded(frames, 300_000):
        total += packet
        small = picture.reformat(*size, "yuv420p")
        seen.append(decode(small))
    assert seen == [SceneCode(5, 1000 + n, 70_000 + 33 * n) for n in range(45)]
    assert total * 8 / 1.5 < 600_000, "the encoder was really held to its rate"


def test_survives_conversion_to_rgb() -> None:
    frame = Scene(5, 640, 360).draw(9, 9)
    assert decode(frame.reformat(format="rgb24")) == SceneCode(5, 9, 9)


def test_the_scene_moves() -> None:
    scene = Scene(1, 640, 360)
    first, second = plane(scene.draw(0, 0), 0)[40:], plane(scene.draw(10, 0), 0)[40:]
    moved = np.mean(np.abs(first.astype(int) - second) > 20)
    assert 0.01 < moved < 0.5


def test_cameras_differ_by_colour() -> None:
    tints = [tint(number) for number in range(8)]
    for one in range(8):
        for other in range(one):
            apart = np.hypot(tints[one][0] - tints[other][0], tints[one][1] - tints[other][1])
            assert apart > 25
    frame = Scene(3, 640, 360).draw(0)
    assert (plane(frame, 1)[60, 60], plane(frame, 2)[60, 60]) == tint(3)
    assert (plane(frame, 1)[5, 60], plane(frame, 2)[5, 60]) == (128, 128)


def test_a_seed_gives_the_same_pictures_again() -> None:
    one, same, other = (plane(Scene(1, 320, 180, seed).draw(4, 4), 0).copy() for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_drawing_is_cheap() -> None:
    scene = Scene(1, 1280, 720)
    scene.draw(0)
    begin = time.thread_time()
    for number in range(30):
        scene.draw(number)
    # CPU time of this thread, so that a loaded machine changes little; the budget is 3 ms.
    assert (time.thread_time() - begin) / 30 < 0.003

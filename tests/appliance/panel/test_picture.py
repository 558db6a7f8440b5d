from __future__ import annotations

import asyncio
import io

import numpy as np
import pytest
from av import VideoFrame
from PIL import Image

from appliance.panel.picture import PictureFeed, dark, encode_jpeg
from tests.appliance.panel.fake_device import plain_picture

DEADLINE = 20.0


def decoded(jpeg: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB"))


@pytest.mark.parametrize(
    ("size", "expected"),
    [((1280, 720), (640, 360)), ((320, 180), (320, 180)), ((720, 1280), (640, 1138))],
)
def test_jpeg_keeps_the_aspect_and_never_grows(
    size: tuple[int, int], expected: tuple[int, int]
) -> None:
    picture = decoded(encode_jpeg(plain_picture(120, width=size[0], height=size[1])))
    assert picture.shape == (expected[1], expected[0], 3)


def test_jpeg_keeps_colours_and_places() -> None:
    rgb = np.zeros((360, 640, 3), np.uint8)
    rgb[:, :320] = (220, 30, 30)
    rgb[:, 320:] = (30, 60, 200)
    picture = decoded(encode_jpeg(VideoFrame.from_ndarray(rgb, "rgb24")))
    assert np.abs(picture[100:260, 40:280].mean((0, 1)) - (220, 30, 30)).max() < 8
    assert np.abs(picture[100:260, 360:600].mean((0, 1)) - (30, 60, 200)).max() < 8


def test_dark_is_black() -> None:
    assert decoded(encode_jpeg(dark())).max() < 4


async def test_all_watchers_share_each_picture_and_the_last_one_ends_it() -> None:
    frame = plain_picture(60)
    feed = PictureFeed(lambda: frame, rate=50)
    one, two = feed.pictures(), feed.pictures()
    async with asyncio.timeout(DEADLINE):
        first = await asyncio.gather(anext(one), anext(two))
        assert first[0] is first[1]
        frame = plain_picture(200)
        second = await asyncio.gather(anext(one), anext(two))
        assert second[0] is second[1]
        assert decoded(second[0]).mean() - decoded(first[0]).mean() > 100
        await one.aclose()
        assert feed.watchers == 1
        frame = plain_picture(60)
        assert await anext(two) == first[0]
        await two.aclose()
    assert feed.watchers == 0
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "panel-pictures"]


async def test_an_unchanged_picture_is_sent_once() -> None:
    frame = plain_picture(60)
    looks = 0
    looked_often = asyncio.Event()

    def source() -> VideoFrame:
        nonlocal looks
        looks += 1
        if looks == 10:
            looked_often.set()
        return frame

    pictures = PictureFeed(source, rate=100).pictures()
    async with asyncio.timeout(DEADLINE):
        await anext(pictures)
        another = asyncio.ensure_future(anext(pictures))
        await looked_often.wait()
        assert not another.done()
        frame = plain_picture(200)
        assert decoded(await another).mean() > 150
        await pictures.aclose()


async def test_a_slow_watcher_gets_the_newest_picture() -> None:
    luma = 16
    last = asyncio.Event()

    def source() -> VideoFrame:
        nonlocal luma
        luma = min(luma + 20, 216)
        if luma == 216:
            last.set()
        return plain_picture(luma)

    feed = PictureFeed(source, rate=100)
    slow = feed.pictures()
    async with asyncio.timeout(DEADLINE):
        dim = decoded(await anext(slow)).mean()
        await last.wait()
        await feed.snapshot()
        bright = decoded(await anext(slow)).mean()
        await slow.aclose()
    assert dim < 60
    assert bright > 180


async def test_a_failing_source_ends_the_pictures(caplog: pytest.LogCaptureFixture) -> None:
    frames = [plain_picture(100)]
    feed = PictureFeed(lambda: frames.pop(), rate=50)
    pictures = feed.pictures()
    async with asyncio.timeout(DEADLINE):
        assert [picture async for picture in pictures]
    assert feed.watchers == 0
    assert "no more pictures" in caplog.text
    # The next one to look starts anew.
    frames.append(plain_picture(100))
    again = feed.pictures()
    async with asyncio.timeout(DEADLINE):
        assert await anext(again)
        await again.aclose()

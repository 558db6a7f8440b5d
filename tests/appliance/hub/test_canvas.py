from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable

import pytest
from av import VideoFrame

from appliance.hub import canvas as canvas_module
from appliance.hub.canvas import Canvas
from appliance.hub.compositor import BACKGROUND, MUTED
from appliance.hub.yuv import Colour, Picture, Rect, planes
from appliance.media.packet import Encoded
from appliance.signaling.layouts import MemberSlot, arrange
from tests.appliance.hub.far_end import Screen

WIDTH, HEIGHT, RATE = 320, 180, 30
TINTS = {"a": Colour(60, 90, 200), "b": Colour(200, 150, 90)}


def tinted(colour: Colour) -> VideoFrame:
    picture = Picture(WIDTH, HEIGHT)
    picture.fill(Rect(0, 0, WIDTH, HEIGHT), colour)
    return picture.frame


class Camera:
    """Gives a new picture each time somebody looks."""

    def __init__(self, colour: Colour) -> None:
        self.colour = colour

    @property
    def latest(self) -> VideoFrame:
        return tinted(self.colour)


class Audience:
    """Everybody who gets the packets of a canvas."""

    def __init__(self) -> None:
        self.frames: list[Encoded] = []
        self.threads: set[int] = set()
        self._came = asyncio.Condition()

    def take(self, frame: Encoded) -> None:
        self.frames.append(frame)
        self.threads.add(threading.get_ident())

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():
                await asyncio.sleep(0.005)

    async def more(self, count: int) -> list[Encoded]:
        start = len(self.frames)
        await self.until(lambda: len(self.frames) >= start + count)
        return self.frames[start:]


@pytest.fixture
def audience() -> Audience:
    return Audience()


@pytest.fixture
async def canvas(audience: Audience) -> AsyncIterator[Canvas]:
    one = Canvas(WIDTH, HEIGHT, RATE, on_packet=audience.take, title="Oak room")
    one.start()
    yield one
    await one.stop()


def seat(canvas: Canvas, *members: str) -> None:
    canvas.set_layers(arrange("2x1", [MemberSlot(member) for member in members]))
    for member in members:
        canvas.set_source(member, Camera(TINTS[member]))
        canvas.set_member(member, "", False)


def colour_at(frame: VideoFrame, x: int, y: int) -> Colour:
    luma, u, v = planes(frame)
    return Colour(int(luma[y, x]), int(u[y // 2, x // 2]), int(v[y // 2, x // 2]))


def close(one: Colour, other: Colour) -> bool:
    return max(abs(one.y - other.y), abs(one.u - other.u), abs(one.v - other.v)) <= 6


async def test_members_are_seen_side_by_side_in_each_codec_that_is_wanted(
    canvas: Canvas, audience: Audience
) -> None:
    seat(canvas, "a", "b")
    canvas.want({"h264", "vp8"})
    await audience.more(12)
    by_codec = {
        codec: [f for f in audience.frames if f.codec == codec] for codec in ("h264", "vp8")
    }
    for codec, frames in by_codec.items():
        screen = Screen(codec)
        assert [frame.keyframe for frame in frames].index(True) == 0
        for frame in frames:
            shown = screen.show(frame)
        assert close(colour_at(shown, WIDTH // 4, HEIGHT // 2), TINTS["a"])
        assert close(colour_at(shown, WIDTH * 3 // 4, HEIGHT // 2), TINTS["b"])
        assert close(colour_at(shown, WIDTH // 2, 10), BACKGROUND)
    # The same moment has the same time in both codecs.
    assert by_codec["h264"][3].timestamp == by_codec["vp8"][3].timestamp


async def test_packets_arrive_on_the_loop_in_the_order_of_their_times(
    canvas: Canvas, audience: Audience
) -> None:
    seat(canvas, "a")
    canvas.want({"h264"})
    frames = await audience.more(20)
    assert audience.threads == {threading.get_ident()}
    times = [frame.timestamp for frame in frames]
    assert times == sorted(set(times))


async def test_nothing_is_painted_or_encoded_while_nobody_wants_it(
    canvas: Canvas, audience: Audience
) -> None:
    looks = 0

    class Watched(Camera):
        @property
        def latest(self) -> VideoFrame:
            nonlocal looks
            looks += 1
            return super().latest

    seat(canvas, "a")
    canvas.set_source("a", Watched(TINTS["a"]))
    await asyncio.sleep(0.2)
    assert looks == 0
    canvas.want({"h264"})
    first = await audience.more(5)
    assert first[0].keyframe
    canvas.want(set())
    await audience.until(lambda: not canvas._wake.is_set())  # the thread has gone to sleep
    await asyncio.sleep(0)  # what was under way has arrived
    count, looked = len(audience.frames), looks
    await asyncio.sleep(0.3)
    assert (len(audience.frames), looks) == (count, looked)
    canvas.want({"h264"})
    again = await audience.more(2)
    assert again[0].keyframe


async def test_a_keyframe_follows_a_request_and_a_crowd_shares_it(
    canvas: Canvas, audience: Audience
) -> None:
    seat(canvas, "a")
    canvas.want({"h264"})
    await audience.more(15)
    for _ in range(20):
        canvas.request_keyframe("h264")
    start = len(audience.frames)
    await audience.until(lambda: any(frame.keyframe for frame in audience.frames[start:]))
    # Made from the request on: a frame may have been under way, and one late on the loop.
    assert [frame.keyframe for frame in audience.frames[start:]].index(True) <= 4
    before = len(audience.frames)
    await audience.more(20)
    assert not any(frame.keyframe for frame in audience.frames[before:])


async def test_a_mute_is_seen_and_nothing_from_before_comes_back(
    canvas: Canvas, audience: Audience
) -> None:
    class Still:
        latest: VideoFrame | None = tinted(TINTS["a"])

    camera = Still()
    canvas.set_layers(arrange("1x1", [MemberSlot("a")]))
    canvas.set_source("a", camera)
    canvas.set_member("a", "Ann", False)
    canvas.want({"h264"})
    screen = Screen("h264")
    seen = 0

    async def shown(colour: Colour) -> None:
        nonlocal seen

        def decode() -> bool:
            nonlocal seen
            found = False
            while seen < len(audience.frames):
                frame = screen.show(audience.frames[seen])
                found = close(colour_at(frame, 20, 20), colour)
                seen += 1
            return found

        await audience.until(decode)

    await shown(TINTS["a"])
    canvas.set_member("a", "Ann", True)
    await shown(MUTED)
    canvas.set_member("a", "Ann", False)
    for frame in await audience.more(3):
        assert close(colour_at(screen.show(frame), 20, 20), MUTED)
        seen += 1
    camera.latest = tinted(TINTS["b"])
    await shown(TINTS["b"])
    canvas.remove_member("a")
    await shown(MUTED)
    canvas.set_layers(())
    await shown(BACKGROUND)


async def test_a_mute_that_nobody_watched_hides_what_came_before_it(
    canvas: Canvas, audience: Audience
) -> None:
    class Still:
        latest: VideoFrame | None = tinted(TINTS["a"])

    camera = Still()
    canvas.set_layers(arrange("1x1", [MemberSlot("a")]))
    canvas.set_source("a", camera)
    canvas.set_member("a", "Ann", True)
    canvas.set_member("a", "Ann", False)
    canvas.want({"h264"})
    screen = Screen("h264")
    for frame in await audience.more(3):
        shown = screen.show(frame)
        assert close(colour_at(shown, 20, 20), MUTED)
    camera.latest = tinted(TINTS["b"])
    for frame in await audience.more(10):
        shown = screen.show(frame)
    assert close(colour_at(shown, 20, 20), TINTS["b"])


async def test_a_loop_that_stalls_gets_no_backlog_and_no_broken_picture(
    canvas: Canvas, audience: Audience
) -> None:
    seat(canvas, "a")
    canvas.want({"h264"})
    await audience.more(5)
    time.sleep(1.0)  # the loop itself hangs
    stalled = len(audience.frames)
    await asyncio.sleep(0)
    assert len(audience.frames) - stalled <= canvas_module._IN_FLIGHT
    await audience.more(10)
    assert canvas.stats.skipped > 0
    screen = Screen("h264")
    for frame in audience.frames:
        shown = screen.show(frame)
    assert close(colour_at(shown, WIDTH // 4, HEIGHT // 2), TINTS["a"])


async def test_a_member_or_a_receiver_who_fails_does_not_end_the_canvas(
    canvas: Canvas, audience: Audience, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        broken = True

        @property
        def latest(self) -> VideoFrame:
            if self.broken:
                raise RuntimeError("this camera is broken")
            return tinted(TINTS["b"])

    camera = Broken()
    seat(canvas, "a", "b")
    canvas.set_source("b", camera)
    canvas.want({"h264"})
    frames = await audience.more(5)
    screen = Screen("h264")
    for frame in frames:
        shown = screen.show(frame)
    assert close(colour_at(shown, WIDTH // 4, HEIGHT // 2), TINTS["a"])
    assert close(colour_at(shown, WIDTH // 2 + 10, HEIGHT // 2 - 20), MUTED)
    camera.broken = False
    for frame in await audience.more(10):
        shown = screen.show(frame)
    assert close(colour_at(shown, WIDTH * 3 // 4, HEIGHT // 2), TINTS["b"])
    assert caplog.text.count("the picture of member b cannot be shown") == 1


async def test_a_handler_that_fails_loses_its_frame_only() -> None:
    taken = 0

    def take(_frame: Encoded) -> None:
        nonlocal taken
        taken += 1
        raise ValueError("not today")

    canvas = Canvas(WIDTH, HEIGHT, RATE, on_packet=take)
    canvas.start()
    canvas.want({"h264"})
    async with asyncio.timeout(20):
        while taken < 3:
            await asyncio.sleep(0.005)
    await canvas.stop()


async def test_it_keeps_the_rate_and_counts_what_it_does(
    canvas: Canvas, audience: Audience
) -> None:
    seat(canvas, "a", "b")
    canvas.want({"h264"})
    await audience.more(30)
    stats = canvas.stats
    assert stats.frames >= 30
    assert 1 < stats.fps < RATE * 1.5
    assert 0 < stats.scale_ms < 1000
    assert 0 < stats.paste_ms < 1000
    assert 0 < stats.encode_ms < 1000


async def test_stop_ends_the_thread_and_the_packets() -> None:
    audience = Audience()
    canvas = Canvas(WIDTH, HEIGHT, RATE, on_packet=audience.take)
    await Canvas(WIDTH, HEIGHT, RATE, on_packet=audience.take).stop()
    canvas.start()
    with pytest.raises(RuntimeError, match="started before"):
        canvas.start()
    thread = canvas._thread
    assert thread is not None
    assert thread.is_alive()
    canvas.want({"h264"})
    await audience.more(2)
    await canvas.stop()
    await canvas.stop()
    assert not thread.is_alive()
    count = len(audience.frames)
    await asyncio.sleep(0.1)
    assert len(audience.frames) == count


async def test_stop_ends_a_canvas_that_nobody_ever_wanted() -> None:
    canvas = Canvas(WIDTH, HEIGHT, RATE, on_packet=Audience().take)
    canvas.start()
    async with asyncio.timeout(20):
        await canvas.stop()


def test_a_loop_that_was_closed_ends_the_thread() -> None:
    audience: list[Encoded] = []

    async def leave_it_running() -> threading.Thread:
        canvas = Canvas(WIDTH, HEIGHT, RATE, on_packet=audience.append)
        canvas.start()
        canvas.want({"h264"})
        while not audience:
            await asyncio.sleep(0.005)
        assert canvas._thread is not None
        return canvas._thread

    thread = asyncio.run(leave_it_running())
    thread.join(20)
    assert not thread.is_alive()

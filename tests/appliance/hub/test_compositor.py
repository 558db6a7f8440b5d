from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

import numpy as np
import pytest
from av import VideoFrame
from hypothesis import given
from hypothesis import strategies as st

from appliance.hub.compositor import (
    BACKGROUND,
    BARS,
    DISCS,
    FROZEN_AFTER,
    MUTED,
    Compositor,
    Scene,
    Sitter,
    fitted,
    pixels,
)
from appliance.hub.yuv import Colour, Picture, Rect, planes
from appliance.signaling.layouts import LAYOUTS, Layer, MemberSlot, arrange

WIDTH, HEIGHT = 640, 360
TINTS = (Colour(60, 90, 200), Colour(120, 200, 90), Colour(180, 60, 60), Colour(210, 150, 160))


def tinted(colour: Colour, width: int = WIDTH, height: int = HEIGHT) -> VideoFrame:
    picture = Picture(width, height)
    picture.fill(Rect(0, 0, width, height), colour)
    return picture.frame


class Camera:
    def __init__(self, latest: VideoFrame | None = None) -> None:
        self.latest = latest


def scene(layout: str, sitters: dict[str, Sitter], **requested: str) -> Scene:
    slots = [MemberSlot(one, requested.get(one, "auto")) for one in sitters]
    return Scene("Oak room", tuple(arrange(layout, slots)), MappingProxyType(sitters))


def place(shown: Scene, member_id: str) -> Rect:
    layer = next(layer for layer in shown.layers if layer.member_id == member_id)
    rect = pixels(layer, WIDTH, HEIGHT)
    assert rect is not None
    return rect


def colour_at(compositor: Compositor, x: int, y: int) -> Colour:
    luma, u, v = planes(compositor.frame)
    return Colour(int(luma[y, x]), int(u[y // 2, x // 2]), int(v[y // 2, x // 2]))


def centre(compositor: Compositor, rect: Rect) -> Colour:
    return colour_at(compositor, rect.x + rect.width // 2, rect.y + rect.height // 2)


def snapshot(compositor: Compositor, rect: Rect) -> bytes:
    luma = planes(compositor.frame)[0]
    return luma[rect.y : rect.y + rect.height, rect.x : rect.x + rect.width].tobytes()


def mute_image(compositor: Compositor, rect: Rect) -> bool:
    return colour_at(compositor, rect.x + 4, rect.y + 4) == MUTED


@pytest.mark.parametrize("layout", ["grid-responsive", "highlight-1-responsive", "2x2", "5up"])
def test_each_member_is_seen_in_its_layer_and_nowhere_else(layout: str) -> None:
    sitters = {f"m{n}": Sitter(source=Camera(tinted(tint))) for n, tint in enumerate(TINTS)}
    shown = scene(layout, sitters)
    compositor = Compositor(WIDTH, HEIGHT)
    assert compositor.compose(shown, 0.0)
    luma = planes(compositor.frame)[0]
    covered = 0
    for n, tint in enumerate(TINTS):
        rect = place(shown, f"m{n}")
        assert centre(compositor, rect) == tint
        inside = luma[rect.y : rect.y + rect.height, rect.x : rect.x + rect.width]
        assert (inside == tint.y).all()
        assert np.count_nonzero(luma == tint.y) == inside.size
        covered += inside.size
    assert np.count_nonzero(luma == BACKGROUND.y) == WIDTH * HEIGHT - covered > 0


def test_only_what_changed_is_painted_again() -> None:
    cameras = {f"m{n}": Camera(tinted(tint)) for n, tint in enumerate(TINTS)}
    shown = scene("2x2", {one: Sitter(source=camera) for one, camera in cameras.items()})
    compositor = Compositor(WIDTH, HEIGHT)
    compositor.compose(shown, 0.0)
    assert not compositor.compose(shown, 0.1)
    # What somebody else scribbles over a cell stays until that member's picture changes.
    luma = planes(compositor.frame)[0]
    luma[:] = 1
    cameras["m2"].latest = tinted(TINTS[0])
    assert compositor.compose(shown, 0.2)
    assert centre(compositor, place(shown, "m2")) == TINTS[0]
    assert np.count_nonzero(luma != 1) == place(shown, "m2").width * place(shown, "m2").height


def test_a_new_layout_leaves_nothing_of_the_old_one() -> None:
    sitters = {f"m{n}": Sitter(source=Camera(tinted(tint))) for n, tint in enumerate(TINTS)}
    one, other = Compositor(WIDTH, HEIGHT), Compositor(WIDTH, HEIGHT)
    one.compose(scene("10x10", sitters), 0.0)
    one.compose(scene("highlight-1-responsive", sitters), 0.1)
    other.compose(scene("highlight-1-responsive", sitters), 0.1)
    assert one.frame.to_ndarray().tobytes() == other.frame.to_ndarray().tobytes()


def test_a_muted_member_shows_a_mute_image_with_its_name_at_once() -> None:
    camera = Camera(tinted(TINTS[0]))
    shown = scene("1x1", {"a": Sitter("Ann Cole", source=camera)})
    muted = replace(
        shown, sitters=MappingProxyType({"a": Sitter("Ann Cole", video_muted=True, source=camera)})
    )
    rect = place(shown, "a")
    compositor = Compositor(WIDTH, HEIGHT)
    compositor.compose(shown, 0.0)
    assert not mute_image(compositor, rect)
    compositor.compose(muted, 0.1)
    assert mute_image(compositor, rect)
    assert snapshot(compositor, rect).count(TINTS[0].y) < 100
    assert {colour_at(compositor, x, HEIGHT // 2 - 40) for x in range(0, WIDTH, 2)} & set(DISCS)
    named = snapshot(compositor, rect)
    anonymous = replace(muted, sitters=MappingProxyType({"a": Sitter("Bo", video_muted=True)}))
    compositor.compose(anonymous, 0.2)
    assert snapshot(compositor, rect) != named
    camera.latest = tinted(TINTS[1])
    compositor.compose(muted, 0.3)
    assert snapshot(compositor, rect) == named


def test_nothing_seen_before_or_during_a_mute_comes_back_with_the_unmute() -> None:
    before = tinted(TINTS[0])
    camera = Camera(before)
    sitter = Sitter("Ann", source=camera)
    shown = scene("1x1", {"a": sitter})
    rect = place(shown, "a")
    compositor = Compositor(WIDTH, HEIGHT)
    compositor.compose(shown, 0.0)
    unmuted = Sitter("Ann", source=camera, unseen=before)
    compositor.compose(replace(shown, sitters=MappingProxyType({"a": unmuted})), 0.1)
    assert mute_image(compositor, rect)
    # The same where the mute itself was never painted.
    fresh = Compositor(WIDTH, HEIGHT)
    fresh.compose(replace(shown, sitters=MappingProxyType({"a": unmuted})), 0.1)
    assert mute_image(fresh, rect)
    camera.latest = tinted(TINTS[1])
    for one in (compositor, fresh):
        one.compose(replace(shown, sitters=MappingProxyType({"a": unmuted})), 0.2)
        assert centre(one, rect) == TINTS[1]


def test_a_frozen_member_keeps_its_last_picture_for_a_while_and_is_marked_then() -> None:
    camera = Camera(tinted(TINTS[0]))
    shown = scene("1x1", {"a": Sitter("Ann", source=camera)})
    rect = place(shown, "a")
    compositor = Compositor(WIDTH, HEIGHT)
    compositor.compose(shown, 100.0)
    assert not compositor.compose(shown, 100.0 + FROZEN_AFTER)
    assert centre(compositor, rect) == TINTS[0]
    assert compositor.compose(shown, 100.1 + FROZEN_AFTER)
    assert mute_image(compositor, rect)
    frozen = snapshot(compositor, rect)
    compositor.compose(
        replace(shown, sitters=MappingProxyType({"a": Sitter("Ann", video_muted=True)})), 106.0
    )
    assert snapshot(compositor, rect) != frozen
    camera.latest = tinted(TINTS[1])
    compositor.compose(shown, 107.0)
    assert centre(compositor, rect) == TINTS[1]


def test_a_replaced_source_keeps_the_last_picture_until_its_own_first_one() -> None:
    shown = scene("1x1", {"a": Sitter("Ann", source=Camera(tinted(TINTS[0])))})
    rect = place(shown, "a")
    compositor = Compositor(WIDTH, HEIGHT)
    compositor.compose(shown, 0.0)
    camera = Camera()
    again = replace(shown, sitters=MappingProxyType({"a": Sitter("Ann", source=camera)}))
    compositor.compose(again, 1.0)
    assert centre(compositor, rect) == TINTS[0]
    camera.latest = tinted(TINTS[1])
    compositor.compose(again, 2.0)
    assert centre(compositor, rect) == TINTS[1]
    compositor.compose(replace(shown, sitters=MappingProxyType({"a": Sitter("Ann")})), 3.0)
    assert mute_image(compositor, rect)


def test_before_the_first_picture_and_for_an_unknown_member_there_is_a_mute_image() -> None:
    shown = scene("2x1", {"a": Sitter("Ann", source=Camera()), "b": Sitter("Bob")})
    compositor = Compositor(WIDTH, HEIGHT)
    compositor.compose(replace(shown, sitters=MappingProxyType({"a": shown.sitters["a"]})), 0.0)
    assert mute_image(compositor, place(shown, "a"))
    assert mute_image(compositor, place(shown, "b"))
    # Another member goes, and the layers stay as they were.
    compositor.compose(replace(shown, sitters=MappingProxyType({})), 0.1)
    assert mute_image(compositor, place(shown, "b"))


def test_a_name_stands_at_the_bottom_left_and_changes_with_the_member() -> None:
    camera = Camera(tinted(TINTS[2]))
    shown = scene("1x1", {"a": Sitter("Ann", source=camera)})
    compositor = Compositor(WIDTH, HEIGHT)
    compositor.compose(shown, 0.0)
    luma = planes(compositor.frame)[0]
    touched = np.argwhere(luma != TINTS[2].y)
    assert touched[:, 0].min() > HEIGHT * 0.85
    assert touched[:, 1].max() < WIDTH * 0.2
    assert luma.max() > 220  # white letters
    assert luma[touched[:, 0].min() + 1, touched[:, 1].min() + 1] < TINTS[2].y  # on a dark plate
    short = len(touched)
    longer = MappingProxyType({"a": Sitter("Annabel Lee Poe", source=camera)})
    assert compositor.compose(replace(shown, sitters=longer), 0.1)
    assert len(np.argwhere(planes(compositor.frame)[0] != TINTS[2].y)) > short


def test_the_name_is_blended_anew_onto_each_picture() -> None:
    camera = Camera(tinted(TINTS[0]))
    shown = scene("1x1", {"a": Sitter("Ann", source=camera)})
    compositor = Compositor(WIDTH, HEIGHT)
    compositor.compose(shown, 0.0)
    first = compositor.frame.to_ndarray().tobytes()
    for step in range(5):
        camera.latest = tinted(TINTS[0])
        assert compositor.compose(shown, 0.1 * step)
    assert compositor.frame.to_ndarray().tobytes() == first


def test_an_empty_room_shows_its_name() -> None:
    compositor = Compositor(WIDTH, HEIGHT)
    plain = compositor.frame.to_ndarray().tobytes()
    assert compositor.compose(Scene("Oak room"), 0.0)
    titled = planes(compositor.frame)[0]
    rows, columns = np.nonzero(titled != BACKGROUND.y)
    assert rows.min() > HEIGHT * 0.3
    assert rows.max() < HEIGHT * 0.7
    assert columns.mean() == pytest.approx(WIDTH / 2, rel=0.05)
    shown = scene("2x2", {"a": Sitter("Ann", source=Camera(tinted(TINTS[0])))})
    compositor.compose(shown, 0.1)
    assert colour_at(compositor, WIDTH - 20, HEIGHT - 20) == BACKGROUND
    assert compositor.compose(Scene(""), 0.2)
    assert compositor.frame.to_ndarray().tobytes() == plain


def test_a_layer_above_stays_above_when_the_one_below_is_painted() -> None:
    below, above = Camera(tinted(TINTS[0])), Camera(tinted(TINTS[1]))
    sitters = {"a": Sitter(source=below), "b": Sitter(source=above)}
    layer = Layer(0, 0, 0.0, 0.0, 100.0, 100.0, "a", "", "standard-1", False, True)
    inset = replace(layer, layer_index=1, z_index=1, x=50.0, width=25.0, y=50.0, height=25.0)
    inset = replace(inset, member_id="b", position="standard-2")
    compositor = Compositor(WIDTH, HEIGHT)
    shown = Scene("", (inset, layer), MappingProxyType(sitters))
    compositor.compose(shown, 0.0)
    below.latest = tinted(TINTS[2])
    compositor.compose(shown, 0.1)
    assert colour_at(compositor, WIDTH * 5 // 8, HEIGHT * 5 // 8) == TINTS[1]
    assert colour_at(compositor, 20, 20) == TINTS[2]


def test_hidden_layers_and_those_without_a_member_are_not_painted() -> None:
    layer = Layer(0, 0, 0.0, 0.0, 100.0, 100.0, "a", "", "standard-1", False, False)
    empty = replace(layer, visible=True, member_id=None)
    sitters = MappingProxyType({"a": Sitter(source=Camera(tinted(TINTS[0])))})
    compositor = Compositor(WIDTH, HEIGHT)
    compositor.compose(Scene("", (layer, empty), sitters), 0.0)
    assert (planes(compositor.frame)[0] == BACKGROUND.y).all()


@pytest.mark.parametrize(
    ("size", "fit", "bars"),
    [
        ((1280, 720), "cover", False),
        ((640, 480), "cover", False),
        ((480, 480), "cover", False),
        ((360, 640), "cover", True),
        ((640, 480), "contain", True),
        ((1920, 800), "contain", True),
        ((319, 181), "cover", False),
    ],
)
def test_pictures_of_any_shape_keep_it(size: tuple[int, int], fit: str, bars: bool) -> None:
    # A white disc in the middle of the source must come out round.
    width, height = size
    luma = np.full((height, width), 60, np.uint8)
    radius = min(size) // 4
    y, x = np.ogrid[:height, :width]
    luma[(y - height / 2) ** 2 + (x - width / 2) ** 2 < radius**2] = 200
    source = VideoFrame(width, height, "yuv420p")
    for plane, values in zip(planes(source), (luma, 128, 128), strict=True):
        plane[...] = values
    sitter = Sitter(source=Camera(source), fit="contain" if fit == "contain" else "cover")
    compositor = Compositor(WIDTH, HEIGHT)
    compositor.compose(scene("1x1", {"a": sitter}), 0.0)
    shown = planes(compositor.frame)[0]
    rows, columns = np.nonzero(shown > 130)
    assert np.ptp(columns) == pytest.approx(np.ptp(rows), rel=0.05)
    assert columns.mean() == pytest.approx(WIDTH / 2, abs=3)
    assert rows.mean() == pytest.approx(HEIGHT / 2, abs=3)
    corner = colour_at(compositor, 2, 2)
    assert (corner == BARS) is bars
    assert bars or corner.y == 60


@given(
    st.integers(1, 4000),
    st.integers(1, 4000),
    st.integers(1, 640),
    st.integers(1, 360),
    st.booleans(),
)
def test_what_is_pasted_lies_in_the_cell_and_in_the_scaled_picture(
    width: int, height: int, half_w: int, half_h: int, cover: bool
) -> None:
    rect = Rect(10, 20, 2 * half_w, 2 * half_h)
    w, h, target, (left, top) = fitted(width, height, rect, "cover" if cover else "contain")
    assert min(w, h, target.width, target.height) >= 2
    assert target.x >= rect.x
    assert target.y >= rect.y
    assert target.x + target.width <= rect.x + rect.width
    assert target.y + target.height <= rect.y + rect.height
    assert left + target.width <= w <= rect.width * 2
    assert top + target.height <= h <= rect.height * 2
    for value in (w, h, target.x, target.y, target.width, target.height, left, top):
        assert value % 2 == 0
        assert value >= 0


@given(
    st.sampled_from(LAYOUTS),
    st.integers(0, 30),
    st.sampled_from([(1280, 720), (640, 360), (426, 240), (1920, 1080), (720, 1280), (64, 36)]),
)
def test_cells_lie_on_even_pixels_and_never_overlap(
    layout: str, count: int, size: tuple[int, int]
) -> None:
    layers = arrange(layout, [MemberSlot(f"m{n}") for n in range(count)])[:-2]
    rects = [rect for layer in layers if (rect := pixels(layer, *size)) is not None]
    for index, rect in enumerate(rects):
        assert all(value % 2 == 0 for value in (rect.x, rect.y, rect.width, rect.height))
        assert rect.x >= 0
        assert rect.y >= 0
        assert rect.x + rect.width <= size[0]
        assert rect.y + rect.height <= size[1]
        assert not any(rect.crosses(other) for other in rects[index + 1 :])


@given(
    st.sampled_from(LAYOUTS),
    st.lists(st.text(max_size=100), max_size=12),
    st.sampled_from([(1280, 720), (320, 180), (180, 320), (64, 36), (2, 2)]),
    st.integers(0, 3),
)
def test_whatever_the_names_and_sizes_every_scene_can_be_painted(
    layout: str, names: list[str], size: tuple[int, int], seed: int
) -> None:
    frames = [None, tinted(TINTS[0], 16, 90), tinted(TINTS[1], 90, 16), tinted(TINTS[2])]
    sitters = {
        f"m{n}": Sitter(name, video_muted=n % 5 == 4, source=Camera(frames[(n + seed) % 4]))
        for n, name in enumerate(names)
    }
    compositor = Compositor(*size)
    compositor.compose(scene(layout, sitters), 0.0)
    compositor.compose(scene(layout, sitters), 10.0)
    compositor.compose(Scene(" ".join(names)), 20.0)
    assert (compositor.frame.width, compositor.frame.height) == size

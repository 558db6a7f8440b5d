"""The real screen, through SDL2: full screen on the bare console (KMS/DRM), a window
under X or Wayland.

The GPU converts, scales and composes: canvas and overlay are YUV textures, banner and
mute mark are textures with transparency, drawn anew only when they change.  All calls of
SDL are made on the thread that calls `open`, `show` and `close`.

On the console a picture is put up between two scans of the screen, and `show` waits for that: two
buffers and no third, so that nothing ever queues behind what is seen.  SDL looks at the screens
once, when it begins.  A screen that is pulled, or comes back in another mode, is found out here.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import threading
import warnings
from typing import Any

import numpy as np
from av import VideoFrame

from hal.device import Device
from hal.display import Banner, Display, Overlay
from hal.display.banner import Rgba, draw_mark, draw_text
from hal.display.connectors import WINDOW, Watch, find, state_of
from hal.display.geometry import Rect, banner, code, fit, layer, mark
from hal.display.qr import draw_qr
from hal.display.xlib import GONE, XWindow, survive
from hal.errors import (
    BackendUnavailable,
    DeviceBusy,
    DeviceNotFound,
    DeviceUnplugged,
    HalError,
    OptionInvalid,
)
from hal.optional import require

log = logging.getLogger(__name__)


class SdlDisplay(Display):
    """One screen or window."""

    def __init__(
        self,
        *,
        device: str | None = None,
        fullscreen: bool | None = None,
        width: int = 1280,
        height: int = 720,
        title: str = "Roomlet",
        label: str | None = None,
    ) -> None:
        """`device` is an id of `devices`, the first one by default.  `fullscreen` defaults
        to True on the bare console and False in a window, whose size `width` and `height`
        are.

        Raises OptionInvalid.
        """
        if not (16 <= width <= 7680 and 16 <= height <= 4320):
            raise OptionInvalid(
                f"a screen of {width}x{height} is out of range; use 16x16 to 7680x4320",
                ["height" if 16 <= width <= 7680 else "width"],
            )
        self._name = device
        self._label = label
        self.device = Device(device or "", label or device or "first screen", "display", "sdl")
        self._fullscreen = fullscreen
        self._size = (width, height)
        self._title = title
        self._lock = threading.Lock()
        self._banner = Banner()
        self._overlay: Overlay | None = None
        self._sdl: Any = None
        self._window: Any = None
        self._renderer: Any = None
        self._textures: dict[str, _Texture] = {}
        self._full = False
        self._lost_desktop = False
        self._watch: Watch | None = None
        self._x_window: XWindow | None = None

    @classmethod
    def devices(cls) -> list[Device]:
        """See `Display.devices`; also raises BackendUnavailable."""
        _library()
        return find()

    def open(self) -> None:
        """See `Display.open`."""
        sdl = _library()
        self.close()
        if self._lost_desktop:
            raise BackendUnavailable(
                "the desktop that the window was on has ended; start Roomlet again"
            )
        found = find()
        if not found:
            raise DeviceNotFound("no screen is connected; plug one in and switch it on")
        chosen = next((each for each in found if self._name in (None, each.id)), None)
        if chosen is None:
            names = ", ".join(each.id for each in found)
            raise DeviceNotFound(f"no screen {self._name!r} is connected; there is {names}")
        self.device = Device(chosen.id, self._label or chosen.label, "display", "sdl")
        on_desktop = chosen.id == WINDOW
        sdl.SDL_SetHint(sdl.SDL_HINT_NO_SIGNAL_HANDLERS, b"1")
        sdl.SDL_SetHint(sdl.SDL_HINT_RENDER_SCALE_QUALITY, b"linear")
        sdl.SDL_SetHint(sdl.SDL_HINT_VIDEODRIVER, _drivers(on_desktop=on_desktop))
        sdl.SDL_SetHint(sdl.SDL_HINT_VIDEO_DOUBLE_BUFFER, b"1")
        sdl.SDL_SetHint(sdl.SDL_HINT_RENDER_DRIVER, _renderer(on_desktop=on_desktop))
        if on_desktop:
            # Without libX11 there is no X server whose errors could matter.
            with contextlib.suppress(OSError):
                survive()
        if sdl.SDL_InitSubSystem(sdl.SDL_INIT_VIDEO) != 0:
            raise self._refusal(sdl)
        self._sdl = sdl
        try:
            self._create(found.index(chosen), on_desktop=on_desktop)
            self._watch = self._watched(chosen, on_desktop=on_desktop)
        except BaseException:
            self.close()
            raise

    def show(self, frame: VideoFrame | None) -> None:
        """See `Display.show`; also raises DeviceUnplugged when the window was closed or the
        desktop has ended."""
        if self._sdl is None:
            raise DeviceUnplugged(f"display {self.device.id} is not open; open it first")
        with self._lock:
            says, overlay = self._banner, self._overlay
        self._pump()
        self._follow()
        sdl = self._sdl
        screen = self._screen()
        self._call(sdl.SDL_SetRenderDrawColor(self._renderer, 0, 0, 0, 255))
        self._call(sdl.SDL_RenderClear(self._renderer))
        canvas = screen
        if frame is not None:
            canvas = fit(frame.width, frame.height, screen)
            self._draw_frame("canvas", frame, canvas)
        if frame is not None and overlay is not None:
            area = layer(canvas, overlay.x, overlay.y, overlay.width, overlay.height)
            inner = fit(overlay.frame.width, overlay.frame.height, area)
            self._draw_frame("overlay", overlay.frame, inner, mirrored=overlay.mirrored)
        if says.link:
            self._draw_picture("code", code(screen), says.link)
        if says.text:
            area = banner(screen)
            self._draw_picture("banner", area, says.text)
        if says.muted:
            self._draw_picture("mark", mark(screen), "")
        sdl.SDL_RenderPresent(self._renderer)

    def set_banner(self, banner: Banner) -> None:
        """See `Display.set_banner`."""
        with self._lock:
            self._banner = banner

    def set_overlay(self, overlay: Overlay | None) -> None:
        """See `Display.set_overlay`."""
        with self._lock:
            self._overlay = overlay

    def close(self) -> None:
        """See `Display.close`."""
        sdl, self._sdl = self._sdl, None
        self._watch = None
        if sdl is None:
            return
        if self._x_window is not None and self._x_window.trouble == GONE:
            # SDL has a second connection, and libX11 would end the process at its first use.
            self._lost_desktop = True
            return
        for texture in self._textures.values():
            sdl.SDL_DestroyTexture(texture.handle)
        self._textures = {}
        if self._renderer:
            sdl.SDL_DestroyRenderer(self._renderer)
        if self._window:
            sdl.SDL_DestroyWindow(self._window)
        self._renderer = self._window = None
        if self._x_window is not None:
            self._x_window.forget()
            self._x_window = None
        sdl.SDL_QuitSubSystem(sdl.SDL_INIT_VIDEO)

    def _create(self, index: int, *, on_desktop: bool) -> None:
        sdl = self._sdl
        full = self._fullscreen if self._fullscreen is not None else not on_desktop
        place = sdl.SDL_WINDOWPOS_CENTERED
        area = Rect(place, place, *self._size)
        flags = sdl.SDL_WINDOW_SHOWN | sdl.SDL_WINDOW_RESIZABLE
        if full:
            # The window covers the screen even where no window manager makes it do so.
            bounds = sdl.SDL_Rect()
            self._call(sdl.SDL_GetDisplayBounds(0 if on_desktop else index, bounds))
            area = Rect(bounds.x, bounds.y, bounds.w, bounds.h)
            flags |= sdl.SDL_WINDOW_FULLSCREEN_DESKTOP
        self._window = sdl.SDL_CreateWindow(self._title.encode(), *area, flags)
        if not self._window:
            raise self._refusal(sdl)
        # A desktop composes its windows without tearing by itself, and may let one that is hidden
        # wait for ever.
        paced = 0 if on_desktop else sdl.SDL_RENDERER_PRESENTVSYNC
        for kind in (sdl.SDL_RENDERER_ACCELERATED, sdl.SDL_RENDERER_SOFTWARE):
            self._renderer = sdl.SDL_CreateRenderer(self._window, -1, kind | paced)
            if self._renderer:
                break
        else:
            raise self._refusal(sdl)
        if sdl.SDL_GetCurrentVideoDriver() == b"x11":
            # Only now: for the renderer, SDL makes the window anew.
            self._x_window = _x_window(sdl, self._window)
        self._full = full
        if full:
            sdl.SDL_ShowCursor(sdl.SDL_DISABLE)
        sdl.SDL_DisableScreenSaver()

    def _pump(self) -> None:
        sdl = self._sdl
        event = sdl.SDL_Event()
        while sdl.SDL_PollEvent(event):
            closed = (
                event.type == sdl.SDL_WINDOWEVENT
                and event.window.event == sdl.SDL_WINDOWEVENT_CLOSE
            )
            if closed or event.type == sdl.SDL_QUIT:
                raise DeviceUnplugged("the window was closed; open the display again")
            if event.type in (sdl.SDL_RENDER_TARGETS_RESET, sdl.SDL_RENDER_DEVICE_RESET):
                for texture in self._textures.values():
                    sdl.SDL_DestroyTexture(texture.handle)
                self._textures = {}

    def _watched(self, chosen: Device, *, on_desktop: bool) -> Watch | None:
        """What would make another screen of it."""
        window = self._x_window
        if not on_desktop:
            return Watch(lambda: state_of(chosen.id))
        if self._full and window is not None:
            return Watch(lambda: window.root_size)
        return None

    def _follow(self) -> None:
        """Be on the screen as it is now.  Raises DeviceUnplugged when there is none."""
        self._check_window()
        if self._watch is None or not self._watch.changed():
            return
        log.info("the screen has changed; it is opened again")
        try:
            self.open()
        except HalError as error:
            self.close()
            raise DeviceUnplugged(str(error)) from error

    def _check_window(self) -> None:
        if self._x_window is None:
            return
        self._x_window.look()
        if self._x_window.trouble:
            raise DeviceUnplugged(f"{self._x_window.trouble}; open the display again")

    def _screen(self) -> Rect:
        sdl = self._sdl
        width, height = ctypes.c_int(), ctypes.c_int()
        self._call(sdl.SDL_GetRendererOutputSize(self._renderer, width, height))
        return Rect(0, 0, width.value, height.value)

    def _draw_frame(
        self, name: str, frame: VideoFrame, area: Rect, *, mirrored: bool = False
    ) -> None:
        sdl = self._sdl
        if not area.width or not area.height:
            return
        if frame.format.name != "yuv420p":
            frame = frame.reformat(format="yuv420p")
        kind = (sdl.SDL_PIXELFORMAT_IYUV, frame.width, frame.height)
        texture = self._texture(name, kind, sdl.SDL_TEXTUREACCESS_STREAMING)
        planes: list[Any] = []
        for plane in frame.planes:
            pixels = ctypes.cast(plane.buffer_ptr, ctypes.POINTER(ctypes.c_ubyte))
            planes += [pixels, plane.line_size]
        self._call(sdl.SDL_UpdateYUVTexture(texture.handle, None, *planes))
        flip = sdl.SDL_FLIP_HORIZONTAL if mirrored else sdl.SDL_FLIP_NONE
        target = sdl.SDL_Rect(*area)
        self._call(
            sdl.SDL_RenderCopyEx(self._renderer, texture.handle, None, target, 0.0, None, flip)
        )

    def _draw_picture(self, name: str, area: Rect, content: str) -> None:
        sdl = self._sdl
        kind = (sdl.SDL_PIXELFORMAT_RGBA32, area.width, area.height)
        texture = self._texture(name, kind, sdl.SDL_TEXTUREACCESS_STATIC)
        if texture.content != content:
            self._fill(texture, _picture(name, area, content))
            texture.content = content
        self._call(sdl.SDL_RenderCopy(self._renderer, texture.handle, None, sdl.SDL_Rect(*area)))

    def _fill(self, texture: _Texture, picture: Rgba) -> None:
        sdl = self._sdl
        data = np.ascontiguousarray(picture)
        self._call(sdl.SDL_SetTextureBlendMode(texture.handle, sdl.SDL_BLENDMODE_BLEND))
        pitch = data.strides[0]
        self._call(sdl.SDL_UpdateTexture(texture.handle, None, data.ctypes.data, pitch))

    def _texture(self, name: str, kind: tuple[int, int, int], access: int) -> _Texture:
        """The texture of that name; a new one when its format or size has changed."""
        known = self._textures.get(name)
        if known is not None and known.kind == kind:
            return known
        if known is not None:
            self._sdl.SDL_DestroyTexture(known.handle)
            del self._textures[name]
        pixel_format, width, height = kind
        handle = self._sdl.SDL_CreateTexture(self._renderer, pixel_format, access, width, height)
        if not handle:
            raise DeviceUnplugged(f"the screen failed ({_error(self._sdl)}); open it again")
        self._textures[name] = _Texture(handle, kind)
        return self._textures[name]

    def _call(self, result: int) -> None:
        if result != 0:
            raise DeviceUnplugged(f"the screen failed ({_error(self._sdl)}); open it again")

    def _refusal(self, sdl: Any) -> Exception:
        reason = _error(sdl)
        if "busy" in reason.lower() or "master" in reason.lower():
            return DeviceBusy(f"the screen is in use ({reason}); stop the program that shows on it")
        return BackendUnavailable(
            f"SDL cannot open the screen ({reason}); check the display session or group 'video'"
        )


class _Texture:
    """A texture, what it was made for, and which content it holds."""

    def __init__(self, handle: Any, kind: tuple[int, int, int]) -> None:
        self.handle = handle
        self.kind = kind
        self.content: str | None = None


def _picture(name: str, area: Rect, content: str) -> Rgba:
    if name == "mark":
        return draw_mark(area.width)
    if name == "code":
        return draw_qr(content, area.width, area.height)
    return draw_text(content, area.width, area.height)


def _drivers(*, on_desktop: bool) -> bytes:
    """SDL's names of the ways to the screen, the best first."""
    if not on_desktop:
        return b"KMSDRM"
    return b"wayland,x11" if os.environ.get("WAYLAND_DISPLAY") else b"x11"


def _renderer(*, on_desktop: bool) -> bytes:
    """SDL's name of the renderer to try first; empty for its own choice.

    That is OpenGL, which SDL takes for granted also where only OpenGL ES is installed, as on a
    small system without a desktop: it then draws nothing at all, and says nothing of it.
    """
    return b"" if on_desktop else b"opengles2"


def _x_window(sdl: Any, window: Any) -> XWindow | None:
    info = sdl.SDL_SysWMinfo()
    sdl.SDL_VERSION(info.version)
    if not sdl.SDL_GetWindowWMInfo(window, info):
        return None
    connection = ctypes.cast(info.info.x11.display, ctypes.c_void_p).value
    return None if connection is None else XWindow(connection, int(info.info.x11.window))


def _library() -> Any:
    with warnings.catch_warnings():
        # It warns on import where it found SDL, which is no news to anybody.
        warnings.simplefilter("ignore")
        return require("sdl2", "install the Python packages PySDL2 and pysdl2-dll")


def _error(sdl: Any) -> str:
    text: bytes = sdl.SDL_GetError() or b"no reason given"
    return " ".join(text.decode("utf-8", "replace").split())

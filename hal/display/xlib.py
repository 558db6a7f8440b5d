"""The X server under SDL's window: its errors, its end, and the size of its screen.

Left alone, libX11 ends the whole process when another program destroys the window, or when the
server goes.  A device has more to do than to show pictures, so both become one line of text here,
and the display is opened anew.
"""

from __future__ import annotations

import ctypes
import logging
from functools import cache
from typing import Any, ClassVar, Final

log = logging.getLogger(__name__)

_BAD_WINDOW: Final = 3
_BAD_DRAWABLE: Final = 9

GONE: Final = "the desktop has ended"
CLOSED: Final = "the window was closed"


class _ErrorEvent(ctypes.Structure):
    """XErrorEvent of Xlib.h."""

    _fields_: ClassVar = [
        ("type", ctypes.c_int),
        ("display", ctypes.c_void_p),
        ("resource", ctypes.c_ulong),
        ("serial", ctypes.c_ulong),
        ("code", ctypes.c_ubyte),
        ("request", ctypes.c_ubyte),
        ("minor", ctypes.c_ubyte),
    ]


_OnError: Final = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(_ErrorEvent))
_OnEnd: Final = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)
_OnExit: Final = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)


class XWindow:
    """One window of this process, on one connection.

    `trouble` is what has become of it, empty while all is well.  To be used on the thread that
    owns the connection.
    """

    def __init__(self, connection: int, window: int) -> None:
        """`connection` is the Display pointer of Xlib, `window` the window's XID.

        Raises OSError where libX11 is missing.
        """
        self.trouble = ""
        self._connection = connection
        self._window = window
        _watch(self)

    @property
    def root_size(self) -> tuple[int, int] | None:
        """Width and height of the whole screen in pixels; None when the server does not say."""
        return self._size(_library().XDefaultRootWindow(self._connection))

    def look(self) -> None:
        """Ask the server whether the window is still there, and set `trouble`.

        To be done before drawing: Mesa's software renderer crashes on a window that is not.
        """
        self._size(self._window)

    def _size(self, drawable: int) -> tuple[int, int] | None:
        if self.trouble == GONE:
            return None
        root, place, other = ctypes.c_ulong(), ctypes.c_int(), ctypes.c_uint()
        width, height = ctypes.c_uint(), ctypes.c_uint()
        answers = (root, place, place, width, height, other, other)
        answered = _library().XGetGeometry(
            self._connection, drawable, *(ctypes.byref(one) for one in answers)
        )
        return (width.value, height.value) if answered else None

    def forget(self) -> None:
        """The connection is about to be closed."""
        if _windows.get(self._connection) is self:
            del _windows[self._connection]


_windows: Final[dict[int, XWindow]] = {}


def survive() -> None:
    """Let no X error end this process.  Raises OSError where libX11 is missing.

    To be called before SDL connects, which puts back at its end what it found then, and again
    when it has connected, because it sets a handler of its own.
    """
    x11 = _library()
    x11.XSetErrorHandler(_ERROR)
    x11.XSetIOErrorHandler(_END)


def _watch(window: XWindow) -> None:
    survive()
    _library().XSetIOErrorExitHandler(window._connection, _EXIT, None)
    _windows[window._connection] = window


@cache
def _library() -> Any:
    x11 = ctypes.CDLL("libX11.so.6")
    x11.XSetErrorHandler.restype = ctypes.c_void_p
    x11.XSetIOErrorHandler.restype = ctypes.c_void_p
    x11.XSetIOErrorExitHandler.argtypes = [ctypes.c_void_p, _OnExit, ctypes.c_void_p]
    x11.XSetIOErrorExitHandler.restype = None
    x11.XDefaultRootWindow.argtypes = [ctypes.c_void_p]
    x11.XDefaultRootWindow.restype = ctypes.c_ulong
    x11.XGetGeometry.argtypes = [ctypes.c_void_p, ctypes.c_ulong, *[ctypes.c_void_p] * 7]
    return x11


def _on_error(connection: int | None, event: Any) -> int:
    error = event.contents
    log.debug("X error %d on 0x%x, request %d", error.code, error.resource, error.request)
    window = _windows.get(connection or 0)
    if (
        window is not None
        and error.code in (_BAD_WINDOW, _BAD_DRAWABLE)
        and error.resource == window._window
    ):
        window.trouble = window.trouble or CLOSED
    return 0


def _on_end(connection: int | None) -> int:
    window = _windows.get(connection or 0)
    if window is not None:
        window.trouble = GONE
    return 0


def _on_exit(connection: int | None, data: int | None) -> None:
    """In place of the end of the process: the call that failed returns."""


# libX11 keeps these, so they have to live as long as the process.
_ERROR: Final = _OnError(_on_error)
_END: Final = _OnEnd(_on_end)
_EXIT: Final = _OnExit(_on_exit)

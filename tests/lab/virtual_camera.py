"""libcamera's virtual pipeline in the place of a Raspberry Pi's camera, for the real Picamera2.

The pipeline differs from a sensor's in four things, and here is what makes up for each:

- It gives NV12 as two planes of one buffer, where Picamera2 allocates one plane: `_TwoPlanes`.
- It completes a request the moment it is queued: `_Pace` hands it one a frame time.
- It has no raw stream, whose sizes Picamera2 asks for when it opens and takes the largest as the
  sensor's: `_picture_modes` gives those of its pictures.
- Picamera2 imports the bindings of kms++ for a preview window that nobody opens here; Debian has
  none: a mock takes their place.
"""

from __future__ import annotations

import collections
import mmap
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import MagicMock

import pytest


@contextmanager
def virtual_camera(monkeypatch: pytest.MonkeyPatch, rate: float) -> Iterator[None]:
    """Picamera2 finds and drives the pipeline's camera, at `rate` pictures a second."""
    if "pykms" not in sys.modules:
        monkeypatch.setitem(sys.modules, "pykms", MagicMock())
    import libcamera
    import picamera2.picamera2 as implementation

    pace = _Pace(libcamera.Camera, rate)
    monkeypatch.setattr(libcamera.Camera, "queue_request", pace.queue)
    monkeypatch.setattr(libcamera.Camera, "stop", pace.stop)
    monkeypatch.setattr(implementation, "DmaAllocator", _two_planes(libcamera))
    monkeypatch.setattr(implementation.Picamera2, "_get_raw_modes", _picture_modes)
    with pace:
        yield


class _Pace(threading.Thread):
    """The beat of a sensor."""

    def __init__(self, camera: Any, rate: float) -> None:
        super().__init__(name="sensor", daemon=True)
        self._queue_request, self._stop_camera = camera.queue_request, camera.stop
        self._period = 1 / rate
        self._waiting: collections.deque[tuple[Any, Any]] = collections.deque()
        self._over = threading.Event()

        def queue(camera: Any, request: Any) -> None:
            self._waiting.append((camera, request))

        def stop(camera: Any) -> Any:
            self._waiting.clear()
            return self._stop_camera(camera)

        self.queue, self.stop = queue, stop

    def run(self) -> None:
        due = time.monotonic()
        while not self._over.is_set():
            due = max(due + self._period, time.monotonic() - 0.5)
            self._over.wait(max(0.0, due - time.monotonic()))
            try:
                camera, request = self._waiting.popleft()
            except IndexError:
                continue  # nobody asked for this picture
            self._queue_request(camera, request)

    def __enter__(self) -> None:
        self.start()

    def __exit__(self, *exc: object) -> None:
        self._over.set()
        self.join(10)


def _picture_modes(camera: Any) -> list[dict[str, Any]]:
    """What stands in for `Picamera2._get_raw_modes`."""
    import libcamera

    found = camera.camera.generate_configuration([libcamera.StreamRole.Viewfinder]).at(0).formats
    return [
        {"format": str(pixels), "size": (size.width, size.height)}
        for pixels in found.pixel_formats
        for size in found.sizes(pixels)
    ]


def _two_planes(libcamera: Any) -> Any:
    from picamera2.allocators import DmaAllocator

    class TwoPlanes(DmaAllocator):  # type: ignore[misc]
        def allocate(self, libcamera_config: Any, _: Any) -> None:
            self.libcamera_fds = []
            self.cleanup()
            for handle in self.open_fds:
                os.close(handle)
            self.frame_buffers, self.open_fds = {}, []
            for stream in libcamera_config:
                luma = stream.stride * stream.size.height
                parts = ((0, luma), (luma, stream.frame_size - luma))
                buffers = []
                for number in range(stream.buffer_count):
                    handle = self.dmaHeap.alloc(f"lab-{number}", stream.frame_size).get()
                    self.open_fds.append(handle)
                    planes = []
                    for offset, length in parts:
                        plane = libcamera.FrameBuffer.Plane()
                        plane.fd, plane.offset, plane.length = handle, offset, length
                        planes.append(plane)
                    self.libcamera_fds.append(planes[0].fd)
                    self.mapped_buffers_used[planes[0].fd] = False
                    buffers.append(libcamera.FrameBuffer(planes))
                    self.mapped_buffers[buffers[-1]] = mmap.mmap(
                        planes[0].fd,
                        stream.frame_size,
                        mmap.MAP_SHARED,
                        mmap.PROT_READ | mmap.PROT_WRITE,
                    )
                self.frame_buffers[stream.stream] = buffers

    return TwoPlanes

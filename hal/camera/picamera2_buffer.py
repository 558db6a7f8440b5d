"""A picture out of libcamera's buffer, which it wants back at once."""

from __future__ import annotations

from typing import Any

import numpy as np
from av import VideoFrame

from hal.camera.picamera2_cameras import library
from hal.errors import FormatUnsupported
from hal.planes import plane, to_yuv420p


def copy(request: Any, what: str) -> tuple[VideoFrame, int]:
    """The picture of a completed request as yuv420p, without a time, and the moment of its
    capture in microseconds of CLOCK_BOOTTIME.  `what` names the camera in the error.

    Raises FormatUnsupported, and what Picamera2 raises.
    """
    moment = int(request.get_metadata()["SensorTimestamp"]) // 1000
    config = request.config["main"]
    width, height = config["size"]
    stride = config["stride"]
    mapped = library().MappedArray(request, "main", reshape=False, write=False)
    with mapped as buffer:
        pixels = np.asarray(buffer.array).reshape(-1)
        if config["format"] == "YUV420":
            layout = "yuv420p"
            shapes = [(height, stride), *[(height // 2, stride // 2)] * 2]
        elif config["format"] == "NV12":
            layout = "nv12"
            shapes = [(height, stride), (height // 2, stride)]
        else:
            raise FormatUnsupported(f"{what} gives {config['format']} for YUV420; update Picamera2")
        frame = VideoFrame(width, height, layout)
        begin = 0
        for number, (rows, columns) in enumerate(shapes):
            part = pixels[begin : begin + rows * columns].reshape(rows, columns)
            target = _bytes_of(frame, number)
            target[:] = part[:, : target.shape[1]]
            begin += rows * columns
    return to_yuv420p(frame, width, height), moment


def _bytes_of(frame: VideoFrame, number: int) -> Any:
    """One plane with a byte a column; the chroma of NV12 has two for each of its pixels."""
    if frame.format.name != "nv12" or number == 0:
        return plane(frame, number)
    data = frame.planes[1]
    lines = np.frombuffer(data, np.uint8).reshape(-1, data.line_size)  # type: ignore[call-overload]
    return lines[: frame.height // 2, : frame.width]

"""The pixels of a frame as arrays."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import numpy.typing as npt
from av import VideoFrame
from av.video.reformatter import ColorRange

Pixels = npt.NDArray[np.uint8]


def plane(frame: VideoFrame, number: int) -> Pixels:
    """The pixels of one plane with a byte a pixel (rows x columns), without the padding
    at the end of its lines: a view, so that writing to it draws in the frame."""
    data = frame.planes[number]
    lines: Pixels = np.frombuffer(cast("Any", data), np.uint8).reshape(-1, data.line_size)
    return lines[: data.height, : data.width]


def to_yuv420p(frame: VideoFrame, width: int, height: int) -> VideoFrame:
    """A frame of any format as yuv420p of that size, with luma from 16 to 235.

    JPEG and RGB pictures have the full range; encoders and screens take a yuv420p frame
    for one of the limited range, so it must be converted.  A frame that is as it should be
    is returned itself.
    """
    as_it_should_be = (
        frame.format.name == "yuv420p"
        and (frame.width, frame.height) == (width, height)
        and frame.color_range != ColorRange.JPEG
    )
    if as_it_should_be:
        return frame
    return frame.reformat(width, height, "yuv420p", dst_color_range=ColorRange.MPEG)

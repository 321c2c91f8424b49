"""Writes and reads the demo world's video files: H.264 in MP4, the same bytes for the same pictures.

Pictures are RGB uint8 ``(H, W, 3)`` with even height and width.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import av

from mekiki.records import Image

GOOD_CRF, POOR_CRF = 28, 36
"""Quality of a camera's own clip, and of one that went through a messenger."""

# Macroblock-tree rate control is off because x264 165 then gives other bytes in about 1 of 75 encodings of one tiny
# clip, even on one thread (80 of 6,000; without it 0 of 6,000).
FIXED_OPTIONS = {"preset": "veryfast", "threads": "1", "bf": "0", "sc_threshold": "0", "mbtree": "0"}


def write_clip(path: Path, pictures: Iterable[Image], fps: int, crf: int = GOOD_CRF) -> None:
    """Encode pictures as an MP4 file with one key picture a second.

    One thread, fixed settings and no time of creation make the bytes depend on the pictures and on the versions of
    PyAV and x264 only. The index stands at the front, so that a file that is cut off still opens.

    Args:
        path: File to write; an older one is replaced.
        pictures: All of one size.
        fps: Frames per second.
        crf: Quality of x264: lower is better.
    """
    options = {"crf": str(crf), "g": str(fps), **FIXED_OPTIONS}
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        stream = None
        for picture in pictures:
            if stream is None:
                stream = container.add_stream("libx264", rate=fps, options=options)
                stream.height, stream.width = picture.shape[:2]
                stream.pix_fmt = "yuv420p"
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        if stream is None:
            raise ValueError("pictures must not be empty")
        container.mux(stream.encode())


def read_clip(path: Path) -> list[Image]:
    """Decode the pictures of a clip that `write_clip` made, up to where it is damaged."""
    pictures: list[Image] = []
    with av.open(str(path)) as container:
        try:
            pictures.extend(frame.to_ndarray(format="rgb24") for frame in container.decode(video=0))
        except av.error.InvalidDataError:
            return pictures
    return pictures

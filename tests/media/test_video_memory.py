"""Reading a video holds a few frames, however long it is."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

READ_ALL = """
import resource, sys
from mekiki.media.video import VideoReader
frames = VideoReader(sys.argv[1]).frames()
next(frames), next(frames), next(frames)
before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
n_frames = 3 + sum(1 for _ in frames)
print(n_frames, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is told in kilobytes on Linux only")
def test_memory_does_not_grow_with_the_number_of_frames(tmp_path: Path) -> None:
    path = tmp_path / "long.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "ultrafast", "bf": "2"})
        stream.width, stream.height, stream.pix_fmt = 1280, 720, "yuv420p"
        for index in range(200):
            frame = av.VideoFrame.from_ndarray(np.full((720, 1280, 3), index, np.uint8)).reformat(format="yuv420p")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))

    told = subprocess.run([sys.executable, "-c", READ_ALL, str(path)], capture_output=True, text=True, check=True)

    n_frames, growth_kb = map(int, told.stdout.split())
    assert n_frames == 200
    assert growth_kb < 40_000  # 28 of the 200 frames

"""Real clips from cameras and phones; the made ones in `test_video` say the same and never skip."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from mekiki.media.sampling import Sampling
from mekiki.media.video import Frame, VideoReader, iter_frames, probe_video

SAMPLINGS = [
    Sampling(),
    Sampling(every_n=7, max_frames=5),
    Sampling("fps", fps=0.4),
    Sampling("n-frames", n_frames=6),
    Sampling("keyframes"),
]
ENDINGS = (".mp4", ".avi", ".asf", ".mov")


def find_clips(shared_data: Path, is_large: bool) -> list[Path]:
    clips = [path for path in sorted(shared_data.rglob("*")) if path.suffix.lower() in ENDINGS]
    assert len(clips) >= 16
    return [path for path in clips if (path.stat().st_size > 500_000) == is_large]


def assert_exact(path: Path) -> None:
    """All frames decode, as many as OpenCV reads, the same to the eye, and sampling gives the very same ones."""
    reader = VideoReader(path)
    sampled: dict[int, list[Frame]] = {}
    for sampling in SAMPLINGS:
        for frame in reader.sample(sampling):
            sampled.setdefault(frame.index, []).append(frame)
    capture, n_frames = cv2.VideoCapture(str(path)), 0
    for frame in reader.frames():
        is_read, picture = capture.read()
        assert is_read
        assert frame.index == n_frames
        n_frames += 1
        for other in sampled.pop(frame.index, []):
            assert (other.pts, other.time_s) == (frame.pts, frame.time_s)
            assert np.array_equal(other.pixels, frame.pixels)
            assert np.abs(picture[::2, ::2, ::-1].astype(np.int16) - frame.pixels[::2, ::2]).mean() < 4
    assert not capture.read()[0]
    assert n_frames == reader.facts.n_frames
    assert not sampled
    assert not reader.damage


def test_small_camera_trap_clips_are_read_exactly(shared_data: Path) -> None:
    for path in find_clips(shared_data, is_large=False):
        assert_exact(path)


@pytest.mark.slow
def test_large_clips_are_read_exactly(shared_data: Path) -> None:
    for path in find_clips(shared_data, is_large=True):
        assert_exact(path)


def test_times_are_real_where_a_camera_dropped_a_frame(shared_data: Path) -> None:
    (path,) = (shared_data / "wildlife" / "video").glob("noemie__Videos_All__Ta_T174*.AVI")

    times = [frame.time_s for frame in iter_frames(path)]

    assert times == [0.0, *range(2, 16)]  # the chunk at 1 s is empty; counting frames would be off by 1 s ever after


def test_facts_of_real_clips(shared_data: Path) -> None:
    trap = probe_video(shared_data / "wildlife/camtrapr/StationA/PBE/20251112_100312.mp4")
    street = probe_video(shared_data / "street/intel_videos/one-by-one-person-detection.mp4")

    assert (trap.width_px, trap.height_px, trap.n_frames, trap.captured_at) == (1280, 720, 34, "2025-11-12 02:03:13")
    assert trap.fps == pytest.approx(29.93, abs=0.01)
    assert street.duration_s == pytest.approx(139.4)
    assert (street.n_frames, street.has_audio) == (1394, False)

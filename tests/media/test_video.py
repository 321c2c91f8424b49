"""Frames come with their right number and time from every container, whichever way they are asked for."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from mekiki.errors import UnreadableError
from mekiki.media.sampling import Sampling
from mekiki.media.video import (
    Frame,
    VideoReader,
    iter_frames,
    probe_video,
    read_frame,
    sample_frames,
    tidy_time,
)
from videos import RECIPES, Recipe, make_video, read_number, turn_mp4

SLOW = {"hevc-mp4", "vp8-webm", "vp9-webm", "h264-mts", "h264-mkv-uneven", "mpeg4-avi-b", "h264-fragmented"}
SLOW |= {"wmv2-asf", "h264-mp4-one-keyframe", "h264-mov-sound", "h264-avi", "mpeg4-avi"}
EVERY_RECIPE = [pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in RECIPES]
SAMPLINGS = [
    Sampling(every_n=1, max_frames=7),
    Sampling(every_n=45),
    Sampling(every_n=7),
    Sampling("fps", fps=3),
    Sampling("n-frames", n_frames=5),
    Sampling("n-frames", n_frames=1),
    Sampling("keyframes"),
]
ONE = 1 << 16
QUARTER_TURNS = {  # display matrices by degrees clockwise
    0: (ONE, 0, 0, 0, ONE, 0, 0, 0, 1 << 30),
    90: (0, ONE, 0, -ONE, 0, 0, 0, 0, 1 << 30),
    180: (-ONE, 0, 0, 0, -ONE, 0, 0, 0, 1 << 30),
    270: (0, -ONE, 0, ONE, 0, 0, 0, 0, 1 << 30),
}

Clip = Callable[[str], Path]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Clip:
    """Makes a recipe's video once and returns its path."""
    folder = tmp_path_factory.mktemp("clips")

    def find(name: str) -> Path:
        path = folder / f"{name}{RECIPES[name].suffix}"
        return path if path.exists() else make_video(path, RECIPES[name])

    return find


def is_same(frame: Frame, other: Frame) -> bool:
    facts = (frame.pts, frame.time_base, frame.time_s, frame.index)
    return facts == (other.pts, other.time_base, other.time_s, other.index) and np.array_equal(
        frame.pixels, other.pixels
    )


def pick_from_all(frames: list[Frame], sampling: Sampling, keys: set[int], duration_s: float) -> list[int]:
    """Choose indices from fully decoded frames by the plain wording of each mode."""
    times = [frame.time_s for frame in frames]
    tick_s = float(frames[0].time_base)
    if sampling.mode == "every-n-frames":
        chosen = [frame.index for frame in frames if frame.index % sampling.every_n == 0]
    elif sampling.mode == "fps":
        multiples = [k / sampling.fps for k in range(int(times[-1] * sampling.fps) + 2)]
        firsts = [[i for i, time in enumerate(times) if time + tick_s / 2 + 1e-9 >= at][:1] for at in multiples]
        chosen = sorted({index for first in firsts for index in first})
    elif sampling.mode == "n-frames":
        middles = [(i + 0.5) * duration_s / sampling.n_frames for i in range(sampling.n_frames)]
        chosen = sorted({int(np.searchsorted(times, at + tick_s / 2, side="right")) - 1 for at in middles})
    else:
        chosen = sorted(keys)
    return chosen[: sampling.max_frames or None]


@pytest.mark.parametrize("name", EVERY_RECIPE)
def test_all_frames_come_in_order_with_their_number_and_time(name: str, clip: Clip) -> None:
    recipe = RECIPES[name]

    frames = list(iter_frames(clip(name)))

    assert [read_number(frame.pixels) for frame in frames] == list(range(recipe.n_frames))
    assert [frame.index for frame in frames] == list(range(recipe.n_frames))
    times_s = np.array(recipe.stamps_ms) / 1000 if recipe.stamps_ms else np.arange(recipe.n_frames) / recipe.fps
    assert np.allclose([frame.time_s for frame in frames], times_s, atol=0.0006)
    assert all(frame.time_s == float((frame.pts - frames[0].pts) * frame.time_base) for frame in frames)


@pytest.mark.parametrize("name", EVERY_RECIPE)
def test_sampling_gives_exactly_the_frames_that_full_decoding_gives(name: str, clip: Clip) -> None:
    path = clip(name)
    frames = list(iter_frames(path))
    keys = {frame.index for frame in sample_frames(path, Sampling("keyframes"))}
    duration_s = probe_video(path).duration_s

    for sampling in SAMPLINGS:
        sampled = list(sample_frames(path, sampling))

        expected = [frames[index] for index in pick_from_all(frames, sampling, keys, duration_s)]
        assert [frame.index for frame in sampled] == [frame.index for frame in expected], sampling
        assert all(is_same(*pair) for pair in zip(sampled, expected, strict=True)), sampling


@pytest.mark.parametrize("name", EVERY_RECIPE)
def test_each_frame_can_be_read_by_its_stamp(name: str, clip: Clip) -> None:
    reader = VideoReader(clip(name))
    frames = list(reader.frames())

    for index in (59, 0, 31, 32, 13):
        assert is_same(reader.frame(frames[index].pts), frames[index])


def test_keyframes_are_those_that_the_encoder_made(clip: Clip) -> None:
    sampled = list(sample_frames(clip("h264-mp4"), Sampling("keyframes")))

    assert [read_number(frame.pixels) for frame in sampled] == [0, 12, 24, 36, 48]


def test_a_rolling_refresh_has_one_keyframe(clip: Clip) -> None:
    sampled = list(sample_frames(clip("h264-ts-rolling-refresh"), Sampling("keyframes")))

    assert [read_number(frame.pixels) for frame in sampled] == [0]


def test_a_stamp_that_no_frame_has_names_the_nearest(clip: Clip) -> None:
    with pytest.raises(UnreadableError, match="no frame has the stamp 700; the nearest: 512 and 1024"):
        read_frame(clip("h264-mp4"), 700)
    with pytest.raises(UnreadableError, match="no frame has the stamp -5; the nearest: 0"):
        read_frame(clip("h264-mp4"), -5)


def test_scenes_are_the_first_frame_and_those_that_differ_from_the_last_one_kept(tmp_path: Path) -> None:
    path = tmp_path / "scenes.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for index in range(40):
            grey = 40 if index < 10 else 200 if index < 25 else 210  # one cut, one faint change
            frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), grey, np.uint8))
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))

    plain = [frame.index for frame in sample_frames(path, Sampling("scene", scene_threshold=0.1))]
    fine = [frame.index for frame in sample_frames(path, Sampling("scene", scene_threshold=0.02))]
    capped = [frame.index for frame in sample_frames(path, Sampling("scene", scene_threshold=0.02, max_frames=2))]

    assert (plain, fine, capped) == ([0, 10], [0, 10, 25], [0, 10])


@pytest.mark.parametrize("degrees", list(QUARTER_TURNS))
def test_frames_are_upright_however_the_camera_was_held(degrees: int, clip: Clip, tmp_path: Path) -> None:
    stored = list(iter_frames(clip("h264-mp4")))[20]
    path = tmp_path / "turned.mp4"
    path.write_bytes(clip("h264-mp4").read_bytes())
    turn_mp4(path, QUARTER_TURNS[degrees])

    frame = read_frame(path, stored.pts)
    facts = probe_video(path)

    assert np.array_equal(frame.pixels, np.rot90(stored.pixels, -degrees // 90))
    assert facts.rotation_deg == degrees
    assert (facts.height_px, facts.width_px) == frame.pixels.shape[:2]


def test_mirrored_frames_are_mirrored_back(clip: Clip, tmp_path: Path) -> None:
    stored = next(iter_frames(clip("h264-mp4")))
    path = tmp_path / "mirrored.mp4"
    path.write_bytes(clip("h264-mp4").read_bytes())
    turn_mp4(path, (-ONE, 0, 0, 0, ONE, 0, 0, 0, 1 << 30))

    assert np.array_equal(next(iter_frames(path)).pixels, stored.pixels[:, ::-1])


def test_facts_are_those_of_the_packets(clip: Clip) -> None:
    facts = probe_video(clip("h264-mp4"))

    assert (facts.width_px, facts.height_px, facts.rotation_deg) == (160, 96, 0)
    assert (facts.n_frames, facts.codec, facts.time_base) == (60, "h264", (1, 12800))
    assert facts.fps == pytest.approx(25)
    assert facts.duration_s == pytest.approx(2.4)
    assert (facts.captured_at, facts.has_audio) == (None, False)


def test_facts_survive_a_header_that_lies(clip: Clip, tmp_path: Path) -> None:
    content = bytearray(clip("h264-mp4").read_bytes())
    for box, offset in ((b"mvhd", 20), (b"mdhd", 20)):  # the durations
        start = content.index(box) + offset
        content[start : start + 4] = (1).to_bytes(4, "big")
    path = tmp_path / "liar.mp4"
    path.write_bytes(content)

    facts = probe_video(path)

    assert facts.duration_s == pytest.approx(2.4)
    assert facts.fps == pytest.approx(25)
    assert facts.n_frames == 60


def test_a_frame_rate_of_nothing_does_not_matter(clip: Clip, tmp_path: Path) -> None:
    content = bytearray(clip("mjpeg-avi").read_bytes())
    start = content.index(b"vidsMJPG") + 20  # scale and rate of the stream
    content[start : start + 8] = bytes(8)
    path = tmp_path / "rate 0.avi"
    path.write_bytes(content)

    facts = probe_video(path)

    assert facts.fps is not None
    assert 0 < facts.fps < 1000
    assert len(list(sample_frames(path, Sampling(every_n=20)))) == 3


def test_uneven_frame_rates_have_their_mean_rate(clip: Clip) -> None:
    stamps_ms = RECIPES["h264-mp4-uneven"].stamps_ms

    facts = probe_video(clip("h264-mp4-uneven"))

    assert facts.fps == pytest.approx(59 / (stamps_ms[-1] / 1000), rel=1e-3)


def test_a_single_frame_is_a_video(tmp_path: Path) -> None:
    path = make_video(tmp_path / "one.mp4", replace(RECIPES["h264-mp4"], n_frames=1))

    assert probe_video(path).n_frames == 1
    for sampling in SAMPLINGS:
        assert [read_number(frame.pixels) for frame in sample_frames(path, sampling)] == [0]


def test_sound_and_time_of_capture_are_noted(tmp_path: Path) -> None:
    recipe = Recipe(has_audio=True, metadata={"creation_time": "2024-05-17T04:03:02.000000Z"})

    facts = probe_video(make_video(tmp_path / "dawn.mp4", recipe))

    assert (facts.has_audio, facts.captured_at) == (True, "2024-05-17 04:03:02")


@pytest.mark.parametrize("text", [None, "", "yesterday", "1970-01-01T00:00:00.000000Z", "1904-01-01T00:00:00Z"])
def test_a_clock_that_was_never_set_is_no_time_of_capture(text: str | None) -> None:
    assert tidy_time(text) is None


def test_colours_follow_the_standard_that_the_video_names(tmp_path: Path) -> None:
    path = tmp_path / "bt709.mp4"
    colour = np.full((64, 64, 3), (200, 40, 90), np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "1"})
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        stream.codec_context.colorspace = 1  # BT.709
        frame = av.VideoFrame.from_ndarray(colour).reformat(format="yuv420p", dst_colorspace=1)
        frame.colorspace = 1
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))

    pixels = next(iter_frames(path)).pixels

    assert pixels.dtype == np.uint8
    assert np.abs(pixels.astype(int) - colour).max() <= 4


@pytest.mark.parametrize("name", ["h264-mp4", "h264-mp4-open-gop", "mpeg2-mpg"])
def test_more_threads_give_the_same_frames(name: str, clip: Clip) -> None:
    frames = list(iter_frames(clip(name)))

    assert all(is_same(*pair) for pair in zip(frames, iter_frames(clip(name), threads=2), strict=True))
    sampled = list(sample_frames(clip(name), Sampling(every_n=7), threads=2))
    assert all(is_same(frame, frames[frame.index]) for frame in sampled)
    assert len(sampled) == 9


@pytest.mark.skipif(sys.platform != "linux", reason="open files are listed in /proc")
def test_an_iterator_that_is_dropped_closes_its_file(clip: Clip) -> None:
    path = clip("h264-mp4")
    for every_n in (1, 3):
        frames = sample_frames(path, Sampling(every_n=every_n))
        next(frames)
        assert open_times(path) == 1

        del frames
        assert open_times(path) == 0


def open_times(path: Path) -> int:
    links = list(Path("/proc/self/fd").iterdir())
    return sum(link.is_symlink() and str(link.readlink()) == str(path) for link in links)

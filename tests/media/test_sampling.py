"""The rules by which frames are chosen, on made timelines."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mekiki.media.sampling import SAMPLING_MODES, Sampling, Timeline, choose_frames, scene_difference

TIMED_MODES = [mode for mode in SAMPLING_MODES if mode != "scene"]


def make_timeline(times_s: list[float], keys: list[int] | None = None, tick_s: float = 0.001) -> Timeline:
    times = np.array(times_s, np.float64)
    is_key = np.isin(np.arange(len(times)), keys if keys is not None else [0])
    step = times[-1] - times[-2] if len(times) > 1 else 0.0
    return Timeline(times, is_key, float(times[-1] + step) if len(times) else 0.0, tick_s)


def even(n_frames: int, fps: float = 25.0) -> Timeline:
    return make_timeline([i / fps for i in range(n_frames)])


timelines = st.lists(st.integers(1, 900), min_size=1, max_size=80).map(
    lambda steps: make_timeline([0.0, *np.cumsum(steps) / 1000], keys=list(range(0, len(steps), 7)))
)


@pytest.mark.parametrize("mode", TIMED_MODES)
def test_an_empty_timeline_gives_no_frames(mode: str) -> None:
    chosen = choose_frames(Sampling(mode), make_timeline([]))  # type: ignore[arg-type]

    assert chosen.tolist() == []


@pytest.mark.parametrize("mode", TIMED_MODES)
def test_a_single_frame_is_chosen_in_every_mode(mode: str) -> None:
    chosen = choose_frames(Sampling(mode), make_timeline([0.0]))  # type: ignore[arg-type]

    assert chosen.tolist() == [0]


@pytest.mark.parametrize("mode", TIMED_MODES)
@given(timeline=timelines, max_frames=st.integers(1, 5))
def test_the_cap_keeps_the_first_of_what_the_mode_gives(mode: str, timeline: Timeline, max_frames: int) -> None:
    uncapped = choose_frames(Sampling(mode, every_n=3, fps=2.5), timeline)  # type: ignore[arg-type]
    capped = choose_frames(Sampling(mode, every_n=3, fps=2.5, max_frames=max_frames), timeline)  # type: ignore[arg-type]

    assert capped.tolist() == uncapped[:max_frames].tolist()
    assert np.all(np.diff(uncapped) > 0)


def test_every_nth_frame_is_where_the_index_divides() -> None:
    chosen = choose_frames(Sampling(every_n=45), even(100))

    assert chosen.tolist() == [0, 45, 90]


def test_the_default_is_every_45th_frame_without_a_cap() -> None:
    assert Sampling() == Sampling("every-n-frames", every_n=45, max_frames=0)


@given(timeline=timelines, fps=st.floats(0.1, 50))
def test_fps_gives_the_first_frame_at_or_after_each_multiple(timeline: Timeline, fps: float) -> None:
    chosen = choose_frames(Sampling("fps", fps=fps), timeline)

    slack = timeline.tick_s / 2 + 1e-9
    expected = set()
    for k in range(int(timeline.times_s[-1] * fps) + 3):
        at_or_after = np.flatnonzero((timeline.times_s + slack) * fps >= k)
        expected.update(at_or_after[:1].tolist())
    assert chosen.tolist() == sorted(expected)


def test_fps_survives_stamps_that_are_rounded_to_milliseconds() -> None:
    timeline = make_timeline([round(i / 30, 3) for i in range(90)])

    chosen = choose_frames(Sampling("fps", fps=30), timeline)

    assert chosen.tolist() == list(range(90))


def test_fps_above_the_frame_rate_gives_every_frame_once() -> None:
    assert choose_frames(Sampling("fps", fps=1000), even(20)).tolist() == list(range(20))


def test_n_frames_are_those_on_screen_in_the_middle_of_equal_parts() -> None:
    timeline = make_timeline([0.0, 1.0, 1.5, 9.0], tick_s=0.001)

    chosen = choose_frames(Sampling("n-frames", n_frames=2), timeline)

    assert timeline.duration_s == 16.5
    assert chosen.tolist() == [2, 3]  # at 4.125 s the frame of 1.5 s is on screen, at 12.375 s that of 9 s


@given(timeline=timelines, n_frames=st.integers(1, 200))
def test_n_frames_never_gives_more_than_asked_nor_one_twice(timeline: Timeline, n_frames: int) -> None:
    chosen = choose_frames(Sampling("n-frames", n_frames=n_frames), timeline)

    assert 1 <= len(chosen) <= min(n_frames, len(timeline.times_s))
    assert len(set(chosen.tolist())) == len(chosen)


def test_n_frames_of_a_shorter_video_gives_each_frame_once() -> None:
    assert choose_frames(Sampling("n-frames", n_frames=50), even(8)).tolist() == list(range(8))


def test_keyframes_are_where_decoding_can_start() -> None:
    timeline = make_timeline([0, 1, 2, 3, 4], keys=[0, 3])

    assert choose_frames(Sampling("keyframes"), timeline).tolist() == [0, 3]


def test_scenes_cannot_be_chosen_from_times() -> None:
    with pytest.raises(ValueError, match="mode 'scene' cannot be chosen from times: it compares pixels"):
        choose_frames(Sampling("scene"), even(3))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        pytest.param({"mode": "middle"}, "mode must be one of every-n-frames, fps, .*, got 'middle'", id="mode"),
        pytest.param({"every_n": 0}, "every_n must be at least 1, got 0", id="every_n"),
        pytest.param({"fps": 0.0}, "fps must be above 0, got 0.0", id="fps 0"),
        pytest.param({"fps": float("nan")}, "fps must be above 0, got nan", id="fps nan"),
        pytest.param({"n_frames": 0}, "n_frames must be at least 1, got 0", id="n_frames"),
        pytest.param({"scene_threshold": 1.5}, r"scene_threshold must lie in \[0, 1\], got 1.5", id="scene"),
        pytest.param({"max_frames": -1}, r"max_frames must be 0 \(no cap\) or more, got -1", id="cap"),
    ],
)
def test_a_setting_out_of_range_is_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Sampling(**settings)  # type: ignore[arg-type]


def test_the_scene_difference_is_0_for_equals_and_1_from_black_to_white() -> None:
    black, white = np.zeros((32, 32, 3), np.uint8), np.full((32, 32, 3), 255, np.uint8)

    assert scene_difference(black, black) == 0
    assert scene_difference(black, white) == scene_difference(white, black) == 1


def test_the_scene_difference_needs_one_shape() -> None:
    with pytest.raises(ValueError, match=r"thumbnails must have one shape, got \(32, 32, 3\) and \(32, 16, 3\)"):
        scene_difference(np.zeros((32, 32, 3), np.uint8), np.zeros((32, 16, 3), np.uint8))

"""What damage takes, and what it must not touch: rather a frame lost than a wrong one, or one at a wrong time."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mekiki.errors import UnreadableError
from mekiki.media.sampling import Sampling
from mekiki.media.video import Frame, VideoReader, iter_frames, sample_frames
from videos import RECIPES, cut_tail, leave_out, make_video, packet_places, read_number, scramble

GOP = 12
CAMERA_KINDS = ("h264-mp4", "h264-ts", "h264-mkv", "mpeg4-avi", "mjpeg-avi")
OLD_KINDS = (
    "h264-mp4-open-gop",
    "h264-avi",
    "h264-avi-b",
    "mpeg4-avi-b",
    "mpeg4-avi-dropped",
    "wmv2-asf",
    "msmpeg4-asf",
    "mpeg2-mpg",
    "h264-mts",
)
EVERY_KIND = [*CAMERA_KINDS, *(pytest.param(name, marks=pytest.mark.slow) for name in OLD_KINDS)]

Clip = Callable[[str], Path]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Clip:
    """Makes a recipe's video once and returns its path; MP4 with its index in front, so that a cut leaves it."""
    folder = tmp_path_factory.mktemp("clips")

    def find(name: str) -> Path:
        path = folder / f"{name}{RECIPES[name].suffix}"
        recipe = RECIPES[name]
        if recipe.suffix == ".mp4":
            recipe = replace(recipe, mux_options={"movflags": "faststart"})
        return path if path.exists() else make_video(path, recipe)

    return find


def numbers(frames: list[Frame]) -> list[int | None]:
    return [read_number(frame.pixels) for frame in frames]


def read_all(path: Path) -> tuple[list[Frame], VideoReader]:
    reader = VideoReader(path)
    return list(reader.frames()), reader


def test_an_undamaged_file_has_no_damage(clip: Clip) -> None:
    _, reader = read_all(clip("h264-mp4"))

    assert not reader.damage


def test_a_damaged_packet_takes_only_what_depends_on_it(clip: Clip, tmp_path: Path) -> None:
    clean = clip("h264-mp4")
    start, size, _ = packet_places(clean)[3 * GOP + 1]  # the second packet of the fourth group: most depends on it
    path = scramble(clean, tmp_path / "damaged.mp4", start + 8, size - 8)

    frames, reader = read_all(path)

    assert set(range(3 * GOP + 1)) | set(range(4 * GOP, 60)) <= set(numbers(frames)) < set(range(60))
    assert all(frame.index == number for frame, number in zip(frames, numbers(frames), strict=True))
    assert reader.damage.n_packets >= 1
    assert reader.damage.n_lost_frames == 60 - len(frames)


def test_damage_to_a_frame_that_nothing_depends_on_takes_only_that_frame(clip: Clip, tmp_path: Path) -> None:
    clean = clip("h264-mp4")
    places = packet_places(clean)
    content = clean.read_bytes()
    row = next(row for row, (at, _, is_key) in enumerate(places) if not is_key and content[at + 4] & 0x60 == 0)
    path = scramble(clean, tmp_path / "damaged.mp4", places[row][0] + 5, places[row][1] - 5)

    frames, reader = read_all(path)

    assert len(frames) == 59
    assert reader.damage.n_packets == reader.damage.n_lost_frames == 1


def test_a_damaged_jpeg_in_a_motion_jpeg_video_takes_one_frame(clip: Clip, tmp_path: Path) -> None:
    clean = clip("mjpeg-avi")
    start, size, _ = packet_places(clean)[30]
    path = scramble(clean, tmp_path / "damaged.avi", start + size // 2, size // 2)

    frames, _ = read_all(path)

    assert numbers(frames) == [number for number in range(60) if number != 30]


def test_later_times_hold_where_an_avi_lost_a_chunk(clip: Clip, tmp_path: Path) -> None:
    clean = clip("mpeg4-avi")
    start, size, _ = packet_places(clean)[GOP + 2]
    path = scramble(clean, tmp_path / "damaged.avi", start - 8, size)  # its header too: the chunk is skipped

    frames, reader = read_all(path)

    assert numbers(frames) == [*range(GOP + 2), *range(2 * GOP, 60)]
    assert [round(25 * frame.time_s) for frame in frames] == numbers(frames)
    assert reader.damage


def test_times_end_at_the_damage_where_an_avi_has_no_index(clip: Clip, tmp_path: Path) -> None:
    clean = clip("mpeg4-avi")
    start, size, _ = packet_places(clean)[GOP + 2]
    cut = cut_tail(clean, tmp_path / "cut.avi", 0.9)  # the index lies at the end
    path = leave_out(cut, tmp_path / "damaged.avi", start - 8, size)

    frames, reader = read_all(path)

    assert numbers(frames) == list(range(GOP + 2))
    assert reader.damage


@pytest.mark.parametrize("name", [*CAMERA_KINDS, "h264-fragmented", "msmpeg4-asf", "mpeg2-mpg"])
def test_a_cut_off_recording_gives_what_it_holds(name: str, clip: Clip, tmp_path: Path) -> None:
    path = cut_tail(clip(name), tmp_path / f"cut{RECIPES[name].suffix}", 0.6)

    frames, _ = read_all(path)

    assert 20 <= len(frames) < 50
    assert numbers(frames)[:20] == list(range(20))
    assert numbers(frames) == [round(25 * frame.time_s) for frame in frames]


@pytest.mark.parametrize("harm", ["noise", "much noise", "gap"])
@pytest.mark.parametrize("name", EVERY_KIND)
def test_no_frame_is_given_out_as_another(name: str, harm: str, clip: Clip, tmp_path: Path) -> None:
    clean = clip(name)
    number_at = {frame.pts: read_number(frame.pixels) for frame in iter_frames(clean)}
    path = tmp_path / f"damaged{RECIPES[name].suffix}"
    for seed in range(4):
        start = random.Random(seed).randrange(3000, clean.stat().st_size - 2500)
        if harm == "gap":
            leave_out(clean, path, start, 1500)
        else:
            scramble(clean, path, start, 64 if harm == "noise" else 2000, seed)

        try:
            frames, reader = read_all(path)
        except UnreadableError:
            continue

        wrong = [frame for frame in frames if read_number(frame.pixels) not in (None, number_at.get(frame.pts))]
        assert not wrong
        assert_same_when_sampled(path, frames, reader.facts.n_frames)


def assert_same_when_sampled(path: Path, frames: list[Frame], n_frames: int) -> None:
    by_index = {frame.index: frame for frame in frames}
    expected = [by_index[index] for index in range(0, n_frames, 5) if index in by_index]
    try:
        sampled = list(sample_frames(path, Sampling(every_n=5)))
    except UnreadableError:
        sampled = []

    assert [frame.pts for frame in sampled] == [frame.pts for frame in expected]
    assert all(
        np.array_equal(*pair) for pair in zip(*([f.pixels for f in fs] for fs in (sampled, expected)), strict=True)
    )


def test_two_recordings_in_one_stream_keep_their_order(clip: Clip, tmp_path: Path) -> None:
    path = tmp_path / "joined.ts"
    path.write_bytes(2 * clip("h264-ts").read_bytes())  # the stamps start anew in the middle

    frames, _ = read_all(path)

    found = numbers(frames)
    assert found[:57] == list(range(57))  # the last frames before the joint, and the group after it, look torn
    assert found[-48:] == list(range(GOP, 60))
    assert all(earlier.pts < later.pts for earlier, later in itertools.pairwise(frames))
    assert_same_when_sampled(path, frames, len(frames))


def test_keyframe_flags_that_lie_are_not_believed(tmp_path: Path) -> None:
    recipe = replace(RECIPES["wmv2-asf"], suffix=".avi", container=None)
    content = bytearray(make_video(tmp_path / "honest.avi", recipe).read_bytes())
    start = content.index(b"idx1") + 8
    for entry in range(start, len(content) - 15, 16):
        content[entry + 4] |= 0x10  # every frame a keyframe
    path = tmp_path / "liar.avi"
    path.write_bytes(content)

    assert numbers(list(sample_frames(path, Sampling(every_n=7)))) == list(range(0, 60, 7))
    assert numbers(list(sample_frames(path, Sampling("keyframes")))) == [0]


def test_a_camera_whose_every_jpeg_fails_the_strict_check_is_read_all_the_same(clip: Clip, tmp_path: Path) -> None:
    clean = clip("mjpeg-avi")
    content = bytearray(clean.read_bytes())
    for start, size, _ in packet_places(clean):  # all frames end early, as some cameras write them
        content[start + size - 600 : start + size] = b"\xff\xd9" + bytes(598)
    path = tmp_path / "dialect.avi"
    path.write_bytes(content)

    assert numbers(list(iter_frames(path))) == list(range(60))


def test_damage_at_the_beginning_is_not_taken_for_a_dialect(clip: Clip, tmp_path: Path) -> None:
    clean = clip("mjpeg-avi")
    content = bytearray(clean.read_bytes())
    for start, size, _ in packet_places(clean)[:20]:
        content[start + size - 600 : start + size] = b"\xff\xd9" + bytes(598)
    path = tmp_path / "damaged.avi"
    path.write_bytes(content)

    assert numbers(list(iter_frames(path))) == list(range(20, 60))


def test_a_file_of_which_nothing_can_be_decoded_says_so(clip: Clip, tmp_path: Path) -> None:
    clean = clip("h264-mp4")
    places = packet_places(clean)
    path = scramble(clean, tmp_path / "noise.mp4", places[0][0], sum(size for _, size, _ in places) + 1)

    with pytest.raises(UnreadableError, match="not one of its 60 frames can be decoded: all are damaged"):
        VideoReader(path)


def test_a_file_without_the_data_of_its_frames_says_so(clip: Clip, tmp_path: Path) -> None:
    clean = clip("h264-mp4")
    path = cut_tail(clean, tmp_path / "head.mp4", packet_places(clean)[0][0] / clean.stat().st_size)

    with pytest.raises(UnreadableError, match="it holds no frame: nothing was recorded, or it was cut off"):
        VideoReader(path)


def test_asking_only_for_lost_frames_says_that_they_are_damaged(clip: Clip, tmp_path: Path) -> None:
    clean = clip("h264-mp4")
    start, size, _ = packet_places(clean)[GOP]
    path = scramble(clean, tmp_path / "damaged.mp4", start, size)
    reader = VideoReader(path)
    frames = list(iter_frames(clean))

    with pytest.raises(UnreadableError, match=f"the frame with the stamp {frames[GOP + 3].pts} is damaged"):
        reader.frame(frames[GOP + 3].pts)
    start, size, _ = packet_places(clean)[0]
    scramble(path, path, start, size)
    with pytest.raises(UnreadableError, match="all 2 chosen frames are damaged"):
        list(sample_frames(path, Sampling(every_n=GOP + 1, max_frames=2)))


def test_decoders_stay_silent_about_damage(clip: Clip, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    clean = clip("h264-mp4")
    path = scramble(clean, tmp_path / "damaged.mp4", packet_places(clean)[20][0], 2000)

    read_all(path)

    assert capfd.readouterr() == ("", "")

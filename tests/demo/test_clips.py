"""Video files of the world."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from mekiki.demo.clips import read_clip, write_clip
from mekiki.records import Image


@pytest.fixture
def pictures() -> list[Image]:
    """Sixteen pictures on which a white bar wanders to the right."""
    pictures = [np.full((48, 64, 3), 60, dtype=np.uint8) for _ in range(16)]
    for i, picture in enumerate(pictures):
        picture[:, 3 * i : 3 * i + 8] = 220
    return pictures


def test_a_clip_without_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="pictures must not be empty"):
        write_clip(tmp_path / "clip.mp4", [], fps=8)


def test_a_clip_shows_its_pictures_in_order(tmp_path: Path, pictures: list[Image]) -> None:
    write_clip(tmp_path / "clip.mp4", pictures, fps=8)

    decoded = read_clip(tmp_path / "clip.mp4")

    assert len(decoded) == 16
    for picture, given in zip(decoded, pictures, strict=True):
        assert np.abs(picture.astype(int) - given).mean() < 12


def test_the_same_pictures_give_the_same_bytes(tmp_path: Path, pictures: list[Image]) -> None:
    contents = set()
    for _ in range(50):  # x264's macroblock-tree differs once in about 75 times
        write_clip(tmp_path / "clip.mp4", pictures, fps=8)
        contents.add((tmp_path / "clip.mp4").read_bytes())

    assert len(contents) == 1


def test_pictures_stand_at_their_times_with_a_key_picture_every_second(tmp_path: Path, pictures: list[Image]) -> None:
    write_clip(tmp_path / "clip.mp4", pictures, fps=8)

    with av.open(str(tmp_path / "clip.mp4")) as container:
        frames = [(frame.time, frame.key_frame) for frame in container.decode(video=0)]

    assert [time for time, _ in frames] == [i / 8 for i in range(16)]
    assert [i for i, (_, is_key) in enumerate(frames) if is_key] == [0, 8]


def test_a_clip_that_is_cut_off_gives_its_beginning(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    noisy = [rng.integers(0, 255, (48, 64, 3)).astype(np.uint8) for _ in range(16)]
    path = tmp_path / "clip.mp4"
    write_clip(path, noisy, fps=8)

    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])

    assert 5 <= len(read_clip(path)) <= 12

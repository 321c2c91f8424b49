"""The pictures in a file: told from its content, as the readers give them."""

from __future__ import annotations

from pathlib import Path

import pytest

from mekiki.errors import UnreadableError
from mekiki.intake.pictures import Picture, iter_pictures
from mekiki.media.images import read_image
from mekiki.media.sampling import Sampling
from mekiki.media.video import Damage, sample_frames
from videos import Recipe, make_video, packet_places, scramble
from workspaces import write_photo, write_text

EVERY_10 = Sampling("every-n-frames", every_n=10)


def test_a_photo_is_one_picture_whatever_it_is_called(tmp_path: Path) -> None:
    path = write_photo(tmp_path / "a.mp4", 1)

    (only,) = iter_pictures(path, EVERY_10)

    assert isinstance(only, Picture)
    assert (only.read(None) == read_image(path)).all()
    assert (only.index, only.time_s) == (None, None)


def test_a_clip_gives_the_frames_that_are_chosen(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    make_video(path, Recipe(n_frames=25))

    found = [one for one in iter_pictures(path, EVERY_10) if isinstance(one, Picture)]

    frames = list(sample_frames(path, EVERY_10))
    assert [(one.index, one.time_s) for one in found] == [(frame.index, frame.time_s) for frame in frames]
    assert all((one.read(None) == frame.pixels).all() for one, frame in zip(found, frames, strict=True))


def test_a_damaged_clip_ends_with_what_was_lost(tmp_path: Path) -> None:
    clean = make_video(tmp_path / "clip.mp4", Recipe(n_frames=60))
    start, n_bytes, _ = packet_places(clean)[24]
    path = scramble(clean, tmp_path / "damaged.mp4", start + 8, n_bytes - 8)

    *_, last = iter_pictures(path, Sampling("every-n-frames", every_n=1))

    assert isinstance(last, Damage)
    assert last.n_lost_frames > 0


@pytest.mark.parametrize("content", ["", "no picture"])
def test_anything_else_is_unreadable(tmp_path: Path, content: str) -> None:
    with pytest.raises(UnreadableError):
        list(iter_pictures(write_text(tmp_path / "a.jpg", content), EVERY_10))

"""Stated duplicates are the only ones: a quick perceptual hash finds the planted copies and hardly anything else."""

from __future__ import annotations

from collections import Counter
from itertools import combinations
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from numpy.typing import NDArray
from scipy.fft import dctn

from mekiki.demo.clips import read_clip
from mekiki.demo.truth import FileTruth, Truth
from mekiki.demo.world import World, WorldSettings, make_world, read_truth


class Hashes:
    """Perceptual hashes and thumbnails of some pictures of every readable file."""

    def __init__(self, world: World, truth: Truth, n_per_clip: int) -> None:
        self.owners: list[FileTruth] = []
        pictures = []
        for one in truth.files:
            if not one.is_readable:
                continue
            if one.filepath.endswith(".MP4"):
                shown = read_clip(world.folder / one.filepath)
                chosen = [shown[i] for i in np.linspace(0, len(shown) - 1, n_per_clip).astype(int)]
            else:
                chosen = [np.asarray(PIL.Image.open(world.folder / one.filepath))]
            pictures += [PIL.Image.fromarray(picture).convert("L") for picture in chosen]
            self.owners += [one] * len(chosen)
        flipped = [picture.transpose(PIL.Image.Transpose.FLIP_LEFT_RIGHT) for picture in pictures]
        self._hashes, self._flipped = self._hash(pictures), self._hash(flipped)
        self._thumbnails, self._flipped_thumbnails = self._shrink(pictures), self._shrink(flipped)

    @staticmethod
    def _shrink(pictures: list[PIL.Image.Image]) -> NDArray[np.float64]:
        small = [picture.resize((32, 32), PIL.Image.Resampling.LANCZOS) for picture in pictures]
        return np.stack([np.asarray(picture, dtype=np.float64) for picture in small])

    @classmethod
    def _hash(cls, pictures: list[PIL.Image.Image]) -> NDArray[np.float64]:
        low = dctn(cls._shrink(pictures), axes=(1, 2), norm="ortho")[:, :8, :8].reshape(-1, 64)
        return np.where(low > np.median(low[:, 1:], axis=1, keepdims=True), 1.0, -1.0)

    def joined_files(self, max_distance: int = 8, max_difference: float = 16.0) -> set[tuple[str, str]]:
        """Pairs of file paths whose pictures are near-duplicates, straight or mirrored."""
        found = set()
        for hashes, thumbnails in ((self._hashes, self._thumbnails), (self._flipped, self._flipped_thumbnails)):
            near = (64 - self._hashes @ hashes.T) / 2 <= max_distance
            for i, j in zip(*np.nonzero(np.triu(near, 1)), strict=True):
                if np.abs(self._thumbnails[i] - thumbnails[j]).mean() <= max_difference:
                    found.add((self.owners[i].filepath, self.owners[j].filepath))
        return found


def check_near_duplicates(world: World, n_per_clip: int) -> None:
    truth = read_truth(world.folder)
    event_of = {one.filepath: one.event_id for one in truth.files}
    joined = Hashes(world, truth, n_per_clip).joined_files()

    false_joins = {(event_of[a], event_of[b]) for a, b in joined if event_of[a] != event_of[b]}
    planted = {frozenset((one.filepath, one.duplicate_of)) for one in truth.files if one.duplicate_of}
    assert len(false_joins) <= len(set(event_of.values())) // 100
    assert planted <= {frozenset(pair) for pair in joined}


def test_only_planted_copies_are_near_duplicates(tmp_path: Path) -> None:
    world = make_world(tmp_path, WorldSettings(n_clips=12, n_stills=12, n_planted=1, width_px=128))

    check_near_duplicates(world, n_per_clip=4)


@pytest.mark.slow
def test_the_default_world_keeps_its_promises(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    truth = read_truth(tmp_path)

    check_near_duplicates(world, n_per_clip=5)
    assert sum(path.stat().st_size for path in world.files) < 30e6
    assert world.n_events >= 270
    assert {one.site for one in truth.files if "テン" in one.labels} == {"cedar"}
    frames_with = Counter(label for frame in truth.frames for label in frame.labels)
    assert min(frames_with.values()) > 0.6 * max(frames_with.values())
    inhabited = [one for one in truth.files if one.labels]
    assert len(inhabited) > 0.8 * len(truth.files)
    for first, second in combinations(world.classes, 2):
        together = sum({first, second} <= set(one.labels) for one in truth.files)
        assert together <= 12

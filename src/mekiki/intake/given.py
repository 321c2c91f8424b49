"""A split that someone else made, read from its files: who shares what with whom is found in the pixels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from posixpath import normpath

import numpy as np
from numpy.typing import NDArray

from mekiki.dataset.certificate import ALWAYS_ENFORCED, Certificate, CertificateFacts, DealtItems, NearestPair, certify
from mekiki.dataset.claims import placed_groups
from mekiki.dataset.duplicates import group_pairs, nearest_across
from mekiki.dataset.flips import find_flipped_duplicates
from mekiki.dataset.formats.base import Record, complete_claims
from mekiki.dataset.groups import join_atoms
from mekiki.dataset.hashes import THUMB_SIDE_PX, PictureHash, hash_picture
from mekiki.errors import UnreadableError
from mekiki.intake.files import examine_file
from mekiki.media.sampling import Sampling
from mekiki.media.video import sample_frames
from mekiki.records import STATE_CODES, Failure

CLIP_FRAMES = Sampling("n-frames", n_frames=8)
"""What is looked at of a clip: a copy has the same pictures at the same places."""


@dataclass(frozen=True, slots=True)
class GivenFile:
    """One entry of someone's split, with what its file turned out to be."""

    path: Path
    record: Record
    item_id: str
    pictures: tuple[PictureHash, ...]  # one for a photo, several for a clip
    clip: str  # names the clip that it is, or that it is a frame of; for a photo, the photo


@dataclass(frozen=True, slots=True)
class GivenSplit:
    """A whole split of someone else's; entries without a part are left out."""

    files: tuple[GivenFile, ...]
    failures: tuple[Failure, ...]

    @property
    def parts(self) -> list[str]:
        """The part of each file."""
        return [str(one.record.part) for one in self.files]

    def states(self, classes: Sequence[str]) -> NDArray[np.int8]:
        """Return ``(N, C)`` int8: 1 present, 0 absent, -1 unsure or not asked."""
        columns = {name: column for column, name in enumerate(classes)}
        found = np.full((len(self.files), len(classes)), -1, np.int8)
        for row, one in enumerate(self.files):
            for claim in complete_claims(one.record, classes):
                found[row, columns[claim.class_name]] = STATE_CODES[claim.state]
        return found

    def memberships(self) -> list[tuple[str, str, int]]:
        """Return kind, key and row: what the entries state, clips with their frames, and near-duplicates as found."""
        found: list[tuple[str, str, int]] = []
        for row, one in enumerate(self.files):
            found += [(kind, key, row) for kind, key in sorted(placed_groups(one.record.groups).items())]
            found.append(("derived", one.clip, row))
        return found + self._near_duplicates()

    def nearest(self) -> NearestPair | None:
        """Return the rows of the files with the nearest pictures of different parts; None if there are none."""
        arrays = _Arrays(self.files)
        numbers = {part: number for number, part in enumerate(sorted(set(self.parts)))}
        parts = np.array([numbers[str(self.files[owner].record.part)] for owner in arrays.owners], np.int64)
        nearest = nearest_across(arrays.hashes, arrays.mirrored, parts, arrays.is_flat)
        if nearest is None:
            return None
        first, second = (int(arrays.owners[row]) for row in nearest.rows)
        return NearestPair((first, second), nearest.distance, nearest.is_mirrored)

    def _near_duplicates(self) -> list[tuple[str, str, int]]:
        """Return near-duplicate groups of files: clips that share a picture belong together."""
        arrays = _Arrays(self.files)
        found = find_flipped_duplicates(arrays.thumbs, arrays.is_flat)
        pairs = arrays.owners[found.pairs]
        pairs = pairs[pairs[:, 0] != pairs[:, 1]]
        groups = group_pairs(len(self.files), pairs)
        return [("near-duplicate", self.files[group].item_id, row) for row, group in enumerate(groups.tolist())]


class _Arrays:
    """The hashes of all pictures of some files, with the row of the file that each belongs to."""

    def __init__(self, files: Sequence[GivenFile]) -> None:
        pictures = [(row, picture) for row, one in enumerate(files) for picture in one.pictures]
        self.owners = np.array([row for row, _ in pictures], np.int64)
        self.hashes = np.array([picture.bits for _, picture in pictures], np.uint64)
        self.mirrored = np.array([picture.mirrored_bits for _, picture in pictures], np.uint64)
        self.is_flat = np.array([picture.is_flat for _, picture in pictures], np.bool_)
        self.thumbs = np.zeros((len(pictures), THUMB_SIDE_PX, THUMB_SIDE_PX), np.uint8)
        for row, (_, picture) in enumerate(pictures):
            self.thumbs[row] = picture.thumb


def read_given_split(
    entries: Iterable[tuple[Path, Record, Path | None]], n_threads: int = 2, *, allow_truncated: bool = False
) -> GivenSplit:
    """Read every file of someone's split once, also one that several entries speak of.

    Args:
        entries: Real path, what the file says of it, and for a frame the real path of its clip, if that is there.
            Entries without a part are passed over.
        n_threads: How many files are read at once.
        allow_truncated: Take JPEGs whose end is missing as far as they go.

    Returns:
        What was read, in the order of the entries, and what could not be.
    """
    wanted = [entry for entry in entries if entry[1].part]
    paths = list(dict.fromkeys(path for path, _, _ in wanted))
    pool = ThreadPoolExecutor(n_threads)
    try:
        looks = dict(zip(paths, pool.map(partial(_look, allow_truncated=allow_truncated), paths), strict=True))
    finally:
        pool.shutdown(cancel_futures=True)  # Ctrl-C waits for the files in hand and not for all others
    files = []
    for path, record, video_path in wanted:
        look = looks[path]
        if not isinstance(look, Failure):
            files.append(GivenFile(path, record, *look, clip=_name_clip(path, record, video_path)))
    failures = [look for look in looks.values() if isinstance(look, Failure)]
    return GivenSplit(tuple(files), tuple(failures))


def certify_given(given: GivenSplit, classes: Sequence[str], facts: CertificateFacts) -> Certificate:
    """Return the certificate of someone's split.

    Args:
        given: What was read.
        classes: All class names.
        facts: Name and what must be kept together; the nearest pair is added here.

    Raises:
        ValueError: If no file of the split could be read.
    """
    groups = given.memberships()
    enforced = {*ALWAYS_ENFORCED, *facts.enforced}
    same = [("content", one.item_id, row) for row, one in enumerate(given.files)]
    atoms = join_atoms(len(given.files), [one for one in (*groups, *same) if one[0] in enforced])
    names = [str(one.path) for one in given.files]
    item_ids = [one.item_id for one in given.files]
    items = DealtItems(item_ids, names, given.parts, atoms, classes, given.states(classes))
    return certify(items, groups, replace(facts, nearest=given.nearest()))


def _look(path: Path, *, allow_truncated: bool) -> tuple[str, tuple[PictureHash, ...]] | Failure:
    """Return id and pictures of a file."""
    try:
        facts = examine_file(path, allow_truncated=allow_truncated)
        if facts.picture_hash is not None:
            return facts.item_id, (facts.picture_hash,)
        return facts.item_id, tuple(hash_picture(frame.pixels) for frame in sample_frames(path, CLIP_FRAMES))
    except UnreadableError as error:
        return Failure(error.path, error.reason, "split")


def _name_clip(path: Path, record: Record, video_path: Path | None) -> str:
    """Return the real path of a frame's clip, or how it is spelled where it is not there; else the file's own path."""
    if record.parent_path and video_path is None:
        return normpath(record.parent_path.replace("\\", "/"))
    return str((video_path or path).resolve())

"""Print the groups of near-duplicates in a folder, with plain functions and no workspace.

Usage: python examples/find_duplicates.py FOLDER
"""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path

import numpy as np

from mekiki.dataset.duplicates import find_near_duplicates, group_pairs
from mekiki.dataset.hashes import hash_picture
from mekiki.errors import UnreadableError
from mekiki.media.images import read_image
from mekiki.records import IMAGE_SUFFIXES


def find_duplicates(folder: Path) -> list[list[Path]]:
    """Return the groups of two pictures or more; pictures that cannot be read are named on stderr."""
    paths, hashes = [], []
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in IMAGE_SUFFIXES:
            continue
        try:
            hashes.append(hash_picture(read_image(path, at_least_px=128)))
        except UnreadableError as error:
            print(error, file=sys.stderr)
        else:
            paths.append(path)
    if not paths:
        return []
    found = find_near_duplicates(
        np.array([one.bits for one in hashes], np.uint64),
        np.array([one.mirrored_bits for one in hashes], np.uint64),
        np.stack([one.thumb for one in hashes]),
        np.array([one.is_flat for one in hashes]),
    )
    members = defaultdict(list)
    for path, group in zip(paths, group_pairs(len(paths), found.pairs).tolist(), strict=True):
        members[group].append(path)
    return [group for group in members.values() if len(group) > 1]


def main(folder: Path) -> int:
    """Print one group a line."""
    for group in find_duplicates(folder):
        print("  ".join(str(path.relative_to(folder)) for path in group))
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(Path(sys.argv[1])))

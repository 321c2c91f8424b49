"""Near-duplicates in any flip: also those that stand on their head, which a perceptual hash alone does not see.

A picture that is flipped top to bottom, or turned by half, is compared as the picture it would be the right way up. The
work is that of `mekiki.dataset.duplicates` over twice as many pictures.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mekiki.dataset.duplicates import MAX_DIFFERENCE, MAX_DISTANCE, NearDuplicates, find_near_duplicates
from mekiki.dataset.hashes import Thumbs, hash_thumbs


def find_flipped_duplicates(
    thumbs: Thumbs,
    is_flat: NDArray[np.bool_],
    *,
    max_distance: int = MAX_DISTANCE,
    max_difference: float = MAX_DIFFERENCE,
) -> NearDuplicates:
    """Find near-duplicates whether they are upright, mirrored, upside down or both; see `find_near_duplicates`.

    Args:
        thumbs: ``(N, 32, 32)`` uint8. N may be 0.
        is_flat: ``(N,)`` pictures without structure; they are in no pair.
        max_distance: Largest Hamming distance in bits of a candidate.
        max_difference: Largest difference of thumbnails of a near-duplicate.

    Returns:
        Verified pairs that connect all that belongs together; ``is_mirrored`` says that one is a flip of the other.

    Raises:
        ValueError: If shapes or types do not fit, or a limit is out of range.
    """
    n = len(thumbs)
    both = np.concatenate([thumbs, thumbs[:, ::-1]])
    hashes, mirrored = hash_thumbs(both)
    found = find_near_duplicates(
        hashes,
        mirrored,
        both,
        np.concatenate([is_flat, is_flat]),
        max_distance=max_distance,
        max_difference=max_difference,
    )
    is_upside_down = (found.pairs[:, 0] < n) != (found.pairs[:, 1] < n)
    pairs = np.sort(found.pairs % max(n, 1), axis=1)
    is_flipped = found.is_mirrored | is_upside_down
    # Each pair stands twice, once on its head. Of several ways to match, the plainest counts.
    order = np.lexsort((found.differences, is_flipped, pairs[:, 1], pairs[:, 0]))
    pairs = pairs[order]
    is_first = np.ones(len(pairs), np.bool_)
    is_first[1:] = (pairs[1:] != pairs[:-1]).any(axis=1)
    kept = order[is_first & (pairs[:, 0] != pairs[:, 1])]
    chosen = np.sort(found.pairs[kept] % max(n, 1), axis=1)
    return NearDuplicates(chosen, found.distances[kept], found.differences[kept], is_flipped[kept])

"""Near-duplicates among 100,000 pictures: mekiki against what a user would write or install instead, in one run.

The world: 100,000 thumbnails, mixtures of smooth random fields so that hashes spread like those of photos; 2,500 are
noisy copies of others and 2,500 noisy mirror images. Every contender gets the same hashes. Contenders that would take
too long run on fewer rows; their time is then scaled by the growth that the table names. Run this file to print the
table.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.neighbors import BallTree

from mekiki.dataset.duplicates import MAX_DISTANCE, find_near_duplicates, group_pairs, nearest_across
from mekiki.dataset.hashes import FLAT_CONTRAST, Thumbs, hash_thumbs, inner_contrast
from mekiki.neighbours.hamming import Hashes, iter_hamming_pairs

N_PICTURES = 100_000
N_PLANTED = 2_500


def draw_world(n: int, n_planted: int, seed: int = 0) -> tuple[Thumbs, NDArray[np.int64]]:
    """Return n thumbnails and the ``(2 * n_planted, 2)`` pairs planted among them; the second half are mirrored."""
    rng = np.random.default_rng(seed)
    n_scenes = n - 2 * n_planted
    thumbs = np.empty((n, 32, 32), np.uint8)
    for first in range(0, n_scenes, 4096):
        size = min(4096, n_scenes - first)
        mixed = np.zeros((size, 32, 32))
        for side, weight in ((4, 45.0), (8, 25.0), (16, 12.0), (32, 6.0)):
            field = rng.normal(0, weight, (size, side, side))
            mixed += field.repeat(32 // side, axis=1).repeat(32 // side, axis=2)
        thumbs[first : first + size] = np.clip(mixed + 120, 0, 255)
    originals = rng.choice(n_scenes, 2 * n_planted, replace=False)
    copies = thumbs[originals].astype(np.int64)
    copies[n_planted:] = copies[n_planted:, :, ::-1]
    thumbs[n_scenes:] = np.clip(copies + rng.integers(-3, 4, copies.shape), 0, 255)
    return thumbs, np.column_stack([originals, np.arange(n_scenes, n)])


def loop_of_imagehash_users(hashes: Hashes, mirrored: Hashes) -> set[tuple[int, int]]:
    """Compare every hash with all later ones, one NumPy row at a time: bits as booleans, like imagehash keeps them."""
    bits, mirrored_bits = (np.unpackbits(part.view(np.uint8).reshape(-1, 8), axis=1) for part in (hashes, mirrored))
    found: set[tuple[int, int]] = set()
    for row in range(len(hashes)):
        for other in (bits, mirrored_bits):
            distances = np.count_nonzero(bits[row] != other[row + 1 :], axis=1)
            found.update((row, int(near) + row + 1) for near in np.flatnonzero(distances <= MAX_DISTANCE))
    return found


def loop_of_numpy_2_users(hashes: Hashes, mirrored: Hashes) -> set[tuple[int, int]]:
    """Compare every hash with all later ones, one NumPy row at a time, on packed bits with ``bitwise_count``."""
    found: set[tuple[int, int]] = set()
    for row in range(len(hashes)):
        for other in (hashes, mirrored):
            distances = np.bitwise_count(hashes[row] ^ other[row + 1 :])
            found.update((row, int(near) + row + 1) for near in np.flatnonzero(distances <= MAX_DISTANCE))
    return found


def ball_tree(hashes: Hashes, mirrored: Hashes) -> set[tuple[int, int]]:
    """Search a scikit-learn ball tree under the Hamming metric, which counts shares of differing bits."""
    bits, mirrored_bits = (np.unpackbits(part.view(np.uint8).reshape(-1, 8), axis=1) for part in (hashes, mirrored))
    tree = BallTree(bits, metric="hamming")
    found: set[tuple[int, int]] = set()
    for queries in (bits, mirrored_bits):
        for row, near in enumerate(tree.query_radius(queries, (MAX_DISTANCE + 0.5) / 64)):
            found.update((min(row, int(other)), max(row, int(other))) for other in near if other != row)
    return found


def blocked_candidates(hashes: Hashes, mirrored: Hashes) -> set[tuple[int, int]]:
    """Take what `iter_hamming_pairs` yields, without thumbnails: the same task as the other contenders."""
    after = np.arange(1, len(hashes) + 1)
    found: set[tuple[int, int]] = set()
    for other in (hashes, mirrored):
        for lot in iter_hamming_pairs(hashes, other, MAX_DISTANCE, after):
            found.update(zip(lot.query_rows.tolist(), lot.target_rows.tolist(), strict=True))
    return found


def timed(function: Callable[[], Any]) -> tuple[float, Any]:
    started = time.perf_counter()
    result = function()
    return time.perf_counter() - started, result


def recall(pairs: set[tuple[int, int]], planted: NDArray[np.int64]) -> float:
    return sum((int(one), int(other)) in pairs for one, other in planted) / max(len(planted), 1)


def run(n: int = N_PICTURES, n_planted: int = N_PLANTED) -> list[dict[str, Any]]:
    """Return one row per contender: its seconds at n pictures, pairs, recall, and how many times mekiki's time."""
    thumbs, planted = draw_world(n, n_planted)
    seconds_hash, (hashes, mirrored) = timed(lambda: hash_thumbs(thumbs))
    is_flat = inner_contrast(thumbs) < FLAT_CONTRAST
    rows: list[dict[str, Any]] = []

    seconds, found = timed(lambda: find_near_duplicates(hashes, mirrored, thumbs, is_flat))
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    groups = group_pairs(n, found.pairs)
    together = float((groups[planted[:, 0]] == groups[planted[:, 1]]).mean())
    rows.append(_row("mekiki: candidates and verification", n, seconds, "measured", len(found.pairs), together))

    seconds, pairs = timed(lambda: blocked_candidates(hashes, mirrored))
    rows.append(_row("mekiki: candidates only", n, seconds, "measured", len(pairs), recall(pairs, planted)))

    for name, contender, share in (
        ("NumPy row by row, packed uint64", loop_of_numpy_2_users, 1),
        ("NumPy row by row, boolean bits (imagehash style)", loop_of_imagehash_users, 10),
        ("scikit-learn BallTree, Hamming", ball_tree, 10),
    ):
        few, few_planted = draw_world(n // share, n_planted // share)
        few_hashes, few_mirrored = hash_thumbs(few)
        taken, pairs = timed(lambda c=contender, h=few_hashes, m=few_mirrored: c(h, m))  # type: ignore[misc]
        growth = f"{n // share:,} rows, × {share**2} (square)" if share > 1 else "measured"
        rows.append(_row(name, n, taken * share**2, growth, len(pairs), recall(pairs, few_planted)))

    parts = np.random.default_rng(1).choice(3, n, p=[0.7, 0.15, 0.15])[groups]
    seconds, nearest = timed(lambda: nearest_across(hashes, mirrored, parts, is_flat))
    rows.append(_row("mekiki: nearest pair across three parts", n, seconds, "measured", 1, None))
    rows[-1]["note"] = f"nearest: {nearest.distance} bits"
    rows.append(_row("mekiki: hashing thumbnails", n, seconds_hash, "measured", 0, None))
    for row in rows:
        row["ratio"] = row["seconds"] / rows[0]["seconds"]
    rows[0]["note"] = f"peak memory until then {peak_mb:.0f} MB, 105 MB of it the thumbnails"
    return rows


def _row(name: str, n: int, seconds: float, how: str, n_pairs: int, recalled: float | None) -> dict[str, Any]:
    return {"what": name, "n": n, "seconds": seconds, "how": how, "n_pairs": n_pairs, "recall": recalled, "note": ""}


def main() -> None:
    """Print the table in Markdown."""
    print("| What | Pictures | Seconds | Times mekiki | How | Pairs seen | Recall of planted | |")
    print("|---|---:|---:|---:|---|---:|---:|---|")
    for row in run():
        recalled = "" if row["recall"] is None else f"{row['recall']:.4f}"
        print(
            f"| {row['what']} | {row['n']:,} | {row['seconds']:.1f} | {row['ratio']:.1f} | {row['how']} "
            f"| {row['n_pairs']:,} | {recalled} | {row['note']} |"
        )


if __name__ == "__main__":
    main()

"""Dealing pictures of clips out to train, val and test: mekiki against what a user would take instead, in one run.

The world: clips of uneven length (log-normal, about ten pictures each), 20 classes of falling frequency and each in 12
clips or more, one clip in five with a second class, three in ten empty, and empty pictures in every clip. All
contenders get the same clips and shares of .70/.15/.15. scikit-learn's splitters know no pictures with several
classes; they get each picture's set of classes as its one label, and fold counts instead of shares (7 folds: 5, 1, 1).
Run this file to print the table.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import GroupShuffleSplit, StratifiedGroupKFold

from mekiki.dataset.splits import PRESENT, SplitItems, SplitOptions, split_atoms

SHARES = {"train": 0.70, "val": 0.15, "test": 0.15}
N_CLASSES = 20
SIZES = (1_000, 10_000, 100_000)

Parts = NDArray[np.int64]
"""``(N,)`` 0 train, 1 val, 2 test."""


def draw_world(n_items: int, seed: int = 0) -> SplitItems:
    """Return about ``n_items`` pictures in a tenth as many clips, but at least 300 clips."""
    rng = np.random.default_rng(seed)
    n_clips = max(n_items // 10, 300)
    lengths = np.exp(rng.normal(0, 0.8, n_clips))
    clips = np.repeat(np.arange(n_clips), np.maximum(1, lengths * n_items / lengths.sum()).astype(int))
    odds = 1 / np.arange(1, N_CLASSES + 1)
    main = rng.choice(N_CLASSES, n_clips, p=odds / odds.sum())
    main[: 12 * N_CLASSES] = np.tile(np.arange(N_CLASSES), 12)
    is_empty = (rng.random(n_clips) < 0.3) & (np.arange(n_clips) >= 12 * N_CLASSES)
    is_first = np.append(True, clips[1:] != clips[:-1])
    is_seen = ~is_empty[clips] & ((rng.random(len(clips)) < 0.8) | is_first)
    states = np.zeros((len(clips), N_CLASSES), np.int8)
    states[is_seen, main[clips][is_seen]] = PRESENT
    has_second = is_seen & (rng.random(n_clips) < 0.2)[clips]
    states[has_second, (main[clips][has_second] + 1) % N_CLASSES] = PRESENT
    ids = tuple(f"{number:032x}" for number in rng.permutation(len(clips)).tolist())
    return SplitItems(ids, clips, tuple(f"class {number:02}" for number in range(N_CLASSES)), states)


def by_mekiki(items: SplitItems) -> Parts:
    """Deal with `split_atoms`."""
    names = list(SHARES)
    return np.array([names.index(part) for part in split_atoms(items, SplitOptions(SHARES)).tolist()])


def by_stratified_group_k_fold(items: SplitItems) -> Parts:
    """Deal with scikit-learn's StratifiedGroupKFold, sets of classes as labels."""
    labels = np.unique(items.states, axis=0, return_inverse=True)[1]
    parts = np.zeros(len(labels), np.int64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of sets of classes that are rarer than folds
        folds = list(StratifiedGroupKFold(7, shuffle=True, random_state=42).split(labels, labels, items.atoms))
    parts[folds[0][1]], parts[folds[1][1]] = 1, 2
    return parts


def by_group_shuffle_split(items: SplitItems) -> Parts:
    """Deal with scikit-learn's GroupShuffleSplit twice: train from the rest, then val from test."""
    parts = np.zeros(len(items.atoms), np.int64)
    _, rest = next(GroupShuffleSplit(1, test_size=0.3, random_state=42).split(parts, groups=items.atoms))
    _, half = next(GroupShuffleSplit(1, test_size=0.5, random_state=42).split(rest, groups=items.atoms[rest]))
    parts[rest], parts[rest[half]] = 1, 2
    return parts


def by_item(items: SplitItems) -> Parts:
    """Deal picture by picture, as iterative stratification is published: algorithm 1 of Sechidis et al., 2011."""
    rng = np.random.default_rng(42)
    present = items.states == PRESENT
    shares = np.array(list(SHARES.values()))
    desire = shares[:, None] * present.sum(axis=0)
    desire_items = shares * len(present)
    parts = np.full(len(present), -1, np.int64)
    while True:
        n_left = present[parts < 0].sum(axis=0)
        if not n_left.any():
            break
        rarest = int(np.where(n_left > 0, n_left, len(present) + 1).argmin())
        for row in np.flatnonzero(present[:, rarest] & (parts < 0)).tolist():
            part = int(np.lexsort((rng.random(3), desire_items, desire[:, rarest]))[-1])
            parts[row] = part
            desire[part] -= present[row]
            desire_items[part] -= 1
    rest = np.flatnonzero(parts < 0)  # pictures without a class go where pictures are wanted
    odds = np.maximum(desire_items, 0)
    parts[rest] = rng.choice(3, len(rest), p=odds / odds.sum())
    return parts


CONTENDERS: dict[str, Callable[[SplitItems], Parts]] = {
    "mekiki split_atoms": by_mekiki,
    "scikit-learn StratifiedGroupKFold": by_stratified_group_k_fold,
    "scikit-learn GroupShuffleSplit, twice": by_group_shuffle_split,
    "iterative stratification of pictures": by_item,
}


def measure(items: SplitItems, parts: Parts) -> dict[str, Any]:
    """Return label drift, worst distance from the shares, torn clips, and classes missing in a part."""
    present = items.states == PRESENT
    masks = [parts == part for part in range(3)]
    drift = max(float(abs(present[mask].mean(axis=0) - present.mean(axis=0)).max()) for mask in masks)
    off = max(abs(float(mask.mean()) - share) for mask, share in zip(masks, SHARES.values(), strict=True))
    lowest, highest = np.full(items.atoms.max() + 1, 2), np.zeros(items.atoms.max() + 1, np.int64)
    np.minimum.at(lowest, items.atoms, parts)
    np.maximum.at(highest, items.atoms, parts)
    return {
        "drift": drift,
        "off": off,
        "n_torn": int((lowest < highest).sum()),
        "n_missing": sum(int((~present[mask].any(axis=0)).sum()) for mask in masks),
    }


def run(sizes: tuple[int, ...] = SIZES) -> list[dict[str, Any]]:
    """Measure every contender at every size, side by side."""
    rows: list[dict[str, Any]] = []
    for size in sizes:
        items = draw_world(size)
        base_s = 0.0
        for name, deal in CONTENDERS.items():
            start = time.perf_counter()
            parts = deal(items)
            seconds = time.perf_counter() - start
            base_s = base_s or seconds
            counts = {"n": len(parts), "n_atoms": len(np.unique(items.atoms))}
            rows.append(
                {"what": name, **counts, "seconds": seconds, "ratio": seconds / base_s, **measure(items, parts)}
            )
    return rows


def main() -> None:
    """Print the table in Markdown."""
    print("| What | Pictures | Clips | Seconds | Times mekiki | Label drift | Off its share | Clips torn | Gaps |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|---:|")
    for row in run():
        print(
            f"| {row['what']} | {row['n']:,} | {row['n_atoms']:,} | {row['seconds']:.2f} | {row['ratio']:.1f} "
            f"| {row['drift']:.4f} | {row['off']:.4f} | {row['n_torn']:,} | {row['n_missing']} |"
        )


if __name__ == "__main__":
    main()

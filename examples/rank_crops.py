"""Print the pictures of a folder, such as crops of objects, the rarest first, with plain functions and no workspace.

Usage: python examples/rank_crops.py FOLDER [COUNT]

Each picture becomes a vector of its colours, edges and texture, which needs no weights. Two scorers look at the
vectors, and the mean of their ranks decides; of pictures that look alike at most two are shown.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from mekiki.errors import UnreadableError
from mekiki.media.images import read_image
from mekiki.models.embed import EmbedderOpening, open_embedder
from mekiki.neighbours.tables import to_unit_length
from mekiki.rarity.combine import Rule, combine
from mekiki.rarity.diversity import diversify
from mekiki.rarity.pile import Pile, score_all
from mekiki.records import IMAGE_SUFFIXES, Image

AT_MOST_ALIKE = 2


def reader_of(path: Path) -> Callable[[int | None], Image]:
    """Return what reads a picture, no larger than an embedder needs it."""
    return lambda at_least_px: read_image(path, at_least_px=at_least_px)


def read_vectors(folder: Path) -> tuple[list[Path], np.ndarray]:
    """Return the pictures of a folder and their vectors ``(N, D)``; those that cannot be read are named on stderr."""
    embedder = open_embedder(EmbedderOpening("colour-layout"))  # or, with its weights, clip:ViT-B-32/openai
    paths, vectors = [], [np.zeros((0, embedder.space.n_dims), np.float32)]
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in IMAGE_SUFFIXES:
            continue
        try:
            prepared = embedder.prepare(reader_of(path))
        except UnreadableError as error:
            print(error, file=sys.stderr)
        else:
            vectors.append(embedder.embed([prepared]))
            paths.append(path)
    return paths, to_unit_length(np.concatenate(vectors))


def main(folder: Path, count: int) -> int:
    """Print rank, joint score, the score of each scorer, and the picture."""
    paths, vectors = read_vectors(folder)
    if not paths:
        return 0
    scores = score_all(Pile(vectors=vectors, n_neighbours=5, seed=42), ["knn", "isolation"])
    tie_breaker = np.arange(len(paths))
    chosen = combine(scores, {}, "mean-rank", tie_breaker, Rule.parse(f"count:{count}"))
    rows = diversify(vectors, chosen.rows, AT_MOST_ALIKE).rows
    for rank, row in enumerate(rows.tolist(), start=1):
        each = ", ".join(f"{name} {one[row]:.2f}" for name, one in scores.items())
        print(f"{rank}. {chosen.combined[row]:.2f} ({each})  {paths[row].relative_to(folder)}")
    return 0


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) == 3 else 20))

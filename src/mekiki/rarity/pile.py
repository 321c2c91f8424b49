"""A pile of things and what is known of them; every scorer looks at the same pile and the same neighbours.

Letters: N things, D dimensions, C common classes, k neighbours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from mekiki.neighbours.distinct import Distinct, find_distinct
from mekiki.neighbours.shared_knn import KnnGraph, knn_graph
from mekiki.neighbours.tables import RowNumbers, Vectors
from mekiki.rarity.base import SCORERS, Scorer, rank_scale
from mekiki.rarity.maps import MapMethod
from mekiki.records import Scores

KEYWORDS = (
    "construction_vehicle",
    "bicycle",
    "motorcycle",
    "trailer",
    "truck",
    "bulldozer",
    "excavator",
    "forklift",
    "cement_mixer",
    "road_roller",
    "backhoe",
    "cherry_picker",
    "unusual",
    "rare",
    "strange",
)
"""What seed 2 raises a class for, whatever its count."""


@dataclass
class Pile:
    """Things to be ranked, and what scorers may look at. Nothing in it is changed after it was made.

    Attributes:
        vectors: ``(N, D)`` float32, finite, used as they are: give unit vectors to compare directions. None: unknown.
        class_names: ``(N,)`` what each is thought to be; empty where nobody knows.
        common: ``(C, D)`` float32 vectors of the words for what is common, from the same space; None: unknown.
        keywords: Parts of class names that `frequency` raises.
        coordinates: ``(N, 2)`` float32 on a map; None: `map` makes one of the vectors.
        map_method: How: see `mekiki.rarity.maps.make_map`.
        n_neighbours: Neighbours of `knn`.
        n_trees: Of `isolation`.
        seed: Of all that draws.
    """

    vectors: Vectors | None = None
    class_names: tuple[str, ...] = ()
    common: Vectors | None = None
    keywords: tuple[str, ...] = KEYWORDS
    coordinates: NDArray[np.float32] | None = None
    map_method: MapMethod = "auto"
    n_neighbours: int = 10
    n_trees: int = 100
    seed: int = 42
    _graphs: list[tuple[int, int, KnnGraph]] = field(default_factory=list, init=False, repr=False)

    def __post_init__(self) -> None:
        lengths = {len(one) for one in (self.vectors, self.coordinates, self.class_names or None) if one is not None}
        if len(lengths) > 1:
            raise ValueError(f"vectors, class names and coordinates must be of one length, got {sorted(lengths)}")
        if self.vectors is not None and (self.vectors.ndim != 2 or not np.isfinite(self.vectors).all()):
            raise ValueError(f"vectors must be (N, D) and finite, got shape {self.vectors.shape}")
        if min(self.n_neighbours, self.n_trees) < 1:
            raise ValueError(f"n_neighbours and n_trees must be at least 1, got {self.n_neighbours}, {self.n_trees}")

    def __len__(self) -> int:
        """N."""
        known = (self.vectors, self.coordinates, self.class_names or None)
        return next((len(one) for one in known if one is not None), 0)

    @property
    def known_vectors(self) -> Vectors:
        """The vectors.

        Raises:
            ValueError: If there are none.
        """
        if self.vectors is None:
            raise ValueError("this scorer needs vectors, and the pile has none")
        return self.vectors

    @property
    def known_names(self) -> tuple[str, ...]:
        """The class names.

        Raises:
            ValueError: If there are things but no names.
        """
        if len(self) and not self.class_names:
            raise ValueError("this scorer needs class names, and the pile has none")
        return self.class_names

    @cached_property
    def distinct(self) -> Distinct:
        """Which vectors are equal, in an order that does not depend on the rows'."""
        return find_distinct(self.known_vectors)

    @cached_property
    def classes(self) -> RowNumbers:
        """``(N,)`` int64 number of each thing's class, in the order of the names."""
        return np.unique(np.array(self.known_names, dtype=np.str_), return_inverse=True)[1].astype(np.int64)

    def graph(self, k: int, k_class: int = 0) -> KnnGraph:
        """Return neighbours of at least these counts (fewer where there are fewer things), searched at most once.

        Args:
            k: Among all things.
            k_class: Among those of the same class.
        """
        for known_k, known_k_class, graph in self._graphs:
            if k <= known_k and k_class <= known_k_class:
                return graph
        groups = self.classes if k_class else None
        graph = knn_graph(self.known_vectors, k, groups, k_class)
        self._graphs.append((k, k_class, graph))
        return graph


def score_all(pile: Pile, scorers: Sequence[str]) -> dict[str, Scores]:
    """Return every scorer's ranks of the pile, after one search for all the neighbours that they want together.

    Args:
        pile: The things.
        scorers: Names from `SCORERS`; one named twice is computed once.

    Returns:
        Scorer to ``(N,)`` float32 in [0, 1], 1 the rarest; equal things share a score.

    Raises:
        UsageError: If there is no such scorer.
        ValueError: If a scorer needs what the pile lacks.
    """
    chosen: Mapping[str, Scorer] = {name: SCORERS.create(name) for name in scorers}
    for name, scorer in chosen.items():
        check_pile(name, scorer, pile)
    k = max((scorer.n_neighbours(pile) for scorer in chosen.values()), default=0)
    k_class = max((scorer.n_class_neighbours(pile) for scorer in chosen.values()), default=0)
    if k or k_class:
        pile.graph(k, k_class)
    return {name: rank_scale(scorer.raw(pile)) for name, scorer in chosen.items()}


def check_pile(name: str, scorer: Scorer, pile: Pile) -> None:
    """Refuse a pile that lacks what a scorer needs.

    Raises:
        ValueError: If it does.
    """
    wants = {
        "vectors": scorer.needs_vectors and pile.vectors is None,
        "class names": scorer.needs_classes and len(pile) > 0 and not pile.class_names,
        "vectors of common words": scorer.needs_words and pile.common is None,
    }
    if lacking := [what for what, lacks in wants.items() if lacks]:
        raise ValueError(f"{name} needs {' and '.join(lacking)}, and the pile has none")

"""What is judged beside a model's own figures: what a head sees its vectors through, and what that is worth.

Seed 5 puts vectors through a frozen random projection; what it costs, or gains, is told by the same pictures scored
with and without it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from mekiki.metrics.classification import Scored, compare
from mekiki.metrics.intervals import Resampling
from mekiki.training.card import ModelCard

METRIC = "macro_pr_auc"
"""By which projections are compared."""


class Head(NamedTuple):
    """A model on vectors, and what it said of the pictures of a part."""

    name: str
    card: ModelCard
    scored: Scored


def describe_vectors(card: ModelCard) -> dict[str, Any] | None:
    """Return which vectors a model takes and what it sees them through, as plain JSON; None for one of pictures."""
    if card.vectors is None:
        return None
    projection = card.vectors.projection
    return {
        "embedder": card.vectors.embedder,
        "embedder_id": card.vectors.embedder_id,
        "n_dims": card.vectors.n_dims,
        "projection": None if projection is None else projection.model_dump(mode="json"),
    }


def name_projection(vectors: Mapping[str, Any]) -> str:
    """Return what a head sees, in a few characters; ``vectors`` as `describe_vectors` gives it.

    Example:
        >>> name_projection({"projection": None, "n_dims": 512})
        'raw 512'
        >>> name_projection({"projection": {"kind": "pca", "n_dims": 64}, "n_dims": 512})
        'pca 64'
    """
    projection = vectors["projection"]
    return f"raw {vectors['n_dims']}" if projection is None else f"{projection['kind']} {projection['n_dims']}"


def compare_projections(heads: Sequence[Head], part: str, resampling: Resampling) -> list[dict[str, Any]]:
    """Return how much higher PR-AUC is through each projection than on raw vectors, on the same pictures.

    Heads of one embedder are compared, all with the first of them that sees raw vectors, or with the first of all where
    none does. Heads that see the same as that one are left out.

    Args:
        heads: In the order of the evaluation; those of pictures are left out.
        part: Whose pictures they scored; stands in what is returned.
        resampling: Of intervals.

    Returns:
        As ``comparisons`` of ``metrics.json``, with ``first_sees`` and ``second_sees``.
    """

    def space(head: Head) -> tuple[str, str, int]:
        vectors = head.card.vectors
        return ("", "", 0) if vectors is None else (vectors.embedder_id, vectors.embedder, vectors.n_dims)

    found = []
    on_vectors = [head for head in heads if head.card.vectors is not None]
    for _, group in groupby(sorted(on_vectors, key=space), key=space):
        same = list(group)
        base = min(same, key=_is_projected)
        seen = {head.name: name_projection(describe_vectors(head.card) or {}) for head in same}
        for other in same:
            if _projection_of(other) == _projection_of(base):
                continue
            found.append(
                {
                    "first": base.name,
                    "second": other.name,
                    "first_sees": seen[base.name],
                    "second_sees": seen[other.name],
                    "part": part,
                    "metric": METRIC,
                    "difference": compare(base.scored, other.scored, METRIC, resampling).to_json(),
                }
            )
    return found


def _projection_of(head: Head) -> str:
    projection = None if head.card.vectors is None else head.card.vectors.projection
    return "" if projection is None else projection.fingerprint


def _is_projected(head: Head) -> bool:
    return bool(_projection_of(head))

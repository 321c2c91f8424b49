"""Which concepts things fit, by their words and by the stored vectors of their pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mekiki.catalog.db import Catalog
from mekiki.catalog.mining import Mining
from mekiki.catalog.vectors import StoredVectors, VectorRun, require_vectors
from mekiki.engine.queries import opening_of
from mekiki.errors import DataError, NoWordsError
from mekiki.models.base import TextEmbedder
from mekiki.models.caption_settings import CaptionSettings
from mekiki.models.embed import open_text_embedder
from mekiki.rarity.class_names import plain_name, words_of
from mekiki.rarity.concepts import Cosines, adaptive_weights, concept_scores, cosines, rank_concepts
from mekiki.training.vector_space import check_same_space


@dataclass(frozen=True, slots=True)
class Words:
    """Where words have vectors: the run of ``embed`` whose space they share, and what makes them."""

    run: VectorRun
    texts: TextEmbedder


@dataclass(frozen=True, slots=True)
class Fit:
    """What one thing fits.

    Attributes:
        concepts: Score of each concept that it fits at all, best first; empty where there is neither text nor picture.
        weight_text: Share of the text in the scores; None where no picture counted.
    """

    concepts: Mapping[str, float] = field(default_factory=dict)
    weight_text: float | None = None


def open_words(catalog: Catalog, settings: CaptionSettings, mining: Mining) -> Words:
    """Return what makes words' vectors in the space of those that were mined.

    Raises:
        DataError: If the mining has no concepts or no vectors, or words lie in another space.
        BackendError: If the embedder has no words, or cannot be opened.
    """
    if not mining.concepts:
        raise DataError("the mining has no concepts: mekiki mine --concepts driving, or a file of your own")
    if not mining.vector_run_id:
        raise DataError("the mining read no vectors: mekiki embed, then mekiki mine, or --final-rule names")
    run = require_vectors(catalog, mining.vector_run_id)
    given = {"weights": settings.weights} if settings.weights else {}
    try:
        texts = open_text_embedder(opening_of(catalog, run, {"allow_code": settings.allow_code, **given}))
    except NoWordsError as error:
        raise error.for_kinds(mining.settings.get("kind", ["crop"]), "mekiki mine, then this again") from error
    check_same_space(run.space, texts.space, "caption's words")
    return Words(run, texts)


def labels_of(mining: Mining) -> list[str]:
    """Return what things may be: concepts, common classes and targets, each once, however they are written."""
    found: dict[str, str] = {}
    for name in (*mining.concepts, *mining.common_classes, *mining.target_classes):
        found.setdefault(plain_name(name), name)
    return list(found.values())


def fit_concepts(
    catalog: Catalog,
    words: Words,
    labels: Sequence[str],
    told: Sequence[tuple[str, str]],
    weight_text: float | Literal["adaptive"],
    *,
    use_image: bool = True,
) -> list[Fit]:
    """Return what N things fit, in their order; see `mekiki.rarity.concepts`.

    A thing without a text is judged by its picture alone, one whose picture has no vector by its text alone.

    Args:
        catalog: Where the vectors are.
        words: What makes those of words.
        labels: C names of concepts.
        told: Item and text of each; a text may be empty.
        weight_text: Share of the text, or ``adaptive``.
        use_image: Whether pictures count.
    """
    texts = [" ".join(text.replace("_", " ").split()) for _, text in told]
    rows = {text: row for row, text in enumerate(dict.fromkeys(texts))}
    described = words.texts.embed_texts([text or " " for text in rows])[[rows[text] for text in texts]]
    concepts = words.texts.embed_texts([" ".join(words_of(name)) for name in labels])
    has_text = np.array([bool(text) for text in texts], np.bool_)
    has_image, vectors = _pictures(catalog, words, [item_id for item_id, _ in told] if use_image else [], len(told))
    agreement = np.array([cosines(vectors[[row]], described[[row]])[0, 0] for row in range(len(told))], np.float64)
    weight = adaptive_weights(agreement) if weight_text == "adaptive" else np.full(len(told), weight_text, np.float64)
    weight = np.where(has_image, np.where(has_text, weight, 0.0), 1.0)
    text_text: Cosines = np.where(has_text[:, None], cosines(described, concepts), 0.0)
    scores = concept_scores(text_text, cosines(vectors, concepts), weight)
    return [
        Fit(rank_concepts(labels, scores[row]), float(weight[row]) if has_image[row] else None)
        if has_image[row] or has_text[row]
        else Fit()
        for row in range(len(told))
    ]


def _pictures(
    catalog: Catalog, words: Words, item_ids: Sequence[str], n_things: int
) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """Return which things have a vector ``(N,)``, and the vectors ``(N, D)``, zeros where there is none."""
    stored = StoredVectors(catalog, words.run)
    known = stored.having(item_ids)
    has_image = np.array([item_id in known for item_id in item_ids] or [False] * n_things, np.bool_)
    vectors = np.zeros((n_things, words.run.space.n_dims), np.float32)
    if known:
        vectors[has_image] = stored.read([item_id for item_id in item_ids if item_id in known])
    return has_image, vectors

"""Labels from words alone: a picture is compared with descriptions of each class in the space of an embedder.

N is the number of pictures, C of classes, D of dimensions. All vectors are scaled to unit length first.

Reference:
    Radford et al., Learning Transferable Visual Models From Natural Language Supervision, 2021, section 3.1: several
    prompts for a class are averaged in the space of vectors; scores are a softmax over scaled cosines.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mekiki.models.vocabulary import Vocabulary
from mekiki.neighbours.tables import to_unit_length

Decide = Literal["best", "each"]

DEFAULT_TEMPLATES = ("a photo of a {}.", "a blurry photo of a {}.", "a close-up photo of a {}.", "a photo of the {}.")
NEUTRAL = ("a photo.", "a picture of something.", "a photo of nothing in particular.")
"""What a picture shows that shows no class; with ``each``, a class must be nearer than these."""

DEFAULT_SCALE = 100.0
"""By how much cosines are multiplied; CLIP learns to end at this bound."""

EmbedTexts = Callable[[Sequence[str]], NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Wording:
    """What each class is called.

    Attributes:
        class_names: C of them.
        phrases: Of each class, one or more; the name itself comes first.
        templates: Sentences with ``{}`` where a phrase goes.
    """

    class_names: tuple[str, ...]
    phrases: tuple[tuple[str, ...], ...]
    templates: tuple[str, ...] = DEFAULT_TEMPLATES

    def sentences(self, number: int) -> list[str]:
        """Return everything that is said of one class."""
        return [template.replace("{}", phrase) for phrase in self.phrases[number] for template in self.templates]


def wording_of(vocabulary: Vocabulary, templates: Sequence[str]) -> Wording:
    """Return classes with all other words for them that a class file gives."""
    others: dict[str, list[str]] = {name: [] for name in vocabulary.classes}
    for word, name in vocabulary.aliases.items():
        if word != name and word not in others[name]:
            others[name].append(word)
    phrases = tuple((name, *others[name]) for name in vocabulary.classes)
    return Wording(vocabulary.classes, phrases, tuple(templates))


def class_vectors(wording: Wording, embed_texts: EmbedTexts) -> NDArray[np.float32]:
    """Return ``(C + 1, D)`` float32 of unit length: of each class the mean of its sentences, and last of `NEUTRAL`."""
    means = [_mean(embed_texts(wording.sentences(number))) for number in range(len(wording.class_names))]
    return np.stack([*means, _mean(embed_texts(NEUTRAL))])


def zero_shot_scores(
    vectors: NDArray[np.float32], words: NDArray[np.float32], decide: Decide, scale: float = DEFAULT_SCALE
) -> NDArray[np.float32]:
    """Return how well each class describes each picture.

    Args:
        vectors: ``(N, D)`` of pictures, none of them zero. N may be 0.
        words: ``(C + 1, D)``, as `class_vectors` gives them.
        decide: ``best`` shares 1 out among the classes (softmax), for pictures that show one of them. ``each`` weighs
            every class alone against what is said of any picture (logistic), for pictures that show several or none.
        scale: Of the cosines.

    Returns:
        ``(N, C)`` float32 in [0, 1].
    """
    cosines = to_unit_length(vectors) @ words.T
    logits = (scale * cosines).astype(np.float64)
    if decide == "each":
        shares = 1 / (1 + np.exp(-(logits[:, :-1] - logits[:, -1:])))
    else:
        likely = np.exp(logits[:, :-1] - logits[:, :-1].max(axis=1, keepdims=True))
        shares = likely / likely.sum(axis=1, keepdims=True)
    return shares.astype(np.float32)


def zero_shot_labels(scores: NDArray[np.float32], decide: Decide, min_confidence: float) -> NDArray[np.bool_]:
    """Return ``(N, C)``: which classes are present.

    With ``best`` that is the one of the highest score, of equal ones the first, if it is ``min_confidence`` or more;
    with ``each`` all that are.
    """
    is_over: NDArray[np.bool_] = scores >= np.float32(min_confidence)
    if decide == "best":
        is_over &= np.arange(scores.shape[1]) == scores.argmax(axis=1)[:, None]
    return is_over


def _mean(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    mean: NDArray[np.float32] = to_unit_length(to_unit_length(vectors).mean(axis=0, keepdims=True))[0]
    return mean

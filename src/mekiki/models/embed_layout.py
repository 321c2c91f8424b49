"""Embedders without a network: ``colour-layout``, and ``vectors`` that somebody else made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from mekiki.errors import BackendError, UsageError
from mekiki.media.colour_layout import N_DIMS, PREPROCESSING, describe
from mekiki.media.preprocessing import ReadPicture, seen_by
from mekiki.models.base import Embedder, TextEmbedder
from mekiki.models.embed_opening import EmbedderOpening
from mekiki.models.embed_source import WITH_WORDS, Source, Tower, embedder_id
from mekiki.records import Image
from mekiki.training.vector_space import VectorSpace

NAME = "colour-layout"
VERSION = 1
"""Raised whenever `describe` gives other numbers."""


class LayoutSource(Source):
    """The weight-free descriptor of `mekiki.media.colour_layout`."""

    def space(self, opening: EmbedderOpening) -> VectorSpace:
        """Return what its vectors are."""
        _check(opening)
        identity = embedder_id({}, {"kind": NAME, "version": VERSION}, PREPROCESSING)
        return VectorSpace(embedder=NAME, embedder_id=identity, n_dims=N_DIMS, preprocessing=PREPROCESSING)

    def tower(self, opening: EmbedderOpening) -> Tower:
        """Refuse: there is no network.

        Raises:
            BackendError: Always.
        """
        raise BackendError(f"{NAME} has no network that a runtime could run")

    def embedder(self, opening: EmbedderOpening) -> Embedder:
        """Return it ready to embed."""
        return LayoutEmbedder(self.space(opening))


class LayoutEmbedder:
    """See `mekiki.models.base.Embedder`."""

    device = "cpu (numpy)"
    precision = "fp32"

    def __init__(self, space: VectorSpace) -> None:
        self.space = space

    def prepare(self, read: ReadPicture) -> Image:
        """Return a picture as `embed` takes it."""
        return seen_by(read(PREPROCESSING.at_least_px), PREPROCESSING)

    def embed(self, batch: Sequence[Image]) -> NDArray[np.float32]:
        """Return ``(N, D)`` vectors."""
        return np.stack([describe(image) for image in batch]) if batch else np.zeros((0, N_DIMS), np.float32)


class VectorsSource(Source):
    """Vectors that were imported: where they come from only their maker knows."""

    def space(self, opening: EmbedderOpening) -> VectorSpace:
        """Refuse: the catalog knows it.

        Raises:
            BackendError: Always.
        """
        self._refuse(opening)

    def tower(self, opening: EmbedderOpening) -> Tower:
        """Refuse.

        Raises:
            BackendError: Always.
        """
        self._refuse(opening)

    def embedder(self, opening: EmbedderOpening) -> Embedder:
        """Refuse.

        Raises:
            BackendError: Always.
        """
        self._refuse(opening)

    def text(self, opening: EmbedderOpening) -> TextEmbedder:
        """Refuse, and say how words come in.

        Raises:
            BackendError: Always.
        """
        made_by = f"called {opening.what!r}" if opening.what else "and nobody has said of which embedder"
        raise BackendError(
            f"these vectors were imported, {made_by}, so words have no place among them. If one with words made them, "
            f"all clip: ones and hf: those of CLIP and SigLIP, say which: mekiki embed --embedder vectors:{WITH_WORDS}"
        )

    def _refuse(self, opening: EmbedderOpening) -> NoReturn:
        raise BackendError(
            f"{opening.name} are vectors that were imported: they cannot embed pictures. Give vectors of the same "
            "embedder, or embed with one that is here: mekiki list embedders"
        )


def _check(opening: EmbedderOpening) -> None:
    if opening.name != NAME:
        raise UsageError(f"{NAME} has no variants, got {opening.name!r}. Type: --embedder {NAME}")
    opening.refuse_weights()
    opening.refuse_preprocessing("128 x 128 px")
    if opening.output != "auto":
        raise UsageError(f"{NAME} has one output. Leave out --output {opening.output}")
    if opening.runtime not in ("auto", "numpy") or opening.precision not in ("auto", "fp32"):
        raise UsageError(
            f"{NAME} is no network: NumPy computes it in fp32. Leave out --runtime {opening.runtime} and "
            f"--precision {opening.precision}"
        )
    if opening.device not in ("auto", "cpu"):
        raise UsageError(f"{NAME} is computed on the CPU, not on {opening.device}. Type: --device cpu")

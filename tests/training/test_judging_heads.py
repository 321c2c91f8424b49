"""Projections compared: on the same pictures, within one embedder, each with what sees the vectors as they are."""

from __future__ import annotations

import numpy as np
import pytest

from mekiki.metrics.classification import Scored, compare
from mekiki.metrics.intervals import Resampling
from mekiki.training.card import ModelCard
from mekiki.training.judging_heads import Head, compare_projections, describe_vectors
from mekiki.training.vector_space import Projection, VectorSpace
from planted import PREPROCESSING

FEW = Resampling(n_resamples=100)
ORTHOGONAL = Projection(kind="orthogonal", n_dims=256, fingerprint="a" * 16)
PCA = Projection(kind="pca", n_dims=64, fingerprint="b" * 16)


def head(name: str, projection: Projection | None = None, *, noise: float = 0.0, embedder_id: str = "e" * 16) -> Head:
    space = VectorSpace(embedder="clip:ViT-B-32", embedder_id=embedder_id, n_dims=512, projection=projection)
    card = ModelCard(name=name, class_names=("unsafe",), arch="head:mlp", vectors=space)
    return Head(name, card, scored(noise))


def scored(noise: float, seed: int = 0) -> Scored:
    rng = np.random.default_rng(seed)
    truth = (rng.random((400, 1)) < 0.3).astype(np.int8)
    scores = np.clip(0.3 + 0.4 * truth + noise * rng.normal(size=truth.shape), 0, 1).astype(np.float32)
    return Scored(scores, truth, scores >= 0.5, np.arange(400) // 2)


def of_pictures() -> Head:
    return Head("cnn", ModelCard(name="cnn", class_names=("unsafe",), preprocessing=PREPROCESSING), scored(0.1))


def test_each_projection_is_compared_with_raw_vectors_whatever_the_order() -> None:
    heads = [head("seed5", ORTHOGONAL, noise=0.5), of_pictures(), head("raw", noise=0.1), head("pca", PCA, noise=0.1)]

    found = compare_projections(heads, "test", FEW)

    assert [(one["first"], one["second"]) for one in found] == [("raw", "seed5"), ("raw", "pca")]
    assert [(one["first_sees"], one["second_sees"]) for one in found] == [
        ("raw 512", "orthogonal 256"),
        ("raw 512", "pca 64"),
    ]
    worse, same = (one["difference"] for one in found)
    assert worse["high"] < 0
    assert (same["value"], same["low"], same["high"]) == (0, 0, 0)
    assert worse == compare(heads[2].scored, heads[0].scored, "macro_pr_auc", FEW).to_json()
    assert {one["part"] for one in found} == {"test"}


def test_without_raw_vectors_the_first_is_what_others_are_compared_with() -> None:
    (one,) = compare_projections([head("seed5", ORTHOGONAL), head("pca", PCA)], "test", FEW)

    assert (one["first"], one["second"]) == ("seed5", "pca")


@pytest.mark.parametrize(
    "heads",
    [
        pytest.param((), id="nobody"),
        pytest.param((of_pictures(),), id="of pictures"),
        pytest.param((head("a"), head("b")), id="both raw"),
        pytest.param((head("a", PCA), head("b", PCA)), id="the same projection"),
        pytest.param((head("a"), head("b", PCA, embedder_id="f" * 16)), id="other embedders"),
    ],
)
def test_what_does_not_differ_in_its_projection_alone_is_not_compared(heads: tuple[Head, ...]) -> None:
    assert compare_projections(heads, "test", FEW) == []


def test_a_card_tells_its_vectors() -> None:
    told = describe_vectors(head("a", PCA).card)

    assert told is not None
    assert told["projection"] == {"kind": "pca", "n_dims": 64, "fingerprint": "b" * 16}
    assert (told["embedder"], told["n_dims"]) == ("clip:ViT-B-32", 512)
    assert describe_vectors(of_pictures().card) is None

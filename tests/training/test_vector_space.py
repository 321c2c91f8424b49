"""Vectors of one embedder are not taken for those of another."""

from __future__ import annotations

import pytest

from mekiki.errors import DataError
from mekiki.media.preprocessing import Preprocessing
from mekiki.training.vector_space import VectorSpace, check_same_space

CLIP = VectorSpace(embedder="clip:ViT-B-32/openai", embedder_id="0" * 16, n_dims=512, preprocessing=Preprocessing())


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        pytest.param({"n_dims": 768}, "of another length", id="length"),
        pytest.param({"embedder": "timm:resnet18", "embedder_id": "1" * 16}, "of another embedder", id="embedder"),
        pytest.param({"embedder": "timm:resnet18", "embedder_id": ""}, "of another embedder", id="name alone"),
        pytest.param(
            {"embedder_id": "1" * 16, "preprocessing": Preprocessing(interpolation="bicubic")},
            "other preprocessing",
            id="preprocessing",
        ),
        pytest.param({"embedder_id": "1" * 16}, "of other weights", id="weights"),
    ],
)
def test_other_vectors_are_refused_and_both_are_named(changes: dict[str, object], why: str) -> None:
    given = CLIP.model_copy(update=changes)

    with pytest.raises(DataError, match=why) as caught:
        check_same_space(CLIP, given, "model 'unsafe'")

    assert "model 'unsafe'" in str(caught.value)
    assert str(CLIP) in str(caught.value)
    assert str(given) in str(caught.value)


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(CLIP, id="the same"),
        pytest.param(CLIP.model_copy(update={"embedder": "onnx:elsewhere/clip.onnx"}), id="the same in another place"),
        pytest.param(VectorSpace(n_dims=512), id="of an unknown embedder"),
        pytest.param(VectorSpace(n_dims=512, embedder=CLIP.embedder), id="of that name, without an id"),
    ],
)
def test_the_same_vectors_pass_and_so_do_those_of_whom_no_more_is_known(given: VectorSpace) -> None:
    check_same_space(CLIP, given, "a head")
    check_same_space(given, CLIP, "a head")


def test_of_an_unknown_embedder_it_is_said_that_it_has_to_be_found_out() -> None:
    wanted = VectorSpace(n_dims=512)

    with pytest.raises(DataError, match=r"Find out which embedder it was made for, and give that with --embedder"):
        check_same_space(wanted, VectorSpace(embedder="colour-layout", n_dims=100), "a head")
    with pytest.raises(DataError, match=r"Embed with the first$"):
        check_same_space(CLIP, VectorSpace(embedder="colour-layout", n_dims=100), "a head")

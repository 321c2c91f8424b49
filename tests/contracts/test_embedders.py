"""What every kind of embedder keeps to."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from embedders import OPENINGS
from mekiki.errors import BackendError
from mekiki.media.preprocessing import at_hand, prepare
from mekiki.models.base import Embedder
from mekiki.models.embed import (
    EMBEDDERS,
    EmbedderOpening,
    has_network,
    open_embedder,
    open_space,
    open_text_embedder,
    open_tower,
)
from mekiki.records import Image
from workspaces import scene

torch.set_num_threads(1)

TOLERANCE = 1e-4
WITHOUT_WEIGHTS = ("colour-layout",)
WITH_TEXT = ("clip", "hf")
TEXTS = ["a photo of a cat", "the red dog", "blue"]


@pytest.fixture(scope="module", params=sorted(OPENINGS))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def opening(kind: str, tmp_path_factory: pytest.TempPathFactory) -> EmbedderOpening:
    return OPENINGS[kind](tmp_path_factory.mktemp(kind), 0)


@pytest.fixture(scope="module")
def embedder(opening: EmbedderOpening) -> Embedder:
    return open_embedder(opening)


@pytest.fixture(scope="module")
def images() -> list[Image]:
    return [scene(seed, width_px=60 + 7 * seed, height_px=90 - 5 * seed) for seed in range(5)]


def embed_all(embedder: Embedder, images: list[Image]) -> np.ndarray:
    return embedder.embed([embedder.prepare(at_hand(image)) for image in images])


def test_every_registered_kind_is_held_to_this() -> None:
    assert set(OPENINGS) == set(EMBEDDERS.names()) - {"vectors"}


def test_no_picture_gives_no_row_of_full_length(embedder: Embedder) -> None:
    vectors = embedder.embed([])

    assert (vectors.shape, vectors.dtype) == ((0, embedder.space.n_dims), np.float32)


def test_there_is_one_vector_of_finite_numbers_per_picture(embedder: Embedder, images: list[Image]) -> None:
    vectors = embed_all(embedder, images)

    assert (vectors.shape, vectors.dtype) == ((5, embedder.space.n_dims), np.float32)
    assert np.isfinite(vectors).all()
    assert vectors.std(axis=0).max() > 0.001


def test_how_pictures_are_batched_and_ordered_changes_nothing(embedder: Embedder, images: list[Image]) -> None:
    together = embed_all(embedder, images)

    alone = np.concatenate([embed_all(embedder, [image]) for image in images])

    np.testing.assert_allclose(alone, together, atol=TOLERANCE)
    np.testing.assert_allclose(embed_all(embedder, images[::-1])[::-1], together, atol=TOLERANCE)


def test_the_same_pictures_give_the_same_vectors(embedder: Embedder, images: list[Image]) -> None:
    assert (embed_all(embedder, images) == embed_all(embedder, images)).all()


def test_pictures_are_prepared_in_threads_as_in_one(embedder: Embedder, images: list[Image]) -> None:
    def read(image: Image) -> Image:
        return embedder.prepare(at_hand(image))

    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(read, images * 4))

    alone = [read(image) for image in images] * 4
    assert all((one == other).all() for one, other in zip(together, alone, strict=True))


def test_what_is_prepared_has_the_size_that_the_space_says(embedder: Embedder, images: list[Image]) -> None:
    how = embedder.space.preprocessing

    assert how is not None
    assert {(one.shape, one.dtype.name) for one in (embedder.prepare(at_hand(image)) for image in images)} == {
        ((*how.crop_hw, 3), "uint8")
    }


def test_a_jpeg_is_decoded_no_smaller_than_the_preprocessing_wants(embedder: Embedder) -> None:
    asked: list[int | None] = []

    def read(at_least_px: int | None) -> Image:
        asked.append(at_least_px)
        return scene(1, 300, 200)

    embedder.prepare(read)

    assert embedder.space.preprocessing is not None
    assert asked == [embedder.space.preprocessing.at_least_px]


def test_opened_again_it_has_the_same_space(opening: EmbedderOpening, embedder: Embedder) -> None:
    assert open_space(opening) == embedder.space
    assert len(embedder.space.embedder_id) == 16


def test_its_stored_name_opens_it_again(opening: EmbedderOpening, embedder: Embedder) -> None:
    again = EmbedderOpening(
        embedder.space.embedder,
        opening.weights,
        allow_code=opening.allow_code,
        preprocessing=embedder.space.preprocessing,
    )

    assert open_space(again) == embedder.space


def test_other_weights_have_another_id(kind: str, embedder: Embedder, tmp_path: Path) -> None:
    if kind in WITHOUT_WEIGHTS:
        pytest.skip("it has no weights")

    assert open_space(OPENINGS[kind](tmp_path, 1)).embedder_id != embedder.space.embedder_id


def test_the_runtimes_agree(opening: EmbedderOpening, embedder: Embedder, images: list[Image]) -> None:
    if not has_network(opening):
        pytest.skip("no runtime computes it")
    wanted = embed_all(embedder, images)
    for runtime in ("onnx", "openvino") if opening.kind == "onnx" else ("torch", "openvino"):
        found = open_embedder(EmbedderOpening(opening.name, opening.weights, runtime, "cpu", **_rest(opening)))

        np.testing.assert_allclose(embed_all(found, images), wanted, atol=1e-4)
        assert runtime in found.device.replace("onnxruntime", "onnx")
        assert found.precision == "fp32"


def test_the_network_alone_gives_the_vectors(opening: EmbedderOpening, embedder: Embedder, images: list[Image]) -> None:
    if not has_network(opening) or opening.kind == "onnx":
        pytest.skip("it is no module")
    tower = open_tower(opening)
    how = embedder.space.preprocessing
    assert how is not None

    with torch.inference_mode():
        found = tower.network()(torch.from_numpy(np.stack([prepare(image, how) for image in images])))

    np.testing.assert_allclose(embed_all(embedder, images), found.numpy(), atol=TOLERANCE)
    assert tower.space == embedder.space


def test_words_lie_in_the_space_of_the_pictures_or_are_refused(
    kind: str, opening: EmbedderOpening, embedder: Embedder
) -> None:
    if kind not in WITH_TEXT:
        with pytest.raises(BackendError, match="has no text side"):
            open_text_embedder(opening)
        return

    text = open_text_embedder(opening)
    together = text.embed_texts(TEXTS)

    assert text.space == embedder.space
    assert (together.shape, together.dtype) == ((3, embedder.space.n_dims), np.float32)
    assert text.embed_texts([]).shape == (0, embedder.space.n_dims)
    alone = np.concatenate([text.embed_texts([one]) for one in TEXTS])
    np.testing.assert_allclose(alone, together, atol=TOLERANCE)
    assert abs(together[0] - together[1]).max() > 0.001


def _rest(opening: EmbedderOpening) -> dict[str, object]:
    return {"allow_code": opening.allow_code, "image_size": opening.image_size}

"""What every runtime of classifiers keeps to."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from classifiers import CLASSES, make_ensemble, make_model
from mekiki.errors import BackendError, UsageError
from mekiki.media.preprocessing import at_hand
from mekiki.models.base import Classifier
from mekiki.models.classify import CLASSIFIERS, open_classifier
from mekiki.models.opening import Opening
from mekiki.records import Image
from mekiki.training.card import read_card
from workspaces import scene

TOLERANCE = 1e-4
MODELS = ("network", "softmax", "ensemble")

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A network, one whose classes exclude each other, and an ensemble whose members prepare pictures differently."""
    folder = tmp_path_factory.mktemp("models")
    first, second = make_model(folder), make_model(folder, seed=1, image_size=48)
    return {
        "network": first.path,
        "softmax": make_model(folder, seed=2, activation="softmax").path,
        "ensemble": make_ensemble(folder, [first, second], [1, 3]).path,
    }


@pytest.fixture(scope="module", params=CLASSIFIERS.names())
def runtime(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module", params=MODELS)
def classifier(request: pytest.FixtureRequest, runtime: str, files: dict[str, Path]) -> Classifier:
    return open_classifier(Opening(files[request.param], runtime, "cpu"))


@pytest.fixture(scope="module")
def images() -> list[Image]:
    return [scene(seed, width_px=60 + 7 * seed, height_px=90 - 5 * seed) for seed in range(5)]


def test_no_picture_gives_no_row(classifier: Classifier) -> None:
    scores = classifier.score([])

    assert scores.shape == (0, len(CLASSES))
    assert scores.dtype == np.float32


def test_scores_are_one_row_per_picture_within_0_and_1(classifier: Classifier, images: list[Image]) -> None:
    scores = classifier.score([classifier.prepare(at_hand(image)) for image in images])

    assert (scores.shape, scores.dtype) == ((5, len(CLASSES)), np.float32)
    assert ((scores >= 0) & (scores <= 1)).all()
    assert scores.std(axis=0).max() > 0.01


def test_softmax_scores_add_up_to_one_and_no_others(classifier: Classifier, images: list[Image]) -> None:
    scores = classifier.score([classifier.prepare(at_hand(image)) for image in images])

    is_one = np.allclose(scores.sum(axis=1), 1, atol=1e-5)
    assert is_one == (classifier.card.activation == "softmax")


def test_batches_and_their_order_change_nothing(classifier: Classifier, images: list[Image]) -> None:
    prepared = [classifier.prepare(at_hand(image)) for image in images]
    together = classifier.score(prepared)

    single = np.concatenate([classifier.score([one]) for one in prepared])
    backwards = classifier.score(prepared[::-1])[::-1]

    assert np.abs(together - single).max() < TOLERANCE
    assert np.abs(together - backwards).max() < TOLERANCE


def test_scores_of_one_batch_outlive_the_next(classifier: Classifier, images: list[Image]) -> None:
    first = classifier.score([classifier.prepare(at_hand(images[0]))])
    kept = first.copy()

    classifier.score([classifier.prepare(at_hand(image)) for image in images[1:]])

    assert (first == kept).all()


def test_threads_may_prepare_at_once_and_leave_the_picture_alone(classifier: Classifier, images: list[Image]) -> None:
    before = [image.copy() for image in images]

    with ThreadPoolExecutor(4) as threads:
        prepared = list(threads.map(classifier.prepare, map(at_hand, images * 4)))

    for number, one in enumerate(prepared):
        for array, expected in zip(one, classifier.prepare(at_hand(images[number % 5])), strict=True):
            assert (array == expected).all()
    assert all((image == kept).all() for image, kept in zip(images, before, strict=True))


def test_it_says_what_it_is_and_where_it_runs(classifier: Classifier, runtime: str) -> None:
    assert classifier.card.class_names == CLASSES
    assert classifier.device.startswith("cpu")
    assert runtime == "torch" or runtime.removeprefix("onnx") in classifier.device


def test_it_agrees_with_torch(classifier: Classifier, files: dict[str, Path], images: list[Image]) -> None:
    path = next(path for path in files.values() if read_card(path) == classifier.card)
    expected = open_classifier(Opening(path, "torch", "cpu"))

    scores = classifier.score([classifier.prepare(at_hand(image)) for image in images])

    assert np.abs(scores - expected.score([expected.prepare(at_hand(image)) for image in images])).max() < TOLERANCE


def test_it_asks_for_a_picture_once_for_each_size_that_its_networks_want(classifier: Classifier) -> None:
    asked: list[int | None] = []

    def read(px: int | None) -> Image:
        asked.append(px)
        return scene(px or 0)

    classifier.prepare(read)

    assert asked == ([64, 96] if classifier.card.kind == "ensemble" else [64])


def test_a_device_that_does_not_exist_is_refused(runtime: str, files: dict[str, Path]) -> None:
    with pytest.raises(UsageError, match="no device"):
        open_classifier(Opening(files["network"], runtime, "tpu"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_gpu_that_is_not_here_is_refused(runtime: str, files: dict[str, Path]) -> None:
    with pytest.raises((BackendError, UsageError), match=r"(?i)cuda"):
        open_classifier(Opening(files["network"], runtime, "cuda:7"))


def test_weights_of_another_network_are_refused(runtime: str, tmp_path: Path) -> None:
    from mekiki.training.checkpoint import read_tensors, save_model

    model = make_model(tmp_path)
    tensors = read_tensors(model.path)
    tensors.pop(next(iter(tensors)))
    _, path, _ = save_model(tmp_path, model.card, tensors)

    with pytest.raises(BackendError, match="its weights are not those of small-cnn: 1 missing"):
        open_classifier(Opening(path, runtime, "cpu"))

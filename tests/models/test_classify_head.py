"""Heads as classifiers: order, batches and emptiness change nothing; only the vectors they were made for will do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from classifiers import Saved, make_ensemble, make_model  # noqa: E402
from head_files import make_head_file  # noqa: E402
from mekiki.errors import BackendError, DataError, UsageError  # noqa: E402
from mekiki.media.preprocessing import at_hand  # noqa: E402
from mekiki.models.classify import open_classifier  # noqa: E402
from mekiki.models.classify_head import HeadClassifier, VectorScorer, common_space, has_heads, open_scorer  # noqa: E402
from mekiki.models.embed import EmbedderOpening, open_embedder, open_space  # noqa: E402
from mekiki.models.opening import Opening, load_model  # noqa: E402
from mekiki.training.checkpoint import read_tensors, save_model  # noqa: E402
from vectors import space_of  # noqa: E402
from workspaces import scene  # noqa: E402

torch.set_num_threads(1)
LAYOUT = EmbedderOpening("colour-layout")


@pytest.fixture
def head(tmp_path: Path) -> Saved:
    return make_head_file(tmp_path, open_space(LAYOUT))


def scorer_of(model: Saved) -> VectorScorer:
    return VectorScorer(model.card, read_tensors(model.path))


def test_order_and_batches_of_pictures_change_nothing(head: Saved) -> None:
    classifier = open_classifier(Opening(head.path, device="cpu"))
    pictures = [classifier.prepare(at_hand(scene(seed))) for seed in range(5)]

    together = classifier.score(pictures)

    assert together.shape == (5, 2)
    assert together.dtype == np.float32
    assert classifier.score([]).shape == (0, 2)
    assert np.abs(np.concatenate([classifier.score([one]) for one in pictures]) - together).max() < 1e-5
    assert np.abs(classifier.score(pictures[::-1])[::-1] - together).max() < 1e-5


def test_how_long_a_vector_is_makes_no_difference(head: Saved) -> None:
    vectors = np.random.default_rng(0).normal(size=(4, open_space(LAYOUT).n_dims)).astype(np.float32)

    assert np.abs(scorer_of(head).score(vectors * 37) - scorer_of(head).score(vectors)).max() < 1e-5


def test_no_vectors_give_no_scores_and_others_are_refused(head: Saved) -> None:
    n_dims = open_space(LAYOUT).n_dims

    assert scorer_of(head).score(np.zeros((0, n_dims), np.float32)).shape == (0, 2)
    with pytest.raises(DataError, match=f"for vectors of {n_dims} dimensions, and these have 3"):
        scorer_of(head).score(np.zeros((1, 3), np.float32))


def test_another_embedder_is_refused_naming_both(tmp_path: Path) -> None:
    head = make_head_file(tmp_path, space_of(open_space(LAYOUT).n_dims, "clip:X/y"))

    with pytest.raises(DataError, match=r"clip:X/y \(.*colour-layout \("):
        HeadClassifier(scorer_of(head), open_embedder(LAYOUT))


def test_what_looks_at_what(tmp_path: Path, head: Saved) -> None:
    other = make_head_file(tmp_path, space_of(open_space(LAYOUT).n_dims), seed=1)
    twin = make_head_file(tmp_path, open_space(LAYOUT), seed=2, projection_dims=4)
    network = make_model(tmp_path, class_names=("fox", "cat"))
    cards = {
        name: make_ensemble(tmp_path, members, [1, 1], name=name).card
        for name, members in {"same": [head, twin], "two": [head, other], "mixed": [head, network]}.items()
    }

    assert [has_heads(one) for one in (head.card, network.card, *cards.values())] == [True, False, True, True, True]
    assert common_space(head.card) == head.card.vectors
    assert common_space(cards["same"]) == head.card.vectors
    assert [common_space(one) for one in (network.card, cards["two"], cards["mixed"])] == [None, None, None]
    with pytest.raises(ValueError, match="more than the vectors of one embedder"):
        VectorScorer(cards["two"], {})


@pytest.mark.parametrize("said", [None, {"n_dims": 99}, {"kind": "file"}, {"fingerprint": "0" * 16}], ids=str)
def test_a_card_that_names_another_projection_than_the_file_holds_is_refused(
    tmp_path: Path, said: dict[str, object] | None
) -> None:
    made = make_head_file(tmp_path, space_of(8), projection_dims=4)
    card, tensors = load_model(Opening(made.path, "torch", "cpu"))
    assert card.vectors is not None
    assert card.vectors.projection is not None
    other = None if said is None else card.vectors.projection.model_copy(update=said)
    changed = card.model_copy(update={"vectors": card.vectors.model_copy(update={"projection": other})})
    _, path, _ = save_model(tmp_path / "changed", changed, tensors)

    with pytest.raises(BackendError, match=r"and in the file is projection \w+ \(|says other things of its vectors"):
        open_scorer(Opening(path, "torch", "cpu"))


def test_a_projection_that_the_card_names_is_in_the_file(tmp_path: Path) -> None:
    made = make_head_file(tmp_path, space_of(8), projection_dims=4)
    card, tensors = load_model(Opening(made.path, "torch", "cpu"))
    left = {name: one for name, one in tensors.items() if name != "projection.weight"}
    _, path, _ = save_model(tmp_path / "changed", card, left)

    with pytest.raises(BackendError, match="and in the file is no projection"):
        open_scorer(Opening(path, "torch", "cpu"))


def test_a_head_on_vectors_has_no_runtime_to_choose(head: Saved) -> None:
    with pytest.raises(UsageError, match="leave out --runtime"):
        open_scorer(Opening(head.path, runtime="openvino", device="cpu"))

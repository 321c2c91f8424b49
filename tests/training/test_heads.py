"""Heads: the formula, against NumPy; options; model files of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mekiki.errors import UnreadableError, UsageError
from mekiki.training.card import ModelCard, read_card
from mekiki.training.vector_space import Projection, VectorSpace

torch = pytest.importorskip("torch")
from mekiki.training.backbones import BackboneSpec, make_network, start_network  # noqa: E402
from mekiki.training.checkpoint import check_scores_id, load_network, read_tensors, save_model, scores_id_of  # noqa: E402
from mekiki.training.head_plan import LINEAR, MLP  # noqa: E402
from mekiki.training.heads import Head, make_head  # noqa: E402
from mekiki.training.onnx_export import export_onnx  # noqa: E402

torch.set_num_threads(1)

BENT = {
    "tanh": np.tanh,
    "relu": lambda x: np.maximum(x, 0),
    "gelu": lambda x: x * 0.5 * (1 + np.vectorize(__import__("math").erf)(x / np.sqrt(2))),
}


def shuffled(head: Any, seed: int = 0) -> Any:
    """Return the head in evaluation with every tensor drawn anew, so that none is at its default."""
    chance = torch.Generator().manual_seed(seed)
    for name, tensor in head.state_dict().items():
        if tensor.is_floating_point():
            spread = 0.5 + torch.rand(tensor.shape, generator=chance)
            is_positive = name.endswith(("running_var", "variance"))
            tensor.copy_(spread * 0.004 if is_positive else torch.randn(tensor.shape, generator=chance) * 0.2)
    return head.eval()


def in_numpy(vectors: NDArray[np.float64], state: dict[str, NDArray[np.float64]], how: dict[str, Any]) -> Any:
    """Return the logits as the formulas have them; written without looking at the network."""
    x = vectors
    if how.get("normalise", True):
        x = x / np.linalg.norm(x, axis=1, keepdims=True)
    if "projection.weight" in state:
        x = (x - state.get("projection.mean", 0.0)) @ state["projection.weight"].T
        if how["projection_kind"] != "pca":
            x = x / np.linalg.norm(x, axis=1, keepdims=True)
    if how.get("standardise"):
        x = (x - state["standard.mean"]) / (np.sqrt(state["standard.variance"]) + 1e-10)

    def normed(x: Any, name: str) -> Any:
        mean, variance = state[f"{name}.running_mean"], state[f"{name}.running_var"]
        return (x - mean) / np.sqrt(variance + 1e-3) * state[f"{name}.weight"] + state[f"{name}.bias"]

    for number in range(len(how["layers"])):
        if how.get("batch_norm", True):
            x = normed(x, f"blocks.{number}.norm")
        x = x @ state[f"blocks.{number}.dense.weight"].T + state[f"blocks.{number}.dense.bias"]
        x = BENT[how.get("hidden", "tanh")](x)
    if "norm.running_mean" in state:
        x = normed(x, "norm")
    return x @ state["output.weight"].T + state["output.bias"]


@pytest.mark.parametrize(
    ("arch", "how"),
    [
        pytest.param(MLP, {"layers": [5]}, id="seed 5"),
        pytest.param(MLP, {"layers": [5, 4], "hidden": "gelu", "dropout": 0.3}, id="two layers"),
        pytest.param(MLP, {"layers": [5], "projection_dims": 3, "projection_kind": "orthogonal"}, id="orthogonal"),
        pytest.param(MLP, {"layers": [5], "projection_dims": 3, "projection_kind": "pca"}, id="PCA"),
        pytest.param(MLP, {"layers": [6, 4], "hidden": "relu", "batch_norm": False, "standardise": True}, id="LAION"),
        pytest.param(LINEAR, {"layers": []}, id="linear"),
        pytest.param(LINEAR, {"layers": [], "batch_norm": True}, id="linear with normalisation"),
        pytest.param(LINEAR, {"layers": [], "normalise": False}, id="raw vectors"),
    ],
)
def test_a_head_computes_what_the_formulas_say(arch: str, how: dict[str, Any]) -> None:
    head = shuffled(make_head(arch, 2, {"n_inputs": 8, **how}))
    vectors = np.random.default_rng(1).normal(0, 3, (7, 8)).astype(np.float32)
    state = {name: tensor.double().numpy() for name, tensor in head.state_dict().items()}

    found = head(torch.from_numpy(vectors)).detach().numpy()

    np.testing.assert_allclose(found, in_numpy(vectors.astype(np.float64), state, how), rtol=1e-4, atol=2e-5)


def test_the_epsilon_of_keras_matters_and_is_used() -> None:
    head = shuffled(make_head(MLP, 1, {"n_inputs": 8, "layers": [5]}))
    vectors = torch.from_numpy(np.random.default_rng(1).normal(size=(7, 8)).astype(np.float32))
    with_keras = head(vectors)

    head.blocks[0].norm.eps = 1e-5

    assert (head(vectors) - with_keras).abs().max() > 1e-2


def test_lengths_of_vectors_do_not_count_and_a_zero_vector_is_no_accident() -> None:
    head = shuffled(make_head(MLP, 2, {"n_inputs": 4, "layers": [3]}))
    vectors = torch.tensor([[1.0, -2.0, 0.5, 3.0]])

    torch.testing.assert_close(head(vectors), head(vectors * 20))
    assert torch.isfinite(head(torch.zeros(1, 4))).all()


@pytest.mark.parametrize("scale", [1e-36, 1e-14, 1e20, 1e37])
@pytest.mark.parametrize("projection", [{}, {"projection_dims": 3}])
def test_lengths_at_the_ends_of_float32_do_not_count_either(scale: float, projection: dict[str, Any]) -> None:
    head = shuffled(make_head(MLP, 2, {"n_inputs": 4, "layers": [3], **projection}))
    vectors = torch.tensor([[1.0, -2.0, 0.5, 3.0]])

    torch.testing.assert_close(head(vectors * scale), head(vectors))
    if projection:
        head.projection.weight *= scale
        torch.testing.assert_close(head(vectors), head(vectors * 2))


@pytest.mark.parametrize(
    ("arch", "options", "told"),
    [
        pytest.param(MLP, {"n_inputs": 0}, "n_inputs must be 1 or more, got 0", id="no inputs"),
        pytest.param(MLP, {"n_inputs": 4, "layers": [0]}, "layers must be 1 or more, got 0", id="no width"),
        pytest.param(MLP, {"n_inputs": 4, "dropout": 1}, "dropout must lie in [0, 1), got 1", id="dropout"),
        pytest.param(MLP, {"n_inputs": 4, "hidden": "tan"}, "Did you mean 'tanh'", id="activation"),
        pytest.param(
            MLP, {"n_inputs": 4, "projection_dims": 2, "projection_kind": "pac"}, "Did you mean 'pca'", id="projection"
        ),
        pytest.param(MLP, {"n_inputs": 4, "projection_dims": 0}, "projection_dims must be 1 or more", id="no dims"),
        pytest.param(MLP, {"n_inputs": 4, "layers": [1] * 65}, "layers must be 64 or fewer, got 65", id="too many"),
        pytest.param(MLP, {"n_inputs": 4, "normalise": "no"}, "normalise must be true or false, got 'no'", id="text"),
        pytest.param(MLP, {"n_inputs": 4, "width": 3}, "does not take the options", id="unknown option"),
        pytest.param("head:cnn", {"n_inputs": 4}, "no head is called 'head:cnn'", id="unknown head"),
    ],
)
def test_wrong_options_are_refused_by_name(arch: str, options: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError) as caught:
        make_network(BackboneSpec(arch, 2, options), pretrained=False, weights=None, allow_code=False)

    assert told in str(caught.value)


def test_there_are_no_published_weights_of_heads() -> None:
    with pytest.raises(UsageError, match="no pretrained weights for head:mlp"):
        start_network(BackboneSpec(MLP, 2, {"n_inputs": 4}), pretrained=True, weights=None, allow_code=False)


def card_of(head: Head, **changes: Any) -> ModelCard:
    projection = Projection(kind="pca", n_dims=6, fingerprint="0" * 16)
    options = {"n_inputs": 8, "layers": [4, 3], "projection_dims": 6, "projection_kind": "pca"}
    space = VectorSpace(embedder="toy", embedder_id="ab" * 8, n_dims=8, projection=projection)
    return ModelCard(
        **{"name": "x", "arch": MLP, "arch_options": options, "class_names": ("a", "b"), **changes, "vectors": space}
    )


def test_a_head_is_a_model_file_like_any_other(tmp_path: Path) -> None:
    head = shuffled(
        make_head(MLP, 2, {"n_inputs": 8, "layers": [4, 3], "projection_dims": 6, "projection_kind": "pca"})
    )
    vectors = torch.randn(5, 8, generator=torch.Generator().manual_seed(0))

    _, path, _ = save_model(tmp_path, card_of(head), head.state_dict())
    card, tensors = read_card(path), read_tensors(path)
    check_scores_id(card, tensors, path)
    again = load_network(card, tensors, allow_code=False)

    assert torch.equal(again(vectors), head(vectors))
    assert card.is_head


@pytest.mark.parametrize(
    ("options", "space", "told"),
    [
        pytest.param({"n_inputs": 10**9}, {}, "of another shape", id="wide"),
        pytest.param({"layers": [10**9, 10**9]}, {}, "of another shape", id="wide layers"),
        pytest.param({"layers": [10**10, 10**10]}, {}, "options are no head's", id="no tensor is as large"),
        pytest.param({"layers": [1] * 2_000_000}, {}, "64 or fewer", id="many layers"),
        pytest.param({"layers": None}, {}, "options are no head's", id="no list"),
        pytest.param({"hidden": []}, {}, "options are no head's", id="a list"),
        pytest.param({"n_inputs": None}, {}, "n_inputs must be 1 or more", id="no inputs"),
        pytest.param({"evil": 1}, {}, "does not take the options", id="unknown"),
        pytest.param({}, {"n_dims": 9}, "other things of its vectors", id="longer vectors"),
        pytest.param({}, {"is_normalised": False}, "other things of its vectors", id="other lengths"),
        pytest.param({}, {"projection": None}, "other things of its vectors", id="no projection"),
    ],
)
def test_a_card_that_does_not_go_with_its_tensors_is_refused_in_one_line(
    options: dict[str, Any], space: dict[str, Any], told: str
) -> None:
    usual = {"n_inputs": 8, "layers": [4, 3], "projection_dims": 6, "projection_kind": "pca"}
    head = make_head(MLP, 2, usual)
    card = card_of(head)
    assert card.vectors is not None
    changes = {"vectors": card.vectors.model_copy(update=space), "arch_options": {**usual, **options}}

    with pytest.raises(UnreadableError) as caught:
        load_network(card.model_copy(update=changes), head.state_dict(), allow_code=False)

    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_another_space_is_another_scores_id() -> None:
    head = make_head(MLP, 2, {"n_inputs": 8, "layers": [4, 3], "projection_dims": 6, "projection_kind": "pca"})
    card, tensors = card_of(head), head.state_dict()
    assert card.vectors is not None
    changes = [{"embedder_id": "cd" * 8}, {"embedder": "clip:x"}, {"projection": None}]

    ids = [
        scores_id_of(card.model_copy(update={"vectors": card.vectors.model_copy(update=one)}), tensors)
        for one in ({}, *changes)
    ]

    assert len(set(ids)) == len(ids)


def test_a_head_is_not_exported_as_a_graph_of_pixels(tmp_path: Path) -> None:
    head = make_head(MLP, 2, {"n_inputs": 8, "layers": [4, 3], "projection_dims": 6, "projection_kind": "pca"})

    with pytest.raises(UsageError, match="looks at vectors, not at pixels"):
        export_onnx(card_of(head), head.state_dict(), tmp_path / "x.onnx")

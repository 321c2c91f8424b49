"""Heads of others: LAION's give LAION's scores, and what says nothing of its output is not taken for a probability."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from head_files import N_DIMS, laion_scores, laion_tensors  # noqa: E402
from mekiki.errors import UnreadableError, UsageError  # noqa: E402
from mekiki.media.preprocessing import Preprocessing  # noqa: E402
from mekiki.training.checkpoint import load_network  # noqa: E402
from mekiki.training.foreign import read_foreign  # noqa: E402

torch.set_num_threads(1)


def saved(folder: Path, tensors: object) -> Path:
    torch.save(tensors, folder / "head.pth")
    return folder / "head.pth"


def scores_of(path: Path, vectors: np.ndarray) -> np.ndarray:
    card, tensors = read_foreign(path)
    with torch.inference_mode():
        logits = load_network(card, tensors, allow_code=False)(torch.from_numpy(vectors.astype(np.float32)))
    return logits.sigmoid().numpy()


@pytest.mark.parametrize("widths", [(4, 3, 1), (5, 1), (1,), (6, 2)])
def test_a_laion_head_gives_what_its_formula_says(tmp_path: Path, widths: tuple[int, ...]) -> None:
    tensors = laion_tensors(widths=widths)
    vectors = np.random.default_rng(0).normal(size=(20, N_DIMS)) * 3
    path = saved(tmp_path, tensors)
    names = None if widths[-1] == 1 else ["a", "b"]

    card, own = read_foreign(path, class_names=names)
    with torch.inference_mode():
        logits = load_network(card, own, allow_code=False)(torch.from_numpy(vectors.astype(np.float32)))

    assert np.abs(logits.sigmoid().numpy() - laion_scores(tensors, vectors)).max() < 1e-5


def test_it_says_what_it_is_without_being_told(tmp_path: Path) -> None:
    card, _ = read_foreign(saved(tmp_path, laion_tensors()))

    assert card.is_head
    assert (card.name, card.class_names, card.activation) == ("head", ("unsafe",), "sigmoid")
    assert card.settings["negative"] == "safe"
    assert card.vectors is not None
    assert (card.vectors.embedder, card.vectors.embedder_id, card.vectors.n_dims) == ("", "", N_DIMS)
    assert card.vectors.is_normalised


def test_its_class_can_be_named(tmp_path: Path) -> None:
    card, _ = read_foreign(saved(tmp_path, laion_tensors()), class_names=["violent"])

    assert card.class_names == ("violent",)
    assert "negative" not in card.settings


def test_wrappers_and_keys_around_it_do_not_matter(tmp_path: Path) -> None:
    wrapped = {"state_dict": {f"module.{name}": tensor for name, tensor in laion_tensors().items()}, "epoch": 3}
    vectors = np.eye(N_DIMS)

    found = scores_of(saved(tmp_path, wrapped), vectors)

    assert np.abs(found - laion_scores(laion_tensors(), vectors)).max() < 1e-5


@pytest.mark.parametrize(
    ("given", "words"),
    [
        pytest.param({"arch": "resnet18"}, "Leave out --arch", id="a backbone"),
        pytest.param({"activation": "softmax"}, "Leave out --activation", id="another activation"),
        pytest.param({"class_names": ["a", "b"]}, "1 outputs", id="two classes for one output"),
        pytest.param({"preprocessing": Preprocessing()}, "sees no pixels", id="how pictures are prepared"),
    ],
)
def test_what_is_given_and_not_so_is_refused(tmp_path: Path, given: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        read_foreign(saved(tmp_path, laion_tensors()), **given)  # type: ignore[arg-type]


def test_several_outputs_have_to_be_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Name all 2 in order: --classes"):
        read_foreign(saved(tmp_path, laion_tensors(widths=(4, 2))))


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        pytest.param({"linear_2.bias": None}, "lacks linear_2.bias", id="a bias is missing"),
        pytest.param({"linear_2.weight": torch.zeros(3, 9)}, "layer 2 of the head is", id="layers do not follow"),
        pytest.param({"norm.variance": torch.full((N_DIMS,), -1.0)}, "norm.variance", id="a variance below 0"),
        pytest.param({"norm.mean": torch.full((N_DIMS,), torch.nan)}, "norm.mean", id="a mean that is no number"),
        pytest.param({"norm.variance": torch.full((N_DIMS,), torch.inf)}, "norm.variance has", id="no end of variance"),
        pytest.param({"norm.mean": torch.zeros(N_DIMS).cfloat()}, "norm.mean is complex64", id="a complex mean"),
        pytest.param({"linear_1.weight": torch.zeros(4, 8).to(torch.float8_e4m3fn)}, "is float8", id="eight bits"),
        pytest.param({"linear_1.weight": torch.ones(4, 8).double() * 1e200}, "not finite in float32", id="too large"),
        pytest.param({"linear_1.weight": torch.ones(4, 8).to_sparse()}, "no plain array", id="sparse"),
        pytest.param({"linear_1.weight": torch.empty(4, 8, device="meta")}, "no plain array", id="meta"),
        pytest.param({"linear_1.weight": torch.ones(1).expand(10**6, 10**6)}, "no plain array", id="expanded"),
        pytest.param({"norm.mean": torch.zeros(N_DIMS, 1)}, "no two vectors", id="a mean that is no vector"),
        pytest.param(
            {"linear_3.bias": torch.full((1,), torch.inf)},
            "linear_3.bias has numbers that are not finite",
            id="a bias without end",
        ),
    ],
)
def test_a_damaged_one_is_refused(tmp_path: Path, changed: dict[str, object], words: str) -> None:
    tensors = {name: one for name, one in {**laion_tensors(), **changed}.items() if one is not None}

    with pytest.raises(UnreadableError, match=words):
        read_foreign(saved(tmp_path, tensors))


def test_a_nested_tensor_is_refused(tmp_path: Path) -> None:
    nested = torch.nested.nested_tensor([torch.ones(2)])

    with pytest.raises(UnreadableError, match=r"'weight' is no plain array|no PyTorch checkpoint|more than tensors"):
        read_foreign(saved(tmp_path, {"weight": nested, "bias": torch.zeros(1)}))


def test_a_single_linear_layer_is_no_probability_unless_somebody_says_so(tmp_path: Path) -> None:
    layer = {"weight": torch.ones(1, N_DIMS), "bias": torch.zeros(1)}

    with pytest.raises(UsageError, match=r"no probability.*--activation sigmoid --classes NAME"):
        read_foreign(saved(tmp_path, layer))
    with pytest.raises(UsageError, match="--classes"):
        read_foreign(saved(tmp_path, layer), activation="sigmoid")
    card, tensors = read_foreign(saved(tmp_path, layer), activation="sigmoid", class_names=["nice"])

    assert (card.arch, card.class_names) == ("head:linear", ("nice",))
    with torch.inference_mode():
        logit = load_network(card, tensors, allow_code=False)(torch.full((1, N_DIMS), 5.0))
    assert logit.item() == pytest.approx(N_DIMS**0.5, rel=1e-5)  # of unit length first


def test_tensors_that_only_look_a_little_like_a_head_are_none(tmp_path: Path) -> None:
    almost = {**laion_tensors(), "extra.weight": torch.ones(1)}

    with pytest.raises(UsageError, match="does not say what network it is"):
        read_foreign(saved(tmp_path, almost))


def test_the_real_heads_of_laion_are_read(shared_data: Path) -> None:
    folder = shared_data / "nsfw" / "clip_heads"
    vectors = np.load(shared_data / "captions" / "flickr8k_clip_vitb32" / "image_embeddings.npy")
    with (shared_data / "nsfw" / "expected_scores_flickr8k_clip_vitb32.csv").open() as file:
        expected = [float(row["nsfw_probability"]) for row in csv.DictReader(file)]

    found = scores_of(folder / "clip_ViT-B-32_openai_binary_nsfw_head.pth", vectors)
    large, tensors = read_foreign(folder / "clip_ViT-L-14_openai_binary_nsfw_head.pth")

    assert np.abs(found[:, 0] - expected).max() < 1e-5
    assert large.vectors is not None
    assert large.vectors.n_dims == 768
    assert large.arch_options["layers"] == [64, 512, 256]
    load_network(large, tensors, allow_code=False)


def test_the_real_aesthetic_heads_are_refused_by_a_line(shared_data: Path) -> None:
    with pytest.raises(UsageError, match="about 1 to 10, is no probability"):
        read_foreign(shared_data / "weights" / "aesthetic" / "sa_0_4_vit_b_32_linear.pth")

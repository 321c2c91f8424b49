"""Projections: orthonormal rows, PCA's directions, files of them, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mekiki.errors import DataError, UnreadableError, UsageError
from mekiki.training.card import ModelCard
from mekiki.training.vector_space import Projection, VectorSpace

torch = pytest.importorskip("torch")
from mekiki.training.checkpoint import save_model  # noqa: E402
from mekiki.training.head_plan import MLP  # noqa: E402
from mekiki.training.heads import make_head  # noqa: E402
from mekiki.training.projections import (  # noqa: E402
    ProjectionMatrix,
    orthogonal_projection,
    parse_projection,
    pca_projection,
    read_projection,
)

torch.set_num_threads(1)


def test_what_projection_means() -> None:
    assert parse_projection("orthogonal:256") == ("orthogonal", 256)
    assert parse_projection("pca:2") == ("pca", 2)
    assert parse_projection("models/clip_projection.pt") == Path("models/clip_projection.pt")


@pytest.mark.parametrize("text", ["orthogonal", "pca:", "pca:0", "pca:-1", "orthogonal:2.5"])
def test_a_kind_without_a_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="wants its number of dimensions, such as"):
        parse_projection(text)


def test_rows_of_the_random_one_are_orthonormal_and_follow_from_the_seed() -> None:
    made = orthogonal_projection(512, 256, seed=5)

    assert made.weight.shape == (256, 512)
    assert np.abs(made.weight @ made.weight.T - np.eye(256)).max() < 1e-6
    assert np.array_equal(made.weight, orthogonal_projection(512, 256, seed=5).weight)
    assert made.fingerprint != orthogonal_projection(512, 256, seed=6).fingerprint


def test_the_random_one_is_what_seed_5_draws() -> None:
    """`torch.nn.init.orthogonal_` on a Linear without bias, after `torch.manual_seed`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        matrix = torch.nn.init.orthogonal_(torch.empty(4, 8))

    assert np.array_equal(orthogonal_projection(8, 4, seed=5).weight, matrix.numpy())


def test_pca_finds_planted_directions_in_order() -> None:
    chance = np.random.default_rng(0)
    axes = np.linalg.qr(chance.normal(size=(10, 10)))[0][:3]
    vectors = (chance.normal(size=(4000, 3)) * [9, 4, 2]) @ axes + chance.normal(0, 0.1, (4000, 10)) + 7

    found = pca_projection(vectors.astype(np.float32), 3)

    assert np.abs(np.abs(found.weight @ axes.T) - np.eye(3)).max() < 0.05
    assert (found.weight[np.arange(3), np.abs(found.weight).argmax(axis=1)] > 0).all()
    assert found.mean is not None
    np.testing.assert_allclose(found.mean, vectors.mean(axis=0), rtol=1e-5)


def test_too_many_dimensions_are_refused() -> None:
    with pytest.raises(UsageError, match="these have 8: give 8 or less"):
        orthogonal_projection(8, 9, seed=0)
    with pytest.raises(UsageError, match="these have 8: give 8 or less"):
        pca_projection(np.zeros((20, 8), np.float32), 9)
    with pytest.raises(DataError, match="needs more than 4 vectors to learn from, and there are 4"):
        pca_projection(np.zeros((4, 8), np.float32), 4)


@pytest.mark.parametrize("name", ["p.pt", "p.pth", "p.npy", "p.safetensors"])
def test_a_projection_comes_back_from_a_file_with_its_fingerprint(tmp_path: Path, name: str) -> None:
    made, path = orthogonal_projection(8, 4, seed=1), tmp_path / name
    if name.endswith("npy"):
        np.save(path, made.weight)
    elif name.endswith("safetensors"):
        pytest.importorskip("safetensors.torch").save_file({"weight": torch.from_numpy(made.weight)}, path)
    else:
        torch.save({"weight": torch.from_numpy(made.weight)}, path)

    read = read_projection(path)

    assert read.kind == "file"
    assert np.array_equal(read.weight, made.weight)
    assert read.fingerprint == made.fingerprint


def save_head(folder: Path, projection: ProjectionMatrix | None) -> Path:
    described = None if projection is None else projection.describe()
    options = {"n_inputs": 8, "layers": [3]}
    if projection is not None:
        options |= {"projection_dims": len(projection.weight), "projection_kind": projection.kind}
    head = make_head(MLP, 1, options)
    if projection is not None:
        head.load_state_dict(projection.tensors(), strict=False)
    space = VectorSpace(n_dims=8, projection=described)
    card = ModelCard(name="earlier", arch=MLP, arch_options=options, class_names=("a",), vectors=space)
    return save_model(folder, card, head.state_dict())[1]


def test_a_head_of_ours_gives_its_projection(tmp_path: Path) -> None:
    made = orthogonal_projection(8, 4, seed=1)

    read = read_projection(save_head(tmp_path, made))

    assert read.fingerprint == made.fingerprint
    assert read.describe() == Projection(kind="file", n_dims=4, fingerprint=made.fingerprint)


def test_a_head_without_one_or_with_pca_gives_none(tmp_path: Path) -> None:
    pca = pca_projection(np.random.default_rng(0).normal(size=(30, 8)).astype(np.float32), 4)

    for projection, told in ((None, "has no projection"), (pca, "belongs to its own training part")):
        with pytest.raises(UsageError, match=told):
            read_projection(save_head(tmp_path, projection))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        pytest.param(np.zeros(3, np.float32), "this holds one vector", id="one row"),
        pytest.param(np.array([["a"]]), "vectors are float16", id="text"),
        pytest.param(np.array([[np.nan, 1.0], [1.0, 1.0]], np.float32), "has finite numbers", id="not finite"),
        pytest.param(np.zeros((0, 3), np.float32), "holds no vector", id="empty"),
        pytest.param(np.array([[object()]], object), "pickled Python objects", id="objects"),
    ],
)
def test_an_array_that_is_no_projection_is_refused(tmp_path: Path, content: np.ndarray, told: str) -> None:
    np.save(tmp_path / "p.npy", content, allow_pickle=True)

    with pytest.raises(UnreadableError, match=told):
        read_projection(tmp_path / "p.npy")


@pytest.mark.parametrize(
    "header",
    ["{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000, 512), }\n", "(" * 9000],
    ids=["huge", "deep"],
)
def test_a_hostile_header_is_refused(tmp_path: Path, header: str) -> None:
    content = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode()
    (tmp_path / "p.npy").write_bytes(content)

    with pytest.raises(UnreadableError, match="broken: "):
        read_projection(tmp_path / "p.npy")


def test_a_linear_map_with_a_bias_is_no_projection(tmp_path: Path) -> None:
    torch.save(torch.nn.Linear(4, 2).state_dict(), tmp_path / "p.pt")

    with pytest.raises(UnreadableError, match=r"without bias, and this holds weight \(2, 4\), bias \(2,\)"):
        read_projection(tmp_path / "p.pt")


def test_a_file_that_is_not_there_or_of_another_sort(tmp_path: Path) -> None:
    with pytest.raises(UnreadableError, match="No such file"):
        read_projection(tmp_path / "p.npy")
    with pytest.raises(UsageError, match="ends in"):
        read_projection(tmp_path / "p.txt")

"""Maps keep what is alike together, whatever the number of vectors, and are the same for a seed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.decomposition import PCA

from mekiki.errors import MissingExtraError
from mekiki.rarity.maps import MIN_DISTINCT, make_map, perplexity_of, principal_plane
from mekiki.rarity.packages import has_opentsne, import_opentsne

Matrix = NDArray[np.float32]

METHODS = ["pca", "tsne"]  # umap compiles for half a minute; it has its own slow test


def clusters(n_each: int, n_clusters: int = 4, n_dims: int = 16, seed: int = 0) -> tuple[Matrix, NDArray[np.int64]]:
    generator = np.random.default_rng(seed)
    middles = 8 * generator.normal(size=(n_clusters, n_dims))
    which = np.repeat(np.arange(n_clusters), n_each)
    return (middles[which] + generator.normal(size=(len(which), n_dims))).astype(np.float32), which


def nearest_agree(plane: Matrix, which: NDArray[np.int64]) -> float:
    squares = ((plane[:, None] - plane[None]) ** 2).sum(axis=2)
    np.fill_diagonal(squares, np.inf)
    return float((which[squares.argmin(axis=1)] == which).mean())


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("n", [0, 1, 2, 3, 4, 5, 6, 20])
def test_any_number_of_vectors_gets_as_many_finite_places(method: str, n: int) -> None:
    vectors = np.random.default_rng(n).normal(size=(n, 8)).astype(np.float32)

    plane, used = make_map(vectors, method, seed=1)  # type: ignore[arg-type]

    assert plane.shape == (n, 2)
    assert plane.dtype == np.float32
    assert np.isfinite(plane).all()
    assert used == (method if n >= MIN_DISTINCT else "pca")


@pytest.mark.parametrize("method", METHODS)
def test_the_same_seed_gives_the_same_map(method: str) -> None:
    vectors, _ = clusters(15)

    first, _ = make_map(vectors, method, seed=3)  # type: ignore[arg-type]
    second, _ = make_map(vectors.copy(), method, seed=3)  # type: ignore[arg-type]

    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("method", METHODS)
def test_what_is_alike_lies_together(method: str) -> None:
    vectors, which = clusters(25)

    plane, _ = make_map(vectors, method)  # type: ignore[arg-type]

    assert nearest_agree(plane, which) > 0.97  # by chance: 0.24


@pytest.mark.parametrize("method", METHODS)
def test_vectors_that_are_all_equal_lie_at_one_place(method: str) -> None:
    plane, used = make_map(np.full((40, 5), 0.25, np.float32), method)  # type: ignore[arg-type]

    assert used == "pca"
    np.testing.assert_array_equal(plane, np.zeros((40, 2)))


@pytest.mark.parametrize("method", METHODS)
def test_many_duplicates_stay_beside_each_other(method: str) -> None:
    five = np.random.default_rng(0).normal(size=(5, 8)).astype(np.float32)

    plane, used = make_map(np.repeat(five, 60, axis=0), method)  # type: ignore[arg-type]

    assert used == method
    assert np.isfinite(plane).all()
    groups = plane.reshape(5, 60, 2)
    assert groups.std(axis=1).max() < 0.05 * plane.std(axis=0).min()


def test_pca_gives_what_scikit_learn_gives_up_to_mirroring() -> None:
    vectors, _ = clusters(30)

    ours, theirs = principal_plane(vectors), PCA(2, svd_solver="full").fit_transform(vectors)

    for axis in range(2):
        sign = np.sign(ours[:, axis] @ theirs[:, axis])
        np.testing.assert_allclose(ours[:, axis], sign * theirs[:, axis], rtol=1e-3, atol=1e-3)


def test_pca_does_not_depend_on_the_order_of_rows() -> None:
    vectors, _ = clusters(30)
    order = np.random.default_rng(1).permutation(len(vectors))

    np.testing.assert_allclose(principal_plane(vectors)[order], principal_plane(vectors[order]), atol=1e-4)


def test_one_dimension_is_laid_along_a_line() -> None:
    plane = principal_plane(np.array([[3.0], [5.0], [4.0]], np.float32))

    np.testing.assert_allclose(plane, [[-1, 0], [1, 0], [0, 0]])


@pytest.mark.parametrize("n", [4, 5, 16, 91, 92, 10_000])
def test_the_perplexity_is_what_so_many_vectors_allow(n: int) -> None:
    assert 1 <= perplexity_of(n) <= min(30, (n - 1) / 3)
    assert n < 92 or perplexity_of(n) == 30


def test_auto_says_which_method_it_took() -> None:
    vectors, _ = clusters(5)

    assert make_map(vectors)[1] == ("tsne" if has_opentsne() else "pca")


def test_wrong_calls_say_what_would_be_right() -> None:
    with pytest.raises(ValueError, match=r"vectors must be \(N, D\) and finite, got \(3,\)"):
        make_map(np.zeros(3, np.float32))
    with pytest.raises(ValueError, match="finite"):
        make_map(np.full((3, 2), np.nan, np.float32))
    with pytest.raises(ValueError, match="method must be one of auto, tsne, umap, pca, got 'mds'"):
        make_map(np.zeros((3, 2), np.float32), "mds")  # type: ignore[arg-type]


def test_a_missing_package_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openTSNE", None)

    with pytest.raises(MissingExtraError, match=r'pip install "mekiki\[maps\]"'):
        import_opentsne()


UMAP_ONCE = """
import socket, sys
def refuse(*_args, **_kwargs): raise SystemExit("it opened a connection")
socket.socket.connect = socket.create_connection = refuse
import numpy as np
from mekiki.rarity.maps import make_map
generator = np.random.default_rng(0)
which = np.repeat(np.arange(4), 20)
vectors = (8 * generator.normal(size=(4, 8))[which] + generator.normal(size=(80, 8))).astype(np.float32)
first, used = make_map(vectors, "umap", 1)
assert used == "umap" and np.isfinite(first).all()
np.testing.assert_array_equal(first, make_map(vectors, "umap", 1)[0])
squares = ((first[:, None] - first[None]) ** 2).sum(axis=2)
np.fill_diagonal(squares, np.inf)
assert (which[squares.argmin(axis=1)] == which).mean() > 0.97
for n in (4, 5, 9):
    assert np.isfinite(make_map(vectors[:n], "umap", 1)[0]).all()
doubled = np.repeat(vectors[:5], 40, axis=0)
assert np.isfinite(make_map(doubled, "umap", 1)[0]).all()
"""


@pytest.mark.slow
def test_umap_holds_the_same_laws_and_leaves_nothing_behind(tmp_path: Path) -> None:
    pytest.importorskip("umap")
    home, temporary = tmp_path / "home", tmp_path / "tmp"
    home.mkdir(), temporary.mkdir()
    environment = {**os.environ, "HOME": str(home), "TMPDIR": str(temporary)}
    environment.pop("NUMBA_CACHE_DIR", None)
    package = Path(sys.prefix) / "lib"
    compiled = set(package.rglob("*.nbi"))

    done = subprocess.run(
        [sys.executable, "-c", UMAP_ONCE], env=environment, capture_output=True, text=True, timeout=180
    )

    assert done.returncode == 0, done.stderr
    assert list(home.rglob("*")) == []
    assert list(temporary.iterdir()) == []
    assert set(package.rglob("*.nbi")) == compiled

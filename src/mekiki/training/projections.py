"""Linear maps before a head: seed 5's random one, PCA, or one from a file. D numbers go in, P come out."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from mekiki.dataset.formats.npy import open_vector_file
from mekiki.errors import DataError, UnreadableError, UsageError
from mekiki.training.packages import import_torch
from mekiki.training.vector_space import Projection
from mekiki.training.weights import read_weights

if TYPE_CHECKING:
    from torch import Tensor

RANDOM = ("orthogonal", "pca")
"""Kinds that are made and not read: ``KIND:P``."""

OWN_WEIGHT, OWN_MEAN = "projection.weight", "projection.mean"
"""Names of the tensors in a head's file."""


@dataclass(frozen=True, slots=True)
class ProjectionMatrix:
    """A projection with its numbers.

    Attributes:
        kind: ``orthogonal`` and ``file`` give vectors of unit length; ``pca`` takes off ``mean`` first.
        weight: ``(P, D)`` float32.
        mean: ``(D,)`` float32, of PCA.
    """

    kind: Literal["orthogonal", "pca", "file"]
    weight: NDArray[np.float32]
    mean: NDArray[np.float32] | None = None

    @property
    def fingerprint(self) -> str:
        """16 hex digits of SHA-256 over shape, matrix and mean: the same numbers from a file have the same."""
        digest = hashlib.sha256(f"{self.weight.shape}\n".encode())
        for one in (self.weight, self.mean):
            if one is not None:
                digest.update(np.ascontiguousarray(one, "<f4").tobytes())
        return digest.hexdigest()[:16]

    def describe(self) -> Projection:
        """Return what a card says of it."""
        return Projection(kind=self.kind, n_dims=len(self.weight), fingerprint=self.fingerprint)

    def tensors(self) -> dict[str, Tensor]:
        """Return it under the names that it has in a head's file."""
        torch = import_torch()
        own = {OWN_WEIGHT: torch.from_numpy(self.weight.copy())}
        return own if self.mean is None else {**own, OWN_MEAN: torch.from_numpy(self.mean.copy())}


def parse_projection(text: str) -> tuple[Literal["orthogonal", "pca"], int] | Path:
    """Return what ``--projection`` means: a kind and P, or a file.

    Raises:
        ValueError: If a kind has no P, or one that is no whole number of 1 or more.

    Example:
        >>> parse_projection("pca:64")
        ('pca', 64)
    """
    kind, _, size = text.partition(":")
    if kind not in RANDOM:
        return Path(text).expanduser()
    if not size.isdecimal() or int(size) < 1:
        raise ValueError(f"{kind} wants its number of dimensions, such as {kind}:256")
    return "orthogonal" if kind == "orthogonal" else "pca", int(size)


def orthogonal_projection(n_dims: int, n_out: int, seed: int) -> ProjectionMatrix:
    """Return seed 5's frozen projection: random orthonormal rows, drawn as PyTorch's ``orthogonal_`` does.

    It finds nothing out about the vectors and throws some of each away: a compatibility mode.

    Raises:
        UsageError: If P is above D.
    """
    _check_smaller(n_dims, n_out)
    torch = import_torch()
    chance = torch.Generator().manual_seed(seed)
    weight = torch.nn.init.orthogonal_(torch.empty(n_out, n_dims), generator=chance)
    return ProjectionMatrix("orthogonal", weight.numpy())


def pca_projection(vectors: NDArray[np.float32], n_out: int) -> ProjectionMatrix:
    """Return the directions in which vectors vary most, the first the most, and the mean of the vectors.

    Each direction's largest number is positive, so that the same vectors give the same matrix.

    Args:
        vectors: ``(N, D)`` of the training part, as the projection will see them: of unit length.
        n_out: P.

    Raises:
        UsageError: If P is above D.
        DataError: If there are not more vectors than P.
    """
    _check_smaller(vectors.shape[1], n_out)
    if len(vectors) <= n_out:
        raise DataError(
            f"pca:{n_out} needs more than {n_out} vectors to learn from, and there are {len(vectors)}: label more, or "
            f"give pca:{max(1, len(vectors) // 2)} or less"
        )
    mean = vectors.mean(axis=0, dtype=np.float64)
    spread = np.zeros((vectors.shape[1], vectors.shape[1]))
    for start in range(0, len(vectors), 8192):
        centred = vectors[start : start + 8192] - mean
        spread += centred.T @ centred
    _, directions = np.linalg.eigh(spread)
    weight = directions[:, ::-1][:, :n_out].T
    largest = np.abs(weight).argmax(axis=1)
    weight = weight * np.sign(weight[np.arange(n_out), largest])[:, None]
    return ProjectionMatrix("pca", weight.astype(np.float32), mean.astype(np.float32))


def read_projection(path: Path) -> ProjectionMatrix:
    """Return the projection in a file: ``(P, D)``, one matrix and nothing else.

    ``.npy``; or ``.pt``, ``.pth``, ``.safetensors`` with one tensor, such as seed 5's ``clip_projection.pt``; or a head
    of ours that was made with a projection.

    Raises:
        UsageError: If its ending is none of these, or it is a head without a projection or with PCA, which belongs to
            the pictures that it was found on.
        UnreadableError: If it cannot be read, or holds something else.
    """
    if path.suffix.lower() == ".npy":
        return ProjectionMatrix("file", _checked(path, _read_npy(path)))
    file = read_weights(path)
    found = [tensor for tensor in file.tensors.values() if tensor.ndim == 2]
    if file.card is not None:
        own = None if file.card.vectors is None else file.card.vectors.projection
        if own is None or own.kind == "pca":
            has = "has no projection" if own is None else "has one of PCA, which belongs to its own training part"
            raise UsageError(f"model {file.card.name!r} in {path} {has}: give another file, or pca:N")
        found = [file.tensors[OWN_WEIGHT]]
    elif len(found) != 1 or len(file.tensors) != 1:
        names = ", ".join(f"{name} {tuple(one.shape)}" for name, one in list(file.tensors.items())[:3])
        raise UnreadableError(path, f"a projection is one matrix (P, D) without bias, and this holds {names}")
    return ProjectionMatrix("file", _checked(path, found[0].float().numpy()))


def _read_npy(path: Path) -> NDArray[np.float32]:
    file = open_vector_file(path)
    if file.is_single:
        raise UnreadableError(path, "a projection is one matrix (P, D) with P above 1, and this holds one vector")
    return file.read()


def _checked(path: Path, weight: NDArray[np.float32]) -> NDArray[np.float32]:
    if not weight.size or not np.isfinite(weight).all():
        raise UnreadableError(path, f"a projection has finite numbers, and this {weight.shape} has not")
    return np.ascontiguousarray(weight)


def _check_smaller(n_dims: int, n_out: int) -> None:
    if n_out > n_dims:
        raise UsageError(
            f"a projection to {n_out} dimensions needs vectors of as many or more, and these have {n_dims}: give "
            f"{n_dims} or less"
        )

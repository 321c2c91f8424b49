"""Heads: small networks that turn an embedder's vectors into classes. N vectors, D numbers each, C classes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from mekiki.errors import UsageError, unknown_name
from mekiki.training.head_plan import LINEAR, MLP

BATCH_NORM_EPS = 1e-3
"""Keras' value, which seed 5 trained with. Variances of unit vectors are as small, so PyTorch's 1e-5 gives others."""

BATCH_NORM_MOMENTUM = 0.01
"""Share of a new batch in the running figures: 1 - .99 of Keras."""

STANDARD_EPS = 1e-10
"""Added to the deviation where vectors are standardised by given figures, as LAION's heads do."""

ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "gelu": functional.gelu,
    "relu": torch.relu,
}
PROJECTIONS = ("orthogonal", "pca", "file")
MAX_LAYERS = 64


class Head(nn.Module):  # type: ignore[misc]  # torch's types are not read
    """Unit length, projection, standardising, then blocks of batch normalisation, Dense, activation and dropout.

    All parts but the last Dense are optional. State dict: ``projection.weight`` (P, D) and, of PCA, ``projection.mean``
    (D,); ``standard.mean`` and ``standard.variance``; ``blocks.0.norm.*``, ``blocks.0.dense.*``, ``blocks.1...``;
    ``output.*``. Weights are drawn from PyTorch's global generator; projection and figures are zeros and ones until
    they are loaded.

    Args:
        n_inputs: D.
        n_classes: C.
        layers: Widths of the blocks, at most `MAX_LAYERS`; none for a plain linear map.
        hidden: ``tanh``, ``gelu`` (the exact one) or ``relu``, between blocks.
        dropout: Share of a block's numbers that training leaves out.
        batch_norm: Normalise before each Dense of a block; where there is no block, before the output.
        standardise: Take off a mean and divide by a deviation that are given, not learned.
        normalise: Scale vectors to unit length before all else; one of zeros stays.
        projection_dims: P; None for none.
        projection_kind: ``orthogonal`` and ``file`` scale what comes out to unit length; ``pca`` takes off a mean
            first and scales nothing.

    Raises:
        UsageError: If an option is out of range.
    """

    def __init__(
        self,
        n_inputs: int,
        n_classes: int,
        *,
        layers: Sequence[int] = (256,),
        hidden: str = "tanh",
        dropout: float = 0.0,
        batch_norm: bool = True,
        standardise: bool = False,
        normalise: bool = True,
        projection_dims: int | None = None,
        projection_kind: str = "orthogonal",
    ) -> None:
        super().__init__()
        if len(layers) > MAX_LAYERS:
            raise UsageError(f"a head's layers must be {MAX_LAYERS} or fewer, got {len(layers)}")
        for what, is_on in (("batch_norm", batch_norm), ("standardise", standardise), ("normalise", normalise)):
            if not isinstance(is_on, bool):
                raise UsageError(f"a head's {what} must be true or false, got {is_on!r}")
        for what, width in (("n_inputs", n_inputs), *(("layers", one) for one in layers)):
            if not isinstance(width, int) or width < 1:
                raise UsageError(f"a head's {what} must be 1 or more, got {width!r}")
        if not isinstance(dropout, int | float) or not 0 <= dropout < 1:
            raise UsageError(f"a head's dropout must lie in [0, 1), got {dropout!r}")
        if hidden not in ACTIVATIONS:
            raise unknown_name("activation of a head", str(hidden), ACTIVATIONS)
        self.is_normalising = normalise
        n_now = n_inputs
        self.projection = None
        if projection_dims is not None:
            self.projection = _Projection(n_inputs, projection_dims, projection_kind)
            n_now = projection_dims
        self.n_prepared = n_now
        self.standard = _Standard(n_now) if standardise else None
        blocks = []
        for width in layers:
            blocks.append(_Block(n_now, width, hidden, dropout, batch_norm))
            n_now = width
        self.blocks = nn.ModuleList(blocks)
        self.norm = _batch_norm(n_now) if batch_norm and not blocks else None
        self.output = nn.Linear(n_now, n_classes)

    def forward(self, vectors: Tensor) -> Tensor:
        """Return ``(N, C)`` logits of ``(N, D)`` float32 vectors as the embedder gives them."""
        return self.classify(self.prepare(vectors))

    def prepare(self, vectors: Tensor) -> Tensor:
        """Return ``(N, P)``: vectors as the parts that learn see them."""
        if self.is_normalising:
            vectors = unit_length(vectors)
        if self.projection is not None:
            vectors = self.projection(vectors)
        return vectors if self.standard is None else self.standard(vectors)

    def classify(self, prepared: Tensor) -> Tensor:
        """Return ``(N, C)`` logits of what `prepare` gives."""
        for block in self.blocks:
            prepared = block(prepared)
        return self.output(prepared if self.norm is None else self.norm(prepared))


class _Block(nn.Module):  # type: ignore[misc]
    def __init__(self, n_inputs: int, width: int, hidden: str, dropout: float, batch_norm: bool) -> None:
        super().__init__()
        self.norm = _batch_norm(n_inputs) if batch_norm else None
        self.dense = nn.Linear(n_inputs, width)
        self.hidden = ACTIVATIONS[hidden]
        self.dropout = nn.Dropout(dropout)

    def forward(self, inputs: Tensor) -> Tensor:
        normed = inputs if self.norm is None else self.norm(inputs)
        return self.dropout(self.hidden(self.dense(normed)))


class _Projection(nn.Module):  # type: ignore[misc]
    def __init__(self, n_inputs: int, n_outputs: int, kind: str) -> None:
        super().__init__()
        if kind not in PROJECTIONS:
            raise unknown_name("projection", str(kind), PROJECTIONS)
        if not isinstance(n_outputs, int) or n_outputs < 1:
            raise UsageError(f"a head's projection_dims must be 1 or more, got {n_outputs!r}")
        self.is_pca = kind == "pca"
        self.register_buffer("weight", torch.zeros(n_outputs, n_inputs))
        if self.is_pca:
            self.register_buffer("mean", torch.zeros(n_inputs))

    def forward(self, vectors: Tensor) -> Tensor:
        if self.is_pca:
            return functional.linear(vectors - self.mean, self.weight)
        return unit_length(functional.linear(vectors, self.weight))


class _Standard(nn.Module):  # type: ignore[misc]
    def __init__(self, n_inputs: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(n_inputs))
        self.register_buffer("variance", torch.ones(n_inputs))

    def forward(self, vectors: Tensor) -> Tensor:
        return (vectors - self.mean) / (self.variance.sqrt() + STANDARD_EPS)


def make_head(arch: str, n_classes: int, options: Mapping[str, Any]) -> Head:
    """Return a head.

    Args:
        arch: ``head:mlp`` or ``head:linear``, which has no blocks and no batch normalisation unless it is asked for.
        n_classes: C.
        options: Of `Head`; ``n_inputs`` among them.

    Raises:
        UsageError: If there is no such head, or an option is out of range.
        TypeError: If one is unknown or missing.
    """
    if arch not in (MLP, LINEAR):
        raise unknown_name("head", arch, (MLP, LINEAR))
    usual: dict[str, Any] = {"layers": (), "batch_norm": False} if arch == LINEAR else {}
    return Head(n_classes=n_classes, **{**usual, **options})


def unit_length(vectors: Tensor) -> Tensor:
    """Return ``(N, D)`` float32 vectors divided by their lengths, whatever these are; zeros stay zeros.

    The largest number of each is made 1 before anything is squared: squares of 1e20 have no place in float32.
    """
    largest = vectors.abs().amax(dim=1, keepdim=True).clamp_min(torch.finfo(vectors.dtype).tiny)
    return functional.normalize(vectors / largest, dim=1)


def _batch_norm(n_inputs: int) -> nn.Module:
    return nn.BatchNorm1d(n_inputs, eps=BATCH_NORM_EPS, momentum=BATCH_NORM_MOMENTUM)
